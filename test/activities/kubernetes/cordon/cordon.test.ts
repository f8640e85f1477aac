import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions, type V1Node } from '@kubernetes/client-node';
import { cordonAnnotation } from '../../../../activities/kubernetes/cordon/owner-annotation.ts';
import { failureOf, replaceNode, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';
import { once, type Treatment } from '../../../support/proxy.ts';
import { takeBack, undoOf } from '../../../support/undo.ts';

let demo: TestCluster;
let names: string[];
const nameAt = (index: number): string => names[index] ?? '';

beforeEach(async () => {
  demo = await startCluster(worldWith([]));
  names = await demo.nodeNames();
});

afterEach(() => demo.stop());

function nodePatches(): number {
  return demo.report().counters.requests['PATCH nodes'] ?? 0;
}

async function patchAsSomebodyElse(name: string, body: object): Promise<void> {
  await demo.others.core.patchNode(
    { name, body, fieldManager: 'kubectl-cordon' },
    setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
  );
}

/** For each node whether it takes pods, and whose mark it carries. */
async function cordons(): Promise<[string, string][]> {
  const stateOf = ({ spec, metadata }: V1Node): [string, string] => [
    spec?.unschedulable === true ? 'cordoned' : 'open',
    metadata?.annotations?.[cordonAnnotation] ?? 'no mark',
  ];
  return (await demo.nodes()).map(stateOf);
}

describe('kubernetes.cordon', () => {
  test('plans one effect for each node, with its UID as a fact, and reads only.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] });
    const nodes = await demo.nodes();
    expect(plan).toEqual({
      effects: [0, 1].map((index) => ({
        object: `Node/${nameAt(index)}`,
        change: 'cordon until the run ends: no new pods come to it',
        before: 'schedulable',
        after: 'unschedulable',
      })),
      facts: { nodes: [0, 1].map((index) => ({ name: nameAt(index), uid: nodes[index]?.metadata?.uid, schedulable: true })) },
      risks: [],
      blockers: [],
      notes: [],
      details: { nodes: [nameAt(0), nameAt(1)] },
      outputs: { nodes: [nameAt(0), nameAt(1)] },
      expects: [{ change: 'nodes-cordoned', nodes: [nameAt(0), nameAt(1)] }],
      estimateMs: 400,
      undoEstimateMs: 400,
    });
    expect(demo.proxy.requests.filter((request) => !request.startsWith('GET '))).toEqual([]);
  });

  test('reads anew what the API server did not answer, three times at most.', async () => {
    const { faults } = demo.sandbox.world;
    faults.next({ operation: 'GET nodes', kind: 'error', times: 2 });
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] });
    expect(plan.effects).toHaveLength(1);
    faults.next({ operation: 'GET nodes', kind: 'error', times: 3 });
    const failure = await failureOf(demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] }));
    expect(failure.code).toBe('kubernetes-unreachable');
    expect(demo.report().counters.faults).toEqual({ error: 5 });
  });

  test('cordons the nodes, marks them with the run and changes nothing when it is done a second time.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] });
    expect(await demo.observe('kubernetes.cordon', plan)).toMatchObject({ state: 'todo', progress: { summary: '0 of 2 nodes cordoned' } });
    const performed = await demo.perform('kubernetes.cordon', plan);
    expect(performed).toEqual({
      outputs: { nodes: [nameAt(0), nameAt(1)] },
      before: 'todo',
      acts: 1,
      passed: {},
      summary: '2 of 2 nodes cordoned',
    });
    expect(await cordons()).toEqual([
      ['cordoned', 'r-1'],
      ['cordoned', 'r-1'],
      ['open', 'no mark'],
    ]);
    expect(nodePatches()).toBe(2);
    await demo.act('kubernetes.cordon', plan);
    expect(await demo.perform('kubernetes.cordon', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(nodePatches()).toBe(2);
    expect(await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] })).toMatchObject({ effects: [], notes: [] });
  });

  test('names a node once though the input names it twice.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(0)] });
    expect(plan.effects).toHaveLength(1);
    expect(plan.outputs).toEqual({ nodes: [nameAt(0)] });
  });

  test('warns of a cordon that is there already, and leaves it to whoever set it, also on the rollback.', async () => {
    await patchAsSomebodyElse(nameAt(0), { spec: { unschedulable: true } });
    const earlier = await demo.plan('kubernetes.cordon', { nodes: [nameAt(1)] }, { run: 'r-0' });
    await demo.perform('kubernetes.cordon', earlier, { context: { run: 'r-0' } });
    const plan = await demo.plan('kubernetes.cordon', { nodes: names });
    expect(plan.notes).toEqual([
      `Node ${nameAt(0)} is cordoned already, by hand or another tool; this run leaves that cordon as it is.`,
      `Node ${nameAt(1)} is cordoned already, by run r-0; this run leaves that cordon as it is.`,
    ]);
    expect(plan.effects.map(({ object }) => object)).toEqual([`Node/${nameAt(2)}`]);
    await demo.perform('kubernetes.cordon', plan);
    const uids = await demo.uidsOf([nameAt(2)]);
    const uncordon = { uses: 'kubernetes.uncordon', with: { nodes: [nameAt(2)], uids, ignoreMissing: true } };
    expect(await undoOf(demo, 'kubernetes.cordon', plan)).toEqual([uncordon]);
    const back = await takeBack(demo, 'kubernetes.cordon', plan);
    expect(back.effects.map(({ object }) => object)).toEqual([`Node/${nameAt(2)}`]);
    expect(await cordons()).toEqual([
      ['cordoned', 'no mark'],
      ['cordoned', 'r-0'],
      ['open', 'no mark'],
    ]);
    expect(demo.report()).toMatchObject({ violations: [], counters: { foreignCordonsLifted: 0 } });
  });

  test('leaves a node alone that has been replaced under its name since the plan was made.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] });
    replaceNode(demo, nameAt(0));
    const performed = await demo.perform('kubernetes.cordon', plan);
    expect(performed.summary).toBe('2 of 2 nodes cordoned');
    const { progress } = await demo.observe('kubernetes.cordon', plan);
    expect(progress?.items[0]).toMatchObject({ name: nameAt(0), state: 'done', detail: 'gone' });
    expect((await cordons())[0]).toEqual(['open', 'no mark']);
    expect(nodePatches()).toBe(1);
  });

  test('has nothing to do for a node that is gone.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] });
    demo.cluster.removeNode(nameAt(0));
    expect(await demo.perform('kubernetes.cordon', plan)).toMatchObject({ before: 'done', acts: 0 });
  });

  test('sets the cordon again where somebody lifts it before the step is done.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] });
    await demo.act('kubernetes.cordon', plan);
    await patchAsSomebodyElse(nameAt(0), { spec: { unschedulable: null } });
    expect(await demo.observe('kubernetes.cordon', plan)).toMatchObject({ state: 'todo' });
    await demo.perform('kubernetes.cordon', plan);
    expect((await cordons())[0]).toEqual(['cordoned', 'r-1']);
  });

  test('looks again where the node is changed while it is being cordoned, and keeps that change.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] });
    let changed = false;
    demo.proxy.treat = async ({ method }): Promise<Treatment> => {
      if (method === 'PATCH' && !changed) {
        changed = true;
        await patchAsSomebodyElse(nameAt(0), { metadata: { labels: { team: 'a' } } });
      }
      return 'pass';
    };
    await demo.perform('kubernetes.cordon', plan);
    const [node] = await demo.nodes();
    expect([node?.spec?.unschedulable, node?.metadata?.labels?.team]).toEqual([true, 'a']);
  });

  test('goes on where the node disappears while it is being cordoned.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] });
    demo.proxy.treat = ({ method, path }) => {
      if (method === 'PATCH' && path.includes(nameAt(0))) demo.cluster.removeNode(nameAt(0));
      return 'pass';
    };
    expect(await demo.perform('kubernetes.cordon', plan)).toMatchObject({ summary: '2 of 2 nodes cordoned' });
  });

  test('cordons a node once though the answer is lost.', async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0)] });
    demo.proxy.treat = once(({ method }) => method === 'PATCH', 'lose-answer');
    const performance = await demo.perform('kubernetes.cordon', plan);
    expect(performance.passed).toEqual({ 'kubernetes-unreachable': 1 });
    expect(performance).toMatchObject({ before: 'todo', acts: 1 });
    expect(nodePatches()).toBe(1);
  });

  test('refuses a node that does not exist, and touches none.', async () => {
    expect(await failureOf(demo.plan('kubernetes.cordon', { nodes: [nameAt(0), 'ip-10-9-9-9', 'other'] }))).toEqual({
      code: 'node-unknown',
      message: 'The cluster demo has no node ip-10-9-9-9, other.',
      remedy: 'Check the name, and whether it has gone since; `kubectl get nodes` shows what is there.',
    });
    expect(nodePatches()).toBe(0);
  });

  test('refuses input that does not fit, naming the field.', async () => {
    expect(await failureOf(demo.plan('kubernetes.cordon', { nodes: ['Not A Node'] }))).toMatchObject({
      code: 'action-input-invalid',
      message: 'The input of kubernetes.cordon does not fit: nodes: 0: must be a Kubernetes node name.',
    });
    expect(await failureOf(demo.plan('kubernetes.cordon', { nodes: [nameAt(0)], cluster: 'prod' }))).toMatchObject({
      code: 'action-input-invalid',
      message: 'The input of kubernetes.cordon does not fit: Unrecognized key: "cluster".',
    });
  });
});

