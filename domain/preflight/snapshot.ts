import type { CertificateAuthority } from '../certificate-authority/rotation.ts';
import type { BudgetView } from '../drain/budget.ts';
import type { PodView } from '../drain/pod.ts';

/** By this label the nodes of a managed node group name it. */
export const nodegroupLabel = 'eks.amazonaws.com/nodegroup';

/** What a check wants to know: the cluster as it is, and the version that it is to go to. */
export interface Aim {
  /** Kubernetes minor version of the control plane, e.g. `1.33`. */
  version: string;
  toVersion: string;
  nowMs: number;
  /** Add-ons that are updated together with the control plane, each when it is due. */
  updatedAddons?: readonly string[];
  /** Node groups that follow the control plane in the same run; any may, by EKS, where this is left out. */
  updatedNodegroups?: readonly UpdatedNodegroup[];
}

/** How a node group follows: a new one takes its place where one is named, and EKS replaces its nodes where none is. */
export interface UpdatedNodegroup {
  nodegroup: string;
  newNodegroup?: string;
}

/** An object as it is named in findings. */
export interface ObjectName {
  kind: string;
  /** Empty where the kind has none. */
  namespace: string;
  name: string;
}

/** A container of a pod; its command is looked at and never shown. */
export interface ContainerView {
  name: string;
  image: string;
  /** `command` and `args`, one after the other. */
  command: readonly string[];
  hasReadinessProbe: boolean;
  /** Whether it says that it can be connected to. */
  hasPorts: boolean;
}

/** A volume of a pod, as far as checks care. */
export type VolumeView = { hostPath: string } | { inTree: string };

/** What a controller makes pods of, or a pod that no controller of Kubernetes has made. */
export interface WorkloadView extends ObjectName {
  /** Whether some controller has made it, as of a pod of a custom kind. */
  isOwned: boolean;
  /** Left out for kinds that have none. */
  replicas?: number;
  minReadySeconds: number;
  labels: Readonly<Record<string, string>>;
  containers: readonly ContainerView[];
  volumes: readonly VolumeView[];
  graceSeconds?: number;
  /** Whether spread constraints or anti-affinity keep its pods apart. */
  isSpread: boolean;
  /** Of the DaemonSet of the VPC CNI only. */
  addressing?: AddressingView;
}

/** How the VPC CNI takes addresses for pods, as the environment of its DaemonSet says. */
export interface AddressingView {
  /** It takes them in blocks of 16 (prefix delegation). */
  inPrefixes: boolean;
  /** Pods have subnets of their own (custom networking). */
  inOwnSubnets: boolean;
  warmInterfaces: number;
  warmPrefixes: number;
  /** 0 where they are not set, so that whole interfaces or prefixes are kept instead. */
  warmAddresses: number;
  addressesMin: number;
}

/** What a node tells of itself. */
export interface NodeView {
  name: string;
  labels: Readonly<Record<string, string>>;
  kubeletVersion: string;
  /** e.g. `containerd://1.7.27`. */
  runtimeVersion: string;
  ready: boolean;
}

/** An API version that an object was written in: all that is kept of what was written. */
export interface WrittenVersion extends ObjectName {
  apiVersion: string;
  /** Where it stands: `its last-applied annotation`, `revision 3 of the Helm release`. */
  where: string;
}

/** One webhook of an admission configuration. */
export interface WebhookView {
  configuration: ObjectName;
  name: string;
  failsClosed: boolean;
  /** `group/version` and resources of its rules. */
  rules: readonly { apiVersions: readonly string[]; resources: readonly string[] }[];
  /** Undefined where it is called by an address. */
  service?: { namespace: string; name: string };
}

/** A Service, as far as it leads to a webhook. */
export interface ServiceView {
  namespace: string;
  name: string;
  selector: Readonly<Record<string, string>>;
}

/** The versions of a custom kind. */
export interface CustomKindView {
  name: string;
  stored: readonly string[];
  served: readonly string[];
}

/** A persistent volume or a storage class that names a driver inside Kubernetes. */
export interface StorageView extends ObjectName {
  driver: string;
}

/** A problem that EKS reports of the cluster, a node group or an add-on. */
export interface HealthIssue {
  object: string;
  code: string;
  message: string;
}

