import { once } from 'node:events';
import { createServer } from 'node:http';
import { reasonOf } from './reason.ts';

/** What a sandbox in another process has done to servers: `POST /stop/NAME`, `/promote/NAME` and `/follow/NAME`. */
export interface ControlledServers {
  stop(name: string): Promise<void>;
  promote(name: string): Promise<void>;
  follow(name: string): Promise<void>;
}

/** Serves servers on a free port of 127.0.0.1 to whoever simulates the cluster that they belong to. */
export async function serveDatabaseControl(servers: ControlledServers): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const [, verb = '', name = ''] = (request.url ?? '').split('/');
    const isKnown = request.method === 'POST' && ['stop', 'promote', 'follow'].includes(verb);
    const done = isKnown
      ? servers[verb as keyof ControlledServers](decodeURIComponent(name))
      : Promise.reject(new Error('unknown request'));
    done.then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(reasonOf(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the control of the databases has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
