import { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure, RawValue } from '@temporalio/common';
import {
  checkpointBytesMax,
  type ActionContext,
  type Checkpoint,
  type Observation,
  type StepContext,
  type StepReport,
} from '../domain/action.ts';
import type { Policy } from '../domain/approval/policy.ts';
import { judge as judgeByRules, refusalOfOperator } from '../domain/approval/rules.ts';
import { HoldpointError } from '../domain/errors.ts';
import { heartbeatMark, rollbackKind } from '../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { ownValue } from '../domain/map.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import type { PlanningBase, Rollback, Span } from '../domain/run/span.ts';
import { planWorkflow, runWorkflow, sweepWorkflow } from '../domain/run/names.ts';
import { formatTarget, type Target } from '../domain/target.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import { checkSignature } from '../domain/approval/signature.ts';
import type { ExpectedStatement } from '../domain/approval/statement.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { parseTarget } from '../runbooks/targets.ts';
import { contextOfLook, waitOrStop, type AnyAction } from './action.ts';
import type { ArtifactStore } from './artifacts/store.ts';
import { Callers, type Caller } from './caller.ts';
import { keepLargeValues } from './evidence/payloads.ts';
import { EvidenceError, type EvidenceStore, type NewEntry } from './evidence/store.ts';
import { toFailure } from './failure.ts';
import { Judge } from './judge.ts';
import { perform, type Performance } from './perform.ts';
import { planRollback, type StepToUndo } from './plan-rollback.ts';
import { planRunbook, planSpan, type Planner, type PlanStep, type SpanRequest } from './plan-span.ts';
import type { Prepared } from './prepare.ts';
import { Preparer } from './preparer.ts';
import { keysNow, membersOf, policyNow, type PublicKeys } from './people/policy.ts';
import { verifyStatement } from './people/verify.ts';
import { latestRunOf, targetsOfRuns } from './runs.ts';
import { findOwnerAnnotations, liftOwnerAnnotations, sweepSettleMs, type OwnerAnnotationsFound, type SweepParts } from './sweep.ts';
import { actionsOf, annotationsAt, type OwnerAnnotation, type System } from './system.ts';

/** Heartbeats come this many times within the time after which an attempt counts as dead. */
const heartbeatsPerTimeout = 4;
/** Progress is told no more often than this. */
const heartbeatGapMs = 200;

/** The types of the workflows that may ask for each activity; `workflows/index.ts` has them. */
const callersOf: Record<keyof Activities, readonly string[]> = {
  prepare: [runWorkflow],
  planRunbook: [planWorkflow],
  planSpan: [runWorkflow],
  readPolicy: [runWorkflow],
  observe: [runWorkflow],
  planRollback: [runWorkflow],
  perform: [runWorkflow],
  release: [runWorkflow],
  targetsOfRuns: [sweepWorkflow],
  findOwnerAnnotations: [sweepWorkflow],
  liftOwnerAnnotations: [sweepWorkflow],
  record: [runWorkflow, sweepWorkflow],
  verifySignature: [runWorkflow],
};

/** What activities work with; the worker puts it together. */
export interface ActivityParts {
  systems: readonly System[];
  evidence: EvidenceStore;
  /** Where actions keep large files. */
  artifacts: ArtifactStore;
  /** Reads holdpoint.yaml as it is now: people who have left must not be able to sign. */
  readConfiguration(): Promise<Configuration>;
  /** How long a sweep leaves a target alone after its run has ended. */
  sweepSettleMs?: number;
}

export type VerifiedSignature =
  | { ok: true; publicKey: string; at: string; nonce: string; voided: { person: string; reason: string }[] }
  | { ok: false; code: string; reason: string; remedy: string };

