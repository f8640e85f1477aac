import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findTemporal, startTemporal, type TemporalServer } from '../../lab/temporal.ts';
import type { RunningProcess } from '../../lab/process.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import { region } from '../support/cluster.ts';
import { Scenario, startEnvironment, type Environment } from '../support/scenario.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { followEvictions } from './evictions.ts';
import { namespace, needed, nodesOfGroup, podsOn, startNodegroupWorld } from './nodegroup-world.ts';
import { send, type Door } from './raw.ts';
import { realWorld } from './real-world.ts';
import { leaveNothing, until } from './world.ts';

let door: Door;
let temporal: TemporalServer;
let environment: Environment;
let sandbox: Sandbox;
const workers: RunningProcess[] = [];

beforeAll(async () => {
  ({ door } = await realWorld());
  temporal = await startTemporal({ source: await findTemporal(() => undefined) });
  environment = await startEnvironment('lab', temporal.address);
  sandbox = await startNodegroupWorld();
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await sandbox.stop();
  await environment.stop();
  await temporal.stop();
  // Other tests share the cluster, and count its nodes.
  await leaveNothing(door, namespace, [...(await nodesOfGroup(door, 'blue')), ...(await nodesOfGroup(door, 'green'))]);
});

async function startWorker(): Promise<RunningProcess> {
  const worker = await startWorkerProgram({ ...environment, awsEndpoint: sandbox.url });
  workers.push(worker);
  return worker;
}

test('a node group is rotated, with signatures and record, though the worker is killed in the middle of its drain', async () => {
  const blue = await nodesOfGroup(door, 'blue');
  const before = await podsOn(door, blue);
  expect(before.length).toBe(25);
  const inputs = { region, cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green', nodesAtOnce: 3 };
  const parts = { runbook: 'node-group-rotation', cluster: 'demo', inputs, sandbox, taskQueue: environment.name, writes: () => 0 };
  const scenario = new Scenario(environment, parts);
  const watcher = await BudgetWatcher.start(door, namespace, needed);
  const evictions = await followEvictions(door, namespace, blue);
  const first = await startWorker();
  await scenario.begin();
  const ended = scenario.follow();
  ended.catch(() => undefined);
  await until('a third of the pods to be asked to go', async () => evictions.granted() >= 8);
  await first.kill();
  expect(evictions.granted()).toBeLessThan(before.length);
  await startWorker();
  const state = await ended;
  watcher.stop();
  evictions.stop();
  expect(state.phase).toBe('done');
  const { below, fewest } = watcher.sighting;
  expect({ below, fewest }).toEqual({ below: 0, fewest: needed });
  expect(evictions.granted()).toBe(before.length);
  await until('the old nodes to go', async () => (await nodesOfGroup(door, 'blue')).length === 0);
  const green = await nodesOfGroup(door, 'green');
  expect(await podsOn(door, green)).toHaveLength(before.length);
  const nodes = await Promise.all(green.map((node) => send(door, 'GET', `/api/v1/nodes/${node}`)));
  expect(nodes.filter(({ body }) => (body.spec as { unschedulable?: boolean }).unschedulable)).toEqual([]);
  expect(await scenario.evidence(state)).toMatchObject({ ok: true, ending: 'ended', problems: [] });
}, 400_000);
