import { bumpRevisionFor } from '../../domain/etcd/restore.ts';
import { formatTarget } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { StoredBackup } from '../backup/store.ts';
import type { Clients } from '../clients.ts';
import { openBackups } from './backup.ts';

const name = 'etcd.chooseBackup';
const estimateMs = 1_000;

type ChosenFacts = { place: string; backup: string; sha256: string; takenAt: string; revision: number; members: string[] };

/** `etcd.chooseBackup`: from which backup a cluster is restored, and onto which members. */
export function chooseBackupAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, ChosenFacts>({
    declaration: actions[name],
    plan: async ({ backup: wanted }, { target }) => {
      const { access, store } = await openBackups(clients, target);
      const backup = chosen(await store.list(), wanted);
      const members = Object.keys(access.members ?? {}).sort();
      const { takenAt = '', revision = 0 } = backup?.manifest.statement ?? {};
      const facts = {
        place: store.path,
        backup: backup?.name ?? '',
        sha256: backup?.manifest.file.sha256 ?? '',
        takenAt,
        revision,
        members,
      };
      const object = `Backup/${backup?.name ?? wanted ?? formatTarget(target)}`;
      const reason = wanted === undefined ? 'There is no backup yet.' : `There is no backup ${wanted}, or its file was deleted.`;
      const noMembers = `\`etcd.${target.name}\` of holdpoint.yaml has no \`members\`.`;
      return {
        ...emptyPlan(facts),
        blockers: [
          ...(backup ? [] : [{ object, reason, remedy: 'Name another one; `holdpoint backups list` shows them.' }]),
          ...(members.length > 0 ? [] : [{ object: formatTarget(target), reason: noMembers, remedy: 'Name the machine of every member.' }]),
        ],
        notes: backup ? [noteOf(backup)] : [],
        outputs: outputsOf(facts),
        estimateMs,
      };
    },
    observe: async ({ facts }, { target }) => {
      const { store } = await openBackups(clients, target);
      const backup = chosen(await store.list(), facts.backup);
      if (backup?.manifest.file.sha256 !== facts.sha256) {
        return {
          state: 'stuck',
          reason: `The backup ${facts.backup} is not what was planned, or is gone.`,
          remedy: 'Abort the run, and plan anew.',
        };
      }
      const progress = { summary: `backup ${facts.backup} of ${facts.takenAt}`, done: 1, total: 1, unit: 'backups', items: [] };
      return { state: 'done', outputs: outputsOf(facts), progress };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

/** A backup whose file is kept: the named one, or the newest. */
export function chosen(stored: readonly StoredBackup[], wanted: string | undefined): StoredBackup | undefined {
  const kept = stored.filter(({ isDeleted }) => !isDeleted);
  return wanted === undefined ? kept.at(-1) : kept.find(({ name: one }) => one === wanted);
}

function noteOf({ name: backup, manifest: { statement } }: StoredBackup): string {
  const first = statement.revision + bumpRevisionFor(statement.revision);
  return `The cluster is brought back as the backup ${backup} has it, begun ${statement.takenAt}; its revisions go on from ${first}.`;
}

function outputsOf({ backup, takenAt, revision, members }: ChosenFacts): {
  backup: string;
  takenAt: string;
  revision: number;
  members: string[];
} {
  return { backup, takenAt, revision, members };
}
