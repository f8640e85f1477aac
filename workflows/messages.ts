import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ClaimsOf } from '../domain/approval/statement.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Blocker, SpanPlan } from '../domain/plan/plan.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { ScheduledStart } from '../domain/schedule/schedule.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { NotificationTrouble, Phase, RunState } from '../domain/run/state.ts';

export {
  brokenGlassMemo,
  notifyWorkflow,
  planWorkflow,
  runWorkflow,
  scheduleWorkflow,
  searchAttributes,
  sweepWorkflow,
  testChannelWorkflow,
} from '../domain/run/names.ts';
export type { AlarmOutcome, ScheduleInput } from '../domain/schedule/schedule.ts';

export interface PlanInput {
  document: RunbookDocument;
  inputs: JsonObject;
}

export interface RunInput extends PlanInput {
  /** Id of the run, e.g. `r-20261121-7kq2m`. */
  run: string;
  target: string;
  requester: string;
  /** Hash of the first span as it was shown to the requester; empty where a schedule starts the run, whose requester was shown none. */
  planHash: string;
  /** What the run is done for; part of the statement. */
  ticket?: Ticket;
  /** The requester's signed StartStatement, or ScheduleStatement, a compact JWS. */
  signature: string;
  /** What starts it where no person does. */
  schedule?: ScheduledStart;
}

export interface RunResult {
  run: string;
  phase: Phase;
  reason: string;
  evidence: string;
}

/** What a sweep is to look at: the targets that are named, or all that runs have worked on. */
export interface SweepInput {
  targets?: string[];
  /** Look only. */
  dryRun: boolean;
  /** Who has asked for it, for its record: `holdpoint sweep`, or a worker that has started. */
  askedBy: string;
}

/** An owner annotation of a run at a node. */
export interface OwnerAnnotation {
  node: string;
  run: string;
}

/** What a sweep has found at a target, and lifted. */
export interface SweptTarget {
  target: string;
  /** Owner annotations of runs that are over: lifted now, or in a dry run to be lifted. */
  lifted: OwnerAnnotation[];
  /** Marks that stay, with the reason. */
  kept: (OwnerAnnotation & { why: string })[];
  /** Why nothing more can be said of the target. */
  failure?: { code: string; reason: string; remedy: string };
}

export interface SweepResult {
  targets: SweptTarget[];
  /** There are more targets than one sweep looks at. */
  more: boolean;
  /** Where the record is, as the worker sees it; absent where there was nothing to lift. */
  evidence?: string;
}

/** The entry of a record that people are to be told of. */
export interface NotifyInput {
  run: string;
  target: string;
  sequence: number;
}

/** How it goes with telling people, for the run: `delivered` after there was trouble. */
export interface NotificationNews extends Omit<NotificationTrouble, 'state'> {
  run: string;
  state: NotificationTrouble['state'] | 'delivered';
}

/** What became of a test message. */
export interface TestResult {
  delivered: boolean;
  /** Why it was not delivered, or nobody knows. */
  reason?: string;
}

/** What became of the start: whether the first span was the one that the requester has signed. */
export type Admission =
  { admitted: true } | { admitted: false; code: string; reason: string; remedy: string; plan?: SpanPlan; blockers?: Blocker[] };

/** A decision as it is sent: its claims in clear, for the validator, and the signed statement, for the handler. */
export type DecisionRequest = ClaimsOf<'decision'> & { signature: string };

/** An approval for later, a release alone, and the withdrawal of an approval, sent like a decision. */
export type DeferredApprovalRequest = ClaimsOf<'deferred-approval'> & { kind: 'deferred-approval'; signature: string };
export type BreakGlassRequest = ClaimsOf<'break-glass'> & { kind: 'break-glass'; signature: string };
export type WithdrawalRequest = ClaimsOf<'withdrawal'> & { kind: 'withdrawal'; signature: string };

/** With what the other person has signed, a compact JWS. */
export type DelegatedApprovalRequest = ClaimsOf<'delegated-approval'> & {
  kind: 'delegated-approval';
  signature: string;
  delegationSignature: string;
};

/** Whatever can be said at a hold. */
export type WordAtHold =
  (DecisionRequest & { kind?: 'decision' }) | DeferredApprovalRequest | DelegatedApprovalRequest | BreakGlassRequest | WithdrawalRequest;

/** What a decision has led to. */
export interface DecisionAnswer {
  state: 'waiting' | 'approved' | 'rejected';
  /** How many more people must approve. */
  missing: number;
}

/** A command of an operator, sent like a decision. `step` is the stuck one that is meant; empty for a command about the whole run. */
export type CommandRequest = ClaimsOf<'command'> & { signature: string };

/** What has become of a command. */
export interface CommandResult {
  phase: Phase;
  /** The hold at which a second person has to sign before it counts; absent where nobody needs to. */
  hold?: string;
  /** Why it came to nothing; absent where it did not. */
  notice?: string;
}

/** An attempt that never got into the run because it was refused by the validator; told by the client, for the record. */
export interface RefusedAttempt {
  person: string;
  /** What was attempted: `start`, `approve`, `reject`, or a command. */
  attempt: string;
  code: string;
  reason: string;
}

/** The memo of a run that is parked: when its window opens next. */
export const windowMemo = 'windowOpensAt';

export const stateQuery = defineQuery<RunState>('state');
export const admissionUpdate = defineUpdate<Admission>('admission');
export const decideUpdate = defineUpdate<DecisionAnswer, [WordAtHold]>('decide');
export const commandUpdate = defineUpdate<CommandResult, [CommandRequest]>('command');
export const attemptRefusedSignal = defineSignal<[RefusedAttempt]>('attemptRefused');
export const notificationSignal = defineSignal<[NotificationNews]>('notification');

/**
 * What begins the message of an activation that was refused because its events came early. The client knows it, and asks again
 * (client/temporal/asking.ts).
 */
export const earlyEventWords = '[early-event]';
