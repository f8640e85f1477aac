import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { type OpenStep, rowsBelow } from '../../domain/run/steps.ts';
import { toJson } from '../json.ts';
import { performer } from '../proxies.ts';
import { rollBackAtClose } from '../rollback/plan.ts';
import { checkpointIn, failureOf, progressIn, recordLossIn, type Failure } from '../run/failure.ts';
import type { SignedSpan } from '../../domain/run/span.ts';
import type { WindowLook } from '../../domain/run/window.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { watchClose } from '../window/close.ts';
import { lookForStep, mayBegin, windowOf } from '../window/look.ts';
import { isParked, parkUntilOpen } from '../window/park.ts';
import { finished, recordStepDone } from './record-step-done.ts';
import { settleStuck } from './stuck.ts';

/**
 * Carries out the steps of a signed span in their order; elements of a list as many at a time as it allows. A step that cannot
 * go on stops everything until an operator has said what to do: what has not been begun stays untouched.
 * False where another span takes its place, which was signed since. Throws RunEnded where the run is aborted.
 */
export async function carryOutSteps(run: Run, progress: RunProgress, signed: SignedSpan): Promise<boolean> {
  for (;;) {
    const [next] = run.openSteps();
    if (!next) return true;
    if (next.planned.leftOut !== undefined) await leaveOut(run, next, next.planned.leftOut);
    else if (!(await carryOutList(run, progress, signed, listOf(run, next)))) return false;
    await run.rollover.leave();
  }
}

/** The steps that may go at the same time as this one: itself, or its whole list. */
function listOf(run: Run, next: OpenStep): OpenStep[] {
  const { list } = next.planned;
  if (!list || list.concurrency === 1) return [next];
  return run.openSteps().filter(({ planned }) => planned.list?.id === list.id && planned.leftOut === undefined);
}

async function leaveOut(run: Run, step: OpenStep, condition: string): Promise<void> {
  for (const { shown } of [step, ...rowsBelow(run.rows, step.shown.id)]) {
    shown.status = 'skipped';
    shown.summary = `left out: ${condition} is false`;
  }
  await run.record('step.skipped', { step: step.shown.id, if: condition });
  finished(step);
}

async function carryOutList(run: Run, progress: RunProgress, signed: SignedSpan, steps: readonly OpenStep[]): Promise<boolean> {
  const concurrency = steps[0]?.planned.list?.concurrency ?? 1;
  const open = (): OpenStep[] => run.openSteps().filter((step) => steps.some(({ shown }) => shown.id === step.shown.id));
  for (;;) {
    // A step that was stuck in a history before this one still is.
    const stuck = open().find(({ shown }) => shown.id === run.state.stuck?.step);
    if (stuck && run.state.stuck) await settleStuck(run, progress, stuck, planOf(signed, stuck), run.state.stuck);
    await run.safePoint();
    await run.rollover.leave();
    const [next] = open();
    // A run that was parked in a history before this one still is.
    if (next && isParked(run, progress)) {
      const goingOn = await parkUntilOpen(run, progress, signed, next);
      if (goingOn === 'anew') return false;
      if (goingOn !== 'as-signed') await settleStuck(run, progress, next, planOf(signed, next), goingOn, false);
      continue;
    }
    run.enter(run.working());
    if (!next) return true;
    const { failed, shut, late } = await tryAtOnce(run, progress, signed, open(), concurrency);
    if (late) {
      // Whoever has paused or aborted the run meanwhile comes first.
      await run.safePoint();
      await settleStuck(run, progress, late, planOf(signed, late), await rollBackAtClose(run, progress, late.shown.id), false);
      continue;
    }
    for (const { step, failure, isBegun } of failed) {
      const told = withUntouched(failure, untouchedBeside(run, step));
      await settleStuck(run, progress, step, planOf(signed, step), told, isBegun);
    }
    if (!shut || failed.length > 0 || run.isInterrupted()) continue;
    const goingOn = await parkUntilOpen(run, progress, signed, shut.step, shut.look);
    if (goingOn === 'anew') return false;
    if (goingOn !== 'as-signed') await settleStuck(run, progress, shut.step, planOf(signed, shut.step), goingOn, false);
  }
}

/** What has come of trying steps: those that have failed, and the one that the window has not let begin. */
interface Tried {
  failed: { step: OpenStep; failure: Failure; isBegun: boolean }[];
  shut?: { step: OpenStep; look: WindowLook };
  /** The step that was stopped as the window has closed, which it says is undone then. */
  late?: OpenStep;
}

/** How many steps of the same list have not been begun. */
function untouchedBeside(run: Run, { planned: { list } }: OpenStep): number {
  if (!list) return 0;
  return run.openSteps().filter(({ planned, shown }) => planned.list?.id === list.id && shown.startedAt === undefined).length;
}

function withUntouched(failure: Failure, untouched: number): Failure {
  if (untouched === 0) return failure;
  const rest = untouched === 1 ? 'One more of its list has not been touched.' : `${untouched} more of its list have not been touched.`;
  return { ...failure, reason: `${failure.reason} ${rest}` };
}

