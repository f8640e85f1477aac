import { afterEach, expect, test } from '@jest/globals';
import { annotationsAt } from '../../../activities/system.ts';
import { holdTag } from '../../../domain/autoscaling/hold.ts';
import type { AutoScalingGroup } from '../../../sandbox/auto-scaling/group.ts';
import type { AutoScalingGroupSeed, Manifest } from '../../../sandbox/seed.ts';
import { worldWithGroup } from '../../every-action/scenarios.ts';
import { deployment } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const speed = 2_000;
let demo: TestCluster;
afterEach(() => demo.stop());

async function start(manifests: Manifest[] = [], differences: Partial<AutoScalingGroupSeed> = {}): Promise<AutoScalingGroup> {
  demo = await startCluster(worldWithGroup(manifests, differences), { speed });
  return demo.groups[0]!;
}

async function carryOut(action: string, input: Parameters<TestCluster['plan']>[1]): Promise<void> {
  await demo.perform(action, await demo.plan(action, input));
}

test('the nodes of another version are found zone by zone and cut into batches, with what is signed of the group', async () => {
  const group = await start([], { size: 4, onDemandPercentage: undefined });
  const plan = await demo.plan('autoscaling.findNodes', { group: 'workers', launchTemplateVersion: '$Latest', surge: '50%' });
  const [a, b, c] = ['100-0-4', '101-0-4', '102-0-4'].map((address) => `ip-10-${address}.eu-central-1.compute.internal`);
  const second = 'ip-10-100-0-5.eu-central-1.compute.internal';
  const batches = [
    { nodes: [a, b], size: 6 },
    { nodes: [c, second], size: 6 },
  ];
  expect(plan).toMatchObject({ blockers: [], effects: [], facts: { arn: group.arn, size: 4, version: '2' } });
  expect(plan.outputs).toEqual({ nodes: [a, b, c, second], batches, sizeMax: 6, version: '2' });
  const canary = await demo.plan('autoscaling.findNodes', { group: 'workers', launchTemplateVersion: '2', surge: 2, canary: 1 });
  const sizes = [
    { nodes: [a], size: 5 },
    { nodes: [b, c], size: 6 },
    { nodes: [second], size: 5 },
  ];
  expect(canary.outputs.batches).toEqual(sizes);
  const { blockers } = await demo.plan('autoscaling.findNodes', { group: 'workers', launchTemplateVersion: '7' });
  expect(blockers).toMatchObject([{ reason: 'Its launch template lt-0workers has no version 7.' }]);
  expect(await failureOf(demo.plan('autoscaling.findNodes', { group: 'nope' }))).toMatchObject({ code: 'auto-scaling-group-unknown' });
});

test('without capacity the step is stuck with what AWS says, and the nodes stay; undone, nothing is waited for any more', async () => {
  const group = await start([deployment('web', 4)]);
  const before = (await demo.nodes()).map(({ metadata, spec }) => [metadata?.name, spec?.unschedulable]);
  group.shortage = 'We currently do not have sufficient m6i.large capacity in eu-central-1a';
  const plan = await demo.plan('autoscaling.scaleUp', { group: 'workers', to: 4 });
  const failure = await failureOf(demo.perform('autoscaling.scaleUp', plan));
  expect(failure.code).toBe('action-stuck');
  expect(failure.message).toContain('AWS starts no instance of workers: We currently do not have sufficient m6i.large capacity');
  const undo = await demo.undo('autoscaling.scaleUp', plan);
  expect(undo).toEqual([{ uses: 'autoscaling.terminate', with: { group: 'workers', instances: [], sizeAfter: 3 } }]);
  await carryOut('autoscaling.terminate', { group: 'workers', instances: [], sizeAfter: 3 });
  expect(group.desiredSize).toBe(3);
  expect((await demo.nodes()).map(({ metadata, spec }) => [metadata?.name, spec?.unschedulable])).toEqual(before);
  expect(demo.report().violations).toEqual([]);
});

