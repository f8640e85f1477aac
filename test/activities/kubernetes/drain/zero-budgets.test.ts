import { afterEach, describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../../domain/json.ts';
import type { Manifest } from '../../../../sandbox/seed.ts';
import { budget, deployment, eventually } from '../../../sandbox/kubernetes-fixture.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import type { ProxiedRequest, Treatment } from '../../../support/proxy.ts';

const drain = 'kubernetes.drain';
let demo: TestCluster;
let node: string;

afterEach(() => demo.stop());

/** A pod that an operator has made: nothing of Kubernetes itself brings it back. */
function broker(index: number, nodeName: string): Manifest {
  const owner = { apiVersion: 'kafka.example.com/v1', kind: 'Broker', name: 'events', uid: 'b-1', controller: true };
  const container = { name: 'main', image: 'registry.example.com/broker:1' };
  const metadata = { name: `broker-${index}`, namespace: 'shop', labels: { app: 'broker' }, ownerReferences: [owner] };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName, containers: [container] } };
}

/** Three brokers, of which two are on the node to drain, under a budget that demands all of them; and a Deployment. */
async function startBrokers(): Promise<void> {
  const names = await namesOfNodes();
  const place = (index: number): string => names[index] ?? '';
  demo = await startCluster(
    worldWith(
      [broker(0, place(0)), broker(1, place(0)), broker(2, place(1)), budget('broker', { minAvailable: 3 }), deployment('web', 3)],
      { nodes: 3 },
    ),
  );
  node = place(0);
  await eventually('the budget to be counted', async () => {
    const { status } = await demo.others.policy.readNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'broker' });
    return status?.expectedPods === 3 && status.currentHealthy === 3 ? true : undefined;
  });
}

async function namesOfNodes(): Promise<string[]> {
  demo = await startCluster(worldWith([], { nodes: 3 }));
  const names = await demo.nodeNames();
  await demo.stop();
  return names;
}

const isEviction = ({ path }: ProxiedRequest): boolean => path.endsWith('/eviction');
const takeBudgetAway = (): Promise<unknown> =>
  demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'broker' });
const podsLeft = async (): Promise<string[]> =>
  (await demo.pods()).filter(({ spec }) => spec?.nodeName === node).map(({ metadata }) => metadata?.name ?? '');
const attempts = (): number => demo.proxy.requests.filter((request) => /broker-\d\/eviction$/.test(request)).length;

describe('a PDB that allows 0 disruptions, of an operator', () => {
  test('is a risk that says who changes it, and no blocker; nobody is told twice.', async () => {
    await startBrokers();
    const plan = await demo.plan(drain, { nodes: [node] });
    expect(plan.blockers).toEqual([]);
    expect(plan.risks).toEqual([
      {
        object: 'PodDisruptionBudget/shop/broker',
        risk: 'it allows 0 disruptions until Broker shop/events changes that',
        detail:
          'It allows 0 disruptions: 3 of 3 pods must stay healthy. Its pods here (2) are asked for again after 1, 2, 4 … 30 s, and go as ' +
          'soon as it allows it; all others go meanwhile.',
        remedy: 'Plan with a `podDeadline`, so that the drain does not wait for ever where nothing changes.',
      },
    ]);
    expect(plan.notes.filter((note) => note.includes('do not go'))).toEqual([]);
  });

  test.each<[string, (request: ProxiedRequest) => Promise<boolean>]>([
    ['when it sees the cordon', async () => demo.cluster.store.get('nodes', '', node)?.spec.unschedulable === true],
    ['when it hears that a pod is asked for', async (request) => isEviction(request) && request.path.includes('broker')],
    ['when the other pods have gone', async () => attempts() > 0 && (await podsLeft()).every((name) => name.startsWith('broker'))],
  ])('lets go %s.', async (_title, opens) => {
    await startBrokers();
    const plan = await demo.plan(drain, { nodes: [node] });
    let isOpen = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (!isOpen && (await opens(request))) {
        isOpen = true;
        await takeBudgetAway();
      }
      return 'pass';
    };
    const { summary } = await demo.perform(drain, plan);
    expect(summary).toMatch(/^(\d+) of \1 pods gone$/);
    expect(await podsLeft()).toEqual([]);
    expect(demo.report().violations).toEqual([]);
  });

  test('is not asked without end: the deadline applies, the others have gone by then, and nothing is forced.', async () => {
    await startBrokers();
    const plan = await demo.plan(drain, { nodes: [node], podDeadline: '4s' });
    const failure = await failureOf(demo.perform(drain, plan));
    expect(failure).toMatchObject({ code: 'action-stuck' });
    expect(failure.message).toContain('allows 0 disruptions until Broker shop/events changes that, past its deadline');
    expect((await podsLeft()).toSorted()).toEqual(['broker-0', 'broker-1']);
    // After 1 s, 2 s and 4 s for each of the two.
    expect(attempts()).toBeGreaterThan(1);
    expect(attempts()).toBeLessThan(10);
    expect(demo.report().violations).toEqual([]);
  });
});

describe('a PDB that allows 0 disruptions, of anybody else', () => {
  const startWeb = async (): Promise<void> => {
    demo = await startCluster(worldWith([deployment('web', 3), budget('web', { minAvailable: 3 })], { nodes: 3 }));
    node = await eventually('a pod', async () => (await demo.pods())[0]?.spec?.nodeName);
  };
  const planWith = (settings: JsonObject) => demo.plan(drain, { nodes: [node], ...settings });

  test('blocks, unless the input says that it is waited for; then its pods go when it allows it.', async () => {
    await startWeb();
    expect((await planWith({})).blockers).toMatchObject([{ object: 'PodDisruptionBudget/shop/web' }]);
    const plan = await planWith({ zeroBudgets: 'wait' });
    expect(plan.blockers).toEqual([]);
    expect(plan.risks).toContainEqual(
      expect.objectContaining({
        object: 'PodDisruptionBudget/shop/web',
        risk: 'it allows 0 disruptions until its owner changes that',
      }),
    );
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (isEviction(request)) {
        demo.proxy.treat = () => 'pass';
        await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
      }
      return 'pass';
    };
    await demo.perform(drain, plan);
    expect(await podsLeft()).toEqual([]);
  });
});

describe('an eviction that admission denies', () => {
  const status = (code: number, message: string): Treatment => ({
    status: code,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }),
  });
  const webhook = 'admission webhook "drain-cleaner.example.com" denied the request: its operator rolls the pod by itself';
  const policy = `pods "web" is forbidden: ValidatingAdmissionPolicy 'no-evictions' with binding 'shop' denied request: not at noon`;

  test.each([
    [500, webhook],
    [404, webhook],
    [409, webhook],
    [422, policy],
  ])('with code %i is waited out with its words, and the pod goes when it changes its mind.', async (code, message) => {
    demo = await startCluster(worldWith([deployment('web', 1)], { nodes: 3 }));
    node = await eventually('a pod', async () => (await demo.pods())[0]?.spec?.nodeName);
    const plan = await demo.plan(drain, { nodes: [node] });
    let denials = 0;
    demo.proxy.treat = (request) => (isEviction(request) && (denials += 1) === 1 ? status(code, message) : 'pass');
    const seen: string[] = [];
    const { passed } = await demo.perform(drain, plan, { onProgress: (progress) => seen.push(progress?.summary ?? '') });
    expect(passed).toEqual({});
    expect(seen.join('\n')).toContain(`the API server refuses it for now: ${message}`);
    expect(await podsLeft()).toEqual([]);
  });
});
