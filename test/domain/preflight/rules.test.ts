import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import type { CertificateAuthority } from '../../../domain/certificate-authority/rotation.ts';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { addressesOfNode } from '../../../domain/preflight/addressing.ts';
import { asExpected } from '../../../domain/preflight/as-expected.ts';
import type { ExpectedChange } from '../../../domain/plan/expected.ts';
import { checks } from '../../../domain/preflight/checks.ts';
import { findingsPerCheckMax, preflight } from '../../../domain/preflight/preflight.ts';
import { isWhollyRemoved, removalOf } from '../../../domain/preflight/removed-apis.ts';
import { shellProblem } from '../../../domain/preflight/shell.ts';
import type {
  AddonView,
  AddressingView,
  LaunchTemplateView,
  NodegroupView,
  NodeView,
  Parts,
  Snapshot,
  SubnetView,
  UpdatedNodegroup,
  VersionSupportView,
  WebhookView,
} from '../../../domain/preflight/snapshot.ts';
import type { ContainerView, InsightView, WorkloadView, WrittenVersion } from '../../../domain/preflight/snapshot.ts';
import { budgetOf, podOf } from '../drain/drain-objects.ts';

const nowMs = Date.parse('2026-11-28T12:00:00Z');
const hourMs = 3_600_000;

const container = (differences: Partial<ContainerView> = {}): ContainerView => {
  return { name: 'main', image: 'main:1', command: ['serve'], hasReadinessProbe: true, hasPorts: true, ...differences };
};
const workload = (differences: Partial<WorkloadView> = {}): WorkloadView => {
  const name = { kind: 'Deployment', namespace: 'shop', name: 'web', isOwned: false, labels: { app: 'web' } };
  return {
    ...name,
    replicas: 2,
    minReadySeconds: 5,
    containers: [container()],
    volumes: [],
    graceSeconds: 30,
    isSpread: true,
    ...differences,
  };
};
const ofImage = (image: string, differences: Partial<WorkloadView> = {}): WorkloadView =>
  workload({ containers: [container({ image })], ...differences });
const system = (kind: string, name: string, image: string): WorkloadView => ofImage(image, { kind, namespace: 'kube-system', name });
const node = (differences: Partial<NodeView> = {}): NodeView => {
  const labels = { 'eks.amazonaws.com/nodegroup': 'blue' };
  return { name: 'a', labels, kubeletVersion: 'v1.33.1-eks-1', runtimeVersion: 'containerd://2.1.0', ready: true, ...differences };
};
const nodegroup = (differences: Partial<NodegroupView> = {}): NodegroupView => {
  const launchTemplate = { id: 'lt-1', version: '4' };
  const fixed = { name: 'blue', status: 'ACTIVE', version: '1.33', amiType: 'AL2023_x86_64_STANDARD', instanceTypes: ['m6i.large'] };
  const sizes = { capacityType: 'ON_DEMAND', nodesWanted: 3, updatedAtOnce: 1, hasSurge: true };
  return { ...fixed, ...sizes, issues: [], subnetIds: ['s-1', 's-2'], launchTemplate, ...differences };
};
const addon = (differences: Partial<AddonView> = {}): AddonView => {
  return { name: 'coredns', version: 'v1.12.0', status: 'ACTIVE', issues: [], ...differences };
};
const insight = (differences: Partial<InsightView> = {}): InsightView => {
  return { name: 'Skew', status: 'PASSING', found: 'It is so.', recommendation: '', refreshedAtMs: nowMs - hourMs, ...differences };
};
const subnet = (id: string, zone: string, freeAddresses: number, uses = ['the control plane', 'node group blue']): SubnetView => {
  return { id, zone, freeAddresses, uses };
};
const authority = (differences: Partial<CertificateAuthority> = {}): CertificateAuthority => {
  const fixed = { id: 'ca-2', createdAt: '2026-01-01T00:00:00Z', createdBy: 'EKS', signing: 'NOT_IN_USE', distribution: 'COMPLETE' };
  return { ...fixed, data: '', ...differences };
};
const webhook = (differences: Partial<WebhookView> = {}): WebhookView => ({
  configuration: { kind: 'ValidatingWebhookConfiguration', namespace: '', name: 'guard' },
  name: 'guard.example.com',
  failsClosed: true,
  rules: [{ apiVersions: ['v1'], resources: ['pods'] }],
  service: { namespace: 'shop', name: 'web' },
  ...differences,
});
const written = (apiVersion: string, kind: string): WrittenVersion => {
  return { kind, namespace: 'shop', name: 'web', apiVersion, where: 'Its last-applied annotation' };
};
const budget = (differences: Partial<BudgetView> = {}): BudgetView => {
  const counts = { maxUnavailable: '1', disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 };
  return budgetOf({ name: 'keep', ...counts, ...differences });
};
const support = (version: string, days: number): VersionSupportView => {
  const day = (count: number): string => new Date(nowMs + count * 24 * hourMs).toISOString();
  return { version, standardEnds: day(days), extendedEnds: day(days + 365) };
};
const issues = [{ object: 'Thing/x', code: 'Broken', message: 'It is so.' }];
const cluster = { name: 'demo', status: 'ACTIVE', issues: [], subnetIds: ['s-1', 's-2'], supportType: 'EXTENDED' };

const template = (differences: Partial<LaunchTemplateView> = {}): LaunchTemplateView => {
  return { id: 'lt-1', default: '4', latest: '4', used: [{ version: '4' }], ...differences };
};
const addressing: AddressingView = {
  inPrefixes: false,
  inOwnSubnets: false,
  warmInterfaces: 1,
  warmPrefixes: 1,
  warmAddresses: 0,
  addressesMin: 0,
};
const cni = (differences: Partial<AddressingView> = {}): WorkloadView => {
  return { ...system('DaemonSet', 'aws-node', 'cni:v1.20.0'), addressing: { ...addressing, ...differences } };
};

