import { msOf } from '../time.ts';

/** How old the newest backup of a place, and the last drill there, may be. */
export interface FreshnessRule {
  takenWithinMs: number;
  /** Absent where no drill is asked for. */
  drilledWithinMs?: number;
}

/** What a place has: its newest backup whose file is there, and the last drill that was passed. Times are ISO 8601, UTC. */
export interface Proofs {
  backup?: { name: string; takenAt: string };
  drill?: { backup: string; drilledAt: string };
}

/** By how much the clocks of two workers may differ. */
export const clockSkewMaxMs = 5 * 60_000;

/** Why what a place has does not do, one part of a sentence each; empty where it does. A time in the future proves nothing. */
export function problemsOfFreshness({ backup, drill }: Proofs, { takenWithinMs, drilledWithinMs }: FreshnessRule, nowMs: number): string[] {
  const problems: string[] = [];
  const judge = (what: string, at: string, withinMs: number): void => {
    const ageMs = nowMs - msOf(at);
    if (ageMs < -clockSkewMaxMs) problems.push(`${what} is of ${at}, which is in the future: a clock is wrong`);
    else if (ageMs > withinMs) problems.push(`${what} is of ${at}, ${inWords(ageMs)} ago, and may be ${inWords(withinMs)} old`);
  };
  if (backup) judge(`the newest backup ${backup.name}`, backup.takenAt, takenWithinMs);
  else problems.push('there is no backup');
  if (drilledWithinMs === undefined) return problems;
  if (drill) judge(`the last drill, of backup ${drill.backup},`, drill.drilledAt, drilledWithinMs);
  else problems.push('no backup was restored in a drill yet');
  return problems;
}

/** The largest unit that does not hide much: `3 d`, `26 h`, `90 min`, `12 s`. */
function inWords(ms: number): string {
  const units: [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
  ];
  const [unit, unitMs] = units.find(([, size]) => ms >= 2 * size) ?? ['s', 1000];
  return `${Math.floor(ms / unitMs)} ${unit}`;
}
