import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWhereStale } from '../../lab/build.ts';
import { buildProgramsApart } from '../../lab/build-programs.ts';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../lab/process.ts';
import { send, type Door } from '../../test/lab-kubernetes/raw.ts';
import { lowerBound, type LowerBound, type PodToMove, type Workload } from './lower-bound.ts';

/** Thousands of nodes take a while to come up. */
const readyTimeoutMs = 20 * 60_000;

/** A sandbox with nodes to rotate, and a folder with what is built of the benchmark. */
export interface Environment {
  directory: string;
  /** Base URL of the sandbox, which is the endpoint for AWS too. */
  url: string;
  kubeconfig: string;
  /** Names of the nodes to rotate. */
  nodes: string[];
  podsToMove: PodToMove[];
  /** Starts a program, which is ended with the environment. */
  start(options: ProcessOptions): Promise<RunningProcess>;
  /** Removes or ends something when the environment is struck, before what was there earlier. */
  atEnd(end: () => Promise<unknown>): void;
  /** What the sandbox's observer has noted. */
  observed(): Promise<{ violations: number; requests: number; podsLeft: number }>;
  stop(): Promise<void>;
}

/** What the sandbox holds, and what of it is rotated. */
export interface BenchWorld {
  /** The program that serves it, such as `bench/rotation/sandbox-main`, and what it is started with. */
  program: string;
  /** Other programs that are built with it. */
  more?: readonly string[];
  args: readonly string[];
  nodeArgs?: readonly string[];
  cluster: string;
  /** The node group that is rotated. */
  nodegroup: string;
  workloads: readonly Workload[];
}

/** Builds the programs of the benchmark and starts the sandbox. */
export async function startEnvironment(world: BenchWorld): Promise<Environment> {
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-rotation-'));
    ends.push(() => rm(directory, { recursive: true, force: true }));
    await buildWhereStale();
    await buildProgramsApart(join(directory, 'programs'), [world.program, ...(world.more ?? [])]);
    const start: Environment['start'] = async (options) => {
      const running = await startProcess(options);
      ends.push(() => running.kill());
      return running;
    };
    const sandbox = await start({
      name: 'The sandbox',
      command: process.execPath,
      args: [...(world.nodeArgs ?? []), join(directory, 'programs', `${world.program}.js`), ...world.args],
      ready: /"url":"(?<url>[^"]+)"/,
      readyTimeoutMs,
    });
    const url = sandbox.readyMatch?.groups?.url ?? '';
    const door: Door = { url: `${url}/kubernetes/${world.cluster}` };
    const kubeconfig = join(directory, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigOf(door.url), { mode: 0o600 });
    const names = await nodesOf(door, world.nodegroup);
    return {
      directory,
      url,
      kubeconfig,
      nodes: names,
      podsToMove: await podsOn(door, names, world.workloads),
      start,
      atEnd: (end) => ends.push(end),
      observed: async () => {
        const { body } = await send({ url }, 'GET', '/sandbox/observer');
        const { violations, counters } = body as { violations: unknown[]; counters: { requests: Record<string, number> } };
        const requests = Object.values(counters.requests).reduce((sum, count) => sum + count, 0);
        return { violations: violations.length, requests, podsLeft: (await podsOn(door, names, world.workloads)).length };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function boundOf({ podsToMove }: Environment, nodesAtOnce: number): LowerBound {
  return lowerBound(podsToMove, nodesAtOnce);
}

async function nodesOf(door: Door, nodegroup: string): Promise<string[]> {
  const { body } = await send(door, 'GET', `/api/v1/nodes?labelSelector=eks.amazonaws.com%2Fnodegroup%3D${nodegroup}`);
  return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
}

/** One list for each node: the pods of all nodes may be too many for one. */
async function podsOn(door: Door, names: readonly string[], workloads: readonly Workload[]): Promise<PodToMove[]> {
  const byName = new Map(workloads.map((workload) => [workload.name, workload]));
  const found: PodToMove[] = [];
  for (const node of names) {
    const { body } = await send(door, 'GET', `/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`);
    for (const { metadata } of body.items as { metadata: { labels: { app: string } } }[]) {
      const workload = byName.get(metadata.labels.app);
      if (workload) found.push({ workload, node });
    }
  }
  return found;
}

function kubeconfigOf(server: string): string {
  const name = 'rotation';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
