import type { ActionContext, Observation, Progress, Undo } from '../../domain/action.ts';
import { describeInstance, instanceOf, writerOf, type Database, type DatabaseInstance } from '../../domain/database/database.ts';
import { eventsSince, failoverStanding, failureCount, type FailoverFacts, type FailoverStanding } from '../../domain/database/failover.ts';
import { bestReader, noReaderFits, unfitnessOf, type FitnessLimits, type JudgedReader } from '../../domain/database/reader-fitness.ts';
import { expectedWriter } from '../../domain/plan/expected.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import type { Target } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { inParallel } from '../kubernetes/client/read.ts';
import { followMeasured, measurementNote } from './outage-measurement.ts';
import { lastTimeOf, readDatabase, readFailoverEvents, readLag, readMaintenance } from './read.ts';
import { isRefusal } from './refusal.ts';

const estimateMs = 45_000;
/** A checkpoint goes out with a heartbeat, which comes within this time. */
const checkpointMs = 1_000;

type Input = ActionInput<'rds.failover'>;

/** What a try remembers of itself: the world does not show a request whose answer was lost, until it takes hold. */
type Memory = {
  retry: number;
  asked: boolean;
  failuresAccepted: number;
  /** Since when it is not clear how the failover stands, and why. */
  unclear?: { reason: string; sinceMs: number };
};

/**
 * `rds.failover`: a reader becomes the writer. RDS takes no request token, so the request is sent once, and whatever its answer was, the
 * members, the status and the events of the cluster tell how it stands.
 */
export function failoverAction(clients: Clients): AnyAction {
  return defineAction<Input, FailoverFacts>({
    declaration: actions['rds.failover'],
    plan: (input, context) => planFailover(clients, input, context),
    observe: ({ facts }, context) => observeFailover(clients, facts, context),
    act: ({ facts }, context) => failOver(clients, facts, context),
    follow: ({ facts }, given) =>
      followMeasured(clients, given, {
        writer: facts.from.name === facts.to.name ? undefined : facts.from.name,
        observe: (context) => observeFailover(clients, facts, context),
        act: (context, ready) => failOver(clients, facts, context, ready),
      }),
    undo: ({ facts }, context, seen) => undoFailover(clients, facts, context, seen),
  });
}

async function planFailover(clients: Clients, input: Input, { target, expected = [] }: ActionContext): Promise<PlanOf<FailoverFacts>> {
  const object = `Database/${target.name}`;
  const now = await readDatabase(clients, target);
  const database = asExpected(now, expectedWriter(expected));
  const events = await readFailoverEvents(clients, target);
  const present = writerOf(database);
  const from = instanceOf(database, input.writer);
  const lastFailoverAt = lastTimeOf(events);
  const stay = { name: present?.name ?? input.writer, resourceId: present?.resourceId ?? '' };
  const { waitForFailover } = input;
  const facts: FailoverFacts = { databaseResourceId: database.resourceId, from: stay, to: stay, lastFailoverAt, waitForFailover };
  const plan = { ...emptyPlan(facts), outputs: { writer: stay.name, previous: stay.name } };
  if (input.to === input.writer) {
    const reason = `${input.to} is both the writer that is expected and the reader to fail over to.`;
    return { ...plan, blockers: [{ object, reason, remedy: 'Name a reader as the one to fail over to.' }] };
  }
  const isAwaited = waitForFailover && database.status !== 'available';
  if (input.to !== undefined && present?.name === input.to && !isAwaited) {
    return { ...plan, notes: [`${input.to} is the writer already: nothing is failed over.`] };
  }
  const wrong = [...statusBlockers(object, database, waitForFailover), ...writerBlockers(object, database, input, isAwaited)];
  if (wrong.length > 0 || !from) return { ...plan, blockers: wrong };
  const judged = await judgeReaders(clients, target, { database, from, writerNow: writerOf(now)?.name }, input);
  const chosen = chooseReader(object, judged, from, input);
  if ('blockers' in chosen) return { ...plan, blockers: chosen.blockers };
  const to = chosen.reader;
  return {
    ...plan,
    facts: { ...facts, from: identityOf(from), to: identityOf(to) },
    effects: [{ object, change: 'fail over', before: describeInstance(from), after: describeInstance(to) }],
    risks: risksOf(object, database),
    notes: [...notesOf(from, to), measurementNote(await clients.probe(target))],
    details: { lagMs: chosen.lagMs ?? null },
    outputs: { writer: to.name, previous: from.name },
    expects: [{ change: 'writer', instance: to.name }],
    estimateMs,
    undoEstimateMs: estimateMs,
  };
}

