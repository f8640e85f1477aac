import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DeleteNodegroupCommand } from '@aws-sdk/client-eks';
import { differenceLines } from '../../../../cli/plan-view.ts';
import type { JsonObject } from '../../../../domain/json.ts';
import { differenceOf } from '../../../../domain/plan/difference.ts';
import type { ExpectedChange } from '../../../../domain/plan/expected.ts';
import { sealSpan, type ActionPlan, type SpanPlan } from '../../../../domain/plan/plan.ts';
import { nodeSpecOf } from '../../../../sandbox/seed.ts';
import { budget, deployment, until } from '../../../sandbox/kubernetes-fixture.ts';
import { region, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

const green = { name: 'green', like: 'blue' };
const noNode = 'its pods find no node: there is none but those that are drained';
let demo: TestCluster;
let blue: string[];

beforeEach(async () => {
  demo = await startCluster(worldWith([deployment('web', 6), budget('web', { maxUnavailable: 1 }), deployment('api', 4)]));
  blue = await demo.nodeNames();
});

afterEach(() => demo.stop());

function risksOf({ risks }: ActionPlan): string[] {
  return risks.map(({ object, risk }) => `${object}: ${risk}`);
}

/** The plan of a step as people sign it. */
function sealed(uses: string, input: JsonObject, plan: ActionPlan): SpanPlan {
  return sealSpan({ target: 'eks/r/demo', runbook: 'sha256:0', title: 'Drain', inputs: {}, steps: [{ id: 'drain', uses, input, plan }] });
}

async function signedDrain(expected: ExpectedChange[] = []): Promise<SpanPlan> {
  const input = { nodes: blue };
  return sealed('kubernetes.drain', input, await demo.plan('kubernetes.drain', input, { expected }));
}

function told(before: SpanPlan, after: SpanPlan): string[] {
  const plain = (text: string): string => text;
  const colors = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, magenta: plain, cyan: plain };
  return differenceLines(differenceOf(before, after), { colors });
}

async function createGreen(): Promise<void> {
  await demo.perform('eks.createNodegroup', await demo.plan('eks.createNodegroup', green));
}

describe('a drain after a step that brings nodes', () => {
  test('counts on them: its plan is the one that is made when they are there.', async () => {
    expect(risksOf(await demo.plan('kubernetes.drain', { nodes: blue }))).toEqual([`every workload on these nodes: ${noNode}`]);
    const { expects = [] } = await demo.plan('eks.createNodegroup', green);
    const foretold = await signedDrain(expects);
    expect(foretold.steps[0]?.plan).toMatchObject({ risks: [], facts: { destinations: ['node group green'] } });
    await createGreen();
    expect(told(foretold, await signedDrain())).toEqual([]);
  });

  test('is told where there will be too few of them.', async () => {
    const { expects = [] } = await demo.plan('eks.createNodegroup', green);
    const small = expects.map((each) =>
      each.change === 'nodes-added'
        ? { ...each, nodes: each.nodes.map((node) => ({ ...node, allocatable: { ...node.allocatable, pods: '2' } })) }
        : each,
    );
    const plan = await demo.plan('kubernetes.drain', { nodes: blue }, { expected: small });
    expect(risksOf(plan)).toEqual([expect.stringContaining('find no node with room for them')]);
  });
});

test('A drain after others counts on what they do: cordons, nodes that go, nodes that are uncordoned, pods that have moved.', async () => {
  const [first = '', second = '', third = ''] = blue;
  const after = async (expected: ExpectedChange[], nodes = [first]): Promise<ActionPlan> =>
    demo.plan('kubernetes.drain', { nodes }, { expected });
  expect((await after([])).risks).toEqual([]);
  const others = [second, third];
  expect(risksOf(await after([{ change: 'nodes-removed', nodes: others }]))).toEqual([`every workload on these nodes: ${noNode}`]);
  const cordoned: ExpectedChange[] = [{ change: 'nodes-cordoned', nodes: others }];
  expect((await after(cordoned)).facts.destinations).toEqual([]);
  expect((await after([...cordoned, { change: 'nodes-uncordoned', nodes: [second] }])).facts.destinations).toEqual(['node group blue']);
  const { expects = [] } = await demo.plan('kubernetes.drain', { nodes: [first] });
  const again = await after(expects, [first, second]);
  expect(again.effects.filter(({ object }) => object === `Node/${first}`)).toEqual([]);
  expect(again.blockers).toEqual([]);
  expect(again.details.podsByNode).not.toHaveProperty([first]);
  expect(again.details.podsByNode).toHaveProperty([second]);
});

