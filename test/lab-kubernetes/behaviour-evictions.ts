import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { isReady, mergePatch, never, Place, podTemplate, until, type KubernetesWorld, type PodSeen } from './world.ts';

/** What budgets come to and how evictions are answered: the same at every API server. */
export function describeEvictions(world: () => KubernetesWorld): void {
  let place: Place;

  beforeEach(async () => {
    place = await Place.create(world().door);
  });

  afterEach(() => place.leave());

  const nameOf = (pod: PodSeen | undefined): string => pod?.metadata.name ?? '';

  describe('evictions', () => {
    const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
    const refused = "Cannot evict pod as it would violate the pod's disruption budget.";

    test('a pod without a budget goes', async () => {
      const [pod] = await place.workload('web', 1, { shutdownSeconds: never });
      const { status, body } = await place.evict(nameOf(pod));
      expect([status, body]).toEqual([201, success]);
      expect((await place.pod(nameOf(pod)))?.metadata.deletionTimestamp).toBeDefined();
    });

    test('a granted eviction marks the pod and spends the budget until the pod has been made up for', async () => {
      const [pod] = await place.workload('web', 4, { shutdownSeconds: never, readinessSeconds: 1 });
      await place.budget('web', { maxUnavailable: 1 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      const { status, body } = await place.evict(nameOf(pod));
      expect([status, body]).toEqual([201, success]);
      const marked = await place.pod(nameOf(pod));
      expect(marked?.metadata.deletionTimestamp).toBeDefined();
      const target = marked?.status.conditions?.find(({ type }) => type === 'DisruptionTarget');
      expect(target).toMatchObject({ status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' });
      expect(await place.budgetStatus('web')).toMatchObject({ disruptionsAllowed: 0, desiredHealthy: 3 });
      const open = await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      expect(open).toMatchObject({ currentHealthy: 4, desiredHealthy: 3, expectedPods: 4 });
      expect(open.disruptedPods ?? {}).toEqual({});
    });

    test('a spent budget is answered with 429, the numbers, and no Retry-After', async () => {
      const [first, second] = await place.workload('web', 3, { readinessSeconds: 1, shutdownSeconds: never });
      await place.budget('web', { minAvailable: 3 });
      const { status, headers, body } = await place.evict(nameOf(second));
      expect(status).toBe(429);
      expect(headers['retry-after']).toBeUndefined();
      expect(body).toEqual({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: refused,
        reason: 'TooManyRequests',
        details: {
          causes: [{ reason: 'DisruptionBudget', message: 'The disruption budget web needs 3 healthy pods and has 3 currently' }],
        },
        code: 429,
      });
      expect((await place.pod(nameOf(first)))?.metadata.deletionTimestamp).toBeUndefined();
    });

    test('of many evictions at once a budget of one grants one', async () => {
      const seen = await place.workload('web', 6, { shutdownSeconds: never, readinessSeconds: 20 });
      await place.budget('web', { maxUnavailable: 1 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      const answers = await Promise.all(seen.map((pod) => place.evict(nameOf(pod))));
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 429, 429, 429, 429, 429]);
    });

    test('a pod under two budgets is refused with 500 and no reason but the message', async () => {
      const [pod] = await place.workload('web', 2);
      await place.budget('one', { maxUnavailable: 1 }, 'web');
      await place.budget('two', { maxUnavailable: 1 }, 'web');
      const { status, body } = await place.evict(nameOf(pod));
      expect([status, body]).toEqual([
        500,
        {
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Failure',
          message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
          code: 500,
        },
      ]);
      expect((await place.pod(nameOf(pod)))?.metadata.deletionTimestamp).toBeUndefined();
    });

    test('the other UID is refused with 409, as is an old version, and the pod stays', async () => {
      const [pod] = await place.workload('web', 1);
      const { body } = await place.evict(nameOf(pod), { deleteOptions: { preconditions: { uid: 'another' } } });
      expect(body).toMatchObject({ code: 409, reason: 'Conflict' });
      const old = await place.evict(nameOf(pod), { deleteOptions: { preconditions: { resourceVersion: '1' } } });
      expect(old.body).toMatchObject({ code: 409, reason: 'Conflict' });
      expect((await place.pod(nameOf(pod)))?.metadata.deletionTimestamp).toBeUndefined();
      const right = await place.evict(nameOf(pod), { deleteOptions: { preconditions: { uid: pod?.metadata.uid } } });
      expect(right.status).toBe(201);
    });

    test('the other UID is refused with 409 under a budget too, which is spent on it all the same', async () => {
      const [pod] = await place.workload('web', 3);
      await place.budget('web', { maxUnavailable: 1 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      const { body } = await place.evict(nameOf(pod), { deleteOptions: { preconditions: { uid: 'another' } } });
      expect(body).toMatchObject({ code: 409, reason: 'Conflict' });
      expect((await place.budgetStatus('web')).disruptedPods).toHaveProperty(nameOf(pod));
    });

    test('a dry run neither evicts nor spends', async () => {
      const seen = await place.workload('web', 3);
      await place.budget('web', { maxUnavailable: 1 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      const answers = [
        await place.evict(nameOf(seen[0]), {}, '?dryRun=All'),
        await place.evict(nameOf(seen[1]), { deleteOptions: { dryRun: ['All'] } }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([201, 201]);
      expect((await place.budgetStatus('web')).disruptionsAllowed).toBe(1);
      expect((await place.pods('web')).map(({ metadata }) => metadata.deletionTimestamp)).toEqual([undefined, undefined, undefined]);
    });

    test('a dry run is refused where the eviction would be', async () => {
      const [pod] = await place.workload('web', 2);
      await place.budget('web', { minAvailable: 2 });
      expect((await place.evict(nameOf(pod), {}, '?dryRun=All')).status).toBe(429);
    });

    test('a pod that was never placed goes in spite of its budget', async () => {
      const [pod] = await place.workload('web', 1, { huge: true });
      await place.budget('web', { minAvailable: 1 });
      expect((await place.evict(nameOf(pod))).status).toBe(201);
      await place.podsWhen('another pod', 'web', (seen) => seen.every(({ metadata }) => metadata.uid !== pod?.metadata.uid));
    });

    test('a pod that is going already may be evicted again in spite of its budget', async () => {
      const [pod] = await place.workload('web', 2, { shutdownSeconds: never });
      await place.budget('web', { minAvailable: 2 });
      await place.send('DELETE', `${place.podsPath}/${nameOf(pod)}`);
      expect((await place.evict(nameOf(pod))).status).toBe(201);
    });

    test('a pod that is going already is not evicted again as it was before', async () => {
      const [pod] = await place.workload('web', 3, { shutdownSeconds: never });
      await place.budget('web', { maxUnavailable: 1 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      const { uid, resourceVersion } = pod?.metadata ?? {};
      const asSeen = { deleteOptions: { preconditions: { uid, resourceVersion } } };
      expect((await place.evict(nameOf(pod), asSeen)).status).toBe(201);
      const { status, body } = await place.evict(nameOf(pod), asSeen);
      expect([status, body.reason]).toEqual([409, 'Conflict']);
    });

    test('a pod that has ended goes in spite of its budget', async () => {
      await place.barePod('one');
      await place.budget('one', { minAvailable: 1 });
      const ended = await place.send('PATCH', `${place.podsPath}/one/status`, { status: { phase: 'Succeeded' } }, mergePatch);
      expect(ended.status).toBe(200);
      expect((await place.evict('one')).status).toBe(201);
      await until('the pod to go', async () => (await place.pod('one')) === undefined);
    });

    test.each([
      ['the default', undefined, 2, 429],
      ['IfHealthyBudget', 'IfHealthyBudget', 2, 429],
      ['AlwaysAllow', 'AlwaysAllow', 2, 201],
      ['the default while the others suffice', undefined, 0, 429],
    ])('under %s, a pod that runs and is not Ready is answered as it must be (%s, %d needed: %d)', async (_what, policy, needed, code) => {
      const [pod] = await place.workload('web', 2, { readinessSeconds: never });
      await place.budget('web', { minAvailable: needed, ...(policy === undefined ? {} : { unhealthyPodEvictionPolicy: policy }) });
      expect((await place.evict(nameOf(pod))).status).toBe(code);
    });

    test('a pod that is not Ready goes without spending the budget while the Ready ones suffice', async () => {
      const ready = await place.workload('web', 2);
      const sick = await place.barePod('web-sick').then(async (pod) => {
        await place.send('PATCH', `${place.podsPath}/web-sick`, { metadata: { labels: { app: 'web' } } }, mergePatch);
        return pod;
      });
      await place.budget('web', { minAvailable: 2 });
      // Three Ready pods and two needed: one may go. Then one of the three turns sick for good.
      await place.budgetWhen('web', ({ currentHealthy }) => currentHealthy === 3);
      const slow = { metadata: { annotations: { 'sandbox.holdpoint.dev/readiness-seconds': String(never) } } };
      await place.send('PATCH', `${place.podsPath}/${nameOf(sick)}`, slow, mergePatch);
      const conditions = [{ type: 'Ready', status: 'False' }];
      const type = 'application/strategic-merge-patch+json';
      await place.send('PATCH', `${place.podsPath}/${nameOf(sick)}/status`, { status: { conditions } }, type);
      await place.budgetWhen('web', ({ currentHealthy, disruptionsAllowed }) => currentHealthy === 2 && disruptionsAllowed === 0);
      expect((await place.evict(nameOf(ready[0]))).status).toBe(429);
      expect((await place.evict(nameOf(sick))).status).toBe(201);
      expect(await place.budgetStatus('web')).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 0 });
    });

    test('the older version of the body is accepted, another name in it is not, and no such pod is 404', async () => {
      const [first, second] = await place.workload('web', 2);
      const other = await place.evict(nameOf(first), { metadata: { name: 'another' } });
      expect(other.body).toMatchObject({ code: 400, reason: 'BadRequest' });
      expect((await place.evict(nameOf(second), { apiVersion: 'policy/v1beta1' })).status).toBe(201);
      expect((await place.evict('nobody')).body).toMatchObject({ code: 404, message: 'pods "nobody" not found' });
    });

    test('in a namespace that is being deleted evictions are refused with 403', async () => {
      const [pod] = await place.workload('web', 1, { shutdownSeconds: never });
      await place.send('DELETE', `/api/v1/namespaces/${place.namespace}`);
      await until('the namespace to be going', async () => {
        const { body } = await place.send('GET', `/api/v1/namespaces/${place.namespace}`);
        return (body.status as { phase?: string }).phase === 'Terminating';
      });
      const { status, body } = await place.evict(nameOf(pod));
      expect([status, body.reason]).toEqual([403, 'Forbidden']);
      expect(body.message).toContain(`unable to create new content in namespace ${place.namespace} because it is being terminated`);
      await place.send('DELETE', `${place.podsPath}/${nameOf(pod)}?gracePeriodSeconds=0`);
    });

    test('a StatefulSet gives a pod that was evicted its name again, under another UID, when it is gone', async () => {
      const [pod] = await place.workload('db', 2, { kind: 'StatefulSet' });
      await place.evict('db-0', { deleteOptions: { preconditions: { uid: pod?.metadata.uid } } });
      await place.podsWhen('another db-0', 'db', (seen) =>
        seen.some(
          ({ metadata, ...rest }) => metadata.name === 'db-0' && metadata.uid !== pod?.metadata.uid && isReady({ metadata, ...rest }),
        ),
      );
    });
  });

  describe('budgets', () => {
    test.each([
      [{ minAvailable: 2 }, { expectedPods: 5, desiredHealthy: 2, disruptionsAllowed: 3 }],
      [{ minAvailable: 9 }, { expectedPods: 5, desiredHealthy: 9, disruptionsAllowed: 0 }],
      [{ minAvailable: '50%' }, { expectedPods: 5, desiredHealthy: 3, disruptionsAllowed: 2 }],
      [{ minAvailable: '0%' }, { expectedPods: 5, desiredHealthy: 0, disruptionsAllowed: 5 }],
      [{ minAvailable: '100%' }, { expectedPods: 5, desiredHealthy: 5, disruptionsAllowed: 0 }],
      [{ minAvailable: '1%' }, { expectedPods: 5, desiredHealthy: 1, disruptionsAllowed: 4 }],
      [{ maxUnavailable: 1 }, { expectedPods: 5, desiredHealthy: 4, disruptionsAllowed: 1 }],
      [{ maxUnavailable: 0 }, { expectedPods: 5, desiredHealthy: 5, disruptionsAllowed: 0 }],
      [{ maxUnavailable: 9 }, { expectedPods: 5, desiredHealthy: 0, disruptionsAllowed: 5 }],
      [{ maxUnavailable: '30%' }, { expectedPods: 5, desiredHealthy: 3, disruptionsAllowed: 2 }],
      [{ maxUnavailable: '1%' }, { expectedPods: 5, desiredHealthy: 4, disruptionsAllowed: 1 }],
      [{ maxUnavailable: '100%' }, { expectedPods: 5, desiredHealthy: 0, disruptionsAllowed: 5 }],
    ])('%j over five Ready pods', async (rules, expected) => {
      await place.workload('web', 5);
      await place.budget('web', rules);
      const status = await place.budgetWhen('web', ({ currentHealthy }) => currentHealthy === 5);
      expect(status).toMatchObject({ ...expected, currentHealthy: 5 });
      const allowed = expected.disruptionsAllowed > 0;
      expect(status.conditions).toEqual([
        expect.objectContaining({
          type: 'DisruptionAllowed',
          status: allowed ? 'True' : 'False',
          reason: allowed ? 'SufficientPods' : 'InsufficientPods',
          message: '',
        }),
      ]);
    });

    test('percentages go by what the workload wants to have, not by what is there', async () => {
      await place.workload('web', 2);
      await place.send('PATCH', place.workloadPath('web'), { spec: { replicas: 4 } }, mergePatch);
      await place.budget('web', { minAvailable: '50%' });
      const status = await place.budgetWhen('web', ({ currentHealthy }) => currentHealthy === 4);
      expect(status).toMatchObject({ expectedPods: 4, desiredHealthy: 2, disruptionsAllowed: 2 });
    });

    test('a pod that is going does not count as healthy, and one that is not Ready neither', async () => {
      const [pod] = await place.workload('web', 3, { shutdownSeconds: never });
      await place.budget('web', { maxUnavailable: 3 });
      await place.budgetWhen('web', ({ currentHealthy }) => currentHealthy === 3);
      await place.send('PATCH', place.workloadPath('web'), { spec: { replicas: 2 } }, mergePatch);
      await place.budgetWhen('web', ({ currentHealthy, expectedPods }) => currentHealthy === 2 && expectedPods === 2);
      expect(pod).toBeDefined();
    });

    test.each([
      ['an empty selector', {}, 3],
      ['an expression', { matchExpressions: [{ key: 'app', operator: 'Exists' }] }, 3],
      ['one that fits nothing', { matchLabels: { app: 'nobody' } }, 0],
    ])('a budget with %s covers as many pods as it must', async (_what, selector, covered) => {
      const [pod] = await place.workload('web', 3);
      await place.budget('all', { minAvailable: 3, selector });
      const status = await place.budgetWhen('all', ({ currentHealthy }) => currentHealthy === covered);
      expect(status).toMatchObject({ expectedPods: covered, disruptionsAllowed: 0 });
      expect((await place.evict(nameOf(pod))).status).toBe(covered === 0 ? 201 : 429);
    });

    test('a budget without a selector covers nothing', async () => {
      const [pod] = await place.workload('web', 2);
      await place.budget('all', { minAvailable: 2, selector: undefined });
      expect((await place.budgetStatus('all')).expectedPods).toBe(0);
      expect((await place.evict(nameOf(pod))).status).toBe(201);
    });

    test('pods without a controller are counted where a number must be available, and shut the budget otherwise', async () => {
      await Promise.all([place.barePod('one'), place.barePod('two')]);
      await place.budget('one', { minAvailable: 0 });
      expect(await place.budgetWhen('one', ({ currentHealthy }) => currentHealthy === 1)).toMatchObject({ disruptionsAllowed: 1 });
      await place.budget('two', { maxUnavailable: 1 });
      const shut = await place.budgetWhen('two', ({ currentHealthy }) => currentHealthy === 1);
      expect(shut).toMatchObject({ expectedPods: 0, desiredHealthy: 0, disruptionsAllowed: 0 });
      expect((await place.evict('two')).status).toBe(429);
    });

    test('pods of a controller that has no scale shut a budget that needs one, and it says so', async () => {
      const labels = { app: 'agent' };
      const template = { ...podTemplate('agent') };
      const spec = { selector: { matchLabels: labels }, template };
      const path = `/apis/apps/v1/namespaces/${place.namespace}/daemonsets`;
      await place.create(path, { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'agent' }, spec });
      await place.podsWhen('an agent on each node', 'agent', (seen) => seen.length === 3 && seen.every(isReady));
      await place.budget('agent', { maxUnavailable: 1 });
      const status = await place.budgetWhen('agent', ({ conditions }) => conditions?.[0]?.reason === 'SyncFailed');
      expect(status.disruptionsAllowed).toBe(0);
      expect(status.conditions?.[0]).toMatchObject({
        type: 'DisruptionAllowed',
        status: 'False',
        message: expect.stringContaining('daemonsets.apps does not implement the scale subresource'),
      });
    });

    test.each([
      ['both rules', { minAvailable: 1, maxUnavailable: 1 }, 'minAvailable and maxUnavailable cannot be both set'],
      ['a negative number', { minAvailable: -1 }, 'spec.minAvailable: Invalid value: -1: must be greater than or equal to 0'],
      ['more than all', { maxUnavailable: '101%' }, 'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
      ['no percentage', { maxUnavailable: '1.5%' }, 'spec.maxUnavailable: Invalid value: "1.5%": a valid percent string must be'],
      [
        'a policy nobody knows',
        { minAvailable: 1, unhealthyPodEvictionPolicy: 'Sometimes' },
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "Sometimes": supported values: "AlwaysAllow", "IfHealthyBudget"',
      ],
    ])('a budget with %s is refused', async (_what, rules, message) => {
      const spec = { selector: { matchLabels: { app: 'web' } }, ...rules };
      const body = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'web' }, spec };
      const answer = await place.send('POST', place.budgetPath('').replace(/\/$/, ''), body);
      expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
      expect(answer.body.message).toContain('PodDisruptionBudget.policy "web" is invalid: ');
      expect(answer.body.message).toContain(message);
    });
  });
}
