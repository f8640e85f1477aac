import { compareText } from '../text.ts';
import {
  matchesNodeSelector,
  matchesTerms,
  repellingTaint,
  taintText,
  termsText,
  type NodeSelectorTerm,
  type SelectableNode,
  type Toleration,
} from './node-selection.ts';
import { countedPods } from './pod.ts';
import { addResources, amountText, type Resources } from './resources.ts';
import { labelOf } from './selector.ts';

/** A pod that must find another node. */
export interface PodToPlace {
  namespace: string;
  name: string;
  /** As people write it, e.g. `Deployment shop/cart`. */
  workload: string;
  /** What it asks for, `pods: 1` included. */
  requests: Resources;
  nodeSelector: Readonly<Record<string, string>>;
  /** The terms of its required node affinity; undefined where it has none. */
  affinity?: readonly NodeSelectorTerm[];
  tolerations: readonly Toleration[];
  volumes: readonly VolumeToPlace[];
}

/** A persistent volume that goes with a pod. */
export interface VolumeToPlace {
  /** Its claim, `namespace/name`. */
  claim: string;
  /** Where it can be used; undefined where that is everywhere. */
  terms?: readonly NodeSelectorTerm[];
  /** Its data is on the disk of one node. */
  local: boolean;
}

/** A node that stays, with what the pods on it ask for already. */
export interface RemainingNode extends SelectableNode {
  ready: boolean;
  allocatable: Resources;
  requested: Resources;
}

/** Why some pods of a workload would find no place. */
export interface PlacementProblem {
  kind: 'no-node' | 'no-node-for-volume' | 'local-volume' | 'no-room';
  workload: string;
  /** The pods concerned, `namespace/name`. */
  pods: string[];
  /** What becomes of the pods, in words that stay the same while pods and nodes come and go: people sign it. */
  risk: string;
  /** The numbers of the moment. */
  detail: string;
  remedy: string;
}

/** Where the pods that a drain evicts are to go. */
export interface Placement {
  /**
   * The groups of nodes of which at least one node takes at least one of the pods, room apart, sorted: `node group green`,
   * `NodePool default`, `other nodes`. They change only when a group comes or goes, not with single nodes and pods.
   */
  destinations: string[];
  /** Why some pods find no place. */
  problems: PlacementProblem[];
}

/** Pods that ask for the same: where one of them finds no room, the next one finds none either. */
interface Likes {
  pods: PodToPlace[];
  /** Nodes that take them, room apart. */
  accepting: RemainingNode[];
  /** Those of them where their volumes can be used. */
  candidates: RemainingNode[];
}

/** Places on a node that one pod only can have, kept like an amount of a resource of which every node has one. */
const hostPortPrefix = 'host port ';
const apartPrefix = 'node apart from ';
/** The labels by which nodes of a kind are known: those of managed node groups of EKS, and of Karpenter. */
const groupLabels = [
  { label: 'eks.amazonaws.com/nodegroup', title: 'node group' },
  { label: 'karpenter.sh/nodepool', title: 'NodePool' },
];
const otherNodes = 'other nodes';
/** What a problem of all workloads is about. */
const everyWorkload = 'every workload on these nodes';
const shownMax = 3;
const noNodeRemedy = 'Add a node that takes them, or change what they ask for, then plan again.';

/** Under what name a host port counts among the resources that a pod requests, e.g. `host port 8080/TCP`. */
export function hostPortResource(port: number, protocol: string): string {
  return `${hostPortPrefix}${port}/${protocol}`;
}

/** Under what name it counts that a pod shares its node with no other of its kind, e.g. `node apart from app=db in shop`. */
export function apartResource(namespace: string, selector: string): string {
  return `${apartPrefix}${selector} in ${namespace}`;
}