function identityOf({ name, resourceId }: DatabaseInstance): FailoverFacts['from'] {
  return { name, resourceId };
}

/** The cluster with the writer that earlier steps will have given it. */
function asExpected(database: Database, writer: string | undefined): Database {
  if (writer === undefined) return database;
  return { ...database, instances: database.instances.map((instance) => ({ ...instance, isWriter: instance.name === writer })) };
}

function statusBlockers(object: string, { status }: Database, waitForFailover: boolean): Blocker[] {
  if (status === 'available' || (waitForFailover && status === 'failing-over')) return [];
  return [{ object, reason: `Its status is ${status}, not available.`, remedy: 'Wait until it is available, then plan again.' }];
}

/** Whoever has planned from another writer has planned for another situation. */
function writerBlockers(object: string, database: Database, { writer }: Input, isAwaited: boolean): Blocker[] {
  const present = writerOf(database);
  if (!instanceOf(database, writer)) {
    const reason = `It has no instance ${writer}, which is expected to be its writer.`;
    return [{ object, reason, remedy: 'Check the name (`aws rds describe-db-clusters`).' }];
  }
  if (isAwaited || present?.name === writer) return [];
  const is = present ? `its writer is ${present.name}` : 'RDS names no single writer of it';
  const reason = `${writer} is expected to be its writer, but ${is}.`;
  return [{ object, reason, remedy: 'Find out why the writer is another one; then start a run that names it.' }];
}

type MeasuredReader = JudgedReader & { lagMs: number | undefined };

async function judgeReaders(
  clients: Clients,
  target: Target,
  { database, from, writerNow }: { database: Database; from: DatabaseInstance; writerNow: string | undefined },
  { to, ...input }: Input,
): Promise<MeasuredReader[]> {
  const readers = database.instances.filter(({ name }) => name !== from.name && (to === undefined || name === to));
  const maintenance = await readMaintenance(
    clients,
    target,
    readers.map(({ name }) => name),
  );
  const limits: FitnessLimits = { lagMaxMs: input.lagMaxMs, acceptsSmaller: input.smallerReader === 'accept' };
  return inParallel(readers, async (reader) => {
    // A writer, and who has only just stopped being one, has no lag; a plan that is made after that measures it.
    const lag = input.waitForFailover || reader.name === writerNow ? { lagMs: 0 } : await readLag(clients, target, reader.name);
    const due = [...(maintenance.get(reader.name) ?? []), ...(maintenance.get(target.name) ?? [])];
    const judged = input.waitForFailover ? { ...reader, status: 'available' } : reader;
    const problems = unfitnessOf(judged, database, { lag, maintenance: due }, limits);
    return { reader, problems, lagMs: lag?.lagMs };
  });
}