/** A cluster that no check has anything against. */
const sound: Parts = {
  cluster,
  versionSupport: [support('1.33', 61), support('1.34', 180)],
  nodegroups: [nodegroup()],
  insights: [insight()],
  addons: [addon(), addon({ name: 'kube-proxy', version: 'v1.34.0' })],
  addonVersions: [
    { name: 'coredns', default: 'v1.12.0', compatible: ['v1.12.1', 'v1.12.0', 'v1.11.1'] },
    { name: 'kube-proxy', compatible: ['v1.34.0', 'v1.33.0'] },
    { name: 'vpc-cni', default: 'v1.20.0', compatible: ['v1.20.0', 'v1.9.0'] },
  ],
  subnets: [subnet('s-1', 'a', 200), subnet('s-2', 'b', 200)],
  launchTemplates: [template()],
  instanceTypes: [{ name: 'm6i.large', processors: 2, interfacesMax: 3, addressesPerInterface: 10 }],
  quotas: [{ capacityType: 'ON_DEMAND', name: 'standard', title: 'Standard instances', processorsMax: 32, processorsUsed: 24 }],
  certificateAuthorities: [authority({ id: 'ca-1', activatedAt: '2020-01-01T00:00:00Z', signing: 'IN_USE' })],
  nodes: [node()],
  pods: [podOf(), podOf({ name: 'web-2' })],
  budgets: [budget()],
  workloads: [workload(), system('DaemonSet', 'kube-proxy', 'eks/kube-proxy:v1.33.0')],
  storage: [],
  written: [written('apps/v1', 'Deployment')],
  helmReleases: [written('policy/v1', 'PodDisruptionBudget')],
  webhooks: [webhook()],
  services: [{ namespace: 'shop', name: 'web', selector: { app: 'web' } }],
  customKinds: [{ name: 'widgets.example.com', stored: ['v1'], served: ['v1', 'v2'] }],
  kubeProxyMode: 'iptables',
};

function whole(parts: Partial<Parts>): Snapshot {
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, { value }]));
}

/** What one check finds, as `severity object`, where the sound cluster is changed in some parts. */
function found(check: string, changed: Partial<Parts>, toVersion = '1.34'): string[] {
  const { findings } = preflight(whole({ ...sound, ...changed }), { version: '1.33', toVersion, nowMs });
  return findings.filter((one) => one.check === check).map(({ severity, object }) => `${severity} ${object}`);
}

/** What is changed in the sound cluster, and all that the check finds then. */
interface Case {
  check: string;
  when: string;
  parts: Partial<Parts>;
  finds: string[];
  to?: string;
}

const workloadCase = (check: string, when: string, differences: Partial<WorkloadView>, finds: string[]): Case => {
  return { check, when, parts: { workloads: [workload(differences)] }, finds };
};
const web = 'Deployment/shop/web';

