import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  TagResourceCommand,
  UpdateNodegroupConfigCommand,
  type Nodegroup,
} from '@aws-sdk/client-eks';
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import type { Undo } from '../../../domain/action.ts';
import { readNodegroup } from '../../../activities/eks/nodegroup/nodegroup.ts';
import { budget, deployment, eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../../support/proxy.ts';
import { planUndo, takeBack, undoOf } from '../../support/undo.ts';

const create = 'eks.createNodegroup';
const green = { name: 'green', like: 'blue' };
let demo: TestCluster;

beforeEach(async () => {
  demo = await startCluster(worldWith([]));
});

afterEach(() => demo.stop());

const isCreation = ({ method, path }: ProxiedRequest): boolean => method === 'POST' && path.endsWith('/node-groups');

function creations(): number {
  return demo.proxy.requests.filter((request) => request === 'POST /clusters/demo/node-groups').length;
}

function nodegroup(name: string): Promise<Nodegroup> {
  return readNodegroup(demo.clients, demo.target, name);
}

async function nodesOf(name: string): Promise<string[]> {
  const nodes = (await demo.nodes()).filter(({ metadata }) => metadata?.labels?.['eks.amazonaws.com/nodegroup'] === name);
  return nodes.map(({ metadata }) => metadata?.name ?? '').sort();
}

/** A node of green that is to come to a zone, like the one of blue that is there. */
function comingIn(zone: string): object {
  return {
    name: `green in ${region}${zone}`,
    count: 1,
    labels: expect.objectContaining({
      'eks.amazonaws.com/nodegroup': 'green',
      'topology.kubernetes.io/zone': `${region}${zone}`,
      pool: 'general',
    }),
    taints: [],
    allocatable: { cpu: '1920m', memory: '7142Mi', pods: '29' },
  };
}

/** What somebody else makes under the name, between the plan and the act. */
async function createAsSomebodyElse(differences: { instanceTypes?: string[]; tags?: Record<string, string> } = {}): Promise<void> {
  const { subnets, nodeRole, scalingConfig, labels, amiType, instanceTypes } = await nodegroup('blue');
  const settings = { subnets, nodeRole, scalingConfig, labels, amiType, instanceTypes, ...differences };
  await demo.clients.eks(region).send(new CreateNodegroupCommand({ clusterName: 'demo', nodegroupName: 'green', ...settings }));
}

describe('the plan', () => {
  test('is blocked where a group is to be like itself: a rotation would drain and delete the only one.', async () => {
    const plan = await demo.plan(create, { name: 'blue', like: 'blue' });
    expect(plan.blockers).toEqual([
      {
        object: 'Nodegroup/blue',
        reason: 'It is to be like itself: name and like are the same.',
        remedy: 'Choose another name for the new node group, or delete the old one.',
      },
    ]);
  });

  test('shows the whole request: the settings of the other group, in the version of the cluster.', async () => {
    const blue = await nodegroup('blue');
    const plan = await demo.plan(create, { ...green, releaseVersion: '1.33.4-20260801' });
    const request = {
      clusterName: 'demo',
      nodegroupName: 'green',
      subnets: blue.subnets,
      nodeRole: blue.nodeRole,
      scalingConfig: { minSize: 0, maxSize: 100, desiredSize: 3 },
      amiType: 'AL2023_x86_64_STANDARD',
      capacityType: 'ON_DEMAND',
      instanceTypes: ['m6i.large'],
      diskSize: 20,
      labels: { pool: 'general' },
      updateConfig: { maxUnavailable: 1 },
      tags: {},
      version: '1.33',
      releaseVersion: '1.33.4-20260801',
    };
    const change = 'create 3 nodes like blue, release 1.33.4-20260801';
    expect(plan).toEqual({
      effects: [{ object: 'Nodegroup/demo/green', change, after: request }],
      facts: { nodegroup: 'green', request, desiredSize: 3 },
      risks: [],
      blockers: [],
      notes: [],
      details: { like: 'blue', desiredSize: 3 },
      outputs: { nodegroup: 'green' },
      expects: [{ change: 'nodes-added', group: 'green', nodes: ['a', 'b', 'c'].map(comingIn) }],
      estimateMs: 180_000,
      undoEstimateMs: 120_000,
    });
    // The question to Systems Manager whether there is such a release.
    expect(demo.proxy.requests.filter((made) => !made.startsWith('GET '))).toEqual(['POST /']);
  });

  test('leaves out the tags that only AWS may set.', async () => {
    const { nodegroupArn } = await nodegroup('blue');
    const tags = { team: 'platform', 'aws:cloudformation:stack-name': 'nodes' };
    await demo.clients.eks(region).send(new TagResourceCommand({ resourceArn: nodegroupArn, tags }));
    expect((await demo.plan(create, green)).facts.request).toMatchObject({ tags: { team: 'platform' } });
    expect(JSON.stringify(await demo.plan(create, green))).not.toContain('cloudformation');
  });

  test('leaves out the run that made the other group, and marks its own group with its own run.', async () => {
    const { nodegroupArn } = await nodegroup('blue');
    const tags = { 'holdpoint.dev/run': 'r-0', team: 'platform' };
    await demo.clients.eks(region).send(new TagResourceCommand({ resourceArn: nodegroupArn, tags }));
    const plan = await demo.plan(create, green, { run: '' });
    expect(plan.facts.request).toMatchObject({ tags: { team: 'platform' } });
    expect(JSON.stringify(plan)).not.toContain('holdpoint.dev/run');
    await demo.act(create, plan);
    expect((await nodegroup('green')).tags).toEqual({ 'holdpoint.dev/run': 'r-1', team: 'platform' });
  });

  test('refuses more tags than EKS allows together with that of the run.', async () => {
    const { nodegroupArn } = await nodegroup('blue');
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`tag-${index}`, 'x']));
    await demo.clients.eks(region).send(new TagResourceCommand({ resourceArn: nodegroupArn, tags }));
    expect((await demo.plan(create, green)).blockers).toEqual([
      {
        object: 'Nodegroup/green',
        reason: 'It would have 50 tags, as many as EKS allows, and one more is needed for the id of the run.',
        remedy: 'Take a tag off node group blue (aws eks untag-resource), then plan again.',
      },
    ]);
  });

  test('refuses a version that is not that of the cluster.', async () => {
    const plan = await demo.plan(create, { ...green, version: '1.32', releaseVersion: '1.34.2-20260801' });
    expect(plan.blockers).toEqual([
      {
        object: 'Nodegroup/green',
        reason: 'EKS makes node groups of the version of the cluster, 1.33, only; 1.32 and 1.34.2-20260801 is asked for.',
        remedy: 'Ask for a release of 1.33, or upgrade the control plane first.',
      },
    ]);
  });

  test('refuses a name that a different group has, and says in what it differs.', async () => {
    await createAsSomebodyElse({ instanceTypes: ['m6i.2xlarge'] });
    const plan = await demo.plan(create, green);
    expect(plan.blockers).toEqual([
      {
        object: 'Nodegroup/green',
        reason: 'A node group of this name exists already and differs in instanceTypes.',
        remedy: 'Choose another name for the new node group, or delete the old one.',
      },
    ]);
    expect(plan.effects).toEqual([]);
  });

  test('takes the group that has outlived the one it was to be like as it is, if it is of the release that is asked for.', async () => {
    const release = { ...green, releaseVersion: '1.33.4-20260801' };
    await demo.perform(create, await demo.plan(create, release));
    await demo.perform('eks.deleteNodegroup', await demo.plan('eks.deleteNodegroup', { nodegroup: 'blue' }));
    const plan = await demo.plan(create, release);
    expect(plan).toMatchObject({ effects: [], risks: [], blockers: [], estimateMs: 0, outputs: { nodes: await nodesOf('green') } });
    expect(plan.notes).toEqual([
      'Node group green exists already and is used as it is.',
      'There is no node group blue (any more) to compare green with.',
    ]);
    expect(await demo.perform(create, plan)).toMatchObject({ before: 'done', acts: 0 });
    const other = await demo.plan(create, { ...green, releaseVersion: '1.33.3-20260415' });
    expect(other.blockers.map(({ reason }) => reason)).toEqual(['A node group of this name exists already and differs in releaseVersion.']);
  });

  test.each([
    {
      title: 'a group to copy that does not exist',
      input: { name: 'green', like: 'bleu' },
      message: 'The cluster demo has no node group bleu.',
    },
    { title: 'a cluster that does not exist', input: green, cluster: 'nope', message: `There is no EKS cluster nope in ${region}.` },
    {
      title: 'a name that EKS would not take',
      input: { name: 'green!', like: 'blue' },
      message: 'The input of eks.createNodegroup does not fit: name: must be a node group name: letters, digits, `-` and `_`, at most 63.',
    },
  ])('refuses $title.', async ({ input, cluster, message }) => {
    const context = cluster === undefined ? {} : { target: { ...demo.target, name: cluster } };
    expect((await failureOf(demo.plan(create, input, context))).message).toBe(message);
  });
});

