import type { V1Node } from '@kubernetes/client-node';
import { placementOf, groupOfNode } from '../../../domain/drain/placement.ts';
import { hasEnded, isDaemon, podName, workloadOf } from '../../../domain/drain/pod.ts';
import { expectedNodes, expectedOfNodes, type ExpectedChange } from '../../../domain/plan/expected.ts';
import type { Target } from '../../../domain/target.ts';
import { compareText } from '../../../domain/text.ts';
import type { Clients } from '../../clients.ts';
import { inParallel, listAll, listNodes, nodeIsReady } from '../../kubernetes/client/read.ts';
import { podToPlace, remainingNode } from '../../kubernetes/drain/placement-view.ts';
import { plannedPodKind } from '../../kubernetes/drain/planned-pod.ts';
import { readVolumes } from '../../kubernetes/drain/volumes.ts';
import { findNodegroup, nodegroupLabel } from './nodegroup.ts';

const unschedulableTaint = 'node.kubernetes.io/unschedulable';
/** Statuses of a node group whose nodes go soon, though they may still take pods. */
const leavingStatuses = new Set(['DELETING', 'DELETE_FAILED', '']);

/**
 * The groups of nodes that take pods when a node group is gone, as `groupOfNode` names them, sorted: of each at least one node is Ready
 * and not cordoned, and EKS is not deleting it. Throws `kubernetes-…` and `aws-…` errors.
 * @param leaving the nodes of the group that goes
 * @param expected what earlier steps will have done by then
 */
export async function groupsBeside(
  clients: Clients,
  target: Target,
  leaving: readonly string[],
  expected: readonly ExpectedChange[] = [],
): Promise<string[]> {
  const gone = new Set(leaving);
  const { removed, cordoned } = expectedOfNodes(expected);
  const isOpen = (node: V1Node): boolean => {
    const name = node.metadata?.name ?? '';
    if (gone.has(name) || removed.has(name)) return false;
    return nodeIsReady(node) && !(cordoned.get(name) ?? node.spec?.unschedulable === true);
  };
  const open = (await listNodes(await clients.kubernetes(target), target.name))
    .filter(isOpen)
    .map(({ metadata }) => metadata?.labels ?? {});
  const names = [...new Set(open.flatMap((labels) => labels[nodegroupLabel] ?? []))];
  const found = await inParallel(names, (name) => findNodegroup(clients, target, name));
  // One that EKS does not know any more leaves nodes for a moment.
  const ending = new Set(names.filter((_name, index) => leavingStatuses.has(found[index]?.status ?? '')));
  const staying = open.filter((labels) => !ending.has(labels[nodegroupLabel] ?? ''));
  const groups = [...staying, ...expectedNodes(expected).map(({ labels }) => labels)].map(groupOfNode);
  return [...new Set(groups)].sort(compareText);
}

/**
 * The pods, `namespace/name`, for which the scheduler finds no node and that these nodes would take, were they not cordoned and empty:
 * whoever deletes such nodes takes the last place from them. Throws `kubernetes-…` errors.
 */
export async function podsThatNeed(clients: Clients, target: Target, nodes: readonly V1Node[]): Promise<string[]> {
  if (nodes.length === 0) return [];
  const apis = await clients.kubernetes(target);
  const kind = { ...plannedPodKind, title: 'the pods without a node' };
  const pods = await listAll(apis, target.name, kind, { fieldSelector: 'spec.nodeName=' });
  const waiting = pods.filter(({ view }) => view.unschedulable !== undefined && !view.terminating && !hasEnded(view) && !isDaemon(view));
  if (waiting.length === 0) return [];
  const needs = waiting.map((pod) => pod.needs);
  const volumes = await readVolumes(apis, target.name, needs);
  const toPlace = waiting.map(({ view, needs: own }) => podToPlace(view, own, workloadOf(view), volumes));
  const { problems } = placementOf(toPlace, nodes.map(asOpen));
  const placeless = new Set(problems.flatMap((problem) => problem.pods));
  return waiting.map(({ view }) => podName(view)).filter((name) => !placeless.has(name));
}

function asOpen(node: V1Node): ReturnType<typeof remainingNode> {
  const taints = node.spec?.taints?.filter(({ key }) => key !== unschedulableTaint);
  return remainingNode({ ...node, spec: { ...node.spec, unschedulable: false, taints } }, []);
}
