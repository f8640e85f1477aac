import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions, type V1Pod } from '@kubernetes/client-node';
import type { Progress } from '../../../../domain/action.ts';
import type { ActionPlan } from '../../../../domain/plan/plan.ts';
import type { Manifest } from '../../../../sandbox/seed.ts';
import { demoWorld } from '../../../../sandbox/worlds/demo.ts';
import { budget, deployment, eventually, statefulSet, template } from '../../../sandbox/kubernetes-fixture.ts';
import { failureOf, replaceNode, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../../../support/proxy.ts';
import { takeBack, undoOf } from '../../../support/undo.ts';

const drain = 'kubernetes.drain';
/** Until a pod that comes counts as one that came though its node was cordoned, and a second, by the clock of the sandbox. */
const lateArrivalMs = 31_000;
const sandboxSpeed = 200;
/** So old a list of everything becomes before it is read anew beside its watch. */
const listAgeMs = 60_000;
/** For so long a watch says nothing. */
const silenceMs = 9_000;
let demo: TestCluster;
let names: string[];
/** What the first node of every world is called. */
const firstNode = 'ip-10-0-0-4.eu-central-1.compute.internal';
const nameAt = (index: number): string => names[index] ?? '';

async function start(manifests: Manifest[], nodes = 3): Promise<void> {
  demo = await startCluster(worldWith(manifests, { nodes }), { speed: sandboxSpeed });
  names = await demo.nodeNames();
}

afterEach(() => demo.stop());

const emptyDirTemplate = (name: string): object => {
  const { metadata, spec } = template(name) as { metadata: object; spec: object };
  return { metadata, spec: { ...spec, volumes: [{ name: 'scratch', emptyDir: {} }] } };
};

/** Its pods need so long to end. */
function slowTemplate(name: string, seconds: number): object {
  const { metadata, spec } = template(name) as { metadata: object; spec: object };
  const annotations = { 'sandbox.holdpoint.dev/shutdown-seconds': String(seconds) };
  return { metadata: { ...metadata, annotations }, spec: { ...spec, terminationGracePeriodSeconds: seconds } };
}

function barePod(name: string, nodeName: string, labels: Record<string, string> = {}): Manifest {
  const container = { name: 'main', image: 'registry.example.com/main:1' };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels }, spec: { nodeName, containers: [container] } };
}

async function podsOf(app: string): Promise<V1Pod[]> {
  return (await demo.pods()).filter(({ metadata }) => metadata?.labels?.app === app);
}

async function podNamesOn(node: string): Promise<string[]> {
  return (await demo.pods()).filter(({ spec }) => spec?.nodeName === node).map(({ metadata }) => metadata?.name ?? '');
}

const isEviction = ({ path }: ProxiedRequest): boolean => path.endsWith('/eviction');

function preconditionsOf({ body }: ProxiedRequest): unknown {
  const { deleteOptions } = JSON.parse(body) as { deleteOptions: { preconditions: object } };
  return deleteOptions.preconditions;
}

function evictionsGranted(): number {
  return demo.report().counters.evictionsGranted;
}

async function waitUntilRunning(name: string): Promise<V1Pod> {
  return eventually(`pod ${name} to run`, async () => {
    const pod = (await demo.pods()).find(({ metadata, status }) => metadata?.name === name && status?.phase === 'Running');
    return pod;
  });
}

