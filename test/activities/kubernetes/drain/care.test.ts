import { afterEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions, type V1Pod } from '@kubernetes/client-node';
import type { Progress } from '../../../../domain/action.ts';
import type { Manifest } from '../../../../sandbox/seed.ts';
import { budget, deployment, eventually, statefulSet, template } from '../../../sandbox/kubernetes-fixture.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import type { ProxiedRequest } from '../../../support/proxy.ts';

const drain = 'kubernetes.drain';
const asMerge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
let demo: TestCluster;
let names: string[];
const nameAt = (index: number): string => names[index] ?? '';

async function start(manifests: Manifest[], nodes = 3): Promise<void> {
  demo = await startCluster(worldWith(manifests, { nodes }));
  names = await demo.nodeNames();
}

afterEach(() => demo.stop());

async function podsOf(app: string): Promise<V1Pod[]> {
  return (await demo.pods()).filter(({ metadata }) => metadata?.labels?.app === app);
}

async function nodeOfOnly(app: string): Promise<string> {
  return eventually(`the pod of ${app} to be placed`, async () => (await podsOf(app))[0]?.spec?.nodeName);
}

async function podsOn(node: string): Promise<V1Pod[]> {
  return (await demo.pods()).filter(({ spec }) => spec?.nodeName === node);
}

const isReady = ({ status, metadata }: V1Pod): boolean =>
  metadata?.deletionTimestamp === undefined && (status?.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True');
const isEviction = ({ path }: ProxiedRequest): boolean => path.endsWith('/eviction');

/** A pod template with annotations, and with as much of the spec as is given. */
const marked = (name: string, annotations: Record<string, string>): object => {
  const { metadata, spec } = template(name) as { metadata: { annotations?: object }; spec: object };
  return { metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } }, spec };
};

describe('the only pod of a Deployment', () => {
  const fewestReadyOf = async (app: string, work: () => Promise<unknown>): Promise<number> => {
    let fewest = Infinity;
    const end = demo.cluster.store.onChange(({ resource }) => {
      if (resource !== 'pods') return;
      const pods = demo.cluster.store.inNamespace('pods', 'shop') as unknown as V1Pod[];
      fewest = Math.min(fewest, pods.filter((pod) => pod.metadata?.labels?.app === app && isReady(pod)).length);
    });
    await work();
    end();
    return fewest;
  };

  test('is down for a while where it is evicted, which the plan says.', async () => {
    await start([deployment('web', 1)]);
    const plan = await demo.plan(drain, { nodes: [await nodeOfOnly('web')] });
    expect(plan.facts.singletons).toEqual(['Deployment shop/web']);
    const change = 'evict its only pod, within its budget';
    expect(plan.effects).toContainEqual({ object: 'Deployment shop/web', change });
    expect(plan.risks).toContainEqual({
      object: 'Deployment shop/web',
      risk: 'it is down until its only pod is Ready elsewhere',
      remedy: 'Have its owner run a second pod, or plan with `singletons: surge`, which starts the new one first.',
    });
    expect(await fewestReadyOf('web', () => demo.perform(drain, plan))).toBe(0);
  });

  test('is replaced by a rollout without ever being down, where the plan says so; once, though it is performed twice.', async () => {
    await start([deployment('web', 1), budget('web', { minAvailable: 1 })]);
    const node = await nodeOfOnly('web');
    const plan = await demo.plan(drain, { nodes: [node], singletons: 'surge' });
    // The budget never allows an eviction, and is not asked.
    expect(plan.blockers).toEqual([]);
    const change = 'roll it out anew, so that its only pod is replaced before it ends';
    expect(plan.effects).toContainEqual({ object: 'Deployment shop/web', change });
    expect(await fewestReadyOf('web', () => demo.perform(drain, plan))).toBe(1);
    const generation = async (): Promise<number | undefined> =>
      (await demo.others.apps.readNamespacedDeployment({ namespace: 'shop', name: 'web' })).metadata?.generation;
    const once = await generation();
    await demo.perform(drain, plan);
    expect(await generation()).toBe(once);
    expect((await podsOn(node)).length).toBe(0);
    expect(demo.report().counters.evictionsGranted).toBe(0);
  });

  test('cannot be surged where its strategy does not allow for it: the plan says so.', async () => {
    await start([deployment('web', 1, { strategy: { type: 'Recreate' } })]);
    const { blockers } = await demo.plan(drain, { nodes: names, singletons: 'surge' });
    expect(blockers).toEqual([
      {
        object: 'Deployment shop/web',
        reason: 'A rollout cannot start its new pod before the old one ends: its strategy is Recreate.',
        remedy: 'Have its owner allow for it, or plan with `singletons: evict`, which takes it down for a while.',
      },
    ]);
  });

  test('goes only with a signature where it has become the only one since.', async () => {
    await start([deployment('web', 3)]);
    const plan = await demo.plan(drain, { nodes: names });
    const body = { spec: { replicas: 1 } };
    await demo.others.apps.patchNamespacedDeployment({ namespace: 'shop', name: 'web', body }, asMerge);
    await eventually('one pod to be left', async () => ((await podsOf('web')).length === 1 ? true : undefined));
    expect(await failureOf(demo.perform(drain, plan))).toMatchObject({ code: 'action-stuck' });
    expect(demo.report().counters.evictionsGranted).toBe(0);
  });
});