/** Has EKS describe a group in other words than the sandbox knows. */
function describeAs(differences: Record<string, Partial<Nodegroup>>): void {
  demo.proxy.treat = async ({ method, path }): Promise<Treatment> => {
    const name = method === 'GET' ? /\/node-groups\/([^/?]+)$/.exec(path)?.[1] : undefined;
    if (name === undefined || differences[name] === undefined) return 'pass';
    const { createdAt: _created, modifiedAt: _modified, ...present } = blue;
    const body = JSON.stringify({ nodegroup: { ...present, nodegroupName: name, ...differences[name] } });
    return { status: 200, headers: { 'content-type': 'application/json' }, body };
  };
}
let blue: Nodegroup;

describe('field cases', () => {
  beforeEach(async () => {
    blue = await nodegroup('blue');
  });

  test('more/14: remote access and the warm pool go along.', async () => {
    const remoteAccess = { ec2SshKey: 'ops', sourceSecurityGroups: ['sg-1'] };
    const warmPoolConfig = { enabled: true, minSize: 1 };
    describeAs({ blue: { remoteAccess, warmPoolConfig } });
    const { facts } = await demo.plan(create, green);
    expect(facts.request).toMatchObject({ remoteAccess, warmPoolConfig });
  });

  test('more/15: an existing group is compared in everything that would be asked for, and one without nodes is none.', async () => {
    const launchTemplate = { id: 'lt-1', name: 'nodes', version: '7' };
    describeAs({
      blue: { launchTemplate },
      green: {
        amiType: 'AL2_x86_64',
        capacityType: 'SPOT',
        launchTemplate: { ...launchTemplate, version: '3' },
        scalingConfig: { ...blue.scalingConfig, desiredSize: 0 },
      },
    });
    expect((await demo.plan(create, green)).blockers.map(({ reason }) => reason)).toEqual([
      'A node group of this name exists already and differs in scalingConfig, amiType, capacityType, launchTemplate.',
    ]);
    describeAs({ blue: { launchTemplate }, green: { launchTemplate, scalingConfig: { ...blue.scalingConfig, desiredSize: 1 } } });
    expect((await demo.plan(create, green)).blockers).toEqual([]);
  });

  test('more/15: it is not done with 0 of 0 nodes.', async () => {
    const plan = await demo.plan(create, green);
    describeAs({ green: { scalingConfig: { ...blue.scalingConfig, desiredSize: 0 } } });
    expect(await demo.observe(create, plan)).toMatchObject({ state: 'stuck' });
  });

  test('more/13: a release of Bottlerocket says nothing of the version of Kubernetes.', async () => {
    describeAs({ blue: { amiType: 'BOTTLEROCKET_x86_64', releaseVersion: '1.34.0-18d04e52' } });
    expect((await demo.plan(create, { ...green, releaseVersion: '1.36.0-0f1c5d6e' })).blockers).toEqual([]);
    expect((await demo.plan(create, { ...green, releaseVersion: '1.32-2026.06.13' })).blockers).toHaveLength(1);
    expect((await demo.plan(create, { ...green, releaseVersion: '1.35.0-0f1c5d6e' })).blockers).toHaveLength(1);
    const latest = await demo.plan(create, { ...green, releaseVersion: 'latest' });
    expect([latest.blockers, latest.facts.request]).toEqual([[], expect.objectContaining({ releaseVersion: '1.36.0-0f1c5d6e' })]);
  });

  test('more/24: a node with a taint that an agent takes off is not done before that, whoever declares the taint.', async () => {
    const plan = await demo.plan(create, green);
    await demo.perform(create, plan);
    const [name = ''] = await nodesOf('green');
    const taint = { key: 'ebs.csi.aws.com/agent-not-ready', effect: 'NoExecute' };
    const taintIt = (taints: object[]): Promise<unknown> =>
      demo.others.core.patchNode(
        { name, body: [{ op: 'add', path: '/spec/taints', value: taints }] },
        setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
      );
    await taintIt([taint]);
    const seen = await demo.observe(create, plan);
    expect(seen).toMatchObject({ state: 'moving', progress: { done: 2, total: 3 } });
    expect(seen.progress?.items.map(({ detail }) => detail)).toContain('Ready, but tainted ebs.csi.aws.com/agent-not-ready:NoExecute');
    await taintIt([]);
    expect(await demo.observe(create, plan)).toMatchObject({ state: 'done' });
  });
});

