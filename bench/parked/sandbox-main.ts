import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox } from '../../sandbox/server.ts';
import { worldsOf } from './world.ts';

/**
 * Serves as many clusters as its argument says, in several worlds behind one AWS endpoint, in a process of its own so that
 * the clusters do not slow down whoever measures. Prints its URL as a line of JSON.
 */
async function main(): Promise<void> {
  const clouds = new Map<string, RequestListener>();
  for (const seed of worldsOf(Number(process.argv[2]))) {
    await startSandbox({
      seed,
      cloud: (world) => {
        const { handle } = createCloud(world);
        for (const { name } of seed.clusters) clouds.set(name, handle);
        return handle;
      },
    });
  }
  // Every path of the EKS API that is asked for names its cluster: `/clusters/NAME/…`.
  const front = createServer((request, response) => {
    const [, , name = ''] = (request.url ?? '').split(/[/?]/);
    const handle = clouds.get(decodeURIComponent(name));
    if (handle) void handle(request, response);
    else response.writeHead(404, { 'x-amzn-ErrorType': 'ResourceNotFoundException' }).end('{"message":"There is no such cluster."}');
  });
  front.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${(front.address() as AddressInfo).port}` })));
}

await main();