const eksCases: Case[] = [
  { check: 'cluster-status', when: 'UPDATING', parts: { cluster: { ...cluster, status: 'UPDATING' } }, finds: ['error Cluster/demo'] },
  { check: 'cluster-health', when: 'an issue', parts: { cluster: { ...cluster, issues } }, finds: ['error Thing/x'] },
  { check: 'version-hops', when: 'the same version', parts: {}, finds: [], to: '1.33' },
  { check: 'version-hops', when: 'two hops', parts: {}, finds: ['note Cluster/demo'], to: '1.35' },
  { check: 'version-hops', when: 'back', parts: {}, finds: ['error Cluster/demo'], to: '1.32' },
  { check: 'version-hops', when: 'another major version', parts: {}, finds: ['error Cluster/demo'], to: '2.0' },
  {
    check: 'version-support',
    when: 'it has ended, or ends in 60 days; another one in 61',
    parts: { versionSupport: [support('1.33', -1), support('1.34', 60), support('1.35', 61), { version: '1.36' }] },
    finds: ['warning KubernetesVersion/1.33', 'warning KubernetesVersion/1.34'],
  },
  { check: 'insight', when: 'ERROR', parts: { insights: [insight({ status: 'ERROR' })] }, finds: ['error Insight/Skew'] },
  { check: 'insight', when: 'WARNING', parts: { insights: [insight({ status: 'WARNING' })] }, finds: ['warning Insight/Skew'] },
  { check: 'insight', when: 'UNKNOWN', parts: { insights: [insight({ status: 'UNKNOWN' })] }, finds: ['warning Insight/Skew'] },
  { check: 'insights-stale', when: 'none', parts: { insights: [] }, finds: ['warning Cluster/demo'] },
  {
    check: 'insights-stale',
    when: 'one of two is 27 hours old',
    parts: { insights: [insight(), insight({ refreshedAtMs: nowMs - 27 * hourMs })] },
    finds: ['warning Cluster/demo'],
  },
  { check: 'insights-stale', when: '26 hours old', parts: { insights: [insight({ refreshedAtMs: nowMs - 26 * hourMs })] }, finds: [] },
  {
    check: 'insights-stale',
    when: 'never refreshed',
    parts: { insights: [insight({ refreshedAtMs: undefined })] },
    finds: ['warning Cluster/demo'],
  },
  { check: 'nodegroup-health', when: 'an issue', parts: { nodegroups: [nodegroup({ issues })] }, finds: ['error Thing/x'] },
  {
    check: 'nodegroup-health',
    when: 'DEGRADED without an issue',
    parts: { nodegroups: [nodegroup({ status: 'DEGRADED' })] },
    finds: ['error Nodegroup/blue'],
  },
  { check: 'nodegroup-behind', when: '1.32', parts: { nodegroups: [nodegroup({ version: '1.32' })] }, finds: ['warning Nodegroup/blue'] },
  {
    check: 'amazon-linux-2',
    when: 'to 1.34',
    parts: { nodegroups: [nodegroup({ amiType: 'AL2_x86_64' })] },
    finds: ['error Nodegroup/blue'],
  },
  {
    check: 'amazon-linux-2',
    when: 'to 1.32',
    parts: { nodegroups: [nodegroup({ amiType: 'AL2_ARM_64' })] },
    finds: ['warning Nodegroup/blue'],
    to: '1.32',
  },
  {
    check: 'launch-template-drift',
    when: 'version 4, the default is 5',
    parts: { launchTemplates: [template({ default: '5', latest: '5' })] },
    finds: ['warning Nodegroup/blue'],
  },
  {
    check: 'launch-template-drift',
    when: 'version 4, which is the default; the latest is 10',
    parts: { launchTemplates: [template({ latest: '10' })] },
    finds: ['note Nodegroup/blue'],
  },
  {
    check: 'launch-template-drift',
    when: 'version 4, newer than the default',
    parts: { launchTemplates: [template({ default: '2' })] },
    finds: [],
  },
  { check: 'launch-template-drift', when: 'none of its own', parts: { nodegroups: [nodegroup({ launchTemplate: undefined })] }, finds: [] },
  {
    check: 'launch-template-image',
    when: 'the used version names an AMI',
    parts: { launchTemplates: [template({ used: [{ version: '3' }, { version: '4', image: 'ami-1' }] })] },
    finds: ['warning Nodegroup/blue'],
  },
  {
    check: 'launch-template-image',
    when: 'another version names one',
    parts: { launchTemplates: [template({ used: [{ version: '3', image: 'ami-1' }, { version: '4' }] })] },
    finds: [],
  },
  {
    check: 'launch-template-image',
    when: 'the type of the AMI says so',
    parts: { nodegroups: [nodegroup({ amiType: 'CUSTOM', launchTemplate: undefined })] },
    finds: ['warning Nodegroup/blue'],
  },
  {
    check: 'certificate-authority-events',
    when: 'planned',
    parts: { certificateAuthorities: [authority({ mayBeActivatedFrom: '2027-01-01T00:00:00Z' })] },
    finds: ['warning CertificateAuthority/ca-2'],
  },
  {
    check: 'certificate-authority-events',
    when: 'activated already, or no event',
    parts: { certificateAuthorities: [authority({ activatedAt: '2026-01-02T00:00:00Z', isActivatedBy: 'x' }), authority()] },
    finds: [],
  },
  {
    check: 'control-plane-addresses',
    when: '4 free in one of two zones',
    parts: { subnets: [subnet('s-1', 'a', 200), subnet('s-2', 'b', 4)] },
    finds: ['error Cluster/demo'],
  },
  {
    check: 'control-plane-addresses',
    when: 'two subnets in one zone, and one of nodes only in the other',
    parts: { subnets: [subnet('s-1', 'a', 50), subnet('s-2', 'a', 50), subnet('s-3', 'b', 50, ['node group blue'])] },
    finds: ['error Cluster/demo'],
  },
  {
    check: 'control-plane-addresses',
    when: '5 free in two zones',
    parts: { subnets: [subnet('s-1', 'a', 5), subnet('s-2', 'b', 5)] },
    finds: [],
  },
  {
    check: 'node-addresses',
    when: 'EKS starts two nodes in each of two zones: one address, none, and two subnets of a zone with one each',
    parts: {
      nodegroups: [nodegroup({ subnetIds: ['s-1', 's-2'] }), nodegroup({ name: 'green', subnetIds: ['s-3', 's-4', 's-5'] })],
      subnets: [subnet('s-1', 'a', 1), subnet('s-2', 'b', 0), subnet('s-3', 'a', 1), subnet('s-4', 'a', 1), subnet('s-5', 'b', 2)],
    },
    finds: ['error Subnet/s-1', 'error Subnet/s-2'],
  },
  {
    check: 'node-addresses',
    when: 'EKS replaces ten nodes at once, five in each zone',
    parts: { nodegroups: [nodegroup({ updatedAtOnce: 10 })], subnets: [subnet('s-1', 'a', 4), subnet('s-2', 'b', 5)] },
    finds: ['error Subnet/s-1'],
  },
  {
    check: 'node-addresses',
    when: 'EKS takes old nodes away first',
    parts: { nodegroups: [nodegroup({ hasSurge: false })], subnets: [subnet('s-1', 'a', 0), subnet('s-2', 'b', 0)] },
    finds: [],
  },
  {
    check: 'node-addresses',
    when: 'none is free in a subnet of the control plane only',
    parts: { subnets: [subnet('s-1', 'a', 200), subnet('s-2', 'b', 200), subnet('s-3', 'b', 0, ['the control plane'])] },
    finds: [],
  },
  {
    check: 'pod-addresses',
    when: 'two nodes take two interfaces of ten addresses each: 39 and 40 are free',
    parts: { workloads: [cni()], subnets: [subnet('s-1', 'a', 39), subnet('s-2', 'b', 40)] },
    finds: ['warning Subnet/s-1'],
  },
  {
    check: 'pod-addresses',
    when: 'another network gives pods their addresses',
    parts: { subnets: [subnet('s-1', 'a', 2), subnet('s-2', 'b', 2)] },
    finds: [],
  },
  {
    check: 'pod-addresses',
    when: 'the nodes themselves find no room, which is told as an error',
    parts: { workloads: [cni()], subnets: [subnet('s-1', 'a', 1), subnet('s-2', 'b', 200)] },
    finds: [],
  },
  {
    check: 'pod-addresses',
    when: 'pods have subnets of their own: 39 are free, two nodes take 40; of the subnet of nodes two',
    parts: {
      workloads: [cni({ inOwnSubnets: true })],
      subnets: [subnet('s-1', 'a', 2), subnet('s-2', 'b', 2), subnet('p-1', 'a', 39, ['pods']), subnet('p-2', 'b', 40, ['pods'])],
    },
    finds: ['warning Subnet/p-1'],
  },
];

