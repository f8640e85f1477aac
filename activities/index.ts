import { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure, RawValue } from '@temporalio/common';
import {
  checkpointBytesMax,
  type ActionContext,
  type Checkpoint,
  type Progress,
  type Observation,
  type StepContext,
  type StepReport,
} from '../domain/action.ts';
import { mayBreakGlass } from '../domain/approval/break-glass.ts';
import { alwaysFrozen, type FreezeSource } from '../domain/calendar/freeze.ts';
import { calendarsOf } from '../domain/calendar/definition.ts';
import { membersOf, type PolicyWithPeople } from '../domain/approval/policy.ts';
import { judge as judgeByRules, refusalOfOperator } from '../domain/approval/rules.ts';
import { isInterruption } from '../domain/availability/availability.ts';
import { HoldpointError } from '../domain/errors.ts';
import { heartbeatMark } from '../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { ownValue } from '../domain/map.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import type { PlanningBase, Rollback, Span } from '../domain/run/span.ts';
import { channelsFor, eventOf, type NotificationEvent } from '../domain/notification.ts';
import { notifyWorkflow, planWorkflow, runWorkflow, scheduleWorkflow, sweepWorkflow, testChannelWorkflow } from '../domain/run/names.ts';
import type { AlarmLook } from '../domain/schedule/schedule.ts';
import { placeOf } from '../domain/run/place.ts';
import type { AwaitedOpening, WindowLook } from '../domain/run/window.ts';
import { timeMsOf } from '../domain/time.ts';
import { formatTarget, type Target } from '../domain/target.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import { checkSignature, type VerificationResult } from '../domain/approval/signature.ts';
import type { ExpectedStatement } from '../domain/approval/statement.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { parseTarget } from '../runbooks/targets.ts';
import { contextOfLook, waitOrStop, type AnyAction } from './action.ts';
import { AvailabilityLedger } from './availability/ledger.ts';
import { withAvailability } from './availability/spending.ts';
import type { ArtifactStore } from './artifacts/store.ts';
import { Windows, type WindowRequest } from './calendar/window.ts';
import { Callers, type Caller } from './caller.ts';
import { keepLargeValues } from './evidence/payloads.ts';
import { EvidenceError, type EvidenceStore, type NewEntry } from './evidence/store.ts';
import { toFailure } from './failure.ts';
import { Judge } from './judge.ts';
import { PastRuns } from './past-runs.ts';
import { perform, type Performance } from './perform.ts';
import { PlanTime, planTimeLimits } from './plan-limits.ts';
import { withMissingWorker } from './place.ts';
import { planRollback, type StepToUndo } from './plan-rollback.ts';
import { planRunbook, planSpan, type Planner, type PlanStep, type SpanRequest } from './plan-span.ts';
import type { Prepared } from './prepare.ts';
import { Preparer } from './preparer.ts';
import type { Delivery } from './notify/channel.ts';
import { Outbox, type OutboxParts, type Told } from './notify/outbox.ts';
import { keysNow, policyNow, type PublicKeys } from './people/policy.ts';
import { verifyStatement } from './people/verify.ts';
import { latestRunOf, targetsOfRuns } from './runs.ts';
import { lookAtSchedule, setAlarms, type AlarmQuestion, type ScheduleParts, type SignedSchedule } from './schedule.ts';
import { findOwnerAnnotations, liftOwnerAnnotations, sweepSettleMs, type OwnerAnnotationsFound, type SweepParts } from './sweep.ts';
import { actionsOf, annotationsAt, type OwnerAnnotation, type System } from './system.ts';

/** Heartbeats come this many times within the time after which an attempt counts as dead. */
const heartbeatsPerTimeout = 4;
/** Of how many objects it is kept how far they were when a step was stopped. */
const itemsKeptMax = 50;
/** Progress is told no more often than this. */
const heartbeatGapMs = 200;

