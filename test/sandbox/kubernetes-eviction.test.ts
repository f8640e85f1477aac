import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Clock } from '../../sandbox/clock.ts';
import { demandOf } from '../../sandbox/kubernetes/controllers/disruption.ts';
import { ApiError } from '../../sandbox/kubernetes/errors.ts';
import { evictPod } from '../../sandbox/kubernetes/eviction.ts';
import type { PodDisruptionBudget } from '../../sandbox/kubernetes/objects.ts';
import { Store } from '../../sandbox/kubernetes/store.ts';
import type { Actor } from '../../sandbox/kubernetes/store.ts';
import { Random } from '../../sandbox/random.ts';
import { budget, deployment, startKubernetes, template, until } from './kubernetes-fixture.ts';
import type { KubernetesFixture, Reply } from './kubernetes-fixture.ts';

const namespace = 'shop';
/** Pods that take so long to end and to be Ready that a test can look at what is in between, however busy the machine is. */
const slowTemplate = {
  metadata: {
    labels: { app: 'slow' },
    annotations: { 'sandbox.holdpoint.dev/readiness-seconds': '400', 'sandbox.holdpoint.dev/shutdown-seconds': '400' },
  },
  spec: { terminationGracePeriodSeconds: 3600, containers: [{ name: 'main', image: 'registry.example.com/main:1' }] },
};

describe('over the wire', () => {
  let fixture: KubernetesFixture;

  beforeEach(async () => {
    fixture = await startKubernetes([
      deployment('web', 4),
      budget('web', { maxUnavailable: 1 }),
      deployment('slow', 4, { template: slowTemplate }),
      budget('slow', { maxUnavailable: 1 }),
      deployment('twice', 2),
      budget('one', { maxUnavailable: 1 }, 'twice'),
      budget('two', { maxUnavailable: 1 }, 'twice'),
      deployment('huge', 1, { template: template('huge', { cpu: '64' }) }),
      budget('huge', { maxUnavailable: 0 }),
    ]);
  });

  afterEach(() => fixture.stop());

  async function podsOf(app: string) {
    const { items } = await fixture.core.listNamespacedPod({ namespace, labelSelector: `app=${app}` });
    return items.map(({ metadata }) => ({ name: metadata?.name ?? '', uid: metadata?.uid ?? '' }));
  }

  function evict(name: string, extra: object = {}, query = ''): Promise<Reply> {
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace }, ...extra };
    return fixture.send('POST', `/api/v1/namespaces/${namespace}/pods/${name}/eviction${query}`, body);
  }

  const budgetOf = (name: string) => fixture.policy.readNamespacedPodDisruptionBudget({ name, namespace });

  test('a granted eviction marks the pod, spends the budget and is made up for', async () => {
    const [pod] = await podsOf('slow');
    const { status, body } = await evict(pod?.name ?? '');
    expect(status).toBe(201);
    expect(body).toEqual({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
    const marked = await fixture.core.readNamespacedPod({ name: pod?.name ?? '', namespace });
    expect(marked.metadata?.deletionTimestamp).toBeDefined();
    const condition = marked.status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
    expect(condition).toMatchObject({ status: 'True', reason: 'EvictionByEvictionAPI' });
    expect((await budgetOf('slow')).status).toMatchObject({ disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3, expectedPods: 4 });
    await until('the budget to open again', async () => (await budgetOf('slow')).status?.disruptionsAllowed === 1);
  });

  test('a spent budget is answered with 429, the numbers, and no Retry-After', async () => {
    const [first, second] = await podsOf('web');
    await evict(first?.name ?? '');
    const { status, headers, body } = await evict(second?.name ?? '');
    expect(status).toBe(429);
    expect(headers.get('retry-after')).toBeNull();
    expect(body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      reason: 'TooManyRequests',
      details: { causes: [{ reason: 'DisruptionBudget', message: 'The disruption budget web needs 3 healthy pods and has 3 currently' }] },
      code: 429,
    });
  });

  test('of many evictions at once a budget of one grants one', async () => {
    const replies = await Promise.all((await podsOf('web')).map(({ name }) => evict(name)));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 429, 429, 429]);
  });

  test('a pod under two budgets is refused with 500 and no reason but the message', async () => {
    const [pod] = await podsOf('twice');
    const { status, body } = await evict(pod?.name ?? '');
    expect(status).toBe(500);
    expect(body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      code: 500,
      message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    });
    expect((await fixture.core.readNamespacedPod({ name: pod?.name ?? '', namespace })).metadata?.deletionTimestamp).toBeUndefined();
  });

  test('the other UID is refused with 409, and as at the real server the budget is spent on it', async () => {
    const [pod] = await podsOf('web');
    const { status, body } = await evict(pod?.name ?? '', { deleteOptions: { preconditions: { uid: 'another' } } });
    expect([status, body.reason]).toEqual([409, 'Conflict']);
    expect((await budgetOf('web')).status?.disruptedPods).toHaveProperty(pod?.name ?? '');
    const restored = async () => (await budgetOf('web')).status?.disruptionsAllowed === 1;
    await until('the disruption controller to give it up after two minutes', restored);
  });

  test('a dry run neither evicts nor spends', async () => {
    const replies = await Promise.all((await podsOf('web')).map(({ name }) => evict(name, {}, '?dryRun=All')));
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    expect((await budgetOf('web')).status?.disruptionsAllowed).toBe(1);
  });

  test('a pod that never ran goes in spite of its budget', async () => {
    const [pod] = await podsOf('huge');
    expect((await evict(pod?.name ?? '')).status).toBe(201);
    await until('the pod to go', async () => (await podsOf('huge')).every(({ uid }) => uid !== pod?.uid));
  });

  test('the older version of the body is accepted and another name in it is not', async () => {
    const [pod] = await podsOf('web');
    expect((await evict(pod?.name ?? '', { metadata: { name: 'another' } })).status).toBe(400);
    expect((await evict(pod?.name ?? '', { apiVersion: 'policy/v1beta1' })).status).toBe(201);
  });

  test('no such pod is 404, and a namespace that is being deleted 403', async () => {
    expect((await evict('nobody')).status).toBe(404);
    const [pod] = await podsOf('web');
    const actor: Actor = { part: 'controller', name: 'test', verb: 'update' };
    fixture.sandbox.world.cluster('test')?.store.update('namespaces', '/shop', actor, ({ status }) => {
      status.phase = 'Terminating';
    });
    const { status, body } = await evict(pod?.name ?? '');
    expect([status, body.message]).toEqual([
      403,
      `pods "${pod?.name ?? ''}" is forbidden: unable to create new content in namespace shop because it is being terminated`,
    ]);
  });
});

