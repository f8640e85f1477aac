import type { V1Node } from '@kubernetes/client-node';
import { BudgetIndex, type BudgetView } from '../../../domain/drain/budget.ts';
import { nodeKindOf } from '../../../domain/drain/node-kinds.ts';
import { placementOf, type Placement, type PodToPlace, type RemainingNode } from '../../../domain/drain/placement.ts';
import { hasEnded, isDaemon, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import type { Resources } from '../../../domain/drain/resources.ts';
import { trafficWarnings, type TrafficPod, type TrafficWarning } from '../../../domain/drain/traffic-audit.ts';
import type { KubernetesApis } from '../client/connect.ts';
import type { ExpectedReading } from './expected-reading.ts';
import { comingNode, podToPlace, remainingNode } from './placement-view.ts';
import type { PlannedPod } from './planned-pod.ts';
import { exclusiveClaims, readVolumes } from './volumes.ts';

/** What a drain would do to the pods that it moves, beyond evicting them. */
export interface DrainReview extends Placement {
  /** What it would cost the traffic of workloads. */
  traffic: TrafficWarning[];
  /** Claims, `namespace/name`, whose volumes are on one node at a time. */
  exclusiveClaims: ReadonlySet<string>;
}

/**
 * Reviews a drain of some nodes of a cluster: whether their pods find a place on the others, and what is lost on the way. Reads
 * the persistent volumes where the pods use any; changes nothing. Throws `kubernetes-…` errors.
 * @param reading the cluster as it will be when the drain begins
 * @param drained names of the nodes
 * @param budgets those that may protect the pods
 * @param moves whether the drain moves a pod of these nodes
 */
export async function reviewDrain(
  apis: KubernetesApis,
  cluster: string,
  reading: Pick<ExpectedReading, 'nodes' | 'pods' | 'coming' | 'moved'>,
  drained: readonly string[],
  budgets: readonly BudgetView[],
  moves: (pod: PodView) => boolean,
): Promise<DrainReview> {
  const pods = reading.pods.filter(({ view }) => !hasEnded(view));
  const leaves = new Set(drained);
  // One that is ending already has been replaced, or will not be.
  const moving = pods.filter(({ view }) => leaves.has(view.node) && !view.terminating && moves(view));
  const volumes = await readVolumes(
    apis,
    cluster,
    [...moving, ...reading.moved].map(({ needs }) => needs),
  );
  const toPlace = ({ view, needs }: PlannedPod): PodToPlace => podToPlace(view, needs, workloadOf(view), volumes);
  const onFargate = new Set(reading.nodes.filter(isOfFargate).map(({ metadata }) => metadata?.name));
  const [madeFor, others] = [moving.filter(({ view }) => onFargate.has(view.node)), moving.filter(({ view }) => !onFargate.has(view.node))];
  const found = placementOf(others.map(toPlace), remainingNodes(reading, leaves, pods), reading.moved.map(toPlace));
  // Fargate makes a node for each pod.
  const placement = madeFor.length === 0 ? found : { ...found, destinations: [...found.destinations, 'Fargate'] };
  return { ...placement, traffic: trafficWarnings(trafficOf(moving, pods, budgets)), exclusiveClaims: exclusiveClaims(volumes) };
}

function isOfFargate({ metadata }: V1Node): boolean {
  return nodeKindOf(metadata?.labels) === 'fargate';
}

/** The nodes that stay and those that are to come. */
function remainingNodes(
  { nodes, coming }: Pick<ExpectedReading, 'nodes' | 'coming'>,
  drained: ReadonlySet<string>,
  pods: readonly PlannedPod[],
): RemainingNode[] {
  const onNode = groupBy(pods, ({ view }) => view.node);
  const podsOf = (name: string): PlannedPod[] => onNode.get(name) ?? [];
  const requestsOf = (found: readonly PlannedPod[]): Resources[] => found.map(({ needs }) => needs.requests);
  const staying = nodes.filter(({ metadata }) => !drained.has(metadata?.name ?? ''));
  // A node that comes gets the pods of DaemonSets; how many that will be, a node that goes tells.
  const daemons = [...drained]
    .map((name) => podsOf(name).filter(({ view }) => isDaemon(view)))
    .reduce((most, found) => (found.length > most.length ? found : most), []);
  return [
    ...staying.map((node) => remainingNode(node, requestsOf(podsOf(node.metadata?.name ?? '')))),
    ...coming.map((node) => comingNode(node, requestsOf(daemons))),
  ];
}

function trafficOf(moving: readonly PlannedPod[], all: readonly PlannedPod[], budgets: readonly BudgetView[]): TrafficPod[] {
  const workloads = groupBy(all, ({ view }) => workloadOf(view));
  const index = new BudgetIndex(budgets);
  return moving.map(({ traffic, view }) => {
    const workload = workloadOf(view);
    const replicas = workloads.get(workload)?.length ?? 1;
    return { ...traffic, workload, replicas, hasBudget: index.of(view).length > 0 };
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
