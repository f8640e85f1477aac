/** A stretch of time in milliseconds since 1970: `until` does not belong to it. */
export interface Interval {
  from: number;
  until: number;
}

/** All that is in one of the intervals, in order; those that overlap or touch become one. */
export function union(intervals: readonly Interval[]): Interval[] {
  const merged: Interval[] = [];
  for (const { from, until } of [...intervals].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last === undefined || from > last.until) merged.push({ from, until });
    else last.until = Math.max(last.until, until);
  }
  return merged;
}

/** What two lists have in common; each as `union` gives it. */
export function intersection(left: readonly Interval[], right: readonly Interval[]): Interval[] {
  const common: Interval[] = [];
  let [here, there] = [0, 0];
  for (;;) {
    const [one, other] = [left[here], right[there]];
    if (one === undefined || other === undefined) return common;
    const from = Math.max(one.from, other.from);
    const until = Math.min(one.until, other.until);
    if (from < until) common.push({ from, until });
    if (one.until < other.until) here++;
    else there++;
  }
}

/** What is left of a list without another one; each as `union` gives it. */
export function difference(whole: readonly Interval[], without: readonly Interval[]): Interval[] {
  const gaps: Interval[] = [];
  let from = -Infinity;
  for (const hole of without) {
    gaps.push({ from, until: hole.from });
    from = hole.until;
  }
  gaps.push({ from, until: Infinity });
  return intersection(whole, gaps);
}
