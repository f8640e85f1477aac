import type { StatementOfAny } from '../../domain/backup/manifest.ts';
import { judgeRetention, type RetentionRule } from '../../domain/backup/retention.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Effect } from '../../domain/plan/plan.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { msOf } from '../../domain/time.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { BackupStore, OrphanFile, StoredBackup } from '../backup/store.ts';
import type { Clients } from '../clients.ts';
import { openBackups } from './backup.ts';

const estimateMs = 500;

/** A file without a manifest may be one that is stored just now; after this time its backup was given up. */
const orphanAgeMinMs = 24 * 3_600_000;

type DeleteFacts = { place: string; delete: { backup: string; sha256: string }[]; orphans: string[]; newestWithin: string };

/** `etcd.deleteBackups`: the files of old backups go, and those that are of no backup; manifests stay. */
export function deleteBackupsAction(clients: Clients): AnyAction {
  return deletionOf('etcd.deleteBackups', async (target) => (await openBackups(clients, target)).store);
}

/** What backups of any kind are deleted by, in the place that is opened for a target. */
export function deletionOf(
  name: 'etcd.deleteBackups' | 'kubernetes.deleteBackups',
  openStore: (target: Target) => Promise<BackupStore<StatementOfAny>>,
): AnyAction {
  return defineAction<ActionInput<typeof name>, DeleteFacts>({
    declaration: actions[name],
    plan: async ({ newestWithin, ...input }, { target }) => {
      const store = await openStore(target);
      const stored = await store.list();
      const going = deletable(stored, input, input.pinned);
      const orphans = await oldOrphans(store);
      const stale = staleness(stored, newestWithin);
      const unknown = input.pinned.filter((pinned) => !stored.some((backup) => backup.name === pinned));
      const object = `Backups/${formatTarget(target)}`;
      return {
        ...emptyPlan({
          place: store.path,
          delete: going.map(({ name: backup, manifest }) => ({ backup, sha256: manifest.file.sha256 })),
          orphans: orphans.map(({ sha256 }) => sha256),
          newestWithin,
        }),
        effects: effectsOf(going, orphans),
        blockers: [
          ...(stale === undefined ? [] : [{ object, reason: stale, remedy: remedyOfStale }]),
          ...unknown.map((pinned) => ({ object, reason: `There is no backup ${pinned} to pin.`, remedy: 'Correct `pinned`.' })),
        ],
        outputs: { deleted: going.length },
        estimateMs: (going.length + orphans.length) * estimateMs,
      };
    },
    observe: async ({ facts }, { target }) => {
      const store = await openStore(target);
      const left = await planned(await store.list(), facts, store);
      const orphans = (await store.orphans()).filter(({ sha256 }) => facts.orphans.includes(sha256));
      const total = facts.delete.length + facts.orphans.length;
      const done = total - left.length - orphans.length;
      const progress = { summary: `${done} of ${total} files deleted`, done, total, unit: 'files', items: [] };
      return done === total ? { state: 'done', outputs: { deleted: facts.delete.length }, progress } : { state: 'todo', progress };
    },
    act: async ({ facts }, { target, signal }) => {
      const store = await openStore(target);
      const stored = await store.list();
      const stale = staleness(stored, facts.newestWithin);
      if (stale !== undefined) throw new HoldpointError('action-stuck', { cause: stale, remedy: remedyOfStale });
      if (store.path !== facts.place) {
        throw new HoldpointError('plan-does-not-cover', { action: name, cause: `${store.path} is not the place that was planned` });
      }
      for (const backup of await planned(stored, facts, store)) {
        signal.throwIfAborted();
        await store.deleteFile(backup);
      }
      for (const orphan of facts.orphans) {
        signal.throwIfAborted();
        await store.deleteOrphan(orphan);
      }
    },
    undo: async () => ({ noUndo: 'The files of the backups are gone.' }),
  });
}

async function oldOrphans(store: Pick<BackupStore, 'orphans'>): Promise<OrphanFile[]> {
  return (await store.orphans()).filter(({ storedAt }) => Date.now() - msOf(storedAt) > orphanAgeMinMs);
}

function effectsOf(going: readonly StoredBackup<StatementOfAny>[], orphans: readonly OrphanFile[]): Effect[] {
  const backups = going.map(({ name: backup, manifest: { statement } }) => ({
    object: `Backup/${backup}`,
    change: 'delete',
    before: `of ${statement.takenAt}, revision ${statement.revision}`,
    after: 'gone',
  }));
  const files = orphans.map(({ sha256, storedAt }) => ({
    object: `File/${sha256}`,
    change: 'delete',
    before: `of no backup: stored at ${storedAt}, and no manifest names it`,
    after: 'gone',
  }));
  return [...backups, ...files];
}

const remedyOfStale = 'Have a backup made and verified first: old backups are not deleted while new ones fail.';

/** Why nothing is deleted just now. */
function staleness(stored: readonly StoredBackup<StatementOfAny>[], newestWithin: string): string | undefined {
  const newest = stored.findLast(({ isDeleted }) => !isDeleted)?.manifest.statement;
  if (!newest) return undefined;
  const ageMs = Date.now() - msOf(newest.takenAt);
  if (ageMs <= (parseDurationMs(newestWithin) ?? 0)) return undefined;
  return `The newest backup is of ${newest.takenAt}, more than ${newestWithin} ago.`;
}

function deletable(
  stored: readonly StoredBackup<StatementOfAny>[],
  rule: RetentionRule,
  pinned: readonly string[],
): StoredBackup<StatementOfAny>[] {
  const kept = stored.filter(({ isDeleted }) => !isDeleted);
  const verdicts = judgeRetention(
    kept.map(({ name: backup, manifest }) => ({ name: backup, takenAt: manifest.statement.takenAt })),
    rule,
    { pinned, drilled: kept.filter(({ isDrilled }) => isDrilled).map(({ name: backup }) => backup) },
  );
  return kept.filter(({ name: backup }) => verdicts.some((verdict) => verdict.name === backup && verdict.keptFor.length === 0));
}

/** Those of the plan that are still there, by name and file: a manifest of the same name with another file is another backup. */
async function planned(
  stored: readonly StoredBackup<StatementOfAny>[],
  facts: DeleteFacts,
  store: Pick<BackupStore, 'hasFile'>,
): Promise<StoredBackup<StatementOfAny>[]> {
  const left: StoredBackup<StatementOfAny>[] = [];
  for (const { backup, sha256 } of facts.delete) {
    const found = stored.find(({ name: one, manifest }) => one === backup && manifest.file.sha256 === sha256);
    if (found && (!found.isDeleted || (await store.hasFile(found.manifest)))) left.push(found);
  }
  return left;
}
