import type { Json, JsonObject } from './json.ts';
import type { ExpectedChange } from './plan/expected.ts';
import type { Target } from './target.ts';

/** What may become of the world by an action: reads it, adds what nothing uses yet, changes what is there, or takes it away for good. */
export type ChangeKind = 'reads' | 'adds' | 'changes' | 'destroys';

/** Whether an action is a gate: it changes nothing, and to go past it is a decision that the people of the policy sign. */
export function isGate(action: string): boolean {
  return action.startsWith('gate.');
}

/** For whom an action works: data, which comes from the workflow. */
export interface StepContext {
  /** Id of the run, e.g. `r-20261121-7kq2m`; empty where a plan is made before there is a run. */
  run: string;
  step: string;
  target: Target;
  /** How often the operator has had the step tried again: makes a new request token for a new try. */
  retry: number;
  /** What earlier steps will have done by then; empty where the world shows it already, as while a step is carried out. */
  expected?: readonly ExpectedChange[];
  /**
   * Whether an operator has said that a change in flight which somebody else has begun counts as this step's, being the same.
   * It holds for this try only: a later one asks for a change of its own.
   */
  adopt?: boolean;
}

/** What an action works with: for whom it does, and what the engine gives it for that. */
export interface ActionContext extends StepContext {
  /** Whether this attempt has acted already: tells a failure of our own doing from one that was there before. */
  acted: boolean;
  /** Aborted when the run is paused or aborted. A call that takes long passes it on, and ends when it is aborted. */
  signal: AbortSignal;
  /** Tells progress between two looks, as of an upload that is one long push. */
  report: (progress: Progress) => void;
  checkpoint: Checkpoint;
  /** Resolves after that time, or when the signal is aborted. Never longer than the slowest pace of the action. */
  wait: (ms: number) => Promise<void>;
}

/** How large the JSON of a checkpoint may be: it comes with each heartbeat, and stays with its step in the history. */
export const checkpointBytesMax = 16 * 1024;

/**
 * Where a step was, as far as the world does not show it: the parts that are uploaded, an outage as it was measured. It outlives
 * the attempt: another one goes on from it, on whichever worker, also after a pause. It is a hint, which may be some heartbeats old.
 */
export interface Checkpoint {
  /** What was written last, by this attempt or one before it; undefined where nothing was. */
  read(): Json | undefined;
  /** Takes the place of what was written before. Throws RangeError where it has more than `checkpointBytesMax`. */
  write(value: Json): void;
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

/** What a person can do about what waits, and the command with which to look. */
export interface Todo {
  /** In whole sentences. */
  text: string;
  command?: string;
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
  /** What people can do about what waits, where something does. */
  todo?: Todo[];
}

/** What a step tells with each heartbeat while it is carried out; several steps do at once. */
export interface StepReport {
  step: string;
  progress?: Progress;
  checkpoint?: Json;
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
  /** Somebody else has begun the very change that is planned: an operator may have the step adopt it. */
  adoptable?: boolean;
}

/** What a look can say besides, as long as a plan is not carried out. */
interface Unfinished {
  /**
   * Whether the change that has no rollback, or a long one, has not been begun: read from the world, and true only where that
   * is certain. It tells `undo` what a step that was not finished has left.
   */
  untouched?: boolean;
  /** What goes on in the world whatever the run does, and how to follow it, as a sentence without a full stop: an update of EKS. */
  goesOn?: string;
}

/** A call of an action, as part of the rollback from another one. */
export interface ActionCall {
  uses: string;
  with: JsonObject;
}

/** How many calls the rollback from one step may have. */
export const undoCallsMax = 10;

/**
 * The rollback from an action: other actions, carried out in their order, each planned with what those before it will have done; or
 * the reason why there is none (`noUndo`) or none is needed (`nothing`). What cannot be undone also keeps what came before it from
 * being undone, as the world has moved on from there.
 */
export type Undo = ActionCall[] | { noUndo: string } | { nothing: string };