/** The types of the workflows that may ask for each activity; `workflows/index.ts` has them. */
const callersOf: Record<keyof Activities, readonly string[]> = {
  prepare: [runWorkflow],
  planRunbook: [planWorkflow],
  planSpan: [runWorkflow],
  readPolicy: [runWorkflow],
  lookAtWindow: [runWorkflow],
  observe: [runWorkflow],
  planRollback: [runWorkflow],
  perform: [runWorkflow],
  release: [runWorkflow],
  targetsOfRuns: [sweepWorkflow],
  findOwnerAnnotations: [sweepWorkflow],
  liftOwnerAnnotations: [sweepWorkflow],
  record: [runWorkflow, sweepWorkflow, notifyWorkflow, scheduleWorkflow],
  verifySignature: [runWorkflow],
  routeNotification: [notifyWorkflow],
  sendNotification: [notifyWorkflow],
  isOpenRun: [notifyWorkflow],
  testChannel: [testChannelWorkflow],
  findVoided: [runWorkflow],
  lookAtSchedule: [runWorkflow, scheduleWorkflow],
  setAlarms: [scheduleWorkflow],
};

/** Requests for plans that a worker works on at the same time, of the 100 activities that it takes. */
export const requestsPlannedMax = 30;

/** What activities work with; the worker puts it together. */
export interface ActivityParts {
  systems: readonly System[];
  evidence: EvidenceStore;
  /** Where actions keep large files. */
  artifacts: ArtifactStore;
  /** Reads holdpoint.yaml as it is now: people who have left must not be able to sign. */
  readConfiguration(): Promise<Configuration>;
  /** Whom to tell of what as it says now, with absolute paths; nobody is told of anything where it is left out. */
  readNotifications?: OutboxParts['readNotifications'];
  /** The calendars of some definitions as they are now; without it they are those of the definitions, with every file a freeze. */
  readCalendars?: ScheduleParts['readCalendars'];
  /** How long a sweep leaves a target alone after its run has ended. */
  sweepSettleMs?: number;
}

/** What somebody has signed before, with the groups that they were in then. */
export interface EarlierWord {
  expected: ExpectedStatement;
  signature: string;
  groups: string[];
  delegation?: SignedDelegation;
  /** The policy that must name them as somebody who may release its holds alone. */
  breakGlass?: string;
}

/** A delegation that an approval is given under, with the groups that its signer was in then. */
export interface SignedDelegation {
  expected: ExpectedStatement;
  signature: string;
  groups: string[];
}

/** Whose word does not count any more, and why. */
export interface VoidedWord {
  person: string;
  reason: string;
}

export type VerifiedSignature =
  | { ok: true; publicKey: string; at: string; nonce: string; nowMs?: number; delegatorKey?: string; voided: VoidedWord[] }
  | { ok: false; code: string; reason: string; remedy: string };

