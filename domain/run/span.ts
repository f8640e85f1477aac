import type { Target } from '../target.ts';
import type { JsonObject } from '../json.ts';
import type { SpanPlan } from '../plan/plan.ts';
import type { CompiledRunbook } from '../runbook.ts';
import type { Results, StepInstance } from './step-tree.ts';
import type { PlannedStep } from './steps.ts';

/** What a plan is made from besides the steps. */
export interface PlanningBase {
  runbook: CompiledRunbook;
  inputs: JsonObject;
  target: Target;
  targetName: string;
  /** Empty where a plan is made before there is a run. */
  run: string;
  /** Whoever has started the run; undefined where there is none yet. */
  requester?: string;
}

/** The steps up to the next hold: what one set of signatures stands for. */
export interface Span {
  plan: SpanPlan;
  steps: PlannedStep[];
  /** The lists and runbooks that were taken apart, with what they have become. */
  groups: { id: string; parts: StepInstance[] }[];
  /** What comes after: nothing, or a hold and whatever follows it. */
  rest: StepInstance[];
  /** The results so far, with places for those of the span. */
  results: Results;
  /** The question of the hold that the span is signed at. */
  question?: string;
}

/** What people have signed, for the steps that carry it out. */
export interface SignedSpan {
  plan: SpanPlan;
  /** The opening in which the plan was seen to hold last, told by its close; null where it has none in sight. Unset before the first. */
  opening?: number | null;
  /** People have signed that its steps begin although the window is shut. */
  mayBeginAnyTime?: true;
}

/** How to take back what a run has done so far. */
export interface Rollback extends SignedSpan {
  steps: PlannedStep[];
  /** Steps that stay as they are, and steps of which there is nothing to undo, each with the reason. */
  left: { id: string; stays: boolean; reason: string }[];
}

/** The id of the step that undoes another one. */
export function idOfUndo(step: string): string {
  return `undo:${step}`;
}

/** What stands in the way of a plan, in the words of its steps. */
export function blockersOf(plan: SpanPlan): { step: string; object: string; reason: string; remedy: string }[] {
  return plan.steps.flatMap(({ id, plan: { blockers } }) => blockers.map((blocker) => ({ step: id, ...blocker })));
}

/** Why the first step that is blocked cannot be carried out, and what to do; undefined where none is. */
export function blockedBy(plan: SpanPlan): { reason: string; remedy: string } | undefined {
  const [blocker] = blockersOf(plan);
  if (!blocker) return undefined;
  return { reason: `Step ${blocker.step} is blocked: ${blocker.object}: ${blocker.reason}`, remedy: blocker.remedy };
}
