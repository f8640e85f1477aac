import type { JsonObject } from '../../domain/json.ts';
import { resultOf } from '../../domain/run/step-tree.ts';
import type { OpenStep, StepRow } from '../../domain/run/steps.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** Records that a step is done, with what it has given; `together` where another entry follows at once (see Run.note). */
export async function recordStepDone(
  run: Run,
  progress: RunProgress,
  step: OpenStep,
  { outputs, summary, body, together = false }: { outputs: JsonObject; summary: string | undefined; body: JsonObject; together?: boolean },
): Promise<void> {
  const { id, result, undoes } = step.planned;
  const { shown, performed } = step;
  const entry = { step: id, ...body };
  if (together) void run.note('step.done', entry, (at) => (shown.endedAt = at));
  else shown.endedAt = (await run.record('step.done', entry)).at;
  Object.assign(shown, { status: 'done', summary });
  if (performed) performed.finished = true;
  if (result) resultOf(progress.results, { ...result, step: { id: result.step } }).outputs = outputs;
  finished(step);
  // A step is undone when the last of the calls that undo it is.
  if (undoes === undefined || run.openSteps().some(({ planned }) => planned.undoes === undoes)) return;
  const undone = run.row(undoes);
  undone.shown.status = 'undone';
  if (undone.performed) undone.performed.undone = true;
}

/** Nothing is left to do for a step. */
export function finished(step: StepRow): void {
  step.planned = undefined;
}