/** Everything that workflows can ask of the world. */
export interface Activities {
  /** With the public keys of all people as they are now. */
  prepare(request: { document: RunbookDocument; inputs: JsonObject; target?: string }): Promise<Prepared & { keys: PublicKeys }>;
  /** Plans all spans of a runbook as far as they can be foreseen. */
  planRunbook(request: { document: RunbookDocument; inputs: JsonObject }): Promise<Forecast>;
  /** Plans the steps up to the next hold. */
  planSpan(request: SpanRequest): Promise<Span>;
  /**
   * Without a policy, one other person of all who are known. `expiresMs` takes the place of what the policy says; `window` is the calendar
   * of the run.
   */
  readPolicy(request: {
    policy?: string;
    expiresMs?: number;
    window?: string;
  }): Promise<PolicyWithPeople & { keys: PublicKeys; requestedAt: string; expiresAt: string; opening?: AwaitedOpening }>;
  /** How the window of a run stands for a step. */
  lookAtWindow(request: WindowRequest): Promise<WindowLook>;
  /** Looks once how far a step is, without acting. */
  observe(request: { action: string; plan: ActionPlan; context: StepContext }): Promise<Observation>;
  /** Plans how to take steps back; `steps` begin with the one that was begun last. */
  planRollback(request: { base: PlanningBase; steps: StepToUndo[] }): Promise<Rollback>;
  /**
   * Carries out a step as it was signed, which the worker finds out from the record of the run (see Judge). `checkpoint` is what an
   * attempt before a pause, or before a command of an operator, has left.
   */
  perform(request: { context: Omit<StepContext, 'expected'>; checkpoint?: Json }): Promise<Performance>;
  /** `begun`: the actions that the run has begun; all systems are asked without it. */
  release(request: { target: Target; run: string; begun?: readonly string[] }): Promise<{ lifted: string[] }>;
  /** The targets that runs have worked on, as far as Temporal still knows of them. */
  targetsOfRuns(request: { most: number }): Promise<{ targets: string[]; more: boolean }>;
  /** Tells the owner annotations of runs that are over at a target from all others. Reads only. */
  findOwnerAnnotations(request: { target: string }): Promise<OwnerAnnotationsFound>;
  /** Lifts owner annotations that `findOwnerAnnotations` has called dead; returns those that were there to be lifted. */
  liftOwnerAnnotations(request: { target: string; annotations: OwnerAnnotation[] }): Promise<{ lifted: OwnerAnnotation[] }>;
  /**
   * Writes entries in their order, the first under that number; returns when each was written. May be repeated. `toTell` are the numbers
   * of those that people are to be told of.
   */
  record(request: {
    run: string;
    sequence: number;
    entries: Pick<NewEntry, 'kind' | 'body'>[];
  }): Promise<{ at: string[]; path: string; toTell?: number[] }>;
  /**
   * With groups, its signer must belong to each of them at this moment; to one at least. `earlier` are the words that others have signed
   * before, with the groups that they were in: the answer says which of them do not count any more.
   * `breakGlass` is the policy that must name its signer as somebody who may release its holds alone.
   * `operates` is the target of the run that its signer would operate, which the rules of the configuration must let them.
   */
  verifySignature(request: {
    expected: ExpectedStatement;
    signature: string;
    groups?: string[];
    delegation?: SignedDelegation;
    breakGlass?: string;
    earlier?: EarlierWord[];
    operates?: string;
  }): Promise<VerifiedSignature>;
  /** Over which channels people are told of an entry, and of what. */
  routeNotification(request: Told): Promise<{ event?: NotificationEvent; channels: string[] }>;
  /** Sends the message of an entry over a channel, once; never fails for what the channel does. */
  sendNotification(request: Told & { channel: string; mayRepeat: boolean }): Promise<Delivery>;
  /** Whether the run is the one that is open on the target. */
  isOpenRun(request: { run: string; target: string }): Promise<boolean>;
  /** Sends a message that is marked as a test over a channel. */
  testChannel(request: { channel: string }): Promise<Delivery>;
  /** Says which of the words that were signed before do not count at this moment. */
  findVoided(request: { earlier: EarlierWord[] }): Promise<VoidedWord[]>;
  /** Says whether the run of a schedule may start now, or has what was signed in advance for it. */
  lookAtSchedule(request: AlarmQuestion): Promise<AlarmLook>;
  /** Sets the alarms of a schedule to the openings of its calendar. */
  setAlarms(request: SignedSchedule): Promise<void>;
}

