import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { PlanOf } from '../../../../activities/action.ts';
import type { DrainFacts } from '../../../../activities/kubernetes/drain/facts.ts';
import type { ActionPlan } from '../../../../domain/plan/plan.ts';
import type { Manifest } from '../../../../sandbox/seed.ts';
import { budget, deployment, eventually, zonalVolume } from '../../../sandbox/kubernetes-fixture.ts';
import { region, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

/** What the first node of every world is called. */
const node = 'ip-10-0-0-4.eu-central-1.compute.internal';
let demo: TestCluster;
let plan: PlanOf<DrainFacts>;
/** The same without `force`. */
let unforced: ActionPlan;

const nodeSelector = { 'kubernetes.io/hostname': node };
const containers = [{ name: 'main', image: 'registry.example.com/main:1' }];

/** A pod on the node, as far as nothing else is said. */
function podHere(name: string, { metadata = {}, spec = {} }: { metadata?: object; spec?: object } = {}): Manifest {
  const labels = { app: name };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels, ...metadata },
    spec: { nodeSelector, containers, ...spec },
  };
}

const owned = (apiVersion: string, kind: string, name: string): object => ({
  ownerReferences: [{ apiVersion, kind, name, uid: `uid-${name}`, controller: true }],
});

/** Pods of a Deployment that can be on the first node only. */
const pinned = (name: string, spec: object, more: object = {}): Manifest =>
  deployment(name, 1, {
    template: { metadata: { labels: { app: name } }, spec: { containers, nodeSelector, ...spec } },
    ...more,
  });

const claimVolume = { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'orders' } }] };

const apart = { labelSelector: { matchLabels: { app: 'apart' } }, topologyKey: 'kubernetes.io/hostname' };
const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [apart] };

/** The workloads of the field cases side by side on one node: whoever plans a drain of it is told of each. */
const manifests: Manifest[] = [
  // 14, 18: the only pods of controllers of other kinds.
  podHere('lone', { metadata: owned('apps/v1', 'ReplicaSet', 'lone') }),
  podHere('ro', {
    metadata: { ...owned('apps/v1', 'ReplicaSet', 'ro-6b7d'), labels: { app: 'ro', 'rollouts-pod-template-hash': '6b7d' } },
  }),
  // 16: a runner of CI, and a Workflow, which is waited for.
  podHere('runner', { metadata: owned('actions.github.com/v1alpha1', 'EphemeralRunner', 'runner'), spec: { restartPolicy: 'Never' } }),
  podHere('flow', { metadata: owned('argoproj.io/v1alpha1', 'Workflow', 'flow'), spec: { restartPolicy: 'Never' } }),
  // 05: its budget opens for nobody, and nobody asks it.
  budget('flow', { minAvailable: 9999 }),
  // 22: data in a directory of the node; the socket of a runtime is none.
  pinned('registry', {
    volumes: [
      { name: 'data', hostPath: { path: '/srv/registry', type: 'DirectoryOrCreate' } },
      { name: 'socket', hostPath: { path: '/var/run/docker.sock' } },
    ],
  }),
  // 07: a volume that is on one node at a time.
  zonalVolume('pv-orders', 'orders', `${region}a`),
  {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: { accessModes: ['ReadWriteOnce'], volumeName: 'pv-orders', resources: { requests: { storage: '1Gi' } } },
  },
  pinned('orders', claimVolume),
  // 09: a grace period of a week.
  podHere('slow', { metadata: owned('example.com/v1', 'Queue', 'slow'), spec: { terminationGracePeriodSeconds: 604_800 } }),
  // Public report kubernetes/kubernetes#31252: its StatefulSet is gone.
  podHere('orphan-0', { metadata: owned('apps/v1', 'StatefulSet', 'orphan') }),
  // Public reports kubernetes/kubernetes#26080, kubernetes/autoscaler#904: pods that have ended and that nobody has cleaned up.
  podHere('ended', { metadata: { annotations: { 'sandbox.holdpoint.dev/runtime-seconds': '0.1' } }, spec: { restartPolicy: 'Never' } }),
  // more/04: pods without a controller under maxUnavailable.
  podHere('bare'),
  budget('bare', { maxUnavailable: 1 }),
  // The main process: on the other node a shell keeps SIGTERM, so that the pod is killed.
  deployment('stubborn', 1, {
    template: {
      metadata: { labels: { app: 'stubborn' }, annotations: { 'sandbox.holdpoint.dev/shutdown-seconds': '600' } },
      spec: {
        containers: [{ ...containers[0], command: ['/bin/sh', '-c', 'cd /srv; java -jar pay.jar'] }],
        nodeSelector: { 'topology.kubernetes.io/zone': `${region}b` },
        terminationGracePeriodSeconds: 2,
      },
    },
  }),
  // Public report strimzi/strimzi-kafka-operator#9482: as many pods as nodes, none of which shares its node.
  deployment('apart', 2, { template: { metadata: { labels: { app: 'apart' } }, spec: { containers, affinity: { podAntiAffinity } } } }),
  // 03: on its way out, under a budget that demands it.
  podHere('leaving', { metadata: { ...owned('apps/v1', 'ReplicaSet', 'leaving'), finalizers: ['example.com/keep'] } }),
  budget('leaving', { minAvailable: 1 }),
];

