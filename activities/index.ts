import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { ActionContext, Observation, StepReport, Target, Undo } from '../domain/action.ts';
import { everybody, type Policy } from '../domain/approval/policy.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import { idOfUndo, type PlanningBase, type Rollback, type Span } from '../domain/run/span.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { ExpectedStatement } from '../domain/approval/statement.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { parseTarget } from '../runbooks/targets.ts';
import type { AnyAction } from './action.ts';
import type { ArtifactStore } from './artifacts/store.ts';
import { keepLargeValues } from './evidence/payloads.ts';
import { EvidenceError, type EvidenceStore, type NewEntry } from './evidence/store.ts';
import { toFailure } from './failure.ts';
import { perform, type Performance } from './perform.ts';
import { planRollback, type PlannedUndo, type StepToUndo } from './plan-rollback.ts';
import { planRunbook, planSpan, type PlanStep, type SpanRequest } from './plan-span.ts';
import { prepareRunbook, type Prepared } from './prepare.ts';
import { verifyStatement } from './people/verify.ts';
import { latestRunOf, targetsOfRuns } from './runs.ts';
import { findMarks, liftMarks, type MarksFound, type SweepParts } from './sweep.ts';
import { actionsOf, marksAt, type Mark, type System } from './system.ts';

/** Heartbeats come this many times within the time after which an attempt counts as dead. */
const heartbeatsPerTimeout = 4;
/** Progress is told no more often than this. */
const heartbeatGapMs = 200;

/** What asks for one other person where no policy of the configuration says who may sign. */
const secondPerson: Policy = {
  name: 'second-person',
  atLeast: 1,
  of: everybody,
  exclude: [],
  reason: 'optional',
  expiresMs: 24 * 3_600_000,
};

/** What activities work with; the worker puts it together. */
export interface ActivityParts {
  systems: readonly System[];
  evidence: EvidenceStore;
  /** Where actions keep large files. */
  artifacts: ArtifactStore;
  /** Reads holdpoint.yaml as it is now: people who have left must not be able to sign. */
  readConfiguration(): Promise<Configuration>;
}

type RunContext = Omit<ActionContext, 'acted'>;

export type VerifiedSignature =
  { ok: true; publicKey: string; at: string; nonce: string } | { ok: false; code: string; reason: string; remedy: string };

/** Everything that workflows can ask of the world. */
export interface Activities {
  prepare(request: { document: RunbookDocument; inputs: JsonObject; target?: string }): Promise<Prepared>;
  /** Plans all spans of a runbook as far as they can be foreseen. */
  planRunbook(request: { document: RunbookDocument; inputs: JsonObject }): Promise<Forecast>;
  /** Plans the steps up to the next hold. */
  planSpan(request: SpanRequest): Promise<Span>;
  /** Without a policy, one other person of all who are known. `expiresAtMs` is milliseconds since 1970. */
  readPolicy(request: {
    policy?: string;
  }): Promise<{ policy: Policy; members: string[]; requestedAt: string; expiresAt: string; expiresAtMs: number }>;
  /** Looks once how far a step is, without acting. */
  observe(request: { action: string; plan: ActionPlan; context: RunContext }): Promise<Observation>;
  /** Plans how to take steps back; `steps` begin with the one that was begun last. */
  planRollback(request: { base: PlanningBase; steps: StepToUndo[] }): Promise<Rollback>;
  perform(request: { action: string; plan: ActionPlan; context: RunContext }): Promise<Performance & { undo: Undo }>;
  release(request: { target: Target; run: string }): Promise<{ lifted: string[] }>;
  /** The targets that runs have worked on, as far as Temporal still knows of them. */
  targetsOfRuns(request: { most: number }): Promise<{ targets: string[]; more: boolean }>;
  /** Tells the marks of dead runs at a target from all others. Reads only. */
  findMarks(request: { target: string }): Promise<MarksFound>;
  /** Lifts marks that `findMarks` has called dead; returns those that were there to be lifted. */
  liftMarks(request: { target: string; marks: Mark[] }): Promise<{ lifted: Mark[] }>;
  record(entry: NewEntry & { run: string }): Promise<{ at: string; path: string }>;
  /** With a group, its signer must belong to it at this moment. */
  verifySignature(request: { expected: ExpectedStatement; signature: string; group?: string }): Promise<VerifiedSignature>;
}

