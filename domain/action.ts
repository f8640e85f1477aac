import type { JsonObject } from './json.ts';

/** What a run maintains: `eks/<region>/<cluster>`. Actions reach this target only, whatever their input says. */
export interface Target {
  kind: 'eks';
  region: string;
  name: string;
}

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

/** What a look at the world says of a plan: nothing is assumed, everything is read. */
export type Observation =
  | { state: 'todo'; progress?: Progress }
  | { state: 'moving'; progress: Progress }
  | { state: 'done'; outputs: JsonObject; progress?: Progress }
  | { state: 'stuck'; reason: string; remedy: string; progress?: Progress };

/** A call of an action, as the way back from another one. */
export interface ActionCall {
  uses: string;
  with: JsonObject;
}

/** The way back from an action: another action, or the reason why there is none. */
export type Undo = ActionCall | { noUndo: string };
