import type { DrainNode } from './drain.ts';
import { hasEnded, isDaemon, podName, workloadOf, type PodView } from './pod.ts';

/** New pods of so many workloads find no node: then it is no peculiarity of one of them, and the pods of others would find none either. */
const workloadsWaitingMax = 3;
/** The API server cuts times of creation to seconds. */
const creationGrainMs = 1_000;

/** What is looked at to find new pods that find no node. */
export interface SuccessorsLook {
  nodes: readonly DrainNode[];
  pods: readonly PodView[];
  /** Whether a node that is not drained is Ready and not cordoned. */
  hasDestination: boolean;
  nowMs: number;
}

/** What the signed plan says of where pods go. */
export interface SuccessorsSettings {
  /** Names of the workloads whose pods are moved. */
  workloads: ReadonlySet<string>;
  /** Whether there was a group of nodes for the pods to go to. Where there was none, people have signed that they find no node. */
  hasDestinations: boolean;
  /** How long new pods may find no node before a person has to look. */
  unschedulableLimitMs: number;
}

/**
 * New pods that take the place of moved ones and find no node. As long as there are any, no more pods of their workloads are evicted;
 * and none of any workload where no node is left to go to, or where new pods of several workloads wait. The first pods always go:
 * cluster-autoscaler and Karpenter bring nodes only for pods that wait for one. When they are scheduled, the drain goes on.
 */
export class Successors {
  /** The new pods that find no node, the oldest first. */
  readonly waiting: PodView[];
  /** Whether one of them has waited for longer than the limit. */
  readonly areOverdue: boolean;
  private readonly byWorkload: ReadonlyMap<string, PodView>;
  private readonly holdsAll: boolean;

  constructor(
    { nodes, pods, hasDestination, nowMs }: SuccessorsLook,
    { workloads, hasDestinations, unschedulableLimitMs }: SuccessorsSettings,
  ) {
    const beganAtMs = Math.min(...nodes.map(({ turnBeganMs = Infinity }) => turnBeganMs));
    const isSuccessor = (pod: PodView): boolean =>
      pod.unschedulable !== undefined &&
      !pod.terminating &&
      pod.createdAtMs + creationGrainMs > beganAtMs &&
      workloads.has(workloadOf(pod));
    this.waiting = hasDestinations ? pods.filter(isSuccessor).sort((a, b) => a.createdAtMs - b.createdAtMs) : [];
    this.areOverdue = this.waiting.some(({ createdAtMs }) => nowMs - createdAtMs > unschedulableLimitMs);
    this.byWorkload = new Map(this.waiting.toReversed().map((pod) => [workloadOf(pod), pod]));
    this.holdsAll = this.waiting.length > 0 && (!hasDestination || this.byWorkload.size >= workloadsWaitingMax);
  }

  /** Why a pod is not evicted for now; undefined where nothing is in its way here. */
  whyItStays(pod: PodView): string | undefined {
    if (this.waiting.length === 0 || hasEnded(pod) || isDaemon(pod)) return undefined;
    const own = this.byWorkload.get(workloadOf(pod));
    const first = own ?? (this.holdsAll ? this.waiting[0] : undefined);
    return first && `${podName(first)}, which takes the place of a moved pod, finds no node`;
  }
}
