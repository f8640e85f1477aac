import { createServer, connect, type Socket } from 'node:net';
import { once } from 'node:events';

const loopback = '127.0.0.1';

/** An address of a database cluster: it leads new connections to one of its servers, as the DNS name of a cluster does. */
export interface MovingEndpoint {
  port: number;
  /** Cuts every connection, and takes no more. */
  stop(): Promise<void>;
}

/**
 * Takes connections on a free port of 127.0.0.1 and passes each on to the port that `destination` names at that moment; where it names
 * none, the connection is cut. Connections that are open stay where they are.
 */
export async function startMovingEndpoint(destination: () => number | undefined): Promise<MovingEndpoint> {
  const open = new Set<Socket>();
  let isStopped = false;
  const keep = (socket: Socket): void => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    client.on('error', () => undefined);
    const port = isStopped ? undefined : destination();
    if (port === undefined) return void client.destroy();
    const behind = connect(port, loopback);
    keep(behind);
    for (const [one, other] of [[client, behind] as const, [behind, client] as const]) {
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    client.pipe(behind).pipe(client);
  });
  server.listen(0, loopback);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the endpoint has no port');
  return {
    port: address.port,
    stop: async () => {
      isStopped = true;
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
