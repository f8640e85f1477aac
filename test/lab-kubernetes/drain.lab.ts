import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createActions } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import type { ActionContext } from '../../domain/action.ts';
import { untilSettled, workloadManifests, type WorkloadOptions } from '../../lab/workloads.ts';
import { readKubeconfig, requester } from '../../lab/kubernetes-access.ts';
import { startExternalSandbox } from '../../sandbox/external/sandbox.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { region, useEnvironment, worldWith } from '../support/cluster.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { send, type Door } from './raw.ts';
import { fromSetup, realWorld } from './real-world.ts';
import { eventually, inPool, leaveNothing, until, type PodSeen } from './world.ts';

const namespace = 'shop';
const nodesDrained = 3;
/** The real cluster is asked this seldom at least; its clock cannot be sped up. */
const waitMaxMs = 200;
/** Nodes of a node group start in simulated time, their pods in real time. */
const speed = 50;

const workloads: WorkloadOptions[] = [
  { name: 'web', namespace, replicas: 12, budget: { maxUnavailable: 1 } },
  { name: 'cart', namespace, replicas: 6, budget: { minAvailable: '80%' } },
  { name: 'db', namespace, replicas: 3, kind: 'StatefulSet', budget: { maxUnavailable: 1 } },
  { name: 'batch', namespace, replicas: 4 },
];
/** What the budgets come to, worked out by hand: 12 - 1, 80 % of 6 rounded up, 3 - 1. */
const needed = { web: 11, cart: 5, db: 2 };

let sandbox: Sandbox;
let door: Door;

beforeAll(async () => {
  ({ door } = await realWorld());
  const kubeconfig = fromSetup('HOLDPOINT_LAB_KUBECONFIG');
  // On the nodes of the node group only: other tests have nodes of their own in the same cluster.
  const manifests = inPool(
    workloads.flatMap((workload) => workloadManifests({ ...workload, readinessSeconds: 0.5, shutdownSeconds: 0.3 })),
    { pool: 'general' },
  );
  const trouble: string[] = [];
  sandbox = await startExternalSandbox({
    seed: worldWith(manifests, { nodes: 6 }),
    speed,
    randomSeed: 7,
    kubeconfig,
    report: (sentence) => trouble.push(sentence),
  });
  await untilSettled(requester(await readKubeconfig(kubeconfig)), { namespace });
  useEnvironment(sandbox.url);
});

afterAll(async () => {
  await sandbox.stop();
  // Other tests share the cluster, and count its nodes.
  await leaveNothing(door, namespace, await nodesOfGroup('blue'));
});

const context: ActionContext = { run: 'r-lab', step: 's', target: { kind: 'eks', region, name: 'demo' }, retry: 0, acted: false };

async function nodesOfGroup(nodegroup: string): Promise<string[]> {
  const { body } = await send(door, 'GET', `/api/v1/nodes?labelSelector=eks.amazonaws.com%2Fnodegroup%3D${nodegroup}`);
  return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
}

async function podsOn(nodes: readonly string[]): Promise<PodSeen[]> {
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  return (body.items as PodSeen[]).filter(({ spec }) => nodes.includes(spec.nodeName ?? ''));
}

async function carryOut(name: string, input: object): Promise<Performance> {
  const action = createActions(createClients()).get(name);
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
    const nodes = (await nodesOfGroup('blue')).slice(0, nodesDrained);
    const before = await podsOn(nodes);
    expect(before.length).toBeGreaterThan(nodesDrained);
    const watcher = await BudgetWatcher.start(door, namespace, needed);
    const { before: look, acts } = await carryOut('kubernetes.drain', { nodes, nodesAtOnce: 2 });
    watcher.stop();
    expect([look, acts > 1]).toEqual(['todo', true]);
    expect(await podsOn(nodes)).toEqual([]);
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
    const nodes = await nodesOfGroup('green');
    expect(nodes).toHaveLength(6);
    const { body } = await send(door, 'GET', `/api/v1/nodes/${nodes[0]}`);
    expect(body.status).toMatchObject({ conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready', status: 'True' })]) });
    await carryOut('eks.deleteNodegroup', { nodegroup: 'green' });
    await until('the nodes to go', async () => (await nodesOfGroup('green')).length === 0);
    const orphans = await eventually('no pod on a node that is gone', async () => {
      const left = await podsOn(nodes);
      return left.length === 0 ? left : undefined;
    });
    expect(orphans).toEqual([]);
  });
});

async function requesterSettled(): Promise<void> {
  await untilSettled(requester(await readKubeconfig(fromSetup('HOLDPOINT_LAB_KUBECONFIG'))), { namespace });
}