describe('the plan of a drain', () => {
  test('names nodes, workloads and budgets as signed facts, counts pods in its details, and reads only.', async () => {
    await start([deployment('web', 6), budget('web', { maxUnavailable: 1 }), statefulSet('db', 3), budget('other', { minAvailable: 1 })]);
    const [node] = await demo.nodes();
    const plan = await demo.plan(drain, { nodes: [nameAt(0)], nodesAtOnce: 2 });
    const here = (await demo.pods()).filter(({ spec }) => spec?.nodeName === nameAt(0));
    expect(plan.effects).toEqual([
      {
        object: `Node/${nameAt(0)}`,
        change: 'cordon until the run ends: no new pods come to it, and load balancers send nothing to it once its turn comes',
        before: 'schedulable',
        after: 'unschedulable',
      },
      { object: 'Deployment shop/web', change: 'evict its pods from these nodes, within its budget' },
      { object: 'StatefulSet shop/db', change: 'evict its pods from these nodes, within its budget' },
    ]);
    expect(plan.facts).toEqual({
      nodes: [{ name: nameAt(0), uid: node?.metadata?.uid, schedulable: true }],
      settings: {
        nodesAtOnce: 2,
        perZone: false,
        singletons: 'evict',
        statefulSets: 'oneAtATime',
        jobs: 'wait',
        daemonSets: 'leave',
        gracePeriodSeconds: null,
        zeroBudgets: 'block',
        unschedulableLimitMs: 600_000,
        podDeadlineMs: null,
        nodeDeadlineMs: null,
        onDeadline: 'stuck',
      },
      workloads: ['Deployment shop/web', 'StatefulSet shop/db'],
      budgets: [{ name: 'shop/web', minAvailable: null, maxUnavailable: '1' }],
      named: [],
      dataLost: [],
      singletons: [],
      destinations: ['node group blue'],
      volumes: false,
    });
    expect(plan).toMatchObject({
      risks: [],
      blockers: [],
      notes: [],
      details: { pods: here.length, nodes: [nameAt(0)], podsByWorkload: { 'Deployment shop/web': 2, 'StatefulSet shop/db': 1 } },
      outputs: { nodes: [nameAt(0)], podsMoved: 3 },
    });
    // How long it lasts follows from how long the pods here have taken to start.
    expect(plan.estimateMs).toBeGreaterThan(1_000);
    const waves = plan.details.waves as { afterSeconds: number; pods: number; names: string[] }[];
    expect(waves.map(({ pods }) => pods)).toEqual([2, 1]);
    expect(waves[0]).toMatchObject({ afterSeconds: 0, names: expect.arrayContaining([expect.stringMatching(/^shop\/db-\d on ip-/)]) });
    const asksOnly = /^GET |^POST .*\/selfsubjectaccessreviews$/;
    expect(demo.proxy.requests.filter((request) => !asksOnly.test(request))).toEqual([]);
  });

  test('stays the same while pods are replaced by others of their workload.', async () => {
    await start([deployment('web', 6)]);
    const before = await demo.plan(drain, { nodes: names });
    const [pod] = await podsOf('web');
    await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: pod?.metadata?.name ?? '' });
    await eventually('the pod to be replaced', async () => {
      const pods = await podsOf('web');
      return pods.length === 6 && pods.every(({ metadata }) => metadata?.uid !== pod?.metadata?.uid) ? true : undefined;
    });
    const after = await demo.plan(drain, { nodes: names });
    expect({ effects: after.effects, facts: after.facts }).toEqual({ effects: before.effects, facts: before.facts });
  });

  test('tells of a budget that never opens, with its numbers and the remedy, before any node is cordoned.', async () => {
    await start([deployment('web', 3), budget('web', { minAvailable: 3 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    expect(plan.blockers).toEqual([
      {
        object: 'PodDisruptionBudget/shop/web',
        reason: 'It allows 0 disruptions: 3 of 3 pods must stay healthy.',
        remedy:
          'PodDisruptionBudget shop/web (minAvailable: 3) over Deployment shop/web demands 3 healthy of 3 pods. ' +
          'Have its owner run one more replica or demand one less, then plan again. ' +
          'Where a controller will allow it as the drain goes on, plan with `zeroBudgets: wait`.',
      },
    ]);
    expect((await demo.nodes()).some(({ spec }) => spec?.unschedulable)).toBe(false);
    expect(demo.report().counters.requests['PATCH nodes']).toBeUndefined();
  });

  test('is refused where pods are to be deleted after a deadline and there is none.', async () => {
    await start([]);
    expect(await failureOf(demo.plan(drain, { nodes: names, onDeadline: 'delete' }))).toMatchObject({
      code: 'action-input-invalid',
      message: expect.stringContaining('onDeadline: `delete` needs a podDeadline or a nodeDeadline'),
    });
  });

  test('tells of each pod that two budgets protect.', async () => {
    await start([deployment('web', 1), budget('one', { maxUnavailable: 1 }, 'web'), budget('two', { maxUnavailable: 1 }, 'web')]);
    const { blockers } = await demo.plan(drain, { nodes: names });
    const [pod] = await podsOf('web');
    expect(blockers).toContainEqual({
      object: `Pod/shop/${pod?.metadata?.name ?? ''}`,
      reason: 'Two budgets protect it, shop/one and shop/two: the API server evicts no such pod.',
      remedy: 'Have their owner change the selectors so that one budget covers each pod.',
    });
  });

  test('refuses pods that would be lost, unless the step says so: then it names each of them.', async () => {
    await start([deployment('cache', 1, { template: emptyDirTemplate('cache') }), barePod('debug', firstNode)]);
    const [cache] = await podsOf('cache');
    const cacheName = `shop/${cache?.metadata?.name ?? ''}`;
    const refused = await demo.plan(drain, { nodes: names });
    expect(refused.blockers).toEqual(
      expect.arrayContaining([
        {
          object: `Pod/${cacheName}`,
          reason: 'The data in its emptyDir volume is lost with it.',
          remedy: 'Save the data, or plan with `deleteEmptyDirData: true`, which names its workload in the plan.',
        },
        {
          object: 'Pod/shop/debug',
          reason: 'No controller brings it back once it is evicted.',
          remedy: 'Move it by hand, or plan with `force: true`, which names it in the plan.',
        },
      ]),
    );
    const allowed = await demo.plan(drain, { nodes: names, force: true, deleteEmptyDirData: true });
    expect(allowed.blockers).toEqual([]);
    expect(allowed.effects.at(-1)).toEqual({ object: 'Pod shop/debug', change: 'evict it, within its budget' });
    expect(allowed.risks).toMatchObject([
      { object: 'every workload on these nodes', risk: 'its pods find no node: there is none but those that are drained' },
      { object: 'Pod/shop/debug', risk: 'no controller brings it back' },
      { object: 'Deployment shop/cache', risk: 'the data in the emptyDir volumes of its pods is lost' },
      { object: 'Deployment shop/cache', risk: 'it is down until its only pod is Ready elsewhere' },
    ]);
    expect(refused.risks.map(({ risk }) => risk)).not.toContain('no controller brings it back');
    expect(allowed.facts.named).toEqual([
      { name: 'shop/debug', uid: (await demo.pods()).find(({ metadata }) => metadata?.name === 'debug')?.metadata?.uid },
    ]);
    expect(allowed.facts.dataLost).toEqual(['Deployment shop/cache']);
  });

  test('counts a node once though the input names it twice, so that no budget seems spent twice.', async () => {
    await start([deployment('web', 3), budget('web', { maxUnavailable: 2 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0), nameAt(0)] });
    expect(plan).toMatchObject({ details: { pods: 1 }, outputs: { nodes: [nameAt(0)], podsMoved: 1 } });
    expect(plan.facts.nodes).toHaveLength(1);
  });

  test('of no nodes, as a node group that is gone has none, is empty.', async () => {
    await start([deployment('web', 3), budget('web', { minAvailable: '100%' })]);
    const plan = await demo.plan(drain, { nodes: [] });
    expect(plan).toMatchObject({ effects: [], risks: [], blockers: [], details: { pods: 0 }, estimateMs: 0 });
    expect(await demo.perform(drain, plan)).toMatchObject({ before: 'done', acts: 0, outputs: { nodes: [], podsMoved: 0 } });
  });

  test('refuses nodes that do not exist, all of them by name.', async () => {
    await start([]);
    expect(await failureOf(demo.plan(drain, { nodes: ['perhaps', 'ip-10-9-9-9'] }))).toMatchObject({
      code: 'node-unknown',
      message: expect.stringContaining('The cluster demo has no node perhaps, ip-10-9-9-9.'),
    });
  });
});

describe('a drain', () => {
  test('moves all pods within their budget, by UID, and does nothing more when it is done again.', async () => {
    await start([deployment('web', 6), budget('web', { maxUnavailable: 1 }), statefulSet('db', 3), budget('db', { maxUnavailable: 1 })]);
    const uids = new Map((await demo.pods()).map(({ metadata }) => [metadata?.name, metadata?.uid]));
    const evicted: unknown[] = [];
    demo.proxy.treat = (request) => {
      if (isEviction(request)) evicted.push(JSON.parse(request.body));
      return 'pass';
    };
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    const performed = await demo.perform(drain, plan);
    expect(performed).toMatchObject({ before: 'todo', outputs: { nodes: [nameAt(0)], podsMoved: 3 }, summary: '3 of 3 pods gone' });
    expect(await podNamesOn(nameAt(0))).toEqual([]);
    expect(evicted.length).toBeGreaterThanOrEqual(3);
    for (const eviction of evicted) {
      const { metadata, deleteOptions } = eviction as { metadata: { name: string }; deleteOptions: { preconditions: { uid: string } } };
      expect(deleteOptions.preconditions.uid).toBe(uids.get(metadata.name));
    }
    const granted = evictionsGranted();
    expect(granted).toBe(3);
    await demo.act(drain, plan);
    expect(await demo.perform(drain, plan)).toMatchObject({ before: 'done', acts: 0, outputs: { podsMoved: 3 } });
    expect(evictionsGranted()).toBe(granted);
    expect(await demo.plan(drain, { nodes: [nameAt(0)] })).toMatchObject({ effects: [], risks: [], blockers: [], notes: [] });
    expect(demo.report().violations).toEqual([]);
  });

  test('is taken back by lifting its cordons, finished or not; the pods stay where they are.', async () => {
    await start([deployment('web', 3)]);
    const cordoned = async (): Promise<boolean> => (await demo.nodes()).some(({ spec }) => spec?.unschedulable);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    await demo.act(drain, plan);
    expect(await cordoned()).toBe(true);
    await takeBack(demo, drain, plan, await demo.observe(drain, plan));
    expect(await cordoned()).toBe(false);
    await demo.perform(drain, plan);
    const uids = await demo.uidsOf([nameAt(0)]);
    const uncordon = { uses: 'kubernetes.uncordon', with: { nodes: [nameAt(0)], uids, ignoreMissing: true } };
    expect(await undoOf(demo, drain, plan)).toEqual([uncordon]);
    await takeBack(demo, drain, plan);
    expect(await cordoned()).toBe(false);
    expect((await takeBack(demo, drain, plan)).effects).toEqual([]);
  });

  test('is taken back without the cordons that an earlier step of the run had set, and without nodes that are gone.', async () => {
    await start([deployment('web', 3)]);
    await demo.perform('kubernetes.cordon', await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] }));
    const again = await demo.plan(drain, { nodes: [nameAt(0)] });
    expect(await undoOf(demo, drain, again)).toEqual({ nothing: 'It cordons no node that was not cordoned before.' });
    const plan = await demo.plan(drain, { nodes: [nameAt(0), nameAt(1), nameAt(2)] });
    await demo.act(drain, plan);
    demo.cluster.removeNode(nameAt(1));
    const back = await takeBack(demo, drain, plan, await demo.observe(drain, plan));
    expect(back.notes).toEqual([`1 node no longer exists and needs nothing: ${nameAt(1)}.`]);
    expect((await demo.nodes()).map(({ spec }) => spec?.unschedulable ?? false)).toEqual([true, false]);
  });

  test('works on as many nodes at once as it was told, in the order given.', async () => {
    await start([deployment('web', 8)], 4);
    const order: string[] = [];
    const leftBehind: string[] = [];
    demo.proxy.treat = (request) => {
      if (!isEviction(request)) return 'pass';
      const name = /pods\/([^/]+)\//.exec(request.path)?.[1] ?? '';
      const node = demo.cluster.store.get('pods', 'shop', name)?.spec.nodeName ?? '';
      const before = order.at(-1);
      if (before === node) return 'pass';
      if (before !== undefined) leftBehind.push(...demo.cluster.podsOn(before).map((pod) => pod.name));
      order.push(node);
      return 'pass';
    };
    await demo.perform(drain, await demo.plan(drain, { nodes: [nameAt(1), nameAt(0)], nodesAtOnce: 1 }));
    expect(order).toEqual([nameAt(1), nameAt(0)]);
    expect(leftBehind).toEqual([]);
  });

  test('says of each node how far it is and why it waits.', async () => {
    await start([deployment('web', 4), budget('web', { maxUnavailable: 1 })], 4);
    const seen: Progress[] = [];
    const plan = await demo.plan(drain, { nodes: [nameAt(0), nameAt(1), nameAt(2)], nodesAtOnce: 2 });
    await demo.perform(drain, plan, { onProgress: (progress) => void (progress && seen.push(progress)) });
    const states = (progress?: Progress): string[] | undefined => progress?.items.map(({ state }) => state);
    expect(seen[0]).toMatchObject({ done: 0, total: 3, unit: 'pods' });
    expect(states(seen[0])).toEqual(['moving', 'blocked', 'waiting']);
    expect(seen[0]?.summary).toBe('0 of 3 pods gone, 1 waiting: PDB shop/web needs 3 healthy pods and has 4, 1 of them just evicted');
    expect(seen.at(-1)).toMatchObject({ summary: '3 of 3 pods gone', done: 3 });
    expect(states(seen.at(-1))).toEqual(['done', 'done', 'done']);
    expect(demo.report().violations).toEqual([]);
  });

  test.each([
    { title: 'as soon as a watch shows it', watchesNodes: true },
    { title: 'before it takes pods that come meanwhile for pods that come back, where its watch of nodes is behind', watchesNodes: false },
  ])('cordons again a node whose cordon somebody lifts meanwhile, $title; a cordon of somebody else stays.', async ({ watchesNodes }) => {
    await start([deployment('web', 6)]);
    const cordonByHand = (name: string, unschedulable: boolean | null): Promise<unknown> =>
      demo.others.core.patchNode(
        { name, body: { spec: { unschedulable } }, fieldManager: 'kubectl-cordon' },
        setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
      );
    await cordonByHand(nameAt(1), true);
    const plan = await demo.plan(drain, { nodes: [nameAt(0), nameAt(1)], alsoCordoned: true });
    const warning = `Node ${nameAt(1)} is cordoned already, by hand or another tool; this run leaves that cordon as it is.`;
    expect(plan.notes[0]).toBe(warning);
    let isLifted = false;
    let liftedAtMs = 0;
    let cordonedAfterMs: number | undefined;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      const { method, path } = request;
      if (isLifted && !watchesNodes && path.includes('/api/v1/nodes?') && path.includes('watch=true'))
        await wait(silenceMs, undefined, { ref: false });
      if (isLifted && method === 'PATCH' && path.includes(`/nodes/${nameAt(0)}`)) cordonedAfterMs ??= performance.now() - liftedAtMs;
      if (isEviction(request) && !isLifted) {
        isLifted = true;
        // By then the watch has shown the beginning of the drain; whatever comes later came though the node was cordoned, were it still so.
        await wait(lateArrivalMs / sandboxSpeed);
        if (!watchesNodes) demo.cluster.cutWatches();
        await cordonByHand(nameAt(0), null);
        liftedAtMs = performance.now();
      }
      return 'pass';
    };
    await demo.perform(drain, plan);
    // It does not wait until its own cordon would have to be seen.
    expect(cordonedAfterMs).toBeLessThan(5_000);
    const marks = (await demo.nodes()).map(({ spec, metadata }) => [
      spec?.unschedulable ?? false,
      metadata?.annotations?.['holdpoint.dev/cordon'],
    ]);
    expect(marks).toEqual([
      [true, 'r-1'],
      [true, undefined],
      [false, undefined],
    ]);
  });

  test('evicts finished pods too, and nothing of a DaemonSet.', async () => {
    const selector = { matchLabels: { app: 'agent' } };
    const agent = { ...deployment('agent', 0), kind: 'DaemonSet', spec: { selector, template: template('agent') } };
    await start([agent, barePod('done', firstNode)]);
    const body = [{ op: 'replace', path: '/status/phase', value: 'Succeeded' }];
    await demo.others.core.patchNamespacedPodStatus(
      { namespace: 'shop', name: 'done', body },
      setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
    );
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    expect(plan).toMatchObject({ risks: [], blockers: [], facts: { named: [] }, details: { pods: 0 } });
    await demo.perform(drain, plan);
    const left = await podNamesOn(nameAt(0));
    expect(left).toHaveLength(1);
    expect(left[0]).toMatch(/^agent-/);
  });
});

