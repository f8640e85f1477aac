import type { Calendar } from '../calendar/calendar.ts';
import { closeAfter, standingFor, type Standing } from '../calendar/standing.ts';
import type { ActionPlan } from '../plan/plan.ts';

/** How a window stands for a step of a run, as a worker has just seen it. Times are in milliseconds since 1970. */
export interface WindowLook extends Standing {
  nowMs: number;
  needMs: number;
  /** Until when what was signed at the time that was asked about counts; undefined where no close is in sight, or nothing was asked. */
  signedUntilMs?: number;
  /** When the next opening begins that is long enough, and when the one at hand closes; ISO 8601, UTC. */
  opensAt?: string;
  closesAt?: string;
}

/** Why a run is parked, as it is shown and recorded. */
export interface WindowState {
  calendar: string;
  /** The step that comes next. */
  step: string;
  state: Exclude<Standing['state'], 'open'>;
  reason: string;
  /** When the next opening begins that is long enough; ISO 8601, UTC. Missing where none is in sight. */
  opensAt?: string;
}

/** The opening of its window that the steps below a hold begin in: the one at hand when it was put up, or the next one. */
export interface AwaitedOpening {
  calendar: string;
  /** ISO 8601, UTC; missing where none is in sight, `closesAt` also where it never closes. */
  opensAt?: string;
  closesAt?: string;
  /** What the freezes were for that it was put up in. */
  frozenFor: string[];
}

/** What a step needs of an opening: to be carried out, and to be undone where that turns out necessary. */
export function needOf({ estimateMs, undoEstimateMs = 0 }: Pick<ActionPlan, 'estimateMs' | 'undoEstimateMs'>): number {
  return estimateMs + undoEstimateMs;
}

/** Looks at a calendar for a step. `signedAtMs` is when the signatures were complete under which it would begin. */
export function lookAtWindow(calendar: Calendar, nowMs: number, needMs: number, signedAtMs?: number): WindowLook {
  const signedUntilMs = signedAtMs === undefined ? undefined : closeAfter(calendar, signedAtMs);
  return { ...standingFor(calendar, nowMs, needMs), nowMs, needMs, ...(signedUntilMs !== undefined && { signedUntilMs }) };
}

/** Why a step may not begin, as a sentence. */
export function whyNotNow(calendar: string, step: string, { state, needMs, frozenFor, next, longestMs = 0 }: WindowLook): string {
  const takes = `Step ${step} takes about ${inMinutes(needMs)}, with the time to undo it`;
  if (next === undefined && longestMs > 0)
    return `${takes}, and no opening of ${calendar} in sight is longer than ${inMinutes(longestMs)}.`;
  const never = next === undefined ? ' It does not open again in sight.' : '';
  switch (state) {
    case 'frozen':
      return `There is a freeze in ${calendar}: ${frozenFor.join('; ')}.${never}`;
    case 'short':
      return `${takes}, and ${calendar} closes before that.${never}`;
    default:
      return `The window ${calendar} is shut.${never}`;
  }
}

/** A length of time as an operator reads it. */
export function inMinutes(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
