import { expect, test } from '@jest/globals';
import { problemsOfFreshness, type FreshnessRule, type Proofs } from '../../../domain/backup/freshness.ts';

const nowMs = Date.parse('2026-11-29T12:00:00.000Z');
const hourMs = 3_600_000;
const at = (hoursAgo: number): string => new Date(nowMs - hoursAgo * hourMs).toISOString();
const backup = (hoursAgo: number): Proofs => ({ backup: { name: '000042', takenAt: at(hoursAgo) } });
const drill = (hoursAgo: number): Proofs => ({ drill: { backup: '000007', drilledAt: at(hoursAgo) } });
const day: FreshnessRule = { takenWithinMs: 24 * hourMs };
const dayAndWeek: FreshnessRule = { ...day, drilledWithinMs: 168 * hourMs };

test.each<[string, Proofs, FreshnessRule, string[]]>([
  ['fresh', backup(1), day, []],
  ['as old as it may be', backup(24), day, []],
  ['too old', backup(25), day, ['the newest backup 000042 is of 2026-11-28T11:00:00.000Z, 25 h ago, and may be 24 h old']],
  ['none', {}, day, ['there is no backup']],
  ['fresh with a fresh drill', { ...backup(1), ...drill(100) }, dayAndWeek, []],
  ['fresh without a drill', backup(1), dayAndWeek, ['no backup was restored in a drill yet']],
  [
    'fresh with an old drill',
    { ...backup(1), ...drill(169) },
    dayAndWeek,
    ['the last drill, of backup 000007, is of 2026-11-22T11:00:00.000Z, 7 d ago, and may be 7 d old'],
  ],
  ['an old drill that nobody asks for', { ...backup(1), ...drill(9999) }, day, []],
  ['of a clock that is ahead by a little', backup(-0.05), day, []],
  ['of the future', backup(-1), day, ['the newest backup 000042 is of 2026-11-29T13:00:00.000Z, which is in the future: a clock is wrong']],
])('%s', (_title, proofs, rule, problems) => {
  expect(problemsOfFreshness(proofs, rule, nowMs)).toEqual(problems);
});
