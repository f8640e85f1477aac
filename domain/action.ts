import type { JsonObject } from './json.ts';
import type { ExpectedChange } from './plan/expected.ts';
import type { Target } from './target.ts';

export type { Target } from './target.ts';

/** For whom an action works. */
export interface ActionContext {
  /** Id of the run, e.g. `r-20261121-7kq2m`; empty where a plan is made before there is a run. */
  run: string;
  step: string;
  target: Target;
  /** How often the operator has had the step tried again: makes a new request token for a new try. */
  retry: number;
  /** Whether this attempt has acted already: tells a failure of our own doing from one that was there before. */
  acted: boolean;
  /** What earlier steps will have done by then; empty where the world shows it already, as while a step is carried out. */
  expected?: readonly ExpectedChange[];
  /**
   * Whether an operator has said that a change in flight which somebody else has begun counts as this step's, being the same.
   * It holds for this try only: a later one asks for a change of its own.
   */
  adopt?: boolean;
}

/** How far one object of a step has come: a row of the live table. */
export interface ProgressItem {
  name: string;
  state: 'waiting' | 'moving' | 'done' | 'blocked';
  done: number;
  total: number;
  /** Why it waits, in a few words. */
  detail?: string;
}

/** How far a step has come. */
export interface Progress {
  /** One sentence for a line of a log. */
  summary: string;
  done: number;
  total: number;
  /** What is counted, in the plural: `pods`, `nodes`. */
  unit: string;
  items: ProgressItem[];
}

/** What a step tells while it is carried out; several steps do at once. */
export interface StepReport {
  step: string;
  progress?: Progress;
}

/** What a look at the world says of a plan: nothing is assumed, everything is read. */
export type Observation =
  | ({ state: 'todo'; progress?: Progress } & Unfinished)
  | ({ state: 'moving'; progress: Progress } & Unfinished)
  | { state: 'done'; outputs: JsonObject; progress?: Progress }
  | Stuck;

/** What a look says of a plan that cannot go on by itself: why, and what a person can do. */
export interface Stuck extends Unfinished {
  state: 'stuck';
  reason: string;
  remedy: string;
  progress?: Progress;
  /** Somebody else has begun the very change that is planned: an operator may have the step take it for its own. */
  adoptable?: boolean;
}

/** What a look can say besides, as long as a plan is not carried out. */
interface Unfinished {
  /**
   * Whether the change that has no way back, or a long one, has not been begun: read from the world, and true only where that
   * is certain. It tells `undo` what a step that was not finished has left.
   */
  untouched?: boolean;
}

/** A call of an action, as the way back from another one. */
export interface ActionCall {
  uses: string;
  with: JsonObject;
}

/**
 * The way back from an action: another action, or the reason why there is none (`noUndo`) or none is needed (`nothing`). What
 * cannot be undone also keeps what came before it from being undone, as the world has moved on from there.
 */
export type Undo = ActionCall | { noUndo: string } | { nothing: string };
