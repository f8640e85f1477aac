import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createClients } from '../../../../activities/clients.ts';
import { podView } from '../../../../activities/kubernetes/drain/view.ts';
import { kinds, viewedAs } from '../../../../activities/kubernetes/client/kinds.ts';
import { sharedList } from '../../../../activities/kubernetes/client/shared-lists.ts';
import type { WatchedList } from '../../../../activities/kubernetes/client/watched-list.ts';
import type { PodView } from '../../../../domain/drain/pod.ts';
import type { ActionPlan } from '../../../../domain/plan/plan.ts';
import { budget, deployment, eventually } from '../../../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

const drain = 'kubernetes.drain';
const podKind = viewedAs(kinds.pods, podView);
let demo: TestCluster;
const leaves: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const leave of leaves.splice(0)) await leave();
  await demo.stop();
});

/** Joins the shared list of pods. */
async function joinPods(): Promise<{ list: WatchedList<PodView>; changes: () => number; leave: () => Promise<void> }> {
  let count = 0;
  const connect = () => demo.clients.kubernetes(demo.target);
  const list = sharedList(await connect(), podKind, 'demo', connect);
  const follower = { onChange: () => void (count += 1), onFailure: () => undefined };
  list.join(follower);
  const leave = (): Promise<void> => list.leave(follower);
  leaves.push(leave);
  await list.load();
  list.follow();
  return { list, changes: () => count, leave };
}

function watchesOpened(): string[] {
  return demo.proxy.requests.filter((line) => line.includes('watch=true')).map((line) => line.split('?')[0] ?? '');
}

async function deletePod({ namespace, name }: { namespace: string; name: string }): Promise<void> {
  await demo.others.core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 });
}

describe('a list that several follow', () => {
  test('is watched once, and goes on until the last one has left.', async () => {
    demo = await startCluster(worldWith([deployment('web', 3)]), { speed: 10 });
    const [first, second] = [await joinPods(), await joinPods()];
    expect(second.list).toBe(first.list);
    await first.leave();
    const [pod] = second.list.items();
    if (pod) await deletePod(pod);
    await eventually('the other one to hear of it', () => (second.changes() > 0 ? true : undefined));
    expect(watchesOpened()).toEqual(['GET /kubernetes/demo/api/v1/pods']);
    await second.leave();
    const third = await joinPods();
    expect(third.list).not.toBe(second.list);
    expect(third.list.items()).toHaveLength(3);
  });

  test('shows whoever joins what there is then, though its watch hears nothing.', async () => {
    demo = await startCluster(worldWith([deployment('web', 3)]), { speed: 10 });
    // The watch is asked for and never answered.
    demo.proxy.treat = ({ path }) => (path.includes('watch=true') ? new Promise(() => undefined) : 'pass');
    const first = await joinPods();
    const [gone] = first.list.items();
    if (gone) await deletePod(gone);
    await eventually('the pod to be gone', async () =>
      (await demo.pods()).every(({ metadata }) => metadata?.uid !== gone?.uid) ? true : undefined,
    );
    expect(first.list.items().map(({ uid }) => uid)).toContain(gone?.uid);
    const second = await joinPods();
    expect(second.list.items().map(({ uid }) => uid)).not.toContain(gone?.uid);
    expect(first.changes()).toBeGreaterThan(0);
  });

  test('keeps what its watch shows while a longer list is being read.', async () => {
    demo = await startCluster(worldWith([deployment('web', 3)]), { speed: 10 });
    const { list } = await joinPods();
    const [gone] = list.items();
    let answer: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (answer = resolve));
    // The list shows the pods as they were when it was asked for, and comes after the watch has told of something newer.
    const asked = new Promise<void>((resolve) => {
      demo.proxy.treat = async ({ path }) => {
        if (!path.includes('/pods?limit=')) return 'pass';
        const body = await (await fetch(demo.sandbox.url + path)).text();
        resolve();
        await held;
        return { status: 200, headers: { 'content-type': 'application/json' }, body };
      };
    });
    const refreshed = list.refresh();
    await asked;
    if (gone) await deletePod(gone);
    await eventually('the watch to show it', () => (list.items().every(({ uid }) => uid !== gone?.uid) ? true : undefined));
    answer();
    await refreshed;
    expect(list.items().map(({ uid }) => uid)).not.toContain(gone?.uid);
  });

  test('is not shared by those who reach the cluster with other credentials.', async () => {
    demo = await startCluster(worldWith([]), { speed: 10 });
    const file = join(await mkdtemp(join(tmpdir(), 'shared-lists-')), 'kubeconfig');
    const users = ['ada', 'bert'];
    const config = {
      clusters: [{ name: 'demo', cluster: { server: `${demo.proxy.url}/kubernetes/demo` } }],
      users: users.map((name) => ({ name, user: { token: `token of ${name}` } })),
      contexts: users.map((name) => ({ name, context: { cluster: 'demo', user: name } })),
    };
    await writeFile(file, JSON.stringify(config));
    let context = 'ada';
    const clients = createClients({ clusters: async () => ({ demo: { kubeconfig: file, context } }) });
    const accessNow = async (): Promise<object> => (await clients.kubernetes({ kind: 'kubernetes', region: '', name: 'demo' })).access;
    const [first, again] = [await accessNow(), await accessNow()];
    context = 'bert';
    const other = await accessNow();
    expect([again === first, other === first]).toEqual([true, false]);
    const connect = (): Promise<never> => Promise.reject(new Error('not asked'));
    const listOf = (access: object): object => sharedList({ access }, podKind, 'demo', connect);
    expect([listOf(again) === listOf(first), listOf(other) === listOf(first)]).toEqual([true, false]);
  });
});

