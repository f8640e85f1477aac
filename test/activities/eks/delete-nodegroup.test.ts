import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CreateNodegroupCommand, DeleteNodegroupCommand, UpdateNodegroupVersionCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { ExpectedChange } from '../../../domain/plan/expected.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import { findNodegroup, readNodegroup } from '../../../activities/eks/nodegroup/nodegroup.ts';
import { deployment, eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../../support/proxy.ts';
import { undoOf } from '../../support/undo.ts';

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
    facts: { nodegroup: 'blue', exists: true, nodegroupArn, nodes: names, destinations: [] },
    risks: [
      expect.objectContaining({ object: 'Nodegroup/demo/blue', risk: expect.stringMatching(/^these are the last nodes that could/) }),
    ],
    blockers: [],
    notes: [],
    details: { podsLeft: 0 },
    outputs: { nodegroup: 'blue' },
    expects: [
      { change: 'nodes-removed', nodes: names },
      { change: 'removed', object: 'Nodegroup/demo/blue' },
    ],
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

describe('where pods can go besides', () => {
  const isBlocked = { reason: expect.stringMatching(/^2 pods find no node, and would find one among these: shop\/web-/) };
  const bringGreen = async (): Promise<void> => {
    const { subnets, nodeRole } = await readNodegroup(demo.clients, demo.target, 'blue');
    const request = { clusterName: 'demo', nodegroupName: 'green', subnets, nodeRole };
    await demo.clients.eks(region).send(new CreateNodegroupCommand(request));
    // It takes pods as soon as its first node is Ready, and can be deleted only when it is ACTIVE.
    await eventually('green to be ACTIVE and to take pods', async () => {
      const { facts } = await demo.plan(remove, blue);
      const { status } = await readNodegroup(demo.clients, demo.target, 'green');
      return status === 'ACTIVE' && JSON.stringify(facts.destinations) === '["node group green"]' ? true : undefined;
    });
  };
  const whileWaiting = async (): Promise<ActionPlan> =>
    eventually('the pods to wait for a node', async () => {
      const plan = await demo.plan(remove, blue);
      return plan.blockers[0]?.reason.startsWith('2 pods') === true ? plan : undefined;
    });

  test('is signed: another group that goes meanwhile makes another plan', async () => {
    await bringGreen();
    const plan = await demo.plan(remove, blue);
    expect(plan).toMatchObject({ risks: [], blockers: [], facts: { destinations: ['node group green'] } });
    await demo.clients.eks(region).send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'green' }));
    // Whether its nodes are cordoned yet or not.
    const expected: ExpectedChange[] = [{ change: 'nodes-uncordoned', nodes: await demo.nodeNames() }];
    const without = await demo.plan(remove, blue, { expected });
    expect(without).toMatchObject({ facts: { destinations: [] }, risks: [{ object: 'Nodegroup/demo/blue' }] });
  });

  test('is not yet there for pods that find no node: neither planned nor begun while they would find one here', async () => {
    await demo.stop();
    demo = await startCluster(worldWith([]));
    const before = await demo.plan(remove, blue);
    const cordon = [{ op: 'add', path: '/spec/unschedulable', value: true }];
    for (const name of await demo.nodeNames()) await demo.others.core.patchNode({ name, body: cordon });
    await demo.others.apps.createNamespacedDeployment({ namespace: 'shop', body: deployment('web', 2) });
    expect((await whileWaiting()).blockers).toEqual([expect.objectContaining(isBlocked)]);
    expect(await failureOf(demo.perform(remove, before))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/^2 pods find no node/),
    });
    expect(deletions()).toBe(0);
  });
});

test('Pods on nodes that an earlier step drains do not block the plan, those on other nodes of the group do.', async () => {
  await demo.stop();
  demo = await startCluster(worldWith([deployment('web', 7)]));
  const nodes = await demo.nodeNames();
  const planAfter = (drained: string[]): Promise<ActionPlan> =>
    demo.plan(remove, blue, { expected: [{ change: 'nodes-drained', nodes: drained }] });
  expect(await planAfter(nodes)).toMatchObject({ blockers: [], expects: [{ change: 'nodes-removed', nodes }, { change: 'removed' }] });
  expect((await planAfter(nodes.slice(1))).blockers).toHaveLength(1);
});

describe('the rollback', () => {
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
    expect(await undoOf(demo, remove, plan)).toEqual(noUndo);
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
