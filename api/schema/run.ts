import * as z from 'zod';
import type { LiveRun, Retrying, RunSummary, Unanswered } from '../../client/holdpoint.ts';
import type { HoldSummary } from '../../client/hold-summary.ts';
import type { InboxItem } from '../../client/inbox.ts';
import type { OutsideEnd } from '../../client/last-known.ts';
import type { Progress, ProgressItem, Todo } from '../../domain/action.ts';
import type { Policy, Requirement } from '../../domain/approval/policy.ts';
import type { ApprovalRequest, Closing, Decision, Standing } from '../../domain/approval/request.ts';
import { commandNames } from '../../domain/approval/statement.ts';
import { phases, type BrokenGlass, type HoldState, type NotificationTrouble, type RunState } from '../../domain/run/state.ts';
import type { StepState } from '../../domain/run/steps.ts';
import type { AwaitedOpening, WindowState } from '../../domain/run/window.ts';
import { planDifference, stepSummary } from './plan.ts';
import { jsonObject, objectOf } from './shape.ts';

const time = z.string().describe('ISO 8601, UTC.');
const ticket = z.object({ id: z.string(), link: z.string().optional() });

const item = objectOf<ProgressItem>()({
  name: z.string(),
  state: z.enum(['waiting', 'moving', 'done', 'blocked']),
  done: z.number(),
  total: z.number(),
  detail: z.string().optional(),
});

const progress = objectOf<Progress>()({
  summary: z.string(),
  done: z.number(),
  total: z.number(),
  unit: z.string(),
  items: z.array(item),
  todo: z.array(objectOf<Todo>()({ text: z.string(), command: z.string().optional() })).optional(),
});

const step = objectOf<StepState>()({
  id: z.string(),
  kind: z.enum(['action', 'hold', 'group']),
  parent: z.string().optional(),
  title: z.string().optional(),
  uses: z.string(),
  status: z.enum(['waiting', 'running', 'holding', 'stuck', 'done', 'skipped', 'stopped', 'undone', 'kept']),
  startedAt: time.optional(),
  endedAt: time.optional(),
  summary: z.string().optional(),
  progress: progress.optional(),
});

/** Who must sign; `all` and `any` stand in each other a few times, which no schema needs to repeat. */
const policy = jsonObject as unknown as z.ZodType<Policy & Requirement, Policy & Requirement>;

const groups = z.record(z.string(), z.array(z.string())) as z.ZodType as z.ZodType<ApprovalRequest['groups'], ApprovalRequest['groups']>;

const closing = objectOf<Closing>()({ because: z.enum(['expired', 'drift', 'aborted', 'withdrawn']), at: time });

/** A request for signatures, as it is put to the approvers. */
export const approvalRequest = objectOf<ApprovalRequest>()({
  hold: z.string(),
  number: z.number().describe('1 for the first time that the signatures of the hold were requested.'),
  question: z.string(),
  planHash: z.string(),
  policy,
  members: z.array(z.string()),
  groups: groups.optional(),
  requester: z.string(),
  askedBy: z.string().optional(),
  earlierApprovers: z.array(z.string()).readonly().optional(),
  escalatedAt: time.optional(),
  requestedAt: time,
  expiresAt: time,
  reminders: z.number().optional(),
  closed: closing.optional(),
});

/** A decision that was taken, with what its person has signed. */
export const decision = objectOf<Decision>()({
  person: z.string(),
  decision: z.enum(['approve', 'reject']),
  reason: z.string(),
  at: time,
  jws: z.string(),
  from: time.optional(),
  inPlaceOf: z.string().optional(),
  delegation: z.string().optional(),
  breaksGlass: z.boolean().optional(),
  inAdvance: z.literal(true).optional(),
});

/** When the steps below a hold may begin. */
export const awaitedOpening = objectOf<AwaitedOpening>()({
  calendar: z.string(),
  opensAt: time.optional(),
  closesAt: time.optional(),
  frozenFor: z.array(z.string()),
});

const standing: z.ZodType<Standing, Standing> = z.discriminatedUnion('state', [
  z.object({ state: z.literal('waiting'), missing: z.number(), inWords: z.string(), maySign: z.array(z.string()) }),
  z.object({ state: z.literal('approved'), by: z.array(z.string()), brokenBy: z.string().optional() }),
  z.object({ state: z.literal('rejected'), by: z.string(), reason: z.string() }),
]);

/** What a hold asks, summed up for whoever has to sign. */
export const holdSummary = objectOf<HoldSummary>()({
  standing,
  mayNotSign: z.array(z.object({ person: z.string(), why: z.string() })),
  steps: z.array(stepSummary),
});

