import type { ActionContext, Checkpoint, Observation, Progress, StepContext } from '../domain/action.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import { stuckError, type AnyAction, type Following } from './action.ts';

/** How soon after a look the next one is taken, where the action has no pace of its own. */
const defaultPace = { lookMinMs: 200, lookMaxMs: 2_000 };
const waitGrowth = 1.5;
/** Errors that may pass by themselves, one after another, before the attempt is given up. */
const failuresInARowMax = 10;
/** Pushes after which nothing has moved, before a person has to look. */
const actsWithoutEffectMax = 50;

/** What a performed step leaves in the record. */
export interface Performance {
  outputs: JsonObject;
  /** What the first look said: `done` where there was nothing left to do. */
  before: Observation['state'];
  /** How often it acted. */
  acts: number;
  /** Errors that passed by themselves, counted by code. */
  passed: Record<string, number>;
  /** The last progress, for the record. */
  summary?: string;
}

/** What perform needs of its surroundings. */
export interface PerformanceSurroundings {
  /** Told after every look, and whenever the action reports. */
  onProgress: (progress: Progress | undefined) => void;
  /** Aborted when the run is paused or aborted: the unit in hand is finished, nothing new begins. */
  signal: AbortSignal;
  /** Resolves after the time or when the signal is aborted, whichever is first. */
  wait: (ms: number) => Promise<void>;
  /** What an attempt leaves for the next one; without it there is none. */
  checkpoint?: Checkpoint;
}

/**
 * Carries out a signed plan: looks, acts if there is something to do, and looks again until the world is as planned.
 * The same loop serves the first try, a retry after the worker was killed, and a step that somebody else has finished.
 * Throws `action-stuck` where it cannot go on by itself (`change-in-flight` where somebody else has begun the same change), the
 * action's own errors, and the signal's reason when it is aborted.
 */
export async function perform(
  action: AnyAction,
  plan: ActionPlan,
  context: StepContext,
  surroundings: PerformanceSurroundings,
): Promise<Performance> {
  const session = new ActionSession(action, plan, context, surroundings);
  try {
    return await performWith(session, action, plan, surroundings);
  } finally {
    await session.stop();
  }
}

async function performWith(
  session: ActionSession,
  action: AnyAction,
  plan: ActionPlan,
  { onProgress, signal, wait }: PerformanceSurroundings,
): Promise<Performance> {
  let before: Observation['state'] | undefined;
  let acts = 0;
  let actsWithoutEffect = 0;
  const { lookMinMs, lookMaxMs } = paceOf(action);
  let waitMs = lookMinMs;
  let shown: string | undefined;
  const passed: Record<string, number> = {};
  const look = patientlyDone(passed, async () => {
    signal.throwIfAborted();
    const seen = await session.observe();
    before ??= seen.state;
    onProgress(seen.progress);
    // Whatever moves is looked at again soon; what stands still is looked at ever less often.
    const summary = seen.progress?.summary ?? '';
    const moved = summary !== shown;
    waitMs = moved ? lookMinMs : Math.min(waitMs * waitGrowth, lookMaxMs);
    if (moved) actsWithoutEffect = 0;
    shown = summary;
    if (seen.state !== 'todo') return seen;
    if (plan.effects.length === 0) throw uncovered(action, summary);
    if (actsWithoutEffect >= actsWithoutEffectMax) throw withoutEffect(action, summary);
    signal.throwIfAborted();
    acts += 1;
    actsWithoutEffect += 1;
    await session.act();
    return seen;
  });
  for (;;) {
    const seen = await look();
    if (seen?.state === 'done') return { outputs: seen.outputs, before: before ?? 'done', acts, passed, summary: seen.progress?.summary };
    if (seen?.state === 'stuck') throw stuckError(seen);
    // Whoever does not answer, or is asked too often, is asked ever less often.
    if (seen === undefined) waitMs = Math.min(waitMs * waitGrowth, lookMaxMs);
    if (session.following) await session.following.changed(waitMs, signal);
    else await wait(waitMs);
  }
}

function paceOf({ declaration: { limits } }: AnyAction): { lookMinMs: number; lookMaxMs: number } {
  return limits.pace ?? defaultPace;
}

function checkpointOfAttempt(): Checkpoint {
  let kept: Json | undefined;
  return { read: () => kept, write: (value) => void (kept = value) };
}

/** How an action is looked at and pushed: over a watch where it offers one, by single calls otherwise. */
class ActionSession {
  following: Following | undefined;
  private readonly action: AnyAction;
  private readonly plan: ActionPlan;
  private readonly context: Omit<ActionContext, 'acted'>;
  private acted = false;

  constructor(action: AnyAction, plan: ActionPlan, context: StepContext, surroundings: PerformanceSurroundings) {
    const { onProgress: report, signal, checkpoint = checkpointOfAttempt(), wait } = surroundings;
    const { lookMaxMs } = paceOf(action);
    this.action = action;
    this.plan = plan;
    this.context = { ...context, signal, report, checkpoint, wait: (ms) => wait(Math.min(ms, lookMaxMs)) };
  }

  async observe(): Promise<Observation> {
    if (!this.action.follow) return this.action.observe(this.plan, this.now());
    this.following ??= await this.action.follow(this.plan, this.now());
    return this.following.observe();
  }

  async act(): Promise<void> {
    await (this.following ? this.following.act() : this.action.act(this.plan, this.now()));
    // An act without an answer may not have happened: nothing that is missing can be called undone by others then.
    this.acted = true;
  }

  async stop(): Promise<void> {
    await this.following?.stop();
  }

  private now(): ActionContext {
    return { ...this.context, acted: this.acted };
  }
}

/**
 * Lets errors pass that may pass by themselves, as long as they do not come too often in a row: after each the world is
 * looked at anew, so an act whose answer was lost is neither taken for done nor done again unseen.
 */
function patientlyDone<Result>(passed: Record<string, number>, attempt: () => Promise<Result>): () => Promise<Result | undefined> {
  let failures = 0;
  return async () => {
    try {
      const result = await attempt();
      failures = 0;
      return result;
    } catch (error) {
      failures += 1;
      if (!(error instanceof HoldpointError) || error.consequence !== 'retry' || failures > failuresInARowMax) throw error;
      passed[error.code] = (passed[error.code] ?? 0) + 1;
      return undefined;
    }
  };
}

function withoutEffect(action: AnyAction, summary: string): HoldpointError {
  const seen = summary === '' ? '' : `: ${summary}`;
  return new HoldpointError('action-stuck', {
    cause: `${action.declaration.name} has acted ${actsWithoutEffectMax} times without any effect to be seen${seen}.`,
    remedy: 'Find out what keeps it from taking effect (a webhook, another controller), then try again.',
  });
}

/** An empty plan was signed as empty: what would have to be done now is in nobody's signature. */
function uncovered(action: AnyAction, summary: string): HoldpointError {
  return new HoldpointError('plan-does-not-cover', {
    action: action.declaration.name,
    cause: summary === '' ? 'something is to be done after all' : summary,
  });
}
