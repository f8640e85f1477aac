/** A Deployment or StatefulSet as far as a drain needs to know it. */
export interface WorkloadView {
  kind: 'Deployment' | 'StatefulSet';
  namespace: string;
  name: string;
  /** How many pods its owner asks for. */
  replicas: number;
  /** Why a rollout cannot start a new pod before an old one ends; undefined where it can. */
  noSurge?: string;
}

/** `Deployment shop/cart`, as people write it. */
export function workloadName({ kind, namespace, name }: { kind: string; namespace: string; name: string }): string {
  return `${kind} ${namespace}/${name}`;
}

/** Workloads by their names. */
export function workloadsByName(workloads: readonly WorkloadView[]): ReadonlyMap<string, WorkloadView> {
  return new Map(workloads.map((workload) => [workloadName(workload), workload]));
}

/** Whether the only pod of a workload is replaced by a rollout, which starts the new one first: only a Deployment can do that. */
export function isSurged(workload: WorkloadView | undefined, singletons: 'evict' | 'surge'): boolean {
  return singletons === 'surge' && workload?.kind === 'Deployment' && workload.replicas === 1 && workload.noSurge === undefined;
}
