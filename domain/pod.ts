/** A pod as the drain sees it. */
export interface PodView {
  namespace: string;
  name: string;
  uid: string;
  node: string;
  labels: Record<string, string>;
  phase: string;
  ready: boolean;
  /** It has a deletion timestamp. */
  terminating: boolean;
  /** Its controller, with ReplicaSets replaced by the Deployment above them where there is one. */
  owner?: { kind: string; name: string };
  /** A static pod's mirror: the API cannot evict it. */
  mirror: boolean;
  /** It has a volume that is lost with the pod (emptyDir). */
  emptyDir: boolean;
}

/** `namespace/name` of a pod, as people write it. */
export function podName(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

/** The workload a pod belongs to, e.g. `Deployment shop/cart`; a pod without controller is its own. */
export function workloadOf(pod: PodView): string {
  return pod.owner ? `${pod.owner.kind} ${pod.namespace}/${pod.owner.name}` : `Pod ${podName(pod)}`;
}

/** Whether a drain leaves the pod where it is: daemon pods would come back at once, mirror pods cannot be evicted. */
export function staysOnNode(pod: PodView): boolean {
  return pod.mirror || pod.owner?.kind === 'DaemonSet';
}

/** Whether it has ended by itself: nothing is lost with it, no budget counts it. */
export function hasEnded(pod: PodView): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}
