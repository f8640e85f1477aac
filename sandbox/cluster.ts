/** A taint as nodes carry it. */
export interface NodeTaint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

/** A node as it boots: what its kubelet registers with the API server. */
export interface NodeSpec {
  name: string;
  zone: string;
  instanceType: string;
  /** e.g. `v1.33.4-eks-99bf8d4`. */
  kubeletVersion: string;
  labels: Record<string, string>;
  taints: NodeTaint[];
  /** e.g. `aws:///eu-central-1a/i-0abc…`. */
  providerID: string;
  capacity: { cpuMillis: number; memoryMiB: number; pods: number };
}

/** A cluster's nodes and pods as the cloud sees them: EKS makes nodes join and leave through this face only. */
export interface SandboxCluster {
  readonly name: string;
  /** Base URL of its Kubernetes API. */
  readonly url: string;
  /** An instance boots: its Node appears, NotReady at first, Ready after the boot time. */
  joinNode(spec: NodeSpec): void;
  /** An instance is terminated, by EKS or by its Auto Scaling group: its Node object and whatever pods are still on it go at once. */
  removeNode(name: string, by?: 'eks' | 'auto-scaling'): void;
  nodeReady(name: string): boolean;
  setUnschedulable(name: string, unschedulable: boolean): void;
  /** Sets a label of a node; without a value it takes the label away. */
  setNodeLabel(name: string, key: string, value: string | undefined): void;
  /** Taints are told apart by key and effect. A NoExecute taint keeps pods away, but ends none that run. */
  changeNodeTaints(name: string, taints: { add: NodeTaint[]; remove: NodeTaint[] }): void;
  /** The control plane now runs this Kubernetes minor version, e.g. `1.34`. */
  setVersion(version: string): void;
  /** Pods bound to the node that have not ended; daemon pods are marked. */
  podsOn(name: string): { namespace: string; name: string; daemon: boolean }[];
  /** Asks the same eviction rules that the API serves. */
  evictPod(namespace: string, name: string): 'evicted' | 'blocked' | 'gone';
}
