import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure, TemporalFailure } from '@temporalio/common';
import { ToldError } from '../domain/errors.ts';

/** What the worker or the run has refused, as it told it: for people, with what to do. */
export class RefusedError extends ToldError {
  override readonly name = 'RefusedError';
  /** Whether the run has written the attempt down already; what its validators refuse leaves no trace there. */
  readonly recorded: boolean;

  constructor(code: string, message: string, remedy: string, recorded = false) {
    super(code, message, remedy);
    this.recorded = recorded;
  }
}

/** Finds what a failed workflow or update says to people; undefined where it says nothing of the kind. */
export function refusalIn(error: unknown): RefusedError | undefined {
  if (error instanceof RefusedError) return error;
  if (error instanceof ApplicationFailure) {
    const detail = error.details?.[0] as { remedy?: string; recorded?: boolean } | undefined;
    const remedy = detail?.remedy ?? 'Look at the log of the worker.';
    return new RefusedError(error.type ?? 'unexpected', error.message, remedy, detail?.recorded === true);
  }
  if (error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError || error instanceof TemporalFailure) {
    return error.cause === undefined ? undefined : refusalIn(error.cause);
  }
  return undefined;
}
