import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Decision, ApprovalRequest } from '../domain/approval/approval.ts';
import type { JsonObject } from '../domain/json.ts';
import type { PlanDifference } from '../domain/plan/difference.ts';
import type { Blocker, SpanPlan } from '../domain/plan/plan.ts';
import type { CommandName } from '../domain/approval/statement.ts';

export { runWorkflow, searchAttributes } from '../domain/run/names.ts';
export type { CommandName };

/** Names of the workflow types. */
export const planWorkflow = 'planRunbook';
export const sweepWorkflow = 'sweep';

/** A runbook as it was written: the worker parses and checks it again, whoever sends it. */
export interface RunbookDocument {
  /** Where it came from, for messages. */
  file: string;
  text: string;
  /** The runbooks that it carries out, by the keys of `runbooks/compiler/reference.ts`. */
  runbooks?: Record<string, { file: string; text: string }>;
}

export interface PlanInput {
  document: RunbookDocument;
  inputs: JsonObject;
}

/** A span of a forecast. */
export interface ForecastSpan {
  /** The hold that people sign before it; absent for the first span, which the start itself signs. */
  hold?: { id: string; policy: string; question?: string };
  plan: SpanPlan;
}

/** What a runbook would do, span by span. Only the first one is binding; the others are planned again at their hold. */
export interface Forecast {
  target: string;
  runbook: { name: string; title: string; digest: string };
  inputs: JsonObject;
  spans: ForecastSpan[];
}

export interface RunInput extends PlanInput {
  /** Id of the run, e.g. `r-20261121-7kq2m`. */
  run: string;
  target: string;
  requester: string;
  /** Hash of the first span as it was shown to the requester. */
  planHash: string;
  /** The requester's signed StartStatement, a compact JWS. */
  signature: string;
}

export type Phase =
  'planning' | 'running' | 'holding' | 'paused' | 'stuck' | 'undoing' | 'done' | 'rejected' | 'aborted' | 'undone' | 'refused';

/** Phases in which a run is over. */
export const endPhases: readonly Phase[] = ['done', 'rejected', 'aborted', 'undone', 'refused'];

/** `stopped`: the run ended in it; `kept`: its change stays when the run is undone. */
export type StepStatus = 'waiting' | 'running' | 'holding' | 'stuck' | 'done' | 'skipped' | 'stopped' | 'undone' | 'kept';

export interface StepState {
  /** `drain`; of a list `drain[node-a]`; of a runbook `upgrade/drain`; of the way back `undo:drain`. */
  id: string;
  /** `group`: stands for the rows below it, the elements of a list or the steps of a runbook. */
  kind: 'action' | 'hold' | 'group';
  /** Id of the group that it belongs to. */
  parent?: string;
  title?: string;
  /** Name of the action, of the policy of a hold, or of the runbook. */
  uses: string;
  status: StepStatus;
  startedAt?: string;
  endedAt?: string;
  /** The last thing that is known of it, in one sentence. */
  summary?: string;
}

export interface HoldState {
  request: ApprovalRequest;
  plan: SpanPlan;
  decisions: Decision[];
  /** What has changed since the request before this one was signed. */
  drift?: PlanDifference;
}

export interface StuckState {
  step: string;
  /** The code of the error, as `docs/errors.md` lists it. */
  code: string;
  reason: string;
  remedy: string;
}

/** How a run stands: the answer to the state query. */
export interface RunState {
  run: string;
  target: string;
  runbook: { name: string; title: string; digest: string };
  inputs: JsonObject;
  requester: string;
  phase: Phase;
  steps: StepState[];
  hold?: HoldState;
  stuck?: StuckState;
  /** What an operator can tell the run now. */
  commands: CommandName[];
  /** What became of the last thing that an operator has asked for, where it came to nothing. */
  notice?: string;
  /** Somebody has asked for a pause that takes hold at the next safe point. */
  pauseRequestedBy?: string;
  /** Why the run ended as it did, and what it left behind. */
  ended?: { at: string; reason: string; leftovers: string[] };
  /** Where the record is, as the worker sees it. */
  evidence: string;
  refusedAttempts: number;
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

/** A mark of a run at a node. */
export interface Mark {
  node: string;
  run: string;
}

/** What a sweep has found at a target, and lifted. */
export interface SweptTarget {
  target: string;
  /** Marks of dead runs: lifted now, or in a dry run to be lifted. */
  lifted: Mark[];
  /** Marks that stay, with the reason. */
  kept: (Mark & { why: string })[];
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

/** What became of the start: whether the first span was the one that the requester has signed. */
export type Admission =
  { admitted: true } | { admitted: false; code: string; reason: string; remedy: string; plan?: SpanPlan; blockers?: Blocker[] };

/** A decision as it is sent: the fields in clear, for the validator, and the signed statement, for the handler. */
export interface DecisionRequest {
  person: string;
  run: string;
  hold: string;
  request: number;
  planHash: string;
  decision: 'approve' | 'reject';
  reason: string;
  signature: string;
}

/** What a decision has led to. */
export interface DecisionAnswer {
  state: 'waiting' | 'approved' | 'rejected';
  /** How many more people must approve. */
  missing: number;
}

/** An operator's word, signed like a decision. */
export interface CommandRequest {
  person: string;
  run: string;
  command: CommandName;
  /** The stuck step that is meant; empty for a word that is about the whole run. */
  step: string;
  reason: string;
  signature: string;
}

/** What has become of an operator's word. */
export interface CommandResult {
  phase: Phase;
  /** The hold at which a second person has to sign before it counts; absent where nobody needs to. */
  hold?: string;
  /** Why it came to nothing; absent where it did not. */
  notice?: string;
}

/** An attempt that never got into the run because it was refused at the door; told by the client, for the record. */
export interface RefusedAttempt {
  person: string;
  /** What was attempted: `start`, `approve`, `reject`, or a command. */
  attempt: string;
  code: string;
  reason: string;
}

export const stateQuery = defineQuery<RunState>('state');
export const admissionUpdate = defineUpdate<Admission>('admission');
export const decideUpdate = defineUpdate<DecisionAnswer, [DecisionRequest]>('decide');
export const commandUpdate = defineUpdate<CommandResult, [CommandRequest]>('command');
export const attemptRefusedSignal = defineSignal<[RefusedAttempt]>('attemptRefused');
