import type { Database } from './database.ts';

/** By this tag a clone says of which cluster it was made, by the resource id of that one. */
export const cloneTag = 'holdpoint.dev/clone-of';
export const runTag = 'holdpoint.dev/run';

/** A cluster that may be a clone, as RDS shows it. */
export type CloneSeen = Database & { tags: ReadonlyMap<string, string>; isProtected: boolean };

/** How a clone that is to be made stands. `cluster`, `instance`: what to ask for next. */
export type CloneStanding =
  | { state: 'done'; summary: string }
  | { state: 'moving'; summary: string }
  | { state: 'todo'; next: 'cluster' | 'instance'; summary: string }
  | { state: 'stuck'; reason: string; remedy: string };

/** Statuses that nothing leads out of (RDS user guide, "Viewing DB cluster status"). All others may pass: there are new ones every year. */
const deadEnds = ['cloning-failed', 'inaccessible-encryption-credentials', 'migration-failed', 'deleting'];

/** How a clone that a run makes stands: the cluster and its one instance must both be available. Pure. */
export function cloneStanding(
  { name, run, databaseResourceId }: { name: string; run: string; databaseResourceId: string },
  clone: CloneSeen | undefined,
): CloneStanding {
  if (!clone) return { state: 'todo', next: 'cluster', summary: `no clone ${name} yet` };
  if (!isCloneOf(clone, databaseResourceId) || clone.tags.get(runTag) !== run) {
    const reason = `There is a cluster ${name} already, which this run has not made.`;
    return { state: 'stuck', reason, remedy: 'Delete it if nobody needs it, or start a run with another name for the clone.' };
  }
  const { status, instances } = clone;
  if (deadEnds.includes(status)) {
    const reason = `Clone ${name} is ${status}.`;
    return { state: 'stuck', reason, remedy: 'Find out why (events of the clone); undo the step, and start again.' };
  }
  if (status !== 'available') return { state: 'moving', summary: `clone ${name} is ${status}` };
  const [instance] = instances;
  if (!instance) return { state: 'todo', next: 'instance', summary: `clone ${name} has no instance yet` };
  if (instance.status === 'available') return { state: 'done', summary: `clone ${name} is available with ${instance.name}` };
  return { state: 'moving', summary: `${instance.name} of clone ${name} is ${instance.status}` };
}

/** Whether a cluster was made by Holdpoint as a clone of this one: nothing else is ever deleted. */
export function isCloneOf({ tags, resourceId }: CloneSeen, databaseResourceId: string): boolean {
  return tags.get(cloneTag) === databaseResourceId && resourceId !== databaseResourceId;
}
