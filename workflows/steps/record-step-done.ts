import type { JsonObject } from '../../domain/json.ts';
import { resultOf } from '../../domain/run/step-tree.ts';
import type { PlannedStep, StepRow } from '../../domain/run/steps.ts';
import { idOfUndo } from '../../domain/run/span.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** A step of a released span. */
export type OpenStep = StepRow & { planned: PlannedStep };

/** Records that a step is done, with what it has given. */
export async function recordStepDone(
  run: Run,
  progress: RunProgress,
  step: OpenStep,
  { outputs, summary, body }: { outputs: JsonObject; summary: string | undefined; body: JsonObject },
): Promise<void> {
  const { id, result } = step.planned;
  const { at } = await run.record('step.done', { step: id, ...body });
  const { shown, performed } = step;
  Object.assign(shown, { status: 'done', summary, endedAt: at });
  if (performed) performed.finished = true;
  const undone = run.rows.find(({ shown }) => id === idOfUndo(shown.id));
  if (undone?.performed) {
    undone.performed.undone = true;
    undone.shown.status = 'undone';
  }
  if (result) resultOf(progress.results, { ...result, step: { id: result.step } }).outputs = outputs;
  finished(step);
}

/** Nothing is left to do for a step. */
export function finished(step: StepRow): void {
  step.planned = undefined;
}
