import { Random } from '../../sandbox/random.ts';
import type { Manifest, WorldSeed } from '../../sandbox/seed.ts';
import type { FaultSettings } from '../../sandbox/faults.ts';

export const region = 'eu-central-1';
/** How many times as fast as the wall clock a simulated cluster lives. */
export const speed = 150;
const cpuPerNodeMillis = 4_000;
/** How much of the nodes is asked for at most, so that pods find room while a node is away. */
const fillMax = 0.45;
/** Among how many first steps of a run the moments are dealt. */
const stepsMet = 6;

/** A moment of a run: so long (wall clock) after that step, counted from 0, has been begun. */
export interface Moment {
  step: number;
  afterMs: number;
}

/** What happens to a run besides planning, starting and signing. */
export interface Circumstances {
  /** When its worker is killed (SIGKILL), to be started anew at once; a run without any shares its worker with others. */
  kills: Moment[];
  /** Somebody pauses the run, and has it go on a moment later. */
  pause?: Moment;
  /** Somebody aborts the run whatever it does. */
  abort?: Moment;
  faults: FaultSettings;
}

/** Everything that a seed decides: the world, and what happens to a run in it. */
export interface Scene {
  cluster: string;
  world: WorldSeed;
  /** What runbooks may ask for by name. */
  inputs: Record<string, string | number>;
  circumstances: Circumstances;
}

type Size = { replicas: number; cpuMillis: number };
type Budget = { minAvailable: number | string } | { maxUnavailable: number | string };

/** Makes the scene of a seed and a runbook: always the same for the same arguments. `name` makes the cluster's name unique on a server. */
export function sceneOf({ seed, runbook, faultRate, name }: { seed: number; runbook: string; faultRate: number; name: string }): Scene {
  const random = new Random(seed).stream('world');
  const nodes = 3 + random.below(7);
  const version = pick(random, ['1.32', '1.33', '1.34'] as const);
  const releaseVersion = { '1.32': '1.32.8-20260415', '1.33': '1.33.3-20260415', '1.34': '1.34.1-20260415' }[version];
  const newRelease = { '1.32': '1.32.9-20260801', '1.33': '1.33.4-20260801', '1.34': '1.34.2-20260801' }[version];
  const blue = {
    name: 'blue',
    size: nodes,
    minSize: 1,
    maxSize: 2 * nodes,
    instanceType: 'm6i.xlarge',
    amiType: 'AL2023_x86_64_STANDARD',
    version,
    releaseVersion,
    zones: ['a', 'b', 'c'].slice(0, 1 + random.below(3)).map((zone) => `${region}${zone}`),
    labels: { pool: 'general' },
  };
  const cluster = { name, region, version, nodegroups: [blue], manifests: manifestsFor(random, nodes) };
  const inputs = {
    region,
    cluster: name,
    nodegroup: 'blue',
    newNodegroup: 'green',
    releaseVersion: newRelease,
    nodesAtOnce: 1 + random.below(3),
  };
  return { cluster: name, world: { clusters: [cluster] }, inputs, circumstances: circumstancesOf(seed, runbook, faultRate) };
}

function circumstancesOf(seed: number, runbook: string, rate: number): Circumstances {
  const random = new Random(seed).stream(`circumstances of ${runbook}`);
  const moment = (): Moment => ({ step: random.below(stepsMet), afterMs: Math.floor(random.between(0, 2_000)) });
  const now = (share: number): boolean => random.next() < share;
  const kills = now(0.15) ? Array.from({ length: 1 + random.below(2) }, moment) : [];
  const [pause, abort] = [now(0.2) ? moment() : undefined, now(0.15) ? moment() : undefined];
  // As old as EKS has been seen to answer: some seconds of the wall clock, by which actions look again.
  const staleMs = Math.floor(random.between(0, 2_000) * speed);
  return { kills, pause, abort, faults: { rate, seed, timeoutMs: 200, delayMs: 150, staleMs } };
}

function manifestsFor(random: Random, nodes: number): Manifest[] {
  const manifests: Manifest[] = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }];
  let roomMillis = nodes * cpuPerNodeMillis * fillMax;
  const place = (size: Size): boolean => {
    const takes = size.replicas * size.cpuMillis;
    if (takes > roomMillis) return false;
    roomMillis -= takes;
    return true;
  };
  manifests.push(...workload('DaemonSet', 'agent', { replicas: 0, cpuMillis: 50 }));
  const database = { replicas: 2 + random.below(2), cpuMillis: 400 };
  place(database);
  manifests.push(...workload('StatefulSet', 'database', database, openBudget(random, database.replicas)));
  const count = 2 + random.below(5);
  // Now and then a budget never opens: the run has to say so and to leave nothing behind.
  const shut = random.next() < 0.06 ? 0 : -1;
  for (let index = 0; index < count; index++) {
    const size = { replicas: 2 + random.below(6), cpuMillis: 100 + 50 * random.below(6) };
    const budget = index === shut ? { minAvailable: '100%' } : random.next() < 0.75 ? openBudget(random, size.replicas) : undefined;
    if (place(size)) manifests.push(...workload('Deployment', `web-${index}`, size, budget));
  }
  return manifests;
}

/** A budget that lets at least one pod go while all are healthy. */
function openBudget(random: Random, replicas: number): Budget {
  const choices: Budget[] = [
    { maxUnavailable: 1 },
    { maxUnavailable: '25%' },
    { maxUnavailable: '50%' },
    { minAvailable: replicas - 1 },
    { minAvailable: '50%' },
    ...(replicas >= 4 ? [{ minAvailable: '75%' }] : []),
  ];
  return pick(random, choices);
}

function workload(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet', name: string, size: Size, budget?: Budget): Manifest[] {
  const selector = { matchLabels: { app: name } };
  const metadata = { name, namespace: 'shop', labels: { app: name } };
  const container = {
    name,
    image: `registry.example.com/${name}:1.0.0`,
    resources: { requests: { cpu: `${size.cpuMillis}m`, memory: '256Mi' } },
  };
  const template = { metadata: { labels: { app: name } }, spec: { containers: [container] } };
  const replicas = kind === 'DaemonSet' ? {} : { replicas: size.replicas };
  const service = kind === 'StatefulSet' ? { serviceName: name } : {};
  const owner: Manifest = { apiVersion: 'apps/v1', kind, metadata, spec: { ...replicas, ...service, selector, template } };
  return budget ? [owner, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { ...budget, selector } }] : [owner];
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new RangeError('there is nothing to choose from');
  return item;
}
