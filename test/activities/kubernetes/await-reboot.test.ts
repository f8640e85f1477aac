import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { awaitRebootAction } from '../../../activities/kubernetes/await-reboot.ts';
import { createClients } from '../../../activities/clients.ts';
import type { Checkpoint } from '../../../domain/action.ts';
import type { Json } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import type { KubernetesCluster } from '../../../sandbox/kubernetes/cluster.ts';
import { until } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, replaceNode, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const action = 'kubernetes.awaitReboot';
let demo: TestCluster;
let cluster: KubernetesCluster;
let first: string;
let second: string;
let plan: ActionPlan;

beforeEach(async () => {
  await demo?.stop();
  demo = await startCluster(worldWith([]), { speed: 1_000 });
  cluster = demo.sandbox.world.cluster('demo')!;
  [first = '', second = ''] = (await demo.nodeNames()).sort();
  plan = await demo.plan(action, { nodes: [first, second], within: '1h' });
});
afterAll(() => demo.stop());

test('the plan signs which boot each node runs, and another boot makes another plan', async () => {
  const bootId = cluster.store.get('nodes', '', first)?.status.nodeInfo?.bootID;
  expect(plan).toMatchObject({ effects: [], blockers: [], facts: { nodes: [{ name: first, bootId }, { name: second }], within: '1h' } });
  cluster.rebootNode(first);
  await until('the node to be Ready', () => cluster.nodeReady(first));
  const { facts } = await demo.plan(action, { nodes: [first, second], within: '1h' });
  expect(facts).not.toEqual(plan.facts);
  expect(await failureOf(demo.plan(action, { nodes: ['nobody'] }))).toMatchObject({ code: 'node-unknown' });
});

test('a node without a boot id is refused: nobody could see that it was rebooted', async () => {
  const kubelet = { part: 'cloud', name: 'kubelet', verb: 'update' } as const;
  cluster.store.update('nodes', `/${first}`, kubelet, ({ status }) => void delete status.nodeInfo?.bootID);
  const { blockers } = await demo.plan(action, { nodes: [first, second] });
  expect(blockers).toMatchObject([{ object: `Node/${first}`, reason: expect.stringContaining('no boot id') }]);
});

test('waits until each node has rebooted and is Ready; one that was replaced needs no reboot', async () => {
  expect(await demo.observe(action, plan)).toMatchObject({ state: 'moving', progress: { done: 0, total: 2 } });
  cluster.rebootNode(first);
  const { progress } = await demo.observe(action, plan);
  expect(progress?.items[0]).toMatchObject({ name: first, detail: 'waits for its reboot' });
  await until('the node to be Ready', () => cluster.nodeReady(first));
  expect(await demo.observe(action, plan)).toMatchObject({
    state: 'moving',
    progress: { summary: `${second} waits for its reboot`, done: 1 },
  });
  replaceNode(demo, second);
  expect(await demo.observe(action, plan)).toMatchObject({ state: 'done', outputs: { nodes: [first, second] } });
});

test('a node that has rebooted and is not Ready is waited for', async () => {
  const kubelet = { part: 'cloud', name: 'kubelet', verb: 'update' } as const;
  cluster.store.update('nodes', `/${first}`, kubelet, ({ status }) => {
    status.nodeInfo = { ...status.nodeInfo, bootID: 'another' };
    status.conditions = status.conditions?.map((condition) => (condition.type === 'Ready' ? { ...condition, status: 'False' } : condition));
  });
  const { progress } = await demo.observe(action, plan);
  expect(progress?.items[0]).toMatchObject({ state: 'moving', detail: 'has rebooted and is not Ready yet' });
});

test('stops when the time is over, whatever worker has begun to wait; a retry waits anew', async () => {
  let kept: Json | undefined;
  const checkpoint: Checkpoint = { read: () => kept, write: (value) => void (kept = value) };
  let nowMs = Date.parse('2026-11-29T02:00:00Z');
  const look = (retry: number) => awaitRebootAction(createClients(), () => nowMs).observe(plan, { ...demo.context(), checkpoint, retry });
  expect(await look(0)).toMatchObject({ state: 'moving' });
  nowMs += 3_600_000;
  expect(await look(0)).toMatchObject({
    state: 'stuck',
    reason: `After 1h, 2 of 2 nodes are not back: ${first} waits for its reboot, ${second} waits for its reboot.`,
    remedy: expect.stringContaining('holdpoint retry'),
  });
  expect(await look(1)).toMatchObject({ state: 'moving' });
});
