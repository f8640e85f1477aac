import { instanceOf, planAgain, replacement, writerOf, type Database, type DatabaseInstance } from './database.ts';

/** What RDS has told of a failover: it has events in text only. */
export interface FailoverEvent {
  /** `other` is whatever else belongs to the category of failovers. */
  kind: 'started' | 'completed' | 'failed' | 'other';
  /** The instance that the text names. */
  instance: string | undefined;
  /** ISO 8601. */
  at: string;
  message: string;
}

/** Aurora user guide, "Amazon RDS event categories": RDS-EVENT-0072 and 0073, 0071, 0069, 0070. */
const texts: readonly [RegExp, FailoverEvent['kind']][] = [
  [/^Started (?:same|cross) AZ failover to DB instance: (\S+?)\.?$/i, 'started'],
  [/^Completed failover to DB instance: (\S+?)\.?$/i, 'completed'],
  [/^Promoting previous primary again: (\S+?)\.?$/i, 'failed'],
  [/^Cluster failover failed/i, 'failed'],
];

/** Reads what an event of the category `failover` says. */
export function readFailoverEvent(message: string, at: string): FailoverEvent {
  for (const [pattern, kind] of texts) {
    const found = pattern.exec(message.trim());
    if (found) return { kind, instance: found[1], at, message };
  }
  return { kind: 'other', instance: undefined, at, message };
}

/** What a signed failover rests on. */
export type FailoverFacts = {
  databaseResourceId: string;
  from: { name: string; resourceId: string };
  /** Equal to `from` where nothing is to be done. */
  to: { name: string; resourceId: string };
  /** When RDS told of a failover last: what it tells later has happened since. Null where it has told of none for 14 days. */
  lastFailoverAt: string | null;
  /** Whether a failover to `from` that is in progress is waited for: that of a step which is being undone. */
  waitForFailover: boolean;
};

/** What was seen of the world, and what this step knows of itself. */
export interface FailoverScene {
  database: Database;
  /** Every failover event of the last days, in any order. */
  events: readonly FailoverEvent[];
  /** Whether this try has sent its request, as far as it remembers. */
  asked: boolean;
  /** Failures since the plan after which an operator has had the step tried again; they are no reason to stop any more. */
  failuresAccepted: number;
}

/**
 * How a failover stands. What is `unclear` may become clear by itself within its time, and is for a person after that; it is never a reason
 * to ask again.
 */
export type FailoverStanding =
  | { state: 'todo' }
  | { state: 'done'; summary: string }
  | { state: 'moving'; summary: string }
  | ({ state: 'unclear'; summary: string; limitMs: number } & Advice)
  | ({ state: 'stuck' } & Advice);

interface Advice {
  reason: string;
  remedy: string;
}

/** How long members, status and events may disagree, or say nothing of a request: RDS shows all of them within seconds. */
const disagreementMaxMs = 2 * 60_000;
/** How long the old writer may take to come back as a reader. */
const returnMaxMs = 10 * 60_000;
const lookYourself =
  'Find out which instance takes writes (`aws rds describe-db-clusters`, or a connection). If the failover has happened, say so ' +
  '(`holdpoint done`); if not, try again (`holdpoint retry`).';

/**
 * How a planned failover stands. Nothing is done on the word of one signal: the members of the cluster and an event must agree, and only
 * where status, members and events all say that nothing has begun since the plan is there something to do. Pure.
 */
export function failoverStanding(facts: FailoverFacts, scene: FailoverScene): FailoverStanding {
  const { database } = scene;
  const { from, to } = facts;
  const writer = writerOf(database);
  const otherCluster = replacement(database, facts.databaseResourceId);
  if (otherCluster) return { state: 'stuck', ...otherCluster };
  const replaced = [from, to].find(({ name, resourceId }) => (instanceOf(database, name)?.resourceId ?? resourceId) !== resourceId);
  if (replaced) {
    return { state: 'stuck', reason: `Instance ${replaced.name} has been replaced by another one of its name.`, remedy: planAgain };
  }
  const since = eventsSince(facts, scene.events);
  if (database.status !== 'available') return whileBusy(database, since, scene.asked, facts);
  if (!writer) return unclear(`${database.name} has no writer, or more than one`, 'RDS names no single writer of it.', disagreementMaxMs);
  if (writer.name === to.name) return atTarget(facts, database, since);
  if (writer.name !== from.name) return elsewhere(facts, writer.name, since);
  return atOrigin(facts, scene, since);
}

function whileBusy(
  { name, status }: Database,
  since: readonly FailoverEvent[],
  asked: boolean,
  { from, to, waitForFailover }: FailoverFacts,
): FailoverStanding {
  const summary = `cluster ${name} is ${status}`;
  if (status === 'failing-over' || asked || since.length > 0 || waitForFailover || from.name === to.name)
    return { state: 'moving', summary };
  const reason = `Cluster ${name} is ${status}, not available: somebody else changes it.`;
  return { state: 'stuck', reason, remedy: 'Wait until it is available, then try again (`holdpoint retry`).' };
}

