import { msOf } from '../time.ts';

/** A backup whose file is kept. */
export interface KeptBackup {
  name: string;
  /** ISO 8601, UTC. */
  takenAt: string;
}

/** Of how many hours, days, weeks and months the newest backup is kept. Those without a backup do not count. */
export interface RetentionRule {
  hours: number;
  days: number;
  weeks: number;
  months: number;
}

/** What becomes of a backup, and what keeps it. */
export interface RetentionVerdict extends KeptBackup {
  /** Such as `newest` and `day 2026-11-28`; it may be deleted where this is empty. */
  keptFor: string[];
}

const dayMs = 24 * 3_600_000;
/** The first Monday of the Unix epoch was its fifth day. */
const daysToMonday = 3;

/**
 * Which backups are kept, newest first. The newest is kept whatever the rule says, and so are the pinned ones and the newest that a drill
 * has restored: it is the one that is known to come back.
 */
export function judgeRetention(
  backups: readonly KeptBackup[],
  rule: RetentionRule,
  { pinned = [], drilled = [] }: { pinned?: readonly string[]; drilled?: readonly string[] } = {},
): RetentionVerdict[] {
  const newestFirst = [...backups].sort((one, other) => msOf(other.takenAt) - msOf(one.takenAt) || (one.name < other.name ? 1 : -1));
  const verdicts = newestFirst.map((backup): RetentionVerdict => ({ ...backup, keptFor: [] }));
  verdicts[0]?.keptFor.push('newest');
  verdicts.find(({ name }) => drilled.includes(name))?.keptFor.push('newest drilled');
  for (const verdict of verdicts) if (pinned.includes(verdict.name)) verdict.keptFor.push('pinned');
  for (const { unit, count, of } of periodsOf(rule)) {
    const seen = new Set<string>();
    for (const verdict of verdicts) {
      const period = of(verdict.takenAt);
      if (seen.has(period) || seen.size >= count) continue;
      seen.add(period);
      verdict.keptFor.push(`${unit} ${period}`);
    }
  }
  return verdicts;
}

function periodsOf({ hours, days, weeks, months }: RetentionRule): { unit: string; count: number; of: (takenAt: string) => string }[] {
  // An hour of a time in UTC is its beginning up to the first colon, and so on.
  const beginning = (characters: number) => (takenAt: string) => takenAt.slice(0, characters);
  return [
    { unit: 'hour', count: hours, of: beginning('2026-11-29T07'.length) },
    { unit: 'day', count: days, of: beginning('2026-11-29'.length) },
    { unit: 'week', count: weeks, of: (takenAt) => String(Math.floor((Math.floor(msOf(takenAt) / dayMs) + daysToMonday) / 7)) },
    { unit: 'month', count: months, of: beginning('2026-11'.length) },
  ];
}
