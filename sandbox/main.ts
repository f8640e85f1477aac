import { parseArgs } from 'node:util';
import { createCloud } from './cloud.ts';
import { startSandbox } from './server.ts';
import type { WorldSeed } from './seed.ts';
import { demoWorld } from './worlds/demo.ts';

/** The worlds that can be started by name. */
const worlds: Record<string, WorldSeed> = { demo: demoWorld };

function numberOf(option: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${option} must be a number, not ${text ?? ''}`);
  return value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      seed: { type: 'string' },
      speed: { type: 'string' },
      world: { type: 'string', default: 'demo' },
      'fault-rate': { type: 'string' },
    },
  });
  const seed = worlds[values.world];
  if (!seed) throw new Error(`there is no world called ${values.world}; there are: ${Object.keys(worlds).join(', ')}`);
  const sandbox = await startSandbox({
    seed,
    cloud: (world) => createCloud(world).handle,
    port: numberOf('port', values.port, 0),
    randomSeed: numberOf('seed', values.seed, 1),
    speed: numberOf('speed', values.speed, 1),
    faults: { rate: numberOf('fault-rate', values['fault-rate'], 0) },
  });
  console.log(JSON.stringify({ url: sandbox.url }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void sandbox.stop());
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
