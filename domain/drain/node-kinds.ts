import { labelOf } from './selector.ts';

/** What a node is, where it is no ordinary machine with Linux. */
export type NodeKind = 'fargate' | 'virtual' | 'hybrid' | 'auto' | 'windows';

const computeTypeLabel = 'eks.amazonaws.com/compute-type';
const computeTypes: Readonly<Record<string, NodeKind>> = { fargate: 'fargate', hybrid: 'hybrid', auto: 'auto' };

/** How people call such nodes, and what a drain means for them. */
const meanings: Readonly<Record<NodeKind, { name: string; meaning: string }>> = {
  fargate: { name: 'AWS Fargate', meaning: 'each pod is made anew on a node of its own, and the present node goes with its pod.' },
  virtual: { name: 'virtual-kubelet', meaning: 'pods run outside of the cluster, and end there when they are evicted.' },
  hybrid: {
    name: 'EKS Hybrid Nodes',
    meaning: 'volumes and load balancers of AWS do not follow the pods, and nothing brings another node in the place of one.',
  },
  auto: { name: 'EKS Auto Mode', meaning: 'it drains and replaces its nodes by itself, too, at the latest at the end of their life.' },
  windows: { name: 'Windows', meaning: 'pods need other Windows nodes, and take longer to start and to end than those of Linux.' },
};

/** The kind of a node by its labels; undefined for an ordinary one. Sources: EKS user guide (compute types), virtual-kubelet. */
export function nodeKindOf(labels: Readonly<Record<string, string>> = {}): NodeKind | undefined {
  const compute = labelOf(labels, computeTypeLabel);
  if (compute !== undefined && Object.hasOwn(computeTypes, compute)) return computeTypes[compute];
  if (labelOf(labels, 'type') === 'virtual-kubelet') return 'virtual';
  return labelOf(labels, 'kubernetes.io/os') === 'windows' ? 'windows' : undefined;
}

/** What people should know of drained nodes that are no ordinary machines: one note for each kind. */
export function nodeKindNotes(nodes: readonly { name: string; labels?: Readonly<Record<string, string>> }[]): string[] {
  return (Object.keys(meanings) as NodeKind[]).flatMap((kind) => {
    const names = nodes.filter(({ labels }) => nodeKindOf(labels) === kind).map(({ name }) => name);
    const [first, ...others] = names;
    if (first === undefined) return [];
    const { name, meaning } = meanings[kind];
    return [`Nodes of ${name} (${first}${others.length > 0 ? ` and ${others.length} more` : ''}): ${meaning}`];
  });
}