function chooseReader(
  object: string,
  judged: readonly MeasuredReader[],
  from: DatabaseInstance,
  { to }: Input,
): { reader: DatabaseInstance; lagMs: number | undefined } | { blockers: Blocker[] } {
  const chosen = to === undefined ? bestReader(judged, from) : judged[0]?.reader;
  const problems = judged.find(({ reader }) => reader.name === chosen?.name)?.problems ?? [];
  if (chosen && problems.length === 0) {
    return { reader: chosen, lagMs: judged.find(({ reader }) => reader.name === chosen.name)?.lagMs };
  }
  if (chosen) return { blockers: problems.map((problem) => ({ object: `DatabaseInstance/${chosen.name}`, ...problem })) };
  if (to === undefined) return { blockers: [{ object, ...noReaderFits(judged) }] };
  const remedy = 'Name one of its own readers; `aws rds describe-db-clusters` shows them.';
  return {
    blockers: [{ object: `DatabaseInstance/${to}`, reason: `It is no instance of the cluster ${object.split('/')[1] ?? ''}.`, remedy }],
  };
}

function risksOf(object: string, { instances }: Database): Risk[] {
  const writes =
    'Connections to the writer are cut, and writes are refused until clients have found the new one; what was not committed is lost.';
  const reads = 'Its only reader becomes the writer: until the old writer is back, reads through the reader endpoint go to the writer.';
  return [{ object, risk: writes }, ...(instances.length === 2 ? [{ object, risk: reads }] : [])];
}

function notesOf(from: DatabaseInstance, to: DatabaseInstance): string[] {
  const tier = `${to.name} has promotion tier ${to.promotionTier}, ${from.name} has ${from.promotionTier}`;
  return [
    ...(to.promotionTier === from.promotionTier ? [] : [`${tier}: a failover by RDS itself chooses by them.`]),
    ...(to.zone === from.zone ? [] : [`The writer moves from ${from.zone} to ${to.zone}.`]),
  ];
}

async function observeFailover(clients: Clients, facts: FailoverFacts, context: ActionContext): Promise<Observation> {
  const { target, checkpoint, retry } = context;
  const database = await readDatabase(clients, target);
  const events = await readFailoverEvents(clients, target);
  const memory = memoryOf(context) ?? { retry, asked: false, failuresAccepted: retry === 0 ? 0 : failureCount(eventsSince(facts, events)) };
  const { asked, failuresAccepted } = memory;
  const standing = failoverStanding(facts, { database, events, asked, failuresAccepted });
  const { to, from } = facts;
  if (standing.state !== 'unclear') checkpoint.write({ retry, asked, failuresAccepted });
  switch (standing.state) {
    case 'todo':
      return { state: 'todo', progress: progressOf(`${from.name} is the writer`, false), untouched: !asked };
    case 'done':
      return { state: 'done', outputs: { writer: to.name, previous: from.name }, progress: progressOf(standing.summary, true) };
    case 'moving':
      return { state: 'moving', progress: progressOf(standing.summary, false) };
    case 'stuck':
      return { state: 'stuck', reason: standing.reason, remedy: standing.remedy };
    default:
      return whileUnclear(standing, memory, context);
  }
}

/** Waits for what is not clear to become clear, for a limited time; after that it is for a person. */
function whileUnclear(
  { summary, reason, remedy, limitMs }: Extract<FailoverStanding, { state: 'unclear' }>,
  { asked, failuresAccepted, unclear }: Memory,
  { checkpoint, retry }: ActionContext,
): Observation {
  const sinceMs = unclear?.reason === reason ? unclear.sinceMs : Date.now();
  checkpoint.write({ retry, asked, failuresAccepted, unclear: { reason, sinceMs } });
  const progress = progressOf(summary, false);
  return Date.now() - sinceMs < limitMs ? { state: 'moving', progress } : { state: 'stuck', reason, remedy, progress };
}

/** What this try has written down; an earlier one's is of no use, as an operator has looked since. */
function memoryOf({ checkpoint, retry }: ActionContext): Memory | undefined {
  const memory = checkpoint.read() as Memory | undefined;
  return memory?.retry === retry ? memory : undefined;
}

function progressOf(summary: string, isDone: boolean): Progress {
  return { summary, done: isDone ? 1 : 0, total: 1, unit: 'failovers', items: [] };
}

