import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ActionContext, Observation } from '../../domain/action.ts';
import { exchangeStageOf, restorePathsOf, type ExchangeStage, type RestorePaths } from '../../domain/etcd/restore.ts';
import { formatTarget } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { openBackups } from './backup.ts';
import { chosen } from './choose-backup.ts';
import { isListening, machineOf, requireHere, type MachineFacts } from './machine.ts';
import { isDirectory, readNote, refused, syncFolder } from './prepare-restore.ts';

const name = 'etcd.exchangeData';
const estimateMs = 1_000;

type ExchangeFacts = MachineFacts & { backup: string; sha256: string; back: boolean };

/** `etcd.exchangeData`: restored data come into the place of the old ones, which are kept; or the other way round. Nothing is deleted. */
export function exchangeDataAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, ExchangeFacts>({
    declaration: actions[name],
    plan: async ({ member, backup: wanted, back }, { target }) => {
      const { access, store } = await openBackups(clients, target);
      const machine = machineOf(access, target, member);
      const backup = chosen(await store.list(), wanted);
      const { dataDirectory } = machine.machine;
      const change = back
        ? `put its old data back into ${dataDirectory}`
        : `put the backup ${wanted} into ${dataDirectory}, and keep its old data beside it`;
      const takenAt = backup?.manifest.statement.takenAt ?? '';
      const risk = `What was written after ${takenAt} is not in the cluster any more; it stays in the old data directory of ${member}.`;
      return {
        ...emptyPlan({ ...machine, backup: wanted, sha256: backup?.manifest.file.sha256 ?? '', back }),
        effects: [{ object: `Member/${member}`, change }],
        risks: back ? [] : [{ object: formatTarget(target), risk }],
        estimateMs,
      };
    },
    observe: async ({ facts }, context) => {
      await requireHere(clients, facts, context, name);
      return observationOf(await lookAt(facts, context), facts);
    },
    act: async ({ facts }, context) => {
      await requireHere(clients, facts, context, name);
      await exchange(await lookAt(facts, context), facts, context);
    },
    undo: async ({ facts: { member, backup } }, _context, seen) => {
      if (isUntouched(seen)) return { nothing: `The old data of ${member} are in their place.` };
      return [{ uses: name, with: { member, backup, back: true } }];
    },
  });
}

interface Directories {
  paths: RestorePaths;
  stage: ExchangeStage;
  listens: boolean;
}

async function lookAt(facts: ExchangeFacts, { run, target }: ActionContext): Promise<Directories> {
  const paths = restorePathsOf(facts.machine.dataDirectory, run);
  const [data, restored, kept] = await Promise.all([paths.data, paths.restored, paths.kept].map(isDirectory));
  const stage = exchangeStageOf({ data: data === true, restored: restored === true, kept: kept === true });
  return { paths, stage, listens: await isListening(facts, target) };
}

const contents: Record<ExchangeStage, string> = {
  before: 'the old data',
  after: 'the restored data',
  between: 'no data for a moment',
  unknown: 'not what it should have',
};

function observationOf({ paths, stage, listens }: Directories, { member, back }: ExchangeFacts): Observation {
  const isDone = stage === (back ? 'before' : 'after');
  const summary = `${paths.data} has ${contents[stage]}`;
  const progress = { summary, done: isDone ? 1 : 0, total: 1, unit: 'members', items: [] };
  if (isDone) return { state: 'done', outputs: { kept: back ? paths.restored : paths.kept }, progress };
  const untouched = stage === 'before';
  if (stage === 'unknown') {
    const reason = `Of ${paths.data}, ${paths.restored} and ${paths.kept}, two have to be there; which ones are says how far it is.`;
    return { state: 'stuck', reason, remedy: `Look at them on the machine of ${member}; nothing there is removed by this step.`, progress };
  }
  if (listens) {
    const remedy = 'Find out what has started it, have that wait, and end the member; then try again.';
    return { state: 'stuck', reason: `${member} runs, and must not while its data are exchanged.`, remedy, progress, untouched };
  }
  return { state: 'todo', progress, untouched };
}

async function exchange({ paths, stage, listens }: Directories, facts: ExchangeFacts, { target }: ActionContext): Promise<void> {
  if (listens) throw refused(`${facts.member} runs`, facts, target);
  const note = await readNote(paths);
  if (note?.sha256 !== facts.sha256) throw refused(`${paths.restored} does not hold the backup ${facts.backup}`, facts, target);
  const aside = facts.back ? ([paths.data, paths.restored] as const) : ([paths.data, paths.kept] as const);
  const into = facts.back ? ([paths.kept, paths.data] as const) : ([paths.restored, paths.data] as const);
  if (stage === (facts.back ? 'after' : 'before')) await rename(...aside);
  await rename(...into);
  await syncFolder(dirname(paths.data));
}
