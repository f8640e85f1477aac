import type { ChangeKind } from './action.ts';
import type { Json, JsonObject } from './json.ts';

/** A runbook as it was written: the worker parses and checks it again, whoever sends it. */
export interface RunbookDocument {
  /** Where it came from, for messages. */
  file: string;
  text: string;
  /** The runbooks that it carries out, by the keys of `runbooks/compiler/reference.ts`. */
  runbooks?: Record<string, { file: string; text: string }>;
}

/** A runbook that has been parsed and checked against the grammar, the actions and the policies: ready to be carried out. */
export interface CompiledRunbook {
  name: string;
  title: string;
  /** `sha256:…` of the document's bytes; where it carries out other runbooks, of their digests as well. */
  digest: string;
  /** Template of the target, e.g. `eks/${inputs.region}/${inputs.cluster}`. */
  target: string;
  /** The kinds of target that it works on: `eks`, `kubernetes`. */
  worksOn: string[];
  /** JSON Schema of the inputs. */
  inputs: JsonObject;
  /** The calendar of holdpoint.yaml that says when its steps may begin; at any time where it is left out. */
  window?: string;
  steps: CompiledStep[];
}

/** What becomes of a step that goes on while the window closes: it is finished, and with `page` people are told. */
export type AtClose = 'finish-step' | 'undo' | 'page';

export type CompiledStep = ActionStep | HoldStep | RunbookStep;

/** Elements of one list that a step goes over. */
export const elementsMax = 1_000;

/** A step that is carried out once for each element of a list, in the order of the list. */
export interface Repetition {
  /** The list, or a template of it such as `${steps.preflight.nodes}`. */
  items: Json;
  /** The name by which expressions of the step refer to the element. */
  as: string;
}

/** A step that carries out an action. */
export interface ActionStep {
  kind: 'action';
  id: string;
  title?: string;
  forEach?: Repetition;
  /** How many elements are worked on at the same time: a number, or a template of one. 1 where it is left out. */
  concurrency?: number | string;
  /** What follows when the step cannot go on: the run waits for an operator, or rolls back automatically. */
  onFailure: 'stuck' | 'undo';
  /** `finish-step` where it is left out. */
  atClose?: AtClose;
  /** Name of the action, e.g. `kubernetes.drain`. */
  uses: string;
  /** The action's input; any string in it may hold `${…}` expressions. */
  with: JsonObject;
  /** CEL expression; the step is left out where it is false. */
  if?: string;
  /** What the action may do to the world; a step that only reads needs no signature. */
  change: ChangeKind;
  limits: ActionLimits;
  /** Where its worker has to be; any worker carries it out where it is left out. */
  runsOn?: RunsOn;
}

/** A place, or the name of the input that says which part of the target the place belongs to, such as a member of etcd. */
export type RunsOn = string | { input: string };

/** A stop for people. They sign the plan of the steps up to the next hold. */
export interface HoldStep {
  kind: 'hold';
  id: string;
  /** Name of an approval policy in holdpoint.yaml. */
  policy: string;
  /** Template of the question that is put to the approvers. */
  question?: string;
}

/** The bounds of an action, set by its author. */
export interface ActionLimits {
  /** How long one attempt may take. */
  timeoutMs: number;
  /** How long an attempt may be silent before it counts as dead. */
  heartbeatMs: number;
  /** How often it is tried before the step is stuck; 1 where only a person may have it tried again. */
  attemptsMax: number;
  /** How soon after one look the next one is taken: at first, and at the slowest while nothing moves. */
  pace?: { lookMinMs: number; lookMaxMs: number };
}

/** A step that carries out another runbook on the same target, within the same run. */
export interface RunbookStep {
  kind: 'runbook';
  id: string;
  title?: string;
  forEach?: Repetition;
  /** The other runbook, compiled as it was when the run was started. */
  runbook: CompiledRunbook;
  /** Its inputs; any string in them may hold `${…}` expressions. */
  with: JsonObject;
  /** CEL expression; the step is left out where it is false. */
  if?: string;
}

/** What expressions can refer to. */
export interface Scope {
  inputs: JsonObject;
  /** Outputs of each step by its id; its plan's facts, details and effects under `plan`. */
  steps: { [id: string]: Json };
  /** The target of the run, e.g. `eks/eu-central-1/demo`. */
  target: string;
  /** The elements of the repetitions around the expression, by the names that `as` gives them. */
  elements?: { [name: string]: Json };
}
