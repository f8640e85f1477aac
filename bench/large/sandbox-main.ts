import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox } from '../../sandbox/server.ts';
import { largeWorld } from './world.ts';

/** `NODES PODS`: serves a large cluster in a process of its own. Prints its URL as a line of JSON. */
const [nodes = 0, pods = 0] = process.argv.slice(2).map(Number);
const sandbox = await startSandbox({ seed: largeWorld(nodes, pods), cloud: (world) => createCloud(world).handle });
console.log(JSON.stringify({ url: sandbox.url }));
