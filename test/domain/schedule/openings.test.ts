import { describe, expect, test } from '@jest/globals';
import type { Calendar } from '../../../domain/calendar/calendar.ts';
import { calendarsOf, type CalendarDefinition } from '../../../domain/calendar/definition.ts';
import { clockChangeDefault } from '../../../domain/calendar/window.ts';
import { scheduledRunId } from '../../../domain/schedule/schedule.ts';
import { alarmsFor, comingRuns, openingsForAlarms, verdictAt } from '../../../domain/schedule/openings.ts';

const hourMs = 3_600_000;
const at = (text: string): number => Date.parse(text);

function calendar(given: Partial<CalendarDefinition>): Calendar {
  const whole = { zone: 'Europe/Berlin', dst: clockChangeDefault, freezes: [], ...given };
  const { calendars, problems } = calendarsOf({ night: whole });
  expect(problems).toEqual([]);
  return calendars.get('night')!;
}

const everyNight = { rrule: 'FREQ=DAILY', start: '2027-01-01T02:30', durationMs: 2 * hourMs };
const frozen = { ...everyNight, freezes: [{ from: '2027-02-10T03:00', until: '2027-02-10T04:00', why: 'ledger' }] };

describe('alarms at changes of the clocks', () => {
  // 02:30 does not exist on 28 March, and comes twice on 31 October.
  test.each([
    ['shift', 'first', '01:30', '00:30'],
    ['shift', 'second', '01:30', '01:30'],
    ['skip', 'once', undefined, '00:30'],
  ] as const)('gap %s, overlap %s: each night has the alarm that the calendar says', (gap, overlap, spring, autumn) => {
    const nights = calendar({ ...everyNight, dst: { gap, overlap } });
    const alarmOn = (day: string): string[] =>
      alarmsFor(nights, at(`${day}T00:00:00Z`))
        .filter(({ month, dayOfMonth }) => `${month}-${dayOfMonth}` === day.slice(5))
        .map(({ hour, minute }) => `${hour}:${minute}`);
    expect(alarmOn('2027-03-28')).toEqual(spring === undefined ? [] : [spring]);
    expect(alarmOn('2027-10-31')).toEqual([autumn]);
  });

  test('what preview shows is what alarms are set for, over a year', () => {
    const nights = calendar(everyNight);
    for (let month = 1; month <= 12; month += 1) {
      const nowMs = at(`2027-${String(month).padStart(2, '0')}-01T12:00:00Z`);
      const shown = comingRuns(nights, 0, nowMs, 30).map(({ startsMs }) => startsMs);
      const set = alarmsFor(nights, nowMs).map((alarm) => {
        return Date.UTC(Number(alarm.year), Number(alarm.month) - 1, Number(alarm.dayOfMonth), Number(alarm.hour), Number(alarm.minute));
      });
      expect(set.slice(0, 30)).toEqual(shown);
    }
  });
});

describe('an alarm', () => {
  const nights = calendar(frozen);
  // 02:30 to 04:30 in Berlin; the freeze is from 03:00 to 04:00.
  const opensMs = at('2027-02-10T01:30:00Z');
  test.each([
    ['before its opening', opensMs - 1_000, 0, { state: 'wait', untilMs: opensMs, code: 'opening-early' }],
    ['in its opening', opensMs, 0, { state: 'open' }],
    ['in a freeze that ends in time', opensMs + hourMs, 0, { state: 'wait', untilMs: opensMs + 1.5 * hourMs, code: 'opening-frozen' }],
    ['in a freeze that ends too late', opensMs + hourMs, hourMs + 60_000, { state: 'skip', code: 'opening-frozen' }],
    ['after a freeze', opensMs + 1.5 * hourMs, 0, { state: 'open' }],
    ['later than it may catch up', opensMs + 20 * 60_000, 10 * 60_000, { state: 'skip', code: 'opening-missed' }],
    ['when the window has closed', opensMs + 2 * hourMs, 0, { state: 'skip', code: 'opening-missed' }],
    // Never a start in the opening of another alarm.
    ['days late, in another opening', opensMs + 24 * hourMs + 60_000, 0, { state: 'skip', code: 'opening-missed' }],
  ])('%s', (_when, nowMs, catchUpMs, expected) => {
    expect(verdictAt(nights, opensMs, catchUpMs, nowMs)).toMatchObject(expected);
  });

  test('of an opening that the calendar does not have any more', () => {
    expect(verdictAt(nights, opensMs - hourMs, 0, opensMs)).toMatchObject({ state: 'skip', code: 'opening-unknown' });
  });
});

test('coming runs tell the freeze that makes one later, and the one that skips one', () => {
  const nights = calendar({ ...everyNight, freezes: [{ from: '2027-02-10', until: '2027-02-10T03:00', why: 'ledger' }] });
  const later = comingRuns(nights, 0, at('2027-02-09T12:00:00Z'), 1)[0];
  expect(later).toMatchObject({ startsMs: at('2027-02-10T02:00:00Z'), freeze: { freeze: { why: 'ledger' } } });
  const [skipped] = comingRuns(nights, 20 * 60_000, at('2027-02-09T12:00:00Z'), 1);
  expect(skipped?.startsMs).toBeUndefined();
});

test('freezes set no alarm back: a freeze may be lifted', () => {
  const nights = calendar({ ...everyNight, freezes: [{ from: '2027-01-01', until: '2027-12-31', why: 'for ever' }] });
  expect(openingsForAlarms(nights, at('2027-02-01T12:00:00Z'), 3)).toHaveLength(3);
});

test('the run of an alarm is named after the day of its opening and its execution, as other runs are', () => {
  expect(scheduledRunId('2026-11-28T22:00:00.000Z', 'execution-1')).toMatch(/^r-20261128-[0-9a-f]{8}$/);
  expect(scheduledRunId('2026-11-28T22:00:00.000Z', 'execution-2')).not.toBe(scheduledRunId('2026-11-28T22:00:00.000Z', 'execution-1'));
});
