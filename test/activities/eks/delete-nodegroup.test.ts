import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  UpdateNodegroupConfigCommand,
  UpdateNodegroupVersionCommand,
  type Nodegroup,
} from '@aws-sdk/client-eks';
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import type { Manifest } from '../../../sandbox/seed.ts';
import { findNodegroup, readNodegroup } from '../../../activities/eks/nodegroup/nodegroup.ts';
import { budget, deployment, eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../../support/proxy.ts';
import { takeBack, undoOf } from '../../support/undo.ts';

const remove = 'eks.deleteNodegroup';
const blue = { nodegroup: 'blue' };
let demo: TestCluster;

beforeEach(async () => {
  demo = await startCluster(worldWith([]));
});

afterEach(() => demo.stop());

const isDeletion = ({ method }: ProxiedRequest): boolean => method === 'DELETE';

function deletions(): number {
  return demo.proxy.requests.filter((request) => request.startsWith('DELETE ')).length;
}

function found(): Promise<Nodegroup | undefined> {
  return findNodegroup(demo.clients, demo.target, 'blue');
}

async function deleteAsSomebodyElse(): Promise<void> {
  await demo.clients.eks(region).send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'blue' }));
}

test('The plan names the group and each node that goes with it, and reads only.', async () => {
  const names = await demo.nodeNames();
  const { nodegroupArn } = await readNodegroup(demo.clients, demo.target, 'blue');
  expect(await demo.plan(remove, blue)).toEqual({
    effects: [
      { object: 'Nodegroup/demo/blue', change: 'delete' },
      ...names.map((name) => ({ object: `Node/${name}`, change: 'terminate its instance' })),
    ],
    facts: { nodegroup: 'blue', exists: true, nodegroupArn, nodes: names },
    risks: [],
    blockers: [],
    notes: [],
    details: { podsLeft: 0 },
    outputs: { nodegroup: 'blue' },
    expects: [{ change: 'nodes-removed', nodes: names }],
    estimateMs: 120_000,
  });
  expect(demo.proxy.requests.filter((made) => !made.startsWith('GET '))).toEqual([]);
});

test('The group is deleted once; done or planned again there is nothing to do.', async () => {
  const plan = await demo.plan(remove, blue);
  expect(await demo.observe(remove, plan)).toMatchObject({ state: 'todo', progress: { summary: '3 of 3 nodes of blue left' } });
  expect(await demo.perform(remove, plan)).toMatchObject({ before: 'todo', acts: 1, outputs: { nodegroup: 'blue' } });
  expect(await found()).toBeUndefined();
  expect(await demo.nodeNames()).toEqual([]);
  expect(deletions()).toBe(1);
  expect(await demo.perform(remove, plan)).toMatchObject({ before: 'done', acts: 0 });
  expect(deletions()).toBe(1);
  await demo.act(remove, plan);
  const again = await demo.plan(remove, blue);
  expect(again).toMatchObject({
    effects: [],
    risks: [],
    blockers: [],
    facts: { exists: false, nodegroupArn: null, nodes: [] },
    estimateMs: 0,
  });
  expect(await demo.perform(remove, again)).toMatchObject({ before: 'done', acts: 0 });
});

test('A cluster that does not exist is refused, and so is a name that no group can have.', async () => {
  expect(await failureOf(demo.plan(remove, blue, { target: { ...demo.target, name: 'nope' } }))).toMatchObject({ code: 'cluster-unknown' });
  expect(await failureOf(demo.plan(remove, { nodegroup: '' }))).toMatchObject({ code: 'action-input-invalid' });
});

describe('pods that are still there', () => {
  beforeEach(async () => {
    await demo.stop();
    demo = await startCluster(worldWith([deployment('web', 7)]));
  });

  test('block the plan, a few of them by name.', async () => {
    const [blocker] = (await demo.plan(remove, blue)).blockers;
    expect(blocker).toMatchObject({
      object: 'Nodegroup/demo/blue',
      remedy: 'Drain the nodes first (kubernetes.drain), or find out who let new pods onto them.',
    });
    expect(blocker?.reason).toMatch(/^7 pods still run on its nodes: (shop\/web-\S+, ){5}…\.$/);
  });

  test('stop a deletion that was signed when there were none.', async () => {
    const plan = { ...(await demo.plan(remove, blue)), blockers: [] };
    expect(await failureOf(demo.perform(remove, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/^7 pods still run on its nodes: shop\/web-/),
    });
    expect(deletions()).toBe(0);
  });
});

