/**
 * What a step will have done to the world by the time a later one is carried out, as far as that is known when both are planned.
 * It is not signed: the effects that bring it about are.
 */
export type ExpectedChange =
  | { change: 'nodes-added'; group: string; nodes: ExpectedNode[] }
  | { change: 'nodes-removed'; nodes: string[] }
  | { change: 'nodes-cordoned'; nodes: string[] }
  | { change: 'nodes-uncordoned'; nodes: string[] }
  /** `object` as in effects, e.g. `Cluster/demo` or `Nodegroup/demo/blue`. */
  | { change: 'version'; object: string; version: string };

/** A node that is still to come. Its name is not known yet; the rest is taken from the nodes that it will be like. */
export interface ExpectedNode {
  /** A name for messages, such as `node 1 of green`. */
  name: string;
  labels: { [label: string]: string };
  taints: { key: string; value?: string; effect: string }[];
  /** As `status.allocatable` of a node. */
  allocatable: { [resource: string]: string };
}

/** The changes that concern nodes which are there by name: which of them are cordoned, and which are gone. */
export function expectedOfNodes(expected: readonly ExpectedChange[]): { removed: Set<string>; cordoned: Map<string, boolean> } {
  const removed = new Set<string>();
  const cordoned = new Map<string, boolean>();
  for (const each of expected) {
    if (each.change === 'nodes-removed') for (const node of each.nodes) removed.add(node);
    if (each.change === 'nodes-cordoned') for (const node of each.nodes) cordoned.set(node, true);
    if (each.change === 'nodes-uncordoned') for (const node of each.nodes) cordoned.set(node, false);
  }
  return { removed, cordoned };
}

/** The nodes that are still to come and stay. */
export function expectedNodes(expected: readonly ExpectedChange[]): ExpectedNode[] {
  return expected.flatMap((each) => (each.change === 'nodes-added' ? each.nodes : []));
}

/** The version that an object will have; undefined where nothing changes it. */
export function expectedVersion(expected: readonly ExpectedChange[], object: string): string | undefined {
  const changes = expected.flatMap((each) => (each.change === 'version' && each.object === object ? [each.version] : []));
  return changes.at(-1);
}