/** Makes the activities of a worker. Whatever they throw crosses into the workflow as a failure that a person can act upon. */
export function createActivities(parts: ActivityParts): Activities {
  const callers = new Callers();
  const readNotifications = parts.readNotifications ?? (async () => undefined);
  const readCalendars = parts.readCalendars ?? (async (definitions) => calendarsOf(definitions, frozenFile).calendars);
  const schedules = { readConfiguration: () => parts.readConfiguration(), readCalendars };
  const outbox = new Outbox({ evidence: parts.evidence, readNotifications });
  const windows = new Windows(async () => readCalendars((await parts.readConfiguration()).calendars ?? {}));
  const judge = new Judge({
    evidence: parts.evidence,
    readConfiguration: () => parts.readConfiguration(),
    planRollback: (base, steps) => planRollback(base, steps, (name) => findAction(parts, name), contextNow),
    changeOf: (name) => findAction(parts, name).declaration.change,
    readCalendar: (name) => windows.calendar(name),
  });
  const ledger = new AvailabilityLedger(parts.evidence, interruptsOf(parts));
  const activities: Activities = {
    ...planningActivities(parts, windows, ledger),
    readPolicy: async (request) => readPolicy(request, await parts.readConfiguration(), windows),
    lookAtWindow: (request) => windows.look(request),
    observe: ({ action, plan, context }) => withHeartbeats(() => findAction(parts, action).observe(plan, contextNow(context))),
    planRollback: ({ base, steps }) => withHeartbeats(() => planRollback(base, steps, (name) => findAction(parts, name), contextNow)),
    perform: ({ context, checkpoint }) => {
      const { run, step, target, retry, adopt } = context;
      return performWithHeartbeats({ run, step, target, retry, adopt }, checkpoint, async () => {
        const { uses, plan } = await judge.signedStep(await callers.present(callersOf.perform), context);
        return { action: findAction(parts, uses), plan };
      });
    },
    release: ({ target, run, begun }) =>
      withHeartbeats(async () => {
        const caller = await callers.present(callersOf.release);
        // A run that has no record has marked nothing.
        if (!(await judge.isRunOf(caller, run)) || formatTarget(target) !== caller.workflowId) return { lifted: [] };
        return { lifted: await annotationsAt(parts.systems, target).release(run, begun) };
      }),
    targetsOfRuns: ({ most }) => withHeartbeats(() => targetsOfRuns(most)),
    findOwnerAnnotations: ({ target }) => withHeartbeats(async () => findOwnerAnnotations(sweepParts(parts, target))),
    liftOwnerAnnotations: ({ target, annotations }) =>
      withHeartbeats(async () => ({ lifted: await liftOwnerAnnotations(sweepParts(parts, target), annotations) })),
    record: (request) =>
      withHeartbeats(async () => {
        const caller = await callers.present(callersOf.record);
        if (caller.workflowType === runWorkflow && request.entries.some((entry) => isInterruption(entry, interruptsOf(parts)))) {
          await ledger.enter(caller.workflowId, request.run);
        }
        const written = await record(parts.evidence, caller, request, judge);
        const toTell = [runWorkflow, scheduleWorkflow].includes(caller.workflowType) ? await entriesToTell(request, readNotifications) : [];
        return { ...written, ...(toTell.length > 0 && { toTell }) };
      }),
    verifySignature: async (request) => verifySignature(request, await parts.readConfiguration()),
    ...outboxActivities(outbox, callers),
    findVoided: async ({ earlier }) => voidedNow(earlier, await parts.readConfiguration()),
    lookAtSchedule: (request) => withHeartbeats(() => lookAtSchedule(schedules, request)),
    setAlarms: (request) => withHeartbeats(() => setAlarms(schedules, request)),
  };
  return guarded(activities, callers);
}

/** Requests for plans, which anybody may send: they leave the worker room for what has been signed. */
class Requests {
  private underWay = 0;

  /** Throws `checks-waiting` where as many are under way as may be. */
  async admit<Result>(plan: () => Promise<Result>): Promise<Result> {
    if (this.underWay >= requestsPlannedMax) throw new HoldpointError('checks-waiting', { waiting: this.underWay });
    this.underWay += 1;
    try {
      return await plan();
    } finally {
      this.underWay -= 1;
    }
  }
}

function frozenFile(): FreezeSource {
  return alwaysFrozen('', 'it is not read here');
}

