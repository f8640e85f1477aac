import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Calendar } from '../../../domain/calendar/calendar.ts';
import { calendarsOf, type CalendarDefinition } from '../../../domain/calendar/definition.ts';
import { alwaysFrozen } from '../../../domain/calendar/freeze.ts';
import { difference, intersection, union } from '../../../domain/calendar/interval.ts';

const dst = { gap: 'shift', overlap: 'first' } as const;
const empty = { dst, freezes: [] };
const at = (text: string): number => Date.parse(text);

function built(definitions: Record<string, CalendarDefinition>): (name: string) => Calendar {
  const { calendars, problems } = calendarsOf(definitions, (file) =>
    alwaysFrozen('ical' in file ? file.ical : file.url, 'it cannot be read'),
  );
  expect(problems).toEqual([]);
  return (name) => calendars.get(name)!;
}

const seoul = built({
  weekend: { ...empty, zone: 'Asia/Seoul', weekly: ['Sat,Sun 22:00-04:00'] },
  nights: { ...empty, zone: 'Asia/Seoul', weekly: ['Mon-Sun 23:00-02:00'] },
  days: { ...empty, zone: 'Asia/Seoul', weekly: ['Sat 00:00-24:00', 'Sun 00:00-24:00'] },
  company: { ...empty, zone: 'Asia/Seoul', freezes: [{ from: '2026-12-20', until: '2027-01-03', why: 'year end' }] },
  both: { ...empty, allOf: ['weekend', 'nights', 'company'] },
  either: { ...empty, anyOf: ['weekend', 'frozen-nights'] },
  'frozen-nights': {
    ...empty,
    zone: 'Asia/Seoul',
    weekly: ['Mon-Fri 23:00-02:00'],
    freezes: [{ from: '2026-12-05T23:30', until: '2026-12-06T01:00', why: 'sale' }],
  },
  unknown: { ...empty, zone: 'Asia/Seoul', weekly: ['Sat 22:00-04:00'], freezes: [{ url: 'https://example.org/f.ics', place: { file: '', line: 1, column: 1, path: '' } }] },
});

function openingsOf(calendar: Calendar, from: string, count: number): string[] {
  return calendar.openings(at(from), count).map(({ opensMs, closesMs }) => {
    const end = closesMs === undefined ? 'open end' : new Date(closesMs).toISOString().slice(0, 16);
    return `${new Date(opensMs).toISOString().slice(0, 16)} ${end}`;
  });
}

describe('openings', () => {
  test('the one at hand is told with its true beginning', () => {
    expect(openingsOf(seoul('weekend'), '2026-11-28T15:00:00Z', 2)).toEqual([
      '2026-11-28T13:00 2026-11-28T19:00',
      '2026-11-29T13:00 2026-11-29T19:00',
    ]);
  });

  test('those that touch are one', () => {
    expect(openingsOf(seoul('days'), '2026-11-28T00:00:00Z', 2)).toEqual([
      '2026-11-27T15:00 2026-11-29T15:00',
      '2026-12-04T15:00 2026-12-06T15:00',
    ]);
  });

  test('of all of several calendars, and a freeze of one of them', () => {
    expect(openingsOf(seoul('both'), '2026-12-19T00:00:00Z', 2)).toEqual([
      '2026-12-19T14:00 2026-12-19T15:00',
      '2027-01-03T15:00 2027-01-03T17:00',
    ]);
  });

  test('a freeze of one wins over a window of another, even where any of them is enough', () => {
    expect(openingsOf(seoul('either'), '2026-12-05T00:00:00Z', 2)).toEqual([
      '2026-12-05T13:00 2026-12-05T14:30',
      '2026-12-05T16:00 2026-12-05T19:00',
    ]);
  });

  test('freezes alone are open without an end', () => {
    expect(openingsOf(seoul('company'), '2026-12-25T00:00:00Z', 1)).toEqual(['2027-01-03T15:00 open end']);
  });

  test('what cannot be read is a freeze for ever', () => {
    expect(openingsOf(seoul('unknown'), '2026-12-25T00:00:00Z', 1)).toEqual([]);
    expect(seoul('unknown').explain(at('2026-12-05T14:00:00Z'))).toMatchObject({
      state: 'frozen',
      freezes: [{ freeze: { why: 'it cannot be read' } }],
    });
  });
});

