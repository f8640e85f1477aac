import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import type { ActionContext } from '../../domain/action.ts';
import { bumpRevisionFor, restorePathsOf, type RestorePaths } from '../../domain/etcd/restore.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { placeIn } from '../../domain/run/place.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { StoredBackup } from '../backup/store.ts';
import type { Clients } from '../clients.ts';
import { openBackups, type OpenBackups } from './backup.ts';
import { chosen } from './choose-backup.ts';
import { createEtcdClient } from './client.ts';
import { fetchBackup } from './fetch-backup.ts';
import { isListening, machineOf, requireHere, type MachineFacts } from './machine.ts';
import { findProgram, runProgram } from './programs.ts';
import { copyOf, requireRoom, takeSnapshot } from './snapshot.ts';

const name = 'etcd.prepareRestore';
const restoreTimeoutMs = 30 * 60_000;
/** What a disk and a core give together, from the place to a directory that etcd can start over. */
const bytesPerMsExpected = 20_000;
const estimateMin = 5_000;
const noteBytesMax = 4096;

type PrepareFacts = MachineFacts & { place: string; backup: string; sha256: string; initialCluster: string; bumpRevision: number };

/** What is written down beside restored data: which backup they are, and what was kept of the member before. */
const noteShape = z.strictObject({ backup: z.string(), sha256: z.string(), before: z.string() });
export type RestoreNote = z.output<typeof noteShape>;

/** `etcd.prepareRestore`: a backup is restored beside the data of a member, on its machine, while that may still serve. */
export function prepareRestoreAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, PrepareFacts>({
    declaration: actions[name],
    plan: async ({ member, backup: wanted }, { target }) => {
      const { access, store } = await openBackups(clients, target);
      const machine = machineOf(access, target, member);
      const backup = chosen(await store.list(), wanted);
      const { revision = 0, snapshot } = backup?.manifest.statement ?? {};
      const initialCluster = Object.entries(access.members ?? {}).map(([one, { peerUrl }]) => `${one}=${peerUrl}`);
      const facts = {
        ...{ ...machine, place: store.path, backup: wanted, sha256: backup?.manifest.file.sha256 ?? '' },
        ...{ initialCluster: initialCluster.sort().join(','), bumpRevision: bumpRevisionFor(revision) },
      };
      const { dataDirectory } = machine.machine;
      const remedy = 'Name another one; `holdpoint backups list` shows them.';
      return {
        ...emptyPlan(facts),
        effects: [
          {
            object: `Member/${member}`,
            change: `restore the backup ${wanted} beside ${dataDirectory}`,
            after: { initialCluster: facts.initialCluster },
          },
        ],
        blockers: backup ? [] : [{ object: `Backup/${wanted}`, reason: `There is no backup ${wanted}, or its file was deleted.`, remedy }],
        estimateMs: Math.max(estimateMin, (snapshot?.bytes ?? 0) / bytesPerMsExpected),
      };
    },
    observe: async ({ facts }, context) => {
      await requireHere(clients, facts, context, name);
      const paths = restorePathsOf(facts.machine.dataDirectory, context.run);
      const note = await readNote(paths);
      // Exchanged already: the data are in use.
      const isThere = note !== undefined && ((await isDirectory(paths.restored)) || (await isDirectory(paths.kept)));
      if (!isThere) return { state: 'todo', untouched: true };
      if (note.sha256 !== facts.sha256) throw refused(`${paths.restored} holds the backup ${note.backup}`, facts, context.target);
      const summary = `${facts.member} has the backup ${note.backup} ready in ${paths.restored}`;
      const progress = { summary, done: 1, total: 1, unit: 'members', items: [] };
      return { state: 'done', outputs: { member: facts.member, sha256: note.sha256, before: note.before }, progress };
    },
    act: async ({ facts }, context) => {
      await requireHere(clients, facts, context, name);
      const opened = await openBackups(clients, context.target);
      const backup = chosen(await opened.store.list(), facts.backup);
      if (opened.store.path !== facts.place || backup?.manifest.file.sha256 !== facts.sha256) {
        throw new HoldpointError('plan-does-not-cover', {
          action: name,
          cause: `the backup ${facts.backup} is not the one that was planned`,
        });
      }
      await prepare(opened, backup, facts, context);
    },
    undo: async () => ({ nothing: 'What was restored stays beside the data directory, unused, until somebody removes it.' }),
  });
}

/** An error that says why nothing is restored on a machine. */
export function refused(cause: string, { member }: Pick<MachineFacts, 'member'>, target: Target): HoldpointError {
  return new HoldpointError('restore-refused', { place: placeIn(formatTarget(target), member), cause });
}

