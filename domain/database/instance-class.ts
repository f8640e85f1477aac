import { instanceOf, planAgain, replacement, type Database, type DatabaseInstance } from './database.ts';

/** What a signed change of an instance class rests on. */
export type InstanceClassFacts = {
  databaseResourceId: string;
  instance: { name: string; resourceId: string };
  /** The class at the time of the plan; null where a change that is in progress is waited for, which may leave another one. */
  from: string | null;
  to: string;
  /** How many other readers must be available when the change begins. */
  otherReadersMin: number;
};

/** How a change of a class stands. */
export type InstanceClassStanding =
  | { state: 'done'; summary: string } /** `begun`: whether a change of it may be under way. */
  | { state: 'todo' | 'moving'; summary: string; begun: boolean }
  | { state: 'stuck'; reason: string; remedy: string };

/** The name of the setting among those that wait, by the API. */
export const classSetting = 'DBInstanceClass';

/** The readers besides an instance that take reads now. */
export function otherReaders({ instances }: Database, name: string): DatabaseInstance[] {
  return instances.filter((instance) => instance.name !== name && !instance.isWriter && instance.status === 'available');
}

/**
 * How a planned change of the class of a reader stands. A change is over where the instance has the class, is available, and nothing of it
 * waits any more; right after the request an instance is still `available`, with the class among what waits. Pure.
 */
export function instanceClassStanding(facts: InstanceClassFacts, database: Database): InstanceClassStanding {
  const { name, resourceId } = facts.instance;
  const instance = instanceOf(database, name);
  const otherCluster = replacement(database, facts.databaseResourceId);
  if (otherCluster) return { state: 'stuck', ...otherCluster };
  if (instance?.resourceId !== resourceId) {
    const reason = `Instance ${name} is ${instance ? 'another one of its name' : 'no instance of the cluster any more'}.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  const { instanceClass, status, pendingChanges, isWriter } = instance;
  if (pendingChanges.includes(classSetting)) {
    return { state: 'moving', summary: `${name} is ${status}; its class is being changed`, begun: true };
  }
  if (status !== 'available') return { state: 'moving', summary: `${name} is ${status}`, begun: true };
  if (instanceClass === facts.to) return { state: 'done', summary: `${name} is ${facts.to}` };
  if (facts.from !== null && instanceClass !== facts.from) {
    const reason = `${name} is ${instanceClass}, neither ${facts.from} as it was planned nor ${facts.to}.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  if (isWriter) {
    const reason = `${name} has become the writer: while its class is changed, writes are refused for minutes.`;
    return { state: 'stuck', reason, remedy: 'Fail over to a reader first, then try again (`holdpoint retry`), or abort the run.' };
  }
  const others = otherReaders(database, name).length;
  if (others < facts.otherReadersMin) {
    return { state: 'moving', summary: `${name} waits: ${others} of ${facts.otherReadersMin} other readers are available`, begun: false };
  }
  return { state: 'todo', summary: `${name} is ${instanceClass}`, begun: false };
}
