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
import type { Door } from './raw.ts';
import { realWorld } from './real-world.ts';
import { leaveNothing, until } from './world.ts';

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