/** What stands beside restored data; undefined where nothing does. */
export async function readNote({ note }: RestorePaths): Promise<RestoreNote | undefined> {
  const text = await readFile(note).catch(() => undefined);
  return noteShape.safeParse(text && text.length <= noteBytesMax ? parseJson(text) : undefined).data;
}

/** Whether something is a directory. Throws what the disk says, other than that there is none. */
export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function prepare(opened: OpenBackups, backup: StoredBackup, facts: PrepareFacts, context: ActionContext): Promise<void> {
  const { run, target, signal, report } = context;
  const { member, machine } = facts;
  const paths = restorePathsOf(machine.dataDirectory, run);
  await requireMovable(paths, facts, target);
  const say = (summary: string): void => report({ summary, done: 0, total: 1, unit: 'members', items: [] });
  await rm(paths.unfinished, { recursive: true, force: true });
  const before = await keepSnapshot(opened, facts, paths, context, say);
  try {
    await requireRoom(formatTarget(target), dirname(paths.data), backup.manifest.statement.snapshot.bytes);
    await mkdir(paths.unfinished, { mode: 0o700 });
    const file = join(paths.unfinished, 'snapshot');
    say(`${member} fetches the backup ${backup.name}`);
    await fetchBackup(opened, backup, { file, target, signal });
    say(`${member} restores the backup ${backup.name}`);
    const data = join(paths.unfinished, 'data');
    const flags = [
      ...[`--name=${member}`, `--initial-advertise-peer-urls=${machine.peerUrl}`, `--initial-cluster=${facts.initialCluster}`],
      // A cluster of its own: no member that was left behind can take part in it.
      ...[`--initial-cluster-token=holdpoint-${run}`, `--data-dir=${data}`],
      ...[`--bump-revision=${facts.bumpRevision}`, '--mark-compacted'],
    ];
    const call = { timeoutMs: restoreTimeoutMs, signal };
    const { code, reason } = await runProgram(await findProgram(opened.access, 'etcdutl'), ['snapshot', 'restore', file, ...flags], call);
    if (code !== 0) throw refused(`etcdutl cannot restore the backup ${backup.name}: ${reason}`, facts, target);
    const note: RestoreNote = { backup: backup.name, sha256: facts.sha256, before };
    await writeFile(paths.note, `${JSON.stringify(note)}\n`, { mode: 0o600, flush: true });
    await rename(data, paths.restored);
    await syncFolder(dirname(paths.restored));
  } finally {
    await rm(paths.unfinished, { recursive: true, force: true });
  }
}

/** The data directory must be there, be a directory that can be renamed, and nothing of another kind may be in the way. */
async function requireMovable(paths: RestorePaths, facts: PrepareFacts, target: Target): Promise<void> {
  if (!(await isDirectory(paths.data))) {
    throw refused(`there is no directory ${paths.data}; make an empty one if its data are lost`, facts, target);
  }
  const [own, parent] = await Promise.all([stat(paths.data), stat(dirname(paths.data))]);
  if (own.dev !== parent.dev)
    throw refused(`${paths.data} is where a disk is mounted, and cannot be renamed: name a directory on it`, facts, target);
  if (await isDirectory(paths.kept)) throw refused(`${paths.kept} is there already`, facts, target);
}

/**
 * A snapshot of the member as it is, however broken its cluster is; empty where it gives none. Its data directory is kept in any case, so
 * that a member which does not answer keeps nobody from restoring.
 */
async function keepSnapshot(
  { access }: OpenBackups,
  facts: PrepareFacts,
  paths: RestorePaths,
  { target, signal }: ActionContext,
  say: (summary: string) => void,
): Promise<string> {
  const { member, machine } = facts;
  if (await isFile(paths.snapshot)) return paths.snapshot;
  if (!(await isListening(facts, target))) return '';
  const ownBytes = await stat(join(paths.data, 'member', 'snap', 'db')).then(
    ({ size }) => size,
    () => 0,
  );
  await requireRoom(formatTarget(target), dirname(paths.data), ownBytes);
  say(`${member} is asked for a snapshot of what it has now`);
  const client = createEtcdClient(access, target);
  const one = { id: '', name: member, endpoint: machine.endpoint, isLearner: false, alarms: [] };
  try {
    await takeSnapshot(client, one, { target: formatTarget(target), file: paths.snapshot, signal, onBytes: () => undefined });
    await rm(copyOf(paths.snapshot), { force: true });
    return paths.snapshot;
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'snapshot-interrupted') return '';
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** What was renamed in a folder stays renamed when the power fails. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}