/**
 * Where the pods that a drain evicts would find a place on the nodes that stay, as things are now. At most one problem of a kind
 * for each workload, in the order of kinds and workloads; none means that a way to place all pods has been found.
 * `before` are pods that other steps move there first; of them only the room that they take counts.
 *
 * The rules are kube-scheduler's NodeUnschedulable, TaintToleration, NodeAffinity, VolumeBinding and VolumeZone, NodePorts (taken
 * for all addresses of a node), NodeResourcesFit, and of InterPodAffinity that pods keep others of their kind off their nodes; nodes
 * that are not Ready count as none. Room is searched first fit decreasing, the pods with the fewest nodes first: that finds most ways
 * but not all, so a lack of room is told as far as can be seen.
 * Not modelled: other (anti-)affinity between pods, topology spread, limits of volumes per node, claims that are not bound yet, other pods
 * that wait for a place, preemption, and nodes that an autoscaler would add or that join while the drain goes on.
 */
export function placementOf(pods: readonly PodToPlace[], nodes: readonly RemainingNode[], before: readonly PodToPlace[] = []): Placement {
  const sortedNodes = [...nodes].sort((a, b) => compareText(a.name, b.name));
  const isLocal = (pod: PodToPlace): boolean => pod.volumes.some(({ local }) => local);
  const groups = groupsOf(
    pods.filter((pod) => !isLocal(pod)),
    sortedNodes,
  );
  const nowhere = groups.filter(({ accepting }) => accepting.length === 0);
  const notForVolume = groups.filter(({ accepting, candidates }) => accepting.length > 0 && candidates.length === 0);
  if (nodes.length === 0) return { destinations: [], problems: noNodeAtAll(pods) };
  const destinations = new Set(groups.flatMap(({ candidates }) => candidates.map(({ labels }) => groupOfNode(labels))));
  const problems = [
    ...byWorkload(nowhere.flatMap((group) => group.pods)).map((workloadPods) => noNodeProblem(workloadPods, sortedNodes)),
    ...byWorkload(notForVolume.flatMap((group) => group.pods)).map(noNodeForVolumeProblem),
    ...byWorkload(pods.filter(isLocal)).map(localVolumeProblem),
    ...roomProblems(
      groups.filter(({ candidates }) => candidates.length > 0),
      groupsOf(before, sortedNodes),
    ),
  ];
  return { destinations: [...destinations].sort(compareText), problems };
}

/** Whose node it is by its labels, as people write it: `node group green`, `NodePool default`, `other nodes`. */
export function groupOfNode(labels: Readonly<Record<string, string>>): string {
  for (const { label, title } of groupLabels) {
    const name = labelOf(labels, label);
    if (name !== undefined) return `${title} ${name}`;
  }
  return otherNodes;
}

function nameOf({ namespace, name }: PodToPlace): string {
  return `${namespace}/${name}`;
}

function groupsOf(pods: readonly PodToPlace[], nodes: readonly RemainingNode[]): Likes[] {
  const groups = new Map<string, Likes>();
  for (const pod of [...pods].sort((a, b) => compareText(nameOf(a), nameOf(b)))) {
    const { nodeSelector, affinity, tolerations, requests } = pod;
    const places = pod.volumes.flatMap(({ terms }) => (terms ? [terms] : []));
    const key = JSON.stringify([nodeSelector, affinity, tolerations, requests, places]);
    const known = groups.get(key);
    if (known) {
      known.pods.push(pod);
      continue;
    }
    const accepting = nodes.filter((node) => refusalOf(pod, node) === undefined);
    const candidates = accepting.filter((node) => places.every((terms) => matchesTerms(node, terms)));
    groups.set(key, { pods: [pod], accepting, candidates });
  }
  return [...groups.values()];
}

/** Why a node does not take a pod, room apart: a phrase that follows a number of nodes. */
function refusalOf(pod: PodToPlace, node: RemainingNode): string | undefined {
  if (!node.ready) return 'not Ready';
  const taint = repellingTaint(node, pod.tolerations);
  if (taint?.key === 'node.kubernetes.io/unschedulable') return 'cordoned';
  if (taint) return `tainted ${taintText(taint)}`;
  if (!matchesNodeSelector(node, pod.nodeSelector)) return `without ${labelsText(pod.nodeSelector)}`;
  if (pod.affinity && !matchesTerms(node, pod.affinity)) return `outside of its affinity to ${termsText(pod.affinity)}`;
  return undefined;
}

