import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionContext, Observation, StepContext, Stuck, Undo } from '../domain/action.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import type { ActionDeclaration } from '../runbooks/actions/declaration.ts';

const problemsShownMax = 5;

/** A plan whose facts have the shape that its action gave them. */
export type PlanOf<Facts extends JsonObject> = Omit<ActionPlan, 'facts'> & { facts: Facts };

/**
 * One way to change (or check) the world. It looks before it acts, so it may be repeated, killed and resumed at any point.
 * See docs/adding-an-action.md.
 */
export interface Action<Input, Facts extends JsonObject> {
  declaration: ActionDeclaration;
  /** Reads only: what would change, what that rests on, what stands in the way. */
  plan(input: Input, context: ActionContext): Promise<PlanOf<Facts>>;
  /** Reads only: how far the world is from the plan. */
  observe(plan: PlanOf<Facts>, context: ActionContext): Promise<Observation>;
  /** One push towards the plan; safe to repeat; touches nothing that the plan does not name. */
  act(plan: PlanOf<Facts>, context: ActionContext): Promise<void>;
  /** The same looks and pushes over a watch, for an action that can be told of changes instead of looking for them. */
  follow?(plan: PlanOf<Facts>, context: ActionContext): Promise<Following>;
  /**
   * Reads only: the rollback from a plan as things are now, or why there is none (any more), or why none is needed. `seen` is what
   * `observe` has said of a step that was begun and not finished; a step that was finished comes without it.
   */
  undo(plan: PlanOf<Facts>, context: ActionContext, seen?: Observation): Promise<Undo>;
}

/** A plan that is being carried out over a watch of what it concerns. */
export interface Following {
  observe(): Promise<Observation>;
  /** One push; may return before its requests are answered. What they come to is seen by the next look, which throws their errors. */
  act(): Promise<void>;
  /** Resolves when something may have changed since the last look, when the time is over, or when the signal is aborted. */
  changed(timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Ends the watch when the requests in hand have been answered. */
  stop(): Promise<void>;
}

/** An action whose input and facts are checked where they come in: the form in which the engine handles all of them. */
export type AnyAction = Action<JsonObject, JsonObject>;

/**
 * Makes an action for the engine out of a typed one: its input is parsed by the declaration's schema first.
 * `plan` throws `action-input-invalid` where it does not fit.
 */
export function defineAction<Input, Facts extends JsonObject>(action: Action<Input, Facts>): AnyAction {
  return {
    declaration: action.declaration,
    plan: async (input, context) => action.plan(readInput(action.declaration, input) as Input, context),
    observe: async (plan, context) => action.observe(plan as unknown as PlanOf<Facts>, context),
    act: async (plan, context) => action.act(plan as unknown as PlanOf<Facts>, context),
    follow: action.follow && (async (plan, context) => action.follow!(plan as unknown as PlanOf<Facts>, context)),
    undo: async (plan, context, seen) => action.undo(plan as unknown as PlanOf<Facts>, context, seen),
  };
}

/**
 * An input as the schema of its action reads it. Throws `action-input-invalid`, with what the rules of the schema say field by field,
 * without the values.
 */
export function readInput({ name, input: schema, conflict }: ActionDeclaration, input: JsonObject): unknown {
  const result = schema.safeParse(input);
  if (result.success) {
    const cause = conflict?.(result.data);
    if (cause !== undefined) throw new HoldpointError('action-input-invalid', { action: name, cause });
    return result.data;
  }
  const problems = result.error.issues.slice(0, problemsShownMax).map(({ path, message }) => [...path.map(String), message].join(': '));
  throw new HoldpointError('action-input-invalid', { action: name, cause: problems.join('; ') });
}

/** What keeps a step from going on, as an error: `change-in-flight` where an operator can have it adopted, `action-stuck` otherwise. */
export function stuckError({ reason, remedy, adoptable }: Stuck): HoldpointError {
  return new HoldpointError(adoptable ? 'change-in-flight' : 'action-stuck', { cause: reason, remedy });
}

/** Whether a step that was begun is certain to have changed nothing, as `observe` has said of it. */
export function isUntouched(seen: Observation | undefined): boolean {
  return seen !== undefined && seen.state !== 'done' && seen.untouched === true;
}

/** A plan with nothing in it yet; actions fill in what applies. */
export function emptyPlan<Facts extends JsonObject>(facts: Facts): PlanOf<Facts> {
  return { effects: [], facts, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
}

/** The context of something that only looks: it has nothing to tell, and keeps nothing for another attempt. */
export function contextOfLook(step: StepContext, signal: AbortSignal = new AbortController().signal): ActionContext {
  return {
    ...step,
    acted: false,
    signal,
    report: () => undefined,
    checkpoint: { read: () => undefined, write: () => undefined },
    wait: (ms) => waitOrStop(ms, signal),
  };
}

/** Resolves after a time, or when the signal is aborted, whichever is first. */
export async function waitOrStop(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
