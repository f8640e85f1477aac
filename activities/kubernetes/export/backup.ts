import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import type { ActionContext, Progress } from '../../../domain/action.ts';
import { consistencyOf, typeNameOf, type ExportStatement } from '../../../domain/backup/export.ts';
import { problemsOfSuccessor, type FileDigest } from '../../../domain/backup/manifest.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { formatTarget, type Target } from '../../../domain/target.ts';
import { cut } from '../../../domain/visible.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import type { BackupPlace } from '../../../runbooks/configuration/backups.ts';
import { defineAction, emptyPlan, type AnyAction } from '../../action.ts';
import { decrypt, encrypt } from '../../backup/encryption.ts';
import { kubernetesBackups } from '../../backup/exports.ts';
import { openKeyKeeper } from '../../backup/keys.ts';
import { openStoreOf, type BackupStore, type StoredBackup } from '../../backup/store.ts';
import type { Clients } from '../../clients.ts';
import { kubernetesError, messageCharactersMax } from '../../failure.ts';
import { diskTrouble } from '../../storage/directory.ts';
import { systemCodeOf, writeUnfinished } from '../../storage/new-file.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { readPatiently } from '../client/list.ts';
import { asksOf, mayI } from '../client/permissions.ts';
import { archiveOf, planExport, revisionNumber, type ExportPlan, type ExportTally } from './archive.ts';
import { discoverTypes, type ServedTypes } from './discover.ts';
import { OtherRevision, RevisionGone, type PageReading } from './read-type.ts';

const name = 'kubernetes.backup';
const estimateMs = 60_000;
/** How often an export is begun anew where the server has forgotten its revision, before each type is read at a moment of its own. */
const revisionsMax = 3;
const dataKeyBytes = 32;
const diskCodes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'];

type BackupFacts = { clusterId: string; place: string; key: string; leaveOut: string[] };

/** `kubernetes.backup`: all objects of a cluster as they were at one revision, encrypted, stored, and read back. */
export function kubernetesBackupAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, BackupFacts>({
    declaration: actions[name],
    plan: async ({ leaveOut }, context) => {
      const { target } = context;
      const { backups, store } = await openExports(clients, target);
      const keys = await openKeyKeeper(backups.key);
      const stored = await store.list();
      const apis = await clients.kubernetes(target);
      const clusterId = await clusterIdOf(apis, target.name);
      const served = await discoverTypes(apis, target.name);
      const object = `Backup/${formatTarget(target)}`;
      const last = stored.at(-1)?.manifest.statement;
      const unknown = leaveOut.filter((left) => !served.types.some((type) => typeNameOf(type) === left));
      const other =
        last && last.clusterId !== clusterId ? [`Its backups are of the cluster ${last.clusterId}, and it is ${clusterId}.`] : [];
      return {
        ...emptyPlan({ clusterId, place: store.path, key: keys.id, leaveOut: [...leaveOut].sort() }),
        effects: ownBackup(stored, context)
          ? []
          : [{ object, change: 'store a backup of all objects', after: { place: store.path, encryptedWith: keys.id } }],
        blockers: [
          ...other.map((reason) => ({ object, reason, remedy: 'Give the cluster a place of its own in `backups` of holdpoint.yaml.' })),
          ...unknown.map((left) => ({ object, reason: `There is no type ${left} to leave out.`, remedy: 'Correct `leaveOut`.' })),
          ...(await missingRights(apis, target.name, wanted(served, leaveOut))),
        ],
        notes: served.leftOut.map(({ type, reason }) => `${type} is not in the backup. ${reason}`),
        details: {
          types: served.types.length,
          backups: stored.length,
          ...(last && { lastTakenAt: last.takenAt, lastObjects: last.objects }),
        },
        estimateMs,
      };
    },
    observe: async (_plan, context) => {
      const { store } = await openExports(clients, context.target);
      const own = ownBackup(await store.list(), context);
      if (!own) return { state: 'todo', progress: progressOf(0, 1, 'no backup of this step yet') };
      const { objects, revision } = own.manifest.statement;
      const summary = `backup ${own.name}: ${objects} objects at revision ${revision}`;
      return { state: 'done', outputs: outputsOf(own), progress: progressOf(1, 1, summary) };
    },
    act: async ({ facts }, context) => makeBackup(clients, facts, context),
    undo: async () => ({ nothing: 'A backup that was made stays: nothing uses it, and it may be needed.' }),
  });
}