/** Makes the activities of a worker. Whatever they throw crosses into the workflow as a failure that a person can act upon. */
export function createActivities(parts: ActivityParts): Activities {
  const planStep: PlanStep = (action, input, context) => findAction(parts, action).plan(input, { ...context, acted: false });
  const activities: Activities = {
    prepare: async (request) => prepareRunbook(request, await parts.readConfiguration()),
    planRunbook: (request) => withHeartbeats(async () => planRunbook(prepareRunbook(request, await parts.readConfiguration()), planStep)),
    planSpan: (request) => withHeartbeats(() => planSpan(request, planStep)),
    readPolicy: async ({ policy }) => readPolicy(await parts.readConfiguration(), policy),
    observe: ({ action, plan, context }) => withHeartbeats(() => findAction(parts, action).observe(plan, { ...context, acted: false })),
    planRollback: ({ base, steps }) => withHeartbeats(() => planRollback(base, steps, (step, context) => planUndo(parts, step, context))),
    perform: async ({ action, plan, context }) => performWithHeartbeats(findAction(parts, action), plan, context),
    release: ({ target, run }) => withHeartbeats(async () => ({ lifted: await marksAt(parts.systems, target).release(run) })),
    targetsOfRuns: ({ most }) => withHeartbeats(() => targetsOfRuns(most)),
    findMarks: ({ target }) => withHeartbeats(async () => findMarks(sweepParts(parts, target))),
    liftMarks: ({ target, marks }) => withHeartbeats(async () => ({ lifted: await liftMarks(sweepParts(parts, target), marks) })),
    record: ({ run, ...entry }) =>
      withHeartbeats(async () => {
        try {
          // First, so that no entry refers to what is not there.
          const { at } = await parts.evidence.append(run, await keepLargeValues(parts.evidence, run, entry));
          return { at, path: parts.evidence.pathOf(run) };
        } catch (error) {
          throw recordFailure(error, entry);
        }
      }),
    verifySignature: async ({ expected, signature, group }) => {
      const { people, groups } = await parts.readConfiguration();
      const { person } = expected;
      const publicKey = people[person]?.key;
      const result = await verifyStatement(signature, expected, publicKey, new Date());
      if (!result.ok) return result;
      if (group !== undefined && !membersOf(group, people, groups).includes(person)) {
        const reason = `${person} has left the group ${group} since the signatures were requested.`;
        return { ok: false, code: 'not-in-group', reason, remedy: `Have somebody sign who belongs to ${group}.` };
      }
      const { at, nonce } = result.statement;
      return { ok: true, publicKey: publicKey ?? '', at, nonce };
    },
  };
  return withFailures(activities);
}

function sweepParts({ systems, evidence }: ActivityParts, target: string): SweepParts {
  return { marks: marksAt(systems, parseTarget(target)), latestRun: () => latestRunOf(target), evidence };
}

function findAction({ systems }: ActivityParts, name: string): AnyAction {
  const action = actionsOf(systems).get(name);
  if (!action) throw new HoldpointError('action-unknown', { action: name });
  return action;
}

function readPolicy(configuration: Configuration, name: string | undefined): Awaited<ReturnType<Activities['readPolicy']>> {
  const policy = name === undefined ? secondPerson : configuration.policies[name];
  if (!policy) throw new HoldpointError('policy-unknown', { policy: name ?? '' });
  const now = Date.now();
  const expiresAtMs = now + policy.expiresMs;
  return {
    policy,
    members: membersOf(policy.of, configuration.people, configuration.groups),
    requestedAt: new Date(now).toISOString(),
    expiresAt: new Date(expiresAtMs).toISOString(),
    expiresAtMs,
  };
}

