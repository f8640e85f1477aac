import type { NodeSpec, NodeTaint } from './cluster.ts';
import { Random } from './random.ts';
import type { DatabaseSeed } from './rds/model.ts';

/** What a world holds when it starts: clusters with their node groups and whatever has been applied to them. */
export interface WorldSeed {
  clusters: ClusterSeed[];
  /** Aurora clusters; none if left out. */
  databases?: DatabaseSeed[];
}

/** An EKS cluster as it stands when the world starts; its node groups are up and its pods run. */
export interface ClusterSeed {
  name: string;
  /** AWS region, e.g. `eu-central-1`. */
  region: string;
  /** Kubernetes minor version of the control plane, e.g. `1.33`. */
  version: string;
  nodegroups: NodegroupSeed[];
  /** Auto Scaling groups whose instances join by themselves, which EKS knows nothing of; none if left out. */
  autoScalingGroups?: AutoScalingGroupSeed[];
  /** What EKS finds to say about upgrades and rollbacks; nothing if left out. */
  insights?: InsightSeed[];
  /** The EKS add-ons that it has; none if left out. */
  addons?: AddonSeed[];
  /** How long ago the control plane was upgraded to its version; it was created at it if left out. */
  upgradedMsAgo?: number;
  /** Id of the certificate authority that it was created with; chance gives one if left out. */
  certificateAuthorityId?: string;
  /** Whether EKS Auto Mode runs nodes of it: then a rollback begins with them. */
  autoMode?: boolean;
  /** Kubernetes objects that are applied in this order: namespaces, workloads, budgets. */
  manifests: Manifest[];
}

/** An EKS add-on as it stands when the world starts. */
export interface AddonSeed {
  /** One of the sandbox's catalogue, e.g. `vpc-cni`. */
  name: string;
  /** e.g. `v1.19.0-eksbuild.1`. */
  version: string;
  /** JSON text, as somebody has set it. */
  configurationValues?: string;
  serviceAccountRoleArn?: string;
  /** Whether somebody has changed its objects in the cluster by hand: EKS stops there unless it is told what to do with that. */
  editedByHand?: boolean;
}

/** Something that EKS finds about a cluster (`Insight` of the API). */
export interface InsightSeed {
  name: string;
  category: 'UPGRADE_READINESS' | 'ROLLBACK_READINESS' | 'MISCONFIGURATION';
  /** The version to which it speaks, e.g. `1.34`. */
  kubernetesVersion: string;
  status: 'PASSING' | 'WARNING' | 'ERROR' | 'UNKNOWN';
  /** What the next refresh finds; the same if left out. */
  afterRefresh?: InsightSeed['status'];
  reason: string;
  description: string;
  recommendation: string;
  /** e.g. `/apis/policy/v1beta1/podsecuritypolicies/restricted`. */
  resources: string[];
  deprecations: {
    usage: string;
    replacedWith: string;
    stopServingVersion: string;
    clients: { userAgent: string; numberOfRequestsLast30Days: number; lastRequestAt: Date }[];
  }[];
}

/** A managed node group as it stands when the world starts. */
export interface NodegroupSeed {
  name: string;
  /** Nodes it has (and desires). */
  size: number;
  minSize: number;
  maxSize: number;
  instanceType: string;
  /** e.g. `AL2023_x86_64_STANDARD`. */
  amiType: string;
  /** Kubernetes minor version of its nodes, e.g. `1.33`. */
  version: string;
  /** AMI release, e.g. `1.33.4-20250904`. */
  releaseVersion: string;
  /** Zones its subnets are in; nodes are dealt to them in turn. */
  zones: string[];
  /** Labels that the group puts on its nodes besides those that EKS sets by itself. */
  labels: Record<string, string>;
  /** EKS makes one of its own, which it does not show, where there is none. */
  launchTemplate?: LaunchTemplateSeed;
}

/** A self-managed Auto Scaling group as it stands when the world starts; all of its instances are of version 1 of its launch template. */
export interface AutoScalingGroupSeed extends Pick<
  NodegroupSeed,
  'name' | 'size' | 'minSize' | 'maxSize' | 'instanceType' | 'zones' | 'labels'
