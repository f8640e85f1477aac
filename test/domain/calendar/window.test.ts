import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  openingsOf,
  parseRecurrence,
  parseWeekly,
  weeklyTimes,
  type ClockChangeChoice,
  type Window,
} from '../../../domain/calendar/window.ts';
import { isZone, momentsOf, nextClockChange } from '../../../domain/calendar/zone.ts';

const dayMs = 86_400_000;

function weekly(text: string, zone: string, onClockChange: ClockChangeChoice): Window {
  const read = parseWeekly(text);
  if (typeof read === 'string') throw new Error(read);
  return { text, zone, onClockChange, wallTimes: (from, until) => weeklyTimes(read, from, until) };
}

function byRule(rule: string, start: string, durationMs: number, zone: string, onClockChange: ClockChangeChoice): Window {
  const times = parseRecurrence({ rule, start }, zone);
  if (typeof times === 'string') throw new Error(times);
  return {
    text: rule,
    zone,
    onClockChange,
    durationMs,
    wallTimes: (from, until) => times(from, until).map((at) => ({ from: at, until: at })),
  };
}

/** Openings that begin on a day of Berlin, as they are in UTC. */
function on(day: string, window: Window): string[] {
  const from = Date.parse(`${day}T00:00:00Z`) - 2 * 3_600_000;
  return openingsOf(window, { from, until: from + dayMs })
    .filter((opening) => opening.from >= from)
    .map(({ from, until }) => `${new Date(from).toISOString().slice(11, 16)}-${new Date(until).toISOString().slice(11, 16)}`);
}

describe('where the clocks of Berlin go from 02:00 to 03:00 (28 March 2027)', () => {
  const day = '2027-03-28';
  test.each([
    ['shift', 'first', 'Sun 02:30-05:00', ['01:30-03:00']],
    ['skip', 'first', 'Sun 02:30-05:00', []],
    // All of it is in the hour that is skipped: it keeps its length.
    ['shift', 'first', 'Sun 02:10-02:40', ['01:10-01:40']],
    // Its end is in that hour: it lasts as long as on other days.
    ['shift', 'first', 'Sun 01:00-02:30', ['00:00-01:30']],
    ['skip', 'first', 'Sun 01:00-02:30', ['00:00-01:30']],
    // The end comes before the time to which it is shifted.
    ['shift', 'first', 'Sun 02:50-03:10', ['01:50-02:10']],
  ] as const)('gap: %s, %s: %s', (gap, overlap, text, expected) => {
    expect(on(day, weekly(text, 'Europe/Berlin', { gap, overlap }))).toEqual(expected);
  });
});

describe('where the clocks of Berlin show 02:00 to 03:00 twice (31 October 2027)', () => {
  const day = '2027-10-31';
  test.each([
    ['first', 'Sun 02:30-05:00', ['00:30-04:00']],
    ['second', 'Sun 02:30-05:00', ['01:30-04:00']],
    ['once', 'Sun 02:30-05:00', ['00:30-04:00']],
    ['first', 'Sun 02:15-02:45', ['00:15-00:45']],
    ['second', 'Sun 02:15-02:45', ['01:15-01:45']],
    ['once', 'Sun 02:15-02:45', ['00:15-01:45']],
    ['first', 'Sun 01:00-02:30', ['23:00-00:30']],
    ['second', 'Sun 01:00-02:30', ['23:00-01:30']],
    ['once', 'Sun 01:00-02:30', ['23:00-01:30']],
  ] as const)('overlap: %s: %s', (overlap, text, expected) => {
    expect(on(day, weekly(text, 'Europe/Berlin', { gap: 'skip', overlap }))).toEqual(expected);
  });

  test.each([
    ['first', ['00:30-01:30']],
    ['second', ['01:30-02:30']],
    ['once', ['00:30-02:30']],
  ] as const)('overlap: %s, of an hour by a rule', (overlap, expected) => {
    const rule = byRule('FREQ=WEEKLY;BYDAY=SU', '2027-01-03T02:30', 3_600_000, 'Europe/Berlin', { gap: 'skip', overlap });
    expect(on(day, rule)).toEqual(expected);
  });
});

const zones = [
  'Europe/Berlin',
  'America/New_York',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Antarctica/Troll',
  'Asia/Gaza',
];

