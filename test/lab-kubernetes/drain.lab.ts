import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSystems } from '../../activities/catalogue.ts';
import { actionsOf } from '../../activities/system.ts';
import { contextOfLook } from '../../activities/action.ts';
import { createClients } from '../../activities/clients.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import { untilSettled } from '../../lab/workloads.ts';
import { readKubeconfig, requester } from '../../lab/kubernetes-access.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { region, useEnvironment } from '../support/cluster.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { namespace, needed, nodesOfGroup, podsOn, startNodegroupWorld } from './nodegroup-world.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { eventually, leaveNothing, until, type PodSeen } from './world.ts';

const nodesDrained = 3;
/** The real cluster is asked this seldom at least; its clock cannot be sped up. */
const waitMaxMs = 200;

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
  await leaveNothing(door, namespace, await nodesOfGroup(door, 'blue'));
});

const context = contextOfLook({ run: 'r-lab', step: 's', target: { kind: 'eks', region, name: 'demo' }, retry: 0 });

async function carryOut(name: string, input: object): Promise<Performance> {
  const action = actionsOf(createSystems(createClients())).get(name);
  if (!action) throw new Error(`there is no action ${name}`);
  const plan = await action.plan(input as never, context);
  expect(plan.blockers).toEqual([]);
  return perform(action, plan, context, {
    onProgress: () => undefined,
    signal: AbortSignal.timeout(100_000),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, waitMaxMs))),
  });
}

describe('node groups whose nodes are in a real cluster', () => {
  test('a drain empties nodes, and somebody who watches never sees a budget broken', async () => {
    const nodes = (await nodesOfGroup(door, 'blue')).slice(0, nodesDrained);
    const before = await podsOn(door, nodes);
    expect(before.length).toBeGreaterThan(nodesDrained);
    const watcher = await BudgetWatcher.start(door, namespace, needed);
    const { before: look, acts } = await carryOut('kubernetes.drain', { nodes, nodesAtOnce: 2 });
    watcher.stop();
    expect([look, acts > 1]).toEqual(['todo', true]);
    expect(await podsOn(door, nodes)).toEqual([]);
    const { moments, below, fewest } = watcher.sighting;
    expect({ below, fewest }).toEqual({ below: 0, fewest: needed });
    expect(moments).toBeGreaterThan(3 * before.length);
  });

  test('the watcher does see it where pods are deleted without asking', async () => {
    await requesterSettled();
    const watcher = await BudgetWatcher.start(door, namespace, needed);
    const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dweb`);
    for (const { metadata } of (body.items as PodSeen[]).slice(0, 3)) {
      await send(door, 'DELETE', `/api/v1/namespaces/${namespace}/pods/${metadata.name}`);
    }
    await until('the watcher to see it', async () => watcher.sighting.below > 0);
    watcher.stop();
    expect(watcher.sighting.fewest.web).toBeLessThan(needed.web);
  });

  test('a new node group brings real nodes, and takes them with it when it is deleted', async () => {
    await carryOut('eks.createNodegroup', { name: 'green', like: 'blue' });
    const nodes = await nodesOfGroup(door, 'green');
    expect(nodes).toHaveLength(6);
    const { body } = await send(door, 'GET', `/api/v1/nodes/${nodes[0]}`);
    expect(body.status).toMatchObject({ conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready', status: 'True' })]) });
    await carryOut('eks.deleteNodegroup', { nodegroup: 'green' });
    await until('the nodes to go', async () => (await nodesOfGroup(door, 'green')).length === 0);
    const orphans = await eventually('no pod on a node that is gone', async () => {
      const left = await podsOn(door, nodes);
      return left.length === 0 ? left : undefined;
    });
    expect(orphans).toEqual([]);
  });
});

async function requesterSettled(): Promise<void> {
  await untilSettled(requester(await readKubeconfig(labKubeconfig())), { namespace });
}