/** What the backups of one cluster's objects are reached with. */
export interface OpenExports {
  backups: BackupPlace;
  store: BackupStore<ExportStatement>;
}

/** Throws `backup-place-unusable` where no place is configured. */
export async function openExports(clients: Pick<Clients, 'backups'>, target: Target): Promise<OpenExports> {
  const backups = await clients.backups(target);
  return { backups, store: openStoreOf(backups.place, kubernetesBackups) };
}

/** What tells a cluster from another one, also where it has the same name: the UID of its namespace kube-system. */
export async function clusterIdOf(apis: KubernetesApis, cluster: string): Promise<string> {
  const read = (): Promise<{ metadata: { uid: string } }> => apis.request('GET', '/api/v1/namespaces/kube-system');
  const { metadata } = await readPatiently(read).catch((error: unknown) => {
    throw kubernetesError(error, 'read namespace kube-system', cluster);
  });
  return metadata.uid;
}

function wanted(served: ServedTypes, leaveOut: readonly string[]): ServedTypes {
  return { ...served, types: served.types.filter((type) => !leaveOut.includes(typeNameOf(type))) };
}

/** Most workers may list all; of one that may not, each type is asked for, so that its rule can be as narrow as it has to be. */
async function missingRights(apis: KubernetesApis, cluster: string, { types, aggregated }: ServedTypes) {
  const all = await mayI(apis, cluster, asksOf('*', '*', 'list'));
  if (all.length === 0) return [];
  const own = types.filter((type) => !aggregated.has(typeNameOf(type)));
  return mayI(
    apis,
    cluster,
    own.flatMap(({ group, resource }) => asksOf(group, resource, 'list')),
  );
}

function ownBackup(
  stored: readonly StoredBackup<ExportStatement>[],
  { run, step }: Pick<ActionContext, 'run' | 'step'>,
): StoredBackup<ExportStatement> | undefined {
  if (run === '') return undefined;
  return stored.find(({ manifest: { statement } }) => statement.run === run && statement.step === step);
}

function outputsOf({ name: backup, manifest: { statement } }: StoredBackup<ExportStatement>): JsonObject {
  const { clusterId, revision, takenAt, objects, consistency } = statement;
  return { backup, clusterId, revision, takenAt, objects, consistency };
}

function progressOf(done: number, total: number, summary: string): Progress {
  return { summary, done, total, unit: 'types', items: [] };
}

async function makeBackup(clients: Clients, facts: BackupFacts, context: ActionContext): Promise<void> {
  const { run, step, target, signal, report } = context;
  const { backups, store } = await openExports(clients, target);
  const keys = await openKeyKeeper(backups.key);
  const notPlanned = (cause: string): HoldpointError => new HoldpointError('plan-does-not-cover', { action: name, cause });
  if (store.path !== facts.place || keys.id !== facts.key) {
    throw notPlanned(`${store.path} and the key ${keys.id} are not what was planned`);
  }
  const stored = await store.list();
  if (ownBackup(stored, context)) return;
  const apis = await clients.kubernetes(target);
  const clusterId = await clusterIdOf(apis, target.name);
  if (clusterId !== facts.clusterId) throw notPlanned(`the cluster is ${clusterId} by now, and was ${facts.clusterId}`);
  await store.claim(clusterId);
  const { gitVersion } = await apis.request<{ gitVersion: string }>('GET', '/version').catch((error: unknown) => {
    throw kubernetesError(error, 'read its version', target.name);
  });
  const reading = { cluster: target.name, connect: () => clients.kubernetes(target), signal };
  const served = wanted(await discoverTypes(apis, target.name), facts.leaveOut);
  const exported = await exportToFile(served, store.workRoot, reading, report);
  try {
    const { tally, takenAt, revision, file, digest } = exported;
    const statement: ExportStatement = {
      ...{ target: formatTarget(target), clusterId, run, step, takenAt, revision: revisionNumber(revision, target.name) },
      ...{ serverVersion: cut(gitVersion, messageCharactersMax), consistency: consistencyOf(tally.types) },
      ...{ objects: tally.types.reduce((sum, { objects }) => sum + objects, 0), types: tally.types },
      ...{ leftOut: leftOutOf(served, tally, facts.leaveOut), snapshot: digest },
    };
    const last = stored.at(-1)?.manifest.statement;
    const [cause] = last ? problemsOfSuccessor(last, statement) : [];
    if (cause !== undefined) throw new HoldpointError('snapshot-refused', { target: formatTarget(target), cause });
    report(progressOf(tally.types.length, tally.types.length, `${statement.objects} objects are encrypted, stored and read back`));
    const kept = await store.putFile(
      decrypt(createReadStream(file), async () => exported.dataKey),
      statement,
      keys,
      signal,
    );
    const isFirst = await store.putManifest({ statement, file: kept, key: keys.id }, stored);
    // Where another backup has come first, this one is made anew behind it. It may be this very one, whose answer was lost.
    if (!isFirst && !ownBackup(await store.list(), context)) await store.forget(kept);
  } finally {
    await rm(exported.file, { force: true });
  }
}

