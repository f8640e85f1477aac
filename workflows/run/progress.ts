import type { ActionPlan, SpanPlan } from '../../domain/plan/plan.ts';
import type { ActionLimits } from '../../domain/runbook.ts';
import type { Phase } from '../messages.ts';
import type { Item, Results } from '../steps/step-tree.ts';
import type { PlanningBase, Span, Task } from '../steps/span.ts';

/** A step that has been begun, for the way back. */
export interface Performed {
  id: string;
  uses: string;
  plan: ActionPlan;
  limits: ActionLimits;
  runsOn?: string;
  finished: boolean;
  /** Whether somebody else has begun the same change, which is not this run's to undo. */
  foreign?: boolean;
  /** Whether the way back has undone it. */
  undone: boolean;
  /** Why it stays when the run goes back. */
  kept?: string;
}

/** How far a run has come. All of it is data, so that a new history can go on from it. */
export interface Course {
  base: PlanningBase;
  results: Results;
  /** Steps that are still to come; the span that is being carried out is not among them. */
  queue: Item[];
  /** What is signed and being carried out. */
  span?: Pick<Span, 'plan' | 'tasks' | 'rest'>;
  /** The policy of the hold that was signed last. */
  policy?: string;
  /** Steps that may have changed the world, in the order in which they were begun. */
  performed: Performed[];
  /** The way back, once it has begun, and why it was taken. */
  back?: WayBack & { reason: string };
}

/** The way back from what a run has done so far. */
export interface WayBack {
  plan: SpanPlan;
  tasks: Task[];
  /** Steps that stay as they are, and steps of which there is nothing to undo, each with the reason. */
  left: { id: string; stays: boolean; reason: string }[];
}

/** How a run has ended. */
export interface End {
  phase: Phase;
  reason: string;
}

/** The id of the step that undoes another one; of several, they are `<id>/1`, `<id>/2`, and so on. */
export function idOfUndo(step: string): string {
  return `undo:${step}`;
}
