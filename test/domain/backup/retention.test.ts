import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { judgeRetention, type KeptBackup } from '../../../domain/backup/retention.ts';

const nothing = { hours: 0, days: 0, weeks: 0, months: 0 };
const backups = (...times: string[]): KeptBackup[] =>
  times.map((takenAt, index) => ({ name: `b${index + 1}`, takenAt: `2026-${takenAt}Z` }));

function keptOf(given: KeptBackup[], rule: Partial<typeof nothing>, more: Parameters<typeof judgeRetention>[2] = {}): string[] {
  const verdicts = judgeRetention(given, { ...nothing, ...rule }, more);
  return verdicts
    .filter(({ keptFor }) => keptFor.length > 0)
    .map(({ name }) => name)
    .sort();
}

describe('what is kept', () => {
  const four = backups('11-01T00:10:00', '11-01T00:50:00', '11-02T03:00:00', '12-07T09:00:00');
  test.each<[string, KeptBackup[], Parameters<typeof keptOf>[1], Parameters<typeof keptOf>[2], string[]]>([
    ['the newest, whatever the rule says', four, {}, {}, ['b4']],
    ['the newest of each hour that has one', four, { hours: 3 }, {}, ['b2', 'b3', 'b4']],
    ['the newest of each day', four, { days: 2 }, {}, ['b3', 'b4']],
    ['the newest of each month', four, { months: 12 }, {}, ['b3', 'b4']],
    ['what is pinned', four, {}, { pinned: ['b1'] }, ['b1', 'b4']],
    ['the newest that a drill has restored', four, {}, { drilled: ['b1', 'b2'] }, ['b2', 'b4']],
    // 2026-11-29 is a Sunday, the day after it begins another week.
    ['weeks begin on Monday', backups('11-29T23:59:59', '11-30T00:00:00', '12-06T12:00:00'), { weeks: 2 }, {}, ['b1', 'b3']],
    ['nothing where there is nothing', [], { days: 3 }, {}, []],
  ])('%s', (_title, given, rule, more, expected) => {
    expect(keptOf(given, rule, more)).toEqual(expected);
  });

  test('does not hang on the order in which backups are given', () => {
    expect(keptOf([...four].reverse(), { hours: 3 })).toEqual(['b2', 'b3', 'b4']);
  });

  test('is never more than the rule says, and the newest always is', () => {
    const times = fc.array(fc.integer({ min: 0, max: 400 * 24 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), (hours, days, months) => {
        const given = hours.map((hour, index) => ({ name: `b${index}`, takenAt: new Date(hour * 3_600_000).toISOString() }));
        const verdicts = judgeRetention(given, { ...nothing, days, months });
        expect(verdicts[0]?.keptFor).toContain('newest');
        expect(verdicts.filter(({ keptFor }) => keptFor.length > 0).length).toBeLessThanOrEqual(1 + days + months);
        // What is kept stays so when it is judged again without the others.
        const kept = verdicts.filter(({ keptFor }) => keptFor.length > 0);
        expect(judgeRetention(kept, { ...nothing, days, months }).every(({ keptFor }) => keptFor.length > 0)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
