import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DescribeClusterCommand, DescribeUpdateCommand, ListUpdatesCommand, UpdateClusterVersionCommand } from '@aws-sdk/client-eks';
import type { RunningProcess } from '../../lab/process.ts';
import { readRunbook } from '../../runbooks/library.ts';
import type { WorldSeed } from '../../sandbox/seed.ts';
import { demoRegion } from '../../sandbox/worlds/demo.ts';
import { inputsFor } from '../support/scenarios.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import type { WorldView } from '../support/scenario-world.ts';
import { temporalAddress } from '../support/temporal.ts';
import { until } from '../lab-kubernetes/world.ts';

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

/** The upgrade of a cluster whose node group `teal` goes along, with an add-on that follows the nodes. */
const withNodes = {
  document: readRunbook('cluster-upgrade'),
  inputs: (world: WorldSeed) => ({ ...inputsFor('cluster-upgrade', world, 1), nodegroups: [{ nodegroup: 'teal', newNodegroup: 'jade' }] }),
};

const nodesOf = ({ nodes }: WorldView, group: string): string[] => nodes.filter((node) => node.group === group).map(({ name }) => name);

test('node-group-rotation moves every pod to the new nodes within the budgets, and the old node group goes', async () => {
  const scenario = await environment.raise('node-group-rotation', { taskQueue: environment.name });
  const before = await scenario.world();
  await scenario.begin();
  const state = await scenario.follow();
  expect(state.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
    'preflight done',
    'check-drain done',
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

test('cluster-upgrade bakes with all nodes at the version before, and holds Karpenter from the first signature to the last', async () => {
  const scenario = await environment.raise('cluster-upgrade', { taskQueue: environment.name, instead: withNodes });
  await scenario.begin();
  const atHolds: [string, string[], boolean][] = [];
  let question: string | undefined;
  const state = await scenario.follow({
    atHold: async (hold) => {
      const { nodes, objects } = await scenario.world();
      const kubelets = [...new Set(nodes.map(({ is }) => /v1\.\d+/.exec(is)?.[0] ?? ''))].sort();
      question = (await scenario.look())?.hold?.request.question;
      atHolds.push([hold, kubelets, objects['NodePool /general']!.includes('"nodes":"0"')]);
    },
  });
  expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
  expect(atHolds).toEqual([
    ['sign-control-plane', ['v1.33'], false],
    ['sign-nodes', ['v1.33'], true],
    ['nodes[1]/rotate/sign-drain', ['v1.33', 'v1.34'], true],
    ['nodes[1]/rotate/sign-delete', ['v1.33', 'v1.34'], true],
    ['sign-end', ['v1.33', 'v1.34'], true],
  ]);
  const { objects } = await scenario.world();
  expect(objects['NodePool /general']).toBe(
    '{"spec":{"disruption":{"consolidateAfter":"0s","budgets":[{"nodes":"10%"}]}},"annotations":{}}',
  );
  // A rollback is possible for 7 days from the upgrade, and people are told until when.
  expect(question).toMatch(/EKS takes the control plane back until \d{4}-\d\d-\d\dT[\d:.]+Z/);
  expect(await scenario.leftovers()).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 120_000);

test('cluster-upgrade whose control plane somebody upgrades by hand at its hold has that signed anew, and does not repeat it', async () => {
  const scenario = await environment.raise('cluster-upgrade', { taskQueue: environment.name });
  const name = scenario.cluster;
  const { eks } = scenario;
  await scenario.begin();
  const holds: string[] = [];
  const state = await scenario.follow({
    atHold: async (hold) => {
      holds.push(hold);
      if (holds.length > 1) return;
      await eks.send(new UpdateClusterVersionCommand({ name, version: '1.34' }));
      const statusNow = async () => (await eks.send(new DescribeClusterCommand({ name }))).cluster?.status;
      await until('the control plane', async () => (await statusNow()) === 'ACTIVE');
    },
  });
  expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
  expect(holds).toEqual(['sign-control-plane', 'sign-control-plane', 'sign-nodes', 'sign-end']);
  const { updateIds = [] } = await eks.send(new ListUpdatesCommand({ name }));
  const updates = await Promise.all(updateIds.map((updateId) => eks.send(new DescribeUpdateCommand({ name, updateId }))));
  expect(updates.filter(({ update }) => update?.type === 'VersionUpdate')).toHaveLength(1);
  expect(await scenario.leftovers()).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 120_000);

test('certificate-authority-rotation rotates the node groups that are older than the successor, and nobody has to accept any', async () => {
  const rotations = [
    { nodegroup: 'blue', newNodegroup: 'green' },
    { nodegroup: 'teal', newNodegroup: 'jade' },
  ];
  const scenario = await environment.raise('certificate-authority-rotation', {
    taskQueue: environment.name,
    instead: {
      document: readRunbook('certificate-authority-rotation'),
      inputs: ({ clusters: [cluster] }) => {
        return {
          region: demoRegion,
          cluster: cluster!.name,
          outgoing: cluster!.certificateAuthorityId!,
          nodesAtOnce: 3,
          rotations,
          bake: '1s',
        };
      },
    },
  });
  const before = await scenario.world();
  await scenario.begin();
  const state = await scenario.follow();
  expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
  const after = await scenario.world();
  const sizes = (world: WorldView): number[] => ['blue', 'teal', 'green', 'jade'].map((group) => nodesOf(world, group).length);
  expect([sizes(before), sizes(after)]).toEqual([
    [6, 2, 0, 0],
    [0, 0, 6, 2],
  ]);
  const authorities = Object.entries(after.objects).filter(([name]) => name.startsWith('CertificateAuthority '));
  expect(authorities).toEqual([[expect.not.stringContaining('ca-of-the-beginning'), 'IN_USE COMPLETE']]);
  expect(await scenario.leftovers()).toEqual([]);
  expect(await scenario.troubles(state)).toEqual([]);
}, 180_000);