/** Everything that workflows can ask of the world. */
export interface Activities {
  /** With the public keys of all people as they are now. */
  prepare(request: { document: RunbookDocument; inputs: JsonObject; target?: string }): Promise<Prepared & { keys: PublicKeys }>;
  /** Plans all spans of a runbook as far as they can be foreseen. */
  planRunbook(request: { document: RunbookDocument; inputs: JsonObject }): Promise<Forecast>;
  /** Plans the steps up to the next hold. */
  planSpan(request: SpanRequest): Promise<Span>;
  /** Without a policy, one other person of all who are known. `expiresAtMs` is milliseconds since 1970. */
  readPolicy(request: {
    policy?: string;
  }): Promise<{ policy: Policy; members: string[]; keys: PublicKeys; requestedAt: string; expiresAt: string; expiresAtMs: number }>;
  /** Looks once how far a step is, without acting. */
  observe(request: { action: string; plan: ActionPlan; context: StepContext }): Promise<Observation>;
  /** Plans how to take steps back; `steps` begin with the one that was begun last. */
  planRollback(request: { base: PlanningBase; steps: StepToUndo[] }): Promise<Rollback>;
  /**
   * Carries out a step as it was signed, which the worker finds out from the record of the run (see Judge). `checkpoint` is what an
   * attempt before a pause, or before a command of an operator, has left.
   */
  perform(request: { context: Omit<StepContext, 'expected'>; checkpoint?: Json }): Promise<Performance>;
  release(request: { target: Target; run: string }): Promise<{ lifted: string[] }>;
  /** The targets that runs have worked on, as far as Temporal still knows of them. */
  targetsOfRuns(request: { most: number }): Promise<{ targets: string[]; more: boolean }>;
  /** Tells the owner annotations of runs that are over at a target from all others. Reads only. */
  findOwnerAnnotations(request: { target: string }): Promise<OwnerAnnotationsFound>;
  /** Lifts owner annotations that `findOwnerAnnotations` has called dead; returns those that were there to be lifted. */
  liftOwnerAnnotations(request: { target: string; annotations: OwnerAnnotation[] }): Promise<{ lifted: OwnerAnnotation[] }>;
  /** Writes entries in their order, the first under that number; returns when each was written. May be repeated. */
  record(request: { run: string; sequence: number; entries: Pick<NewEntry, 'kind' | 'body'>[] }): Promise<{ at: string[]; path: string }>;
  /**
   * With a group, its signer must belong to it at this moment. `earlier` are the words that others of it have signed before: the answer
   * says which of them do not count any more.
   * `operates` is the target of the run that its signer would operate, which the rules of the configuration must let them.
   */
  verifySignature(request: {
    expected: ExpectedStatement;
    signature: string;
    group?: string;
    earlier?: { expected: ExpectedStatement; signature: string }[];
    operates?: string;
  }): Promise<VerifiedSignature>;
}

/** Makes the activities of a worker. Whatever they throw crosses into the workflow as a failure that a person can act upon. */
export function createActivities(parts: ActivityParts): Activities {
  const planStep: PlanStep = (action, input, context) => findAction(parts, action).plan(input, contextNow(context));
  // What anybody can send must not keep what has been signed waiting.
  const [ofRequests, ofRuns] = [new Preparer(), new Preparer()];
  const callers = new Callers();
  const judge = new Judge({
    evidence: parts.evidence,
    readConfiguration: () => parts.readConfiguration(),
    planRollback: (base, steps) => planRollback(base, steps, (name) => findAction(parts, name), contextNow),
    changeOf: (name) => findAction(parts, name).declaration.change,
  });
  const planner = async (preparer: Preparer): Promise<Planner> => {
    const configuration = await parts.readConfiguration();
    return {
      planStep,
      prepareNested: (request) => preparer.prepareNested(request),
      judge: ({ policy, ...span }) =>
        judgeByRules(configuration, { ...span, policy: policy === undefined ? undefined : policyNow(configuration, policy).policy }),
    };
  };
  const activities: Activities = {
    prepare: async (request) => {
      const configuration = await parts.readConfiguration();
      return { ...(await ofRequests.prepareRunbook(request, configuration)), keys: keysNow(configuration) };
    },
    planRunbook: (request) =>
      withHeartbeats(async () =>
        planRunbook(await ofRequests.prepareRunbook(request, await parts.readConfiguration()), await planner(ofRequests)),
      ),
    planSpan: (request) => withHeartbeats(async () => planSpan(request, await planner(ofRuns))),
    readPolicy: async ({ policy }) => readPolicy(await parts.readConfiguration(), policy),
    observe: ({ action, plan, context }) => withHeartbeats(() => findAction(parts, action).observe(plan, contextNow(context))),
    planRollback: ({ base, steps }) => withHeartbeats(() => planRollback(base, steps, (name) => findAction(parts, name), contextNow)),
    perform: ({ context, checkpoint }) => {
      const { run, step, target, retry, adopt } = context;
      return performWithHeartbeats({ run, step, target, retry, adopt }, checkpoint, async () => {
        const { uses, plan } = await judge.signedStep(await callers.present(callersOf.perform), context);
        return { action: findAction(parts, uses), plan };
      });
    },
    release: ({ target, run }) =>
      withHeartbeats(async () => {
        const caller = await callers.present(callersOf.release);
        // A run that has no record has marked nothing.
        if (!(await judge.isRunOf(caller, run)) || formatTarget(target) !== caller.workflowId) return { lifted: [] };
        return { lifted: await annotationsAt(parts.systems, target).release(run) };
      }),
    targetsOfRuns: ({ most }) => withHeartbeats(() => targetsOfRuns(most)),
    findOwnerAnnotations: ({ target }) => withHeartbeats(async () => findOwnerAnnotations(sweepParts(parts, target))),
    liftOwnerAnnotations: ({ target, annotations }) =>
      withHeartbeats(async () => ({ lifted: await liftOwnerAnnotations(sweepParts(parts, target), annotations) })),
    record: (request) =>
      withHeartbeats(async () =>
        record(parts.evidence, await callers.present(callersOf.record), request, (run, plan) => judge.requireRollback(run, plan)),
      ),
    verifySignature: async (request) => verifySignature(request, await parts.readConfiguration()),
  };
  return guarded(activities, callers);
}

