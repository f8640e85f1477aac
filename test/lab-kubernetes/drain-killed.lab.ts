import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { programCommand } from '../../cli/program-files.ts';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests, type Manifest, type WorkloadOptions } from '../../lab/workloads.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { followEvictions } from './evictions.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { inPool, leaveNothing, podTemplate, until, type PodSeen } from './world.ts';

const drainedCount = 3;
const spareCount = 3;
/** An eviction that is cut off in the middle may shut its budget for two minutes, each time the process is killed. */
const killWaitMs = 150_000;
/** Those of a scenario that cost no more than one such wait, or all of them (`npm run test:exhaustive`). */
const kills = isExhaustive ? 'allKills' : 'fewKills';

/** A drain of three nodes that hold all pods, whose process is killed in the middle. */
interface Scenario {
  name: string;
  workloads: readonly Omit<WorkloadOptions, 'namespace'>[];
  /** What its budgets come to, worked out by hand, by the label `app` of the pods. */
  needed: Record<string, number>;
  /** How many evictions have been granted when the process is killed; 0: as soon as its nodes are cordoned. */
  allKills: readonly number[];
  fewKills: readonly number[];
  /** A pod without a controller stands under the budget of `app`, which allows no eviction until that pod is Ready. */
  late?: { app: string; readinessSeconds: number };
}

const scenarios: readonly Scenario[] = [
  {
    name: 'one-at-a-time',
    workloads: [{ name: 'web', replicas: 9, budget: { maxUnavailable: 1 } }],
    needed: { web: 9 - 1 },
    allKills: [0, 2, 5],
    fewKills: [2],
  },
  {
    name: 'mixed',
    workloads: [
      { name: 'web', replicas: 12, budget: { maxUnavailable: 1 } },
      { name: 'cart', replicas: 6, budget: { minAvailable: '80%' } },
      { name: 'search', replicas: 8, budget: { maxUnavailable: '25%' } },
      { name: 'db', replicas: 4, kind: 'StatefulSet', budget: { maxUnavailable: 1 } },
      { name: 'batch', replicas: 4 },
    ],
    // 80 % of 6 is rounded up.
    needed: { web: 12 - 1, cart: 5, search: 8 - 2, db: 4 - 1 },
    allKills: [4, 10, 20],
    fewKills: [10],
  },
  { name: 'no-budgets', workloads: [{ name: 'free', replicas: 40 }], needed: {}, allKills: [0, 1], fewKills: [0, 1] },
  {
    name: 'stateful-sets',
    workloads: ['first', 'second'].map((name) => ({ name, replicas: 5, kind: 'StatefulSet' as const, budget: { maxUnavailable: 1 } })),
    needed: { first: 5 - 1, second: 5 - 1 },
    allKills: [2, 5],
    fewKills: [5],
  },
  {
    name: 'opens-late',
    workloads: [{ name: 'late', replicas: 6, budget: { minAvailable: 6 } }],
    needed: { late: 6 },
    allKills: [0, 2],
    fewKills: [0],
    late: { app: 'late', readinessSeconds: 6 },
  },
];

let door: Door;
let request: KubernetesRequest;
let records: string;
/** What takes the worlds of the scenarios away again. Other tests share the cluster, and count its nodes. */
const ends: (() => Promise<void>)[] = [];
/** By the names of their scenarios. They go on at the same time, as a PDB that allows 0 disruptions keeps only one of them. */
const drains = new Map<string, Promise<Drained>>();

/** What there was after the end of the last drain. */
interface Drained {
  podsBefore: number;
  podsLeft: PodSeen[];
  evictions: number;
  sighting: BudgetWatcher['sighting'];
  cordoned: boolean;
  ending: string;
}

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(labKubeconfig()));
  records = await mkdtemp(join(tmpdir(), 'holdpoint-records-'));
  for (const scenario of scenarios) {
    const drained = killAgainAndAgain(scenario);
    drained.catch(() => undefined);
    drains.set(scenario.name, drained);
  }
});

