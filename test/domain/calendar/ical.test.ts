import { expect, test } from '@jest/globals';
import type { FreezeSource } from '../../../domain/calendar/freeze.ts';
import { freezesOfICal, icalCharactersMax } from '../../../domain/calendar/ical.ts';

function file(...lines: string[]): string {
  return ['BEGIN:VCALENDAR', 'VERSION:2.0', ...lines, 'END:VCALENDAR', ''].join('\r\n');
}

function event(uid: string, ...lines: string[]): string[] {
  return ['BEGIN:VEVENT', `UID:${uid}`, `SUMMARY:${uid}`, ...lines, 'END:VEVENT'];
}

function freezesIn(text: string, from: string, until: string): string[] {
  const source = freezesOfICal(text, 'f.ics', 'Asia/Seoul') as FreezeSource;
  const found = source.freezesIn({ from: Date.parse(from), until: Date.parse(until) });
  return found.map(
    ({ from, until, why }) => `${why} ${new Date(from).toISOString().slice(0, 16)} ${new Date(until).toISOString().slice(0, 16)}`,
  );
}

test('days and times without a zone are meant in that of the calendar, others in their own', () => {
  const text = file(
    ...event('days', 'DTSTART;VALUE=DATE:20261220', 'DTEND;VALUE=DATE:20270103'),
    ...event('local', 'DTSTART:20261201T220000', 'DTEND:20261201T230000'),
    ...event('berlin', 'DTSTART;TZID=Europe/Berlin:20261202T220000', 'DTEND;TZID=Europe/Berlin:20261202T230000'),
    ...event('utc', 'DTSTART:20261203T220000Z', 'DURATION:PT90M'),
    ...event('one day', 'DTSTART;VALUE=DATE:20261210'),
    ...event('off', 'STATUS:CANCELLED', 'DTSTART;VALUE=DATE:20261211'),
  );
  expect(freezesIn(text, '2026-11-01T00:00:00Z', '2027-11-01T00:00:00Z')).toEqual([
    'days 2026-12-19T15:00 2027-01-02T15:00',
    'local 2026-12-01T13:00 2026-12-01T14:00',
    'berlin 2026-12-02T21:00 2026-12-02T22:00',
    'utc 2026-12-03T22:00 2026-12-03T23:30',
    'one day 2026-12-09T15:00 2026-12-10T15:00',
  ]);
});

test('of a series each date is a freeze, but for those that were left out, cancelled or moved', () => {
  const text = file(
    ...event('pay day', 'DTSTART;VALUE=DATE:20260125', 'RRULE:FREQ=MONTHLY;BYMONTHDAY=25', 'EXDATE;VALUE=DATE:20270125'),
    ...event('pay day', 'RECURRENCE-ID;VALUE=DATE:20270225', 'STATUS:CANCELLED', 'DTSTART;VALUE=DATE:20270225'),
    ...event('pay day', 'RECURRENCE-ID;VALUE=DATE:20270325', 'DTSTART;VALUE=DATE:20270323'),
  );
  expect(freezesIn(text, '2026-12-01T00:00:00Z', '2027-05-01T00:00:00Z')).toEqual([
    'pay day 2026-12-24T15:00 2026-12-25T15:00',
    'pay day 2027-03-22T15:00 2027-03-23T15:00',
    'pay day 2027-04-24T15:00 2027-04-25T15:00',
  ]);
});

test('a series keeps its local time across a clock change', () => {
  const text = file(
    ...event('batch', 'DTSTART;TZID=Europe/Berlin:20270327T010000', 'DTEND;TZID=Europe/Berlin:20270327T020000', 'RRULE:FREQ=DAILY;COUNT=3'),
  );
  expect(freezesIn(text, '2027-03-01T00:00:00Z', '2027-05-01T00:00:00Z')).toEqual([
    'batch 2027-03-27T00:00 2027-03-27T01:00',
    'batch 2027-03-28T00:00 2027-03-28T01:00',
    'batch 2027-03-28T23:00 2027-03-29T00:00',
  ]);
});

test.each([
  ['text', 'hello', 1, 'is no iCal file'],
  ['a torn file', 'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n', 1, 'cannot be read'],
  ['a line that is none', file('BEGIN:VEVENT', 'hello', 'END:VEVENT'), 4, 'cannot be read: invalid line'],
  ['an event without a time', file(...event('x')), 4, 'has the event "x", which has no DTSTART'],
  ['a time that is none', file(...event('x', 'DTSTART:2026')), 4, 'has the event "x", which cannot be read'],
  ['a zone that nobody knows', file(...event('x', 'DTSTART;TZID=Nowhere:20261201T220000')), 4, 'has the unknown zone "Nowhere"'],
  ['an event of every minute', file(...event('x', 'DTSTART:20261201T220000Z', 'RRULE:FREQ=MINUTELY')), 4, 'comes too often'],
  ['an end before the beginning', file(...event('x', 'DTSTART:20261201T220000Z', 'DTEND:20261130T220000Z')), 4, 'ends before it begins'],
  ['too large a file', 'BEGIN:VCALENDAR\r\n' + ' '.repeat(icalCharactersMax), 1, 'has more than'],
  ['too many events', file(...Array.from({ length: 2_001 }, () => event('x', 'DTSTART:20261201T220000Z')).flat()), 1, 'has 2001 events'],
])('%s is refused with its line', (_what, text, line, message) => {
  const problem = freezesOfICal(text, 'f.ics', 'Asia/Seoul') as { line: number; message: string };
  expect(problem.line).toBe(line);
  expect(problem.message).toContain(message);
});
