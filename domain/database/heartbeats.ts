/** Stretches of acknowledged numbers that are kept apart; with more of them, losses are not told any more. */
const rangesMax = 100;
const numbersShownMax = 20;

/** Numbers of acknowledged heartbeats, as stretches without gaps, in their order; `isComplete` is false where some were left out. */
export type Acknowledged = { ranges: [number, number][]; isComplete: boolean };

/** Nothing is acknowledged yet. */
export const noneAcknowledged: Acknowledged = { ranges: [], isComplete: true };

/** The same with one number more. */
export function acknowledge({ ranges, isComplete }: Acknowledged, number: number): Acknowledged {
  const after = ranges.findIndex(([, last]) => last >= number - 1);
  if (after === -1) return limited([...ranges, [number, number]], isComplete);
  const [first, last] = ranges[after]!;
  if (number >= first && number <= last) return { ranges, isComplete };
  const before = ranges.slice(0, after);
  if (number < first - 1) return limited([...before, [number, number], ...ranges.slice(after)], isComplete);
  const next = ranges[after + 1];
  const joins = next !== undefined && number === last + 1 && next[0] === number + 1;
  const grown: [number, number] = [Math.min(first, number), joins ? next[1] : Math.max(last, number)];
  return { ranges: [...before, grown, ...ranges.slice(after + (joins ? 2 : 1))], isComplete };
}

function limited(ranges: [number, number][], isComplete: boolean): Acknowledged {
  return ranges.length > rangesMax ? { ranges: ranges.slice(1), isComplete: false } : { ranges, isComplete };
}

/** What has come of all heartbeats of a probe, by the rows that the database has in the end. */
export type RowsCheck = {
  acknowledged: number;
  /** Acknowledged, and not there. */
  lost: number;
  /** There more than once. */
  doubled: number;
  /** There, though the probe had no answer. */
  writtenUnanswered: number;
  /** The first numbers of those that are lost or doubled. */
  numbers: { lost: number[]; doubled: number[] };
  /** False where more stretches were acknowledged than the probe keeps apart. */
  isComplete: boolean;
};

/**
 * Compares what was acknowledged with the rows that are there.
 *
 * @param rows how often each number is there, in ascending order of the numbers.
 */
export function checkRows({ ranges, isComplete }: Acknowledged, rows: readonly { number: number; count: number }[]): RowsCheck {
  const countOf = new Map(rows.map(({ number, count }) => [number, count]));
  const lost: number[] = [];
  let acknowledged = 0;
  let found = 0;
  for (const [first, last] of ranges) {
    acknowledged += last - first + 1;
    for (let number = first; number <= last; number += 1) {
      if (countOf.has(number)) found += 1;
      else lost.push(number);
    }
  }
  const doubled = rows.filter(({ count }) => count > 1).map(({ number }) => number);
  return {
    acknowledged,
    lost: lost.length,
    doubled: doubled.length,
    writtenUnanswered: rows.length - found,
    numbers: { lost: lost.slice(0, numbersShownMax), doubled: doubled.slice(0, numbersShownMax) },
    isComplete,
  };
}