describe('kubernetes.uncordon', () => {
  beforeEach(async () => {
    const plan = await demo.plan('kubernetes.cordon', { nodes: [nameAt(0), nameAt(1)] });
    await demo.perform('kubernetes.cordon', plan);
  });

  test('plans to lift the cordons of its own run only, and lifts them once.', async () => {
    const plan = await demo.plan('kubernetes.uncordon', { nodes: names });
    expect(plan.effects).toEqual(
      [0, 1].map((index) => ({
        object: `Node/${nameAt(index)}`,
        change: 'uncordon: pods may come to it again',
        before: 'unschedulable',
        after: 'schedulable',
      })),
    );
    expect(await demo.perform('kubernetes.uncordon', plan)).toMatchObject({ acts: 1, summary: '2 of 2 nodes uncordoned' });
    expect(await cordons()).toEqual([
      ['open', 'no mark'],
      ['open', 'no mark'],
      ['open', 'no mark'],
    ]);
    expect(nodePatches()).toBe(4);
    expect(await demo.perform('kubernetes.uncordon', plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(nodePatches()).toBe(4);
    expect((await demo.plan('kubernetes.uncordon', { nodes: names })).effects).toEqual([]);
  });

  test('is taken back by cordoning the same nodes; where it lifted none there is nothing to take back.', async () => {
    const plan = await demo.plan('kubernetes.uncordon', { nodes: names });
    await demo.perform('kubernetes.uncordon', plan);
    const uids = await demo.uidsOf([nameAt(0), nameAt(1)]);
    demo.cluster.removeNode(nameAt(1));
    const cordon = { uses: 'kubernetes.cordon', with: { nodes: [nameAt(0), nameAt(1)], uids, ignoreMissing: true } };
    expect(await undoOf(demo, 'kubernetes.uncordon', plan)).toEqual([cordon]);
    const again = await demo.plan('kubernetes.uncordon', { nodes: [nameAt(0), nameAt(2)] });
    expect(await undoOf(demo, 'kubernetes.uncordon', again)).toEqual({ nothing: 'It lifts no cordon.' });
    const back = await takeBack(demo, 'kubernetes.uncordon', plan);
    expect(back.notes).toEqual([`1 node no longer exists and needs nothing: ${nameAt(1)}.`]);
    expect((await cordons())[0]).toEqual(['cordoned', 'r-1']);
    expect((await takeBack(demo, 'kubernetes.uncordon', plan)).effects).toEqual([]);
  });

  test('leaves another node alone that has taken the name of a planned one, even where the run has cordoned that.', async () => {
    const cordoned = await demo.plan('kubernetes.cordon', { nodes: [nameAt(2)] });
    await demo.perform('kubernetes.cordon', cordoned);
    const lifted = await demo.plan('kubernetes.uncordon', { nodes: [nameAt(2)] });
    replaceNode(demo, nameAt(2));
    // Another step of the run has cordoned the new one.
    await demo.perform('kubernetes.cordon', await demo.plan('kubernetes.cordon', { nodes: [nameAt(2)] }));
    await demo.act('kubernetes.uncordon', lifted);
    expect(await takeBack(demo, 'kubernetes.cordon', cordoned)).toMatchObject({
      effects: [],
      notes: [`1 node no longer exists and needs nothing: ${nameAt(2)}.`],
    });
    expect((await cordons()).at(-1)).toEqual(['cordoned', 'r-1']);
  });

  test('a node that is named with another UID is refused as unknown.', async () => {
    const input = { nodes: [nameAt(0)], uids: { [nameAt(0)]: 'u-other' } };
    expect(await failureOf(demo.plan('kubernetes.uncordon', input))).toMatchObject({
      code: 'node-unknown',
      message: `The cluster demo has no node ${nameAt(0)}. The one that has this name now is another node.`,
    });
  });

  test.each(['kubernetes.cordon', 'kubernetes.uncordon'])('%s of no nodes has nothing to do.', async (action) => {
    const plan = await demo.plan(action, { nodes: [] });
    expect(plan).toMatchObject({ effects: [], blockers: [] });
    expect(await demo.perform(action, plan)).toMatchObject({ before: 'done', acts: 0, outputs: { nodes: [] } });
  });

  test('refuses a node that does not exist, unless it is told to pass over those that are gone.', async () => {
    demo.cluster.removeNode(nameAt(1));
    const input = { nodes: [nameAt(0), nameAt(1)] };
    expect(await failureOf(demo.plan('kubernetes.uncordon', input))).toMatchObject({ code: 'node-unknown' });
    const plan = await demo.plan('kubernetes.uncordon', { ...input, ignoreMissing: true });
    expect(plan.effects.map(({ object }) => object)).toEqual([`Node/${nameAt(0)}`]);
    expect(plan.notes).toHaveLength(1);
    expect(await demo.perform('kubernetes.uncordon', plan)).toMatchObject({ acts: 1 });
    const nobody = await demo.plan('kubernetes.uncordon', { nodes: [nameAt(1)], ignoreMissing: true });
    expect(nobody).toMatchObject({ effects: [], facts: { nodes: [] } });
    expect(await demo.perform('kubernetes.uncordon', nobody)).toMatchObject({ before: 'done', acts: 0 });
  });

  test('leaves a cordon that another run has put in the place of its own.', async () => {
    const plan = await demo.plan('kubernetes.uncordon', { nodes: [nameAt(0)] });
    await patchAsSomebodyElse(nameAt(0), { metadata: { annotations: { [cordonAnnotation]: 'r-9' } } });
    expect(await demo.perform('kubernetes.uncordon', plan)).toMatchObject({ before: 'done', acts: 0 });
    await demo.act('kubernetes.uncordon', plan);
    expect((await cordons())[0]).toEqual(['cordoned', 'r-9']);
    expect(demo.report().counters.foreignCordonsLifted).toBe(0);
  });
});
