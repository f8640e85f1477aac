import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import fc from 'fast-check';
import { isReady } from '../../sandbox/kubernetes/objects.ts';
import type { ObserverReport } from '../../sandbox/observer.ts';
import { createWorld } from '../../sandbox/world.ts';
import { budget, deployment, startKubernetes, until, worldOf } from './kubernetes-fixture.ts';
import type { KubernetesFixture } from './kubernetes-fixture.ts';

const namespace = 'shop';
const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);

const mark = (owner: string | null): object => ({ 'holdpoint.dev/cordon': owner });

describe('over the wire', () => {
  let fixture: KubernetesFixture;

  beforeEach(async () => {
    // Slow enough that no pod ends or becomes Ready between two requests.
    const speed = 10;
    fixture = await startKubernetes([deployment('web', 3), budget('web', { minAvailable: 2 })], { speed });
  });

  afterEach(() => fixture.stop());

  async function report(): Promise<ObserverReport> {
    return (await (await fetch(`${fixture.sandbox.url}/sandbox/observer`)).json()) as ObserverReport;
  }

  async function podNames(): Promise<string[]> {
    return (await fixture.core.listNamespacedPod({ namespace })).items.map(({ metadata }) => metadata?.name ?? '');
  }

  const evict = (name: string) => fixture.core.createNamespacedPodEviction({ name, namespace, body: { metadata: { name, namespace } } });

  async function cordoned(annotations: object | undefined, as: string): Promise<string> {
    const name = (await fixture.core.listNode()).items[0]?.metadata?.name ?? '';
    await fixture.core.patchNode({ name, fieldManager: as, body: { metadata: { annotations }, spec: { unschedulable: true } } }, merge);
    return name;
  }

  test('an eviction within the budget is counted, and so is the pod that takes its place', async () => {
    const [name = ''] = await podNames();
    await evict(name);
    await until('the pod to have moved', async () => (await report()).counters.podsMoved === 1);
    expect(await report()).toMatchObject({
      violations: [],
      counters: { evictionsGranted: 1, evictionsRefused: 0, requests: { 'POST pods/eviction': 1, 'GET pods': 1 } },
    });
  });

  test('a deletion that a budget does not allow is noted with its numbers', async () => {
    const [first = '', second = ''] = await podNames();
    await fixture.core.deleteNamespacedPod({ name: first, namespace });
    expect((await report()).violations).toEqual([]);
    await fixture.core.deleteNamespacedPod({ name: second, namespace });
    const { violations } = await report();
    expect(violations).toEqual([expect.objectContaining({ kind: 'budget-broken', object: `test: Pod shop/${second}` })]);
    expect(violations[0]?.sentence).toContain(`deleted the pod shop/${second}: the budget web demands 2 healthy pods and 1 are left.`);
  });

  test('a budget with an empty selector is over every pod of its namespace', async () => {
    const world = createWorld({ seed: worldOf([deployment('web', 3), budget('all', { minAvailable: 3, selector: {} })]) });
    const cluster = world.cluster('test');
    const [pod] = cluster?.store.list('pods') ?? [];
    cluster?.store.remove('pods', `shop/${pod?.metadata.name}`, { part: 'client', name: 'somebody', verb: 'delete' });
    expect(world.observer.summary().violations.map(({ kind }) => kind)).toEqual(['budget-broken']);
    world.stop();
  });

  test('a node that is taken away under healthy pods breaks their budget', async () => {
    const nodes = (await fixture.core.listNode()).items.map(({ metadata }) => metadata?.name ?? '');
    fixture.sandbox.world.cluster('test')?.removeNode(nodes[0] ?? '');
    expect((await report()).violations).toEqual([]);
    await fixture.core.deleteNode({ name: nodes[1] ?? '' });
    expect((await report()).violations.map(({ kind }) => kind)).toEqual(['budget-broken']);
  });

  test('a pod that is evicted twice is noted', async () => {
    const [name = ''] = await podNames();
    // Together: a pod that has ended in between would be gone.
    await Promise.all([evict(name), evict(name)]);
    expect((await report()).violations.map(({ kind }) => kind)).toEqual(['evicted-twice']);
  });

  test('a pod that two parties evict, each of them once, is no double effect of either', async () => {
    const [name = ''] = await podNames();
    const url = `${fixture.sandbox.url}/kubernetes/test/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
    const body = JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } });
    const byKubectl = async () =>
      fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', 'user-agent': 'kubectl/v1.33' } });
    const [answer] = await Promise.all([byKubectl(), evict(name)]);
    expect(answer.status).toBe(201);
    expect((await report()).violations).toEqual([]);
    expect((await report()).counters.evictionsGranted).toBe(2);
  });

  test.each([
    ['its owner takes the mark away', mark('r-1'), 'holdpoint', mark(null), 'holdpoint', 0],
    ['somebody lifts it and leaves the mark', mark('r-1'), 'holdpoint', {}, 'kubectl-uncordon', 1],
    ['somebody lifts it and puts another mark', mark('r-1'), 'holdpoint', mark('r-2'), 'holdpoint', 1],
    ['the person who set it lifts it', undefined, 'kubectl-cordon', {}, 'kubectl-uncordon', 0],
    ['somebody lifts what a person set', undefined, 'kubectl-cordon', {}, 'holdpoint', 1],
  ])('when %s, so many cordons count as lifted by others', async (_title, owned, owner, annotations, lifter, count) => {
    const name = await cordoned(owned, owner);
    const body = { metadata: { annotations }, spec: { unschedulable: null } };
    await fixture.core.patchNode({ name, fieldManager: lifter, body }, merge);
    expect((await report()).counters.foreignCordonsLifted).toBe(count);
    expect((await report()).violations.map(({ kind }) => kind)).toEqual(Array.from({ length: count }, () => 'foreign-cordon-lifted'));
  });
});

describe('a node that is cordoned when it is cordoned already', () => {
  let fixture: KubernetesFixture;

  beforeEach(async () => {
    fixture = await startKubernetes([]);
  });

  afterEach(() => fixture.stop());

  test.each([
    ['by the same run', mark('r-1'), 'holdpoint', mark('r-1'), 0],
    ['by the same client, which marks it only now', undefined, 'holdpoint', mark('r-1'), 0],
    ['by another run', mark('r-1'), 'holdpoint', mark('r-2'), 1],
    ['by a run, after a person', undefined, 'kubectl-cordon', mark('r-1'), 1],
  ])('%s counts as a second cordon so many times: %#', async (_title, first, owner, second, count) => {
    const name = (await fixture.core.listNode()).items[0]?.metadata?.name ?? '';
    const cordon = (annotations: object | undefined, as: string, labels: object) =>
      fixture.core.patchNode({ name, fieldManager: as, body: { metadata: { annotations, labels }, spec: { unschedulable: true } } }, merge);
    await cordon(first, owner, { time: 'first' });
    await cordon(second, 'holdpoint', { time: 'second' });
    const { violations } = fixture.sandbox.world.observer.summary();
    expect(violations.map(({ kind }) => kind)).toEqual(Array.from({ length: count }, () => 'cordoned-twice'));
  });
});

describe('by chance', () => {
  const rule = fc.oneof(
    fc.record({ minAvailable: fc.nat(5) }),
    fc.record({ maxUnavailable: fc.nat(3) }),
    fc.record({ minAvailable: fc.nat(100).map((percent) => `${percent}%`) }),
    fc.record({ maxUnavailable: fc.nat(100).map((percent) => `${percent}%`) }),
  );

  test('no order of evictions through the API breaks a budget, as the observer reckons it', async () => {
    const run = async (spec: object, replicas: number, picks: number[]): Promise<void> => {
      const world = createWorld({ seed: worldOf([deployment('web', replicas), budget('web', spec)]), speed: 2000 });
      const cluster = world.cluster('test');
      for (const pick of picks) {
        const all = cluster?.store.inNamespace('pods', namespace).filter(isReady) ?? [];
        const pod = all[pick % Math.max(1, all.length)];
        if (pod) cluster?.evictPod(namespace, pod.metadata.name);
        // Lets controllers and pods move on between some of the evictions.
        if (pick % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (pick % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      world.stop();
      expect(world.observer.summary().violations.filter(({ kind }) => kind === 'budget-broken')).toEqual([]);
    };
    const picks = fc.array(fc.nat(1000), { maxLength: 30 });
    await fc.assert(fc.asyncProperty(rule, fc.integer({ min: 1, max: 8 }), picks, run), { numRuns: 60 });
  });
});