/** What plans, for whoever asks and for runs. */
function planningActivities(
  parts: ActivityParts,
  windows: Windows,
  ledger: AvailabilityLedger,
): Pick<Activities, 'prepare' | 'planRunbook' | 'planSpan'> {
  const planStepIn = (limitMs: number): PlanStep => {
    const time = new PlanTime(limitMs, Context.current().cancellationSignal);
    return (action, input, context) => {
      const found = findAction(parts, action);
      const plan = async (): Promise<ActionPlan> =>
        withMissingWorker(await found.plan(input, contextNow(context)), placeOf(found.declaration.runsOn, input, context.target));
      return time.read(`what step ${context.step} concerns`, formatTarget(context.target), plan);
    };
  };
  // What anybody can send must not keep what has been signed waiting.
  const [ofRequests, ofRuns] = [new Preparer(), new Preparer()];
  const requests = new Requests();
  const past = new PastRuns(parts.evidence);
  const interrupts = interruptsOf(parts);
  const planner = async (preparer: Preparer, limitMs: number): Promise<Planner> => {
    const configuration = await parts.readConfiguration();
    return {
      planStep: planStepIn(limitMs),
      prepareNested: (request) => preparer.prepareNested(request),
      withAvailability: (target, policy, steps) => withAvailability({ configuration, ledger, interrupts }, { target, policy }, steps),
      findTooLong: (window, steps) => windows.findTooLong(window, steps),
      judge: ({ policy, ...span }) =>
        judgeByRules(configuration, { ...span, policy: policy === undefined ? undefined : policyNow(configuration, policy).policy }),
    };
  };
  return {
    prepare: async (request) => {
      const configuration = await parts.readConfiguration();
      return { ...(await ofRequests.prepareRunbook(request, configuration)), keys: keysNow(configuration) };
    },
    planRunbook: (request) =>
      withHeartbeats(() =>
        requests.admit(async () => {
          const prepared = await ofRequests.prepareRunbook(request, await parts.readConfiguration());
          return past.addToEach(await planRunbook(prepared, await planner(ofRequests, planTimeLimits.requestMs)));
        }),
      ),
    planSpan: (request) => withHeartbeats(async () => past.addTo(await planSpan(request, await planner(ofRuns, planTimeLimits.runMs)))),
  };
}

/** What tells people of entries of records. */
function outboxActivities(
  outbox: Outbox,
  callers: Callers,
): Pick<Activities, 'routeNotification' | 'sendNotification' | 'isOpenRun' | 'testChannel'> {
  return {
    routeNotification: (told) => withHeartbeats(async () => outbox.route(await callers.present(callersOf.routeNotification), told)),
    sendNotification: ({ channel, mayRepeat, ...told }) =>
      withHeartbeats(async () =>
        outbox.send(await callers.present(callersOf.sendNotification), told, channel, mayRepeat ? 'repeat' : undefined),
      ),
    isOpenRun: async ({ run, target }) => {
      const latest = await latestRunOf(target);
      return latest.state === 'open' && latest.run === run;
    },
    testChannel: ({ channel }) => withHeartbeats(() => outbox.test(channel)),
  };
}

function sweepParts({ systems, evidence, sweepSettleMs: settleMs = sweepSettleMs }: ActivityParts, target: string): SweepParts {
  return { annotations: annotationsAt(systems, parseTarget(target)), latestRun: () => latestRunOf(target), evidence, settleMs };
}

/** Whether an action refuses writes for a time. */
function interruptsOf({ systems }: ActivityParts): (action: string) => boolean {
  const known = actionsOf(systems);
  return (action) => known.get(action)?.declaration.interrupts === true;
}

function findAction({ systems }: ActivityParts, name: string): AnyAction {
  const action = actionsOf(systems).get(name);
  if (!action) throw new HoldpointError('action-unknown', { action: name });
  return action;
}

