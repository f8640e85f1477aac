import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DeleteNodegroupCommand } from '@aws-sdk/client-eks';
import { contextOfLook, type AnyAction } from '../../activities/action.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { actionsOf } from '../../activities/system.ts';
import { perform } from '../../activities/perform.ts';
import { differenceOf } from '../../domain/plan/difference.ts';
import type { ExpectedChange } from '../../domain/plan/expected.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { region, useEnvironment } from '../support/cluster.ts';
import { namespace, nodesOfGroup, startNodegroupWorld } from './nodegroup-world.ts';
import { send, type Door } from './raw.ts';
import { realWorld } from './real-world.ts';
import { leaveNothing, mergePatch, until } from './world.ts';

let sandbox: Sandbox;
let door: Door;

beforeAll(async () => {
  ({ door } = await realWorld());
  sandbox = await startNodegroupWorld();
  useEnvironment(sandbox.url);
});

afterAll(async () => {
  await sandbox.stop();
  // Other tests share the cluster, and count its nodes.
  await leaveNothing(door, namespace, [...(await nodesOfGroup(door, 'blue')), ...(await nodesOfGroup(door, 'green'))]);
});

const context = contextOfLook({ run: 'r-lab', step: 's', target: { kind: 'eks', region, name: 'demo' }, retry: 0 });

function actionOf(name: string): AnyAction {
  const action = actionsOf(createSystems(createClients())).get(name);
  if (!action) throw new Error(`there is no action ${name}`);
  return action;
}

/** The plan of a drain of all of blue, as people sign it. */
async function signedDrain(expected: ExpectedChange[] = []): Promise<SpanPlan> {
  const input = { nodes: await nodesOfGroup(door, 'blue') };
  const plan = await actionOf('kubernetes.drain').plan(input, { ...context, expected });
  return sealSpan({
    target: 'eks/r/demo',
    runbook: 'sha256:0',
    title: 'Drain',
    inputs: {},
    steps: [{ id: 'drain', uses: 'kubernetes.drain', input, plan }],
  });
}

async function carryOut(name: string, input: object): Promise<void> {
  const action = actionOf(name);
  await perform(action, await action.plan(input as never, context), context, {
    onProgress: () => undefined,
    signal: AbortSignal.timeout(60_000),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 200))),
  });
}

// What an upgrade does in Kubernetes besides its nodes; those are in test/lab-kubernetes/whole-run.lab.ts.
test('a NodePool of Karpenter is held and put back as it was', async () => {
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const pools = '/apis/karpenter.sh/v1/nodepools';
  const names = { plural: 'nodepools', singular: 'nodepool', kind: 'NodePool', listKind: 'NodePoolList' };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const versions = [{ name: 'v1', served: true, storage: true, schema }];
  const metadata = { name: 'nodepools.karpenter.sh' };
  const spec = { group: 'karpenter.sh', scope: 'Cluster', names, versions };
  expect(await send(door, 'POST', definitions, { metadata, spec })).toMatchObject({ status: 201 });
  try {
    const pool = { apiVersion: 'karpenter.sh/v1', kind: 'NodePool', metadata: { name: 'general' } };
    const budgets = [{ nodes: '10%' }];
    const create = (): Promise<{ status: number }> => send(door, 'POST', pools, { ...pool, spec: { disruption: { budgets } } });
    await until('the NodePool', async () => (await create()).status === 201);
    const budgetsNow = async (): Promise<unknown> => {
      const { body } = await send(door, 'GET', `${pools}/general`);
      return (body.spec as { disruption: { budgets: unknown } }).disruption.budgets;
    };
    await carryOut('kubernetes.holdKarpenter', {});
    expect(await budgetsNow()).toEqual([...budgets, { nodes: '0', reasons: ['Drifted', 'Underutilized'] }]);
    await carryOut('kubernetes.releaseKarpenter', {});
    expect(await budgetsNow()).toEqual(budgets);
  } finally {
    await send(door, 'DELETE', `${definitions}/${metadata.name}`);
  }
});

test('a bake finds the cluster well, and stops where the pods of a rollout do not become Ready', async () => {
  const bake = { lasts: '0s', recoverWithin: '0s' };
  await carryOut('eks.bake', bake);
  const signed = await actionOf('eks.bake').plan(bake, context);
  const web = `/apis/apps/v1/namespaces/${namespace}/deployments/web`;
  const becomeReadyAfter = async (seconds: string): Promise<void> => {
    const annotations = { 'sandbox.holdpoint.dev/readiness-seconds': seconds };
    expect(await send(door, 'PATCH', web, { spec: { template: { metadata: { annotations } } } }, mergePatch)).toMatchObject({
      status: 200,
    });
  };
  await becomeReadyAfter('36000');
  await until('the bake to stop', async () => (await actionOf('eks.bake').observe(signed, context)).state === 'stuck');
  await becomeReadyAfter('0.5');
  await until('the workload to be well', async () => {
    const { body } = await send(door, 'GET', web);
    const { readyReplicas = 0, updatedReplicas = 0, replicas = 0 } = body.status as Record<string, number | undefined>;
    return readyReplicas === 12 && updatedReplicas === 12 && replicas === 12;
  });
});

test('the plan of a drain rests on the new node group: foretold, there, and another plan when somebody has deleted it', async () => {
  const create = actionOf('eks.createNodegroup');
  const creation = await create.plan({ name: 'green', like: 'blue' }, context);
  const foretold = await signedDrain(creation.expects);
  expect(foretold.steps[0]?.plan.facts.destinations).toEqual(['node group green']);
  await perform(create, creation, context, {
    onProgress: () => undefined,
    signal: AbortSignal.timeout(100_000),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 200))),
  });
  const signed = await signedDrain();
  expect(differenceOf(foretold, signed)).toEqual([]);
  await createClients()
    .eks(region)
    .send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'green' }));
  await until('the nodes of green to go', async () => (await nodesOfGroup(door, 'green')).length === 0);
  const difference = differenceOf(signed, await signedDrain());
  expect(difference).toContainEqual({
    step: 'drain',
    kind: 'changed',
    object: 'fact destinations',
    before: ['node group green'],
    after: [],
  });
  // The other nodes of the cluster stay, and the pods do not take them.
  expect(difference).toContainEqual({
    step: 'drain',
    kind: 'added',
    object: 'risk Deployment shop/web: its pods find no Ready node with the labels that they ask for',
  });
});
