import type { ActionContext } from '../domain/action.ts';
import { sealSpan, type ActionPlan, type StepPlan } from '../domain/plan/plan.ts';
import { idOfUndo, type PlanningBase, type Rollback } from '../domain/run/span.ts';
import type { PlannedStep } from '../domain/run/steps.ts';
import type { ActionLimits } from '../domain/runbook.ts';
import type { ActionCall, Undo } from '../domain/action.ts';

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

/** What takes a step back: a call of an action with its plan, or why there is none. */
export type PlannedUndo = Exclude<Undo, ActionCall> | (ActionCall & { plan: ActionPlan; limits: ActionLimits });

/** Plans what takes one step back. */
export type PlanUndo = (step: StepToUndo, context: Omit<ActionContext, 'acted'>) => Promise<PlannedUndo>;

/**
 * Plans a rollback, from the step that was begun last. What cannot be undone stays, and so does everything before it, as the world
 * has moved on from there. Reads only.
 *
 * @param steps the steps to undo, the last one begun first.
 */
export async function planRollback(base: PlanningBase, steps: readonly StepToUndo[], planUndo: PlanUndo): Promise<Rollback> {
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
    const undo = await planUndo(step, { run: base.run, step: step.id, target: base.target, retry: 0 });
    if ('noUndo' in undo) {
      barrier = step.id;
      book.leave(step, true, undo.noUndo);
    } else if ('nothing' in undo) book.leave(step, false, undo.nothing);
    else book.take(step, undo);
  }
  const plan = sealSpan({ target: base.targetName, runbook: base.runbook.digest, inputs: base.inputs, steps: book.planned });
  return { plan, steps: book.steps, left: book.left };
}

class RollbackBook {
  readonly planned: StepPlan[] = [];
  readonly steps: PlannedStep[] = [];
  readonly left: Rollback['left'] = [];

  leave({ id, uses }: StepToUndo, stays: boolean, reason: string): void {
    this.left.push({ id, stays, reason });
    const notes = [stays ? `It stays as it is: ${reason}` : `There is nothing to undo: ${reason}`];
    const plan = { effects: [], facts: { stays }, risks: [], blockers: [], notes, details: {}, outputs: {}, estimateMs: 0 };
    this.planned.push({ id: idOfUndo(id), uses, input: {}, plan });
  }

  take({ id }: StepToUndo, { uses, with: input, plan, limits }: Exclude<PlannedUndo, { noUndo: string } | { nothing: string }>): void {
    this.planned.push({ id: idOfUndo(id), uses, input, plan });
    if (plan.effects.length === 0) this.left.push({ id, stays: false, reason: 'the world is as it was before.' });
    else this.steps.push({ id: idOfUndo(id), uses, changes: true, onFailure: 'stuck', limits, retry: 0 });
  }
}

/** What a step that stays has changed, for whoever has to deal with it. */
function objectsOf({ plan: { effects } }: StepToUndo): string {
  const objects = [...new Set(effects.map(({ object }) => object))];
  return objects.slice(0, objectsShownMax).join(', ') + (objects.length > objectsShownMax ? ', …' : '');
}
