import type { ClusterSeed, Manifest, NodegroupSeed, WorldSeed } from '../../sandbox/seed.ts';
import type { Workload } from '../rotation/lower-bound.ts';

export const clusterName = 'large';
/** The nodes of this group are drained; those of the other one are there to take their pods. */
export const drainedGroup = 'old';
export const drainedNodes = 100;

const region = 'eu-central-1';
const zones = [`${region}a`, `${region}b`, `${region}c`];
const namespaces = 60;
export const daemonSets = 5;
/** How many pods the workloads of a hundred have: most are small, most pods are of large ones. */
const sizes: readonly { workloads: number; replicas: number }[] = [
  { workloads: 10, replicas: 1 },
  { workloads: 18, replicas: 2 },
  { workloads: 18, replicas: 3 },
  { workloads: 14, replicas: 5 },
  { workloads: 14, replicas: 8 },
  { workloads: 10, replicas: 12 },
  { workloads: 8, replicas: 20 },
  { workloads: 6, replicas: 50 },
  { workloads: 2, replicas: 250 },
];

/** Of each two hundred workloads of a size: what they are, and what their budgets say. */
const kinds: readonly Omit<Workload, 'name' | 'namespace' | 'replicas'>[] = [
  { kind: 'Deployment', maxUnavailable: 1, startSeconds: 2, readinessSeconds: 8, shutdownSeconds: 5 },
  { kind: 'Deployment', maxUnavailable: '10%', startSeconds: 2, readinessSeconds: 18, shutdownSeconds: 10 },
  { kind: 'Deployment', startSeconds: 2, readinessSeconds: 8, shutdownSeconds: 20 },
  { kind: 'Deployment', maxUnavailable: '25%', startSeconds: 2, readinessSeconds: 13, shutdownSeconds: 5 },
  { kind: 'Deployment', minAvailable: '80%', startSeconds: 2, readinessSeconds: 28, shutdownSeconds: 5 },
  { kind: 'Deployment', startSeconds: 2, readinessSeconds: 8, shutdownSeconds: 5 },
  { kind: 'StatefulSet', maxUnavailable: 1, startSeconds: 2, readinessSeconds: 13, shutdownSeconds: 5 },
];
/** A StatefulSet of that many pods would take longer than all others together. */
const statefulReplicasMax = 50;

/** A cluster with so many nodes, of which a hundred are to be drained, and about so many pods, five of DaemonSets on each node. */
export function largeWorld(nodes: number, pods: number): WorldSeed {
  const cluster: ClusterSeed = {
    name: clusterName,
    region,
    version: '1.33',
    nodegroups: [group(drainedGroup, drainedNodes), group('general', nodes - drainedNodes)],
    manifests: [
      ...Array.from({ length: namespaces }, (_, index) => ({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespaceName(index) },
      })),
      ...Array.from({ length: daemonSets }, (_, index) => daemonSet(`agent-${index}`)),
      ...workloadsFor(pods - daemonSets * nodes).flatMap(manifestsOf),
    ],
  };
  return { clusters: [cluster] };
}

/** Workloads with about so many pods together. */
export function workloadsFor(pods: number): Workload[] {
  const ofHundred = sizes.flatMap(({ workloads, replicas }) => Array.from({ length: workloads }, () => replicas));
  const workloads: Workload[] = [];
  for (let left = pods; left > 0;) {
    const index = workloads.length;
    // Each size meets each kind in the course of time.
    const replicas = Math.min(left, ofHundred[(index * 37) % ofHundred.length] ?? 1);
    const kind = kinds[(index + Math.floor(index / ofHundred.length)) % kinds.length];
    if (!kind) throw new Error('there is no kind of workload');
    const isStateful = kind.kind === 'StatefulSet' && replicas <= statefulReplicasMax;
    const name = { name: `work-${index}`, namespace: namespaceName(index % namespaces) };
    workloads.push({ ...kind, ...budgetFor(kind, replicas), kind: isStateful ? 'StatefulSet' : 'Deployment', ...name, replicas });
    left -= replicas;
  }
  return workloads;
}

