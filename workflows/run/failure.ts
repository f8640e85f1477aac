import { ActivityFailure, ApplicationFailure, CancelledFailure, TimeoutFailure, TimeoutType } from '@temporalio/common';
import { isCancellation } from '@temporalio/workflow';
import type { Progress, StepReport } from '../../domain/action.ts';
import type { Json } from '../../domain/json.ts';

/** What went wrong, as a person is told it. */
export interface Failure {
  /** As `docs/errors.md` lists it. */
  code: string;
  reason: string;
  remedy: string;
}

/** What a failed activity says to a person; undefined for anything that is not an activity's failure, and for a cancellation. */
export function failureOf(error: unknown): Failure | undefined {
  if (!(error instanceof ActivityFailure) || isCancellation(error)) return undefined;
  const { cause } = error;
  if (cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START) {
    const reason = 'No worker has taken the step up in the place where it has to be done.';
    return { code: 'activity-lost', reason, remedy: 'Start the worker of that place (`holdpoint worker --member`), then try again.' };
  }
  if (!(cause instanceof ApplicationFailure)) {
    const said = cause?.message ?? error.message;
    const isUnheard = cause instanceof TimeoutFailure && cause.timeoutType === 'HEARTBEAT';
    const reason = isUnheard
      ? `No worker has finished it: those that began it were not heard of any more (${error.activityType}: ${said}).`
      : `Step activity ${error.activityType} gave no answer: ${said}.`;
    return { code: 'activity-lost', reason, remedy: 'Check that the worker is running and look at its log, then try again.' };
  }
  const detail = cause.details?.[0] as { remedy?: string } | undefined;
  return {
    code: cause.type ?? 'unexpected',
    reason: cause.message,
    remedy: detail?.remedy ?? 'Look at the log of the worker, then try again.',
  };
}

/** Codes of a record that another execution writes, or that has ended: trying again cannot help, nor can anybody who operates the run. */
const recordLostCodes: readonly string[] = ['evidence-conflict', 'evidence-ended', 'caller-refused'];

/** Why the record of the run is not its own any more; undefined where an error says something else. */
export function recordLossIn(error: unknown): Failure | undefined {
  const failure = failureOf(error);
  return failure && recordLostCodes.includes(failure.code) ? failure : undefined;
}

/** What an attempt of a step that has ended without a result has written down for the next one; undefined where it has nothing. */
export function checkpointIn(error: unknown): Json | undefined {
  return leftBy(error)?.checkpoint;
}

/** How far a step was whose attempt has ended without a result; undefined where nobody has said. */
export function progressIn(error: unknown): Progress | undefined {
  return leftBy(error)?.progress;
}

function leftBy(error: unknown): Partial<StepReport> | undefined {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  // A worker that is gone has left its last heartbeat, any other one gives it along with its failure.
  if (cause instanceof TimeoutFailure) return cause.lastHeartbeatDetails as StepReport | undefined;
  if (!(cause instanceof ApplicationFailure || cause instanceof CancelledFailure)) return undefined;
  return cause.details?.[0] as Partial<StepReport> | undefined;
}
