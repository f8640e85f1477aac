import { connectTemporal, temporalSettings } from '../client/connection.ts';
import { Holdpoint } from '../client/holdpoint.ts';
import { tellSilence } from './silence-view.ts';
import type { Terminal } from './terminal.ts';

/** Connects, works, and disconnects whatever happens. Throws `temporal-unreachable`. */
export async function withHoldpoint<Result>(terminal: Terminal, work: (holdpoint: Holdpoint) => Promise<Result>): Promise<Result> {
  const settings = temporalSettings(terminal.surroundings.env);
  const { address, namespace, taskQueue } = settings;
  terminal.detail(`Temporal at ${address}, namespace ${namespace}, task queue ${taskQueue}: connecting`);
  const client = await connectTemporal(settings);
  terminal.detail('connected');
  try {
    return await work(new Holdpoint(client, settings, (silence, about) => tellSilence(terminal, silence, about)));
  } finally {
    await client.connection.close();
    terminal.detail('done');
  }
}
