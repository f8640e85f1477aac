import { setTimeout as wait } from 'node:timers/promises';
import type { KubernetesAnswer, KubernetesRequest } from './kubernetes-access.ts';
import { bootAnnotation, readinessAnnotation, shutdownAnnotation } from './kubernetes-stages.ts';

/** Objects are created this many at a time: enough to keep the API server busy, and no more. */
const createdAtOnceMax = 16;
const lookPauseMs = 100;
const settleTimeoutDefaultMs = 120_000;

/** An object as it would be given to `kubectl apply`. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [field: string]: unknown;
}

/** How many nodes, and what they look like. */
export interface NodesOptions {
  count: number;
  /** They are dealt to these in turn; three zones where left out. */
  zones?: readonly string[];
  /** The first part of their names: `node` gives `node-0`, `node-1`, … */
  prefix?: string;
  labels?: Record<string, string>;
  pods?: number;
  cpu?: string;
  memory?: string;
  /** How long each takes to be Ready. */
  bootSeconds?: number;
}

/** A workload, and the budget over it. */
export interface WorkloadOptions {
  name: string;
  namespace: string;
  replicas: number;
  kind?: 'Deployment' | 'StatefulSet';
  /** The rules of its PodDisruptionBudget; without them it has none. */
  budget?: { minAvailable?: number | string; maxUnavailable?: number | string; unhealthyPodEvictionPolicy?: string };
  /** How long a pod takes from its start until it is Ready, and from its deletion until it has ended. */
  readinessSeconds?: number;
  shutdownSeconds?: number;
  graceSeconds?: number;
  cpu?: string;
  /** Whether its pods are spread over the zones and nodes, as workloads in production are. */
  spread?: boolean;
}

/** Manifests of nodes that kwok plays. */
export function nodeManifests(options: NodesOptions): Manifest[] {
  const { count, zones = ['zone-a', 'zone-b', 'zone-c'], prefix = 'node', labels = {}, bootSeconds = 0 } = options;
  const { pods = 110, cpu = '8', memory = '32Gi' } = options;
  return Array.from({ length: count }, (_, index) => {
    const name = `${prefix}-${index}`;
    const room = { cpu, memory, pods: String(pods) };
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': 'amd64',
          'topology.kubernetes.io/zone': zones[index % zones.length] ?? '',
          ...labels,
        },
        annotations: { [bootAnnotation]: String(bootSeconds) },
      },
      status: { capacity: room, allocatable: room, nodeInfo: { kubeletVersion: 'v1.36.3' } },
    };
  });
}

/** Manifests of a workload, after those of the budget over it. */
export function workloadManifests(options: WorkloadOptions): Manifest[] {
  const { name, namespace, replicas, kind = 'Deployment', budget } = options;
  const metadata = { name, namespace };
  const selector = { matchLabels: { app: name } };
  const spec = { replicas, selector, template: podTemplate(options) };
  const own: Manifest =
    kind === 'StatefulSet'
      ? { apiVersion: 'apps/v1', kind, metadata, spec: { ...spec, serviceName: name, podManagementPolicy: 'Parallel' } }
      : { apiVersion: 'apps/v1', kind, metadata, spec };
  if (budget === undefined) return [own];
  return [{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { selector, ...budget } }, own];
}

function podTemplate(options: WorkloadOptions): object {
  const { name, readinessSeconds, shutdownSeconds, graceSeconds = 30, cpu = '50m', spread = true } = options;
  const annotations: Record<string, string> = {};
  if (readinessSeconds !== undefined) annotations[readinessAnnotation] = String(readinessSeconds);
  if (shutdownSeconds !== undefined) annotations[shutdownAnnotation] = String(shutdownSeconds);
  const constraint = (topologyKey: string): object => ({
    topologyKey,
    maxSkew: 1,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: { app: name } },
  });
  return {
    metadata: { labels: { app: name }, annotations },
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      containers: [{ name: 'main', image: 'registry.example.com/main:1', resources: { requests: { cpu, memory: '32Mi' } } }],
      ...(spread ? { topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(constraint) } : {}),
    },
  };
}

/** Creates objects in the order given, those of one kind at the same time. Throws an Error with the first refusal. */
export async function createAll(send: KubernetesRequest, manifests: readonly Manifest[]): Promise<void> {
  for (const run of runsOfOneKind(manifests)) {
    const rest = [...run];
    const work = async (): Promise<void> => {
      for (let manifest = rest.shift(); manifest !== undefined; manifest = rest.shift()) await create(send, manifest);
    };
    await Promise.all(Array.from({ length: createdAtOnceMax }, work));
  }
}

