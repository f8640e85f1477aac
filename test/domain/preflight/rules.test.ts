import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { checks } from '../../../domain/preflight/checks.ts';
import { preflight } from '../../../domain/preflight/preflight.ts';
import { removalOf } from '../../../domain/preflight/removed-apis.ts';
import { shellProblem } from '../../../domain/preflight/shell.ts';
import type { AddonView, CertificateAuthorityView, NodeView, Parts, Snapshot, WorkloadView } from '../../../domain/preflight/snapshot.ts';

const nowMs = Date.parse('2026-11-28T12:00:00Z');
const aim = { version: '1.33', toVersion: '1.34', nowMs };
const cluster = { name: 'demo', status: 'ACTIVE', issues: [], subnetIds: [] };

function whole<Name extends keyof Parts>(parts: Pick<Parts, Name>): Snapshot {
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, { value }]));
}

/** The findings of one check, as `severity object`. */
function found(check: string, parts: Partial<Parts>, toVersion = '1.34'): string[] {
  const { findings } = preflight(whole(parts as Parts), { ...aim, toVersion });
  return findings.filter((one) => one.check === check).map(({ severity, object }) => `${severity} ${object}`);
}

const workload = (differences: Partial<WorkloadView>): WorkloadView => ({
  kind: 'Deployment',
  namespace: 'shop',
  name: 'web',
  isOwned: false,
  replicas: 2,
  minReadySeconds: 5,
  labels: {},
  containers: [],
  volumes: [],
  isSpread: true,
  ...differences,
});
const node = (differences: Partial<NodeView>): NodeView => ({
  name: 'a',
  labels: { 'eks.amazonaws.com/nodegroup': 'blue' },
  kubeletVersion: 'v1.33.1-eks-1',
  runtimeVersion: 'containerd://2.1.0',
  ready: true,
  ...differences,
});
const image = (text: string): WorkloadView['containers'] => [
  { name: 'main', image: text, command: [], hasReadinessProbe: true, hasPorts: false },
];
const addon = (differences: Partial<AddonView>): AddonView => ({
  name: 'coredns',
  version: 'v1.11.1',
  status: 'ACTIVE',
  issues: [],
  ...differences,
});
const coredns = { name: 'coredns', default: 'v1.12.0', compatible: ['v1.12.0', 'v1.11.1'] };
const authority = (differences: Partial<CertificateAuthorityView>): CertificateAuthorityView => ({
  id: 'ca-2',
  isActive: false,
  ...differences,
});

test.each<[string, Partial<Parts>, string[], string?]>([
  ['cluster-status', { cluster: { ...cluster, status: 'UPDATING' } }, ['error Cluster/demo']],
  ['cluster-health', { cluster: { ...cluster, issues: [{ object: 'Cluster/demo', code: 'X', message: 'y' }] } }, ['error Cluster/demo']],
  ['version-hops', { cluster }, [], '1.34'],
  ['version-hops', { cluster }, ['note Cluster/demo'], '1.36'],
  ['version-hops', { cluster }, ['error Cluster/demo'], '1.32'],
  ['insights-stale', { cluster, insights: [] }, ['warning Cluster/demo']],
  [
    'insights-stale',
    { cluster, insights: [{ name: 'a', status: 'PASSING', found: '', recommendation: '', refreshedAtMs: nowMs - 3 * 86_400_000 }] },
    ['warning Cluster/demo'],
  ],
  ['addon-health', { addons: [addon({ status: 'DEGRADED' })] }, ['error Addon/coredns']],
  ['addon-version', { addons: [addon({})], addonVersions: [coredns] }, ['warning Addon/coredns']],
  ['addon-version', { addons: [addon({ version: 'v1.12.0' })], addonVersions: [coredns] }, []],
  ['addon-version', { addons: [addon({ version: 'v1.9.3' })], addonVersions: [coredns] }, ['error Addon/coredns']],
  ['addon-version', { addons: [addon({})], addonVersions: [] }, ['error Addon/coredns']],
  [
    'self-managed-addon',
    {
      addons: [],
      addonVersions: [coredns],
      workloads: [workload({ namespace: 'kube-system', name: 'coredns', containers: image('coredns:v1.9.3') })],
    },
    ['error Deployment/kube-system/coredns'],
  ],
  ['launch-template-drift', drift('3', '4'), ['warning Nodegroup/blue']],
  ['launch-template-drift', drift('4', '4'), []],
  [
    'certificate-authority-events',
    { certificateAuthorities: [authority({ finalAutoActivation: '2027-01-01T00:00:00Z' })] },
    ['warning CertificateAuthority/ca-2'],
  ],
  [
    'certificate-authority-events',
    { certificateAuthorities: [authority({ isActive: true, finalAutoActivation: 'x' }), authority({})] },
    [],
  ],
  ['kubelet-skew', { nodes: [node({ kubeletVersion: 'v1.30.9' }), node({ name: 'b' })] }, ['error Nodes/kubelet-1.30']],
  ['kubelet-skew', { nodes: [node({ kubeletVersion: 'v1.31.9' })] }, []],
  ['kubelet-skew', { nodes: [node({ kubeletVersion: 'v1.34.0' })] }, ['error Nodes/kubelet-1.34']],
  ['node-not-ready', { nodes: [node({ ready: false })] }, ['error Node/a']],
  ['container-runtime', { nodes: [node({ runtimeVersion: 'docker://20.10.1' })] }, ['error Nodes/docker']],
  ['container-runtime', { nodes: [node({ runtimeVersion: 'containerd://1.7.2' })] }, []],
  ['container-runtime', { nodes: [node({ runtimeVersion: 'containerd://1.7.2' })] }, ['warning Nodes/containerd-1'], '1.36'],
  ...(['fargate', 'hybrid', 'auto'] as const).map((kind): [string, Partial<Parts>, string[]] => [
    'node-kind',
    { cluster, nodes: [node({ labels: { 'eks.amazonaws.com/compute-type': kind } })] },
    [`note Nodes/${kind === 'auto' ? 'auto-mode' : kind}`],
  ]),
  ['node-kind', { cluster, nodes: [node({ labels: {} })] }, ['note Nodes/self-managed']],
  [
    'node-kind',
    { cluster, nodes: [node({ labels: { 'kubernetes.io/os': 'windows', 'eks.amazonaws.com/nodegroup': 'w' } })] },
    ['note Nodes/windows'],
  ],
  ['host-path-data', { workloads: [workload({ volumes: [{ hostPath: '/var/log/app' }, { hostPath: '/etc/ssl' }] })] }, []],
  ['host-path-data', { workloads: [workload({ volumes: [{ hostPath: '/var/lib/orders' }] })] }, ['warning Deployment/shop/web']],
  ['host-path-data', { workloads: [workload({ kind: 'DaemonSet', volumes: [{ hostPath: '/data' }] })] }, []],
  ['in-tree-volume', { workloads: [workload({ volumes: [{ inTree: 'rbd' }] })], storage: [] }, ['error Deployment/shop/web']],
  ['single-replica', { workloads: [workload({ replicas: 1, namespace: 'kube-system' })] }, []],
  ['kube-proxy-ipvs', { kubeProxyMode: 'ipvs' }, ['warning ConfigMap/kube-system/kube-proxy-config'], '1.35'],
])('%s %#', (check, parts, expected, toVersion) => {
  expect(found(check, parts, toVersion)).toEqual(expected);
});

