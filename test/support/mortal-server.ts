import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connectTemporal } from '../../client/connection.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { findTemporal } from '../../lab/temporal.ts';

/** A Temporal server with its data in a file: killed and started again, it is the same server. */
export interface MortalServer {
  address: string;
  /** Kills it (SIGKILL) and resolves when its successor serves. Who asks meanwhile waits for the same successor. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts one with its data in a directory. `settings` are those of its dynamic configuration, by their names.
 * Throws where there is no program to start.
 */
export async function startMortalServer(directory: string, settings: Readonly<Record<string, number>> = {}): Promise<MortalServer> {
  const source = await findTemporal(() => undefined);
  if (source.kind !== 'program') throw new Error('a server that is killed must be one of our own');
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const place = ['--ip', '127.0.0.1', '--port', String(port), '--db-filename', join(directory, 'temporal.db')];
  for (const [name, value] of Object.entries(settings)) place.push('--dynamic-config-value', `${name}=${value}`);
  const start = (): Promise<RunningProcess> =>
    startProcess({
      name: 'The Temporal server',
      command: source.path,
      args: ['server', 'start-dev', '--headless', '--log-level', 'error', ...place],
      // It asks for the namespace, which is there last.
      ready: async () => (await connectTemporal({ address, namespace: 'default', taskQueue: 'none' })).connection.close(),
    });
  let server = await start();
  let restarting: Promise<void> | undefined;
  const restart = async (): Promise<void> => {
    await server.kill();
    server = await start();
  };
  return {
    address,
    restart: () => (restarting ??= restart().finally(() => (restarting = undefined))),
    stop: async () => {
      await restarting?.catch(() => undefined);
      await server.stop();
    },
  };
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const { port } = listener.address() as AddressInfo;
      listener.close(() => resolve(port));
    });
  });
}
