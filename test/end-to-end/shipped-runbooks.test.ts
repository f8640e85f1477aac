import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunningProcess } from '../../lab/process.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import type { WorldView } from '../support/scenario-world.ts';
import { temporalAddress } from '../support/temporal.ts';

// That each shipped runbook goes through at all, and what it leaves, is in test/every-runbook/.
let environment: Environment;
let worker: RunningProcess;
beforeAll(async () => {
  environment = await startEnvironment('shipped', await temporalAddress());
  worker = await startWorkerProgram(environment);
});
afterAll(async () => {
  await worker.kill();
  await environment.stop();
});

const nodesOf = ({ nodes }: WorldView, group: string): string[] => nodes.filter((node) => node.group === group).map(({ name }) => name);

test('node-group-rotation moves every pod to the new nodes within the budgets, and the old node group goes', async () => {
  const scenario = await environment.raise('node-group-rotation', { taskQueue: environment.name });
  const before = await scenario.world();
  await scenario.begin();
  const state = await scenario.follow();
  expect(state.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
    'preflight done',
    'create done',
    'sign-drain done',
    'drain done',
    'sign-delete done',
    'delete done',
  ]);
  const after = await scenario.world();
  expect([nodesOf(after, 'blue').length, nodesOf(after, 'green').length]).toEqual([0, 6]);
  expect(nodesOf(after, 'teal')).toEqual(nodesOf(before, 'teal'));
  // Every pod is Ready somewhere, and there is nowhere else.
  expect(after).toMatchObject({ atRest: true });
  expect(await scenario.leftovers()).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 120_000);

test('node-group-update has EKS replace every node within the budgets', async () => {
  const scenario = await environment.raise('node-group-update', { taskQueue: environment.name });
  const before = await scenario.world();
  await scenario.begin();
  const state = await scenario.follow();
  expect(state).toMatchObject({ phase: 'done' });
  const after = await scenario.world();
  expect(nodesOf(after, 'blue')).toHaveLength(6);
  expect(nodesOf(after, 'blue').filter((name) => nodesOf(before, 'blue').includes(name))).toEqual([]);
  expect(after.objects['Nodegroup blue']).toContain('1.33.4-20260801');
  expect(await scenario.leftovers()).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 120_000);

test('node-maintenance keeps its nodes empty until the work on them is signed off, and leaves the world as it was', async () => {
  const scenario = await environment.raise('node-maintenance', { taskQueue: environment.name });
  const before = await scenario.world();
  await scenario.begin();
  const atHolds: [string, number][] = [];
  const state = await scenario.follow({
    atHold: async (hold) => {
      const { nodes } = await scenario.world();
      atHolds.push([hold, nodes.filter(({ is }) => is.includes(' cordoned ')).length]);
    },
  });
  expect(state).toMatchObject({ phase: 'done' });
  expect(atHolds).toEqual([
    ['sign-drain', 0],
    ['work-done', 2],
  ]);
  expect(await scenario.differencesSince(before)).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 120_000);
