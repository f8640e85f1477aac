import type { ClusterSeed, Manifest, NodegroupSeed, WorldSeed } from '../../sandbox/seed.ts';
import type { Workload } from './lower-bound.ts';

export const region = 'eu-central-1';
export const clusterName = 'rotation';
/** The nodes of this group are rotated; those of the other one are there to take their pods. */
export const rotatedGroup = 'old';

const replicas = 25;
const podsPerNode = 12.5;
const namespaces = 10;
/** An m6i.xlarge takes 58 pods, so that the spare nodes can take all pods of the others besides their own. */
const spareShare = 0.25;

/** What the workloads are like, in turn. */
const kinds: readonly Omit<Workload, 'name' | 'namespace' | 'replicas'>[] = [
  { kind: 'Deployment', maxUnavailable: 1, startSeconds: 1, readinessSeconds: 1, shutdownSeconds: 5 },
  { kind: 'Deployment', maxUnavailable: '25%', startSeconds: 1, readinessSeconds: 9, shutdownSeconds: 10 },
  { kind: 'Deployment', minAvailable: '90%', startSeconds: 1, readinessSeconds: 4, shutdownSeconds: 2 },
  { kind: 'Deployment', startSeconds: 1, readinessSeconds: 5, shutdownSeconds: 20 },
  { kind: 'StatefulSet', maxUnavailable: 1, startSeconds: 1, readinessSeconds: 1, shutdownSeconds: 1 },
];

/** The workloads for so many rotated nodes. */
export function workloadsFor(nodes: number): Workload[] {
  return Array.from({ length: Math.ceil((nodes * podsPerNode) / replicas) }, (_, index) => {
    const kind = kinds[index % kinds.length];
    if (!kind) throw new Error('there is no kind of workload');
    return { ...kind, name: `work-${index}`, namespace: `team-${index % namespaces}`, replicas };
  });
}

/** A cluster with so many nodes to rotate, a quarter of that beside them, and 12.5 pods per rotated node on all of them. */
export function rotationWorld(nodes: number): WorldSeed {
  const group = (name: string, size: number): NodegroupSeed => ({
    name,
    size,
    minSize: 0,
    maxSize: size,
    instanceType: 'm6i.xlarge',
    amiType: 'AL2023_x86_64_STANDARD',
    version: '1.33',
    releaseVersion: '1.33.3-20260415',
    zones: [`${region}a`, `${region}b`, `${region}c`],
    labels: {},
  });
  const cluster: ClusterSeed = {
    name: clusterName,
    region,
    version: '1.33',
    nodegroups: [group(rotatedGroup, nodes), group('spare', Math.ceil(nodes * spareShare))],
    manifests: [
      ...Array.from({ length: namespaces }, (_, index) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `team-${index}` } })),
      ...workloadsFor(nodes).flatMap(manifestsOf),
    ],
  };
  return { clusters: [cluster] };
}

function manifestsOf(workload: Workload): Manifest[] {
  const { kind, name, namespace, replicas, minAvailable, maxUnavailable } = workload;
  const metadata = { name, namespace };
  const selector = { matchLabels: { app: name } };
  const seconds = (what: string, value: number): [string, string] => [`sandbox.holdpoint.dev/${what}-seconds`, String(value)];
  const annotations = Object.fromEntries([
    seconds('start', workload.startSeconds),
    seconds('readiness', workload.readinessSeconds),
    seconds('shutdown', workload.shutdownSeconds),
  ]);
  const resources = { requests: { cpu: '10m', memory: '32Mi' } };
  const template = {
    metadata: { labels: { app: name }, annotations },
    spec: { containers: [{ name: 'main', image: 'registry.example.com/main:1', resources }] },
  };
  const sets = kind === 'StatefulSet' ? { serviceName: name } : {};
  const owner: Manifest = { apiVersion: 'apps/v1', kind, metadata, spec: { replicas, selector, template, ...sets } };
  if (minAvailable === undefined && maxUnavailable === undefined) return [owner];
  const budget = minAvailable === undefined ? { maxUnavailable } : { minAvailable };
  return [owner, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { selector, ...budget } }];
}
