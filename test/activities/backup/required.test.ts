import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { contextOfLook, type AnyAction } from '../../../activities/action.ts';
import { openKeyKeeper, type KeyKeeper } from '../../../activities/backup/keys.ts';
import { openBackupStore, type BackupStore } from '../../../activities/backup/store.ts';
import { backupSystem } from '../../../activities/backup/system.ts';
import { createClients } from '../../../activities/clients.ts';
import { perform } from '../../../activities/perform.ts';
import type { BackupStatement } from '../../../domain/backup/manifest.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import { digestOfText } from '../../../domain/plan/plan.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { failureOf } from '../../support/cluster.ts';

const hourMs = 3_600_000;
const never = new AbortController().signal;
const snapshot = 'what is in the cluster';
/** The run works on another target than the one whose backups are asked for. */
const context = contextOfLook({ run: 'r-1', step: 's', target: { kind: 'eks', region: 'eu-central-1', name: 'demo' }, retry: 0 });

let directory: string;
let store: BackupStore;
let keys: KeyKeeper;
let action: AnyAction;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-required-'));
  const file = join(directory, 'backup.key');
  await writeFile(file, randomBytes(32).toString('base64'), { mode: 0o600 });
  keys = await openKeyKeeper({ file });
  const place = { directory: join(directory, 'place') };
  store = openBackupStore(place);
  const access = { endpoints: ['http://127.0.0.1:1'], backups: { place, key: { file } } };
  const clients = createClients({ etcd: async () => ({ prod: access, bare: { endpoints: access.endpoints } }) });
  action = backupSystem(clients).actions[0]!;
});
afterAll(() => rm(directory, { recursive: true }));

async function* bytes(): AsyncGenerator<Buffer> {
  yield Buffer.from(snapshot);
}

async function backUp(hoursAgo: number): Promise<void> {
  const known = await store.list();
  const revision = known.length + 1;
  const statement: BackupStatement = {
    ...{ target: 'etcd/prod', clusterId: '7', run: `r-${revision}`, step: 'backup', member: 'm1', etcdVersion: '3.7.3' },
    ...{ takenAt: new Date(Date.now() - hoursAgo * hourMs).toISOString(), revision, compactRevision: -1, hashKv: 5, equalTo: ['m1'] },
    ...{ keys: 3, snapshot: { sha256: digestOfText(snapshot), bytes: snapshot.length } },
  };
  const file = await store.putFile(bytes(), statement, keys, never);
  await store.putManifest({ statement, file, key: keys.id }, known);
}

async function drill(name: string, hoursAgo: number): Promise<void> {
  const drilledAt = new Date(Date.now() - hoursAgo * hourMs).toISOString();
  await store.recordDrill(name, { run: `drill-${name}`, step: 's' }, { drilledAt, restoreMs: 1, ageMs: 1, revision: 1 });
}

const asked = (input: JsonObject = {}): Promise<ActionPlan> => action.plan({ of: 'etcd/prod', ...input }, context);
const reasons = async (input: JsonObject = {}): Promise<string[]> => (await asked(input)).blockers.map(({ reason }) => reason);
const carriedOut = (plan: ActionPlan): ReturnType<typeof perform> => {
  return perform(action, plan, context, { onProgress: () => undefined, signal: never, wait: context.wait });
};

test('blocks the plan until there is a fresh backup and a fresh drill, and signs for no single backup', async () => {
  expect(await reasons()).toEqual(['There is no backup.']);
  await backUp(30);
  expect(await reasons()).toEqual([expect.stringMatching(/^The newest backup 000001 is of .*, 30 h ago, and may be 26 h old\.$/)]);
  expect(await reasons({ takenWithin: '2d' })).toEqual([]);
  await backUp(1);
  const first = await asked();
  expect(first).toMatchObject({ blockers: [], effects: [], outputs: { backup: '000002' } });
  expect(await reasons({ drilledWithin: '7d' })).toEqual(['No backup was restored in a drill yet.']);
  await drill('000002', 200);
  expect(await reasons({ drilledWithin: '7d' })).toEqual([expect.stringContaining('The last drill, of backup 000002, is of')]);
  // A drill of an older backup may be the newest one.
  await drill('000001', 2);
  expect(await reasons({ drilledWithin: '7d' })).toEqual([]);
  await backUp(0);
  expect((await asked()).facts).toEqual(first.facts);
});

test('is looked at again at its turn: a backup that has become too old, or has gone, stops the run', async () => {
  const plan = await asked({ drilledWithin: '7d' });
  expect(await carriedOut(plan)).toMatchObject({ acts: 0, outputs: { backup: '000003', drilledAt: expect.any(String) } });
  const shorter = { ...plan, facts: { ...plan.facts, drilledWithin: '1h' } };
  expect(await failureOf(carriedOut(shorter))).toMatchObject({
    message: expect.stringMatching(/Of etcd\/prod, the last drill, of backup/),
  });
  const elsewhere = { ...plan, facts: { ...plan.facts, place: '/elsewhere' } };
  expect(await failureOf(carriedOut(elsewhere))).toMatchObject({ code: 'plan-does-not-cover' });
  const [, , newest] = await store.list();
  await rm(join(directory, 'place', 'files', newest!.manifest.file.sha256.slice('sha256:'.length)));
  expect(await failureOf(carriedOut(plan))).toMatchObject({
    code: 'backup-unusable',
    message: expect.stringContaining('is not in the place'),
  });
});

test('refuses what names no place of backups, with the reason', async () => {
  expect(await failureOf(asked({ of: 'prod' }))).toMatchObject({
    code: 'action-input-invalid',
    message: expect.stringContaining('of: Target'),
  });
  expect(await failureOf(asked({ of: 'etcd/none' }))).toMatchObject({ code: 'target-not-configured' });
  expect(await failureOf(asked({ of: 'etcd/bare' }))).toMatchObject({ code: 'backup-place-unusable' });
  expect(await failureOf(asked({ takenWithin: 'soon' }))).toMatchObject({ message: expect.stringContaining('must be a duration') });
});
