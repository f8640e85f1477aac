import type { JsonObject } from '../../domain/json.ts';
import type { Course } from '../run/progress.ts';
import { resultOf } from './step-tree.ts';
import type { Run } from '../run/run.ts';
import type { Task } from './span.ts';

/** Notes that a step is done, with what it has given. */
export async function finish(
  run: Run,
  course: Course,
  task: Task,
  outputs: JsonObject,
  summary: string | undefined,
  body: JsonObject,
): Promise<void> {
  const { at } = await run.record('step.done', { step: task.id, ...body });
  task.state = 'finished';
  const row = run.step(task.id);
  row.status = 'done';
  row.summary = summary;
  row.endedAt = at;
  const performed = course.performed.find(({ id }) => id === task.id);
  if (performed) performed.finished = true;
  const undone = course.performed.find(({ id }) => id === task.undoes);
  // A way back of several calls has undone the step with the last of them.
  const isLeft = course.back?.tasks.some(({ undoes, state }) => undoes === task.undoes && state !== 'finished');
  if (undone && !isLeft) {
    undone.undone = true;
    run.step(undone.id).status = 'undone';
  }
  if (task.place) resultOf(course.results, { ...task.place, step: { id: task.place.step } }).outputs = outputs;
}
