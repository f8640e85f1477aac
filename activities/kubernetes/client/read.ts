import type { V1APIService, V1Node } from '@kubernetes/client-node';
import pMap from 'p-map';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { closestName } from '../../../domain/suggestion.ts';
import { firstNames } from '../../../domain/text.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import { apiPath, type KubernetesApis } from './connect.ts';
import { kinds, viewedAs } from './kinds.ts';
import { itemsOf, readList, readPatiently, type Kind, type ListOptions } from './list.ts';
import { budgetView, podView } from '../drain/view.ts';

const requestsAtOnceMax = 16;

/** All objects of a kind, or those that a selector picks. Throws `kubernetes-…` errors. */
export async function listAll<Item>(apis: KubernetesApis, cluster: string, kind: Kind<Item>, options?: ListOptions): Promise<Item[]> {
  return itemsOf(await readList(kind, cluster, () => Promise.resolve(apis), options));
}

/**
 * The same; where they may not be read there are none, and their title joins what is unread: whoever reads them by the way has a plan that
 * is as good as it can be without them. Throws other `kubernetes-…` errors.
 */
export async function listUnlessDenied<Item>(apis: KubernetesApis, cluster: string, kind: Kind<Item>, unread: string[]): Promise<Item[]> {
  try {
    return await listAll(apis, cluster, kind);
  } catch (error) {
    if (!(error instanceof HoldpointError) || !['kubernetes-denied', 'kubernetes-refused'].includes(error.code)) throw error;
    unread.push(kind.title);
    return [];
  }
}

/** All nodes that match a label selector (all of the cluster without one). */
export async function listNodes(apis: KubernetesApis, cluster: string, labelSelector?: string): Promise<V1Node[]> {
  return listAll(apis, cluster, kinds.nodes, { labelSelector });
}

/** A node by its name; undefined where it does not exist. */
export async function readNode(apis: KubernetesApis, cluster: string, name: string): Promise<V1Node | undefined> {
  try {
    return await readPatiently(() => apis.request<V1Node>('GET', apiPath`/api/v1/nodes/${name}`));
  } catch (error) {
    if (kubernetesCode(error) === 404) return undefined;
    throw kubernetesError(error, `read node ${name}`, cluster);
  }
}

/** The nodes that exist, in the order of the names, and the names of those that do not. */
export async function findNodes(
  apis: KubernetesApis,
  cluster: string,
  names: readonly string[],
): Promise<{ nodes: V1Node[]; missing: string[] }> {
  const found = await inParallel(names, (name) => readNode(apis, cluster, name));
  return { nodes: found.flatMap((node) => node ?? []), missing: names.filter((_name, index) => !found[index]) };
}

/** That a cluster has none of those nodes, with the names that were most likely meant. */
export function nodesUnknown(cluster: string, unknown: readonly string[], known: readonly string[]): HoldpointError {
  const meant = unknown.map((name) => known.find((other) => other.startsWith(`${name}.`)) ?? closestName(name, known));
  const names = [...new Set(meant.flatMap((name) => (name === undefined ? [] : `"${name}"`)))];
  const shown = firstNames(names);
  const hint = names.length === 0 ? '' : ` Did you mean ${shown}?`;
  return new HoldpointError('node-unknown', { cluster, node: firstNames(unknown) }, { hint });
}

/** The pods of some nodes, in no particular order. */
export async function podsOnNodes(apis: KubernetesApis, cluster: string, nodes: readonly string[]): Promise<PodView[]> {
  const pods = viewedAs(kinds.pods, podView);
  const lists = await inParallel(nodes, (node) =>
    listAll(apis, cluster, { ...pods, title: `the pods of node ${node}` }, { fieldSelector: `spec.nodeName=${node}` }),
  );
  return lists.flat();
}

/** All PodDisruptionBudgets of the cluster. */
export async function listBudgets(apis: KubernetesApis, cluster: string): Promise<BudgetView[]> {
  return listAll(apis, cluster, viewedAs(kinds.budgets, budgetView));
}

/** Whether the kubelet of a node says that it is Ready. */
export function nodeIsReady(node: V1Node): boolean {
  return (node.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Whether an aggregated API answers. One that the API server itself serves has no service, and needs none. */
export function apiServiceIsAvailable({ spec, status }: V1APIService): boolean {
  const isAvailable = (status?.conditions ?? []).some((condition) => condition.type === 'Available' && condition.status === 'True');
  return spec?.service === undefined || isAvailable;
}

/** Runs a call for each item, so many at a time; answers in the order of the items. After the first error no further one is begun. */
export async function inParallel<Item, Result>(items: readonly Item[], call: (item: Item) => Promise<Result>): Promise<Result[]> {
  return pMap(items, call, { concurrency: requestsAtOnceMax });
}
