import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ApiException, Watch } from '@kubernetes/client-node';
import type { ObserverReport } from '../../sandbox/observer.ts';
import { deployment, eventually, startKubernetes, until } from './kubernetes-fixture.ts';
import type { KubernetesFixture } from './kubernetes-fixture.ts';

const namespace = 'shop';
const podsPath = '/api/v1/namespaces/shop/pods';
let fixture: KubernetesFixture;

beforeEach(async () => {
  fixture = await startKubernetes([deployment('web', 3)], { speed: 50 });
});

afterEach(() => fixture.stop());

async function podNames(): Promise<string[]> {
  return (await fixture.core.listNamespacedPod({ namespace })).items.map(({ metadata }) => metadata?.name ?? '');
}

const evict = (name: string) => fixture.core.createNamespacedPodEviction({ name, namespace, body: { metadata: { name, namespace } } });

/** How a watch ends, after how many events. */
async function watchEnds(query: Record<string, string> = {}): Promise<{ events: number; ended: boolean }> {
  let events = 0;
  let ended = false;
  const abort = await new Watch(fixture.config).watch(
    podsPath,
    query,
    () => {
      events++;
    },
    () => {
      ended = true;
    },
  );
  await until('the watch to end or to tell of all pods', () => ended || events >= 3);
  const outcome = { events, ended };
  abort.abort();
  return outcome;
}

function faultsMet(): ObserverReport['counters']['faults'] {
  return fixture.sandbox.world.observer.summary().counters.faults;
}

describe('one armed fault', () => {
  test('throttles with 429, a time to wait and no word of a budget', async () => {
    const [name = ''] = await podNames();
    fixture.sandbox.world.faults.next({ operation: 'POST pods/eviction', kind: 'throttle' });
    const refusal = await evict(name).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ApiException);
    const { code, headers, body } = refusal as ApiException<string>;
    expect({ code, retryAfter: headers['retry-after'] }).toEqual({ code: 429, retryAfter: '1' });
    const status = JSON.parse(body) as { reason: string; details: object };
    expect(status).toMatchObject({ kind: 'Status', reason: 'TooManyRequests', details: { retryAfterSeconds: 1 } });
    expect(status.details).not.toHaveProperty('causes');
    expect(fixture.sandbox.world.observer.summary().counters.evictionsGranted).toBe(0);
    await evict(name);
    expect(faultsMet()).toEqual({ throttle: 1 });
  });

  test('answers 500 with a Status', async () => {
    fixture.sandbox.world.faults.next({ operation: 'GET nodes', kind: 'error' });
    await expect(fixture.core.listNode()).rejects.toMatchObject({ code: 500 });
    expect((await fixture.core.listNode()).items).toHaveLength(3);
  });

  test('a lost reply: the pod is evicted, and the client hears nothing', async () => {
    const [name = ''] = await podNames();
    // On a busy machine it has ended before anybody could read it.
    const leaving = new Set<string>();
    fixture.sandbox.world.cluster('test')?.store.onChange(({ object: { metadata } }) => {
      if (metadata.deletionTimestamp !== undefined) leaving.add(metadata.name);
    });
    fixture.sandbox.world.faults.next({ operation: 'POST pods/eviction', kind: 'replyLost' });
    await expect(evict(name)).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(fixture.sandbox.world.observer.summary().counters.evictionsGranted).toBe(1);
    expect([...leaving]).toEqual([name]);
  });

  test('a time-out: no answer until the connection is dropped, and nothing was changed', async () => {
    fixture.sandbox.world.faults.set({ rate: 0, timeoutMs: 60 });
    const [name = ''] = await podNames();
    fixture.sandbox.world.faults.next({ operation: 'POST pods/eviction', kind: 'timeout' });
    const begun = performance.now();
    await expect(evict(name)).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(55);
    expect(fixture.sandbox.world.observer.summary().counters.evictionsGranted).toBe(0);
  });

  test('requests that are held do not keep the sandbox from stopping', async () => {
    fixture.sandbox.world.faults.set({ rate: 0, timeoutMs: 600_000 });
    fixture.sandbox.world.faults.next({ kind: 'timeout' });
    const answer = fixture.core.listNode().then(
      () => 'answered',
      () => 'dropped',
    );
    await until('the request to be held', () => faultsMet().timeout === 1);
    await fixture.sandbox.stop();
    expect(await answer).toBe('dropped');
    fixture = await startKubernetes([]);
  });

  test('so many requests are held and no more; those whose client has left make room', async () => {
    const { faults } = fixture.sandbox.world;
    faults.set({ rate: 0, timeoutMs: 600_000 });
    const hold = (signal: AbortSignal) =>
      fetch(`${fixture.url}/api/v1/nodes`, { signal }).then(
        () => 'answered',
        () => 'dropped',
      );
    faults.next({ kind: 'timeout', times: 1000 });
    const clients = new AbortController();
    const held = Array.from({ length: 1000 }, () => hold(clients.signal));
    await until('a thousand requests to be held', () => faultsMet().timeout === 1000);
    faults.next({ kind: 'timeout' });
    expect(await hold(AbortSignal.timeout(20_000))).toBe('dropped');
    expect(clients.signal.aborted).toBe(false);
    clients.abort();
    await Promise.all(held);
    const again = async (): Promise<boolean> => {
      faults.next({ kind: 'timeout' });
      const patience = AbortSignal.timeout(200);
      await hold(patience);
      return patience.aborted;
    };
    await until('a request to be held again', again);
  });

  test('a watch ends at once without an event; the next one goes on', async () => {
    fixture.sandbox.world.faults.next({ operation: 'WATCH pods', kind: 'watchCut' });
    expect(await watchEnds()).toEqual({ events: 0, ended: true });
    expect(await watchEnds()).toEqual({ events: 3, ended: false });
  });
});