> {
  launchTemplate: {
    id: string;
    /** A number, `$Latest` or `$Default`, which is 1. */
    version: string;
    /** The AMI release that each version starts, from version 1 on. */
    releases: string[];
  };
  hooks?: LifecycleHookSeed[];
  /** How many instances wait in its warm pool; it has none if left out. */
  warmPoolSize?: number;
  /** The share of On-Demand instances in percent; its instances are all of one kind if left out. */
  onDemandPercentage?: number;
  tags?: Record<string, string>;
}

/** A lifecycle hook of an Auto Scaling group that nobody answers: it goes on by its default when its time is over. */
export interface LifecycleHookSeed {
  name: string;
  transition: 'autoscaling:EC2_INSTANCE_LAUNCHING' | 'autoscaling:EC2_INSTANCE_TERMINATING';
  heartbeatTimeoutSeconds: number;
  defaultResult: 'CONTINUE' | 'ABANDON';
}

/** A launch template of EC2, and the version of it that a node group uses. */
export interface LaunchTemplateSeed {
  id: string;
  version: number;
  default: number;
  latest: number;
  /** What the used version says. */
  imageId?: string;
}

/** An object as it would be given to `kubectl apply`. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  [field: string]: unknown;
}

/** Room for pods of the instance types that the sandbox knows; the pod count is that of the VPC CNI without prefixes. */
const instanceCapacity: Record<string, NodeSpec['capacity']> = {
  'm6i.large': { cpuMillis: 2000, memoryMiB: 7680, pods: 29 },
  'm6i.xlarge': { cpuMillis: 4000, memoryMiB: 15_360, pods: 58 },
  'm6i.2xlarge': { cpuMillis: 8000, memoryMiB: 31_232, pods: 58 },
  'm7i.xlarge': { cpuMillis: 4000, memoryMiB: 15_360, pods: 58 },
};

/** Processors, and the room of network interfaces, of the same instance types (DescribeInstanceTypes). */
export const instanceTypes: readonly { name: string; processors: number; interfacesMax: number; addressesPerInterface: number }[] = [
  { name: 'm6i.large', processors: 2, interfacesMax: 3, addressesPerInterface: 10 },
  { name: 'm6i.xlarge', processors: 4, interfacesMax: 4, addressesPerInterface: 15 },
  { name: 'm6i.2xlarge', processors: 8, interfacesMax: 4, addressesPerInterface: 15 },
  { name: 'm7i.xlarge', processors: 4, interfacesMax: 4, addressesPerInterface: 15 },
];

/** The capacity of an instance type; one that is not known counts as an m6i.xlarge. */
export function capacityOf(instanceType: string): NodeSpec['capacity'] {
  return { ...(instanceCapacity[instanceType] ?? { cpuMillis: 4000, memoryMiB: 15_360, pods: 58 }) };
}

/** The kubelet version that an AMI release carries: `1.33.4-20250904` gives `v1.33.4-eks-99bf8d4`. */
export function kubeletVersionOf(releaseVersion: string): string {
  return `v${releaseVersion.split('-')[0] ?? releaseVersion}-eks-99bf8d4`;
}

/** Labels that EKS, the kubelet and the cloud controller put on every node of a group. */
export function nodeLabels(
  cluster: Pick<ClusterSeed, 'region'>,
  nodegroup: Pick<NodegroupSeed, 'name' | 'instanceType' | 'labels'>,
  node: { name: string; zone: string },
): Record<string, string> {
  return {
    ...nodegroup.labels,
    'beta.kubernetes.io/arch': 'amd64',
    'beta.kubernetes.io/os': 'linux',
    'eks.amazonaws.com/capacityType': 'ON_DEMAND',
    'eks.amazonaws.com/nodegroup': nodegroup.name,
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/hostname': node.name,
    'kubernetes.io/os': 'linux',
    'node.kubernetes.io/instance-type': nodegroup.instanceType,
    'topology.kubernetes.io/region': cluster.region,
    'topology.kubernetes.io/zone': node.zone,
  };
}

