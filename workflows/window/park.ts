import { upsertMemo } from '@temporalio/workflow';
import { differenceOf, type PlanDifference } from '../../domain/plan/difference.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import { blockedBy, type SignedSpan } from '../../domain/run/span.ts';
import type { StepInstance } from '../../domain/run/step-tree.ts';
import type { OpenStep } from '../../domain/run/steps.ts';
import { whyNotNow, type WindowLook, type WindowState } from '../../domain/run/window.ts';
import { holdUntilReleased } from '../hold/hold.ts';
import { toJson } from '../json.ts';
import { windowMemo } from '../messages.ts';
import { failureOf, type Failure } from '../run/failure.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { planNextSpan, releaseSpan } from '../steps/span.ts';
import { askToProceed } from './exception.ts';
import { isOver, lookForStep, openingIn, windowOf } from './look.ts';

/** A parked run looks at its window at least so often: the calendar may have been changed, or a freeze lifted. */
const lookAgainMs = 3_600_000;

/** What follows when a run goes on: its span as it was signed, another one that was signed since, or a failure at the step. */
export type GoingOn = 'as-signed' | 'anew' | Failure;

/**
 * Waits until the window lets a step begin, or people have signed that it begins all the same, and looks at the plan once more. Throws
 * RunEnded where the run is aborted or rejected, and RollingBack where it is undone.
 *
 * @param look what has just been seen; missing in a run that was parked in a history before this one.
 */
export async function parkUntilOpen(
  run: Run,
  progress: RunProgress,
  signed: SignedSpan,
  step: OpenStep,
  look?: WindowLook,
): Promise<GoingOn> {
  const calendar = windowOf(run, progress) ?? '';
  try {
    if (isAskedAnew(run, progress)) return await askAnew(run, progress);
    let seen = look ?? (await lookForStep(run, progress, calendar, signed, step));
    while (seen.state !== 'open') {
      await showParked(run, step, calendar, seen);
      if (await isLetBegin(run, progress, signed, step, seen)) break;
      seen = await lookForStep(run, progress, calendar, signed, step);
    }
    return await goOn(run, progress, signed, calendar, seen);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return failure;
  }
}

/** Shows and records why the run is parked, where that is not what was shown. */
async function showParked(run: Run, step: OpenStep, calendar: string, look: WindowLook): Promise<void> {
  const { state, opensAt } = look;
  const { id } = step.shown;
  const before = run.state.window;
  const parked: WindowState = { calendar, step: id, state: state as WindowState['state'], reason: whyNotNow(calendar, id, look) };
  if (opensAt !== undefined) parked.opensAt = opensAt;
  run.state.window = parked;
  run.enter('parked');
  if (before?.step === id && before.state === state && before.opensAt === opensAt) return;
  upsertMemo({ [windowMemo]: opensAt ?? null });
  await run.record('window.parked', { calendar, step: id, state, reason: parked.reason, opensAt: opensAt ?? null });
}

/** Waits for the next opening, or for an operator; says whether people have signed that the steps begin before that. */
async function isLetBegin(run: Run, progress: RunProgress, signed: SignedSpan, step: OpenStep, look: WindowLook): Promise<boolean> {
  const opensMs = look.next?.opensMs ?? Infinity;
  const wakesMs = Math.min(opensMs, look.nowMs + lookAgainMs);
  const isCalled = (): boolean => run.isInterrupted() || run.commandGiven() !== undefined;
  // A timer of no time at all would mean none.
  if (!(await run.waitUntil(isCalled, Math.max(wakesMs - run.nowMs, 1)))) run.learnTime(wakesMs);
  if (run.commandGiven() === 'proceed') {
    const isSigned = await run.answer((command) => askToProceed(run, progress, command, { signed, step, look }));
    run.enter('parked');
    if (isSigned) return true;
  } else if (run.undoAsked()) {
    await run.undo();
    run.enter('parked');
  }
  await run.safePoint();
  return false;
}

/** Plans what is left once more: where it is the same and the signatures are for it, the run goes on; else they are asked for anew. */
async function goOn(run: Run, progress: RunProgress, signed: SignedSpan, calendar: string, look: WindowLook): Promise<GoingOn> {
  run.enter('planning');
  const hold = holdOf(progress);
  const fresh = await planNextSpan(run, progress, hold);
  const blocked = blockedBy(fresh.plan);
  if (blocked) return { code: 'plan-blocked', ...blocked };
  const left = leftOf(run, signed.plan);
  const isSame = left.hash === fresh.plan.hash;
  const isKept = isSame && (signed.mayBeginAnyTime === true || !isOver(look) || (await keepsSignatures(run, progress)));
  if (!isKept && !hold) {
    const reason = 'The plan that was signed with the start has changed while the run waited for its window.';
    const remedy = 'Put right what has changed and try again, or abort the run and start it anew.';
    return { code: 'plan-drifted', reason, remedy };
  }
  const closesAt = look.closesAt ?? null;
  const difference = differenceOf(left, fresh.plan);
  const entry = { calendar, closesAt, planHash: fresh.plan.hash, signatures: isKept ? 'kept' : 'void', difference: toJson(difference) };
  await run.record('window.resumed', entry);
  run.state.window = undefined;
  upsertMemo({ [windowMemo]: null });
  if (!isKept) return askAnew(run, progress, isSame ? undefined : difference);
  signed.opening = openingIn(look);
  run.enter(run.working());
  return 'as-signed';
}

function holdOf({ queue: [first] }: RunProgress): StepInstance | undefined {
  return first?.step.kind === 'hold' ? first : undefined;
}

/** Whether a run waits for its window, or for the signatures of what is left; also one that has continued as new meanwhile. */
export function isParked(run: Run, progress: RunProgress): boolean {
  return windowOf(run, progress) !== undefined && (run.state.window !== undefined || isAskedAnew(run, progress));
}

function isAskedAnew(run: Run, progress: RunProgress): boolean {
  const { hold: waiting, stuck } = run.state;
  const hold = holdOf(progress)?.id;
  return hold !== undefined && (stuck?.step === hold || (waiting?.request.hold === hold && waiting.request.askedBy === undefined));
}

async function askAnew(run: Run, progress: RunProgress, difference?: PlanDifference): Promise<GoingOn> {
  const hold = holdOf(progress);
  if (!hold) throw new RangeError('the span has no hold');
  run.step(hold.id).endedAt = undefined;
  releaseSpan(run, progress, await holdUntilReleased(run, hold, progress, difference));
  return 'anew';
}

/** What was signed, of the steps that are not over. */
function leftOf(run: Run, plan: SpanPlan): SpanPlan {
  const open = new Set(run.openSteps().map(({ shown: { id } }) => id));
  return sealSpan({ ...plan, steps: plan.steps.filter(({ id }) => open.has(id)) });
}

async function keepsSignatures(run: Run, { policy }: RunProgress): Promise<boolean> {
  const current = await run.read(({ readPolicy }) => readPolicy({ policy }));
  return current.policy.keepSignatures === true;
}
