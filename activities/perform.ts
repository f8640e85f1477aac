import type { ActionContext, Observation, Progress } from '../domain/action.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ActionPlan } from '../domain/plan.ts';
import type { AnyAction } from './action.ts';

const waitMinMs = 200;
const waitMaxMs = 2_000;
const waitGrowth = 1.5;

/** What a performed step leaves in the record. */
export interface Performance {
  outputs: JsonObject;
  /** What the first look said: `done` where there was nothing left to do. */
  before: Observation['state'];
  /** How often it acted. */
  acts: number;
  /** The last progress, for the record. */
  summary?: string;
}

/** What perform needs of its surroundings. */
export interface PerformanceSurroundings {
  /** Told after every look. */
  onProgress: (progress: Progress | undefined) => void;
  /** Aborted when the run is paused or aborted: the unit in hand is finished, nothing new begins. */
  signal: AbortSignal;
  /** Resolves after the time or when the signal is aborted, whichever is first. */
  wait: (ms: number) => Promise<void>;
}

/**
 * Carries out a signed plan: looks, acts if there is something to do, and looks again until the world is as planned.
 * The same loop serves the first try, a retry after the worker was killed, and a step that somebody else has finished.
 * Throws `action-stuck` where it cannot go on by itself, the action's own errors, and the signal's reason when it is aborted.
 */
export async function perform(
  action: AnyAction,
  plan: ActionPlan,
  context: Omit<ActionContext, 'acted'>,
  { onProgress, signal, wait }: PerformanceSurroundings,
): Promise<Performance> {
  let before: Observation['state'] | undefined;
  let acts = 0;
  let waitMs = waitMinMs;
  let shown = '';
  for (;;) {
    signal.throwIfAborted();
    const seen = await action.observe(plan, { ...context, acted: acts > 0 });
    before ??= seen.state;
    onProgress(seen.progress);
    if (seen.state === 'done') return { outputs: seen.outputs, before, acts, summary: seen.progress?.summary };
    if (seen.state === 'stuck') throw new HoldpointError('action-stuck', { cause: seen.reason, remedy: seen.remedy });
    // Whatever moves is looked at again soon; what stands still is looked at ever less often.
    const summary = seen.progress?.summary ?? '';
    waitMs = summary !== shown ? waitMinMs : Math.min(waitMs * waitGrowth, waitMaxMs);
    shown = summary;
    if (seen.state === 'todo') {
      if (plan.effects.length === 0) throw uncovered(action, summary);
      signal.throwIfAborted();
      await action.act(plan, { ...context, acted: acts > 0 });
      acts += 1;
    }
    await wait(waitMs);
  }
}

/** An empty plan was signed as empty: what would have to be done now is in nobody's signature. */
function uncovered(action: AnyAction, summary: string): HoldpointError {
  return new HoldpointError('plan-does-not-cover', {
    action: action.declaration.name,
    cause: summary === '' ? 'something is to be done after all' : summary,
  });
}
