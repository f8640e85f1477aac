import { isGate } from '../action.ts';
import type { StepPlan } from '../plan/plan.ts';

/**
 * The gate that keeps a step of a plan from being begun: the first before it that has not let the run pass. Undefined where there is none.
 * Gates look side by side at most, so none of them waits for another one. Workers and whoever verifies a record go by this one rule.
 */
export function shutGateBefore(step: string, steps: readonly StepPlan[], isPassed: (gate: string) => boolean): string | undefined {
  const place = steps.findIndex(({ id }) => id === step);
  if (place < 0 || isGate(steps[place]?.uses ?? '')) return undefined;
  return steps.slice(0, place).find(({ id, uses }) => isGate(uses) && !isPassed(id))?.id;
}