function runsOfOneKind(manifests: readonly Manifest[]): Manifest[][] {
  const runs: Manifest[][] = [];
  for (const manifest of manifests) {
    const last = runs.at(-1);
    if (last?.[0]?.kind === manifest.kind) last.push(manifest);
    else runs.push([manifest]);
  }
  return runs;
}

async function create(send: KubernetesRequest, manifest: Manifest): Promise<void> {
  const answer = await send('POST', collectionPath(manifest), manifest);
  if (answer.status !== 201) {
    const { namespace = '', name } = manifest.metadata;
    throw new Error(`${manifest.kind} ${namespace}/${name} was not created: ${messageOf(answer)}`);
  }
}

const plurals: Record<string, string> = { Ingress: 'ingresses', StorageClass: 'storageclasses' };

function collectionPath({ apiVersion, kind, metadata: { namespace } }: Manifest): string {
  const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const plural = plurals[kind] ?? `${kind.toLowerCase()}s`;
  return namespace === undefined ? `${base}/${plural}` : `${base}/namespaces/${namespace}/${plural}`;
}

function messageOf({ status, body, text }: KubernetesAnswer): string {
  return `${status} ${typeof body?.message === 'string' ? body.message : text}`;
}

interface ReadyObject {
  metadata: { name: string; namespace?: string; generation?: number };
  spec?: { replicas?: number; selector?: { matchLabels?: Record<string, string> } };
  status?: {
    readyReplicas?: number;
    observedGeneration?: number;
    expectedPods?: number;
    currentHealthy?: number;
    conditions?: { type: string; status: string }[];
  };
}

/**
 * Resolves when every node is Ready, every Deployment and StatefulSet has all of its pods Ready and every budget has been counted; those
 * of one namespace, where it is given. Throws an Error with what is still missing after the limit.
 */
export async function untilSettled(
  send: KubernetesRequest,
  { timeoutMs = settleTimeoutDefaultMs, namespace }: { timeoutMs?: number; namespace?: string } = {},
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    const missing = await whatIsMissing(send, namespace);
    if (missing.length === 0) return;
    if (performance.now() > giveUpAt) {
      const shown = missing.slice(0, 5).join('; ');
      throw new Error(`The cluster has not settled after ${timeoutMs / 1000} s: ${shown}${missing.length > 5 ? '; …' : ''}.`);
    }
    await wait(lookPauseMs);
  }
}

async function whatIsMissing(send: KubernetesRequest, namespace: string | undefined): Promise<string[]> {
  const within = namespace === undefined ? '' : `/namespaces/${namespace}`;
  const [nodes, deployments, statefulSets, budgets] = await Promise.all([
    list(send, '/api/v1/nodes'),
    list(send, `/apis/apps/v1${within}/deployments`),
    list(send, `/apis/apps/v1${within}/statefulsets`),
    list(send, `/apis/policy/v1${within}/poddisruptionbudgets`),
  ]);
  const unready = nodes.filter(({ status }) => !status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'));
  const partial = [...deployments, ...statefulSets].filter(({ spec, status }) => (status?.readyReplicas ?? 0) < (spec?.replicas ?? 1));
  const uncounted = budgets.filter(({ metadata, status }) => !isCounted(metadata.generation, status));
  return [
    ...unready.map(({ metadata }) => `node ${metadata.name} is not Ready`),
    ...partial.map(
      ({ metadata, spec, status }) => `${metadata.name} has ${status?.readyReplicas ?? 0} of ${spec?.replicas ?? 1} pods Ready`,
    ),
    ...uncounted.map(({ metadata }) => `the budget ${metadata.name} has not been counted`),
  ];
}

function isCounted(generation: number | undefined, status: ReadyObject['status']): boolean {
  if (status === undefined || (status.observedGeneration ?? 0) < (generation ?? 0)) return false;
  return (status.currentHealthy ?? 0) >= (status.expectedPods ?? 0);
}

async function list(send: KubernetesRequest, path: string): Promise<ReadyObject[]> {
  const answer = await send('GET', path);
  if (answer.status !== 200) throw new Error(`${path} cannot be listed: ${messageOf(answer)}`);
  return (answer.body?.items ?? []) as ReadyObject[];
}
