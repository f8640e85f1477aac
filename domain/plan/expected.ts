/**
 * What a step will have done to the world by the time a later one is carried out, as far as that is known when both are planned.
 * It is not signed: the effects that bring it about are.
 */
export type ExpectedChange =
  | { change: 'nodes-added'; group: string; nodes: ExpectedNode[] }
  | { change: 'nodes-removed'; nodes: string[] }
  | { change: 'nodes-cordoned'; nodes: string[] }
  /** Their pods will have gone, but for those that a drain leaves. */
  | { change: 'nodes-drained'; nodes: string[] }
  | { change: 'nodes-uncordoned'; nodes: string[] }
  /** `object` as in effects, e.g. `Cluster/demo` or `Nodegroup/demo/blue`. */
  | { change: 'version'; object: string; version: string }
  /** It is no more, e.g. `Nodegroup/demo/blue`. */
  | { change: 'removed'; object: string }
  /** Karpenter replaces no nodes of a NodePool, such as `NodePool/default`. */
  | { change: 'karpenter-held'; object: string }
  /** A run holds an Auto Scaling group, such as `AutoScalingGroup/workers`. */
  | { change: 'group-held'; object: string }
  /** Another certificate authority of the cluster signs, by its id. */
  | { change: 'signer'; certificateAuthority: string }
  /** Another instance of the Aurora cluster is its writer. */
  | { change: 'writer'; instance: string }
  /** The Aurora cluster has a green one that follows it, under the name of a blue/green deployment. */
  | { change: 'blue-green'; deployment: string; engineVersion: string }
  /** The green cluster has taken its place. */
  | { change: 'blue-green-switched'; deployment: string };

/** Nodes that are still to come and are alike. Their names are not known yet; the rest is taken from the nodes that they will be like. */
export interface ExpectedNode {
  /** A name for messages, such as `green in eu-central-1a`. */
  name: string;
  /** How many there will be. */
  count: number;
  labels: { [label: string]: string };
  taints: { key: string; value?: string; effect: string }[];
  /** As `status.allocatable` of a node. */
  allocatable: { [resource: string]: string };
}

/** What will have become of nodes that are there now, by their names. */
export interface ExpectedOfNodes {
  removed: Set<string>;
  drained: Set<string>;
  /** Whether they are cordoned or uncordoned; absent where no step changes that. */
  cordoned: Map<string, boolean>;
}

/** The changes that concern nodes which are there by name: the last one that concerns a node counts. */
export function expectedOfNodes(expected: readonly ExpectedChange[]): ExpectedOfNodes {
  const removed = new Set<string>();
  const drained = new Set<string>();
  const cordoned = new Map<string, boolean>();
  for (const each of expected) {
    if (each.change === 'nodes-removed') for (const node of each.nodes) removed.add(node);
    if (each.change === 'nodes-drained') for (const node of each.nodes) drained.add(node);
    if (each.change === 'nodes-cordoned') for (const node of each.nodes) cordoned.set(node, true);
    if (each.change === 'nodes-uncordoned') for (const node of each.nodes) cordoned.set(node, false);
  }
  return { removed, drained, cordoned };
}

/** The nodes that are still to come, each by itself. */
export function expectedNodes(expected: readonly ExpectedChange[]): ExpectedNode[] {
  const alike = expected.flatMap((each) => (each.change === 'nodes-added' ? each.nodes : []));
  return alike.flatMap((node) =>
    Array.from({ length: node.count }, (_, index) => ({ ...node, name: `${node.name} (${index + 1})`, count: 1 })),
  );
}

/** The version that an object will have by then; undefined where no step changes it. */
export function expectedVersion(expected: readonly ExpectedChange[], object: string): string | undefined {
  const changes = expected.flatMap((each) => (each.change === 'version' && each.object === object ? [each.version] : []));
  return changes.at(-1);
}

/** Whether an object will be no more by then. */
export function isRemoved(expected: readonly ExpectedChange[], object: string): boolean {
  return expected.some((each) => each.change === 'removed' && each.object === object);
}

/** The certificate authority that will sign by then; undefined where no step changes it. */
export function expectedSigner(expected: readonly ExpectedChange[]): string | undefined {
  return expected.flatMap((each) => (each.change === 'signer' ? [each.certificateAuthority] : [])).at(-1);
}

/** The writer that an Aurora cluster will have by then; undefined where no step changes it. */
export function expectedWriter(expected: readonly ExpectedChange[]): string | undefined {
  return expected.flatMap((each) => (each.change === 'writer' ? [each.instance] : [])).at(-1);
}

/** The green cluster that an earlier step will have made under a name; undefined where none does. */
export function expectedBlueGreen(expected: readonly ExpectedChange[], deployment: string): { engineVersion: string } | undefined {
  return expected.findLast((one) => one.change === 'blue-green' && one.deployment === deployment) as { engineVersion: string } | undefined;
}
