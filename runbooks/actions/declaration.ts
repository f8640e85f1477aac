import type { z } from 'zod';
import type { ChangeKind } from '../../domain/action.ts';
import type { ExpressionType } from '../../domain/expression/expression.ts';
import type { ActionLimits, RunsOn } from '../../domain/runbook.ts';
import type { TargetKind } from '../../domain/target.ts';

const heartbeatMs = 10_000;
const attemptsMax = 5;

/** What an action takes, gives and may do: data only. The code that carries it out is in `activities/`. */
export interface ActionDeclaration<Input extends z.ZodObject = z.ZodObject> {
  /** `<system>.<verb>`, e.g. `kubernetes.drain`. */
  name: string;
  /** One sentence for people who look for an action. */
  summary: string;
  /** The kinds of target that it works on, such as `eks`; every kind where it is left out. */
  worksOn?: readonly string[];
  /** Shape of `with`, strict: unknown keys are refused. The cluster is never part of it, it comes from the run's target. */
  input: Input;
  /**
   * Why settings do not go together, as a sentence without a full stop; undefined where they do. It is asked before anything has run,
   * and again with the values of expressions, so it looks only at which settings are there.
   */
  conflict?: (input: Partial<z.input<Input>>) => string | undefined;
  /**
   * What it may do to the world. What `reads` needs no signature; for what `adds` objects that nothing uses yet, that of whoever starts
   * the run is enough; whatever else should have a hold above it.
   */
  change: ChangeKind;
  limits: ActionLimits;
  /** Whether it refuses writes for a time: what its output `outage` tells of that is spent of the availability of its target. */
  interrupts?: true;
  /**
   * Where its worker has to be, for what cannot be done from anywhere: carrying it out, and looks at how far it is, go to the task queue
   * `<queue>.<place>`. The place is given, or is `<target>/<value>` of an input. Its plan is made with the whole span, by any worker.
   */
  runsOn?: RunsOn;
  /** What is lost or risked by settings of an input, in so many words, by their names: whoever signs reads it. */
  dangers?: (input: z.output<Input>) => { [setting: string]: string | undefined };
  /** What its rollback does, or why there is none, for whoever signs; left out for what changes nothing. */
  undo?: { does: string } | { none: string };
  /** What later steps may refer to as `steps.<id>.<name>`. */
  outputs: Record<string, ExpressionType>;
  /** What the question of a hold may refer to as `steps.<id>.plan.<name>`. */
  planFields: Record<string, ExpressionType>;
}

/** A system that actions change, such as EKS: data only. Its code is in `activities/<name>/`. */
export interface SystemDeclaration {
  name: string;
  /** The kinds of target that come with it. */
  targets: readonly TargetKind[];
  /** By their names, each of which begins with that of the system. */
  actions: Readonly<Record<string, ActionDeclaration>>;
}

/** Declares an action; keeps the type of its input. `limits` are those of most actions where it does not say otherwise. */
export function declareAction<Input extends z.ZodObject>(
  declaration: Omit<ActionDeclaration<Input>, 'limits' | 'planFields'> & {
    limits: Pick<ActionLimits, 'timeoutMs'> & Partial<ActionLimits>;
    planFields?: Record<string, ExpressionType>;
  },
): ActionDeclaration<Input> {
  const { limits, planFields = {}, ...rest } = declaration;
  return {
    ...rest,
    limits: { heartbeatMs, attemptsMax, ...limits },
    planFields: { effects: { type: 'list<dyn>' }, ...planFields },
  };
}

export const text: ExpressionType = { type: 'string' };
export const number: ExpressionType = { type: 'int' };
export const listOfText: ExpressionType = { type: 'list<string>' };

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
