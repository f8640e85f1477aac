import { parseArgs } from 'node:util';
import { createCloud } from './cloud.ts';
import { startExternalSandbox } from './external/sandbox.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from './server.ts';
import type { WorldSeed } from './seed.ts';
import { remoteServers } from './rds/remote-servers.ts';
import { auroraWorld } from './worlds/aurora.ts';
import { demoWorld } from './worlds/demo.ts';
import { upgradeWorld } from './worlds/upgrade.ts';

/** The worlds that can be started by name. */
const worlds: Record<string, WorldSeed> = { demo: demoWorld, upgrade: upgradeWorld, aurora: auroraWorld };

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
      kubernetes: { type: 'string', default: 'simulated' },
      'database-servers': { type: 'string' },
      kubeconfig: { type: 'string', default: process.env.KUBECONFIG },
    },
  });
  const seed = worlds[values.world];
  if (!seed) throw new Error(`there is no world called ${values.world}; there are: ${Object.keys(worlds).join(', ')}`);
  const options = {
    seed,
    port: numberOf('port', values.port, 0),
    randomSeed: numberOf('seed', values.seed, 1),
    speed: numberOf('speed', values.speed, 1),
    faults: { rate: numberOf('fault-rate', values['fault-rate'], 0) },
  };
  const sandbox = await start(options, values.kubernetes, values.kubeconfig);
  const { 'database-servers': servers } = values;
  if (servers !== undefined) for (const database of sandbox.world.databases) database.servers = remoteServers(servers);
  console.log(JSON.stringify({ url: sandbox.url }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void sandbox.stop());
}

/** Kubernetes is `simulated`, or `external`: the cluster that a kubeconfig names. */
async function start(options: SandboxOptions, kubernetes: string, kubeconfig: string | undefined): Promise<Sandbox> {
  if (kubernetes === 'simulated') return startSandbox({ ...options, cloud: (world) => createCloud(world).handle });
  if (kubernetes !== 'external') throw new Error(`--kubernetes is simulated or external, not ${kubernetes}`);
  if (kubeconfig === undefined) throw new Error('--kubernetes external takes --kubeconfig FILE, or KUBECONFIG in the environment');
  return startExternalSandbox({ ...options, kubeconfig, report: (trouble) => console.error(trouble) });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