describe('two drains of one cluster at the same time', () => {
  const plans = async (): Promise<ActionPlan[]> => {
    const [a = '', b = ''] = await demo.nodeNames();
    return Promise.all([[a], [b]].map((nodes, index) => demo.plan(drain, { nodes }, { run: `r-${index}` })));
  };

  test('share their watches, see each other as strangers, and both end.', async () => {
    demo = await startCluster(worldWith([deployment('web', 24), budget('web', { maxUnavailable: 1 })], { nodes: 4 }));
    const planned = await plans();
    demo.proxy.requests.length = 0;
    await Promise.all(planned.map((plan, index) => demo.perform(drain, plan, { context: { run: `r-${index}` } })));
    expect(watchesOpened()).toHaveLength(5);
    expect(new Set(watchesOpened()).size).toBe(5);
    const owners = (await demo.nodes()).map(({ metadata }) => metadata?.annotations?.['holdpoint.dev/cordon']);
    expect(owners).toEqual(['r-0', 'r-1', undefined, undefined]);
    expect(demo.report().violations).toEqual([]);
  });

  test('of which one is stopped: the other goes on and ends.', async () => {
    demo = await startCluster(worldWith([deployment('web', 24), budget('web', { maxUnavailable: 1 })], { nodes: 4 }));
    const [first, second] = await plans();
    if (!first || !second) throw new Error('two plans were made');
    const stopping = new AbortController();
    const stopped = demo.perform(drain, first, {
      context: { run: 'r-0' },
      signal: stopping.signal,
      onProgress: (progress) => void ((progress?.done ?? 0) > 0 && stopping.abort(new Error('stopped'))),
    });
    const ended = demo.perform(drain, second, { context: { run: 'r-1' } });
    await expect(stopped).rejects.toThrow('stopped');
    expect((await ended).outputs).toMatchObject({ nodes: second.outputs.nodes });
    expect(demo.report().violations).toEqual([]);
  });

  test('over a watch that breaks: both hear of it, and both end when the server answers again.', async () => {
    demo = await startCluster(worldWith([deployment('web', 24), budget('web', { maxUnavailable: 1 })], { nodes: 4 }));
    const planned = await plans();
    const heard = new Set<number>();
    let isBroken = false;
    demo.proxy.treat = ({ path }) => (isBroken && path.includes('/pods?') ? 'lose-request' : 'pass');
    const performances = planned.map((plan, index) =>
      demo.perform(drain, plan, {
        context: { run: `r-${index}` },
        onProgress: (progress) => {
          if ((progress?.done ?? 0) === 0 || isBroken || heard.size > 0) return;
          isBroken = true;
          demo.cluster.cutWatches();
          heard.add(index);
        },
      }),
    );
    await eventually('the watch to break', () => (isBroken ? true : undefined));
    const lost = (): number => demo.proxy.requests.filter((line) => line.includes('/pods?')).length;
    const before = lost();
    await eventually('several attempts to be lost', () => (lost() >= before + 6 ? true : undefined), 30_000);
    isBroken = false;
    const results = await Promise.all(performances);
    expect(results.map(({ passed }) => passed['kubernetes-unreachable'] ?? 0).every((count) => count > 0)).toBe(true);
    expect(demo.report().violations).toEqual([]);
  });
});