describe('with its nodes to be drained first', () => {
  const drained = { nodegroup: 'blue', drain: true };
  const isEviction = ({ path }: ProxiedRequest): boolean => path.endsWith('/eviction');
  const evictionsGranted = (): number => demo.report().counters.evictionsGranted;

  /** A second group takes the pods in. */
  async function startWith(manifests: Manifest[]): Promise<void> {
    await demo.stop();
    demo = await startCluster(worldWith(manifests));
    await demo.perform('eks.createNodegroup', await demo.plan('eks.createNodegroup', { name: 'green', like: 'blue' }));
  }

  const shop = [deployment('web', 6), budget('web', { maxUnavailable: 1 })];

  async function blueNodes(): Promise<string[]> {
    const nodes = (await demo.nodes()).filter(({ metadata }) => metadata?.labels?.['eks.amazonaws.com/nodegroup'] === 'blue');
    return nodes.map(({ metadata }) => metadata?.name ?? '');
  }

  async function grow(): Promise<void> {
    const before = await blueNodes();
    const scalingConfig = { desiredSize: before.length + 1 };
    const command = new UpdateNodegroupConfigCommand({ clusterName: 'demo', nodegroupName: 'blue', scalingConfig });
    await demo.clients.eks(region).send(command);
    await eventually('the group to have grown', async () => ((await found())?.status === 'ACTIVE' ? true : undefined));
  }

  test('the plan is that of the drain and that of the deletion, with the facts of both.', async () => {
    await startWith(shop);
    const nodes = await blueNodes();
    const drain = await demo.plan('kubernetes.drain', { nodes });
    const plan = await demo.plan(remove, drained);
    expect(plan.effects).toEqual([
      ...drain.effects,
      { object: 'Nodegroup/demo/blue', change: 'delete' },
      ...nodes.map((node) => ({ object: `Node/${node}`, change: 'terminate its instance' })),
    ]);
    expect(plan.facts).toEqual({ ...(await demo.plan(remove, blue)).facts, drain: drain.facts });
    expect(plan).toMatchObject({
      risks: drain.risks,
      blockers: [],
      expects: [{ change: 'nodes-removed', nodes }],
      details: drain.details,
      outputs: { nodegroup: 'blue' },
      estimateMs: drain.estimateMs + 120_000,
    });
    expect((await demo.nodes()).some(({ spec }) => spec?.unschedulable)).toBe(false);
  });

  test('pods move within their budgets, then the group goes; done twice, nothing is done.', async () => {
    await startWith(shop);
    const nodes = await blueNodes();
    const plan = await demo.plan(remove, drained);
    const summaries = new Set<string>();
    const performed = await demo.perform(remove, plan, { onProgress: (progress) => void summaries.add(progress?.summary ?? '') });
    expect(performed).toMatchObject({ before: 'todo', outputs: { nodegroup: 'blue' }, summary: 'blue and its 3 nodes are gone' });
    expect([...summaries]).toEqual(expect.arrayContaining([expect.stringMatching(/^\d of 6 pods gone/), '3 of 3 nodes of blue left']));
    expect(await found()).toBeUndefined();
    expect((await demo.pods()).some(({ spec }) => nodes.includes(spec?.nodeName ?? ''))).toBe(false);
    expect([evictionsGranted(), deletions()]).toEqual([6, 1]);
    expect(demo.report().violations).toEqual([]);
    expect(await demo.perform(remove, plan)).toMatchObject({ before: 'done', acts: 0 });
    await demo.act(remove, plan);
    expect(await demo.plan(remove, drained)).toMatchObject({ effects: [], blockers: [] });
    expect(evictionsGranted()).toBe(6);
  });

  test('the drain is followed by watches: pods are not listed, and EKS is not asked, for every eviction.', async () => {
    await startWith([deployment('web', 12), budget('web', { maxUnavailable: 1 })]);
    const plan = await demo.plan(remove, drained);
    const asked: string[] = [];
    demo.proxy.treat = ({ method, path }) => {
      if (method === 'GET' && evictionsGranted() > 0 && evictionsGranted() < 12) asked.push(path);
      return 'pass';
    };
    await demo.perform(remove, plan);
    expect(evictionsGranted()).toBe(12);
    expect(asked.filter((path) => path.includes('/api/v1/pods?') && !path.includes('watch=true'))).toEqual([]);
    expect(asked.filter((path) => path.endsWith('/node-groups/blue')).length).toBeLessThan(12);
    expect(demo.report().violations).toEqual([]);
  });

  test('a worker that is killed in the middle is followed by one that goes on from there.', async () => {
    await startWith(shop);
    const plan = await demo.plan(remove, drained);
    const stop = new AbortController();
    demo.proxy.treat = (request) => {
      if (isEviction(request) && evictionsGranted() >= 2) stop.abort(new Error('killed'));
      return 'pass';
    };
    await expect(demo.perform(remove, plan, { signal: stop.signal })).rejects.toThrow('killed');
    demo.proxy.treat = () => 'pass';
    expect(await found()).toMatchObject({ status: 'ACTIVE' });
    expect(await demo.perform(remove, plan)).toMatchObject({ before: expect.stringMatching(/todo|moving/) });
    expect([evictionsGranted(), deletions()]).toEqual([6, 1]);
    expect(demo.report().violations).toEqual([]);
  });

  test('lost answers neither evict nor delete twice.', async () => {
    await startWith(shop);
    const plan = await demo.plan(remove, drained);
    const [lostEviction, lostDeletion] = [once(isEviction, 'lose-answer'), once(isDeletion, 'lose-answer')];
    demo.proxy.treat = async (request) => {
      const treatment = await lostEviction(request);
      return treatment === 'pass' ? lostDeletion(request) : treatment;
    };
    const performance = await demo.perform(remove, plan);
    expect(performance.passed).toEqual({ 'kubernetes-unreachable': 1, 'aws-busy': 1 });
    expect(evictionsGranted()).toBe(6);
    expect(demo.report().violations).toEqual([]);
  });

  test('what the drain could not do blocks the plan.', async () => {
    await startWith([deployment('web', 3), budget('web', { maxUnavailable: 0 })]);
    expect((await demo.plan(remove, drained)).blockers).toEqual([
      expect.objectContaining({ object: 'PodDisruptionBudget/shop/web', reason: expect.stringMatching(/^It never allows an eviction/) }),
    ]);
  });

  test('pods on nodes that have joined since the plan was made stop it, and nothing is evicted or deleted.', async () => {
    await startWith(shop);
    const plan = await demo.plan(remove, drained);
    await grow();
    await demo.others.apps.patchNamespacedDeployment(
      { namespace: 'shop', name: 'web', body: { spec: { replicas: 14 } } },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    );
    const joined = (await blueNodes()).find((name) => !(plan.facts.nodes as string[]).includes(name));
    const pods = (): string[] => demo.cluster.podsOn(joined ?? '').map(({ name }) => name);
    await eventually('pods on the new node', () => (pods().length > 0 ? true : undefined));
    const failure = await failureOf(demo.perform(remove, plan));
    expect(failure).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/^\d pods run on nodes of blue that have joined it since the plan was made: shop\/web-/),
      remedy: 'Keep new nodes from joining the group (its autoscaler), drain those that have, then try again.',
    });
    await demo.act(remove, plan);
    expect([evictionsGranted(), deletions()]).toEqual([0, 0]);
    expect(await demo.perform(remove, await demo.plan(remove, drained))).toMatchObject({ outputs: { nodegroup: 'blue' } });
  });

  test('an empty node that has joined since goes with the group.', async () => {
    await startWith([]);
    const plan = await demo.plan(remove, drained);
    await grow();
    await demo.perform(remove, plan);
    expect(await found()).toBeUndefined();
  });

  test('before the deletion has begun, the way back lifts the cordons; after that there is none.', async () => {
    await startWith(shop);
    const plan = await demo.plan(remove, drained);
    await demo.act(remove, plan);
    expect((await demo.nodes()).some(({ spec }) => spec?.unschedulable)).toBe(true);
    const seen = await demo.observe(remove, plan);
    const nodes = await blueNodes();
    expect(undoOf(demo, remove, plan, seen)).toEqual({ uses: 'kubernetes.uncordon', with: { nodes, ignoreMissing: true } });
    await takeBack(demo, remove, plan, seen);
    expect((await demo.nodes()).some(({ spec }) => spec?.unschedulable)).toBe(false);
    await demo.perform(remove, plan);
    expect(undoOf(demo, remove, plan)).toHaveProperty('noUndo');
  });
});

