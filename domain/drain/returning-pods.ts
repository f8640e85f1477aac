import type { DrainNode } from './drain.ts';
import { isOfCustomController, type IgnoredCordon, type PodView } from './pod.ts';

/**
 * The scheduler may have chosen a node before it heard of the cordon: pods that come so soon after the drain of a node began are evicted
 * once, when that time is over. What is made later comes though the node is cordoned, and would come again and again.
 */
const lateArrivalMs = 30_000;
/** The API server cuts times of creation to seconds. */
const creationGrainMs = 1_000;

const reasons: Readonly<Record<IgnoredCordon, string>> = {
  'made-for-node': '`spec.nodeName` names that node, which no cordon stops',
  'bound-to-node': 'only that node is allowed, and its cordon is tolerated',
  'tolerates-cordon': 'the cordon is tolerated',
};

/** Why a pod like this one can come to its node though that is cordoned; undefined where it cannot. */
export function whyItComesBack({ ignoresCordon }: PodView): string | undefined {
  return ignoresCordon && reasons[ignoresCordon];
}

/** Whether a pod like it comes to the same node at once, cordoned or not, however often it is evicted. */
export function comesBackForSure(pod: PodView): boolean {
  // Nobody can tell what a controller that is not one of Kubernetes' own does when its pod goes.
  if (pod.owner === undefined || isOfCustomController(pod)) return false;
  return pod.ignoresCordon === 'made-for-node' || pod.ignoresCordon === 'bound-to-node';
}

/**
 * When a pod came to a node that is drained. `before`: it goes like any other. `late`: it came about when the drain began, and goes
 * when that has lasted for a while. `after`: it came though the node was cordoned, and is not evicted, as that might have no end.
 */
export function arrivalOf(pod: PodView, node: DrainNode, nowMs: number): 'before' | 'late' | 'after' {
  const { turnBeganMs, seenAtTurn } = node;
  if (turnBeganMs === undefined) return 'before';
  // Times of the API server are compared with each other, and our own with our own.
  const { turnStampMs = turnBeganMs } = node;
  const createdAtMostMs = pod.createdAtMs + creationGrainMs;
  if (seenAtTurn?.has(pod.uid) ?? createdAtMostMs <= turnStampMs) return 'before';
  if (createdAtMostMs > turnStampMs + lateArrivalMs) return 'after';
  return nowMs > turnBeganMs + lateArrivalMs ? 'before' : 'late';
}
