import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWhereStale } from '../../lab/build.ts';
import { buildProgramsApart } from '../../lab/build-programs.ts';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../lab/process.ts';
import { send, type Door } from '../../test/lab-kubernetes/raw.ts';
import { lowerBound, type LowerBound, type PodToMove } from './lower-bound.ts';
import { clusterName, rotatedGroup, workloadsFor } from './world.ts';

/** A thousand nodes take a while to come up. */
const readyTimeoutMs = 5 * 60_000;

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

/** Builds the programs of the benchmark and starts the sandbox; its time runs `speed` times as fast as ours. */
export async function startEnvironment(nodes: number, speed: number): Promise<Environment> {
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-rotation-'));
    ends.push(() => rm(directory, { recursive: true, force: true }));
    await buildWhereStale();
    await buildProgramsApart(join(directory, 'programs'), ['bench/rotation/sandbox-main']);
    const start: Environment['start'] = async (options) => {
      const running = await startProcess(options);
      ends.push(() => running.kill());
      return running;
    };
    const sandbox = await start({
      name: 'The sandbox',
      command: process.execPath,
      args: [join(directory, 'programs', 'bench/rotation/sandbox-main.js'), String(nodes), String(speed)],
      ready: /"url":"(?<url>[^"]+)"/,
      readyTimeoutMs,
    });
    const url = sandbox.readyMatch?.groups?.url ?? '';
    const door: Door = { url: `${url}/kubernetes/${clusterName}` };
    const kubeconfig = join(directory, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigOf(door.url), { mode: 0o600 });
    const names = await rotatedNodes(door);
    return {
      directory,
      url,
      kubeconfig,
      nodes: names,
      podsToMove: await podsOn(door, names, nodes),
      start,
      atEnd: (end) => ends.push(end),
      observed: async () => {
        const { body } = await send({ url }, 'GET', '/sandbox/observer');
        const { violations, counters } = body as { violations: unknown[]; counters: { requests: Record<string, number> } };
        const requests = Object.values(counters.requests).reduce((sum, count) => sum + count, 0);
        return { violations: violations.length, requests, podsLeft: (await podsOn(door, names, nodes)).length };
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

async function rotatedNodes(door: Door): Promise<string[]> {
  const { body } = await send(door, 'GET', `/api/v1/nodes?labelSelector=eks.amazonaws.com%2Fnodegroup%3D${rotatedGroup}`);
  return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
}

async function podsOn(door: Door, names: readonly string[], nodes: number): Promise<PodToMove[]> {
  const workloads = new Map(workloadsFor(nodes).map((workload) => [workload.name, workload]));
  const { body } = await send(door, 'GET', '/api/v1/pods');
  const wanted = new Set(names);
  return (body.items as { metadata: { labels: { app: string } }; spec: { nodeName: string } }[]).flatMap(({ metadata, spec }) => {
    const workload = workloads.get(metadata.labels.app);
    return workload && wanted.has(spec.nodeName) ? [{ workload, node: spec.nodeName }] : [];
  });
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
