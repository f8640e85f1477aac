import type { ActionContext } from '../../domain/action.ts';
import { problemsOfFreshness, type FreshnessRule, type Proofs } from '../../domain/backup/freshness.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { formatTarget, TargetError, type Target } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../runbooks/configuration/duration.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { openBackups } from '../etcd/backup.ts';
import { openExports } from '../kubernetes/export/backup.ts';
import type { StatementOfAny } from '../../domain/backup/manifest.ts';
import type { BackupStore } from './store.ts';

const name = 'backup.required';
const estimateMs = 1_000;
const remedy = 'Have a backup made (and drilled, where that is asked for), then try again; `holdpoint backups list` shows what there is.';

/** Which backup it is changes by itself, and so is none of them: what is signed is how fresh it has to be, and where. */
type RequiredFacts = { of: string; place: string; takenWithin: string; drilledWithin?: string };

/** `backup.required`: a run goes on only while what it works on can be brought back. Looked at in the plan, and again at its turn. */
export function requiredAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, RequiredFacts>({
    declaration: actions[name],
    plan: async ({ of, takenWithin, drilledWithin }, context) => {
      const target = targetOf(of, context);
      const store = await openAnyStore(clients, target);
      const proofs = await proofsIn(store);
      const object = `Backups/${formatTarget(target)}`;
      const facts = { of: formatTarget(target), place: store.path, takenWithin, ...(drilledWithin !== undefined && { drilledWithin }) };
      return {
        ...emptyPlan(facts),
        blockers: problemsOfFreshness(proofs, ruleOf(facts), Date.now()).map((problem) => ({ object, reason: sentence(problem), remedy })),
        notes: proofs.backup ? [`The newest backup of ${formatTarget(target)} is ${proofs.backup.name}, of ${proofs.backup.takenAt}.`] : [],
        outputs: outputsOf(proofs),
        estimateMs,
      };
    },
    observe: async ({ facts }, context) => {
      const store = await openAnyStore(clients, targetOf(facts.of, context));
      if (store.path !== facts.place) {
        throw new HoldpointError('plan-does-not-cover', { action: name, cause: `${store.path} is not the place that was planned` });
      }
      const proofs = await proofsIn(store);
      const [problem] = problemsOfFreshness(proofs, ruleOf(facts), Date.now());
      if (problem !== undefined) return { state: 'stuck', reason: `Of ${facts.of}, ${problem}.`, remedy };
      const summary = `the newest backup of ${facts.of} is ${proofs.backup?.name} of ${proofs.backup?.takenAt}`;
      return { state: 'done', outputs: outputsOf(proofs), progress: { summary, done: 1, total: 1, unit: 'backups', items: [] } };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

/** Backups of etcd, or of the objects of a cluster. */
async function openAnyStore(clients: Clients, target: Target): Promise<BackupStore<StatementOfAny>> {
  return (target.kind === 'etcd' ? await openBackups(clients, target) : await openExports(clients, target)).store;
}

function targetOf(of: string | undefined, { target }: Pick<ActionContext, 'target'>): Target {
  if (of === undefined) return target;
  try {
    return parseTarget(of);
  } catch (error) {
    throw error instanceof TargetError
      ? new HoldpointError('action-input-invalid', { action: name, cause: `of: ${error.message}` })
      : error;
  }
}

function ruleOf({ takenWithin, drilledWithin }: RequiredFacts): FreshnessRule {
  const drilledWithinMs = drilledWithin === undefined ? undefined : (parseDurationMs(drilledWithin) ?? 0);
  return { takenWithinMs: parseDurationMs(takenWithin) ?? 0, ...(drilledWithinMs !== undefined && { drilledWithinMs }) };
}

/** A backup counts while its file is there, too: somebody may have deleted it past retention. */
async function proofsIn(store: BackupStore<StatementOfAny>): Promise<Proofs> {
  const newest = (await store.list()).findLast(({ isDeleted }) => !isDeleted);
  const isThere = newest !== undefined && (await store.hasFile(newest.manifest));
  if (newest && !isThere) {
    throw new HoldpointError('backup-unusable', { backup: newest.name, cause: 'its file is not in the place, or has another size' });
  }
  const drill = (await store.drills()).at(-1);
  return {
    ...(newest && { backup: { name: newest.name, takenAt: newest.manifest.statement.takenAt } }),
    ...(drill && { drill: { backup: drill.backup, drilledAt: drill.drilledAt } }),
  };
}

function outputsOf({ backup, drill }: Proofs): JsonObject {
  return { backup: backup?.name ?? '', takenAt: backup?.takenAt ?? '', ...(drill && { drilledAt: drill.drilledAt }) };
}

function sentence(problem: string): string {
  return `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`;
}
