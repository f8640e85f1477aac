import { Temporal } from 'temporal-polyfill';
import { RRuleTemporal } from 'rrule-temporal';
import type { Interval } from './interval.ts';
import { momentsOf, wallMsAt, wallMsOf } from './zone.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** By how much the clocks of a zone are set forward or back, at most. */
const clocksApartMaxMs = dayMs;
/** An opening of a week's days is shorter than this. */
const weeklyMaxMs = 2 * dayMs;

/** How long an opening may be, at most and at least: nothing that is worth a window is done in less. */
export const windowMaxMs = 31 * dayMs;
export const windowMinMs = 5 * minuteMs;
/** Openings that a window may have in a year. */
export const openingsPerYearMax = 1_000;

/** What becomes of an opening whose time the clocks skip (`gap`), and of one whose time they show twice (`overlap`). */
export interface ClockChangeChoice {
  /** `skip`: it does not come. `shift`: it comes later by as much as the clocks are set forward. */
  gap: 'skip' | 'shift';
  /** `first`, `second`: that one counts. `once`: one opening, from the first to the end that is counted from the second. */
  overlap: 'first' | 'second' | 'once';
}

/** The choice where nothing is said: no opening is lost, and none comes twice. */
export const clockChangeDefault: ClockChangeChoice = { gap: 'shift', overlap: 'first' };

/** When something is open, again and again, as clocks of one zone show it. */
export interface Window {
  /** As it was written. */
  text: string;
  zone: string;
  onClockChange: ClockChangeChoice;
  /** Local times at which it opens and closes, within a range of wall times. */
  wallTimes(fromMs: number, untilMs: number): Interval[];
  /** It closes so long after it has opened; where left out, when the clocks show the time of its end. */
  durationMs?: number;
}

/** The openings of a window that touch a range, in order; two of them may overlap. */
export function openingsOf(window: Window, { from, until }: Interval): Interval[] {
  const lengthMax = window.durationMs ?? weeklyMaxMs;
  const walls = window.wallTimes(
    wallMsAt(from, window.zone) - lengthMax - clocksApartMaxMs,
    wallMsAt(until, window.zone) + clocksApartMaxMs,
  );
  return walls.flatMap((wall) => {
    const opening = openingAt(wall, window);
    return opening !== undefined && opening.until > from && opening.from < until ? [opening] : [];
  });
}

function openingAt(wall: Interval, { zone, onClockChange: { gap, overlap }, durationMs }: Window): Interval | undefined {
  const opens = momentsOf(wall.from, zone);
  if (opens.kind === 'never' && gap === 'skip') return undefined;
  const takesLast = opens.kind === 'never' || overlap === 'second';
  const from = takesLast ? opens.last : opens.first;
  if (durationMs !== undefined) return { from, until: (overlap === 'once' && opens.kind === 'twice' ? opens.last : from) + durationMs };
  const closes = momentsOf(wall.until, zone);
  const until = overlap === 'first' && closes.kind === 'twice' ? closes.first : closes.last;
  // An opening that is shifted past its end keeps its length.
  return { from, until: until > from ? until : from + wall.until - wall.from };
}

const dayNames = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const weeklyPattern =
  /^([A-Za-z]{3}(?:-[A-Za-z]{3})?(?:,[A-Za-z]{3}(?:-[A-Za-z]{3})?)*) ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$/;

/** Local times of each week. */
export interface Weekly {
  /** Days on which it opens, 0 for Monday. */
  days: number[];
  opensMinute: number;
  /** Counted from the beginning of the day on which it opens; more than 24 hours where it closes on the next one. */
  closesMinute: number;
}

/**
 * Reads `Sat,Sun 22:00-04:00` or `Mon-Fri 00:00-24:00`; returns why not where it cannot. An end that is not later is one of the next
 * day.
 */
export function parseWeekly(text: string): Weekly | string {
  const [, days = '', ...times] = weeklyPattern.exec(text) ?? [];
  if (days === '') return 'must be days and times such as `Sat,Sun 22:00-04:00` or `Mon-Fri 20:00-24:00`';
  const numbers = new Set<number>();
  for (const part of days.split(',')) {
    const [first = -1, last = first] = part.split('-').map((name) => dayNames.findIndex((day) => day.toLowerCase() === name.toLowerCase()));
    if (first < 0 || last < 0) return `has the day "${part}"; days are ${dayNames.join(', ')}`;
    for (let day = first; ; day = (day + 1) % 7) {
      numbers.add(day);
      if (day === last) break;
    }
  }
  const [openHour = 0, openMinute = 0, closeHour = 0, closeMinute = 0] = times.map(Number);
  const opensMinute = openHour * 60 + openMinute;
  const end = closeHour * 60 + closeMinute;
  if (end > 24 * 60) return 'closes after 24:00; write the time of the next day';
  if (end === opensMinute) return 'closes at the time at which it opens; for a whole day write 00:00-24:00';
  return { days: [...numbers].sort(), opensMinute, closesMinute: end > opensMinute ? end : end + 24 * 60 };
}

/** The local times of a weekly window within a range of wall times. */
export function weeklyTimes({ days, opensMinute, closesMinute }: Weekly, fromMs: number, untilMs: number): Interval[] {
  const times: Interval[] = [];
  for (let day = Math.floor(fromMs / dayMs); day * dayMs <= untilMs; day++) {
    // The first of January 1970 was a Thursday.
    const weekday = (((day + 3) % 7) + 7) % 7;
    if (days.includes(weekday)) times.push({ from: day * dayMs + opensMinute * minuteMs, until: day * dayMs + closesMinute * minuteMs });
  }
  return times;
}

