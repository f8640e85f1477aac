import { Connection } from '@temporalio/client';
import { askForShared } from './shared.ts';

/**
 * `host:port` of the Temporal server that all tests of a run share; the first call starts it (about a second).
 * With TEMPORAL_ADDRESS set it is that server. Throws where there is none, with the reasons.
 */
export async function temporalAddress(): Promise<string> {
  return askForShared('temporal');
}

/** A connection to that server; whoever asks for it closes it. */
export async function connectTemporal(): Promise<Connection> {
  return Connection.connect({ address: await temporalAddress() });
}
