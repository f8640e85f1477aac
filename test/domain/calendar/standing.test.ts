import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { calendarsOf } from '../../../domain/calendar/definition.ts';
import { closeAfter, standingFor } from '../../../domain/calendar/standing.ts';

const dst = { gap: 'shift', overlap: 'first' } as const;
const hourMs = 3_600_000;
const at = (text: string): number => Date.parse(text);

const { calendars } = calendarsOf({
  nights: {
    dst,
    zone: 'Europe/Berlin',
    weekly: ['Fri 22:00-02:00', 'Sat 22:00-04:00'],
    freezes: [{ from: '2026-12-19', until: '2026-12-19', why: 'sale' }],
  },
  cold: { dst, zone: 'UTC', freezes: [{ from: '2026-12-01T00:00', until: '2026-12-01T06:00', why: 'audit' }] },
});
const nights = calendars.get('nights')!;
const cold = calendars.get('cold')!;

test('work begins where it is open and the work is over before the close', () => {
  expect(standingFor(nights, at('2026-11-27T21:00Z'), 4 * hourMs)).toMatchObject({ state: 'open', frozenFor: [] });
  const late = standingFor(nights, at('2026-11-27T21:00:01Z'), 4 * hourMs);
  expect(late).toMatchObject({ state: 'short', next: { opensMs: at('2026-11-28T21:00Z') } });
});

test('what is shut or frozen says when it opens for long enough, and a freeze says what for', () => {
  const shut = standingFor(nights, at('2026-11-23T12:00Z'), 5 * hourMs);
  expect(shut).toMatchObject({ state: 'shut', next: { opensMs: at('2026-11-28T21:00Z'), closesMs: at('2026-11-29T03:00Z') } });
  const frozen = standingFor(nights, at('2026-12-19T21:30Z'), hourMs);
  expect(frozen).toMatchObject({ state: 'frozen', frozenFor: ['sale'], next: { opensMs: at('2026-12-19T23:00Z') } });
});

test('what no opening is long enough for says how long the longest is', () => {
  // In the night in which the clocks are set back it has an hour more.
  expect(standingFor(nights, at('2026-11-23T12:00Z'), 8 * hourMs)).toMatchObject({ state: 'shut', next: undefined, longestMs: 7 * hourMs });
});

test('a calendar without windows is open for any work that is over before a freeze', () => {
  expect(standingFor(cold, at('2026-11-30T20:00Z'), 4 * hourMs).state).toBe('open');
  expect(standingFor(cold, at('2026-11-30T20:00Z'), 5 * hourMs)).toMatchObject({
    state: 'short',
    next: { opensMs: at('2026-12-01T06:00Z') },
  });
});

test('what is said in an opening counts until its close, what is said before one until the close of that', () => {
  expect(closeAfter(nights, at('2026-11-27T22:00Z'))).toBe(at('2026-11-28T01:00Z'));
  expect(closeAfter(nights, at('2026-11-28T01:00Z'))).toBe(at('2026-11-29T03:00Z'));
  expect(closeAfter(cold, at('2027-01-01T00:00Z'))).toBeUndefined();
});

// The year has both changes of the clocks.
const [from, until] = [at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z')];
const moment = fc.integer({ min: from, max: until });

test('what preview shows is when runs work: a run that looks, waits and looks again begins as soon as an opening fits', () => {
  const openings = nights.openings(from, 200);
  fc.assert(
    fc.property(moment, fc.integer({ min: 0, max: 6 * hourMs }), (startMs, needMs) => {
      // What a run does, in virtual time: it looks, waits for what it was told, and looks again.
      let nowMs = startMs;
      for (let looks = 0; standingFor(nights, nowMs, needMs).state !== 'open'; looks += 1) {
        expect(looks).toBeLessThan(3);
        nowMs = standingFor(nights, nowMs, needMs).next!.opensMs;
      }
      const begins = openings.filter(({ opensMs, closesMs = 0 }) => Math.max(opensMs, startMs) + needMs <= closesMs);
      expect(nowMs).toBe(Math.max(begins[0]!.opensMs, startMs));
    }),
  );
});