const quotas = (processorsUsed: number, capacityType = 'ON_DEMAND'): Parts['quotas'] => {
  return [{ capacityType, name: 'standard', title: 'Standard instances', processorsMax: 32, processorsUsed }];
};
const quotaCases: Case[] = [
  {
    check: 'instance-quota',
    when: 'four nodes with two processors each: 25 of 32 run',
    parts: { quotas: quotas(25) },
    finds: ['error Quota/standard'],
  },
  { check: 'instance-quota', when: '24 of 32 run', parts: { quotas: quotas(24) }, finds: [] },
  { check: 'instance-quota', when: 'the quota of Spot, and nodes on demand', parts: { quotas: quotas(32, 'SPOT') }, finds: [] },
  {
    check: 'instance-quota',
    when: 'instances with GPUs, which have a quota of their own',
    parts: {
      quotas: quotas(32),
      nodegroups: [nodegroup({ instanceTypes: ['g5.xlarge'] })],
      instanceTypes: [{ name: 'g5.xlarge', processors: 4, interfacesMax: 4, addressesPerInterface: 15 }],
    },
    finds: [],
  },
  {
    check: 'instance-quota',
    when: 'EKS takes old nodes away first',
    parts: { quotas: quotas(32), nodegroups: [nodegroup({ hasSurge: false })] },
    finds: [],
  },
];

const addonCases: Case[] = [
  { check: 'addon-health', when: 'DEGRADED', parts: { addons: [addon({ status: 'DEGRADED' })] }, finds: ['error Addon/coredns'] },
  { check: 'addon-health', when: 'an issue', parts: { addons: [addon({ status: 'DEGRADED', issues })] }, finds: ['error Thing/x'] },
  {
    check: 'addon-version',
    when: 'older than the default',
    parts: { addons: [addon({ version: 'v1.11.1' })] },
    finds: ['warning Addon/coredns'],
  },
  { check: 'addon-version', when: 'newer than the default', parts: { addons: [addon({ version: 'v1.12.1' })] }, finds: [] },
  { check: 'addon-version', when: 'not given out', parts: { addons: [addon({ version: 'v1.9.3' })] }, finds: ['error Addon/coredns'] },
  { check: 'addon-version', when: 'none given out', parts: { addonVersions: [], addons: [addon()] }, finds: ['error Addon/coredns'] },
  {
    check: 'self-managed-addon',
    when: 'v1.8.0, the oldest is v1.9.0 (and not v1.20.0)',
    parts: { workloads: [system('DaemonSet', 'aws-node', 'registry.example.com:5000/cni:v1.8.0@sha256:ab')] },
    finds: ['error DaemonSet/kube-system/aws-node'],
  },
  {
    check: 'self-managed-addon',
    when: 'the oldest, or an add-on of EKS, or no tag',
    parts: {
      workloads: [
        system('DaemonSet', 'aws-node', 'cni:v1.9.0'),
        system('Deployment', 'coredns', 'coredns:v1.0.0'),
        system('DaemonSet', 'aws-node', 'registry.example.com:5000/cni'),
      ],
    },
    finds: [],
  },
  {
    check: 'kube-proxy-skew',
    when: 'four behind',
    parts: { workloads: [system('DaemonSet', 'kube-proxy', 'p:v1.30.0')] },
    finds: ['error DaemonSet/kube-system/kube-proxy'],
  },
  { check: 'kube-proxy-skew', when: 'three behind', parts: { workloads: [system('DaemonSet', 'kube-proxy', 'p:v1.31.0')] }, finds: [] },
  {
    check: 'kube-proxy-skew',
    when: 'newer than the control plane',
    parts: { workloads: [system('DaemonSet', 'kube-proxy', 'p:v1.34.0')] },
    finds: ['error DaemonSet/kube-system/kube-proxy'],
  },
  { check: 'kube-proxy-ipvs', when: 'to 1.34', parts: { kubeProxyMode: 'ipvs' }, finds: ['note ConfigMap/kube-system/kube-proxy-config'] },
  {
    check: 'kube-proxy-ipvs',
    when: 'to 1.35',
    parts: { kubeProxyMode: 'ipvs' },
    finds: ['warning ConfigMap/kube-system/kube-proxy-config'],
    to: '1.35',
  },
  {
    check: 'cluster-autoscaler-version',
    when: 'of 1.33',
    parts: { workloads: [ofImage('registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0')] },
    finds: [`warning ${web}`],
  },
  { check: 'cluster-autoscaler-version', when: 'of 1.34', parts: { workloads: [ofImage('a/cluster-autoscaler:v1.34.9')] }, finds: [] },
];

