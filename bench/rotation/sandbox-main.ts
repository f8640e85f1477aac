import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox } from '../../sandbox/server.ts';
import { rotationWorld } from './world.ts';

/** `NODES SPEED`: serves the world of a rotation in a process of its own. Prints its URL as a line of JSON. */
const [nodes, speed] = process.argv.slice(2).map(Number);
const seed = rotationWorld(nodes ?? 0);
const sandbox = await startSandbox({ seed, speed, cloud: (world) => createCloud(world).handle });
console.log(JSON.stringify({ url: sandbox.url }));
