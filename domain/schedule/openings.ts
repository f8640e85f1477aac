import { horizonMs, type Calendar, type Opening } from '../calendar/calendar.ts';
import type { Freeze } from '../calendar/freeze.ts';
import { isoOf } from '../calendar/zone.ts';

/** An opening with an end: only in such a one does a schedule start anything. */
export type BoundedOpening = Required<Opening>;

/** What is to be done about an alarm now. */
export type Verdict =
  | { state: 'open'; opening: BoundedOpening }
  /** Nothing may be done before that time, when it is to be asked again. */
  | ({ state: 'wait'; opening: BoundedOpening; untilMs: number } & Why)
  | ({ state: 'skip'; opening?: BoundedOpening } & Why);

interface Why {
  code: 'opening-unknown' | 'opening-missed' | 'opening-early' | 'opening-frozen';
  reason: string;
  remedy: string;
}

/** A run that a schedule will start, or would if there were no freeze. */
export interface ComingRun {
  opening: BoundedOpening;
  /** Undefined where a freeze lasts until it is too late. */
  startsMs?: number;
  /** The freeze that is in the way, or makes it later. */
  freeze?: { calendar: string; source: string; freeze: Freeze };
}

/**
 * The openings that alarms are set for: those of the windows alone. Freezes come and go until the alarm, and are looked at then.
 * The one that is open now is among them, for an alarm that comes late.
 */
export function openingsForAlarms(calendar: Calendar, nowMs: number, count: number): BoundedOpening[] {
  return calendar.withoutFreezes().openings(nowMs, count).filter(isBounded);
}

/**
 * Says whether the run of an alarm may start now.
 *
 * @param alarmMs the time that the alarm was set for, in milliseconds since 1970.
 * @param catchUpMs how late a start may be; 0 for as long as the window is open.
 */
export function verdictAt(calendar: Calendar, alarmMs: number, catchUpMs: number, nowMs: number): Verdict {
  const opening = openingsForAlarms(calendar, alarmMs, 1).find(({ opensMs }) => opensMs <= alarmMs);
  if (!opening) {
    const reason = `The calendar ${calendar.name} has no opening at ${isoOf(alarmMs)} any more.`;
    return {
      state: 'skip',
      code: 'opening-unknown',
      reason,
      remedy: 'Apply the schedule again, so that its alarms are those of the calendar.',
    };
  }
  const latestMs = latestStart(opening, catchUpMs);
  if (nowMs < opening.opensMs) {
    const reason = `The opening begins at ${isoOf(opening.opensMs)}, and it is ${isoOf(nowMs)}.`;
    return { state: 'wait', opening, untilMs: opening.opensMs, code: 'opening-early', reason, remedy: 'Wait for the opening.' };
  }
  if (nowMs >= latestMs) {
    const reason = `It is ${isoOf(nowMs)}, and the run of the opening at ${isoOf(opening.opensMs)} could start until ${isoOf(latestMs)}.`;
    const remedy =
      'Find out what was down meanwhile. The next opening starts a run again; `holdpoint schedule run-now` starts one at once.';
    return { state: 'skip', opening, code: 'opening-missed', reason, remedy };
  }
  if (calendar.isOpen(nowMs)) return { state: 'open', opening };
  const freeze = freezeAt(calendar, nowMs);
  const why = freeze ? `the freeze "${freeze.freeze.why}" of ${freeze.calendar} (${freeze.source})` : 'a freeze';
  const frozen = { opening, code: 'opening-frozen', reason: `At ${isoOf(nowMs)} ${why} is in force.` } as const;
  const [next] = calendar.openings(nowMs, 1);
  if (next && next.opensMs < latestMs) {
    return { state: 'wait', ...frozen, untilMs: next.opensMs, remedy: 'It is looked at again when the freeze is over.' };
  }
  const reason = `${frozen.reason} It lasts until it is too late for the opening at ${isoOf(opening.opensMs)}.`;
  return { state: 'skip', ...frozen, reason, remedy: 'The next opening without a freeze starts a run again.' };
}

/** The next runs of a schedule, and those that freezes will keep from starting, as things are now. */
export function comingRuns(calendar: Calendar, catchUpMs: number, nowMs: number, count: number): ComingRun[] {
  const openings = openingsForAlarms(calendar, nowMs, count + 1).filter(({ opensMs }) => opensMs > nowMs);
  return openings.slice(0, count).map((opening) => {
    const { opensMs } = opening;
    if (calendar.isOpen(opensMs)) return { opening, startsMs: opensMs };
    const [next] = calendar.openings(opensMs, 1);
    const startsMs = next && next.opensMs < latestStart(opening, catchUpMs) ? next.opensMs : undefined;
    return { opening, ...(startsMs !== undefined && { startsMs }), freeze: freezeAt(calendar, opensMs) };
  });
}

/** The longest of some openings, in milliseconds: so late an alarm may still be of use. */
export function longestOf(openings: readonly BoundedOpening[]): number {
  return Math.max(0, ...openings.map(({ opensMs, closesMs }) => closesMs - opensMs));
}

function latestStart({ opensMs, closesMs }: BoundedOpening, catchUpMs: number): number {
  return catchUpMs === 0 ? closesMs : Math.min(closesMs, opensMs + catchUpMs);
}

function freezeAt(calendar: Calendar, atMs: number): ComingRun['freeze'] {
  return calendar.explain(atMs).freezes[0];
}

function isBounded(opening: Opening): opening is BoundedOpening {
  return opening.closesMs !== undefined;
}

/** How many alarms are set ahead, and how far; each alarm sets them anew. */
const alarmsMax = 50;
const aheadMaxMs = horizonMs;

/** An alarm as Temporal takes it: a moment in UTC, in which no change of a clock can come between. */
export interface Alarm {
  year: string;
  month: string;
  dayOfMonth: string;
  hour: string;
  minute: string;
  second: string;
}

/** The alarms of a calendar from now on: one for each opening. */
export function alarmsFor(calendar: Calendar, nowMs: number): Alarm[] {
  const openings = openingsForAlarms(calendar, nowMs, alarmsMax).filter(({ opensMs }) => opensMs < nowMs + aheadMaxMs);
  return openings.map(({ opensMs }) => {
    const [year = '', month = '', dayOfMonth = '', hour = '', minute = '', second = ''] = isoOf(opensMs).match(/\d+/g) ?? [];
    return { year, month, dayOfMonth, hour, minute, second };
  });
}