function leftOutOf(served: ServedTypes, tally: ExportTally, leaveOut: readonly string[]): ExportStatement['leftOut'] {
  const asked = leaveOut.map((type) => ({ type, reason: 'The run was asked to leave it out.' }));
  return [...asked, ...served.leftOut, ...tally.leftOut].map(({ type, reason }) => ({ type, reason: cut(reason, messageCharactersMax) }));
}

/** An archive in a file that only this process can read, as its key is nowhere else. */
interface ExportedFile {
  file: string;
  dataKey: Uint8Array;
  tally: ExportTally;
  takenAt: string;
  revision: string;
  digest: FileDigest;
}

/** Reads all objects into a file, again at a newer revision where the server has forgotten the one that was begun with. */
async function exportToFile(
  served: ServedTypes,
  workRoot: string,
  reading: PageReading,
  report: ActionContext['report'],
): Promise<ExportedFile> {
  for (let attempt = 1; ; attempt += 1) {
    const takenAt = new Date().toISOString();
    const plan = await planExport(served, reading);
    const revision = plan.revision ?? '';
    const isLast = attempt > revisionsMax;
    try {
      const written = await writeArchive(isLast ? { ...plan, revision: undefined } : plan, workRoot, reading, (done, total, objects) => {
        report(progressOf(done, total, `${objects} objects at revision ${revision}`));
      });
      return { ...written, takenAt, revision };
    } catch (error) {
      if (!(error instanceof RevisionGone || error instanceof OtherRevision)) throw error;
      if (!isLast) continue;
      const cause = `it forgets its revisions faster than its objects can be read (${error.message})`;
      throw new HoldpointError('kubernetes-busy', { call: 'list all objects', cluster: reading.cluster, cause });
    }
  }
}

async function writeArchive(
  plan: ExportPlan,
  workRoot: string,
  reading: PageReading,
  onProgress: (done: number, total: number, objects: number) => void,
): Promise<Pick<ExportedFile, 'file' | 'dataKey' | 'tally' | 'digest'>> {
  // In clear, the Secrets of the cluster would lie on the disk of a worker that is killed.
  const dataKey = randomBytes(dataKeyBytes);
  const tally: ExportTally = { types: [], leftOut: [] };
  const hash = createHash('sha256');
  let bytes = 0;
  const archive = async function* (): AsyncGenerator<Uint8Array> {
    const onType = (done: number): void => {
      const objects = tally.types.reduce((sum, type) => sum + type.objects, 0);
      onProgress(done, plan.types.length, objects);
    };
    for await (const chunk of archiveOf(plan, tally, reading, onType)) {
      reading.signal.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  const file = await writeUnfinished(workRoot, encrypt(archive(), dataKey, { key: {}, statement: '' })).catch((error: unknown) => {
    if (!diskCodes.includes(systemCodeOf(error) ?? '')) throw error;
    throw new HoldpointError('artifact-unwritable', { path: workRoot, cause: diskTrouble(error).why });
  });
  return { file, dataKey, tally, digest: { sha256: `sha256:${hash.digest('hex')}`, bytes } };
}