function membersOf(group: string, people: Configuration['people'], groups: Configuration['groups']): string[] {
  return groups[group] ?? (group === everybody ? Object.keys(people) : []);
}

async function planUndo(parts: ActivityParts, { id, uses, plan, finished }: StepToUndo, runContext: RunContext): Promise<PlannedUndo> {
  const action = findAction(parts, uses);
  const context = { ...runContext, acted: false };
  // What was begun and not finished may have changed nothing yet: only a look tells.
  const seen = finished ? undefined : await lookOrSayWhyNot(action, plan, context);
  const undo = action.undo(plan, context, seen);
  if (!('uses' in undo)) return undo;
  const undoing = findAction(parts, undo.uses);
  return { ...undo, plan: await undoing.plan(undo.with, { ...context, step: idOfUndo(id) }), limits: undoing.declaration.limits };
}

/** A step that cannot be looked at counts as begun; an error that may pass is thrown, so that it is looked at again. */
async function lookOrSayWhyNot(action: AnyAction, plan: ActionPlan, context: ActionContext): Promise<Observation> {
  try {
    return await action.observe(plan, context);
  } catch (error) {
    if (!(error instanceof HoldpointError) || error.consequence === 'retry') throw error;
    return { state: 'stuck', reason: error.message, remedy: error.remedy };
  }
}

/** An entry that no record can take, or the first one of a run whose id is taken, is not tried again: a person hears of it. */
function recordFailure(error: unknown, { sequence }: NewEntry): unknown {
  if (!(error instanceof EvidenceError)) return error;
  const { code, consequence, message, remedy } = error;
  const nonRetryable = consequence === 'refuse' || (code === 'evidence-conflict' && sequence === 1);
  return ApplicationFailure.create({ type: code, message, nonRetryable, details: [{ remedy }] });
}

/** Heartbeats tell which step it is and its last progress; they come with each progress as well as by the clock. */
async function performWithHeartbeats(action: AnyAction, plan: ActionPlan, context: RunContext): Promise<Performance & { undo: Undo }> {
  const { cancellationSignal } = Context.current();
  const { step } = context;
  try {
    return await withHeartbeats(async (beat) => {
      beat({ step });
      const performed = await perform(action, plan, context, {
        onProgress: (progress) => beat({ step, progress }),
        signal: cancellationSignal,
        // An abort only ends the wait; the loop itself looks at the signal.
        wait: (ms) => wait(ms, undefined, { signal: cancellationSignal }).catch(() => undefined),
      });
      return { ...performed, undo: action.undo(plan, { ...context, acted: true }) };
    });
  } catch (error) {
    // An aborted request is the cancellation, whatever it was made of on the way here.
    if (cancellationSignal.aborted) throw cancellationSignal.reason;
    throw error;
  }
}

/** Heartbeats by the clock: a long call to AWS must not look like a dead worker, and a dead worker not like a long call. */
async function withHeartbeats<Result>(work: (beat: (report: StepReport) => void) => Promise<Result>): Promise<Result> {
  const activity = Context.current();
  let latest: StepReport | undefined;
  let pause: NodeJS.Timeout | undefined;
  const ticker = setInterval(() => activity.heartbeat(latest), (activity.info.heartbeatTimeoutMs ?? 10_000) / heartbeatsPerTimeout);
  try {
    return await work((report) => {
      latest = report;
      // A drain looks whenever something changes, which is more often than anybody can read.
      if (pause) return;
      activity.heartbeat(latest);
      pause = setTimeout(() => {
        pause = undefined;
        activity.heartbeat(latest);
      }, heartbeatGapMs);
    });
  } finally {
    clearTimeout(pause);
    clearInterval(ticker);
  }
}

function withFailures(activities: Activities): Activities {
  const wrapped = Object.entries(activities).map(([name, activity]: [string, (request: never) => Promise<unknown>]) => [
    name,
    async (request: never) => {
      try {
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