describe('a budget that does not open', () => {
  const shut = async (): Promise<void> => {
    const body = { spec: { maxUnavailable: 0 } };
    await demo.others.policy.patchNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web', body }, asMerge);
    await eventually('the budget to be shut', async () => {
      const { status } = await demo.others.policy.readNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
      return status?.desiredHealthy === 3 ? true : undefined;
    });
  };

  test('makes the step stuck after the deadline, with pod, budget and numbers, and nothing is deleted.', async () => {
    await start([deployment('web', 3), budget('web', { maxUnavailable: 1 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)], podDeadline: '1s' });
    await shut();
    const failure = await failureOf(demo.perform(drain, plan));
    expect(failure.code).toBe('action-stuck');
    const reason = 'PDB shop/web needs 3 healthy pods and has 3, and allows 0 disruptions until its owner changes that, past its deadline';
    expect(failure.message).toMatch(new RegExp(`^1 pod cannot go: shop/web-\\S+: ${reason}\\.$`));
    expect(await podsOf('web')).toHaveLength(3);
    expect(demo.report().violations).toEqual([]);
  });

  test('is passed over after the deadline only where the signed plan says so, and then the observer sees it.', async () => {
    await start([deployment('web', 3), budget('web', { maxUnavailable: 1 })]);
    const plan = await demo.plan(drain, { nodes: [nameAt(0)], podDeadline: '1s', onDeadline: 'delete' });
    const change =
      'evict its pods from these nodes, within its budget; ' +
      'after the deadline delete what is left, whatever keeps it (budget, mark, Job), with 30 s to end for what asks for longer, ' +
      'and by force where a node is not Ready';
    expect(plan.effects).toContainEqual({ object: 'Deployment shop/web', change });
    await shut();
    await demo.perform(drain, plan);
    expect(await podsOn(nameAt(0))).toEqual([]);
    expect(demo.report().violations.map(({ kind }) => kind)).toEqual(['budget-broken']);
  });
});

describe('what others have said about their pods and nodes', () => {
  test('a pod that must not be disturbed and never ends by itself blocks the plan.', async () => {
    await start([deployment('web', 1, { template: marked('web', { 'karpenter.sh/do-not-disrupt': 'true' }) })]);
    const [pod] = await podsOf('web');
    const { blockers } = await demo.plan(drain, { nodes: names });
    expect(blockers).toEqual([
      {
        object: 'Deployment shop/web',
        reason:
          '1 of its pods must not be disturbed (karpenter.sh/do-not-disrupt=true) and never end by themselves: ' +
          `shop/${pod?.metadata?.name ?? ''}.`,
        remedy: 'Have its owner take that mark away for the time of the maintenance, then plan again.',
      },
    ]);
  });

  test('a node that somebody else has cordoned blocks the plan, until it is said that it is drained all the same.', async () => {
    await start([]);
    await demo.others.core.patchNode({ name: nameAt(1), body: { spec: { unschedulable: true } } }, asMerge);
    const { blockers } = await demo.plan(drain, { nodes: names });
    expect(blockers).toEqual([
      {
        object: `Node/${nameAt(1)}`,
        reason: 'It is cordoned already, by hand or by another tool: somebody may be at work on it.',
        remedy: `Ask who has cordoned it; then lift that cordon (\`kubectl uncordon ${nameAt(1)}\`), or plan with \`alsoCordoned: true\`.`,
      },
    ]);
    expect((await demo.plan(drain, { nodes: names, alsoCordoned: true })).blockers).toEqual([]);
    expect((await demo.nodes()).filter(({ spec }) => spec?.unschedulable)).toHaveLength(1);
  });
});

describe('while watches break', () => {
  const cutAfterEachEviction = (alsoForget: boolean): void => {
    demo.proxy.treat = (request) => {
      if (isEviction(request)) {
        setImmediate(() => {
          if (alsoForget) demo.cluster.store.compact();
          demo.cluster.cutWatches();
        });
      }
      return 'pass';
    };
  };

  test.each([
    ['are cut', false],
    ['are cut and the server has forgotten where they were', true],
  ])('a drain whose watches %s goes on, each pod is evicted once, and no budget is broken.', async (_title, alsoForget) => {
    await start([deployment('web', 9), budget('web', { maxUnavailable: 1 }), statefulSet('db', 3), budget('db', { maxUnavailable: 1 })]);
    const nodes = names.slice(0, 2);
    const plan = await demo.plan(drain, { nodes, nodesAtOnce: 2 });
    cutAfterEachEviction(alsoForget);
    await demo.perform(drain, plan);
    for (const node of nodes) expect(await podsOn(node)).toEqual([]);
    expect(demo.report().counters.evictionsGranted).toBe(plan.details.pods);
    expect(demo.report().violations).toEqual([]);
  });
});

test('Why a webhook refuses an eviction is shown while the drain waits for it.', async () => {
  await start([deployment('web', 3)]);
  const message = 'admission webhook "guard.example.com" denied the request: the shop is open';
  let refusals = 0;
  demo.proxy.treat = (request) => {
    if (!isEviction(request) || (refusals += 1) > 1) return 'pass';
    const body = JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code: 403 });
    return { status: 403, headers: { 'content-type': 'application/json' }, body };
  };
  const seen: string[] = [];
  const onProgress = (progress?: Progress): void => void (progress && seen.push(progress.summary));
  await demo.perform(drain, await demo.plan(drain, { nodes: [nameAt(0)] }), { onProgress });
  expect(seen).toContain(`0 of 1 pods gone, 1 waiting: the API server refuses it for now: ${message}`);
});

test('A share of the nodes is rounded down, to one at least.', async () => {
  await start([], 5);
  const atOnce = async (nodesAtOnce: string, perZone = false): Promise<unknown> =>
    ((await demo.plan(drain, { nodes: names, nodesAtOnce, perZone })).facts.settings as { nodesAtOnce: number }).nodesAtOnce;
  expect([await atOnce('50%'), await atOnce('10%'), await atOnce('100%')]).toEqual([2, 1, 5]);
  // Two of its three zones have two nodes, one has one.
  expect([await atOnce('50%', true), await atOnce('100%', true)]).toEqual([1, 1]);
});
