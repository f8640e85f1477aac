import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { programCommand } from '../../cli/program-files.ts';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests, type Manifest, type WorkloadOptions } from '../../lab/workloads.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { followEvictions } from './evictions.ts';
import { send, type Door } from './raw.ts';
import { fromSetup, realWorld } from './real-world.ts';
import { inPool, leaveNothing, podTemplate, until, type PodSeen } from './world.ts';

const drainedCount = 3;
const spareCount = 3;
/** An eviction that is cut off in the middle may shut its budget for two minutes, each time the process is killed. */
const killWaitMs = 150_000;

/** A drain of three nodes that hold all pods, whose process is killed in the middle. */
interface Scenario {
  name: string;
  workloads: readonly Omit<WorkloadOptions, 'namespace'>[];
  /** What its budgets come to, worked out by hand, by the label `app` of the pods. */
  needed: Record<string, number>;
  /** How many evictions have been granted when the process is killed; 0: as soon as its nodes are cordoned. */
  killedAfter: readonly number[];
  /** A pod without a controller stands under the budget of `app`, which allows no eviction until that pod is Ready. */
  late?: { app: string; readinessSeconds: number };
}

const scenarios: readonly Scenario[] = [
  {
    name: 'one-at-a-time',
    workloads: [{ name: 'web', replicas: 9, budget: { maxUnavailable: 1 } }],
    needed: { web: 9 - 1 },
    killedAfter: [0, 2, 5],
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
    killedAfter: [4, 10, 20],
  },
  { name: 'no-budgets', workloads: [{ name: 'free', replicas: 40 }], needed: {}, killedAfter: [0, 1] },
  {
    name: 'stateful-sets',
    workloads: ['first', 'second'].map((name) => ({ name, replicas: 5, kind: 'StatefulSet' as const, budget: { maxUnavailable: 1 } })),
    needed: { first: 5 - 1, second: 5 - 1 },
    killedAfter: [2, 5],
  },
  {
    name: 'opens-late',
    workloads: [{ name: 'late', replicas: 6, budget: { minAvailable: 6 } }],
    needed: { late: 6 },
    killedAfter: [0, 2],
    late: { app: 'late', readinessSeconds: 6 },
  },
];

let door: Door;
let request: KubernetesRequest;
let records: string;
let after: () => Promise<void> = async () => undefined;

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(fromSetup('HOLDPOINT_LAB_KUBECONFIG')));
  records = await mkdtemp(join(tmpdir(), 'holdpoint-records-'));
});

afterAll(() => rm(records, { recursive: true, force: true }));

// Other tests share the cluster, and count its nodes.
afterEach(() => after());

/** Brings up what the scenario drains, and only then the nodes that its pods can move to. Returns the names of the former. */
async function setOut({ workloads, late }: Scenario, namespace: string): Promise<string[]> {
  const labels = { pool: namespace };
  const drained = nodeManifests({ count: drainedCount, prefix: `${namespace}-full`, labels });
  const spare = nodeManifests({ count: spareCount, prefix: `${namespace}-spare`, labels });
  after = () =>
    leaveNothing(
      door,
      namespace,
      [...drained, ...spare].map(({ metadata }) => metadata.name),
    );
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
  const drain = ['drain', ...nodes, '--nodes-at-once', '100%', '--yes', '--kubeconfig', fromSetup('HOLDPOINT_LAB_KUBECONFIG')];
  const env = { ...process.env, XDG_STATE_HOME: records };
  return startProcess({ name: 'the drain', command, args: [...args, ...drain], env, ready: async () => undefined });
}

async function areCordoned(nodes: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(nodes.map((node) => send(door, 'GET', `/api/v1/nodes/${node}`)));
  return answers.every(({ body }) => (body.spec as { unschedulable?: boolean }).unschedulable === true);
}

test.each(scenarios)(
  'a drain that is killed again and again ends, and somebody who watches sees no budget broken: $name',
  async (scenario) => {
    const { name, needed, killedAfter } = scenario;
    const namespace = `killed-${name}`;
    const nodes = await setOut(scenario, namespace);
    const before = await podsOn(nodes, namespace);
    const watcher = await BudgetWatcher.start(door, namespace, needed);
    const evictionsSeen = await followEvictions(door, namespace, nodes);
    for (const evictions of killedAfter) {
      const drain = await startDrain(nodes);
      await until(`${evictions} evictions`, async () => evictionsSeen.granted() >= evictions && areCordoned(nodes), killWaitMs);
      await drain.kill();
    }
    const last = await startDrain(nodes);
    expect(await last.ended).toBe('ended with exit code 0');
    evictionsSeen.stop();
    watcher.stop();
    expect(await podsOn(nodes, namespace)).toEqual([]);
    const { below, fewest, moments } = watcher.sighting;
    expect({ below, fewest }).toEqual({ below: 0, fewest: needed });
    expect(moments).toBeGreaterThan(before.length);
    expect(evictionsSeen.granted()).toBe(before.length);
    expect(await areCordoned(nodes)).toBe(true);
  },
  4 * killWaitMs,
);