const nodeCases: Case[] = [
  {
    check: 'kubelet-skew',
    when: 'four behind',
    parts: { nodes: [node({ kubeletVersion: 'v1.30.9' }), node()] },
    finds: ['error Nodes/kubelet-1.30'],
  },
  { check: 'kubelet-skew', when: 'three behind', parts: { nodes: [node({ kubeletVersion: 'v1.31.9' })] }, finds: [] },
  {
    check: 'kubelet-skew',
    when: 'newer than the control plane',
    parts: { nodes: [node({ kubeletVersion: 'v1.34.0' })] },
    finds: ['error Nodes/kubelet-1.34'],
  },
  {
    check: 'kubelet-skew',
    when: 'a version that cannot be read',
    parts: { nodes: [node({ kubeletVersion: '?' })] },
    finds: ['error Nodes/kubelet-?'],
  },
  { check: 'node-not-ready', when: 'not Ready', parts: { nodes: [node({ ready: false })] }, finds: ['error Node/a'] },
  {
    check: 'container-runtime',
    when: 'Docker',
    parts: { nodes: [node({ runtimeVersion: 'docker://20.10.1' })] },
    finds: ['error Nodes/docker'],
  },
  {
    check: 'container-runtime',
    when: 'containerd 1 to 1.35',
    parts: { nodes: [node({ runtimeVersion: 'containerd://1.7.2' })] },
    finds: [],
    to: '1.35',
  },
  {
    check: 'container-runtime',
    when: 'containerd 1 to 1.36',
    parts: { nodes: [node({ runtimeVersion: 'containerd://1.7.2' })] },
    finds: ['warning Nodes/containerd-1'],
    to: '1.36',
  },
  ...Object.entries<Record<string, string>>({
    fargate: { 'eks.amazonaws.com/compute-type': 'fargate' },
    hybrid: { 'eks.amazonaws.com/compute-type': 'hybrid' },
    'auto-mode': { 'eks.amazonaws.com/compute-type': 'auto', 'karpenter.sh/nodepool': 'general-purpose' },
    windows: { 'eks.amazonaws.com/nodegroup': 'w', 'kubernetes.io/os': 'windows' },
    karpenter: { 'karpenter.sh/nodepool': 'spot' },
    'self-managed': {},
  }).map(([kind, labels]): Case => ({
    check: 'node-kind',
    when: kind,
    parts: { nodes: [node({ labels })] },
    finds: [`note Nodes/${kind}`],
  })),
];

const twice = [budget(), budget({ name: 'other' })];
const shut = { maxUnavailable: undefined, minAvailable: '2', disruptionsAllowed: 0, desiredHealthy: 2 };
const workloadCases: Case[] = [
  {
    check: 'budget-blocks',
    when: 'as many as there are must stay',
    parts: { budgets: [budget(shut)] },
    finds: ['error PodDisruptionBudget/shop/keep'],
  },
  { check: 'budget-blocks', when: 'it has no pods', parts: { budgets: [budget(shut)], pods: [] }, finds: [] },
  {
    check: 'budget-blocks',
    when: 'an operator lets pods go',
    parts: { budgets: [budget({ ...shut, owner: { kind: 'Cluster', name: 'orders', customGroup: 'postgresql.cnpg.io' } })] },
    finds: ['warning PodDisruptionBudget/shop/keep'],
  },
  {
    check: 'two-budgets',
    when: 'both select the same pods, told once',
    parts: { budgets: twice },
    finds: ['error PodDisruptionBudgets/shop/keep+shop/other'],
  },
  { check: 'no-budget', when: 'none', parts: { budgets: [] }, finds: [`note ${web}`] },
  {
    check: 'no-budget',
    when: 'one of the same labels elsewhere',
    parts: { budgets: [budget({ namespace: 'b' })] },
    finds: [`note ${web}`],
  },
  workloadCase('no-budget', 'a single replica, which is told of elsewhere', { replicas: 1, labels: {} }, []),
  workloadCase('single-replica', '1', { replicas: 1 }, [`warning ${web}`]),
  workloadCase('single-replica', '0', { replicas: 0 }, []),
  workloadCase('single-replica', 'of the system', { replicas: 1, namespace: 'kube-system' }, []),
  workloadCase('single-replica', 'a Job', { replicas: undefined, kind: 'Job' }, []),
  workloadCase('bare-pod', 'by hand', { kind: 'Pod' }, ['warning Pod/shop/web']),
  workloadCase('bare-pod', 'an operator has made it', { kind: 'Pod', isOwned: true }, []),
  workloadCase('readiness-probe', 'none', { containers: [container({ hasReadinessProbe: false })] }, [`warning ${web}`]),
  workloadCase(
    'readiness-probe',
    'none of a sidecar without ports',
    { containers: [container(), container({ name: 'sidecar', hasReadinessProbe: false, hasPorts: false })] },
    [],
  ),
  workloadCase(
    'readiness-probe',
    'no ports are named, and one of two has a probe',
    { containers: [container({ hasPorts: false }), container({ name: 'b', hasReadinessProbe: false, hasPorts: false })] },
    [],
  ),
  workloadCase('spread', 'nothing keeps them apart', { isSpread: false }, [`warning ${web}`]),
  workloadCase('spread', 'a single one', { isSpread: false, replicas: 1 }, []),
  workloadCase('min-ready-seconds', '0', { minReadySeconds: 0 }, [`note ${web}`]),
  workloadCase('min-ready-seconds', 'scaled to 0', { minReadySeconds: 0, replicas: 0 }, []),
  workloadCase('grace-period-0', 'a Deployment', { graceSeconds: 0 }, [`warning ${web}`]),
  workloadCase('grace-period-0', 'a StatefulSet', { graceSeconds: 0, kind: 'StatefulSet' }, ['error StatefulSet/shop/web']),
  workloadCase('grace-period-0', 'left out', { graceSeconds: undefined }, []),
  workloadCase('docker-socket', 'mounted', { volumes: [{ hostPath: '/run/docker.sock' }] }, [`error ${web}`]),
  workloadCase('host-path-data', 'data', { volumes: [{ hostPath: '/var/lib/orders' }] }, [`warning ${web}`]),
  workloadCase('host-path-data', 'data in a path that begins as one of the machine', { volumes: [{ hostPath: '/runs' }] }, [
    `warning ${web}`,
  ]),
  workloadCase(
    'host-path-data',
    'of the machine',
    { volumes: ['/', '/etc/ssl', '/var/log/app', '/var/lib/kubelet/', '/run'].map((hostPath) => ({ hostPath })) },
    [],
  ),
  workloadCase('host-path-data', 'a DaemonSet', { kind: 'DaemonSet', volumes: [{ hostPath: '/data' }] }, []),
  workloadCase('in-tree-volume', 'a driver that is gone', { volumes: [{ inTree: 'rbd' }] }, [`error ${web}`]),
  workloadCase('in-tree-volume', 'one that CSI does the work of', { volumes: [{ inTree: 'awsElasticBlockStore' }] }, [`warning ${web}`]),
  {
    check: 'in-tree-volume',
    when: 'a storage class',
    parts: { storage: [{ kind: 'StorageClass', namespace: '', name: 'gp2', driver: 'kubernetes.io/aws-ebs' }] },
    finds: ['warning StorageClass/gp2'],
  },
  workloadCase('shell-main-process', 'two commands', { containers: [container({ command: ['sh', '-c', 'a; b'] })] }, [`warning ${web}`]),
  workloadCase('shell-main-process', 'a CronJob', { kind: 'CronJob', containers: [container({ command: ['sh', '-c', 'a; b'] })] }, []),
  workloadCase('ingress-nginx', 'it runs', { containers: [container({ image: 'registry.k8s.io/ingress-nginx/controller:v1' })] }, [
    `warning ${web}`,
  ]),
  workloadCase('ingress-nginx', 'another of that name', { containers: [container({ image: 'nginx/nginx-ingress:5' })] }, []),
];