test('The deletion of a node group is not blocked by pods that an earlier step drains, and is by others.', async () => {
  const { expects = [] } = await demo.plan('kubernetes.drain', { nodes: blue });
  const remove = (expected: ExpectedChange[]) => demo.plan('eks.deleteNodegroup', { nodegroup: 'blue' }, { expected });
  expect((await remove(expects)).blockers).toEqual([]);
  expect((await remove([])).blockers).toMatchObject([{ reason: expect.stringContaining('10 pods still run on its nodes') }]);
});

test('What a run cordons is uncordoned by a later step of the same plan, and the nodes are places again on the rollback.', async () => {
  const { expects = [] } = await demo.plan('kubernetes.cordon', { nodes: blue });
  const uncordon = await demo.plan('kubernetes.uncordon', { nodes: blue }, { expected: expects });
  expect(uncordon.effects).toHaveLength(blue.length);
  // As after a drain of blue onto green: the rollback uncordons blue, then drains green.
  await createGreen();
  await demo.perform('kubernetes.drain', await demo.plan('kubernetes.drain', { nodes: blue }));
  const back = await demo.plan('kubernetes.uncordon', { nodes: blue });
  const green = (await demo.nodeNames()).filter((name) => !blue.includes(name));
  const drain = await demo.plan('kubernetes.drain', { nodes: green }, { expected: back.expects ?? [] });
  expect(drain).toMatchObject({ risks: [], blockers: [], facts: { destinations: ['node group blue'] } });
  const without = await demo.plan('kubernetes.drain', { nodes: green });
  expect(risksOf(without).length).toBeGreaterThan(0);
});

describe('what is signed of a drain onto a new node group', () => {
  beforeEach(createGreen);

  test('stays the same while pods move and another node joins.', async () => {
    const before = await signedDrain();
    const old = (await demo.pods()).filter(({ metadata }) => metadata?.labels?.app === 'api').map(({ metadata }) => metadata?.name ?? '');
    await Promise.all(old.map((name) => demo.others.core.deleteNamespacedPod({ namespace: 'shop', name })));
    await until('the pods to be replaced', async () => {
      const pods = (await demo.pods()).filter(({ metadata }) => metadata?.labels?.app === 'api');
      return pods.length === 4 && pods.every(({ metadata }) => !old.includes(metadata?.name ?? ''));
    });
    const [seed] = demo.sandbox.world.seed.clusters;
    const [group] = seed?.nodegroups ?? [];
    if (!seed || !group) throw new Error('the world of a test needs a node group');
    demo.cluster.joinNode(
      nodeSpecOf(seed, { ...group, name: 'green' }, { name: 'one-more', zone: `${region}a`, instanceId: 'i-00000000000000001' }),
    );
    expect((await demo.nodeNames()).length).toBe(7);
    expect(told(before, await signedDrain())).toEqual([]);
  });

  test('is another when the group is gone, and the difference is told in words.', async () => {
    const before = await signedDrain();
    await demo.clients.eks(region).send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'green' }));
    await until('its nodes to be gone', async () => (await demo.nodeNames()).length === blue.length);
    const after = await signedDrain();
    expect(after.hash).not.toBe(before.hash);
    expect(told(before, after)).toEqual([
      '  ~ drain: fact destinations:',
      '      - node group green',
      `  + drain: risk every workload on these nodes: ${noNode}`,
    ]);
  });
});