describe('while somebody else changes the world', () => {
  test('a replaced node of the same name is left alone, with its pods.', async () => {
    await start([deployment('web', 3)]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    replaceNode(demo, nameAt(0));
    await demo.others.core.createNamespacedPod({ namespace: 'shop', body: barePod('fresh', nameAt(0)) });
    const performed = await demo.perform(drain, plan);
    expect(performed).toMatchObject({ before: 'done', acts: 0 });
    expect(await podNamesOn(nameAt(0))).toContain('fresh');
    expect(evictionsGranted()).toBe(0);
  });

  test('pods of a controller that have come since are moved too.', async () => {
    await start([deployment('web', 3)]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    await demo.others.apps.patchNamespacedDeployment(
      { namespace: 'shop', name: 'web', body: { spec: { replicas: 9 } } },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    );
    await eventually('more pods on the node', async () => ((await podNamesOn(nameAt(0))).length > 1 ? true : undefined));
    await demo.perform(drain, plan);
    expect(await podNamesOn(nameAt(0))).toEqual([]);
  });

  test('a pod that would be lost and is not in the signed plan stays; everything else is moved first.', async () => {
    await start([deployment('web', 6), budget('web', { maxUnavailable: 1 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0), nameAt(1)], nodesAtOnce: 1 });
    // It even falls under the budget of the others, which it must not spend.
    await demo.others.core.createNamespacedPod({ namespace: 'shop', body: barePod('zz-debug', nameAt(0), { app: 'web' }) });
    await waitUntilRunning('zz-debug');
    expect(await failureOf(demo.perform(drain, plan))).toEqual({
      code: 'action-stuck',
      message: '1 pod that the plan does not name would be lost, lose data or take a workload down: shop/zz-debug.',
      remedy: 'Move or delete them by hand and try again, or have a new plan made that names them.',
    });
    expect(await podNamesOn(nameAt(0))).toEqual(['zz-debug']);
    expect(await podNamesOn(nameAt(1))).toEqual([]);
    await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: 'zz-debug' });
    expect(await demo.perform(drain, plan)).toMatchObject({ summary: '4 of 4 pods gone' });
  });

  test('a pod of the same name as a signed one, but another UID, is not the one that was signed.', async () => {
    await start([barePod('debug', firstNode)]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)], force: true });
    await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: 'debug', gracePeriodSeconds: 0 });
    await eventually('the pod to go', async () => ((await podNamesOn(nameAt(0))).length === 0 ? true : undefined));
    await demo.others.core.createNamespacedPod({ namespace: 'shop', body: barePod('debug', nameAt(0)) });
    await waitUntilRunning('debug');
    expect(await failureOf(demo.perform(drain, plan))).toMatchObject({
      code: 'action-stuck',
      message: '1 pod that the plan does not name would be lost, lose data or take a workload down: shop/debug.',
    });
    expect(await podNamesOn(nameAt(0))).toEqual(['debug']);
  });

  test('a StatefulSet pod that comes back under its name between the look and the eviction is not evicted for the old one.', async () => {
    await start([statefulSet('db', 1)]);
    const [old] = await podsOf('db');
    const node = old?.spec?.nodeName ?? '';
    const plan = await demo.plan(drain, { nodes: [node] });
    const others = names.filter((name) => name !== node);
    let swapped = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (!isEviction(request) || swapped) return 'pass';
      swapped = true;
      await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: 'db-0', gracePeriodSeconds: 0 });
      await eventually('the new db-0 to run', async () => {
        const [now] = await podsOf('db');
        return now?.metadata?.uid !== old?.metadata?.uid && now?.status?.phase === 'Running' ? true : undefined;
      });
      return 'pass';
    };
    await demo.perform(drain, plan);
    const [now] = await podsOf('db');
    expect(others).toContain(now?.spec?.nodeName);
    expect(demo.report().counters).toMatchObject({ evictionsGranted: 0, evictionsRefused: 1 });
  });
});