const versionCases: Case[] = [
  { check: 'removed-api', when: 'gone', parts: { written: [written('batch/v1beta1', 'CronJob')] }, finds: ['error CronJob/shop/web'] },
  {
    check: 'removed-api',
    when: 'a custom kind of an unknown group',
    parts: { written: [written('example.com/v1beta1', 'CronJob')] },
    finds: [],
  },
  {
    check: 'helm-release-api',
    when: 'gone',
    parts: { helmReleases: [written('policy/v1beta1', 'PodDisruptionBudget')] },
    finds: ['error PodDisruptionBudget/shop/web'],
  },
  {
    check: 'webhook-api',
    when: 'a rule for it alone',
    parts: { webhooks: [webhook({ rules: [{ apiVersions: ['batch/v1beta1'], resources: ['cronjobs'] }] })] },
    finds: ['warning ValidatingWebhookConfiguration/guard'],
  },
  {
    check: 'webhook-api',
    when: 'a rule for both, and for all',
    parts: {
      webhooks: [
        webhook({
          rules: [
            { apiVersions: ['batch/v1beta1', 'batch/v1'], resources: [] },
            { apiVersions: ['*/*'], resources: [] },
          ],
        }),
      ],
    },
    finds: [],
  },
  {
    check: 'custom-kind-versions',
    when: 'stored and not served',
    parts: { customKinds: [{ name: 'widgets.example.com', stored: ['v1alpha1', 'v1'], served: ['v1'] }] },
    finds: ['warning CustomResourceDefinition/widgets.example.com'],
  },
  {
    check: 'webhook-fails-closed',
    when: 'of pods, a single one serves it',
    parts: { workloads: [workload({ replicas: 1 })] },
    finds: ['error ValidatingWebhookConfiguration/guard'],
  },
  {
    check: 'webhook-fails-closed',
    when: 'of other objects, none serves it',
    parts: { services: [], webhooks: [webhook({ rules: [{ apiVersions: ['v1'], resources: ['services'] }] })] },
    finds: ['warning ValidatingWebhookConfiguration/guard'],
  },
  { check: 'webhook-fails-closed', when: 'fails open', parts: { services: [], webhooks: [webhook({ failsClosed: false })] }, finds: [] },
  { check: 'webhook-fails-closed', when: 'by an address', parts: { services: [], webhooks: [webhook({ service: undefined })] }, finds: [] },
  {
    check: 'webhook-fails-closed',
    when: 'a DaemonSet serves it',
    parts: { workloads: [workload({ kind: 'DaemonSet', replicas: undefined })] },
    finds: [],
  },
];

const cases = [...eksCases, ...quotaCases, ...addonCases, ...nodeCases, ...workloadCases, ...versionCases];

test('A sound cluster has no finding.', () => {
  const report = preflight(whole(sound), { version: '1.33', toVersion: '1.34', nowMs });
  expect(report).toEqual({ version: '1.33', toVersion: '1.34', findings: [], waived: [], over: [], notChecked: [], leftOut: {} });
});

test.each(cases)('$check: $when.', ({ check, parts, finds, to }) => {
  expect(found(check, parts, to)).toEqual(finds);
});

test('Every check has a name of its own, a case in which it finds something, and a line in docs/preflight.md.', () => {
  const page = readFileSync(new URL('../../../docs/preflight.md', import.meta.url), 'utf8');
  const names = checks.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const finding = new Set(cases.filter(({ finds }) => finds.length > 0).map(({ check }) => check));
  expect(names.filter((name) => !finding.has(name))).toEqual([]);
  const line = ({ name, title, severity, source }: (typeof checks)[number]): string =>
    `| \`${name}\` | ${title} | ${severity} | <${source}> |`;
  expect(page.split('\n').filter((one) => one.startsWith('| `'))).toEqual(checks.map(line));
});

test('The end of support says its day, and what it costs or does then.', () => {
  const why = (supportType: string, days: number): string | undefined => {
    const snapshot = whole({ cluster: { ...cluster, supportType }, versionSupport: [support('1.33', days)] });
    return preflight(snapshot, { version: '1.33', toVersion: '1.34', nowMs }).findings[0]?.why;
  };
  expect(why('EXTENDED', -1)).toBe(
    'Standard support of 1.33 has ended on 2026-11-27; from then on a cluster costs 0.60 USD an hour instead of 0.10, and EKS upgrades ' +
      'it by itself on 2027-11-27.',
  );
  expect(why('STANDARD', 10)).toBe('Standard support of 1.33 ends on 2026-12-08; EKS upgrades the cluster by itself then.');
});

