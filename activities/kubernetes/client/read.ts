import { setTimeout as wait } from 'node:timers/promises';
import type { V1Node } from '@kubernetes/client-node';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { kubernetesCode, kubernetesError } from '../../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { budgetView, podView } from '../drain/view.ts';

const pageSize = 500;
const pagesMax = 400;
const listAttemptsMax = 3;
const requestsAtOnceMax = 16;
/** How often a read is sent, as the AWS SDK does by itself: a look takes many reads, and one lost answer must not spoil it. */
const readAttemptsMax = 3;
const readPauseMs = 200;

interface Page<Item> {
  items: Item[];
  metadata?: { _continue?: string };
}

type ReadPage<Item> = (limit: number, next?: string) => Promise<Page<Item>>;

/**
 * Reads a whole list page by page, so that no answer grows with the cluster. A list that takes so long that the server
 * has forgotten its beginning (410) is begun again. Throws `kubernetes-…` errors.
 */
export async function listAll<Item>(call: string, cluster: string, read: ReadPage<Item>): Promise<Item[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listOnce(call, cluster, read);
    } catch (error) {
      if (kubernetesCode(error) !== 410 || attempt >= listAttemptsMax) throw kubernetesError(error, call, cluster);
    }
  }
}

async function listOnce<Item>(call: string, cluster: string, read: ReadPage<Item>): Promise<Item[]> {
  const items: Item[] = [];
  let next: string | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const answer = await readPatiently(() => read(pageSize, next));
    items.push(...answer.items);
    next = answer.metadata?._continue;
    if (!next) return items;
  }
  throw new HoldpointError('kubernetes-refused', { call, cluster, cause: `more than ${pagesMax * pageSize} objects` });
}

/** Reads anew after an error that may pass by itself. */
export async function readPatiently<Answer>(read: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      if (attempt >= readAttemptsMax || kubernetesError(error, 'read', '').consequence !== 'retry') throw error;
      await wait(readPauseMs * attempt);
    }
  }
}

/** All nodes that match a label selector (all of the cluster without one). */
export async function listNodes({ core }: KubernetesApis, cluster: string, labelSelector?: string): Promise<V1Node[]> {
  return listAll('list nodes', cluster, (limit, _continue) => core.listNode({ limit, _continue, labelSelector }));
}

/** A node by its name; undefined where it does not exist. */
export async function readNode({ core }: KubernetesApis, cluster: string, name: string): Promise<V1Node | undefined> {
  try {
    return await readPatiently(() => core.readNode({ name }));
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

/** The pods of some nodes, in no particular order. */
export async function podsOnNodes({ core }: KubernetesApis, cluster: string, nodes: readonly string[]): Promise<PodView[]> {
  const lists = await inParallel(nodes, (node) =>
    listAll(`list the pods of node ${node}`, cluster, (limit, _continue) =>
      core.listPodForAllNamespaces({ limit, _continue, fieldSelector: `spec.nodeName=${node}` }),
    ),
  );
  return lists.flat().map(podView);
}

/** All PodDisruptionBudgets of the cluster. */
export async function listBudgets({ policy }: KubernetesApis, cluster: string): Promise<BudgetView[]> {
  const budgets = await listAll('list pod disruption budgets', cluster, (limit, _continue) =>
    policy.listPodDisruptionBudgetForAllNamespaces({ limit, _continue }),
  );
  return budgets.map(budgetView);
}

/** Whether the kubelet of a node says that it is Ready. */
export function nodeIsReady(node: V1Node): boolean {
  return (node.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Runs a call for each item with a bound on how many are under way; answers in the order of the items. */
export async function inParallel<Item, Result>(items: readonly Item[], call: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let start = 0; start < items.length; start += requestsAtOnceMax) {
    results.push(...(await Promise.all(items.slice(start, start + requestsAtOnceMax).map(call))));
  }
  return results;
}
