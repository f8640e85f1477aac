import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ActionContext } from '../../domain/action.ts';
import type { BackupStatement } from '../../domain/backup/manifest.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { formatTarget } from '../../domain/target.ts';
import { msOf } from '../../domain/time.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { StoredBackup } from '../backup/store.ts';
import type { Clients } from '../clients.ts';
import { openBackups, type OpenBackups } from './backup.ts';
import { fetchBackup } from './fetch-backup.ts';
import { findProgram, runProgram } from './programs.ts';
import { scratchFlags, startScratchMember } from './scratch-member.ts';
import { requireRoom, workFile } from './snapshot.ts';

const name = 'etcd.drill';
const restoreTimeoutMs = 30 * 60_000;
const canaryTimeoutMs = 10_000;
/** What a disk and a core give together, from the place to a member that serves. */
const bytesPerMsExpected = 20_000;
const estimateMinMs = 5_000;

type DrillFacts = { place: string; backup: string; sha256: string };

/** `etcd.drill`: a backup is restored into a member of its own, which has the keys that the manifest names, and takes a new one. */
export function drillAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, DrillFacts>({
    declaration: actions[name],
    plan: async ({ backup: wanted }, { target }) => {
      const { access, store } = await openBackups(clients, target);
      for (const program of ['etcd', 'etcdctl', 'etcdutl'] as const) await findProgram(access, program);
      const kept = (await store.list()).filter(({ isDeleted }) => !isDeleted);
      const backup = wanted === undefined ? kept.at(-1) : kept.find((candidate) => candidate.name === wanted);
      const object = `Backup/${backup?.name ?? wanted ?? formatTarget(target)}`;
      const reason = wanted === undefined ? 'There is no backup yet.' : `There is no backup ${wanted}, or its file was deleted.`;
      const { bytes = 0 } = backup?.manifest.statement.snapshot ?? {};
      return {
        ...emptyPlan({ place: store.path, backup: backup?.name ?? '', sha256: backup?.manifest.file.sha256 ?? '' }),
        effects: backup ? [{ object, change: 'restore beside the cluster, compare, and record the drill' }] : [],
        blockers: backup ? [] : [{ object, reason, remedy: 'Have one made (etcd-backup), or name another one.' }],
        details: { sizeBytes: bytes },
        estimateMs: Math.max(estimateMinMs, bytes / bytesPerMsExpected),
      };
    },
    observe: async ({ facts }, context) => {
      const { store } = await openBackups(clients, context.target);
      const drill = await store.drillOf(facts.backup, context);
      if (!drill) return { state: 'todo' };
      const summary = `backup ${facts.backup} came back after ${drill.restoreMs} ms`;
      const progress = { summary, done: 1, total: 1, unit: 'backups', items: [] };
      return { state: 'done', outputs: { backup: facts.backup, ...drill }, progress };
    },
    act: async ({ facts }, context) => {
      const opened = await openBackups(clients, context.target);
      const stored = (await opened.store.list()).find((candidate) => candidate.name === facts.backup);
      if (opened.store.path !== facts.place || stored?.manifest.file.sha256 !== facts.sha256) {
        throw new HoldpointError('plan-does-not-cover', {
          action: name,
          cause: `the backup ${facts.backup} is not the one that was planned`,
        });
      }
      await drillBackup(opened, stored, context);
    },
    undo: async () => ({ nothing: 'What was restored is gone already.' }),
  });
}

/** For whom a backup is drilled: a step of a run, or somebody by hand. */
export type DrillContext = Pick<ActionContext, 'run' | 'step' | 'target' | 'signal'>;

/**
 * Brings one backup back beside its cluster, and writes down that it came back. Nothing of it is left, however that ends. Throws
 * `backup-unusable` with what is wrong with it.
 */
export async function drillBackup({ access, backups, store }: OpenBackups, backup: StoredBackup, context: DrillContext): Promise<void> {
  const { run, step, target, signal } = context;
  const { statement } = backup.manifest;
  await requireRoom(formatTarget(target), store.workRoot, statement.snapshot.bytes);
  const folder = await workFile(store.workRoot, `${run}.${step}`, 'drill');
  const beganAtMs = Date.now();
  const unusable = (cause: string): HoldpointError => new HoldpointError('backup-unusable', { backup: backup.name, cause });
  try {
    await mkdir(folder, { mode: 0o700 });
    const file = join(folder, 'snapshot');
    await fetchBackup({ access, backups, store }, backup, { file, target, signal });
    const dataDirectory = join(folder, 'data');
    // Of a cluster of its own, so that it can never take part in the one that it is of.
    const flags = [`--data-dir=${dataDirectory}`, ...scratchFlags, `--initial-cluster-token=drill-${randomUUID()}`];
    const call = { timeoutMs: restoreTimeoutMs, signal };
    const restored = await runProgram(await findProgram(access, 'etcdutl'), ['snapshot', 'restore', file, ...flags], call);
    if (restored.code !== 0) throw unusable(`etcdutl cannot restore it: ${restored.reason}`);
    const start = { folder, dataDirectory, etcd: access, target, signal };
    const member = await startScratchMember(await findProgram(access, 'etcd'), start).catch((error: unknown) => {
      signal.throwIfAborted();
      throw unusable(`a member does not start over it: ${error instanceof Error ? error.message : String(error)}`);
    });
    try {
      await requireServing(member.client, statement, folder, signal, unusable);
    } finally {
      await member.stop();
    }
    const endedAtMs = Date.now();
    const ageMs = beganAtMs - msOf(statement.takenAt);
    const drilledAt = new Date(endedAtMs).toISOString();
    await store.recordDrill(backup.name, context, { drilledAt, restoreMs: endedAtMs - beganAtMs, ageMs, revision: statement.revision });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Unusable = (cause: string) => HoldpointError;

/** A member serves what the manifest names, and takes a new key. Throws `backup-unusable`. */
async function requireServing(
  client: Awaited<ReturnType<typeof startScratchMember>>['client'],
  { hashKv, revision }: BackupStatement,
  folder: string,
  signal: AbortSignal,
  unusable: Unusable,
): Promise<void> {
  const [member] = await client.members(signal);
  const served = member && (await client.hashKv(member, revision, signal));
  if (!member || served?.hash !== hashKv)
    throw unusable('a member that was started over it serves other keys than its manifest names (HashKV)');
  const { file, flags } = await client.command(member);
  const call = { timeoutMs: canaryTimeoutMs, signal, cwd: folder };
  const canary = { key: 'holdpoint.dev/drill', value: randomUUID() };
  await runProgram(file, ['put', canary.key, canary.value, ...flags], call);
  const { stdout } = await runProgram(file, ['get', canary.key, '--print-value-only', ...flags], call);
  if (stdout.trim() !== canary.value) throw unusable('a member that was started over it takes no new key');
}
