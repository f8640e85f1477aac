import type { LiveRun } from '../client/holdpoint.ts';
import type { LiveRunWithoutPlan } from './schema/run.ts';

/** A run without the plan of its hold. */
export function withoutPlan({ state, ...live }: LiveRun): LiveRunWithoutPlan {
  if (!state.hold) return { ...live, state: { ...state, hold: undefined } };
  const { plan: _plan, ...hold } = state.hold;
  return { ...live, state: { ...state, hold } };
}
