import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { ActionContext, Progress } from '../../domain/action.ts';
import { problemsOfSuccessor, type BackupStatement } from '../../domain/backup/manifest.ts';
import { chooseSource, problemsOfMembers, type EtcdMember } from '../../domain/etcd/members.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import type { BackupPlace } from '../../runbooks/configuration/backups.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import { openKeyKeeper } from '../backup/keys.ts';
import { openBackupStore, type BackupStore, type StoredBackup } from '../backup/store.ts';
import type { Clients } from '../clients.ts';
import { createEtcdClient, type EtcdClient } from './client.ts';
import { lookAtHealth } from './health.ts';
import { copyOf, inspectSnapshot, requireEqualMembers, requireRoom, takeSnapshot, workFile, type SnapshotFacts } from './snapshot.ts';

const name = 'etcd.backup';
/** What a disk of a member and the network give together, and half of it for all that comes after. */
const bytesPerMsExpected = 30_000;
const estimateMinMs = 5_000;
const phases = ['look', 'snapshot', 'verify', 'store', 'done'] as const;

type BackupFacts = { clusterId: string; place: string; key: string; lagMax: number };

/** `etcd.backup`: a snapshot that is proven against the members, encrypted, stored, and read back. */
export function backupAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, BackupFacts>({
    declaration: actions[name],
    plan: async ({ lagMax }, context) => {
      const { target, signal } = context;
      const { access, backups, store } = await openBackups(clients, target);
      const keys = await openKeyKeeper(backups.key);
      const stored = await store.list();
      const health = await lookAtHealth(createEtcdClient(access, target), lagMax, signal);
      const source = chooseSource(health.members, lagMax);
      const sizeBytes = source?.status?.sizeBytes ?? 0;
      const object = `Backup/${formatTarget(target)}`;
      const effect = { object, change: 'store a verified snapshot', after: { place: store.path, encryptedWith: keys.id } };
      const last = stored.at(-1)?.manifest.statement;
      return {
        ...emptyPlan({ clusterId: health.clusterId, place: store.path, key: keys.id, lagMax }),
        effects: ownBackup(stored, context) ? [] : [effect],
        blockers: [
          ...health.problems.map(({ member, reason, remedy }) => ({ object: `${formatTarget(target)}/${member}`, reason, remedy })),
          ...foreign(last, health).map((reason) => ({ object, reason, remedy: remedyOfForeign })),
        ],
        notes: source ? [`The snapshot would be taken of ${source.name} now, which has ${sizeBytes} bytes.`] : [],
        details: { sizeBytes, backups: stored.length, ...(last && { lastTakenAt: last.takenAt, lastRevision: last.revision }) },
        estimateMs: Math.max(estimateMinMs, (2 * sizeBytes) / bytesPerMsExpected),
      };
    },
    observe: async (_plan, context) => {
      const { store } = await openBackups(clients, context.target);
      const own = ownBackup(await store.list(), context);
      if (!own) return { state: 'todo', progress: progressOf('look', 'no backup of this step yet') };
      const outputs = outputsOf(own);
      return { state: 'done', outputs, progress: progressOf('done', `backup ${own.name} at revision ${own.manifest.statement.revision}`) };
    },
    act: async ({ facts }, context) => makeBackup(await openBackups(clients, context.target), facts, context),
    undo: async () => ({ nothing: 'A backup that was made stays: nothing uses it, and it may be needed.' }),
  });
}

const remedyOfForeign =
  'After a restore, give the cluster another `directory` or prefix in holdpoint.yaml; otherwise find out what has happened to it.';

function foreign(last: BackupStatement | undefined, { clusterId, revision }: { clusterId: string; revision: number }): string[] {
  return last
    ? problemsOfSuccessor(last, { clusterId, revision }).map((problem) => `The cluster does not follow its last backup: ${problem}.`)
    : [];
}

/** What one target's backups are reached with. */
export interface OpenBackups {
  access: EtcdAccess;
  backups: BackupPlace;
  store: BackupStore;
}

/** Throws `target-not-configured`, and `backup-place-unusable` where no place is configured. */
export async function openBackups(clients: Clients, target: Target): Promise<OpenBackups> {
  const access = await clients.etcd(target);
  if (access.backups) return { access, backups: access.backups, store: openBackupStore(access.backups.place) };
  const cause = `\`etcd.${target.name}\` in holdpoint.yaml has no \`backups\``;
  throw new HoldpointError('backup-place-unusable', { place: `of ${formatTarget(target)}`, cause });
}

/** The backup of one step of a run: there is one at most, however often the step was begun. */
function ownBackup(stored: readonly StoredBackup[], { run, step }: Pick<ActionContext, 'run' | 'step'>): StoredBackup | undefined {
  if (run === '') return undefined;
  return stored.find(({ manifest: { statement } }) => statement.run === run && statement.step === step);
}

function outputsOf({ name: backup, manifest: { statement } }: StoredBackup): JsonObject {
  return { backup, clusterId: statement.clusterId, revision: statement.revision, takenAt: statement.takenAt };
}