describe('answers to an eviction', () => {
  const status = (code: number, message: string): { status: number; headers: Record<string, string>; body: string } => ({
    status: code,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }),
  });

  test.each([
    { title: '404, the pod is gone', answer: status(404, 'pods "web" not found') },
    { title: '409, another pod has its name', answer: status(409, 'the UID in the precondition does not match') },
    { title: '429, the budget is spent', answer: status(429, 'Cannot evict pod as it would violate the pod’s disruption budget.') },
    { title: '403, an admission webhook denies it', answer: status(403, 'admission webhook "guard.example.com" denied the request: no') },
    { title: '403, its namespace is being deleted', answer: status(403, 'namespace shop is being terminated') },
  ])('After $title, the drain looks again and goes on.', async ({ answer }) => {
    await start([deployment('web', 3)]);
    demo.proxy.treat = once(isEviction, answer);
    const performed = await demo.perform(drain, await demo.plan(drain, { nodes: [nameAt(0)] }));
    expect(performed.acts).toBe(2);
    expect(evictionsGranted()).toBe(1);
  });

  test('Missing permission is told, with what to do.', async () => {
    await start([deployment('web', 3)]);
    const [pod] = (await demo.pods()).filter(({ spec }) => spec?.nodeName === nameAt(0));
    demo.proxy.treat = once(isEviction, status(403, 'pods "web" is forbidden: User "w" cannot create resource "pods/eviction"'));
    expect(await failureOf(demo.perform(drain, await demo.plan(drain, { nodes: [nameAt(0)] })))).toEqual({
      code: 'kubernetes-denied',
      message:
        `The Kubernetes API of demo refused evict pod shop/${pod?.metadata?.name ?? ''}: ` +
        'pods "web" is forbidden: User "w" cannot create resource "pods/eviction".',
      remedy: 'Let the user of the worker do this (RBAC; on EKS an access entry for its role), or renew its credentials; then try again.',
    });
  });

  test('A webhook that cannot be reached is asked ever less often, shown, and past the deadline a person has to look.', async () => {
    await start([deployment('web', 3)]);
    let asked = 0;
    demo.proxy.treat = (request) => {
      if (!isEviction(request)) return 'pass';
      asked += 1;
      return status(500, 'Internal error occurred: failed calling webhook "guard.example.com": connection refused');
    };
    const plan = await demo.plan(drain, { nodes: [nameAt(0)], podDeadline: '4s' });
    expect(await failureOf(demo.perform(drain, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/^1 pod cannot go: shop\/web-\S+: .*failed calling webhook .*, past its deadline\.$/),
    });
    // At once, once more, then after 2 and 4 seconds.
    expect(asked).toBeLessThanOrEqual(4);
    expect(evictionsGranted()).toBe(0);
  });

  test('A lost answer is followed by another look, not by another eviction.', async () => {
    await start([deployment('web', 3), budget('web', { maxUnavailable: 1 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    const lose = once(isEviction, 'lose-answer');
    const looks: string[] = [];
    demo.proxy.treat = (request) => {
      const { path } = request;
      if (evictionsGranted() > 0 && path.includes('/api/v1/pods?') && !path.includes('watch=true')) looks.push(path);
      return lose(request);
    };
    const begunAtMs = performance.now();
    const performed = await demo.perform(drain, plan);
    const listsDue = Math.floor((performance.now() - begunAtMs) / listAgeMs);
    expect(performed.passed).toEqual({ 'kubernetes-unreachable': 1 });
    expect(evictionsGranted()).toBe(1);
    expect(demo.report().violations).toEqual([]);
    // Of a large cluster all pods are a list of many seconds: it is the pods of the node that are looked at.
    const ofNode = looks.filter((path) => path.includes(`spec.nodeName%3D${nameAt(0)}`));
    expect(ofNode.length).toBeGreaterThan(0);
    // Beside that, what a machine that has stood still for a minute makes the list of a watch too old for.
    expect(looks.length - ofNode.length).toBeLessThanOrEqual(listsDue);
  });

  test('A lost request is made again, for the pod as it was seen only.', async () => {
    await start([deployment('web', 3)]);
    const [pod] = (await demo.pods()).filter(({ spec }) => spec?.nodeName === nameAt(0));
    const asked: unknown[] = [];
    const lose = once(isEviction, 'lose-request');
    demo.proxy.treat = (request) => {
      if (isEviction(request)) asked.push(preconditionsOf(request));
      return lose(request);
    };
    const performance = await demo.perform(drain, await demo.plan(drain, { nodes: [nameAt(0)] }));
    expect(performance.passed).toEqual({ 'kubernetes-unreachable': 1 });
    const { uid, resourceVersion } = pod?.metadata ?? {};
    expect(asked).toEqual([{ uid }, { uid, resourceVersion }]);
    expect(evictionsGranted()).toBe(1);
  });

  test('An eviction that nobody has seen is not done again, even where the server still shows the pod as it was.', async () => {
    await start([deployment('web', 3, { template: slowTemplate('web', 300) })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    const [pod] = (await demo.pods()).filter(({ spec }) => spec?.nodeName === nameAt(0));
    const before = JSON.stringify(await demo.others.core.listPodForAllNamespaces());
    let asked = 0;
    let lists = 0;
    const lose = once(isEviction, 'lose-answer');
    demo.proxy.treat = (request) => {
      const isOfPods = request.path.includes('/api/v1/pods?');
      if (isEviction(request)) asked += 1;
      // The watch that would show it does not come about, and the list after it is by a server that lags behind.
      if (isOfPods && asked < 2 && request.path.includes('watch=true')) return 'lose-request';
      if (isOfPods && evictionsGranted() > 0 && (lists += 1) === 1) return { status: 200, body: before };
      return lose(request);
    };
    await demo.perform(drain, plan);
    expect(demo.report().counters.evictionsRefused).toBe(1);
    expect(evictionsGranted()).toBe(1);
    expect((await demo.pods()).some(({ metadata }) => metadata?.uid === pod?.metadata?.uid)).toBe(false);
    expect(demo.report().violations).toEqual([]);
  });

  test('Under one budget the API server is asked for one pod at a time, under several and without any for many.', async () => {
    const some = { maxUnavailable: 3 };
    await start([deployment('web', 6), deployment('api', 6), deployment('free', 6), budget('web', some), budget('api', some)], 2);
    const nodes = [nameAt(0)];
    const here = (await demo.pods()).filter(({ spec }) => spec?.nodeName === nameAt(0)).map(({ metadata }) => metadata?.labels?.app);
    expect(['api', 'free', 'web'].map((app) => here.filter((other) => other === app).length)).toEqual([3, 3, 3]);
    const inHand: string[] = [];
    const most: Record<string, number> = {};
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (!isEviction(request)) return 'pass';
      const app = /pods\/(\w+)-/.exec(request.path)?.[1] ?? '';
      inHand.push(app);
      most[app] = Math.max(most[app] ?? 0, inHand.filter((other) => other === app).length);
      most.all = Math.max(most.all ?? 0, inHand.length);
      await wait(100);
      inHand.splice(inHand.indexOf(app), 1);
      return 'pass';
    };
    await demo.perform(drain, await demo.plan(drain, { nodes }));
    expect(most).toEqual({ web: 1, api: 1, free: 3, all: 5 });
    expect(evictionsGranted()).toBe(9);
  });

  test('A drain that takes up another one evicts pods only as it sees them: the other may have asked already.', async () => {
    await start([deployment('web', 3)]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)] });
    demo.proxy.treat = (request) => (isEviction(request) ? status(403, 'pods "web" is forbidden') : 'pass');
    await failureOf(demo.perform(drain, plan));
    const asked: unknown[] = [];
    demo.proxy.treat = (request) => {
      if (isEviction(request)) asked.push(preconditionsOf(request));
      return 'pass';
    };
    await demo.perform(drain, plan);
    expect(asked).toEqual([{ uid: expect.any(String), resourceVersion: expect.any(String) }]);
  });
});

test('All workloads of the demo world move to new nodes and no budget is broken.', async () => {
  demo = await startCluster(demoWorld);
  const create = await demo.plan('eks.createNodegroup', { name: 'green', like: 'blue' });
  await demo.perform('eks.createNodegroup', create);
  const blue = (await demo.nodes()).filter(({ metadata }) => metadata?.labels?.['eks.amazonaws.com/nodegroup'] === 'blue');
  const nodes = blue.map(({ metadata }) => metadata?.name ?? '');
  const plan: ActionPlan = await demo.plan(drain, { nodes, nodesAtOnce: 3 });
  expect(plan.blockers).toEqual([]);
  const performed = await demo.perform(drain, plan);
  expect(performed.outputs).toMatchObject({ nodes, podsMoved: plan.details.pods });
  const report = demo.report();
  expect(report.violations).toEqual([]);
  expect(report.counters.evictionsGranted).toBe(plan.details.pods);
  const left = (await demo.pods()).filter(({ spec }) => nodes.includes(spec?.nodeName ?? ''));
  expect(left.every(({ metadata }) => metadata?.ownerReferences?.[0]?.kind === 'DaemonSet')).toBe(true);
});
