import type { Phase } from '../domain/run/state.ts';

/** Exit codes that scripts can rely on. */
export const exitCodes = {
  done: 0,
  error: 1,
  usage: 2,
  holding: 3,
  stuck: 4,
  ended: 5,
  warningsFound: 6,
  errorsFound: 7,
  interrupted: 130,
} as const;

/** The exit code that says how a run stands; a run that goes on by itself is no error. */
export function exitCodeOf(phase: Phase): number {
  switch (phase) {
    case 'holding':
      return exitCodes.holding;
    case 'stuck':
      return exitCodes.stuck;
    case 'aborted':
    case 'rejected':
    case 'undone':
    case 'terminated':
      return exitCodes.ended;
    case 'refused':
      return exitCodes.error;
    case 'planning':
    case 'running':
    case 'parked':
    case 'paused':
    case 'undoing':
    case 'done':
      return exitCodes.done;
  }
}