/** Tries steps, so many at a time, until all are done, one fails, the window shuts or an operator interrupts. */
async function tryAtOnce(
  run: Run,
  progress: RunProgress,
  signed: SignedSpan,
  open: readonly OpenStep[],
  concurrency: number,
): Promise<Tried> {
  const failed: Tried['failed'] = [];
  let shut: Tried['shut'];
  let late: Tried['late'];
  const calendar = windowOf(run, progress);
  let closing: { stop(): void } | undefined;
  const waiting = [...open];
  const scope = new CancellationScope();
  run.performing = scope;
  // What is begun is finished; nothing new begins after a failure, for a pause, or in a history that is full.
  const goesOn = (): boolean => failed.length === 0 && !shut && !late && !run.isInterrupted() && !run.rollover.isDue();
  const running = (): OpenStep[] => open.filter(({ shown, planned }) => shown.status === 'running' && planned !== undefined);
  const stopToUndo = (step: OpenStep): void => {
    late ??= step;
    scope.cancel();
  };
  const underWay = { running, ...(!signed.mayBeginAnyTime && { stopToUndo }) };
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step; step = waiting.shift()) {
      // Alone it is followed by the next one, a hold or the end; at the same time as others the lane may come to rest.
      const followed = (): boolean => open.length === 1 || (waiting.length > 0 && goesOn());
      if (calendar !== undefined) {
        const look = await lookOrFailure(run, progress, calendar, signed, step);
        if ('code' in look) failed.push({ step, failure: look, isBegun: false });
        else if (!mayBegin(signed, look)) shut ??= { step, look };
        else closing ??= watchClose(run, calendar, look, underWay);
        if (!goesOn()) return;
      }
      const failure = await tryStep(run, progress, signed, step, followed);
      if (failure) failed.push({ step, failure, isBegun: step.shown.startedAt !== undefined });
      if (!goesOn()) return;
    }
  };
  let isOver = false;
  // A history that somebody fills in the middle of a step is left as for a pause, and the step is performed again in the next one.
  const pressed = condition(() => isOver || run.rollover.isPressing()).then(() => isOver || scope.cancel());
  void pressed.catch(() => undefined);
  const ends = await scope.run(() => Promise.allSettled(Array.from({ length: Math.min(concurrency, open.length) }, work)));
  isOver = true;
  closing?.stop();
  run.performing = undefined;
  for (const end of ends) {
    // Stopped by an operator: the next safe point waits, ends the run or, where they have changed their mind, goes on at once.
    // Looking first makes another try harmless.
    const isStop = end.status === 'rejected' && isCancellation(end.reason) && !CancellationScope.current().consideredCancelled;
    if (end.status === 'rejected' && !isStop) throw end.reason;
  }
  // Whoever interrupts wants the run to stand still, not to hear of what failed on the way there: it is tried again after that.
  const isLate = late !== undefined && open.some((step) => step === late && step.planned !== undefined);
  return { failed: run.isInterrupted() ? [] : failed, ...(shut && { shut }), ...(isLate && { late }) };
}

async function lookOrFailure(
  run: Run,
  progress: RunProgress,
  calendar: string,
  signed: SignedSpan,
  step: OpenStep,
): Promise<WindowLook | Failure> {
  try {
    return await lookForStep(run, progress, calendar, signed, step);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return failure;
  }
}

/**
 * Performs a step under its signed plan; returns why it could not be done. Cancellations pass. `followed`: whether another entry of the
 * record follows at once when it is done.
 */
async function tryStep(
  run: Run,
  progress: RunProgress,
  signed: SignedSpan,
  step: OpenStep,
  followed: () => boolean,
): Promise<Failure | undefined> {
  const { planned, shown } = step;
  const plan = planOf(signed, step);
  try {
    if (shown.startedAt === undefined) await begin(run, step, plan);
  } catch (error) {
    // A worker that does not let the step begin says why. A record that is another execution's ends the run.
    const failure = failureOf(error);
    if (!failure || recordLossIn(error)) throw error;
    return failure;
  }
  shown.status = 'running';
  delete shown.progress;
  const { id, retry, adopt } = planned;
  const context = { run: run.state.run, step: id, target: progress.base.target, retry, adopt };
  try {
    const performed = await performer(planned).perform({ context, checkpoint: planned.checkpoint });
    const { outputs, summary } = performed;
    await recordStepDone(run, progress, step, { outputs, summary, body: toJson(performed), together: followed() });
    return undefined;
  } catch (error) {
    planned.checkpoint = checkpointIn(error) ?? planned.checkpoint;
    const progress = progressIn(error);
    if (progress) shown.progress = progress;
    const failure = failureOf(error);
    if (!failure) throw error;
    return failure;
  }
}

async function begin(run: Run, step: OpenStep, plan: ActionPlan): Promise<void> {
  const { id, uses, change } = step.planned;
  const { at } = await run.record('step.started', { step: id, uses, effects: toJson(plan.effects) });
  step.shown.startedAt = at;
  if (run.rollingBack || change === 'reads' || plan.effects.length === 0) return;
  // What was begun under signatures before is undone by the plan that it was begun with.
  if (step.performed && !step.performed.undone) return;
  const number = run.rows.filter(({ performed }) => performed).length + 1;
  step.performed = { number, plan, finished: false, foreign: false, undone: false };
}

function planOf({ plan }: SignedSpan, { shown: { id } }: OpenStep): ActionPlan {
  const planned = plan.steps.find((step) => step.id === id);
  if (!planned) throw new RangeError(`the signed plan has no step ${id}`);
  return planned.plan;
}
