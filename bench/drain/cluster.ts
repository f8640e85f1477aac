import { setTimeout as wait } from 'node:timers/promises';
import type { KubernetesAnswer, KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests, type Manifest } from '../../lab/workloads.ts';
import type { PodFates } from './pod-fates.ts';
import { readiedLabel } from './pod-fates.ts';
import { drainedNodes, fatesOf, namespace, type BenchWorkload, type Fates, type Scenario } from './scenarios.ts';

const clearTimeoutMs = 60_000;
const pauseMs = 100;
const podsPath = `/api/v1/namespaces/${namespace}/pods`;
/** Of the kinds that hold or make pods, those above first, so that nothing comes back. */
const collections = [
  `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`,
  `/apis/apps/v1/namespaces/${namespace}/deployments`,
  `/apis/apps/v1/namespaces/${namespace}/statefulsets`,
  `/apis/apps/v1/namespaces/${namespace}/replicasets`,
  podsPath,
];

/** A pod as far as the benchmark looks at it. */
interface PodSeen {
  metadata: { name: string; labels?: Record<string, string> };
  spec: { nodeName?: string };
}

/** Creates the nodes that the scenario needs and that are not there, and removes those that it does not have. */
export async function bringNodes(send: KubernetesRequest, { nodes: count }: Scenario): Promise<void> {
  const wanted = nodeManifests({ count });
  const present = await itemsOf<Manifest>(send, '/api/v1/nodes');
  const isIn = (some: readonly Manifest[], { metadata }: Manifest): boolean => some.some((other) => other.metadata.name === metadata.name);
  for (const node of present) if (!isIn(wanted, node)) await send('DELETE', `/api/v1/nodes/${node.metadata.name}`);
  await createAll(
    send,
    wanted.filter((node) => !isIn(present, node)),
  );
}

/**
 * Brings the cluster to where every turn of a round begins: nodes in service and without marks, fresh pods where the scenario has
 * them, budgets counted. Throws where a pod is not where it should be.
 */
export async function setOut(send: KubernetesRequest, podFates: PodFates, scenario: Scenario, round: number): Promise<void> {
  await clear(send);
  await putBackIntoService(send);
  const fates = fatesOf(scenario, round);
  podFates.begin(fates);
  await createAll(send, scenario.workloads.flatMap(manifestsOf));
  await untilReady(send, scenario);
  await checkPlaces(send, fates);
}

/** Takes every pod of the scenario away at once, whatever it would take to end. */
export async function clear(send: KubernetesRequest): Promise<void> {
  const giveUpAt = performance.now() + clearTimeoutMs;
  for (;;) {
    const left = await Promise.all(collections.map((path) => itemsOf(send, path)));
    if (left.flat().length === 0) return;
    if (performance.now() > giveUpAt) throw new Error(`The objects of the turn before are still there after ${clearTimeoutMs / 1000} s.`);
    for (const path of collections) await send('DELETE', path, { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 });
    await wait(pauseMs);
  }
}

async function putBackIntoService(send: KubernetesRequest): Promise<void> {
  for (const { metadata, spec } of await itemsOf<Manifest & { spec: { unschedulable?: boolean } }>(send, '/api/v1/nodes')) {
    const marksOf = (map: Record<string, string> = {}): [string, null][] =>
      Object.keys(map).flatMap((key): [string, null][] => (/^holdpoint\.dev\/|exclude-from-external/.test(key) ? [[key, null]] : []));
    const marks = { annotations: Object.fromEntries(marksOf(metadata.annotations)), labels: Object.fromEntries(marksOf(metadata.labels)) };
    const isMarked = Object.keys({ ...marks.annotations, ...marks.labels }).length > 0;
    if (spec.unschedulable !== true && !isMarked) continue;
    const patch = { metadata: marks, spec: { unschedulable: null, taints: null } };
    const answer = await send('PATCH', `/api/v1/nodes/${metadata.name}`, patch, 'application/merge-patch+json');
    if (answer.status !== 200) throw new Error(`The node ${metadata.name} was not put back into service: ${answer.text}`);
  }
}

function manifestsOf({ name, replicas, kind, budget }: BenchWorkload): Manifest[] {
  return workloadManifests({ name, namespace, replicas, kind, budget, cpu: '10m' });
}

/** A workload whose budget opens late lacks one Ready pod until then. */
async function untilReady(send: KubernetesRequest, { workloads }: Scenario): Promise<void> {
  if (workloads.every(({ opensAfterSeconds }) => opensAfterSeconds === undefined)) return untilSettled(send);
  const giveUpAt = performance.now() + clearTimeoutMs;
  for (;;) {
    const deployments = await itemsOf<Manifest & { status?: { readyReplicas?: number } }>(send, collections[1] ?? '');
    const budgets = await itemsOf<Manifest & { status?: { currentHealthy?: number } }>(send, collections[0] ?? '');
    const isShort = workloads.some(({ name, replicas, opensAfterSeconds }) => {
      const due = opensAfterSeconds === undefined ? replicas : replicas - 1;
      const deployment = deployments.find(({ metadata }) => metadata.name === name);
      const counted = budgets.find(({ metadata }) => metadata.name === name)?.status?.currentHealthy;
      return (deployment?.status?.readyReplicas ?? 0) < due || counted !== due;
    });
    if (!isShort) return;
    if (performance.now() > giveUpAt) throw new Error('The pods of the scenario are not Ready.');
    await wait(pauseMs);
  }
}

async function checkPlaces(send: KubernetesRequest, fates: ReadonlyMap<string, Fates>): Promise<void> {
  const seen = (await itemsOf<PodSeen>(send, podsPath)).map(({ metadata, spec }) => `${metadata.labels?.app} on ${spec.nodeName}`);
  const meant = [...fates].flatMap(([app, { first }]) => first.map(({ node }) => `${app} on ${node}`));
  if (seen.sort().join('; ') !== meant.sort().join('; ')) throw new Error(`The pods are not where they should be: ${seen.join('; ')}`);
}

/** How many pods of the scenario are on the nodes to be drained. */
export async function podsToMove(send: KubernetesRequest, scenario: Scenario): Promise<number> {
  const nodes = drainedNodes(scenario);
  return (await itemsOf<PodSeen>(send, podsPath)).filter(({ spec }) => nodes.includes(spec.nodeName ?? '')).length;
}

/** Opens the budget of a workload: its pod that is not Ready becomes so. */
export async function makeReady(send: KubernetesRequest, app: string): Promise<void> {
  const [pod] = await itemsOf<PodSeen>(send, `${podsPath}?labelSelector=app%3D${app}%2C${readiedLabel}%3Dtrue`);
  const now = new Date().toISOString().replace(/\.\d+/, '');
  const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'True', lastTransitionTime: now }));
  const path = `${podsPath}/${pod?.metadata.name}/status`;
  const answer: KubernetesAnswer = await send('PATCH', path, { status: { conditions } }, 'application/strategic-merge-patch+json');
  if (answer.status !== 200) throw new Error(`The budget of ${app} was not opened: ${answer.text}`);
}

async function itemsOf<Item = unknown>(send: KubernetesRequest, path: string): Promise<Item[]> {
  const { status, body, text } = await send('GET', path);
  if (status !== 200) throw new Error(`${path} cannot be listed: ${text}`);
  return (body?.items ?? []) as Item[];
}
