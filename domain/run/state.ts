import type { ApprovalRequest, Decision } from '../approval/request.ts';
import type { CommandName } from '../approval/statement.ts';
import type { JsonObject } from '../json.ts';
import type { PlanDifference } from '../plan/difference.ts';
import type { SpanPlan } from '../plan/plan.ts';
import type { Ticket } from '../ticket.ts';
import type { StepState } from './steps.ts';
import type { AwaitedOpening, WindowState } from './window.ts';

/** What a run can be in. No run says `terminated` of itself: its workflow was ended past Holdpoint, as Temporal says. */
export const phases = [
  'planning',
  'running',
  'holding',
  'parked',
  'paused',
  'stuck',
  'undoing',
  'done',
  'rejected',
  'aborted',
  'undone',
  'refused',
  'terminated',
] as const;
export type Phase = (typeof phases)[number];

/** Phases in which a run is over. */
export const endPhases: readonly Phase[] = ['done', 'rejected', 'aborted', 'undone', 'refused', 'terminated'];

/** How a run ends that was cancelled from outside, through Temporal: nobody signs that. */
export const cancelledReason = 'cancelled through Temporal';

/** A hold at which signatures are requested. */
export interface HoldState {
  request: ApprovalRequest;
  plan: SpanPlan;
  decisions: Decision[];
  /** Approvals that were taken back, or do not count any more: a copy of one must not count again. */
  withdrawn?: Decision[];
  /** What has changed since the request before this one was signed. */
  drift?: PlanDifference;
  /** Approvals that were signed in advance and do not count, with the reason. */
  notInAdvance?: { person: string; reason: string }[];
  /** What has changed since the request before this one was shown, which closed without signatures. */
  changed?: PlanDifference;
  /** When the steps may begin, in a run that keeps to a window. */
  opening?: AwaitedOpening;
}

/** A hold that somebody has released alone, as its policy lets them. */
export interface BrokenGlass {
  hold: string;
  person: string;
  reason: string;
  /** When they have signed it; ISO 8601, UTC. */
  at: string;
  /** What others have said to it afterwards, or why nobody has; left out before. */
  verdict?: string;
}

export interface StuckState {
  step: string;
  /** The code of the error, as `docs/errors.md` lists it. */
  code: string;
  reason: string;
  remedy: string;
}

/** People could not be told of something, so far or at all. */
export interface NotificationTrouble {
  /** The number of the entry of the record. */
  sequence: number;
  /** One of `notificationEvents`. */
  event: string;
  channel: string;
  state: 'trying' | 'undelivered';
  reason: string;
  attempts: number;
}

/** How a run stands, as it is shown: the answer to the state query. */
export interface RunState {
  run: string;
  target: string;
  runbook: { name: string; title: string; digest: string };
  inputs: JsonObject;
  requester: string;
  /** The schedule that has started it, in the name of the requester, and the opening that it is for; ISO 8601, UTC. */
  schedule?: { name: string; opens: string; closes: string };
  /** What it is done for, as whoever has started it has signed. */
  ticket?: Ticket;
  phase: Phase;
  steps: StepState[];
  hold?: HoldState;
  /** Holds that were released by breaking the glass; left out where none was. */
  brokenGlass?: BrokenGlass[];
  stuck?: StuckState;
  /** Why the run waits for its window; the plan is looked at once more before it goes on. */
  window?: WindowState;
  /** The commands that an operator can give now. */
  commands: CommandName[];
  /** What became of the last command, where it came to nothing. */
  notice?: string;
  /** Somebody has asked for a pause that takes hold at the next safe point. */
  pauseRequestedBy?: string;
  /** Why the run ended as it did, and what it left behind. */
  ended?: { at: string; reason: string; leftovers: string[] };
  /** Where the record is, as the worker sees it. */
  evidence: string;
  refusedAttempts: number;
  /** Messages that were given up. */
  undelivered?: number;
  /** Channels over which people could not be told of something; the last ones. */
  notifications?: NotificationTrouble[];
}
