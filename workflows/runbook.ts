import { CancellationScope, condition, isCancellation, makeContinueAsNewFunc, setHandler, workflowInfo } from '@temporalio/workflow';
import { cancelledReason } from '../domain/run/state.ts';
import { refuseDecision, takeDecision } from './hold/decisions.ts';
import { holdUntilReleased } from './hold/hold.ts';
import { reviewBrokenGlass } from './hold/review.ts';
import {
  admissionUpdate,
  attemptRefusedSignal,
  commandUpdate,
  decideUpdate,
  notificationSignal,
  stateQuery,
  type Admission,
  type CommandRequest,
  type RunInput,
  type RunResult,
  type WordAtHold,
} from './messages.ts';
import { askToRollBack, RollingBack } from './rollback/plan.ts';
import { rollBack } from './rollback/rollback.ts';
import { admit } from './run/admission.ts';
import { refuseCommand, takeCommand } from './run/commands.ts';
import { close } from './run/ending.ts';
import { recordLossIn } from './run/failure.ts';
import type { End, RunProgress } from './run/progress.ts';
import { requireShape } from './run/input.ts';
import { refusalFailure } from './run/refusal.ts';
import { Run, RunEnded, type CarryOver } from './run/run.ts';
import { carryOutSteps } from './steps/carry-out.ts';
import { releaseSpan } from './steps/span.ts';

/** What a history hands to the one that continues it. */
export interface Continued {
  run: CarryOver;
  progress: RunProgress;
}

/**
 * Carries out any runbook on one target: admits the start if the first span is still what the requester has signed, then
 * goes from hold to hold, and lifts whatever it has marked when it ends. The workflow id is the target, so there is at most
 * one open run of it. It never just fails: it is done, was ended or undone by people, or waits for them.
 *
 * @param handed where the run continues one whose history has become long. Whoever starts a run can send it as well: it counts only where
 * the server says that the execution continues another one, and what it says counts only as far as the record bears it out (see Judge).
 */
export async function runbook(input: RunInput, handed?: Continued): Promise<RunResult> {
  const continued = workflowInfo().continuedFromExecutionRunId === undefined ? undefined : handed;
  requireShape(input, continued);
  let progress = continued?.progress;
  let admission: Admission | undefined = continued && { admitted: true };
  // Both are asked for only by a run that has been admitted.
  const known = (): RunProgress => progress as RunProgress;
  const duties = {
    undo: (command: Parameters<typeof askToRollBack>[2]) => askToRollBack(run, known(), command),
    continueAsNew: () => continueAsNew(run, known(), input),
  };
  const run: Run = new Run(input, duties, continued?.run);
  listen(run, known, () => admission);
  const worked = await endingOf(async () => {
    if (!progress) {
      const admitted = await admit(run, input);
      ({ admission, progress } = admitted);
      if (!admitted.admission.admitted) return { phase: 'refused', reason: admitted.admission.reason };
      if (admitted.span) releaseSpan(run, known(), admitted.span);
    }
    if (progress?.ended) return progress.ended;
    return progress?.rollback ? rollBack(run, known(), progress.rollback) : carryOut(run, known());
  });
  const end = progress && run.broken.length > 0 ? await reviewBrokenGlass(run, progress, worked) : worked;
  admission ??= { admitted: false, code: 'aborted', reason: end.reason, remedy: 'Start it again if it is still wanted.' };
  return CancellationScope.nonCancellable(() => close(run, progress, end));
}

/** How many steps that were left out are named when a run is done. */
const skippedNamedMax = 5;

/** Whoever starts a run asks once what became of that; it needs no signature. */
const admissionsAskedMax = 20;

function requireFewerThan(asked: number, most: number): void {
  if (asked < most) return;
  const reason = `It has been asked ${asked} times whether the run was admitted, and is not answered any more.`;
  throw refusalFailure({ code: 'request-malformed', reason, remedy: 'Look at the run with `holdpoint show`.' });
}

function listen(run: Run, progress: () => RunProgress, admission: () => Admission | undefined): void {
  setHandler(stateQuery, () => run.shown());
  let admissionsAsked = 0;
  setHandler(
    admissionUpdate,
    async () => {
      admissionsAsked += 1;
      run.rollover.countUpdate();
      await CancellationScope.nonCancellable(() => condition(() => admission() !== undefined));
      return admission() as Admission;
    },
    { validator: () => requireFewerThan(admissionsAsked, admissionsAskedMax) },
  );
  setHandler(attemptRefusedSignal, (attempt) => run.recordRefusal(attempt));
  setHandler(notificationSignal, (news) => run.hearOfNotification(news));
  setHandler(decideUpdate, (request) => takeDecision(run, request), {
    validator: (request: WordAtHold) => refuseDecision(run, request),
  });
  setHandler(commandUpdate, (request) => takeCommand(run, progress(), request), {
    validator: (request: CommandRequest) => refuseCommand(run, request),
  });
}

/** Runs the whole and says how it ended; a cancellation from outside counts as an abort. */
async function endingOf(whole: () => Promise<End>): Promise<End> {
  try {
    return await whole();
  } catch (error) {
    if (error instanceof RunEnded) return { phase: error.phase, reason: error.message };
    if (isCancellation(error)) return { phase: 'aborted', reason: cancelledReason };
    const loss = recordLossIn(error);
    if (loss) return { phase: 'aborted', reason: `nothing more can be recorded, so nothing more is done: ${loss.reason}` };
    throw error;
  }
}

async function carryOut(run: Run, progress: RunProgress): Promise<End> {
  try {
    await fromHoldToHold(run, progress);
    return { phase: 'done', reason: doneReason(run.rows) };
  } catch (error) {
    if (!(error instanceof RollingBack) || !progress.rollback) throw error;
    return rollBack(run, progress, progress.rollback);
  }
}

function doneReason(rows: Run['rows']): string {
  const actions = rows.filter(({ shown }) => shown.kind === 'action');
  const skipped = actions.filter(({ shown }) => shown.status === 'skipped').map(({ shown }) => shown.id);
  if (skipped.length === 0) return 'every step is done';
  const names = skipped.slice(0, skippedNamedMax).join(', ') + (skipped.length > skippedNamedMax ? ', …' : '');
  if (skipped.length === actions.length) return `nothing was done: every step was left out (${names})`;
  return `${actions.length - skipped.length} of ${actions.length} steps are done, ${skipped.length} left out: ${names}`;
}

async function fromHoldToHold(run: Run, progress: RunProgress): Promise<void> {
  for (;;) {
    if (progress.span) {
      const isOver = await carryOutSteps(run, progress, progress.span);
      if (!isOver) continue;
      progress.queue = progress.span.rest;
      progress.span = undefined;
    }
    const [next] = progress.queue;
    if (next?.step.kind !== 'hold') return;
    releaseSpan(run, progress, await holdUntilReleased(run, next, progress));
    progress.policy = next.step.policy;
  }
}

async function continueAsNew(run: Run, progress: RunProgress, input: RunInput): Promise<never> {
  // The document has been read; only what was read of it goes on.
  const lean = { ...input, document: { file: input.document.file, text: '' } };
  return makeContinueAsNewFunc<typeof runbook>()(lean, { run: run.carryOver(), progress });
}