test('A group of an older minor version is followed by one of the version of the cluster.', async () => {
  await demo.stop();
  demo = await startCluster(worldWith([], { version: '1.32', releaseVersion: '1.32.8-20260415' }));
  const plan = await demo.plan(create, green);
  expect(plan.facts.request).toMatchObject({ version: '1.33' });
  await demo.perform(create, plan);
  expect(await nodegroup('green')).toMatchObject({ status: 'ACTIVE', version: '1.33' });
});

describe('carrying it out', () => {
  test('ends when all nodes are Ready, and does nothing when it is done again or planned again.', async () => {
    const plan = await demo.plan(create, green);
    expect(await demo.observe(create, plan)).toEqual({ state: 'todo' });
    await demo.act(create, plan);
    expect(await demo.observe(create, plan, { acted: true })).toMatchObject({ state: 'moving', progress: { total: 3, unit: 'nodes' } });
    await demo.act(create, plan);
    const performed = await demo.perform(create, plan);
    const nodes = await nodesOf('green');
    expect(nodes).toHaveLength(3);
    expect(performed).toMatchObject({ before: 'moving', acts: 0, summary: '3 of 3 nodes of green Ready' });
    expect([...(performed.outputs.nodes as string[])].sort()).toEqual(nodes);
    expect(await demo.perform(create, plan)).toMatchObject({ before: 'done', acts: 0 });
    const again = await demo.plan(create, green);
    expect(again).toMatchObject({ effects: [], risks: [], blockers: [], estimateMs: 0 });
    expect(again.notes).toEqual(['Node group green exists already and is used as it is.']);
    expect(again.facts).toEqual(plan.facts);
    expect([...(again.outputs.nodes as string[])].sort()).toEqual(nodes);
    expect(await demo.perform(create, again)).toMatchObject({ before: 'done', acts: 0 });
    expect(await nodesOf('green')).toEqual(nodes);
  });

  test.each(['lose-answer', 'lose-request'] as const)('makes one group though a connection breaks (%s).', async (treatment) => {
    const plan = await demo.plan(create, green);
    demo.proxy.treat = once(isCreation, treatment);
    await demo.perform(create, plan);
    expect(creations()).toBeGreaterThan(1);
    expect(await nodesOf('green')).toHaveLength(3);
  });

  test('survives that no answer ever comes back: the next look finds the group.', async () => {
    const plan = await demo.plan(create, green);
    demo.proxy.treat = (request) => (isCreation(request) ? 'lose-answer' : 'pass');
    const performance = await demo.perform(create, plan);
    expect(performance.passed).toEqual({ 'aws-unreachable': 1 });
    expect(performance).toMatchObject({ before: 'todo', acts: 1 });
    expect(await nodesOf('green')).toHaveLength(3);
  });

  test('takes over an equal group that somebody else made meanwhile.', async () => {
    const plan = await demo.plan(create, green);
    await createAsSomebodyElse();
    expect(await demo.perform(create, plan)).toMatchObject({ before: 'moving', acts: 0 });
  });

  test('is stuck on a different group that somebody else made meanwhile, and leaves it alone.', async () => {
    const plan = await demo.plan(create, green);
    await createAsSomebodyElse({ instanceTypes: ['m6i.2xlarge'] });
    expect(await failureOf(demo.perform(create, plan))).toEqual({
      code: 'action-stuck',
      message: 'Node group green is not the one that was planned: it differs in instanceTypes.',
      remedy: 'Choose another name for the new node group, or delete the old one.',
    });
  });

  test('asks again where the request did not get through, instead of missing a group that was never made.', async () => {
    const plan = await demo.plan(create, green);
    // As often as the SDK sends it by itself.
    demo.sandbox.world.faults.next({ operation: 'CreateNodegroup', kind: 'error', times: 3 });
    const performed = await demo.perform(create, plan);
    expect(performed).toMatchObject({ before: 'todo', acts: 2, passed: { 'aws-busy': 1 }, outputs: { nodegroup: 'green' } });
  });

  test('goes on waiting where EKS does not know the group yet that it has just taken on to make.', async () => {
    const plan = await demo.plan(create, green);
    await demo.act(create, plan);
    const { faults } = demo.sandbox.world;
    faults.set({ rate: 0, staleMs: 600_000 });
    faults.next({ operation: 'DescribeNodegroup', kind: 'staleRead' });
    const { state } = await demo.observe(create, plan, { acted: true });
    expect(['moving', 'done']).toContain(state);
    expect(demo.report().counters.faults).toEqual({ staleRead: 1 });
  });

  test('is stuck where somebody deletes the group while it waits, until it is told to try again.', async () => {
    const plan = await demo.plan(create, green);
    await demo.perform(create, plan);
    await demo.clients.eks(region).send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'green' }));
    expect(await failureOf(demo.perform(create, plan))).toMatchObject({ message: 'Node group green is being deleted.' });
    await eventually('the group to be gone', async () => ((await demo.observe(create, plan)).state === 'todo' ? true : undefined));
    expect(await failureOf(demo.perform(create, plan))).toEqual({
      code: 'action-stuck',
      message: 'Node group green has been deleted by somebody else since this step made it.',
      remedy: 'Find out who deleted it; try again to have it made anew, or abort the run.',
    });
    await demo.perform(create, plan, { context: { retry: 1 } });
    expect(await nodesOf('green')).toHaveLength(3);
  });

  test('tells what EKS says where the group cannot be made.', async () => {
    demo.eks.setNodegroupIssue('demo', 'green', { code: 'AsgInstanceLaunchFailures', message: 'No m6i.large left', resourceIds: [] });
    const plan = await demo.plan(create, green);
    const failure = await failureOf(demo.perform(create, plan));
    expect(failure.message).toMatch(/^EKS could not create node group green \(CREATE_FAILED\): /);
    expect(failure.message).toContain('AsgInstanceLaunchFailures: No m6i.large left');
    expect(failure.remedy).toBe('Put right what EKS reports, delete the failed node group, then try again.');
  });
});

