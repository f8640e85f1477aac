/** The parts of the Kubernetes objects that the sandbox itself reads; whatever else an object carries is kept as it is. */

import type { ManagedFields } from './managed-fields.ts';

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  generateName?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  /** Kept for nodes only. */
  managedFields?: ManagedFields[];
}

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: object;
  status?: object;
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastHeartbeatTime?: string;
  observedGeneration?: number;
}

export interface SelectorRequirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  values?: string[];
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: SelectorRequirement[];
}

export interface Taint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  timeAdded?: string;
}

export interface Toleration {
  key?: string;
  operator?: 'Exists' | 'Equal';
  value?: string;
  effect?: string;
}

export interface Node extends KubernetesObject {
  spec: { unschedulable?: boolean; taints?: Taint[]; providerID?: string };
  status: {
    capacity?: Record<string, string>;
    allocatable?: Record<string, string>;
    conditions?: Condition[];
    addresses?: { type: string; address: string }[];
    nodeInfo?: Record<string, string>;
  };
}

export interface Container {
  name: string;
  image: string;
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  readinessProbe?: { initialDelaySeconds?: number; periodSeconds?: number };
  ports?: { name?: string; containerPort: number }[];
}

export interface NodeSelectorTerm {
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
  matchFields?: { key: string; operator: string; values?: string[] }[];
}

export interface PodAffinityTerm {
  labelSelector?: LabelSelector;
  topologyKey: string;
  namespaces?: string[];
}

export interface TopologySpreadConstraint {
  maxSkew: number;
  topologyKey: string;
  whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway';
  labelSelector?: LabelSelector;
  minDomains?: number;
}

export interface PodSpec {
  nodeName?: string;
  restartPolicy?: string;
  volumes?: PodVolume[];
  hostNetwork?: boolean;
  containers: Container[];
  nodeSelector?: Record<string, string>;
  affinity?: {
    nodeAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] } };
    podAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[] };
    podAntiAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[] };
  };
  topologySpreadConstraints?: TopologySpreadConstraint[];
  tolerations?: Toleration[];
  terminationGracePeriodSeconds?: number;
}

export interface PodVolume {
  name: string;
  persistentVolumeClaim?: { claimName: string };
}

export interface ContainerStatus {
  name: string;
  image: string;
  ready: boolean;
  started: boolean;
  restartCount: number;
  state: Record<string, object>;
}

export interface Pod extends KubernetesObject {
  spec: PodSpec;
  status: {
    phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
    conditions?: Condition[];
    containerStatuses?: ContainerStatus[];
    podIP?: string;
    hostIP?: string;
    startTime?: string;
    reason?: string;
  };
}

export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: PodSpec;
}

export type IntOrPercent = number | string;

export interface PodDisruptionBudget extends KubernetesObject {
  spec: {
    selector?: LabelSelector;
    minAvailable?: IntOrPercent;
    maxUnavailable?: IntOrPercent;
    unhealthyPodEvictionPolicy?: 'IfHealthyBudget' | 'AlwaysAllow';
  };
  status: {
    currentHealthy: number;
    desiredHealthy: number;
    disruptionsAllowed: number;
    expectedPods: number;
    observedGeneration?: number;
    disruptedPods?: Record<string, string>;
    conditions?: Condition[];
  };
}

export interface Deployment extends KubernetesObject {
  spec: {
    replicas: number;
    selector: LabelSelector;
    template: PodTemplate;
    paused?: boolean;
    revisionHistoryLimit?: number;
    strategy: { type: string; rollingUpdate?: { maxSurge?: IntOrPercent; maxUnavailable?: IntOrPercent } };
  };
  status: object;
}

export interface ReplicaSet extends KubernetesObject {
  spec: { replicas: number; selector: LabelSelector; template: PodTemplate };
  status: { replicas: number; readyReplicas?: number; availableReplicas?: number; observedGeneration?: number };
}

export interface StatefulSet extends KubernetesObject {
  spec: {
    replicas: number;
    selector: LabelSelector;
    template: PodTemplate;
    serviceName?: string;
    podManagementPolicy?: 'OrderedReady' | 'Parallel';
    updateStrategy?: { type?: string };
    volumeClaimTemplates?: { metadata: { name: string; labels?: Record<string, string> }; spec: PersistentVolumeClaim['spec'] }[];
  };
  status: object;
}

export interface DaemonSet extends KubernetesObject {
  spec: { selector: LabelSelector; template: PodTemplate };
  status: object;
}

export interface Job extends KubernetesObject {
  spec: { completions: number; parallelism: number; backoffLimit: number; selector?: LabelSelector; template: PodTemplate };
  status: {
    active?: number;
    ready?: number;
    succeeded?: number;
    failed?: number;
    startTime?: string;
    completionTime?: string;
    conditions?: Condition[];
  };
}

export interface PersistentVolume extends KubernetesObject {
  spec: {
    accessModes?: string[];
    capacity?: Record<string, string>;
    storageClassName?: string;
    claimRef?: { kind?: string; namespace?: string; name?: string; uid?: string };
    nodeAffinity?: { required?: { nodeSelectorTerms: NodeSelectorTerm[] } };
    /** Only volumes of a CSI driver are attached to nodes. */
    csi?: { driver: string; volumeHandle: string };
  };
  status: { phase: 'Available' | 'Bound' | 'Released' };
}