function progressOf(phase: (typeof phases)[number], summary: string): Progress {
  return { summary, done: phases.indexOf(phase), total: phases.length - 1, unit: 'stages', items: [] };
}

async function makeBackup({ access, backups, store }: OpenBackups, facts: BackupFacts, context: ActionContext): Promise<void> {
  const { run, step, signal, report } = context;
  const target = formatTarget(context.target);
  const keys = await openKeyKeeper(backups.key);
  if (store.path !== facts.place || keys.id !== facts.key) {
    throw new HoldpointError('plan-does-not-cover', {
      action: name,
      cause: `${store.path} and the key ${keys.id} are not what was planned`,
    });
  }
  const stored = await store.list();
  if (ownBackup(stored, context)) return;
  const client = createEtcdClient(access, context.target);
  const { members, source } = await chooseHealthy(client, facts, target, signal);
  await store.claim(facts.clusterId);
  await requireRoom(target, store.workRoot, source.status?.sizeBytes ?? 0);
  const file = await workFile(store.workRoot, `${run}.${step}`, 'snapshot');
  try {
    const takenAt = new Date().toISOString();
    const onBytes = (bytes: number): void => report(progressOf('snapshot', `${Math.max(0, bytes)} bytes of ${source.name}`));
    const taken = await takeSnapshot(client, source, { target, file, signal, onBytes });
    report(progressOf('verify', 'the snapshot is held against the members'));
    const snapshot = await inspectSnapshot(access, target, file, signal, taken);
    requireSuccessor(snapshot, { target, clusterId: facts.clusterId, source, last: stored.at(-1) });
    const equalTo = await requireEqualMembers(client, members, snapshot, { target, source, signal });
    const statement: BackupStatement = {
      ...{ target, clusterId: facts.clusterId, run, step, takenAt, member: source.name, etcdVersion: source.status?.version ?? '' },
      ...{ revision: snapshot.hashRevision, compactRevision: snapshot.compactRevision, hashKv: snapshot.hash, equalTo },
      ...{ keys: snapshot.keys, snapshot: snapshot.file },
    };
    report(progressOf('store', 'the snapshot is encrypted, stored and read back'));
    const kept = await store.putFile(unchanged(file, snapshot, target), statement, keys, signal);
    const isFirst = await store.putManifest({ statement, file: kept, key: keys.id }, stored);
    // Where another backup has come first, this one is made anew behind it. It may be this very one, whose answer was lost.
    if (!isFirst && !ownBackup(await store.list(), context)) await store.forget(kept);
  } finally {
    for (const name of [file, copyOf(file)]) await rm(name, { force: true });
  }
}

/** Throws `snapshot-refused` where the cluster is not the planned one, or not well; it is looked at anew before each snapshot. */
async function chooseHealthy(
  client: EtcdClient,
  { clusterId, lagMax }: BackupFacts,
  target: string,
  signal: AbortSignal,
): Promise<{ members: EtcdMember[]; source: EtcdMember }> {
  const refused = (cause: string, remedy?: string): HoldpointError => new HoldpointError('snapshot-refused', { target, cause }, { remedy });
  const members = await client.members(signal);
  const [problem] = problemsOfMembers(members, lagMax);
  if (problem) throw refused(`${problem.member}: ${problem.reason.replace(/\.$/, '')}`, problem.remedy);
  const found = members.find(({ status }) => status?.clusterId !== clusterId)?.status?.clusterId;
  if (found !== undefined) throw refused(`its endpoints lead to the cluster ${found}, and the plan is for ${clusterId}`);
  const source = chooseSource(members, lagMax);
  if (!source) throw refused('no member is fit to give a snapshot');
  return { members, source };
}

interface Predecessors {
  target: string;
  clusterId: string;
  source: EtcdMember;
  last: StoredBackup | undefined;
}

/** A snapshot may not be older than what was seen of its member before, or than the backup before it. */
function requireSuccessor({ hashRevision: revision }: SnapshotFacts, { target, clusterId, source, last }: Predecessors): void {
  const seen = source.status?.revision ?? 0;
  const problems = last ? problemsOfSuccessor(last.manifest.statement, { clusterId, revision }) : [];
  if (revision < seen) problems.push(`its revision ${revision} is older than ${seen}, which ${source.name} had before`);
  const [cause] = problems;
  if (cause !== undefined) throw new HoldpointError('snapshot-refused', { target, cause }, { remedy: remedyOfForeign });
}

/** The bytes of a snapshot; ends with `snapshot-refused` where they are not those that were verified. */
async function* unchanged(file: string, { file: { sha256 } }: SnapshotFacts, target: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) {
    hash.update(chunk as Buffer);
    yield chunk as Buffer;
  }
  if (`sha256:${hash.digest('hex')}` !== sha256) {
    throw new HoldpointError('snapshot-refused', { target, cause: 'the file was changed after it was verified' });
  }
}