describe('the rollback', () => {
  const callsFor = (nodes: string[]): Undo => [
    { uses: 'kubernetes.drain', with: { nodes, alsoCordoned: true } },
    { uses: 'eks.deleteNodegroup', with: { nodegroup: 'green', createdBy: 'r-1' } },
  ];

  test('moves the pods off the group within their budgets and deletes it; gone twice, it does nothing.', async () => {
    await demo.stop();
    demo = await startCluster(worldWith([deployment('web', 4), budget('web', { maxUnavailable: 1 })]));
    const plan = await demo.plan(create, green);
    await demo.perform(create, plan);
    const drain = await demo.plan('kubernetes.drain', { nodes: await nodesOf('blue'), nodesAtOnce: 3 });
    await demo.perform('kubernetes.drain', drain);
    await takeBack(demo, 'kubernetes.drain', drain);
    expect(await undoOf(demo, create, plan)).toEqual(callsFor(await nodesOf('green')));
    const [drainBack, deletion] = await planUndo(demo, create, plan);
    expect(drainBack.plan.effects.map(({ object }) => object)).toContain('Deployment shop/web');
    // Planned as it will be when the drain is done.
    expect(deletion?.plan).toMatchObject({ blockers: [], effects: [{ object: 'Nodegroup/demo/green', change: 'delete' }, {}, {}, {}] });
    await takeBack(demo, create, plan);
    const blue = await nodesOf('blue');
    expect((await demo.pods()).every(({ spec }) => blue.includes(spec?.nodeName ?? ''))).toBe(true);
    expect(demo.report()).toMatchObject({ violations: [], counters: { evictionsGranted: 8 } });
    await eventually('the world to be as before', () => (demo.sandbox.world.leftovers().leftovers.length === 0 ? true : undefined));
    expect(await undoOf(demo, create, plan)).toEqual({ nothing: 'There is no node group green (any more).' });
  });

  test('does not delete a group with pods on nodes that have come since the drain was planned.', async () => {
    await demo.stop();
    demo = await startCluster(worldWith([deployment('web', 3)]));
    const plan = await demo.plan(create, green);
    await demo.perform(create, plan);
    const [drain, deletion] = await planUndo(demo, create, plan);
    const scalingConfig = { desiredSize: 5 };
    await demo.clients.eks(region).send(new UpdateNodegroupConfigCommand({ clusterName: 'demo', nodegroupName: 'green', scalingConfig }));
    await eventually('the new nodes', async () => ((await nodesOf('green')).length === 5 ? true : undefined));
    // So that new pods can go nowhere else.
    const blue = await demo.plan('kubernetes.cordon', { nodes: await nodesOf('blue') }, { run: 'r-0' });
    await demo.perform('kubernetes.cordon', blue, { context: { run: 'r-0' } });
    await demo.perform(drain.uses, drain.plan, { context: drain.context });
    await demo.others.apps.patchNamespacedDeployment(
      { namespace: 'shop', name: 'web', body: { spec: { replicas: 7 } } },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    );
    const nodes = await nodesOf('green');
    const podsThere = async (): Promise<number> => (await demo.pods()).filter(({ spec }) => nodes.includes(spec?.nodeName ?? '')).length;
    await eventually('pods on the new nodes', async () => ((await podsThere()) > 0 ? true : undefined));
    expect(await failureOf(demo.perform('eks.deleteNodegroup', deletion!.plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/^\d+ pods still run on its nodes: /),
    });
    expect(await nodegroup('green')).toMatchObject({ status: 'ACTIVE' });
  });

  test('waits until a half-made group can be deleted.', async () => {
    // So slow that the group is still being made when its deletion has been planned.
    await demo.stop();
    demo = await startCluster(worldWith([]), { speed: 20 });
    const plan = await demo.plan(create, green);
    await demo.act(create, plan);
    const seen = await demo.observe(create, plan);
    const [, back] = await planUndo(demo, create, plan, seen);
    expect(back?.plan.notes).toEqual(['Node group green is CREATING: EKS deletes it only after that, so that is waited for first.']);
    const performed = await demo.perform('eks.deleteNodegroup', back!.plan);
    expect(performed).toMatchObject({ before: 'moving', passed: {} });
    expect(await nodesOf('green')).toEqual([]);
    expect(demo.sandbox.world.leftovers().leftovers).toEqual([]);
  });

  test('deletes a group that EKS could not make.', async () => {
    demo.eks.setNodegroupIssue('demo', 'green', { code: 'AsgInstanceLaunchFailures', message: 'No m6i.large left', resourceIds: [] });
    const plan = await demo.plan(create, green);
    await failureOf(demo.perform(create, plan));
    await takeBack(demo, create, plan, await demo.observe(create, plan));
    expect(demo.sandbox.world.leftovers().leftovers).toEqual([]);
  });

  test('does not miss a group that EKS has only just taken on to make.', async () => {
    const plan = await demo.plan(create, green);
    await demo.act(create, plan);
    const { faults } = demo.sandbox.world;
    faults.set({ rate: 0, staleMs: 600_000 });
    faults.next({ operation: 'DescribeNodegroup', kind: 'staleRead' });
    const [, back] = await planUndo(demo, create, plan);
    expect(demo.report().counters.faults).toEqual({ staleRead: 1 });
    expect(back?.plan.effects).toContainEqual({ object: 'Nodegroup/demo/green', change: 'delete' });
  });

  test.each([
    ['somebody', undefined, 'it carries no tag holdpoint.dev/run'],
    ['another run', { 'holdpoint.dev/run': 'r-0' }, 'run r-0 has'],
  ])('leaves a group alone that %s has made.', async (_who, tags, whose) => {
    const plan = await demo.plan(create, green);
    await createAsSomebodyElse({ tags });
    await demo.perform(create, plan);
    const reason = `Node group green stays as it is: run r-1 has not made it, ${whose}.`;
    expect(await undoOf(demo, create, plan)).toEqual({ nothing: reason });
    // Somebody may have put it in the place of the run's own after the rollback was planned.
    const again = await demo.plan('eks.deleteNodegroup', { nodegroup: 'green', createdBy: 'r-1' });
    expect(again).toMatchObject({ effects: [], risks: [], blockers: [], notes: [reason] });
    expect(await demo.perform('eks.deleteNodegroup', again)).toMatchObject({ before: 'done', acts: 0, summary: reason });
    await demo.act('eks.deleteNodegroup', again);
    expect(await nodegroup('green')).toMatchObject({ status: 'ACTIVE' });
  });
});
