import { minorVersionOf } from './version.ts';

/** For how long EKS takes an upgrade back (https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html). */
export const rollbackWithinMs = 7 * 86_400_000;

/** How many minor versions one text is above another; undefined where they cannot be compared. */
export function minorsBetween(from: string, to: string): number | undefined {
  const [one, other] = [minorVersionOf(from), minorVersionOf(to)];
  return one && other?.major === one.major ? other.minor - one.minor : undefined;
}

/** Why a control plane cannot go up from one version to another in one update; undefined where it can. EKS takes one minor at a time. */
export function upgradeProblem(from: string, to: string): string | undefined {
  const minors = minorsBetween(from, to);
  if (minors === undefined) return `the versions "${from}" and "${to}" cannot be compared`;
  if (minors < 0) return `${to} is older than ${from}, which it has now`;
  return minors > 1 ? `EKS upgrades by one minor version at a time, and ${to} is ${minors} above ${from}` : undefined;
}

/** Why a control plane cannot go back from one version to another; undefined where it can: EKS goes back to the minor before only. */
export function rollbackProblem(from: string, to: string): string | undefined {
  const minors = minorsBetween(from, to);
  if (minors === undefined) return `the versions "${from}" and "${to}" cannot be compared`;
  return minors === -1 || minors === 0 ? undefined : `EKS takes a control plane back by one minor version only, not from ${from} to ${to}`;
}