/** A budget over a single pod would never open, nor one that demands four fifths of less than five. */
function budgetFor(
  { minAvailable, maxUnavailable }: (typeof kinds)[number],
  replicas: number,
): Pick<Workload, 'minAvailable' | 'maxUnavailable'> {
  if (replicas < 2) return { minAvailable: undefined, maxUnavailable: undefined };
  return minAvailable !== undefined && replicas < 5 ? { minAvailable: undefined, maxUnavailable: 1 } : { minAvailable, maxUnavailable };
}

function namespaceName(index: number): string {
  return `team-${index}`;
}

function group(name: string, size: number): NodegroupSeed {
  const machine = { instanceType: 'm6i.2xlarge', amiType: 'AL2023_x86_64_STANDARD', version: '1.33', releaseVersion: '1.33.3-20260415' };
  return { name, size, minSize: 0, maxSize: size, ...machine, zones, labels: {} };
}

function daemonSet(name: string): Manifest {
  const template = { metadata: { labels: labelsOf(name), annotations: {} }, spec: podSpec(name) };
  const metadata = { name, namespace: 'kube-system' };
  return { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec: { selector: { matchLabels: { app: name } }, template } };
}

function manifestsOf(workload: Workload): Manifest[] {
  const { kind, name, namespace, replicas, minAvailable, maxUnavailable } = workload;
  const metadata = { name, namespace, labels: labelsOf(name) };
  const selector = { matchLabels: { app: name } };
  const seconds = (what: string, value: number): [string, string] => [`sandbox.holdpoint.dev/${what}-seconds`, String(value)];
  const annotations = Object.fromEntries([
    seconds('start', workload.startSeconds),
    seconds('readiness', workload.readinessSeconds),
    seconds('shutdown', workload.shutdownSeconds),
    ['checksum/config', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
    ['prometheus.io/scrape', 'true'],
  ]);
  const template = { metadata: { labels: labelsOf(name), annotations }, spec: podSpec(name) };
  const sets = kind === 'StatefulSet' ? { serviceName: name, podManagementPolicy: 'Parallel' } : {};
  const owner: Manifest = { apiVersion: 'apps/v1', kind, metadata, spec: { replicas, selector, template, ...sets } };
  if (minAvailable === undefined && maxUnavailable === undefined) return [owner];
  const budget = minAvailable === undefined ? { maxUnavailable } : { minAvailable };
  return [owner, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { selector, ...budget } }];
}

function labelsOf(name: string): Record<string, string> {
  return {
    app: name,
    'app.kubernetes.io/component': 'server',
    'app.kubernetes.io/instance': name,
    'app.kubernetes.io/managed-by': 'Helm',
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/version': '2.14.1',
    'helm.sh/chart': `${name}-2.14.1`,
  };
}

/** About what a pod of a Helm chart looks like once admission has filled it in: 7 kB of JSON with the rest of the object. */
function podSpec(name: string): object {
  const volumeMounts = [
    { name: 'config', mountPath: '/etc/app', readOnly: true },
    { name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  ];
  const probe = (path: string): object => ({
    httpGet: { path, port: 'http', scheme: 'HTTP' },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  const env = ['DATABASE_HOST', 'CACHE_HOST', 'LOG_LEVEL', 'REGION'].map((key) => ({
    name: key,
    value: `${key.toLowerCase()}.${name}.example.com`,
  }));
  const container = (own: string, cpu: string, memory: string, more: object): object => ({
    name: own,
    image: `registry.example.com/${name}/${own}:2.14.1`,
    resources: { requests: { cpu, memory }, limits: { memory } },
    volumeMounts,
    ...more,
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
    securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
  });
  const serving = {
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    env,
    livenessProbe: probe('/healthz'),
    readinessProbe: probe('/readyz'),
    lifecycle: { preStop: { exec: { command: ['sleep', '5'] } } },
  };
  return {
    volumes: [
      { name: 'config', configMap: { name: `${name}-config`, defaultMode: 420 } },
      {
        name: 'kube-api-access',
        projected: {
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
          ],
          defaultMode: 420,
        },
      },
    ],
    containers: [container('main', '150m', '384Mi', serving), container('exporter', '20m', '64Mi', {})],
    dnsPolicy: 'ClusterFirst',
    serviceAccountName: name,
    serviceAccount: name,
    securityContext: { fsGroup: 1000 },
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    priority: 0,
    terminationGracePeriodSeconds: 30,
    tolerations: [
      { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ],
  };
}