/** Asks RDS once. That it was asked is written down first, and is safe when the request goes out. */
async function failOver(
  clients: Clients,
  facts: FailoverFacts,
  context: ActionContext,
  ready: () => Promise<void> = async () => undefined,
): Promise<void> {
  const { target, checkpoint, retry, signal } = context;
  const { failuresAccepted } = memoryOf(context) ?? { failuresAccepted: 0 };
  const { changes } = await clients.rds(target.region);
  checkpoint.write({ retry, asked: true, failuresAccepted });
  await Promise.all([context.wait(checkpointMs), ready()]);
  const forget = (): void => checkpoint.write({ retry, asked: false, failuresAccepted });
  try {
    // A second ago it was as planned; RDS itself compares nothing.
    const problem = await changedSince(clients, facts, context);
    if (problem !== undefined) throw stuckError({ state: 'stuck', ...problem });
    signal.throwIfAborted();
  } catch (error) {
    forget();
    throw error;
  }
  const request = { DBClusterIdentifier: target.name, TargetDBInstanceIdentifier: facts.to.name };
  await changes.failoverDBCluster(request).catch((error: unknown) => {
    const known = awsError(error, `FailoverDBCluster to ${facts.to.name}`, target);
    if (isRefusal(error)) forget();
    throw known;
  });
}

/** What has changed since the plan was signed; undefined where nothing has. */
async function changedSince(
  clients: Clients,
  facts: FailoverFacts,
  { target }: ActionContext,
): Promise<{ reason: string; remedy: string } | undefined> {
  const database = await readDatabase(clients, target);
  const [writer, to] = [writerOf(database), instanceOf(database, facts.to.name)];
  const remedy = 'Look at the cluster; abort the run and plan again, or try again (`holdpoint retry`) when it is as it was.';
  if (database.resourceId !== facts.databaseResourceId || to?.resourceId !== facts.to.resourceId || database.status !== 'available') {
    return { reason: `Cluster ${target.name} or its instance ${facts.to.name} is not as it was planned any more.`, remedy };
  }
  if (writer?.name !== facts.from.name || writer.resourceId !== facts.from.resourceId) {
    return { reason: `${facts.from.name} is not the writer any more: it is ${writer?.name ?? 'none, or more than one'}.`, remedy };
  }
  if (to.status !== 'available' || to.parameterGroupStatus !== 'in-sync') {
    const state = `it is ${to.status}, and its parameter group is ${to.parameterGroupStatus}`;
    return { reason: `${to.name} cannot become the writer any more: ${state}.`, remedy };
  }
  return undefined;
}

async function undoFailover(clients: Clients, facts: FailoverFacts, { target }: ActionContext, seen?: Observation): Promise<Undo> {
  const { from, to } = facts;
  if (from.name === to.name) return { nothing: `${to.name} was the writer before.` };
  if (isUntouched(seen)) return { nothing: `No failover has been begun: ${from.name} is the writer as before.` };
  const database = await readDatabase(clients, target);
  const writer = writerOf(database);
  const known = [from, to].every(({ name, resourceId }) => instanceOf(database, name)?.resourceId === resourceId);
  if (!known) return { noUndo: `${from.name} or ${to.name} is no instance of the cluster any more.` };
  if (database.status === 'available' && writer?.name !== to.name) {
    if (writer?.name === from.name && seen?.state === 'stuck') return { nothing: `${from.name} is the writer as before.` };
    if (writer?.name !== from.name) return { noUndo: `The writer is neither ${from.name} nor ${to.name}.` };
  }
  const isBack = instanceOf(database, from.name)?.status === 'available';
  const isOver = seen === undefined || (database.status === 'available' && writer?.name === to.name && isBack);
  return [{ uses: 'rds.failover', with: { writer: to.name, to: from.name, smallerReader: 'accept', waitForFailover: !isOver } }];
}
