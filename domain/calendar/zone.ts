import { Temporal } from 'temporal-polyfill';

// A *wall time* is what a clock on a wall of the zone shows, written as a number: the milliseconds since 1970 of the moment at which
// a clock of UTC shows the same. So days and minutes can be counted without a thought for clock changes, which come in only here.

/** The moments at which a clock shows a wall time: one, two where it is set back, none where it is set forward past it. */
export interface Moments {
  kind: 'once' | 'twice' | 'never';
  /** The first moment; where there is none, the one that the clock would have come to with its setting of after the change. */
  first: number;
  /** The last moment; where there is none, the one that the clock would have come to with its setting of before, as RFC 5545 has it. */
  last: number;
}

/** Whether a text names a zone of the IANA database, such as `Asia/Seoul`. An offset such as `+09:00` has no clock changes: it is none. */
export function isZone(text: string): boolean {
  if (!/^[A-Za-z][\w+-]*(\/[\w+-]+)*$/.test(text)) return false;
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(text);
    return true;
  } catch {
    return false;
  }
}

/** The moments at which the clocks of a zone show a wall time. */
export function momentsOf(wallMs: number, zone: string): Moments {
  const local = inZone(wallMs, 'UTC').toPlainDateTime();
  const first = local.toZonedDateTime(zone, { disambiguation: 'earlier' }).epochMilliseconds;
  const last = local.toZonedDateTime(zone, { disambiguation: 'later' }).epochMilliseconds;
  if (first === last) return { kind: 'once', first, last };
  return { kind: wallMsAt(first, zone) === wallMs ? 'twice' : 'never', first, last };
}

/** What the clocks of a zone show at a moment. */
export function wallMsAt(atMs: number, zone: string): number {
  return atMs + Math.round(inZone(atMs, zone).offsetNanoseconds / 1_000_000);
}

/** A change of the clocks of a zone. */
export interface ClockChange {
  atMs: number;
  /** By how much the clocks are set forward; negative where they are set back. */
  forwardMs: number;
}

/** The first change of a zone's clocks after a moment; undefined where none is known to come. */
export function nextClockChange(atMs: number, zone: string): ClockChange | undefined {
  const changeMs = inZone(atMs, zone).getTimeZoneTransition('next')?.epochMilliseconds;
  if (changeMs === undefined) return undefined;
  return { atMs: changeMs, forwardMs: wallMsAt(changeMs, zone) - wallMsAt(changeMs - 1, zone) - 1 };
}

/** Reads a local time such as `2026-11-28T22:00` or a day such as `2026-11-28`; undefined where the text is neither. */
export function wallMsOf(text: string): { wallMs: number; isDay: boolean } | undefined {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text);
  if (!isDay && !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return undefined;
  try {
    const local = Temporal.PlainDateTime.from(text, { overflow: 'reject' });
    return { wallMs: local.toZonedDateTime('UTC').epochMilliseconds, isDay };
  } catch {
    return undefined;
  }
}

/** A moment in ISO 8601, UTC, as `Date.toISOString` writes it. */
export function isoOf(atMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toString({ fractionalSecondDigits: 3 });
}

function inZone(atMs: number, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
}
