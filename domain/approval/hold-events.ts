import { timeMsOf } from '../time.ts';
import { effectiveAtMs, type ApprovalRequest, type Decision } from './request.ts';

/** What happens at a hold by itself, at a time in milliseconds since 1970. */
export type HoldEvent =
  /** An approval that was given for later begins to count. */
  | { event: 'takes-effect'; atMs: number; person: string }
  /** People of the group that the policy escalates to may sign as well from now on, and are to be told. */
  | { event: 'escalates'; atMs: number; to: string }
  /** Whoever may still sign is to be told again. `number` counts from 1. */
  | { event: 'reminds'; atMs: number; number: number }
  /** The hold closes. */
  | { event: 'expires'; atMs: number };

/**
 * The next event of a hold that waits. One that is due and has not happened yet, as no worker was there, comes at once; of reminders only
 * the last one that is due. What comes at the same time comes in the order of `HoldEvent`.
 */
export function nextEventOf(request: ApprovalRequest, decisions: readonly Decision[], nowMs: number): HoldEvent {
  const requestedMs = timeMsOf(request.requestedAt) ?? 0;
  const expiresMs = timeMsOf(request.expiresAt) ?? 0;
  const { escalate, remindMs } = request.policy;
  const events: HoldEvent[] = decisions
    .filter((decision) => effectiveAtMs(decision) > nowMs)
    .map((decision) => ({ event: 'takes-effect', atMs: effectiveAtMs(decision), person: decision.person }));
  if (escalate && request.escalatedAt === undefined) {
    events.push({ event: 'escalates', atMs: requestedMs + escalate.afterMs, to: escalate.to });
  }
  if (remindMs !== undefined) {
    const due = Math.floor((nowMs - requestedMs) / remindMs);
    const number = Math.max((request.reminders ?? 0) + 1, due);
    events.push({ event: 'reminds', atMs: requestedMs + number * remindMs, number });
  }
  const sooner = events.filter(({ atMs }) => atMs < expiresMs).sort((one, other) => one.atMs - other.atMs);
  return sooner[0] ?? { event: 'expires', atMs: expiresMs };
}