beforeAll(async () => {
  demo = await startCluster(worldWith(manifests, { nodes: 2 }));
  await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: 'leaving', gracePeriodSeconds: 1 });
  await eventually('budgets and pods to settle', async () => {
    const { items } = await demo.others.policy.listNamespacedPodDisruptionBudget({ namespace: 'shop' });
    const pods = await demo.pods();
    const isRunning = pods.every(
      ({ metadata, status }) =>
        metadata?.deletionTimestamp !== undefined || status?.phase === (metadata?.name === 'ended' ? 'Succeeded' : 'Running'),
    );
    const isCounted = items.every(({ status }) => status?.observedGeneration !== undefined);
    return isRunning && isCounted ? true : undefined;
  });
  unforced = await demo.plan('kubernetes.drain', { nodes: [node] });
  plan = (await demo.plan('kubernetes.drain', {
    nodes: [node],
    force: true,
    singletons: 'surge',
    nodeDeadline: '1h',
  })) as PlanOf<DrainFacts>;
});
afterAll(() => demo.stop());

describe('public reports', () => {
  test('kubernetes/kubernetes#31252: a pod whose StatefulSet is gone is one that nothing brings back.', () => {
    expect(plan.risks).toContainEqual(
      expect.objectContaining({
        object: 'StatefulSet shop/orphan',
        risk: 'it is not there (any more), so that nothing brings its pods back',
      }),
    );
  });

  test('strimzi/strimzi-kafka-operator#9482: pods that keep off each other and have no node left are told beforehand.', () => {
    const found = { object: 'Deployment shop/apart', risk: 'its pods find no node with room for them' };
    expect(plan.risks).toContainEqual(expect.objectContaining(found));
  });

  test('kubernetes/kubernetes#26080: pods that have ended block nothing, whoever has made them.', () => {
    const bare = unforced.blockers.filter(({ reason }) => reason.startsWith('No controller')).map(({ object }) => object);
    expect(bare).toEqual(['Pod/shop/bare']);
  });
});

describe('the plan of a drain', () => {
  test('14, 18: says of the only pod of any controller that it is down, under the name of what it belongs to.', () => {
    const down = plan.risks.filter(({ risk }) => risk.startsWith('it is down')).map(({ object }) => object);
    expect(down).toEqual(expect.arrayContaining(['ReplicaSet shop/lone', 'Rollout shop/ro']));
    expect(plan.effects).toContainEqual({ object: 'Rollout shop/ro', change: 'evict its only pod, within its budget' });
  });

  test('16: says that the work of a pod is lost which nobody may begin anew, and waits for those that end.', () => {
    const lost = plan.risks.filter(({ risk }) => risk.includes('done so far is lost')).map(({ object }) => object);
    expect(lost).toEqual(['EphemeralRunner shop/runner']);
    expect(plan.notes).toContain(
      'Workflow shop/flow: 1 of its pods are waited for until they end by themselves, and nobody knows how long that takes.',
    );
  });

  test('22: names the directories of the node in which pods keep data.', () => {
    expect(plan.risks).toContainEqual(
      expect.objectContaining({
        object: 'Deployment shop/registry',
        risk: 'what it keeps in directories of its node stays behind: /srv/registry',
      }),
    );
  });

  test('09: tells of a grace period of a week, and that the deadline of a node cuts it short.', () => {
    expect(plan.notes).toContain(
      'Queue shop/slow: its pods may take up to 7 days to end once they are asked to (their grace period), ' +
        'which is longer than the deadline of a node (60 minutes): then the drain stops and asks.',
    );
  });

  test('03, 04, 05, 07, more/04: is blocked by what never goes, and by nothing else.', () => {
    expect(plan.blockers.map(({ object, reason }) => `${object}: ${reason}`).sort()).toEqual([
      'Deployment shop/orders: A rollout cannot start its new pod before the old one ends: the volume of its claim orders is on one node ' +
        'at a time (ReadWriteOnce).',
      'PodDisruptionBudget/shop/bare: It allows 0 disruptions: none of its pods has a controller, so that its own controller expects 0 ' +
        'pods (kubernetes/kubernetes#70312).',
    ]);
    expect(plan.effects.map(({ object }) => object)).not.toContain('ReplicaSet shop/leaving');
  });
});

test('A drain measures how pods end, and names the workloads whose pods were killed at the end of their grace period.', async () => {
  const [other = ''] = (await demo.nodeNames()).filter((name) => name !== node);
  const drained = await demo.plan('kubernetes.drain', { nodes: [other] });
  expect(drained.notes).toContainEqual(
    expect.stringMatching(/^Deployment shop\/stubborn: 1 pod whose main process is a shell .* and they are killed after 2 s\./),
  );
  const { outputs, summary } = await demo.perform('kubernetes.drain', drained);
  expect(summary).toContain('killed at the end of their grace period: Deployment shop/stubborn (1 of 1, after 2 s)');
  expect(outputs.podEnds).toMatchObject([
    { workload: 'Deployment shop/stubborn', pods: 1, killed: 1, exitCodes: { 137: 1 }, graceSeconds: 2 },
    { workload: 'Deployment shop/apart', killed: 0 },
  ]);
});