test('property: of every day there is one opening, but for those that `skip` leaves out as their time never comes', () => {
  const choice = fc.record({ gap: fc.constantFrom('skip', 'shift'), overlap: fc.constantFrom('first', 'second', 'once') });
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      choice,
      fc.integer({ min: 0, max: 1439 }),
      fc.integer({ min: 5, max: 1440 }),
      fc.integer({ min: 0, max: 13 }),
      (zone, onClockChange, opensMinute, lengthMinutes, which) => {
        const everyDay = { days: [0, 1, 2, 3, 4, 5, 6], opensMinute, closesMinute: opensMinute + lengthMinutes };
        const window: Window = { text: '', zone, onClockChange, wallTimes: (from, until) => weeklyTimes(everyDay, from, until) };
        let changeMs = Date.parse('2024-01-01T00:00:00Z');
        for (let count = 0; count <= which; count++) changeMs = nextClockChange(changeMs, zone)?.atMs ?? changeMs;
        const days = Array.from({ length: 7 }, (_, index) => Math.floor(changeMs / dayMs) - 3 + index);
        const expected = days.filter(
          (day) => onClockChange.gap === 'shift' || momentsOf(day * dayMs + opensMinute * 60_000, zone).kind !== 'never',
        );
        const range = { from: (days[0]! - 3) * dayMs, until: (days.at(-1)! + 4) * dayMs };
        const begins = expected.map((day) => momentsOf(day * dayMs + opensMinute * 60_000, zone));
        const openings = openingsOf(window, range).filter(({ from }) => begins.some(({ first, last }) => from === first || from === last));
        expect(openings).toHaveLength(expected.length);
        expect(openings.every(({ from, until }) => from < until)).toBe(true);
        expect(new Set(openings.map(({ from }) => from)).size).toBe(expected.length);
      },
    ),
    { numRuns: 300 },
  );
});

test.each([
  ['Sat', 'must be days and times'],
  ['Sat 22-04', 'must be days and times'],
  ['Sam 22:00-04:00', 'has the day "Sam"'],
  ['Sat 22:00-24:30', 'closes after 24:00'],
  ['Sat 22:00-22:00', 'closes at the time at which it opens'],
])('the week %s is refused: %s', (text, why) => {
  expect(parseWeekly(text)).toContain(why);
});

test('days may be a range, also across the end of the week', () => {
  expect(parseWeekly('fri-Mon,Wed 20:00-24:00')).toEqual({ days: [0, 2, 4, 5, 6], opensMinute: 1200, closesMinute: 1440 });
});

test.each([
  ['FREQ=SECONDLY', 'opens too often to be a window'],
  ['FREQ=MINUTELY;INTERVAL=30', 'opens too often to be a window'],
  ['FREQ=HOURLY', 'opens more than 1000 times a year'],
  ['FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,10,20,30,40,50', 'opens more than 1000 times a year'],
  ['FREQ=FORTNIGHTLY', 'is no frequency of RFC 5545'],
  ['every tuesday', 'has the part "EVERY TUESDAY"'],
  ['FREQ=DAILY;BYHOUR=99', 'it must be a number from 0 to 23'],
  ['FREQ=DAILY;BYFOO=1', 'which RFC 5545 does not know'],
  ['FREQ=DAILY;COUNT=0', 'it must be a number from 1 to 100000'],
  ['FREQ=MONTHLY;BYMONTHDAY=0', 'not 0'],
  ['FREQ=MONTHLY;BYDAY=9XX', 'cannot be used'],
  ['FREQ=DAILY;UNTIL=tomorrow', 'which is no time'],
  ['FREQ=DAILY;UNTIL=20270101;COUNT=3', 'cannot be used'],
  ['FREQ=DAILY;FREQ=DAILY', 'has FREQ twice'],
  ['FREQ=DAILY\nEXDATE:20270101T000000Z', 'has'],
  ['RSCALE=CHINESE;FREQ=YEARLY', 'which RFC 5545 does not know'],
])('the rule %s is refused: %s', (rule, why) => {
  expect(parseRecurrence({ rule, start: '2027-01-01T22:00' }, 'Asia/Seoul')).toContain(why);
});

test('UNTIL is meant in UTC, and a day counts to its end', () => {
  const count = (until: string): number =>
    openingsOf(byRule(`FREQ=DAILY;UNTIL=${until}`, '2027-01-01T22:00', 3_600_000, 'Asia/Seoul', { gap: 'skip', overlap: 'first' }), {
      from: Date.parse('2026-12-30T00:00:00Z'),
      until: Date.parse('2027-02-01T00:00:00Z'),
    }).length;
  expect([count('20270103'), count('20270103T130000Z'), count('20270103T125959Z')]).toEqual([3, 3, 2]);
});

test('a zone has a name of the IANA database; an offset has no clock changes and is none', () => {
  expect(['Asia/Seoul', 'UTC', 'America/Argentina/Buenos_Aires', '+09:00', 'Asia/Soul', ''].map(isZone)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
