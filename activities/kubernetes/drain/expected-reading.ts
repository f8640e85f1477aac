import type { V1Node } from '@kubernetes/client-node';
import { hasEnded, staysOnNode } from '../../../domain/drain/pod.ts';
import { expectedNodes, expectedOfNodes, type ExpectedChange, type ExpectedNode } from '../../../domain/plan/expected.ts';
import { asCordonedOrNot } from '../cordon/expected-cordons.ts';
import type { ClusterReading } from './cluster-state.ts';
import type { PlannedPod } from './planned-pod.ts';

/** A cluster as earlier steps will leave it, as far as that is known when a plan is made. */
export interface ExpectedReading extends ClusterReading {
  /** Nodes that are still to come. */
  coming: ExpectedNode[];
  /** Pods that earlier steps move: they are in `pods`, too, without a node, as nobody knows yet where they will be. */
  moved: PlannedPod[];
  /** Names of the nodes that earlier steps drain. */
  drainedBefore: ReadonlySet<string>;
}

/**
 * What a plan has read of a cluster, with what earlier steps will have done to it by then. That the pods of a node which an earlier
 * step drains or removes have gone from it, and are as Ready elsewhere as they are now, is an approximation.
 */
export function expectedReading(reading: ClusterReading, expected: readonly ExpectedChange[], run: string): ExpectedReading {
  if (expected.length === 0) return { ...reading, coming: [], moved: [], drainedBefore: new Set() };
  const { removed, drained } = expectedOfNodes(expected);
  const nodes = reading.nodes.filter((node) => !removed.has(nameOf(node)));
  const moved: PlannedPod[] = [];
  const pods = reading.pods.flatMap((pod): PlannedPod[] => {
    const { view } = pod;
    const { node } = view;
    if (!removed.has(node) && !drained.has(node)) return [pod];
    if (staysOnNode(view)) return removed.has(node) ? [] : [pod];
    if (hasEnded(view) || view.owner === undefined) return [];
    const elsewhere = { ...pod, view: { ...view, node: '' } };
    moved.push(elsewhere);
    return [elsewhere];
  });
  return { ...reading, nodes: asCordonedOrNot(nodes, expected, run), pods, coming: expectedNodes(expected), moved, drainedBefore: drained };
}

function nameOf({ metadata }: V1Node): string {
  return metadata?.name ?? '';
}