export interface PersistentVolumeClaim extends KubernetesObject {
  spec: {
    accessModes?: string[];
    resources?: { requests?: Record<string, string> };
    storageClassName?: string;
    volumeName?: string;
  };
  status: { phase: 'Pending' | 'Bound' };
}

export interface VolumeAttachment extends KubernetesObject {
  spec: { attacher: string; nodeName: string; source: { persistentVolumeName?: string } };
  status: { attached: boolean };
}

export interface Namespace extends KubernetesObject {
  spec: { finalizers?: string[] };
  status: { phase: 'Active' | 'Terminating' };
}

export interface Event extends KubernetesObject {
  involvedObject: { apiVersion: string; kind: string; namespace?: string; name: string; uid: string };
  reason: string;
  message: string;
  type: 'Normal' | 'Warning';
  count: number;
  firstTimestamp: string;
  lastTimestamp: string;
  source: { component: string };
}

export interface ServicePort {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: string;
}

export interface Service extends KubernetesObject {
  spec: { type?: string; clusterIP?: string; selector?: Record<string, string>; ports?: ServicePort[]; publishNotReadyAddresses?: boolean };
}

export interface Endpoint {
  addresses: string[];
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  nodeName?: string;
  zone?: string;
  targetRef: { kind: 'Pod'; namespace: string; name: string; uid: string };
}

export interface EndpointSlice extends KubernetesObject {
  addressType: 'IPv4';
  endpoints: Endpoint[];
  ports: { name: string; port: number; protocol: string }[];
}

export interface ValidatingAdmissionPolicy extends KubernetesObject {
  spec: {
    failurePolicy?: 'Fail' | 'Ignore';
    matchConstraints?: { resourceRules?: ResourceRule[]; namespaceSelector?: LabelSelector };
    matchConditions?: { name: string; expression: string }[];
    validations?: { expression: string; message?: string; reason?: string }[];
  };
}

export interface ResourceRule {
  apiGroups: string[];
  apiVersions: string[];
  operations: string[];
  resources: string[];
}

export interface ValidatingAdmissionPolicyBinding extends KubernetesObject {
  spec: {
    policyName: string;
    validationActions: string[];
    matchResources?: { namespaceSelector?: LabelSelector };
  };
}

/** The kinds that the sandbox keeps, by the plural under which the API serves them. */
export interface ResourceTypes {
  apiservices: KubernetesObject;
  configmaps: KubernetesObject;
  cronjobs: KubernetesObject;
  customresourcedefinitions: KubernetesObject;
  ingresses: KubernetesObject;
  mutatingwebhookconfigurations: KubernetesObject;
  nodepools: KubernetesObject;
  secrets: KubernetesObject;
  services: Service;
  endpointslices: EndpointSlice;
  validatingadmissionpolicies: ValidatingAdmissionPolicy;
  validatingadmissionpolicybindings: ValidatingAdmissionPolicyBinding;
  storageclasses: KubernetesObject;
  validatingwebhookconfigurations: KubernetesObject;
  daemonsets: DaemonSet;
  deployments: Deployment;
  events: Event;
  jobs: Job;
  namespaces: Namespace;
  nodes: Node;
  persistentvolumeclaims: PersistentVolumeClaim;
  persistentvolumes: PersistentVolume;
  poddisruptionbudgets: PodDisruptionBudget;
  pods: Pod;
  replicasets: ReplicaSet;
  statefulsets: StatefulSet;
  volumeattachments: VolumeAttachment;
}

export type ResourceName = keyof ResourceTypes;

/** The key of an object within its resource: `namespace/name`, with nothing before the slash for what has no namespace. */
export function keyOf(object: { metadata: { namespace?: string; name: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** Undoes keyOf. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** A time as Kubernetes writes it: RFC 3339, whole seconds, UTC. */
export function timestamp(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

export function controllerOf(object: { metadata: ObjectMeta }): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

export function conditionOf(object: { status?: { conditions?: Condition[] } }, type: string): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

export function isReady(object: Pod | Node): boolean {
  return conditionOf(object, 'Ready')?.status === 'True';
}

/** The keys of the claims that a pod uses. */
export function claimKeysOf({ metadata, spec }: Pod): string[] {
  return (spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) =>
    claim ? [`${metadata.namespace ?? ''}/${claim.claimName}`] : [],
  );
}

export function hasEnded(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed';
}

/** Puts a condition in the place of the one of the same type; the transition time moves only when the status does. */
export function setCondition(conditions: Condition[] | undefined, condition: Condition, now: string): Condition[] {
  const before = conditions?.find((other) => other.type === condition.type);
  const lastTransitionTime = before?.status === condition.status ? before.lastTransitionTime : now;
  const after = { ...condition, lastTransitionTime };
  if (!before) return [...(conditions ?? []), after];
  return (conditions ?? []).map((other) => (other === before ? after : other));
}