test('an instance that comes with another version than the one that was signed stops the step', async () => {
  const group = await start();
  const plan = await demo.plan('autoscaling.scaleUp', { group: 'workers', to: 4 });
  group.update({ template: { id: 'lt-0workers', version: '2' } });
  expect((await failureOf(demo.perform('autoscaling.scaleUp', plan))).message).toContain('has come with version 2; 1 was planned');
});

test('no instance is ended whose node carries pods, and one whose end was asked for without an answer is not asked for again', async () => {
  const group = await start([deployment('web', 6)]);
  const nodes = (await demo.nodeNames()).sort().slice(0, 2);
  const { blockers } = await demo.plan('autoscaling.terminate', { group: 'workers', nodes });
  expect(blockers).toMatchObject([{ reason: expect.stringMatching(/pods still run on the nodes that go: shop\/web/) }]);
  await carryOut('kubernetes.drain', { nodes, nodesAtOnce: 2 });
  demo.sandbox.world.faults.next({ operation: 'TerminateInstanceInAutoScalingGroup', kind: 'replyLost' });
  await carryOut('autoscaling.terminate', { group: 'workers', nodes });
  expect(group.desiredSize).toBe(1);
  expect(group.instances).toHaveLength(1);
  expect(demo.report().violations).toEqual([]);
});

test('a hold is given back at the end of its run, by a sweep and by nobody else; what was suspended before stays so', async () => {
  const group = await start();
  group.suspend(['ScheduledActions']);
  await carryOut('autoscaling.hold', { group: 'workers', sizeMax: 6 });
  expect([...group.suspended].sort()).toEqual([
    'AZRebalance',
    'AlarmNotification',
    'InstanceRefresh',
    'ReplaceUnhealthy',
    'ScheduledActions',
  ]);
  expect(group.maxSize).toBe(6);
  const other = await demo.plan('autoscaling.hold', { group: 'workers', sizeMax: 6 }, { run: 'r-2' });
  expect(other.blockers).toMatchObject([{ reason: 'Run r-1 holds it.' }]);
  const annotations = annotationsAt(demo.systems, demo.target);
  expect(await annotations.find()).toEqual([{ node: 'AutoScalingGroup/workers', run: 'r-1' }]);
  expect(await annotations.release('r-2')).toEqual([]);
  // A run that has held no group asks nothing of Auto Scaling at its end.
  expect(await annotations.release('r-1', ['kubernetes.drain'])).toEqual([]);
  expect(await annotations.lift({ node: 'AutoScalingGroup/workers', run: 'r-2' })).toBe(false);
  // Killed between what it gives back: the tag still says what is left.
  demo.sandbox.world.faults.next({ operation: 'ResumeProcesses', kind: 'error' });
  await failureOf(annotations.release('r-1'));
  expect(group.tags.get(holdTag)).toBeDefined();
  expect(await annotations.release('r-1')).toEqual(['AutoScalingGroup/workers']);
  expect([[...group.suspended], group.maxSize, group.tags.has(holdTag)]).toEqual([['ScheduledActions'], 4, false]);
});

test('a node of a managed node group is replaced by EKS, and one that carries pods only where people sign that they are lost', async () => {
  demo = await startCluster(worldWith([deployment('web', 3)], { nodes: 3 }), { speed });
  const [node = ''] = (await demo.nodeNames()).sort();
  const refused = await demo.plan('autoscaling.replace', { node });
  expect(refused.blockers).toMatchObject([{ reason: expect.stringContaining('pods still run') }]);
  const accepted = await demo.plan('autoscaling.replace', { node, podsLeft: 'accept' });
  expect(accepted).toMatchObject({ blockers: [], risks: [{ risk: 'pods that still run on it are killed with it' }] });
  await demo.perform('autoscaling.replace', accepted);
  const nodes = await demo.nodeNames();
  expect([nodes.length, nodes.includes(node)]).toEqual([3, false]);
  const hold = await demo.plan('autoscaling.hold', { group: accepted.facts.group ?? '', sizeMax: 9 });
  expect(hold.blockers).toMatchObject([{ reason: expect.stringContaining('belongs to the managed node group') }]);
});