describe('the rules', () => {
  const actor: Actor = { part: 'client', name: 'tester', verb: 'evict' };

  /** A pod and a budget as given, with no controller that could change them. */
  function still(
    pod: { ready: boolean; phase?: 'Running' | 'Succeeded' },
    status: Partial<PodDisruptionBudget['status']>,
    spec: object = {},
  ): Store {
    const store = new Store(new Clock(), new Random(1));
    store.create(
      'pods',
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web', namespace, labels: { app: 'web' } },
        spec: { nodeName: 'node', containers: [{ name: 'main', image: 'main' }] },
        status: { phase: pod.phase ?? 'Running', conditions: [{ type: 'Ready', status: pod.ready ? 'True' : 'False' }] },
      },
      actor,
    );
    store.create(
      'poddisruptionbudgets',
      {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'web', namespace },
        spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
        status: { currentHealthy: 3, desiredHealthy: 3, disruptionsAllowed: 0, expectedPods: 4, observedGeneration: 1, ...status },
      },
      actor,
    );
    return store;
  }

  function codeOf(store: Store): [number, string | undefined] {
    try {
      return [evictPod({ store, clock: new Clock() }, 'shop/web', {}, actor).code, undefined];
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return [error.status.code, error.status.details?.causes?.[0]?.message ?? error.status.message];
    }
  }

  const lagging = 'The disruption budget web is still being processed by the server.';
  const spent = (needs: number, has: number): string => `The disruption budget web needs ${needs} healthy pods and has ${has} currently`;
  const negative = 'poddisruptionbudget.policy "web" is forbidden: pdb disruptions allowed is negative';
  const tooMany =
    'poddisruptionbudget.policy "web" is forbidden: ' + 'DisruptedPods map too big - too many evictions not confirmed by PDB controller';
  const always = { unhealthyPodEvictionPolicy: 'AlwaysAllow' };
  const crowd = Object.fromEntries(Array.from({ length: 2001 }, (_, index) => [`pod-${index}`, '2026-01-01T00:00:00Z']));

  test.each([
    ['a ready pod under an open budget goes', { ready: true }, { disruptionsAllowed: 1 }, {}, 201, undefined],
    ['a ready pod under a spent budget stays', { ready: true }, {}, {}, 429, spent(3, 3)],
    ['a pod that has ended goes', { ready: false, phase: 'Succeeded' as const }, {}, {}, 201, undefined],
    ['an unready pod goes while the others suffice', { ready: false }, {}, {}, 201, undefined],
    ['an unready pod stays while the others do not suffice', { ready: false }, { currentHealthy: 2 }, {}, 429, spent(3, 2)],
    ['an unready pod stays where nothing is demanded', { ready: false }, { desiredHealthy: 0, currentHealthy: 0 }, {}, 429, spent(0, 0)],
    ['an unready pod goes under AlwaysAllow', { ready: false }, { currentHealthy: 0 }, always, 201, undefined],
    ['a ready pod stays under AlwaysAllow', { ready: true }, {}, always, 429, spent(3, 3)],
    ['a budget whose controller lags is waited for', { ready: true }, { disruptionsAllowed: 1, observedGeneration: 0 }, {}, 429, lagging],
    ['a negative budget is broken', { ready: true }, { disruptionsAllowed: -1 }, {}, 403, negative],
    ['too many unconfirmed evictions are refused', { ready: true }, { disruptionsAllowed: 1, disruptedPods: crowd }, {}, 403, tooMany],
  ])('%s', (_title, pod, status, spec, code, message) => {
    expect(codeOf(still(pod, status, spec))).toEqual([code, message]);
  });

  test('whoever waits for a lagging budget is told to come back in ten seconds', () => {
    const store = still({ ready: true }, { observedGeneration: 0 });
    expect(() => evictPod({ store, clock: new Clock() }, 'shop/web', {}, actor)).toThrow(
      expect.objectContaining({ status: expect.objectContaining({ details: expect.objectContaining({ retryAfterSeconds: 10 }) }) }),
    );
  });

  test('an unready pod goes without spending the budget', () => {
    const store = still({ ready: false }, { disruptionsAllowed: 1, currentHealthy: 4 });
    expect(codeOf(store)).toEqual([201, undefined]);
    expect(store.get('poddisruptionbudgets', namespace, 'web')?.status.disruptionsAllowed).toBe(1);
  });
});

