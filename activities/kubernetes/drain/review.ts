import type { V1Pod } from '@kubernetes/client-node';
import { BudgetIndex, type BudgetView } from '../../../domain/drain/budget.ts';
import { placementProblems, type PlacementProblem } from '../../../domain/drain/placement.ts';
import { hasEnded, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { trafficWarnings, type TrafficWarning } from '../../../domain/drain/traffic-audit.ts';
import type { ClusterReading } from './cluster-state.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { podToPlace, remainingNode } from './placement-view.ts';
import { trafficPod } from './traffic-view.ts';
import { podView } from './view.ts';
import { readVolumes } from './volumes.ts';

/** What a drain would do to the pods that it moves, beyond evicting them. */
export interface DrainReview {
  /** Pods that would find no place on the nodes that stay. */
  placement: PlacementProblem[];
  /** What it would cost the traffic of workloads. */
  traffic: TrafficWarning[];
}

interface SeenPod {
  pod: V1Pod;
  view: PodView;
}

/**
 * Reviews a drain of some nodes of a cluster: whether their pods find a place on the others, and what is lost on the way. Reads
 * the persistent volumes where the pods use any; changes nothing. Throws `kubernetes-…` errors.
 * @param reading the cluster as it has just been read
 * @param drained names of the nodes
 * @param budgets those that may protect the pods
 * @param moves whether the drain moves a pod of these nodes
 */
export async function reviewDrain(
  apis: KubernetesApis,
  cluster: string,
  { nodes, pods: allPods }: Pick<ClusterReading, 'nodes' | 'pods'>,
  drained: readonly string[],
  budgets: readonly BudgetView[],
  moves: (pod: PodView) => boolean,
): Promise<DrainReview> {
  const pods = allPods.map((pod): SeenPod => ({ pod, view: podView(pod) })).filter(({ view }) => !hasEnded(view));
  const leaves = new Set(drained);
  // One that is ending already has been replaced, or will not be.
  const moving = pods.filter(({ view }) => leaves.has(view.node) && !view.terminating && moves(view));
  const volumes = await readVolumes(
    apis,
    cluster,
    moving.map(({ pod }) => pod),
  );
  const onNode = groupBy(pods, ({ view }) => view.node);
  const remaining = nodes
    .filter(({ metadata }) => !leaves.has(metadata?.name ?? ''))
    .map((node) =>
      remainingNode(
        node,
        (onNode.get(node.metadata?.name ?? '') ?? []).map(({ pod }) => pod),
      ),
    );
  const places = moving.map(({ pod, view }) => podToPlace(pod, workloadOf(view), volumes));
  return { placement: placementProblems(places, remaining), traffic: trafficWarnings(trafficOf(moving, pods, budgets)) };
}

function trafficOf(moving: readonly SeenPod[], all: readonly SeenPod[], budgets: readonly BudgetView[]) {
  const workloads = groupBy(all, ({ view }) => workloadOf(view));
  const index = new BudgetIndex(budgets);
  return moving.map(({ pod, view }) => {
    const workload = workloadOf(view);
    const replicas = workloads.get(workload)?.length ?? 1;
    return trafficPod(pod, { workload, replicas, hasBudget: index.of(view).length > 0 });
  });
}

function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/** A review in sentences, for the notes of a plan. */
export function reviewWarnings({ placement, traffic }: DrainReview): string[] {
  return [...placement, ...traffic].map(({ sentence, remedy }) => `${sentence} ${remedy}`);
}