describe('a stale read', () => {
  beforeEach(() => fixture.sandbox.world.faults.set({ rate: 0, staleMs: 300_000 }));

  async function evictedAndGone(): Promise<string> {
    const [name = ''] = await podNames();
    await evict(name);
    await until('the pod to be gone', async () => !(await podNames()).includes(name));
    return name;
  }

  const arm = (operation: string): void => fixture.sandbox.world.faults.next({ operation, kind: 'staleRead' });

  test('of a list shows a pod that is gone, at the version of then, from which a watch tells the rest', async () => {
    const name = await evictedAndGone();
    arm('GET pods');
    const list = await fixture.core.listNamespacedPod({ namespace });
    expect(list.items.map(({ metadata }) => metadata?.name)).toContain(name);
    const deleted: string[] = [];
    const onEvent = (type: string, pod: { metadata: { name: string } }): void => {
      if (type === 'DELETED') deleted.push(pod.metadata.name);
    };
    const query = { resourceVersion: list.metadata?.resourceVersion ?? '' };
    const abort = await new Watch(fixture.config).watch(podsPath, query, onEvent, () => undefined);
    await until('the deletion to be told', () => deleted.includes(name));
    abort.abort();
    expect(await podNames()).not.toContain(name);
  });

  test('of one object shows it as it was; the next read knows better', async () => {
    const name = await evictedAndGone();
    arm('GET pods');
    const pod = await fixture.core.readNamespacedPod({ name, namespace });
    expect(pod.metadata?.deletionTimestamp).toBeUndefined();
    await expect(fixture.core.readNamespacedPod({ name, namespace })).rejects.toMatchObject({ code: 404 });
  });

  test('does not befall a list that names a version, nor a later page', async () => {
    const name = await evictedAndGone();
    const { metadata } = await fixture.core.listNamespacedPod({ namespace, limit: 1 });
    arm('GET pods');
    const { items } = await fixture.core.listNamespacedPod({ namespace, resourceVersion: metadata?.resourceVersion });
    expect(items.map((pod) => pod.metadata?.name)).not.toContain(name);
    await fixture.core.listNamespacedPod({ namespace, limit: 1, _continue: metadata?._continue });
    expect(faultsMet()).toEqual({});
    const open = await fixture.core.listNamespacedPod({ namespace, resourceVersion: '0' });
    expect(open.items.map((pod) => pod.metadata?.name)).toContain(name);
  });

  test('does not reach back to before the world began', async () => {
    arm('GET pods');
    expect(await podNames()).toHaveLength(3);
  });

  test('is never older than it may be', async () => {
    fixture.sandbox.world.faults.set({ rate: 0, staleMs: 5_000 });
    const { clock } = fixture.sandbox.world;
    const name = await evictedAndGone();
    const goneAt = clock.now().getTime();
    await until('six simulated seconds', () => clock.now().getTime() - goneAt > 6_000);
    arm('GET pods');
    expect(await podNames()).not.toContain(name);
    expect(faultsMet()).toEqual({ staleRead: 1 });
  });
});