/** The ranges of the numbers of a recurrence rule: the library takes no offence at others, nor at parts that it does not know. */
const numberRanges: Readonly<Record<string, readonly [least: number, most: number]>> = {
  COUNT: [1, 100_000],
  INTERVAL: [1, 10_000],
  BYSECOND: [0, 59],
  BYMINUTE: [0, 59],
  BYHOUR: [0, 23],
  BYMONTHDAY: [-31, 31],
  BYYEARDAY: [-366, 366],
  BYWEEKNO: [-53, 53],
  BYMONTH: [1, 12],
  BYSETPOS: [-366, 366],
};
const partsWithoutNumbers = ['FREQ', 'UNTIL', 'BYDAY', 'WKST'];
const frequencies = ['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY'];

/** Opening times by a rule of RFC 5545. */
export interface Recurrence {
  /** Such as `FREQ=MONTHLY;BYDAY=2TU`. */
  rule: string;
  /** The local time from which it counts, e.g. `2026-01-01T22:00`. */
  start: string;
}

/**
 * Reads a recurrence rule; returns why not where it cannot be used. The rule is evaluated in wall times, as if there were no clock
 * changes: what becomes of an opening in one of them is for `onClockChange` to say, and not for the library.
 */
export function parseRecurrence({ rule, start }: Recurrence, zone: string): ((fromMs: number, untilMs: number) => number[]) | string {
  const parts = partsOf(rule);
  if (typeof parts === 'string') return parts;
  const begin = wallMsOf(start);
  if (begin === undefined) return 'has a `start` that is no local time';
  const frequency = parts.get('FREQ') ?? '';
  if (!frequencies.includes(frequency)) {
    const endless = ['MINUTELY', 'SECONDLY'].includes(frequency) ? 'opens too often to be a window' : 'is no frequency of RFC 5545';
    return `has \`FREQ=${frequency}\`, which ${endless}; there are ${frequencies.join(', ')}`;
  }
  const until = parts.get('UNTIL');
  if (until !== undefined) {
    const wall = untilInWallTime(until, zone);
    if (wall === undefined) return `has \`UNTIL=${until}\`, which is no time such as 20271231 or 20271231T150000Z`;
    parts.set('UNTIL', wall);
  }
  const read = [...parts].map(([name, value]) => `${name}=${value}`).join(';');
  try {
    const recurrence = new RRuleTemporal({ rruleString: `RRULE:${read}`, dtstart: inUtc(begin.wallMs), strict: true });
    const times = (fromMs: number, untilMs: number): number[] => {
      if (untilMs < begin.wallMs) return [];
      return recurrence
        .between(inUtc(Math.max(fromMs, begin.wallMs)), inUtc(untilMs), true)
        .map(({ epochMilliseconds }) => epochMilliseconds);
    };
    return tooOften(times, begin.wallMs) ?? times;
  } catch (error) {
    return `cannot be used: ${(error as Error).message.replace(/\.$/, '')}`;
  }
}

function tooOften(times: (fromMs: number, untilMs: number) => number[], beginMs: number): string | undefined {
  // A day first, so that a rule of every minute is not counted for a year.
  const perDay = times(beginMs, beginMs + 2 * dayMs).length / 2;
  const perYear = perDay > openingsPerYearMax / 10 ? perDay * 366 : times(beginMs, beginMs + 366 * dayMs).length;
  return perYear > openingsPerYearMax ? `opens more than ${openingsPerYearMax} times a year` : undefined;
}

function partsOf(rule: string): Map<string, string> | string {
  const parts = new Map<string, string>();
  for (const part of rule
    .replace(/^RRULE:/i, '')
    .toUpperCase()
    .split(';')) {
    const [name = '', value, ...more] = part.split('=');
    if (value === undefined || value === '' || more.length > 0)
      return `has the part "${part}"; parts are such as \`BYDAY=2TU\`, with \`;\` between them`;
    if (parts.has(name)) return `has ${name} twice`;
    const range = Object.hasOwn(numberRanges, name) ? numberRanges[name] : undefined;
    if (range === undefined && !partsWithoutNumbers.includes(name)) return `has the part "${name}", which RFC 5545 does not know`;
    const unfit = range && value.split(',').find((number) => !/^[+-]?\d{1,6}$/.test(number) || isOutside(Number(number), range));
    if (range && unfit !== undefined)
      return `has \`${name}=${unfit}\`; it must be a number from ${range[0]} to ${range[1]}${range[0] < 0 ? ', not 0' : ''}`;
    parts.set(name, value);
  }
  return parts;
}

function isOutside(number: number, [least, most]: readonly [number, number]): boolean {
  return number < least || number > most || (least < 0 && number === 0);
}

/** RFC 5545 has the end of a rule in UTC; a day alone counts to its end. */
function untilInWallTime(text: string, zone: string): string | undefined {
  const [, year, month, day, hour, minute, second, utc] = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?$/.exec(text) ?? [];
  const read = wallMsOf(`${year}-${month}-${day}${hour === undefined ? '' : `T${hour}:${minute}:${second}`}`);
  if (read === undefined) return undefined;
  if (read.isDay) return `${text}T235959Z`;
  const wall = utc === undefined ? read.wallMs : wallMsAt(read.wallMs, zone);
  return `${inUtc(wall).toString({ timeZoneName: 'never', offset: 'never', smallestUnit: 'second' }).replace(/[-:]/g, '')}Z`;
}

function inUtc(wallMs: number): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(wallMs).toZonedDateTimeISO('UTC');
}
