import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isServing, listInstances } from '../lab/instances.ts';
import { kubeconfigOf, readKubeconfig, requester, type KubernetesRequest } from '../lab/kubernetes-access.ts';
import { findKubernetes } from '../lab/kubernetes-binaries.ts';
import { startControlPlane } from '../lab/kubernetes.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests, type Manifest } from '../lab/workloads.ts';
import { timed, type ClusterStart, type EnvironmentCluster } from './environment.ts';

/** What the cluster is called in holdpoint.yaml: the target is `kubernetes/lab`. */
export const labClusterName = 'lab';

const context = 'holdpoint-lab';
const nodeCount = 6;
const lookPauseMs = 200;
const cleanUpTimeoutMs = 60_000;

/** What was seen of the cluster while a run worked on it, and what is left at its nodes now. */
export interface LabSighting {
  podsMoved: number;
  violations: string[];
  leftovers: string[];
}

/** A real control plane with nodes and workloads of the demo's own. */
export interface LabCluster extends EnvironmentCluster {
  nodes: string[];
  /** Notes the pods of some nodes, and looks at every PodDisruptionBudget until the function that it gives is called. */
  watch(nodes: readonly string[]): Promise<() => Promise<LabSighting>>;
}

/** What a lab consists of, for the demo. */
interface Plane {
  request: KubernetesRequest;
  kubeconfig: string;
  broken: Promise<string>;
  /** Ends it, or takes the demo's objects away where it stays up. */
  leave(id: string, nodes: readonly string[]): Promise<void>;
}

interface ListedObject {
  metadata: { name: string; annotations?: Record<string, string>; uid: string };
  spec?: { nodeName?: string; unschedulable?: boolean };
  status?: { currentHealthy?: number; desiredHealthy?: number };
}

/** Uses the lab that is up, or starts one; makes nodes and workloads in it, and takes them away at the end. */
export async function startLabCluster(start: ClusterStart): Promise<LabCluster> {
  const { report } = start;
  const plane = (await planeThatServes(report)) ?? (await startPlane(start));
  const id = `demo-${process.pid}`;
  const nodes = Array.from({ length: nodeCount }, (_, index) => `${id}-${index}`);
  try {
    await timed('the workloads', report, async () => {
      await createAll(plane.request, manifestsOf(id));
      await untilSettled(plane.request, { namespace: id });
    });
  } catch (error) {
    await plane.leave(id, nodes);
    throw error;
  }
  return {
    nodes,
    env: { KUBECONFIG: plane.kubeconfig },
    clusters: { [labClusterName]: { kubeconfig: plane.kubeconfig, context } },
    broken: plane.broken,
    watch: (drained) => watchBudgets(plane.request, id, drained),
    stop: () => plane.leave(id, nodes),
  };
}

async function planeThatServes(report: (sentence: string) => void): Promise<Plane | undefined> {
  for (const instance of await listInstances(process.env)) {
    const { kubeconfig } = instance;
    if (kubeconfig === undefined || !(await isServing(instance))) continue;
    report(`Using the lab ${instance.name}, which is up.`);
    const request = requester(await readKubeconfig(kubeconfig));
    return { request, kubeconfig, broken: new Promise(() => undefined), leave: (id, nodes) => cleanUp(request, id, nodes) };
  }
  return undefined;
}

async function startPlane({ directory, report, signal }: ClusterStart): Promise<Plane> {
  const binaries = await findKubernetes(report, { env: process.env, signal });
  const plane = await timed('the control plane: etcd, kube-apiserver, controllers, kwok', report, () =>
    startControlPlane({ binaries, signal }),
  );
  // Its own file goes with it, which a second terminal may read for a moment longer.
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigOf(plane), { mode: 0o600 });
  return { request: plane.request, kubeconfig, broken: plane.broken, leave: () => plane.stop() };
}

/** A shop whose pods are slow enough to be watched, spread over nodes that are the demo's alone. */
function manifestsOf(id: string): Manifest[] {
  const shared = { namespace: id, shutdownSeconds: 2 };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: id } },
    ...nodeManifests({ count: nodeCount, prefix: id }),
    ...workloadManifests({ ...shared, name: 'web', replicas: 6, budget: { maxUnavailable: 1 }, readinessSeconds: 3 }),
    ...workloadManifests({ ...shared, name: 'api', replicas: 4, budget: { minAvailable: 3 }, readinessSeconds: 2 }),
    ...workloadManifests({
      ...shared,
      name: 'store',
      kind: 'StatefulSet',
      replicas: 3,
      budget: { maxUnavailable: 1 },
      readinessSeconds: 4,
    }),
    ...workloadManifests({ ...shared, name: 'mail', replicas: 2, readinessSeconds: 1 }),
  ];
}

async function list(request: KubernetesRequest, path: string): Promise<ListedObject[]> {
  const { status, body, text } = await request('GET', path);
  if (status !== 200) throw new Error(`GET ${path} answers ${status}: ${text}`);
  return (body?.items ?? []) as ListedObject[];
}

async function watchBudgets(request: KubernetesRequest, id: string, drained: readonly string[]): Promise<() => Promise<LabSighting>> {
  const podsOf = async (): Promise<ListedObject[]> => {
    const pods = await list(request, `/api/v1/namespaces/${id}/pods`);
    return pods.filter(({ spec }) => drained.includes(spec?.nodeName ?? ''));
  };
  const before = await podsOf();
  const violations = new Set<string>();
  let isOver = false;
  const look = async (): Promise<void> => {
    while (!isOver) {
      const budgets = await list(request, `/apis/policy/v1/namespaces/${id}/poddisruptionbudgets`);
      for (const { metadata, status } of budgets) {
        const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
        if (currentHealthy >= desiredHealthy) continue;
        violations.add(
          `The PodDisruptionBudget ${metadata.name} had ${currentHealthy} healthy pods of the ${desiredHealthy} that it asks for.`,
        );
      }
      await wait(lookPauseMs);
    }
  };
  const looking = look();
  looking.catch(() => undefined);
  return async () => {
    isOver = true;
    await looking;
    const left = new Set((await podsOf()).map(({ metadata }) => metadata.uid));
    const podsMoved = before.filter(({ metadata }) => !left.has(metadata.uid)).length;
    return { podsMoved, violations: [...violations], leftovers: await leftoversAt(request, id) };
  };
}

/** Cordons and annotations that a run should have taken back. */
async function leftoversAt(request: KubernetesRequest, id: string): Promise<string[]> {
  const nodes = (await list(request, '/api/v1/nodes')).filter(({ metadata }) => metadata.name.startsWith(`${id}-`));
  return nodes.flatMap(({ metadata, spec }) => {
    const ours = Object.keys(metadata.annotations ?? {}).filter((name) => name.startsWith('holdpoint.dev/'));
    const found = [...(spec?.unschedulable === true ? ['it is cordoned'] : []), ...ours.map((name) => `it has the annotation ${name}`)];
    return found.map((what) => `Node ${metadata.name}: ${what}.`);
  });
}

/** A lab that was up before stays up, without what the demo has put into it. */
async function cleanUp(request: KubernetesRequest, id: string, nodes: readonly string[]): Promise<void> {
  await request('DELETE', `/api/v1/namespaces/${id}`);
  const giveUpAt = performance.now() + cleanUpTimeoutMs;
  while ((await request('GET', `/api/v1/namespaces/${id}`)).status !== 404 && performance.now() < giveUpAt) await wait(lookPauseMs);
  for (const node of nodes) await request('DELETE', `/api/v1/nodes/${node}`);
}
