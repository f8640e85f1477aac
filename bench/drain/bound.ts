import { allowedAtOnce } from '../rotation/lower-bound.ts';
import { fatesOf, type BenchWorkload, type Scenario } from './scenarios.ts';

/** A pod that was evicted from one of the nodes. */
export interface EvictedPod {
  app: string;
  shutdownSeconds: number;
}

/**
 * How long it takes at least to empty the nodes in the order in which the pods were evicted: each at the very moment at which its
 * budget allows it, and each new pod made at once and Ready after exactly its time. What a contender takes beyond that is his own
 * doing and the control plane's.
 */
export function boundSeconds(scenario: Scenario, round: number, evicted: readonly EvictedPod[]): number {
  const fates = fatesOf(scenario, round);
  const bounds = scenario.workloads.map((workload) => {
    const own = evicted.filter(({ app }) => app === workload.name);
    return workloadSeconds(workload, fates.get(workload.name)?.readinessSeconds ?? [], own);
  });
  return Math.max(0, ...bounds);
}

function workloadSeconds(
  { kind, replicas, budget, opensAfterSeconds = 0 }: BenchWorkload,
  readinessSeconds: readonly number[],
  evicted: readonly EvictedPod[],
): number {
  const allowed = budget ? allowedAtOnce({ replicas, ...budget }) : evicted.length;
  const freeAt = Array.from({ length: allowed }, () => opensAfterSeconds);
  let lastEnds = 0;
  for (const [index, { shutdownSeconds }] of evicted.entries()) {
    const at = Math.min(...freeAt);
    // A StatefulSet makes the new pod only when the old one has ended.
    const comesAt = kind === 'StatefulSet' ? at + shutdownSeconds : at;
    freeAt[freeAt.indexOf(at)] = comesAt + (readinessSeconds[index % readinessSeconds.length] ?? 0);
    lastEnds = Math.max(lastEnds, at + shutdownSeconds);
  }
  return lastEnds;
}