describe('over HTTP', () => {
  const put = (settings: unknown) => fetch(`${fixture.sandbox.url}/sandbox/faults`, { method: 'PUT', body: JSON.stringify(settings) });

  test('faults are set while the world runs, and never befall the sandbox itself', async () => {
    expect((await put({ rate: 1, kinds: ['error'] })).status).toBe(200);
    await expect(podNames()).rejects.toMatchObject({ code: 500 });
    for (const path of ['observer', 'clusters', 'leftovers', 'faults']) {
      expect((await fetch(`${fixture.sandbox.url}/sandbox/${path}`)).status).toBe(200);
    }
    const report = (await (await fetch(`${fixture.sandbox.url}/sandbox/observer`)).json()) as ObserverReport;
    expect(report.counters.faults).toEqual({ error: 1 });
    expect((await put({ rate: 0 })).status).toBe(200);
    expect(await podNames()).toHaveLength(3);
  });

  test('settings that mean nothing are refused, and what was set stays', async () => {
    await put({ rate: 1, kinds: ['error'] });
    const refusal = await put({ rate: -1 });
    expect(refusal.status).toBe(400);
    expect(((await refusal.json()) as { message: string }).message).toContain('rate: ');
    await expect(podNames()).rejects.toMatchObject({ code: 500 });
  });
});

test('two worlds of one seed meet the same faults, of every kind that a read can meet', async () => {
  const sequence = async (of: KubernetesFixture): Promise<string[]> => {
    of.sandbox.world.faults.set({ rate: 0.7, timeoutMs: 1, delayMs: 1, seed: 5 });
    const met: string[] = [];
    for (let index = 0; index < 60; index++) {
      const before = JSON.stringify(of.sandbox.world.observer.summary().counters.faults);
      const failure = (error: unknown): string => (error instanceof ApiException ? `${error.code}` : 'cut');
      const outcome = await of.core.listNode().then(() => 'ok', failure);
      met.push(`${outcome} ${before}`);
    }
    return met;
  };
  const other = await startKubernetes([deployment('web', 3)], { speed: 50 });
  expect(await sequence(other)).toEqual(await sequence(fixture));
  expect(Object.keys(faultsMet()).sort()).toEqual(['delay', 'error', 'replyLost', 'staleRead', 'throttle', 'timeout']);
  await other.stop();
});

test('a client that looks again gets its work done although a third of all requests go wrong', async () => {
  fixture.sandbox.world.faults.set({ rate: 0.33, timeoutMs: 20, delayMs: 10, staleMs: 500 });
  const again = <Answer>(ask: () => Promise<Answer>) => eventually('an answer', () => ask().catch(() => undefined));
  const names = await again(podNames);
  for (const name of names) {
    await until('the pod to be on its way out or gone', async () => {
      const pod = await fixture.core.readNamespacedPod({ name, namespace }).catch((error: unknown) => error);
      if (pod instanceof ApiException && pod.code === 404) return true;
      if (pod instanceof Error) return false;
      if ((pod as { metadata: { deletionTimestamp?: Date } }).metadata.deletionTimestamp) return true;
      await evict(name).catch(() => undefined);
      return false;
    });
  }
  expect(fixture.sandbox.world.observer.summary().counters.evictionsGranted).toBeGreaterThanOrEqual(names.length);
});