/** Why no node takes a pod, in words that stay the same while nodes that it cannot use come and go. */
function noNodeRisk(pod: PodToPlace, nodes: readonly RemainingNode[]): string {
  const { nodeSelector, affinity } = pod;
  const usable = nodes.filter(({ ready, schedulable }) => ready && schedulable);
  const wanted = usable.filter((node) => matchesNodeSelector(node, nodeSelector) && (!affinity || matchesTerms(node, affinity)));
  if (wanted.length > 0) return 'its pods find no node whose taints they tolerate';
  const isChoosy = affinity !== undefined || Object.keys(nodeSelector).length > 0;
  return isChoosy
    ? 'its pods find no Ready node with the labels that they ask for'
    : 'its pods find no node that is Ready and not cordoned';
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' and ');
}

function byWorkload(pods: readonly PodToPlace[]): PodToPlace[][] {
  const workloads = new Map<string, PodToPlace[]>();
  for (const pod of pods) workloads.set(pod.workload, [...(workloads.get(pod.workload) ?? []), pod]);
  return [...workloads].sort(([a], [b]) => compareText(a, b)).map(([, found]) => found);
}

function problem(
  kind: PlacementProblem['kind'],
  pods: readonly PodToPlace[],
  text: Pick<PlacementProblem, 'risk' | 'detail' | 'remedy'>,
): PlacementProblem {
  return { kind, workload: pods[0]?.workload ?? '', pods: pods.map(nameOf), ...text };
}