/** The EKS cluster itself. */
export interface EksClusterView {
  name: string;
  status: string;
  issues: readonly HealthIssue[];
  subnetIds: readonly string[];
  /** `EXTENDED`: it stays at its version, for money. `STANDARD`: EKS upgrades it when the standard support ends. */
  supportType: string;
}

/** Until when EKS supports a version of Kubernetes. */
export interface VersionSupportView {
  version: string;
  /** ISO 8601, UTC; undefined where EKS does not say. */
  standardEnds?: string;
  extendedEnds?: string;
}

/** A managed node group. */
export interface NodegroupView {
  name: string;
  status: string;
  version: string;
  amiType: string;
  issues: readonly HealthIssue[];
  subnetIds: readonly string[];
  /** Those of its launch template where the group itself names none. */
  instanceTypes: readonly string[];
  launchTemplate?: { id: string; version: string };
  nodesWanted: number;
  /** How many nodes EKS replaces at the same time. */
  updatedAtOnce: number;
  /** `ON_DEMAND`, `SPOT`, or a kind that has no quota of its own. */
  capacityType: string;
  /** Whether EKS starts new nodes before it takes old ones away (update strategy DEFAULT). */
  hasSurge: boolean;
}

/** An instance type of EC2. */
export interface InstanceTypeView {
  name: string;
  processors: number;
  interfacesMax: number;
  addressesPerInterface: number;
}

/** What EKS finds about the version; see `readInsights` for the text. */
export interface InsightView {
  name: string;
  status: string;
  found: string;
  recommendation: string;
  refreshedAtMs?: number;
}

/** An add-on of EKS. */
export interface AddonView {
  name: string;
  version: string;
  status: string;
  issues: readonly HealthIssue[];
}

/** The versions of an add-on that EKS gives out for the version that the cluster goes to. */
export interface AddonVersionsView {
  name: string;
  default?: string;
  compatible: readonly string[];
}

/** A subnet of EC2. */
export interface SubnetView {
  id: string;
  zone: string;
  freeAddresses: number;
  /** For whom it is: the control plane, a node group, or pods (custom networking). */
  uses: readonly string[];
}

/** A launch template of EC2. */
export interface LaunchTemplateView {
  id: string;
  /** The version that whoever names none gets. */
  default: string;
  latest: string;
  /** The versions that node groups use. */
  used: readonly { version: string; image?: string; instanceType?: string }[];
}

/** How many virtual processors an account may run of one kind of instances, and runs now. */
export interface QuotaView {
  capacityType: string;
  name: string;
  /** As AWS calls it. */
  title: string;
  processorsMax: number;
  processorsUsed: number;
}

/** Everything that checks are made of, by the name under which its reading is told. */
export interface Parts {
  cluster: EksClusterView;
  /** Of the version of the cluster and of the one that it goes to. */
  versionSupport: readonly VersionSupportView[];
  nodegroups: readonly NodegroupView[];
  insights: readonly InsightView[];
  addons: readonly AddonView[];
  addonVersions: readonly AddonVersionsView[];
  subnets: readonly SubnetView[];
  launchTemplates: readonly LaunchTemplateView[];
  instanceTypes: readonly InstanceTypeView[];
  quotas: readonly QuotaView[];
  certificateAuthorities: readonly CertificateAuthority[];
  nodes: readonly NodeView[];
  pods: readonly PodView[];
  budgets: readonly BudgetView[];
  workloads: readonly WorkloadView[];
  storage: readonly StorageView[];
  written: readonly WrittenVersion[];
  helmReleases: readonly WrittenVersion[];
  webhooks: readonly WebhookView[];
  services: readonly ServiceView[];
  customKinds: readonly CustomKindView[];
  /** The mode of kube-proxy as its configuration says it, empty where it says none. */
  kubeProxyMode: string;
}

/** A part of a cluster: as it was read, or why it was not. */
export type Reading<Part> = { value: Part } | { unread: string };

/** A cluster as it was read once. What there cannot be on such a target is left out: a cluster that is not of EKS has no insights. */
export type Snapshot = { [Name in keyof Parts]?: Reading<Parts[Name]> };