test('explain names the window, the freeze and the next change', () => {
  expect(seoul('both').explain(at('2026-12-20T14:30:00Z'))).toMatchObject({
    state: 'frozen',
    next: { opensMs: at('2027-01-03T15:00:00Z') },
    windows: [
      { calendar: 'weekend', window: 'Sat,Sun 22:00-04:00', zone: 'Asia/Seoul', open: true },
      { calendar: 'nights', open: true },
    ],
    freezes: [{ calendar: 'company', freeze: { why: 'year end', from: at('2026-12-19T15:00:00Z'), until: at('2027-01-03T15:00:00Z') } }],
  });
  expect(seoul('weekend').explain(at('2026-11-28T15:00:00Z'))).toMatchObject({
    state: 'open',
    opening: { closesMs: at('2026-11-28T19:00:00Z') },
  });
  expect(seoul('weekend').explain(at('2026-11-27T15:00:00Z'))).toMatchObject({
    state: 'shut',
    next: { opensMs: at('2026-11-28T13:00:00Z') },
  });
});

test('property: it is open just where an opening says so, and the next change is one', () => {
  const names = ['weekend', 'nights', 'days', 'company', 'both', 'either'];
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.integer({ min: at('2026-11-01T00:00:00Z'), max: at('2027-02-01T00:00:00Z') }),
      (name, atMs) => {
        const calendar = seoul(name);
        const [opening] = calendar.openings(atMs, 1);
        expect(calendar.isOpen(atMs)).toBe(opening !== undefined && opening.opensMs <= atMs);
        const changeMs = calendar.nextChange(atMs);
        if (changeMs === undefined) return;
        expect(calendar.isOpen(changeMs)).toBe(!calendar.isOpen(atMs));
        expect(calendar.isOpen(changeMs - 1)).toBe(calendar.isOpen(atMs));
      },
    ),
    { numRuns: 150 },
  );
});

test('property: intervals are combined as sets of moments are', () => {
  const list = fc
    .array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 10 })), { maxLength: 6 })
    .map((pairs) => union(pairs.map(([from, length]) => ({ from, until: from + length }))));
  const has = (intervals: { from: number; until: number }[], moment: number): boolean =>
    intervals.some(({ from, until }) => from <= moment && moment < until);
  fc.assert(
    fc.property(list, list, fc.nat(60), (left, right, moment) => {
      expect(has(intersection(left, right), moment)).toBe(has(left, moment) && has(right, moment));
      expect(has(difference(left, right), moment)).toBe(has(left, moment) && !has(right, moment));
      expect(has(union([...left, ...right]), moment)).toBe(has(left, moment) || has(right, moment));
    }),
  );
});

test('whether a calendar opens for long enough is seen without reading the years of one that is always open', () => {
  let readUntil = 0;
  const always = (from: number, until: number) => {
    readUntil = Math.max(readUntil, until);
    return [{ from, until }];
  };
  const calendar = new Calendar({
    name: 'always',
    windows: [{ text: '', zone: 'UTC', onClockChange: dst, wallTimes: always }],
    freezes: [],
  });
  const from = at('2026-01-01T00:00:00Z');
  expect(calendar.longestOpeningMs(from, { count: 50, enoughMs: 300_000 })).toBeGreaterThanOrEqual(300_000);
  expect(readUntil).toBeLessThan(at('2026-07-01T00:00:00Z'));
  expect(seoul('weekend').longestOpeningMs(from, { count: 50, enoughMs: 7 * 3_600_000 })).toBe(6 * 3_600_000);
});