function noNodeProblem(pods: readonly PodToPlace[], nodes: readonly RemainingNode[]): PlacementProblem {
  const reasons = new Map<string, number>();
  for (const node of nodes) {
    const reason = (pods[0] && refusalOf(pods[0], node)) ?? '';
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const counts = [...reasons].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} ${reason}`);
  return problem('no-node', pods, {
    risk: pods[0] ? noNodeRisk(pods[0], nodes) : '',
    detail: `${countedPods(pods.length)} would have no node to go to: of the nodes that stay, ${listText(counts)}.`,
    remedy: noNodeRemedy,
  });
}

/** One problem for all workloads: saying the same of each of them helps nobody. */
function noNodeAtAll(pods: readonly PodToPlace[]): PlacementProblem[] {
  if (pods.length === 0) return [];
  const workloads = byWorkload(pods).map(([first]) => first?.workload ?? '');
  const workload = workloads.length === 1 ? (workloads[0] ?? '') : everyWorkload;
  const risk = 'its pods find no node: there is none but those that are drained';
  const detail = `${countedPods(pods.length)} would have no node to go to.`;
  return [{ kind: 'no-node', workload, pods: pods.map(nameOf).sort(compareText), risk, detail, remedy: noNodeRemedy }];
}

/** The first few of some texts. */
function listText(texts: readonly string[]): string {
  const shown = [...new Set(texts)];
  return shown.length > shownMax ? `${shown.slice(0, shownMax).join(', ')}, …` : shown.join(', ');
}

function noNodeForVolumeProblem(pods: readonly PodToPlace[]): PlacementProblem {
  const volumes = pods.flatMap((pod) => pod.volumes);
  const places = listText(volumes.flatMap(({ terms }) => (terms ? [termsText(terms)] : [])));
  const claims = listText(volumes.filter(({ terms }) => terms).map(({ claim }) => claim));
  const bound = `their volumes (${claims}) can only be used at ${places}`;
  return problem('no-node-for-volume', pods, {
    risk: 'its pods find no node where their volumes can be used',
    detail: `${countedPods(pods.length)} would have no node to go to: ${bound}, and no node that stays there takes them.`,
    remedy: 'Add a node there that takes them, or move the data, then plan again.',
  });
}

function localVolumeProblem(pods: readonly PodToPlace[]): PlacementProblem {
  const claims = listText(pods.flatMap((pod) => pod.volumes.filter(({ local }) => local).map(({ claim }) => claim)));
  const bound = `their volumes (${claims}) are disks of the drained nodes`;
  return problem('local-volume', pods, {
    risk: 'the data of its local volumes stays behind',
    detail: `${countedPods(pods.length)} would start nowhere else, or without data: ${bound}.`,
    remedy: 'See that the data lives elsewhere, too, and let the plan name these pods, or leave their nodes out.',
  });
}

/** What is free on each node, by resource; changed as pods are placed. */
type Free = Map<RemainingNode, Record<string, number>>;

function roomProblems(groups: readonly Likes[], before: readonly Likes[]): PlacementProblem[] {
  const free: Free = new Map();
  for (const node of [...before, ...groups].flatMap(({ candidates }) => candidates)) if (!free.has(node)) free.set(node, freeOn(node));
  for (const group of [...before].sort(byNeed)) place(group, free);
  const unplaced = [...groups].sort(byNeed).flatMap((group) => place(group, free).map((pod) => ({ pod, group })));
  return byWorkload(unplaced.map(({ pod }) => pod)).map((pods) => {
    const concerned = new Set(pods);
    const reached = new Set(unplaced.filter(({ pod }) => concerned.has(pod)).flatMap(({ group }) => group.candidates));
    return noRoomProblem(pods, [...reached], free);
  });
}

function freeOn({ allocatable, requested }: RemainingNode): Record<string, number> {
  const free: Record<string, number> = { ...allocatable };
  for (const [name, amount] of Object.entries(requested)) free[name] = capacityOf(free, name) - amount;
  return free;
}

function capacityOf(resources: Resources, name: string): number {
  return resources[name] ?? (name.startsWith(hostPortPrefix) || name.startsWith(apartPrefix) ? 1 : 0);
}

/** The pods that fewest nodes take come first, then the largest; the order is the same each time. */
function byNeed(a: Likes, b: Likes): number {
  return a.candidates.length - b.candidates.length || largestShare(b) - largestShare(a);
}

/** The largest share of a node that one pod of the group takes, over all resources. */
function largestShare({ pods, candidates }: Likes): number {
  const shares = Object.entries(pods[0]?.requests ?? {}).map(([name, amount]) => {
    const largest = candidates.reduce((most, { allocatable }) => Math.max(most, capacityOf(allocatable, name)), 0);
    return largest === 0 ? 0 : amount / largest;
  });
  return Math.max(0, ...shares);
}

/** Gives each pod of a group the first node with room for it; returns those that find none. */
function place({ pods, candidates }: Likes, free: Free): PodToPlace[] {
  const waiting = [...pods];
  const needs = Object.entries(waiting[0]?.requests ?? {}).filter(([, amount]) => amount > 0);
  for (const node of candidates) {
    const left = free.get(node) ?? {};
    while (waiting.length > 0 && needs.every(([name, amount]) => amount <= capacityOf(left, name))) {
      for (const [name, amount] of needs) left[name] = capacityOf(left, name) - amount;
      waiting.shift();
    }
  }
  return waiting;
}

function noRoomProblem(pods: readonly PodToPlace[], nodes: readonly RemainingNode[], free: Free): PlacementProblem {
  const needed = addResources(pods.map(({ requests }) => requests));
  const missing = Object.entries(needed).flatMap(([name, amount]) => {
    const left = nodes.reduce((sum, node) => sum + Math.max(0, capacityOf(free.get(node) ?? {}, name)), 0);
    return amount > left ? [amountText(name, amount - left)] : [];
  });
  const short = missing.length > 0 ? `${missing.join(', ')} short` : 'what is free lies in pieces too small for them';
  const where = nodes.length === 1 ? 'the 1 node that takes' : `the ${nodes.length} nodes that take`;
  return problem('no-room', pods, {
    risk: 'its pods find no node with room for them',
    detail: `as far as can be seen, there is no room now for ${countedPods(pods.length)} on ${where} them: ${short}.`,
    remedy: 'Unless an autoscaler adds nodes, add some or make room, or drain fewer nodes at a time, then plan again.',
  });
}
