import type { ActionContext, Observation } from '../../domain/action.ts';
import { isCloneOf, type CloneSeen } from '../../domain/database/clone.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { counted } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { readClone, readDatabase } from './read.ts';

const estimateMs = 8 * 60_000;
const deleting = 'deleting';

type Input = ActionInput<'rds.deleteClone'>;
/** `cloneResourceId` is null where there is nothing to delete. */
type Facts = { name: string; databaseResourceId: string; cloneResourceId: string | null };

/** `rds.deleteClone`: deletes a clone that Holdpoint has made of this cluster, with its instances, and no other cluster. */
export function deleteCloneAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['rds.deleteClone'],
    plan: (input, context) => planDeletion(clients, input, context),
    observe: async ({ facts }, { target }) => observationOf(facts, await readClone(clients, target, facts.name)),
    act: ({ facts }, context) => deleteClone(clients, facts, context),
    undo: async ({ facts }, _context, seen) => {
      if (isUntouched(seen)) return { nothing: `Clone ${facts.name} is there as before.` };
      if (facts.cloneResourceId === null) return { nothing: `There was no clone ${facts.name}.` };
      return { noUndo: `Clone ${facts.name} is gone, or going.` };
    },
  });
}

async function planDeletion(clients: Clients, { name }: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const { resourceId: databaseResourceId } = await readDatabase(clients, target);
  const clone = await readClone(clients, target, name);
  const object = `Database/${name}`;
  const cloneResourceId = clone?.resourceId ?? null;
  const plan = { ...emptyPlan<Facts>({ name, databaseResourceId, cloneResourceId }), outputs: { clone: name } };
  if (!clone) return { ...plan, notes: [`There is no cluster ${name}: nothing is deleted.`] };
  const blockers: Blocker[] = [];
  if (!isCloneOf(clone, databaseResourceId)) {
    const reason = `It is no clone that Holdpoint has made of ${target.name}: it lacks the tag that says so.`;
    blockers.push({ object, reason, remedy: 'Delete it by hand, if it is to go.' });
  }
  if (clone.isProtected) {
    const reason = 'Somebody has given it deletion protection.';
    blockers.push({ object, reason, remedy: 'Ask whoever uses it; take the protection away by hand, then plan again.' });
  }
  const names = clone.instances.map((instance) => instance.name);
  return {
    ...plan,
    effects: [{ object, change: 'delete', before: `${clone.resourceId} with ${names.join(', ') || 'no instance'}`, after: 'gone' }],
    blockers,
    risks: [{ object, risk: 'What was written to the clone is lost: no final snapshot is taken.' }],
    expects: [{ change: 'removed', object }],
    estimateMs,
  };
}

function observationOf(facts: Facts, clone: CloneSeen | undefined): Observation {
  const { name, cloneResourceId } = facts;
  const told = (summary: string, done: number) => ({ summary, done, total: 1, unit: 'clones', items: [] });
  if (cloneResourceId === null || clone?.resourceId !== cloneResourceId) {
    return { state: 'done', outputs: { clone: name }, progress: told(`clone ${name} is gone`, 1) };
  }
  const staying = clone.instances.filter(({ status }) => status !== deleting);
  if (clone.status === deleting) return { state: 'moving', progress: told(`clone ${name} is being deleted`, 0) };
  if (clone.isProtected || !isCloneOf(clone, facts.databaseResourceId)) {
    const reason = `Cluster ${name} has deletion protection or other tags by now: somebody wants to keep it.`;
    return { state: 'stuck', reason, remedy: 'Ask whoever uses it; then try again (`holdpoint retry`), or leave the step out.' };
  }
  const begun = staying.length < clone.instances.length || clone.instances.length === 0;
  const summary = `clone ${name} is ${clone.status}, ${counted(staying.length, 'instance stays', 'instances stay')}`;
  // RDS deletes no cluster that has an instance, and no instance that is still being created.
  const waits = staying.some(({ status }) => status !== 'available') || clone.status !== 'available';
  return { state: waits ? 'moving' : 'todo', progress: told(summary, 0), untouched: !begun };
}

async function deleteClone(clients: Clients, facts: Facts, { target, signal }: ActionContext): Promise<void> {
  const clone = await readClone(clients, target, facts.name);
  const seen = observationOf(facts, clone);
  if (seen.state === 'stuck') throw stuckError(seen);
  if (seen.state !== 'todo' || !clone) return;
  const { changes } = await clients.rds(target.region);
  const staying = clone.instances.filter(({ status }) => status !== deleting);
  for (const { name: DBInstanceIdentifier } of staying) {
    signal.throwIfAborted();
    await changes
      .deleteDBInstance({ DBInstanceIdentifier })
      .catch((error: unknown) => Promise.reject(awsError(error, `DeleteDBInstance ${DBInstanceIdentifier}`, target)));
  }
  if (staying.length > 0) return;
  signal.throwIfAborted();
  await changes
    .deleteDBCluster({ DBClusterIdentifier: facts.name, SkipFinalSnapshot: true })
    .catch((error: unknown) => Promise.reject(awsError(error, `DeleteDBCluster ${facts.name}`, target)));
}