function drift(version: string, latest: string): Partial<Parts> {
  const group = { name: 'blue', status: 'ACTIVE', version: '1.33', amiType: 'AL2023_x86_64_STANDARD', issues: [], subnetIds: [] };
  return { nodegroups: [{ ...group, launchTemplate: { id: 'lt-1', version } }], launchTemplates: [{ id: 'lt-1', latest }] };
}

test.each([
  ['sh -c', ['sh', '-c', 'prepare; serve'], true],
  ['exec', ['/bin/bash', '-ec', 'prepare && exec serve'], false],
  ['one command', ['sh', '-c', 'serve --port 80'], false],
  ['a trap', ['sh', '-c', 'trap stop TERM; serve & wait'], false],
  ['a script of a file', ['sh', '/start.sh'], false],
  ['no shell', ['serve', '-c', 'a; b'], false],
])('A shell is the main process: %s.', (_name, command, expected) => {
  expect(shellProblem(command)).toBe(expected);
});

test.each([
  ['policy/v1beta1', 'PodDisruptionBudget', '1.24', undefined],
  ['policy/v1beta1', 'PodDisruptionBudget', '1.25', '1.25'],
  ['extensions/v1beta1', 'Ingress', '1.21', undefined],
  ['extensions/v1beta1', 'Deployment', '1.21', '1.16'],
  ['flowcontrol.apiserver.k8s.io/v1beta3', 'FlowSchema', '1.33', '1.32'],
  ['apps/v1', 'Deployment', '1.40', undefined],
])('%s %s at %s', (apiVersion, kind, version, since) => {
  expect(removalOf(apiVersion, kind, version)?.since).toBe(since);
});

test('A part that was not read leaves its checks out, and says why; what a target does not have is not spoken of.', () => {
  const report = preflight({ nodes: { unread: 'it may not list nodes' } }, aim);
  expect(report.findings).toEqual([]);
  expect(report.notChecked.map(({ check }) => check)).toEqual(['kubelet-skew', 'node-not-ready', 'container-runtime']);
  expect(report.notChecked[0]?.because).toBe('it may not list nodes');
});

test('A waiver counts for its finding or its whole check, until its end.', () => {
  const snapshot = whole({ nodes: [node({ ready: false }), node({ name: 'b', ready: false })] });
  const waive = (finding: string, until: string): [string[], string[], string[]] => {
    const { findings, waived, over } = preflight(snapshot, aim, [{ finding, reason: 'known', until }]);
    return [findings.map(({ name }) => name), waived.map(({ finding: one }) => one.name), over.map((one) => one.finding)];
  };
  const [a, b] = ['node-not-ready:Node/a', 'node-not-ready:Node/b'];
  expect(waive(a, '2026-11-29T00:00:00Z')).toEqual([[b], [a], []]);
  expect(waive('node-not-ready', '2026-11-29T00:00:00Z')).toEqual([[], [a, b], []]);
  expect(waive(a, '2026-11-28T12:00:00Z')).toEqual([[a, b], [], [a]]);
});

test('Every check has a name of its own, and stands in docs/preflight.md.', () => {
  const page = readFileSync(new URL('../../../docs/preflight.md', import.meta.url), 'utf8');
  const names = checks.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !page.includes(`| \`${name}\` `))).toEqual([]);
});
