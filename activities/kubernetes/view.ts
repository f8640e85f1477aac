import type { V1Pod, V1PodDisruptionBudget } from '@kubernetes/client-node';
import type { BudgetView } from '../../domain/budget.ts';
import type { PodView } from '../../domain/pod.ts';

/** What the rules of a drain need to know of a pod. Throws for a pod that the API server could not have sent. */
export function podView(pod: V1Pod): PodView {
  const labels = pod.metadata?.labels ?? {};
  return {
    namespace: pod.metadata?.namespace ?? '',
    name: pod.metadata?.name ?? '',
    uid: pod.metadata?.uid ?? '',
    node: pod.spec?.nodeName ?? '',
    labels,
    phase: pod.status?.phase ?? 'Unknown',
    ready: (pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True'),
    terminating: pod.metadata?.deletionTimestamp !== undefined,
    owner: ownerOf(pod, labels),
    mirror: pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined,
    emptyDir: (pod.spec?.volumes ?? []).some((volume) => volume.emptyDir !== undefined),
  };
}

/** A Deployment's ReplicaSets carry its name and the hash of the pod template, which the pods have as a label. */
function ownerOf(pod: V1Pod, labels: Record<string, string>): PodView['owner'] {
  const controller = (pod.metadata?.ownerReferences ?? []).find((reference) => reference.controller === true);
  if (!controller) return undefined;
  const hash = labels['pod-template-hash'];
  if (controller.kind === 'ReplicaSet' && hash !== undefined && controller.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: controller.name.slice(0, -hash.length - 1) };
  }
  return { kind: controller.kind, name: controller.name };
}

/** What the rules of a drain need to know of a PodDisruptionBudget. */
export function budgetView(budget: V1PodDisruptionBudget): BudgetView {
  const { metadata, spec, status } = budget;
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    selector: spec?.selector,
    minAvailable: spec?.minAvailable === undefined ? undefined : String(spec.minAvailable),
    maxUnavailable: spec?.maxUnavailable === undefined ? undefined : String(spec.maxUnavailable),
    unhealthyPodEvictionPolicy: spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' ? 'AlwaysAllow' : 'IfHealthyBudget',
    statusIsCurrent: (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0),
    disruptionsAllowed: status?.disruptionsAllowed ?? 0,
    currentHealthy: status?.currentHealthy ?? 0,
    desiredHealthy: status?.desiredHealthy ?? 0,
    expectedPods: status?.expectedPods ?? 0,
  };
}