/** The members say that it has happened. */
function atTarget({ from, to, waitForFailover }: FailoverFacts, database: Database, since: readonly FailoverEvent[]): FailoverStanding {
  const summary = `${to.name} is the writer`;
  if (from.name === to.name) return { state: 'done', summary };
  const isCompleted = since.some(({ kind, instance }) => kind === 'completed' && instance === to.name);
  const neverLeft = waitForFailover && since.some(({ kind }) => kind === 'failed');
  if (!isCompleted && !neverLeft) {
    const reason = `The members of the cluster say that ${to.name} is the writer, but no event says that a failover to it was completed.`;
    return unclear(`${summary}, and no event says so yet`, reason, disagreementMaxMs);
  }
  const old = instanceOf(database, from.name);
  return !old || old.status === 'available' ? { state: 'done', summary } : returning(to.name, old);
}

/** An undo may come while the instance that it goes back to still restarts as a reader. */
function whenBack({ from, to }: FailoverFacts, database: Database): FailoverStanding {
  const old = instanceOf(database, to.name);
  return !old || old.status === 'available' ? { state: 'todo' } : returning(from.name, old);
}

function returning(writer: string, old: DatabaseInstance): FailoverStanding {
  return {
    state: 'unclear',
    summary: `${writer} is the writer; ${old.name} is ${old.status}`,
    limitMs: returnMaxMs,
    reason: `${writer} is the writer, but ${old.name} has not come back as a reader: it is ${old.status}.`,
    remedy: `Repair ${old.name}, then try again (\`holdpoint retry\`); the failover itself is over.`,
  };
}

/** RDS has promoted another instance than the planned one. */
function elsewhere({ from, to, waitForFailover }: FailoverFacts, writer: string, since: readonly FailoverEvent[]): FailoverStanding {
  if (waitForFailover && since.length === 0) return unclear(`${writer} is the writer`, `${writer} is the writer.`, disagreementMaxMs);
  const reason = `${writer} is the writer now, neither ${from.name} as it was planned nor ${to.name}.`;
  const remedy = 'Nothing is asked for again by itself: abort the run, and plan anew from this writer.';
  return { state: 'stuck', reason, remedy };
}

/** The members say that nothing has happened: what do the events and our own memory say? */
function atOrigin(
  facts: FailoverFacts,
  { database, asked, failuresAccepted }: FailoverScene,
  since: readonly FailoverEvent[],
): FailoverStanding {
  const { from, to } = facts;
  // An undo may come while the failover that it takes back is being told of; it has ended by now.
  const own = facts.waitForFailover ? since.filter(({ instance }) => instance !== from.name) : since;
  const completed = own.find(({ kind, instance }) => kind === 'completed' && instance === to.name);
  if (completed) {
    const reason = `The failover to ${to.name} was completed at ${completed.at}, and ${from.name} is the writer again.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  const foreign = own.find(({ kind, instance }) => kind !== 'failed' && instance !== to.name);
  if (foreign) {
    const reason = `Somebody else has failed this cluster over since the plan was made: "${foreign.message}" at ${foreign.at}.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  const started = own.filter(({ kind }) => kind === 'started').length;
  const failures = own.filter(({ kind }) => kind === 'failed');
  const failed = failureCount(own);
  if (started > failed) {
    const reason = `RDS has begun a failover to ${to.name}, but ${from.name} is the writer, and no event says how it has ended.`;
    return unclear(`a failover to ${to.name} has begun`, reason, disagreementMaxMs);
  }
  if (failed > failuresAccepted) {
    const told = failures.map(({ message }) => `"${message}"`).join(' ');
    const reason = `RDS has given up the failover to ${to.name}, and ${from.name} is the writer as before. RDS says ${told}`;
    return {
      state: 'stuck',
      reason,
      remedy: `Find out why ${to.name} could not be promoted; then try again (\`holdpoint retry\`), or abort.`,
    };
  }
  if (asked) return unclear('the failover was asked for', unanswered(to.name), disagreementMaxMs);
  return facts.waitForFailover ? whenBack(facts, database) : { state: 'todo' };
}

/** How many of the failovers that RDS has told of have failed: it may tell of one failure in two events. */
export function failureCount(events: readonly FailoverEvent[]): number {
  const count = (wanted: FailoverEvent['kind']): number => events.filter(({ kind }) => kind === wanted).length;
  return Math.min(count('failed'), Math.max(1, count('started')));
}

/** What RDS has told of failovers since a plan was made. */
export function eventsSince({ lastFailoverAt }: Pick<FailoverFacts, 'lastFailoverAt'>, events: readonly FailoverEvent[]): FailoverEvent[] {
  return events.filter(({ at, kind }) => kind !== 'other' && (lastFailoverAt === null || at > lastFailoverAt));
}

function unanswered(to: string): string {
  return `The failover to ${to} was asked for, its answer was lost, and neither status nor members nor events show that it has begun.`;
}

function unclear(summary: string, reason: string, limitMs: number): FailoverStanding {
  return { state: 'unclear', summary, reason, remedy: lookYourself, limitMs };
}