describe('the way back', () => {
  const noUndo = { noUndo: 'Node group blue is deleted: it can be created anew, but its nodes do not come back.' };
  const nothing = { nothing: 'The deletion of node group blue has not been begun.' };
  const undoNow = async (plan: ActionPlan): Promise<unknown> => undoOf(demo, remove, plan, await demo.observe(remove, plan));

  test('does not exist once the group is deleted, or is being deleted.', async () => {
    const plan = await demo.plan(remove, blue);
    expect(await undoNow(plan)).toEqual(nothing);
    await demo.act(remove, plan);
    expect(await undoNow(plan)).toEqual(noUndo);
    await demo.perform(remove, plan);
    expect(await undoNow(plan)).toEqual(noUndo);
    expect(undoOf(demo, remove, plan)).toEqual(noUndo);
  });

  test('is not needed where pods have kept the group from being deleted.', async () => {
    await demo.stop();
    demo = await startCluster(worldWith([deployment('web', 7)]));
    const plan = await demo.plan(remove, blue);
    await failureOf(demo.perform(remove, plan));
    expect(await undoNow(plan)).toEqual(nothing);
  });
});

test('A group that is being updated is deleted once it is at rest.', async () => {
  await demo.stop();
  demo = await startCluster(worldWith([]), { speed: 600 });
  const plan = await demo.plan(remove, blue);
  const update = new UpdateNodegroupVersionCommand({ clusterName: 'demo', nodegroupName: 'blue', releaseVersion: '1.33.4-20260801' });
  await demo.clients.eks(region).send(update);
  const summaries: string[] = [];
  const performed = await demo.perform(remove, plan, { onProgress: (progress) => void summaries.push(progress?.summary ?? '') });
  expect(summaries[0]).toBe('waiting until blue is no longer UPDATING');
  expect(performed).toMatchObject({ before: 'moving', acts: 1, passed: {} });
  expect(await found()).toBeUndefined();
});

