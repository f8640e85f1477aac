import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox } from '../../sandbox/server.ts';
import { benchWorld } from './world.ts';

/**
 * `SPEED`: serves the world of an upgrade in a process of its own, with the same chances each time, and counts what is asked of AWS,
 * which `GET /bench/aws-requests` tells. Prints its URL as a line of JSON.
 */
const speed = Number(process.argv[2]);
let requests = 0;
const sandbox = await startSandbox({
  seed: benchWorld(),
  speed,
  randomSeed: 7,
  cloud: (world) => {
    const { handle } = createCloud(world);
    return (request, response) => {
      if (request.url === '/bench/aws-requests') {
        response.end(JSON.stringify({ requests }));
        return;
      }
      requests += 1;
      void handle(request, response);
    };
  },
});
console.log(JSON.stringify({ url: sandbox.url }));
