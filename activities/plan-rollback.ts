import { undoCallsMax, type ActionContext, type Observation, type StepContext, type Undo } from '../domain/action.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { ExpectedChange } from '../domain/plan/expected.ts';
import { sealSpan, type ActionPlan, type StepPlan } from '../domain/plan/plan.ts';
import { placeOf } from '../domain/run/place.ts';
import { idOfUndo, type PlanningBase, type Rollback } from '../domain/run/span.ts';
import type { PlannedStep } from '../domain/run/steps.ts';
import type { AnyAction } from './action.ts';
import { requireRollbackSize } from './span-size.ts';

/** How many objects of a step that stays are named. */
const objectsShownMax = 5;

/** A step that may have changed the world. */
export interface StepToUndo {
  id: string;
  uses: string;
  plan: ActionPlan;
  finished: boolean;
  /** Whether somebody else has begun the same change, which is not this run's to undo. */
  foreign: boolean;
}

type FindAction = (name: string) => AnyAction;

/** What the engine gives an action that only looks. */
type ContextOf = (step: StepContext) => ActionContext;

/**
 * Plans a rollback, from the step that was begun last, each step with what the undoing of those after it will have done. What cannot
 * be undone stays, and so does everything before it, as the world has moved on from there. Reads only. Throws `undo-too-large` where
 * the plan is more than can be recorded and shown.
 *
 * @param steps the steps to undo, the last one begun first.
 */
export async function planRollback(
  base: PlanningBase,
  steps: readonly StepToUndo[],
  findAction: FindAction,
  contextOf: ContextOf,
): Promise<Rollback> {
  const book = new RollbackBook();
  let barrier: string | undefined;
  for (const step of steps) {
    if (barrier !== undefined) {
      book.leave(step, true, `it came before ${barrier}, which cannot be undone. It has changed ${objectsOf(step)}.`);
      continue;
    }
    if (step.foreign) {
      book.leave(step, false, 'somebody else has begun the change, not this run.');
      continue;
    }
    const context = contextOf({ run: base.run, step: step.id, target: base.target, retry: 0, expected: [...book.expected] });
    const undo = await undoOf(findAction(step.uses), step, context);
    if (Array.isArray(undo)) await book.take(step, undo, findAction, context);
    else if ('noUndo' in undo) {
      barrier = step.id;
      book.leave(step, true, undo.noUndo);
    } else book.leave(step, false, undo.nothing);
  }
  const { digest, title } = base.runbook;
  const plan = sealSpan({ target: base.targetName, runbook: digest, title, inputs: base.inputs, steps: book.planned });
  requireRollbackSize(base.runbook, plan);
  return { plan, steps: book.steps, left: book.left };
}

async function undoOf(action: AnyAction, { uses, plan, finished }: StepToUndo, context: ActionContext): Promise<Undo> {
  // What was begun and not finished may have changed nothing yet: only a look tells.
  const seen = finished ? undefined : await lookOrSayWhyNot(action, plan, context);
  const undo = await action.undo(plan, context, seen);
  if (Array.isArray(undo) && (undo.length === 0 || undo.length > undoCallsMax)) {
    throw new RangeError(`the undo of ${uses} has ${undo.length} calls; it must have 1 to ${undoCallsMax}`);
  }
  return undo;
}

/** A step that cannot be looked at counts as begun; an error that may pass is thrown, so that it is looked at again. */
async function lookOrSayWhyNot(action: AnyAction, plan: ActionPlan, context: ActionContext): Promise<Observation> {
  try {
    return await action.observe(plan, context);
  } catch (error) {
    if (!(error instanceof HoldpointError) || error.consequence === 'retry') throw error;
    return { state: 'stuck', reason: error.message, remedy: error.remedy };
  }
}

/** What becomes of each step, as it is found. */
class RollbackBook {
  readonly planned: StepPlan[] = [];
  readonly steps: PlannedStep[] = [];
  readonly left: Rollback['left'] = [];
  readonly expected: ExpectedChange[] = [];

  leave({ id, uses }: StepToUndo, stays: boolean, reason: string): void {
    this.left.push({ id, stays, reason });
    const notes = [stays ? `It stays as it is: ${reason}` : `There is nothing to undo: ${reason}`];
    const plan = { effects: [], facts: { stays }, risks: [], blockers: [], notes, details: {}, outputs: {}, estimateMs: 0 };
    this.planned.push({ id: idOfUndo(id), uses, input: {}, plan });
  }

  /** Plans the calls that undo a step in their order; one without effects is nothing to do. */
  async take({ id }: StepToUndo, calls: Extract<Undo, unknown[]>, findAction: FindAction, context: ActionContext): Promise<void> {
    const before = this.steps.length;
    for (const [index, { uses, with: input }] of calls.entries()) {
      const action = findAction(uses);
      const callId = calls.length === 1 ? idOfUndo(id) : `${idOfUndo(id)}/${index + 1}`;
      const plan = await action.plan(input, { ...context, step: callId, expected: [...this.expected] });
      this.expected.push(...(plan.expects ?? []));
      this.planned.push({ id: callId, uses, input, plan });
      const { change, limits } = action.declaration;
      const runsOn = placeOf(action.declaration.runsOn, input, context.target);
      if (plan.effects.length > 0) this.steps.push({ id: callId, uses, undoes: id, change, onFailure: 'stuck', limits, runsOn, retry: 0 });
    }
    if (this.steps.length === before) this.left.push({ id, stays: false, reason: 'the world is as it was before.' });
  }
}

/** What a step that stays has changed, for whoever has to deal with it. */
function objectsOf({ plan: { effects } }: StepToUndo): string {
  const objects = [...new Set(effects.map(({ object }) => object))];
  return objects.slice(0, objectsShownMax).join(', ') + (objects.length > objectsShownMax ? ', …' : '');
}