describe('while somebody else changes the world', () => {
  test('a group that somebody else deletes is waited for.', async () => {
    const plan = await demo.plan(remove, blue);
    await deleteAsSomebodyElse();
    expect(await demo.perform(remove, plan)).toMatchObject({ before: 'moving', acts: 0 });
    expect(await found()).toBeUndefined();
  });

  test('a group that somebody else deletes between the look and the act is no error.', async () => {
    const plan = await demo.plan(remove, blue);
    let gone = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (isDeletion(request) && !gone) {
        gone = true;
        await deleteAsSomebodyElse();
        await eventually('the group to be gone', async () => ((await found()) === undefined ? true : undefined));
      }
      return 'pass';
    };
    expect(await demo.perform(remove, plan)).toMatchObject({ acts: 1, outputs: { nodegroup: 'blue' } });
  });

  test('another group that has taken the name since is not the one that was signed away.', async () => {
    const plan = await demo.plan(remove, blue);
    const { subnets, nodeRole } = await readNodegroup(demo.clients, demo.target, 'blue');
    await deleteAsSomebodyElse();
    await eventually('the group to be gone', async () => ((await found()) === undefined ? true : undefined));
    await demo.clients.eks(region).send(new CreateNodegroupCommand({ clusterName: 'demo', nodegroupName: 'blue', subnets, nodeRole }));
    const before = deletions();
    expect(await demo.perform(remove, plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(deletions()).toBe(before);
    expect(await found()).toMatchObject({ status: 'CREATING' });
  });
});

describe('when connections break', () => {
  test.each(['lose-answer', 'lose-request'] as const)('the group is deleted all the same (%s).', async (treatment) => {
    const plan = await demo.plan(remove, blue);
    demo.proxy.treat = once(isDeletion, treatment);
    const performance = await demo.perform(remove, plan);
    // The second request may find it DELETING, which EKS reports as a conflict.
    expect(performance.passed).toEqual(treatment === 'lose-answer' ? { 'aws-busy': 1 } : {});
    expect(await found()).toBeUndefined();
    expect(await demo.nodeNames()).toEqual([]);
  });

  test('an answer that is lost until the group is gone leaves nothing to complain about.', async () => {
    const plan = await demo.plan(remove, blue);
    let lost = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (!isDeletion(request)) return 'pass';
      if (lost) await eventually('the group to be gone', async () => ((await found()) === undefined ? true : undefined));
      const treatment = lost ? 'pass' : 'lose-answer';
      lost = true;
      return treatment;
    };
    const performance = await demo.perform(remove, plan);
    expect(performance.passed).toEqual({});
  });
});
