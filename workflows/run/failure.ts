import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { isCancellation } from '@temporalio/workflow';

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
  if (!(cause instanceof ApplicationFailure)) {
    const reason = `Step activity ${error.activityType} gave no answer: ${cause?.message ?? error.message}.`;
    return { code: 'activity-lost', reason, remedy: 'Check that the worker is running and look at its log, then try again.' };
  }
  const detail = cause.details?.[0] as { remedy?: string } | undefined;
  return {
    code: cause.type ?? 'unexpected',
    reason: cause.message,
    remedy: detail?.remedy ?? 'Look at the log of the worker, then try again.',
  };
}