async function readPolicy(
  { policy, expiresMs, window }: Parameters<Activities['readPolicy']>[0],
  configuration: Configuration,
  windows: Windows,
): ReturnType<Activities['readPolicy']> {
  const current = policyNow(configuration, policy);
  const now = Date.now();
  return {
    ...current,
    keys: keysNow(configuration),
    opening: await windows.awaited(window, now),
    requestedAt: new Date(now).toISOString(),
    expiresAt: new Date(expiresMs === undefined ? await windows.expiryOf(current.policy, window, now) : now + expiresMs).toISOString(),
  };
}

async function verifySignature(
  { expected, signature, groups, delegation, breakGlass, earlier = [], operates }: Parameters<Activities['verifySignature']>[0],
  configuration: Configuration,
): Promise<VerifiedSignature> {
  const { person } = expected;
  const now = new Date();
  const result = verifyStatement(signature, expected, ownValue(configuration.people, person), now);
  if (!result.ok) return result;
  const left = groups?.find((group) => !membersOf(configuration, group).includes(person));
  if (left !== undefined) {
    const reason = `${person} has left the group ${left} since the signatures were requested.`;
    return { ok: false, code: 'not-in-group', reason, remedy: `Have somebody sign who belongs to ${left}.` };
  }
  const glass = glassRefusalNow(person, breakGlass, configuration);
  if (glass !== undefined) return { ok: false, code: 'glass-not-yours', reason: glass, remedy: 'Ask somebody who may sign.' };
  const unfounded = delegation && refusalOfSignedDelegation(delegation, now.getTime(), configuration);
  if (unfounded !== undefined)
    return { ok: false, code: 'delegation-ended', reason: unfounded, remedy: 'Ask the person who has delegated it.' };
  const refusal = operates === undefined ? undefined : refusalOfOperator(configuration, operates, person);
  if (refusal !== undefined) {
    return { ok: false, code: 'rule-operator', reason: refusal, remedy: 'Have one of them send it; `pause` and `abort` anybody may.' };
  }
  const {
    statement: { at, nonce },
    key: publicKey,
  } = result;
  const voided = voidedNow(earlier, configuration);
  const delegated = delegation && checkNow(delegation, configuration);
  return { ok: true, publicKey, at, nonce, nowMs: now.getTime(), ...(delegated?.ok && { delegatorKey: delegated.key }), voided };
}

/** Whether the signature of a statement holds, with a key that is good at this moment. */
function checkNow(
  { expected, signature }: Pick<SignedDelegation, 'expected' | 'signature'>,
  { people }: Configuration,
): VerificationResult {
  return checkSignature(signature, expected, ownValue(people, expected.person), Date.now());
}

function voidedNow(earlier: readonly EarlierWord[], configuration: Configuration): VoidedWord[] {
  return earlier.flatMap(({ expected, signature, groups, delegation, breakGlass }) => {
    const reason =
      refusalNow(expected, signature, groups, configuration) ??
      glassRefusalNow(expected.person, breakGlass, configuration) ??
      (delegation && refusalOfSignedDelegation(delegation, Date.now(), configuration));
    return reason === undefined ? [] : { person: expected.person, reason };
  });
}

/** Why what somebody has signed before does not count any more; undefined where it does. */
function refusalNow(
  expected: ExpectedStatement,
  signature: string,
  groups: readonly string[],
  configuration: Configuration,
): string | undefined {
  const { person } = expected;
  const checked = checkNow({ expected, signature }, configuration);
  if (!checked.ok) return checked.reason;
  const left = groups.find((group) => !membersOf(configuration, group).includes(person));
  return left === undefined ? undefined : `${person} has left the group ${left}.`;
}

