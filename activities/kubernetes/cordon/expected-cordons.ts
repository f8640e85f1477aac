import type { V1Node } from '@kubernetes/client-node';
import { expectedOfNodes, type ExpectedChange } from '../../../domain/plan/expected.ts';
import { cordonAnnotation, cordonState } from './owner-annotation.ts';

/** What the controller of nodes adds to one that is cordoned. */
const cordonTaint = 'node.kubernetes.io/unschedulable';

/**
 * Nodes with the cordons that earlier steps of the run will have set and lifted. A cordon that is there already stays whose it is,
 * as a step that cordons leaves it alone.
 */
export function asCordonedOrNot(nodes: readonly V1Node[], expected: readonly ExpectedChange[], run: string): V1Node[] {
  const { cordoned } = expectedOfNodes(expected);
  return nodes.map((node) => {
    const state = cordonState(node, run);
    const wanted = cordoned.get(node.metadata?.name ?? '');
    if (wanted === true && state === 'none') return withCordon(node, run);
    return wanted === false && state === 'ours' ? withoutCordon(node) : node;
  });
}

function withoutCordon(node: V1Node): V1Node {
  const taints = node.spec?.taints?.filter(({ key }) => key !== cordonTaint);
  return { ...node, spec: { ...node.spec, unschedulable: undefined, taints } };
}

function withCordon(node: V1Node, run: string): V1Node {
  const annotations = { ...node.metadata?.annotations, [cordonAnnotation]: run };
  // Whoever owns the field now has nothing to say about the cordon that is to come.
  return { ...node, metadata: { ...node.metadata, annotations, managedFields: undefined }, spec: { ...node.spec, unschedulable: true } };
}
