import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { ActionPlan, SpanPlan } from '../../domain/plan/plan.ts';
import type { Course } from '../run/progress.ts';
import { checkpointIn, failureOf, type Failure } from '../failure.ts';
import { toJson } from '../json.ts';
import { finish } from './record-step-done.ts';
import { performer } from '../proxies.ts';
import { ownRows } from '../run/step-view.ts';
import type { Run } from '../run/run.ts';
import type { Task } from './span.ts';
import { settleStuck } from './stuck.ts';

/** A signed plan and what there is to do for it. */
export interface Signed {
  plan: SpanPlan;
  tasks: Task[];
}

/**
 * Carries out the steps of a signed plan in their order; elements of a list as many at a time as it allows. A step that cannot
 * go on stops everything until an operator has said what to do: what has not been begun stays untouched.
 * Throws RunEnded where the run is aborted.
 */
export async function carryOutSteps(run: Run, course: Course, signed: Signed): Promise<void> {
  for (;;) {
    const next = signed.tasks.find(({ state }) => state !== 'finished');
    if (!next) return;
    if (next.leftOut !== undefined) await leaveOut(run, next, next.leftOut);
    else await carryOutGroup(run, course, signed, groupOf(next, signed.tasks));
    await run.leaveHistory();
  }
}

/** The steps that may go at the same time as this one: itself, or its whole list. */
function groupOf(next: Task, tasks: readonly Task[]): Task[] {
  const { group } = next;
  if (!group || group.concurrency === 1) return [next];
  return tasks.filter((task) => task.group?.id === group.id && task.leftOut === undefined);
}

async function leaveOut(run: Run, task: Task, condition: string): Promise<void> {
  for (const row of [run.step(task.id), ...ownRows(run.state.steps, task.id)]) {
    row.status = 'skipped';
    row.summary = `left out: ${condition} is false`;
  }
  await run.record('step.skipped', { step: task.id, if: condition });
  task.state = 'finished';
}

async function carryOutGroup(run: Run, course: Course, signed: Signed, tasks: readonly Task[]): Promise<void> {
  const concurrency = tasks[0]?.group?.concurrency ?? 1;
  for (;;) {
    // A step that was stuck in a history before this one still is.
    const stuck = tasks.find(({ id, state }) => state !== 'finished' && id === run.state.stuck?.step);
    if (stuck && run.state.stuck) await settleStuck(run, course, stuck, planOf(signed, stuck), run.state.stuck);
    await run.safePoint();
    await run.leaveHistory();
    run.enter(run.working());
    const open = tasks.filter(({ state }) => state !== 'finished');
    if (open.length === 0) return;
    const failed = await tryAtOnce(run, course, signed, open, concurrency);
    for (const { task, failure } of failed) {
      const untouched = signed.tasks.filter(({ group, state }) => group && group.id === task.group?.id && state === 'todo').length;
      await settleStuck(run, course, task, planOf(signed, task), withUntouched(failure, untouched));
    }
  }
}

function withUntouched(failure: Failure, untouched: number): Failure {
  if (untouched === 0) return failure;
  const rest = untouched === 1 ? 'One more of its list has not been touched.' : `${untouched} more of its list have not been touched.`;
  return { ...failure, reason: `${failure.reason} ${rest}` };
}

/** Tries steps, so many at a time, until all are done, one fails or an operator interrupts; returns what has failed. */
async function tryAtOnce(
  run: Run,
  course: Course,
  signed: Signed,
  open: readonly Task[],
  concurrency: number,
): Promise<{ task: Task; failure: Failure }[]> {
  const failed: { task: Task; failure: Failure }[] = [];
  const waiting = [...open];
  const scope = new CancellationScope();
  run.performing = scope;
  const work = async (): Promise<void> => {
    for (let task = waiting.shift(); task; task = waiting.shift()) {
      const failure = await tryStep(run, course, signed, task);
      if (failure) failed.push({ task, failure });
      // What is begun is finished; nothing new begins after a failure, for a pause, or in a history that is full.
      if (failed.length > 0 || run.interrupted() || run.isLong()) return;
    }
  };
  const ends = await scope.run(() => Promise.allSettled(Array.from({ length: Math.min(concurrency, open.length) }, work)));
  run.performing = undefined;
  for (const end of ends) {
    // Stopped by an operator: the next safe point waits, ends the run or, where they have changed their mind, goes on at once.
    // Looking first makes another try harmless.
    const isStop = end.status === 'rejected' && isCancellation(end.reason) && !CancellationScope.current().consideredCancelled;
    if (end.status === 'rejected' && !isStop) throw end.reason;
  }
  // Whoever interrupts wants the run to stand still, not to hear of what failed on the way there: it is tried again after that.
  return run.interrupted() ? [] : failed;
}

/** Performs a step under its signed plan; returns why it could not be done. Cancellations pass. */
async function tryStep(run: Run, course: Course, signed: Signed, task: Task): Promise<Failure | undefined> {
  const plan = planOf(signed, task);
  if (task.state === 'todo') await begin(run, course, task, plan);
  const row = run.step(task.id);
  row.status = 'running';
  const { retry, adopt, checkpoint } = task;
  const context = { run: run.state.run, step: task.id, target: course.base.target, retry, adopt };
  try {
    const performed = await performer(task).perform({ action: task.uses, plan, context, checkpoint });
    await finish(run, course, task, performed.outputs, performed.summary, { ...toJson(performed) });
    return undefined;
  } catch (error) {
    // Another attempt, after a pause or on the word of an operator, goes on where this one was.
    task.checkpoint = checkpointIn(error) ?? checkpoint;
    const failure = failureOf(error);
    if (!failure) throw error;
    return failure;
  }
}

async function begin(run: Run, course: Course, task: Task, plan: ActionPlan): Promise<void> {
  const { id, uses, limits, runsOn } = task;
  const { at } = await run.record('step.started', { step: id, uses, effects: toJson(plan.effects) });
  task.state = 'started';
  run.step(id).startedAt = at;
  if (course.back || task.change === 'reads' || plan.effects.length === 0) return;
  course.performed.push({ id, uses, plan, limits, runsOn, finished: false, undone: false });
}

function planOf({ plan }: Signed, { id }: Task): ActionPlan {
  const planned = plan.steps.find((step) => step.id === id);
  if (!planned) throw new RangeError(`the signed plan has no step ${id}`);
  return planned.plan;
}
