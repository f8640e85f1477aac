import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { DeleteNodegroupCommand, EKSClient, UpdateNodegroupVersionCommand } from '@aws-sdk/client-eks';
import type { RunState } from '../../domain/run/state.ts';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { groupsOf, leftoversOf, type Groups } from '../../bench/simulation/aftermath.ts';
import type { JsonObject } from '../../domain/json.ts';
import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { region, worldWith } from '../support/cluster.ts';

const oldRelease = '1.33.3-20260415';
const newRelease = '1.33.4-20260801';
const update = { step: 'update', uses: 'eks.updateNodegroupVersion' };
const effects = [{ object: 'Nodegroup/demo/blue', change: 'update its version', before: oldRelease, after: newRelease }];

let sandbox: Sandbox;
let eks: EKSClient;
let directory: string;
let before: Groups;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-aftermath-'));
  sandbox = await startSandbox({ seed: worldWith([]), speed: 2_000, randomSeed: 7, cloud: (world) => createCloud(world).handle });
  eks = new EKSClient({ region, endpoint: sandbox.url, credentials: { accessKeyId: 'tester', secretAccessKey: 'tester' } });
  before = await groupsOf(sandbox, 'demo', eks);
});

afterEach(async () => {
  eks.destroy();
  await sandbox.stop();
  await rm(directory, { recursive: true, force: true });
});

/** What is found to be left by a run that has ended so, with these entries in its record. */
async function found(phase: RunState['phase'], entries: [kind: string, body: object][], leftovers: string[] = []): Promise<string[]> {
  // Each call finds a record of its own.
  const store = createEvidenceDirectory(await mkdtemp(join(directory, 'evidence-')));
  for (const [index, [kind, body]] of entries.entries()) await store.append('r-1', { sequence: index + 1, kind, body: body as JsonObject });
  const evidence = store.pathOf('r-1');
  const state = { phase, evidence, ended: { at: '', reason: '', leftovers } } as unknown as RunState;
  const others = { cordoned: new Set<string>(), updated: new Set<string>() };
  return leftoversOf({ sandbox, cluster: 'demo', eks, before, others, settleMaxMs: 3_000 }, state);
}

async function updateBlue(): Promise<void> {
  await eks.send(new UpdateNodegroupVersionCommand({ clusterName: 'demo', nodegroupName: 'blue', releaseVersion: newRelease }));
}

test('a run that has touched nothing, in a world that is as it was, has left nothing', async () => {
  expect(await found('aborted', [])).toEqual([]);
});

test('an update is no leftover of a run that says that it stays; it is one of a run that says nothing, or that it is undone', async () => {
  await updateBlue();
  const started: [string, object] = ['step.started', { ...update, effects }];
  const said = 'step update (eks.updateNodegroupVersion) was stopped before its end';
  expect(await found('aborted', [started], [said])).toEqual([]);
  const change = `node group blue: it was at ${oldRelease} and is at ${newRelease}, and the run says nothing of it`;
  expect(await found('aborted', [started])).toEqual([change]);
  expect(await found('rejected', [])).toEqual([change]);
  expect(await found('undone', [started, ['step.done', { step: 'update' }]], [said])).toEqual([change]);
  expect(await found('undone', [started], [`step update (eks.updateNodegroupVersion) stays: EKS does not take it back`])).toEqual([]);
}, 40_000);

test('what a look has shown done must be so; what people have vouched for need not', async () => {
  const started: [string, object] = ['step.started', { ...update, effects }];
  const unmet = `node group blue: step update was to bring it to ${newRelease}, and it is at ${oldRelease}`;
  expect(await found('done', [started, ['step.done', { step: 'update' }]])).toEqual([unmet]);
  expect(await found('done', [started, ['step.done', { step: 'update', byHand: true, signedBy: ['ada'] }]])).toEqual([]);
  await updateBlue();
  expect(await found('done', [started, ['step.done', { step: 'update' }]])).toEqual([]);
}, 40_000);

test('a node group that is gone, and nobody has said so, is missed', async () => {
  await eks.send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'blue' }));
  expect(await found('done', [])).toEqual(['node group blue: it is gone, and the run says nothing of it']);
}, 40_000);

test('a cordon of an ended run is left over; one that somebody else has set by hand is theirs', async () => {
  const cluster = sandbox.world.cluster('demo')!;
  const [node] = cluster.store.list('nodes');
  const name = node?.metadata.name ?? '';
  const actor = { part: 'client', name: 'holdpoint', verb: 'update' } as const;
  cluster.store.update('nodes', `/${name}`, actor, ({ spec, metadata }) => {
    spec.unschedulable = true;
    metadata.annotations = { 'holdpoint.dev/cordon': 'r-1' };
  });
  expect(await found('aborted', [])).toEqual([
    `cordon: demo: Node ${name}: This node is cordoned.`,
    `mark: demo: Node ${name}: It carries the annotation holdpoint.dev/cordon=r-1.`,
  ]);
});
