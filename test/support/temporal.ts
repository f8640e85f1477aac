import { Connection } from '@temporalio/client';

/**
 * `host:port` of the Temporal server that all tests of a run share; the first call starts it (about a second).
 * With TEMPORAL_ADDRESS set it is that server. Throws where there is none, with the reasons.
 */
export async function temporalAddress(): Promise<string> {
  const desk = process.env.HOLDPOINT_TEST_DESK;
  if (desk === undefined) throw new Error('HOLDPOINT_TEST_DESK is not set: start the tests with npm test, which runs the global setup');
  const response = await fetch(desk);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

/** A connection to that server; whoever asks for it closes it. */
export async function connectTemporal(): Promise<Connection> {
  return Connection.connect({ address: await temporalAddress() });
}
