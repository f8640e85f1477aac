import type { PlanningBase, Rollback, SignedSpan } from '../../domain/run/span.ts';
import type { Phase } from '../../domain/run/state.ts';
import type { Results, StepInstance } from '../../domain/run/step-tree.ts';

/** How far a run has come through its runbook. All of it is data, so that it outlives a history. */
export interface RunProgress {
  base: PlanningBase;
  results: Results;
  /** Steps that are still to come; the span that is being carried out is not among them. */
  queue: StepInstance[];
  /** What is signed and being carried out, and what comes after it. */
  span?: SignedSpan & { rest: StepInstance[] };
  /** The policy of the hold that was released last. */
  policy?: string;
  /** Everybody who has signed at the holds that were released. */
  approvers?: string[];
  /** How the run has ended, where only a review is still to come of what somebody has released alone. */
  ended?: End;
  /** The rollback, once it has begun, and why. */
  rollback?: Rollback & { reason: string };
}

/** How a run has ended. */
export interface End {
  phase: Phase;
  reason: string;
}
