import type { RuleFinding } from '../../domain/approval/rules.ts';
import type { Calendar } from '../../domain/calendar/calendar.ts';
import { closeAfter, standingFor } from '../../domain/calendar/standing.ts';
import type { Policy } from '../../domain/approval/policy.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { StepPlan } from '../../domain/plan/plan.ts';
import { inMinutes, lookAtWindow, needOf, type AwaitedOpening, type WindowLook } from '../../domain/run/window.ts';
import { timeMsOf } from '../../domain/time.ts';

/** How long a hold stays open that closes with a window, where no close comes before. */
const closeAwaitedMaxMs = 30 * 86_400_000;

/** Reads the calendars of holdpoint.yaml as they are now, with what their freezes say. */
export type ReadCalendars = () => Promise<ReadonlyMap<string, Calendar>>;

/** What a run asks of its window. */
export interface WindowRequest {
  calendar: string;
  needMs: number;
  /** When the signatures were complete under which the step would begin; ISO 8601, UTC. */
  signedAt?: string;
}

/** The windows of runs, as they stand at this moment. */
export class Windows {
  private readonly readCalendars: ReadCalendars;

  constructor(readCalendars: ReadCalendars) {
    this.readCalendars = readCalendars;
  }

  /** The calendar of that name. Throws `calendar-unknown`. */
  async calendar(name: string): Promise<Calendar> {
    const calendar = (await this.readCalendars()).get(name);
    if (!calendar) throw new HoldpointError('calendar-unknown', { calendar: name });
    return calendar;
  }

  /** How a window stands for a step. Throws `calendar-unknown`. */
  async look({ calendar, needMs, signedAt }: WindowRequest): Promise<WindowLook> {
    const signedAtMs = signedAt === undefined ? undefined : timeMsOf(signedAt);
    const look = lookAtWindow(await this.calendar(calendar), Date.now(), needMs, signedAtMs);
    return { ...look, opensAt: isoOf(look.next?.opensMs), closesAt: isoOf(look.opening?.closesMs) };
  }

  /** When a hold closes that is put up now, in a run that keeps to a window or to none. Throws `calendar-unknown`. */
  async expiryOf({ expiresMs, expiresAtClose }: Policy, window: string | undefined, nowMs: number): Promise<number> {
    if (!expiresAtClose || window === undefined) return nowMs + expiresMs;
    return Math.min(closeAfter(await this.calendar(window), nowMs) ?? Infinity, nowMs + closeAwaitedMaxMs);
  }

  /** The opening that is awaited at a hold that is put up now; undefined where nothing is known of it, as it is only shown. */
  async awaited(calendar: string | undefined, nowMs: number): Promise<AwaitedOpening | undefined> {
    const found = calendar === undefined ? undefined : await this.calendar(calendar).catch(() => undefined);
    if (calendar === undefined || !found) return undefined;
    const { state, opening, next, frozenFor } = standingFor(found, nowMs, 0);
    const { opensMs, closesMs } = (state === 'open' ? opening : next) ?? {};
    return { calendar, opensAt: isoOf(opensMs), closesAt: isoOf(closesMs), frozenFor };
  }

  /** Says which steps take longer than any opening in sight. Throws `calendar-unknown`. */
  async findTooLong(window: string, steps: readonly StepPlan[]): Promise<Omit<RuleFinding, 'code'>[]> {
    const calendar = await this.calendar(window);
    return steps.flatMap(({ id, plan }) => {
      const { next, longestMs } = standingFor(calendar, Date.now(), needOf(plan));
      if (next !== undefined || longestMs === undefined || longestMs === 0) return [];
      const takes = `The step takes about ${inMinutes(needOf(plan))}, with the time to undo it`;
      const reason = `${takes}; the longest opening has ${inMinutes(longestMs)}.`;
      const remedy = 'Make the step smaller (a list of fewer nodes, one at a time), or have the calendar opened for longer.';
      return [{ step: id, rule: `calendars.${window}`, reason, remedy }];
    });
  }
}

function isoOf(ms: number | undefined): string | undefined {
  return ms === undefined || !Number.isFinite(ms) ? undefined : new Date(ms).toISOString();
}