/** Why somebody may not release the holds of a policy alone at this moment; undefined where they may, or have not. */
function glassRefusalNow(person: string, name: string | undefined, { policies }: Configuration): string | undefined {
  const policy = name === undefined ? undefined : ownValue(policies, name);
  if (name === undefined || (policy && mayBreakGlass(policy, person))) return undefined;
  return `${person} is not named in \`breakGlass\` of policy ${name} now.`;
}

/** Why a delegation does not count at this moment: who has signed it has left, or it has ended. What it is for is seen by the run. */
function refusalOfSignedDelegation(
  { expected, signature, groups }: SignedDelegation,
  nowMs: number,
  configuration: Configuration,
): string | undefined {
  const until = expected.kind === 'delegation' ? expected.until : '';
  if ((timeMsOf(until) ?? 0) < nowMs) return `The delegation of ${expected.person} ended at ${until}.`;
  return refusalNow(expected, signature, groups, configuration);
}

/** For what only looks; ends when the activity is cancelled. */
function contextNow(context: StepContext): ActionContext {
  return contextOfLook(context, Context.current().cancellationSignal);
}

async function record(
  evidence: EvidenceStore,
  caller: Caller,
  { run, sequence: first, entries }: Parameters<Activities['record']>[0],
  judge: Judge,
): ReturnType<Activities['record']> {
  const { execution, workflowType } = caller;
  if (workflowType !== runWorkflow && run !== `${workflowType}-${execution}`) {
    throw new HoldpointError('caller-refused', {
      activity: 'record',
      cause: `a ${workflowType} writes no record but its own, and this is that of ${run}`,
    });
  }
  const at: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const continues: NewEntry['continues'] = (other) => caller.continues(other);
    const numbered = { ...entry, sequence: first + index, execution, continues };
    try {
      if (workflowType === runWorkflow) await judge.requireEntry(run, numbered);
      // Large values first, so that no entry refers to what is not there.
      const receipt = await evidence.append(run, await keepLargeValues(evidence, run, numbered));
      at.push(receipt.at);
    } catch (error) {
      throw recordFailure(error);
    }
  }
  return { at, path: evidence.pathOf(run) };
}

/** The numbers of the entries that people are to be told of. Where nobody can say now, the outbox finds out. */
async function entriesToTell(
  { sequence, entries }: Parameters<Activities['record']>[0],
  readNotifications: OutboxParts['readNotifications'],
): Promise<number[]> {
  const telling = entries.flatMap((entry, index) => (eventOf(entry) === undefined ? [] : [{ entry, sequence: sequence + index }]));
  if (telling.length === 0) return [];
  try {
    const { routes = [] } = (await readNotifications()) ?? {};
    return telling.flatMap(({ entry, sequence }) => (channelsFor(routes, entry).length > 0 ? [sequence] : []));
  } catch {
    return telling.map(({ sequence }) => sequence);
  }
}

/** An entry that no record can take, or whose place is taken, is not tried again: a person hears of it. */
function recordFailure(error: unknown): unknown {
  if (!(error instanceof EvidenceError)) return error;
  const { code, consequence, message, remedy } = error;
  const nonRetryable = consequence === 'refuse' || code === 'evidence-conflict';
  return ApplicationFailure.create({ type: code, message, nonRetryable, details: [{ remedy }] });
}

/** Heartbeats tell which step it is, its last progress and its checkpoint; they come with each of these as well as by the clock. */
async function performWithHeartbeats(
  context: StepContext,
  given: Json | undefined,
  judged: () => Promise<{ action: AnyAction; plan: ActionPlan }>,
): Promise<Performance> {
  const { cancellationSignal: signal, info } = Context.current();
  const { step } = context;
  const left = (info.heartbeatDetails as StepReport | undefined)?.checkpoint ?? given;
  const report: StepReport = { step, ...(left !== undefined && { checkpoint: left }) };
  try {
    return await withHeartbeats(async (beat) => {
      const tell = (news: Omit<StepReport, 'step'>): void => beat(Object.assign(report, news));
      tell({});
      const { action, plan } = await judged();
      return perform(action, plan, context, {
        onProgress: (progress) => tell({ progress }),
        signal,
        // An abort only ends the wait; the loop itself looks at the signal.
        wait: (ms) => waitOrStop(ms, signal),
        checkpoint: checkpointIn(report, () => tell({})),
      });
    });
  } catch (error) {
    const { checkpoint = null } = report;
    const left = { checkpoint, ...(report.progress && { progress: shortened(report.progress) }) };
    // An aborted request is the cancellation, whatever it was made of on the way here.
    if (signal.aborted) throw new CancelledFailure((signal.reason as Error).message, [left]);
    throw withDetails(toFailure(error), left as unknown as JsonObject);
  }
}