function sweepParts({ systems, evidence, sweepSettleMs: settleMs = sweepSettleMs }: ActivityParts, target: string): SweepParts {
  return { annotations: annotationsAt(systems, parseTarget(target)), latestRun: () => latestRunOf(target), evidence, settleMs };
}

function findAction({ systems }: ActivityParts, name: string): AnyAction {
  const action = actionsOf(systems).get(name);
  if (!action) throw new HoldpointError('action-unknown', { action: name });
  return action;
}

function readPolicy(configuration: Configuration, name: string | undefined): Awaited<ReturnType<Activities['readPolicy']>> {
  const { policy, members } = policyNow(configuration, name);
  const now = Date.now();
  const expiresAtMs = now + policy.expiresMs;
  return {
    policy,
    members,
    keys: keysNow(configuration),
    requestedAt: new Date(now).toISOString(),
    expiresAt: new Date(expiresAtMs).toISOString(),
    expiresAtMs,
  };
}

async function verifySignature(
  { expected, signature, group, earlier = [], operates }: Parameters<Activities['verifySignature']>[0],
  configuration: Configuration,
): Promise<VerifiedSignature> {
  const { person } = expected;
  const result = verifyStatement(signature, expected, ownValue(configuration.people, person), new Date());
  if (!result.ok) return result;
  if (group !== undefined && !membersOf(group, configuration).includes(person)) {
    const reason = `${person} has left the group ${group} since the signatures were requested.`;
    return { ok: false, code: 'not-in-group', reason, remedy: `Have somebody sign who belongs to ${group}.` };
  }
  const refusal = operates === undefined ? undefined : refusalOfOperator(configuration, operates, person);
  if (refusal !== undefined) {
    return { ok: false, code: 'rule-operator', reason: refusal, remedy: 'Have one of them send it; `pause` and `abort` anybody may.' };
  }
  const {
    statement: { at, nonce },
    key: publicKey,
  } = result;
  const voided = earlier.flatMap(({ expected, signature }) => {
    const reason = refusalNow(expected, signature, group, configuration);
    return reason === undefined ? [] : { person: expected.person, reason };
  });
  return { ok: true, publicKey, at, nonce, voided };
}

/** Why what somebody has signed before does not count any more; undefined where it does. */
function refusalNow(
  expected: ExpectedStatement,
  signature: string,
  group: string | undefined,
  configuration: Configuration,
): string | undefined {
  const { person } = expected;
  const checked = checkSignature(signature, expected, ownValue(configuration.people, person), Date.now());
  if (!checked.ok) return checked.reason;
  return group === undefined || membersOf(group, configuration).includes(person) ? undefined : `${person} has left the group ${group}.`;
}

/** For what only looks; ends when the activity is cancelled. */
function contextNow(context: StepContext): ActionContext {
  return contextOfLook(context, Context.current().cancellationSignal);
}

async function record(
  evidence: EvidenceStore,
  caller: Caller,
  { run, sequence: first, entries }: Parameters<Activities['record']>[0],
  requireRollback: Judge['requireRollback'],
): ReturnType<Activities['record']> {
  const { execution, workflowType } = caller;
  if (workflowType === sweepWorkflow && run !== `sweep-${execution}`) {
    throw new HoldpointError('caller-refused', {
      activity: 'record',
      cause: `a sweep writes no record but its own, and this is that of ${run}`,
    });
  }
  const at: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const continues: NewEntry['continues'] = (other) => caller.continues(other);
    const numbered = { ...entry, sequence: first + index, execution, continues };
    if (entry.kind === rollbackKind) await requireRollback(run, entry.body.plan);
    try {
      // Large values first, so that no entry refers to what is not there.
      const receipt = await evidence.append(run, await keepLargeValues(evidence, run, numbered));
      at.push(receipt.at);
    } catch (error) {
      throw recordFailure(error);
    }
  }
  return { at, path: evidence.pathOf(run) };
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
    // An aborted request is the cancellation, whatever it was made of on the way here.
    if (signal.aborted) throw new CancelledFailure((signal.reason as Error).message, [{ checkpoint }]);
    throw withDetails(toFailure(error), { checkpoint });
  }
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