test('Every finding says in sentences what is so and what to do.', () => {
  const all = cases.flatMap(
    ({ parts, to = '1.34' }) => preflight(whole({ ...sound, ...parts }), { version: '1.33', toVersion: to, nowMs }).findings,
  );
  const odd = all.filter(({ why, remedy }) => ![why, remedy].every((text) => /^\w.*\.$/s.test(text)));
  expect(odd).toEqual([]);
  expect(all.filter(({ why, remedy }) => /undefined|NaN|\[object/.test(why + remedy))).toEqual([]);
});

test.each([
  ['two commands', ['sh', '-c', 'prepare; serve'], true],
  ['two lines', ['/bin/sh', '-ec', 'set -e\nprepare\nserve'], true],
  ['in the background', ['bash', '-c', 'serve & wait'], true],
  ['exec at the end', ['/bin/bash', '-ec', 'prepare && exec serve'], false],
  ['one command', ['sh', '-c', 'serve --port 80'], false],
  ['one command after a comment and options', ['sh', '-c', '# it serves\nset -e\nserve'], false],
  ['a trap', ['sh', '-c', 'trap stop TERM; serve & wait'], false],
  ['a script of a file', ['sh', '/start.sh'], false],
  ['-c without a script', ['sh', '-c'], false],
  ['no shell', ['serve', '-c', 'a; b'], false],
  ['nothing said', [], false],
])('Whether a shell is the main process: %s.', (_name, command, expected) => {
  expect(shellProblem(command)).toBe(expected);
});

test('A script of 4 KB that is made to be slow to read is read at once.', () => {
  const before = performance.now();
  for (const text of ['set ', '|', '& ', ' '.repeat(64), 'exec', '#;', '\n']) shellProblem(['sh', '-c', text.repeat(4096 / text.length)]);
  expect(performance.now() - before).toBeLessThan(500);
});

test.each([
  ['policy/v1beta1', 'PodDisruptionBudget', '1.24', undefined],
  ['policy/v1beta1', 'PodDisruptionBudget', '1.25', '1.25'],
  ['extensions/v1beta1', 'Ingress', '1.21', undefined],
  ['extensions/v1beta1', 'Deployment', '1.21', '1.16'],
  ['flowcontrol.apiserver.k8s.io/v1beta3', 'FlowSchema', '1.31', undefined],
  ['flowcontrol.apiserver.k8s.io/v1beta3', 'FlowSchema', '1.32', '1.32'],
  ['storage.k8s.io/v1beta1', 'CSIStorageCapacity', '1.26', undefined],
  ['apps/v1', 'Deployment', '1.40', undefined],
])('%s %s at %s', (apiVersion, kind, version, since) => {
  expect(removalOf(apiVersion, kind, version)?.since).toBe(since);
});

test('Of a group that is gone for some kinds only, it is not said that it is wholly gone.', () => {
  expect([isWhollyRemoved('batch/v1beta1', '1.25'), isWhollyRemoved('batch/v1beta1', '1.24')]).toEqual([true, false]);
  expect([isWhollyRemoved('storage.k8s.io/v1beta1', '1.34'), isWhollyRemoved('v1', '1.34')]).toEqual([false, false]);
});

test('A part that was not read leaves its checks out, and says why; what a target does not have is not spoken of.', () => {
  const report = preflight({ nodes: { unread: 'it may not list nodes' } }, { version: '1.33', toVersion: '1.34', nowMs });
  expect(report.findings).toEqual([]);
  expect(report.notChecked.map(({ check }) => check)).toEqual(['kubelet-skew', 'node-not-ready', 'container-runtime']);
  expect(report.notChecked[0]?.because).toBe('it may not list nodes');
});

test('A waiver counts for its finding or its whole check, until its end.', () => {
  const snapshot = whole({ nodes: [node({ ready: false }), node({ name: 'b', ready: false })] });
  const waive = (finding: string, until: string): [string[], string[], string[]] => {
    const aim = { version: '1.33', toVersion: '1.34', nowMs };
    const { findings, waived, over } = preflight(snapshot, aim, [{ finding, reason: 'known', until }]);
    return [findings.map(({ name }) => name), waived.map(({ finding: one }) => one.name), over.map((one) => one.finding)];
  };
  const [a, b] = ['node-not-ready:Node/a', 'node-not-ready:Node/b'];
  expect(waive(a, '2026-11-29T00:00:00Z')).toEqual([[b], [a], []]);
  expect(waive('node-not-ready', '2026-11-29T00:00:00Z')).toEqual([[], [a, b], []]);
  expect(waive(a, '2026-11-28T12:00:00Z')).toEqual([[a, b], [], [a]]);
});

test('Of a check that finds too much, the worst is kept and the rest is counted.', () => {
  const workloads = Array.from({ length: findingsPerCheckMax + 7 }, (_, index) => workload({ name: `web-${index}`, graceSeconds: 0 }));
  workloads.push(workload({ kind: 'StatefulSet', graceSeconds: 0 }));
  const report = preflight(whole({ workloads }), { version: '1.33', toVersion: '1.34', nowMs });
  expect(report.leftOut).toEqual({ 'grace-period-0': 8 });
  expect(report.findings[0]?.name).toBe('grace-period-0:StatefulSet/shop/web');
});

test.each<[string, number, Partial<AddressingView>, { ofNode: number; ofPods?: number }]>([
  ['no pods: the first interface and a warm one', 0, {}, { ofNode: 20 }],
  ['as many pods as an interface has addresses for', 9, {}, { ofNode: 20 }],
  ['one more', 10, {}, { ofNode: 30 }],
  ['more than the type has interfaces for', 100, {}, { ofNode: 30 }],
  ['no warm interface', 9, { warmInterfaces: 0 }, { ofNode: 10 }],
  ['a target of two addresses: eight, and one of the interface', 6, { warmAddresses: 2 }, { ofNode: 9 }],
  ['a least number of 12, on two interfaces', 6, { addressesMin: 12 }, { ofNode: 14 }],
  ['prefixes: two for 17 pods and a warm one', 17, { inPrefixes: true }, { ofNode: 49 }],
  ['prefixes with a target of addresses', 17, { inPrefixes: true, warmAddresses: 4 }, { ofNode: 33 }],
  ['subnets of pods: two interfaces are left', 100, { inOwnSubnets: true }, { ofNode: 1, ofPods: 20 }],
])('The addresses that a node of three interfaces with ten addresses takes: %s.', (_when, pods, differences, takes) => {
  const type = { name: 'm6i.large', processors: 2, interfacesMax: 3, addressesPerInterface: 10 };
  expect(addressesOfNode(type, pods, { ...addressing, ...differences })).toEqual({ ofPods: 0, ...takes });
});

describe('what the run itself updates', () => {
  const aim = { version: '1.33', toVersion: '1.34', nowMs };
  const addonFindings = (version: string, updatedAddons: string[], addonVersions = sound.addonVersions): string[] =>
    preflight(whole({ ...sound, addonVersions, addons: [addon({ version })] }), { ...aim, updatedAddons }).findings.map(
      ({ severity, name }) => `${severity} ${name}`,
    );

  test.each([
    ['not given out', 'v1.9.3', ['coredns'], ['note addon-version:Addon/coredns']],
    ['older than the default', 'v1.11.1', ['coredns'], ['note addon-version:Addon/coredns']],
    ['the default', 'v1.12.0', ['coredns'], []],
    ['not given out, and another one is named', 'v1.9.3', ['vpc-cni'], ['error addon-version:Addon/coredns']],
  ])('an add-on with a version that is %s', (_what, version, updated, found) => {
    expect(addonFindings(version, updated)).toEqual(found);
  });

  test.each<[string, UpdatedNodegroup[] | undefined, string[]]>([
    ['any node group, by EKS, where nothing is said', undefined, ['s-1', 's-2']],
    ['no node group', [], []],
    ['another node group', [{ nodegroup: 'green' }], []],
    ['the node group, by EKS', [{ nodegroup: 'blue' }], ['s-1', 's-2']],
    ['the node group, by a new one of three nodes', [{ nodegroup: 'blue', newNodegroup: 'green' }], ['s-1', 's-2']],
  ])('room is asked for %s', (_what, updatedNodegroups, short) => {
    const subnets = [subnet('s-1', 'a', 1), subnet('s-2', 'b', 1)];
    const { findings } = preflight(whole({ ...sound, subnets }), { ...aim, updatedNodegroups });
    expect(findings.filter(({ check }) => check === 'node-addresses').map(({ object }) => object)).toEqual(
      short.map((id) => `Subnet/${id}`),
    );
  });

  test('a new node group brings as many nodes as the old one has, over its zones', () => {
    const subnets = [subnet('s-1', 'a', 29), subnet('s-2', 'b', 30)];
    const parts = { ...sound, subnets, nodegroups: [nodegroup({ nodesWanted: 59 })] };
    const updatedNodegroups = [{ nodegroup: 'blue', newNodegroup: 'green' }];
    const { findings } = preflight(whole(parts), { ...aim, updatedNodegroups });
    const [found, ...others] = findings.filter(({ check }) => check === 'node-addresses');
    expect(others).toEqual([]);
    expect(found?.why).toBe('There are 29 free IP addresses in a, and the update of node group blue brings 30 nodes there.');
  });

  test('an add-on of which EKS has no version at all stays an error: the run cannot update it', () => {
    expect(addonFindings('v1.9.3', ['coredns'], [])).toEqual(['error addon-version:Addon/coredns']);
  });

  test('steps before bring versions and take nodes away', () => {
    const old = { kubeletVersion: 'v1.30.1-eks-1' };
    const self = { labels: {}, ...old };
    const snapshot = whole({
      ...sound,
      nodegroups: [nodegroup({ version: '1.30' }), nodegroup({ name: 'gone', version: '1.29' })],
      nodes: [node({ ...old, name: 'of-blue' }), node({ ...self, name: 'drained' }), node({ ...self, name: 'stays' })],
      addons: [addon({ version: 'v1.9.3' })],
    });
    const expected: ExpectedChange[] = [
      { change: 'version', object: 'Nodegroup/demo/blue', version: '1.33' },
      { change: 'nodes-removed', nodes: ['of-blue', 'drained'] },
      { change: 'removed', object: 'Nodegroup/demo/gone' },
      { change: 'version', object: 'Addon/demo/coredns', version: 'v1.12.0' },
      { change: 'version', object: 'Addon/demo/kube-proxy', version: 'v1.30.0' },
    ];
    const names = (steps: ExpectedChange[]): string[] =>
      preflight(asExpected(snapshot, steps, 'demo'), aim)
        .findings.filter(({ check }) => ['kubelet-skew', 'addon-version', 'nodegroup-behind', 'kube-proxy-skew'].includes(check))
        .map(({ name, why }) => `${name} ${/Nodes: .*/.exec(why)?.[0] ?? ''}`.trim());
    expect(names([])).toEqual([
      'addon-version:Addon/coredns',
      'kubelet-skew:Nodes/kubelet-1.30 Nodes: of-blue, drained, stays.',
      'nodegroup-behind:Nodegroup/blue',
      'nodegroup-behind:Nodegroup/gone',
    ]);
    expect(names(expected)).toEqual(['kube-proxy-skew:DaemonSet/kube-system/kube-proxy', 'kubelet-skew:Nodes/kubelet-1.30 Nodes: stays.']);
  });
});