/** Makes the spec of a node of a group: what its kubelet will register. */
export function nodeSpecOf(
  cluster: Pick<ClusterSeed, 'region'>,
  nodegroup: Pick<NodegroupSeed, 'name' | 'instanceType' | 'labels' | 'releaseVersion'> & { taints?: NodeTaint[] },
  node: { name: string; zone: string; instanceId: string },
): NodeSpec {
  return {
    name: node.name,
    zone: node.zone,
    instanceType: nodegroup.instanceType,
    kubeletVersion: kubeletVersionOf(nodegroup.releaseVersion),
    labels: nodeLabels(cluster, nodegroup, node),
    taints: nodegroup.taints ?? [],
    providerID: `aws:///${node.zone}/${node.instanceId}`,
    capacity: capacityOf(nodegroup.instanceType),
  };
}

/** The nodes that a group of the seed starts with: always the same names, zones and instance ids for the same seed. */
export function initialNodes(cluster: ClusterSeed, nodegroup: NodegroupSeed): NodeSpec[] {
  const groupNumber = Math.max(
    0,
    cluster.nodegroups.findIndex((group) => group.name === nodegroup.name),
  );
  return Array.from({ length: nodegroup.size }, (_, index) => {
    const zoneNumber = index % nodegroup.zones.length;
    const zone = nodegroup.zones[zoneNumber] ?? `${cluster.region}a`;
    const inZone = Math.floor(index / nodegroup.zones.length);
    const address = `10-${zoneNumber}-${groupNumber * 16 + Math.floor(inZone / 250)}-${(inZone % 250) + 4}`;
    const name = `ip-${address}.${cluster.region}.compute.internal`;
    const number = (groupNumber + 1) * 0x1_0000 + index;
    return nodeSpecOf(cluster, nodegroup, { name, zone, instanceId: initialInstanceId(cluster, number) });
  });
}

/** Labels of managed nodes only. */
const managedLabels = ['eks.amazonaws.com/capacityType', 'eks.amazonaws.com/nodegroup'];

/** The spec of a node whose instance a self-managed Auto Scaling group has started. */
export function selfManagedNode(
  cluster: Pick<ClusterSeed, 'region'>,
  group: AutoScalingGroupSeed,
  node: { name: string; zone: string; instanceId: string; releaseVersion: string },
): NodeSpec {
  const spec = nodeSpecOf(cluster, { ...group, releaseVersion: node.releaseVersion }, node);
  return { ...spec, labels: Object.fromEntries(Object.entries(spec.labels).filter(([label]) => !managedLabels.includes(label))) };
}

/** The nodes that a self-managed group starts with: always the same for the same seed. */
export function initialSelfManagedNodes(cluster: ClusterSeed, group: AutoScalingGroupSeed): NodeSpec[] {
  const groupNumber = Math.max(0, cluster.autoScalingGroups?.findIndex(({ name }) => name === group.name) ?? 0);
  return Array.from({ length: group.size }, (_, index) => {
    const zoneNumber = index % group.zones.length;
    const zone = group.zones[zoneNumber] ?? `${cluster.region}a`;
    const inZone = Math.floor(index / group.zones.length);
    const name = `ip-10-${100 + zoneNumber}-${groupNumber}-${inZone + 4}.${cluster.region}.compute.internal`;
    const number = 0x7000_0000 + groupNumber * 0x1_0000 + index;
    const instanceId = initialInstanceId(cluster, number);
    return selfManagedNode(cluster, group, { name, zone, instanceId, releaseVersion: group.launchTemplate.releases[0] ?? '' });
  });
}

/** Instances of two clusters never share an id, as they may be served behind one endpoint. */
function initialInstanceId({ name }: ClusterSeed, number: number): string {
  return `i-0${new Random(0).stream(`instances of ${name}`).text(8)}${number.toString(16).padStart(8, '0')}`;
}