/** A hold without its plan, which `GET /plans/{hash}` has: a plan of 1,000 nodes is no part of what is sent each second. */
export type HoldWithoutPlan = Omit<HoldState, 'plan'>;

const hold = objectOf<HoldWithoutPlan>()({
  request: approvalRequest,
  decisions: z.array(decision),
  withdrawn: z.array(decision).optional(),
  drift: planDifference.optional(),
  notInAdvance: z.array(z.object({ person: z.string(), reason: z.string() })).optional(),
  changed: planDifference.optional(),
  opening: awaitedOpening.optional(),
});

/** A hold that was released alone. */
export const brokenGlass = objectOf<BrokenGlass>()({
  hold: z.string(),
  person: z.string(),
  reason: z.string(),
  at: time,
  verdict: z.string().optional(),
});

const window = objectOf<WindowState>()({
  calendar: z.string(),
  step: z.string(),
  state: z.string() as unknown as z.ZodType<WindowState['state'], WindowState['state']>,
  reason: z.string(),
  opensAt: time.optional(),
});

const notification = objectOf<NotificationTrouble>()({
  sequence: z.number(),
  event: z.string(),
  channel: z.string(),
  state: z.enum(['trying', 'undelivered']),
  reason: z.string(),
  attempts: z.number(),
});

export type StateWithoutPlan = Omit<RunState, 'hold'> & { hold?: HoldWithoutPlan };

const runState = objectOf<StateWithoutPlan>()({
  run: z.string(),
  target: z.string(),
  runbook: z.object({ name: z.string(), title: z.string(), digest: z.string() }),
  inputs: jsonObject,
  requester: z.string(),
  schedule: z.object({ name: z.string(), opens: time, closes: time }).optional(),
  ticket: ticket.optional(),
  phase: z.enum(phases),
  steps: z.array(step),
  hold: hold.optional(),
  brokenGlass: z.array(brokenGlass).optional(),
  stuck: z.object({ step: z.string(), code: z.string(), reason: z.string(), remedy: z.string() }).optional(),
  window: window.optional(),
  commands: z.array(z.enum(commandNames)).describe('The commands that an operator can give now.'),
  notice: z.string().optional(),
  pauseRequestedBy: z.string().optional(),
  ended: z.object({ at: time, reason: z.string(), leftovers: z.array(z.string()) }).optional(),
  evidence: z.string(),
  refusedAttempts: z.number(),
  undelivered: z.number().optional(),
  notifications: z.array(notification).optional(),
});

/** Where Temporal is, is nothing for a page. */
const unanswered = objectOf<Omit<Unanswered, 'address'>>()({
  queue: z.string(),
  lastPollAt: time.optional(),
  why: z.enum(['silent', 'not-replayed']),
  at: time,
  incomplete: z.boolean(),
  carriedOut: z.array(z.object({ step: z.string(), at: time })),
});

export type LiveRunWithoutPlan = Omit<LiveRun, 'state' | 'lastKnown'> & {
  state: StateWithoutPlan;
  lastKnown?: Omit<Unanswered, 'address'>;
};

/** A run as it stands, with what its activities say right now: the answer of `GET /runs/{run}`, and of each event of its stream. */
export const liveRun = objectOf<LiveRunWithoutPlan>()({
  state: runState,
  progress: z.record(z.string(), progress),
  retrying: z.array(objectOf<Retrying>()({ step: z.string().optional(), reason: z.string(), attempt: z.number() })).readonly(),
  lastKnown: unanswered.optional(),
  outsideEnd: objectOf<OutsideEnd>()({
    how: z.enum(['terminated', 'failed', 'timed out']),
    at: time,
    by: z.string(),
    reason: z.string(),
  }).optional(),
});

/** A row of the list of runs. */
export const runSummary = objectOf<RunSummary>()({
  run: z.string(),
  target: z.string(),
  runbook: z.string(),
  requester: z.string(),
  phase: z.string(),
  opensAt: time.optional(),
  startedAt: time,
  endedAt: time.optional(),
  brokenGlass: z.string().optional(),
  reason: z.string().optional(),
});

/** A hold that waits for whoever asks. */
export const inboxItem = objectOf<InboxItem>()({
  run: z.string(),
  target: z.string(),
  title: z.string(),
  requester: z.string(),
  askedBy: z.string().optional(),
  brokenGlass: z.array(brokenGlass).optional(),
  hold: z.string(),
  request: z.number(),
  question: z.string(),
  planHash: z.string(),
  missing: z.number(),
  requestedAt: time,
  expiresAt: time,
  ageMs: z.number(),
  leftMs: z.number(),
  opening: awaitedOpening.optional(),
  steps: z.array(stepSummary),
});