describe('the arithmetic of budgets', () => {
  test.each([
    [{ minAvailable: 2 }, 5, 4, { expectedPods: 4, desiredHealthy: 2 }],
    [{ minAvailable: '50%' }, 7, 7, { expectedPods: 7, desiredHealthy: 4 }],
    [{ minAvailable: '0%' }, 7, 7, { expectedPods: 7, desiredHealthy: 0 }],
    [{ minAvailable: '100%' }, 7, 7, { expectedPods: 7, desiredHealthy: 7 }],
    [{ maxUnavailable: 1 }, 7, 5, { expectedPods: 7, desiredHealthy: 6 }],
    [{ maxUnavailable: 0 }, 7, 7, { expectedPods: 7, desiredHealthy: 7 }],
    [{ maxUnavailable: '30%' }, 7, 7, { expectedPods: 7, desiredHealthy: 4 }],
    [{ maxUnavailable: '100%' }, 7, 7, { expectedPods: 7, desiredHealthy: 0 }],
    [{ maxUnavailable: 9 }, 7, 7, { expectedPods: 7, desiredHealthy: 0 }],
    [{}, 7, 7, { expectedPods: 0, desiredHealthy: 0 }],
  ])('%j over a scale of %i with %i pods there', (spec, scale, pods, expected) => {
    expect(demandOf(spec, pods, () => scale)).toEqual(expected);
  });

  test('percentages never demand less than they say', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(500), (percent, scale) => {
        const { desiredHealthy } = demandOf({ minAvailable: `${percent}%` }, scale, () => scale);
        expect(desiredHealthy * 100).toBeGreaterThanOrEqual(percent * scale);
        expect((desiredHealthy - 1) * 100).toBeLessThan(percent * scale);
      }),
    );
  });
});