/** Progress as it is kept of a step that was stopped: those of its objects that are not done come first. */
function shortened({ items, ...progress }: Progress): Progress {
  const open = items.filter(({ state }) => state !== 'done');
  return { ...progress, items: [...open, ...items.filter(({ state }) => state === 'done')].slice(0, itemsKeptMax) };
}

/** The checkpoint of a step, as it goes with its heartbeats. */
function checkpointIn(report: StepReport, tell: () => void): Checkpoint {
  return {
    read: () => report.checkpoint,
    write: (value) => {
      const bytes = Buffer.byteLength(JSON.stringify(value));
      if (bytes > checkpointBytesMax) {
        throw new RangeError(`the checkpoint of step ${report.step} has ${bytes} bytes; it may have ${checkpointBytesMax}`);
      }
      report.checkpoint = value;
      tell();
    },
  };
}

/** A failure that says more in its details. */
function withDetails(failure: ApplicationFailure, more: JsonObject): ApplicationFailure {
  const { message, type, nonRetryable } = failure;
  const details = [{ ...(failure.details?.[0] as JsonObject | undefined), ...more }];
  return ApplicationFailure.create({ message, type: type ?? undefined, nonRetryable: nonRetryable ?? false, details });
}

/** Heartbeats by the clock: a long call to AWS must not look like a dead worker, and a dead worker not like a long call. */
async function withHeartbeats<Result>(work: (beat: (report: StepReport) => void) => Promise<Result>): Promise<Result> {
  const activity = Context.current();
  let latest: StepReport | undefined;
  let pause: NodeJS.Timeout | undefined;
  const tell = (): void => activity.heartbeat(latest && marked(latest));
  const ticker = setInterval(tell, (activity.info.heartbeatTimeoutMs ?? 10_000) / heartbeatsPerTimeout);
  try {
    return await work((report) => {
      latest = report;
      // A drain looks whenever something changes, which is more often than anybody can read.
      if (pause) return;
      tell();
      pause = setTimeout(() => {
        pause = undefined;
        tell();
      }, heartbeatGapMs);
    });
  } finally {
    clearTimeout(pause);
    clearInterval(ticker);
  }
}

/** A heartbeat that stays as it is, however large, so that clients can read it without the evidence store. */
function marked(report: StepReport): RawValue {
  const { payload } = new RawValue(report);
  return RawValue.fromPayload({ ...payload, metadata: { ...payload.metadata, [heartbeatMark]: new Uint8Array([1]) } });
}

/** Lets in those who may ask, and tells errors as workflows can read them. A local activity is asked for by this worker itself. */
function guarded(activities: Activities, callers: Callers): Activities {
  const wrapped = Object.entries(activities).map(([name, activity]: [string, (request: never) => Promise<unknown>]) => [
    name,
    async (request: never) => {
      try {
        if (!Context.current().info.isLocal) await callers.present(callersOf[name as keyof Activities]);
        return await activity(request);
      } catch (error) {
        throw isCancellation(error) ? error : toFailure(error);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as Activities;
}

function isCancellation(error: unknown): boolean {
  return error instanceof Error && (error.name === 'CancelledFailure' || error.name === 'CompleteAsyncError');
}