afterAll(async () => {
  await Promise.all(ends.map((end) => end()));
  await rm(records, { recursive: true, force: true });
}, 120_000);

/** Brings up what the scenario drains, and only then the nodes that its pods can move to. Returns the names of the former. */
async function setOut({ workloads, late }: Scenario, namespace: string): Promise<string[]> {
  const labels = { pool: namespace };
  const drained = nodeManifests({ count: drainedCount, prefix: `${namespace}-full`, labels });
  const spare = nodeManifests({ count: spareCount, prefix: `${namespace}-spare`, labels });
  const nodes = [...drained, ...spare].map(({ metadata }) => metadata.name);
  ends.push(() => leaveNothing(door, namespace, nodes));
  const manifestsOf = (options: Omit<WorkloadOptions, 'namespace'>): Manifest[] =>
    inPool(workloadManifests({ readinessSeconds: 0.5, shutdownSeconds: 0.5, ...options, namespace }), labels);
  const space: Manifest = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  await createAll(request, [...drained, space, ...workloads.flatMap(manifestsOf)]);
  await untilSettled(request, { namespace });
  await createAll(request, spare);
  if (late) {
    const template = podTemplate(late.app, { readinessSeconds: late.readinessSeconds });
    const metadata = { ...template.metadata, name: 'late-one', namespace };
    const spec = { ...template.spec, nodeName: spare[0]?.metadata.name };
    await createAll(request, [{ apiVersion: 'v1', kind: 'Pod', metadata, spec }]);
  }
  return drained.map(({ metadata }) => metadata.name);
}

async function podsOn(nodes: readonly string[], namespace: string): Promise<PodSeen[]> {
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  return (body.items as PodSeen[]).filter(({ spec }) => nodes.includes(spec.nodeName ?? ''));
}

function startDrain(nodes: readonly string[]): Promise<RunningProcess> {
  const { command, args } = programCommand('cli/main');
  const drain = ['drain', ...nodes, '--nodes-at-once', '100%', '--yes', '--kubeconfig', labKubeconfig()];
  const env = { ...process.env, XDG_STATE_HOME: records };
  return startProcess({ name: 'the drain', command, args: [...args, ...drain], env, ready: async () => undefined });
}

async function areCordoned(nodes: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(nodes.map((node) => send(door, 'GET', `/api/v1/nodes/${node}`)));
  return answers.every(({ body }) => (body.spec as { unschedulable?: boolean }).unschedulable === true);
}

async function killAgainAndAgain(scenario: Scenario): Promise<Drained> {
  const namespace = `killed-${scenario.name}`;
  const nodes = await setOut(scenario, namespace);
  const before = await podsOn(nodes, namespace);
  const watcher = await BudgetWatcher.start(door, namespace, scenario.needed);
  const evictions = await followEvictions(door, namespace, nodes);
  try {
    for (const count of scenario[kills]) {
      const drain = await startDrain(nodes);
      await until(`${count} evictions`, async () => evictions.granted() >= count && areCordoned(nodes), killWaitMs);
      await drain.kill();
    }
    const ending = await (await startDrain(nodes)).ended;
    const [podsLeft, cordoned] = [await podsOn(nodes, namespace), await areCordoned(nodes)];
    return { podsBefore: before.length, podsLeft, evictions: evictions.granted(), sighting: watcher.sighting, cordoned, ending };
  } finally {
    evictions.stop();
    watcher.stop();
  }
}

test.each(scenarios)(
  'a drain that is killed again and again ends, and somebody who watches sees no budget broken: $name',
  async ({ name, needed }) => {
    const { ending, podsBefore, podsLeft, evictions, sighting, cordoned } = await drains.get(name)!;
    expect({ ending, podsLeft, cordoned }).toEqual({ ending: 'ended with exit code 0', podsLeft: [], cordoned: true });
    const { below, fewest, moments } = sighting;
    expect({ below, fewest }).toEqual({ below: 0, fewest: needed });
    expect(moments).toBeGreaterThan(podsBefore);
    expect(evictions).toBe(podsBefore);
  },
  4 * killWaitMs,
);
