/** A workload with its budget, and how long its pods take. */
export interface Workload {
  name: string;
  namespace: string;
  kind: 'Deployment' | 'StatefulSet';
  replicas: number;
  /** The rule of its budget; without both it has none. */
  minAvailable?: number | string;
  maxUnavailable?: number | string;
  /** From the placing of a pod until its containers run, from there until it is Ready, and from its deletion until it has ended. */
  startSeconds: number;
  readinessSeconds: number;
  shutdownSeconds: number;
}

/** A pod that has to leave its node. */
export interface PodToMove {
  workload: Workload;
  node: string;
}

/** How long emptying the nodes takes at least, and what takes so long. */
export interface LowerBound {
  seconds: number;
  by: string;
}

/**
 * The time that nobody who keeps to the budgets can beat, however well he does, from the first eviction to the end of the last pod.
 * It is the greater of two bounds.
 *
 * Of each budget: with `moved` pods to move, `allowed` at once and every pod Ready but for those on their way, the last of
 * `ceil(moved / allowed)` waves can only begin when all waves before have their new pods Ready, and its pods have to end then:
 * `(waves - 1) × wave + shutdown`. A Deployment's new pod is made when the old one is deleted, so that a wave takes
 * `start + readiness`; a StatefulSet's only when the old one has ended, so that it takes `shutdown + start + readiness`.
 *
 * Of the nodes: each is occupied for the longest shutdown of its pods at least, and only `nodesAtOnce` are being emptied at a time:
 * `sum of these / nodesAtOnce`, and never less than the longest.
 */
export function lowerBound(pods: readonly PodToMove[], nodesAtOnce: number): LowerBound {
  const perWorkload = new Map<Workload, number>();
  const perNode = new Map<string, number>();
  for (const { workload, node } of pods) {
    perWorkload.set(workload, (perWorkload.get(workload) ?? 0) + 1);
    perNode.set(node, Math.max(perNode.get(node) ?? 0, workload.shutdownSeconds));
  }
  const bounds = [...perWorkload].map(([workload, moved]) => ({
    seconds: budgetSeconds(workload, moved),
    by: `${workload.namespace}/${workload.name}: ${moved} pods, ${allowedAtOnce(workload)} at once`,
  }));
  const occupied = [...perNode.values()];
  const total = occupied.reduce((sum, seconds) => sum + seconds, 0);
  bounds.push({ seconds: Math.max(total / nodesAtOnce, ...occupied, 0), by: `${occupied.length} nodes, ${nodesAtOnce} at once` });
  return bounds.reduce((longest, bound) => (bound.seconds > longest.seconds ? bound : longest));
}

function budgetSeconds(workload: Workload, moved: number): number {
  const { kind, startSeconds, readinessSeconds, shutdownSeconds } = workload;
  const wave = startSeconds + readinessSeconds + (kind === 'StatefulSet' ? shutdownSeconds : 0);
  return (Math.ceil(moved / allowedAtOnce(workload)) - 1) * wave + shutdownSeconds;
}

/** How many of its pods may be away at once; percentages are of the replicas and round up, as the disruption controller has it. */
export function allowedAtOnce({
  replicas,
  minAvailable,
  maxUnavailable,
}: Pick<Workload, 'replicas' | 'minAvailable' | 'maxUnavailable'>): number {
  const count = (rule: number | string): number =>
    typeof rule === 'number' ? rule : Math.ceil((replicas * Number.parseInt(rule, 10)) / 100);
  if (maxUnavailable !== undefined) return Math.min(replicas, count(maxUnavailable));
  return minAvailable === undefined ? replicas : replicas - count(minAvailable);
}
