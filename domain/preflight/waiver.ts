import { matchesTarget } from '../approval/rules.ts';
import { msOf } from '../time.ts';

/** People go past a finding until a time, for a reason. */
export interface Waiver {
  /** `<check>:<object>`, or the name of a check for all that it finds. */
  finding: string;
  reason: string;
  /** ISO 8601, UTC. */
  until: string;
}

/** A waiver of holdpoint.yaml, for the targets that its patterns cover; for all of them where it has none. */
export interface ConfiguredWaiver extends Waiver {
  targets?: readonly string[];
}

/** The waivers that are for a target. */
export function waiversFor(target: string, waivers: readonly ConfiguredWaiver[]): Waiver[] {
  const own = waivers.filter(({ targets }) => targets?.some((pattern) => matchesTarget(pattern, target)) ?? true);
  return own.map(({ finding, reason, until }) => ({ finding, reason, until }));
}

/** The waiver of a finding, one that is in force before one that is over; undefined where there is none. */
export function waiverOf(
  { name, check }: { name: string; check: string },
  waivers: readonly Waiver[],
  nowMs: number,
): { waiver: Waiver; inForce: boolean } | undefined {
  const own = waivers.filter(({ finding }) => finding === name || finding === check);
  const inForce = own.find(({ until }) => nowMs < msOf(until));
  const waiver = inForce ?? own[0];
  return waiver && { waiver, inForce: inForce !== undefined };
}
