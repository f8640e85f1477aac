import type { Controller, ControllerContext } from '../controller.ts';
import { sameJson } from '../json.ts';
import { claimKeysOf, controllerOf, hasEnded, keyOf, setCondition, splitKey, timestamp } from '../objects.ts';
import type { Condition, Node, PersistentVolume, Pod } from '../objects.ts';
import { parseQuantity } from '../quantity.ts';
import type { Actor, Change, Store } from '../store.ts';
import { boundTarget, isUsableOn, isWanted, repellingTaint, unschedulableTaint } from './placement.ts';
import { requestsOf } from './pods.ts';
import { repels, togethernessOf } from './togetherness.ts';

const actor: Actor = { part: 'controller', name: 'default-scheduler', verb: 'update' };
const zoneLabel = 'topology.kubernetes.io/zone';

interface Room {
  cpu: number;
  memory: number;
  pods: number;
}

/** When so many nodes have been found that fit, the best of them is taken (kube-scheduler's percentageOfNodesToScore does that, too). */
const fittingNodesMax = 100;

/** A step that leads past every node once, and soon past every zone: in the order of names those of a zone are beside each other. */
function stepThrough(nodes: number): number {
  const common = (a: number, b: number): number => (b === 0 ? a : common(b, a % b));
  let step = Math.ceil(nodes * 0.618);
  while (common(nodes, step) !== 1) step++;
  return step;
}

/** Keeps account of what the pods of each node take. */
class Usage {
  /** From where the next pod looks for nodes, so that in large clusters all get their turn. */
  nextNode = 0;
  /** The placed pods that keep others away, by their UID. */
  readonly repelling = new Map<string, Pod>();
  private readonly perNode = new Map<string, Room>();
  private readonly counted = new Map<string, { node: string } & Room>();

  of(node: string): Room {
    return this.perNode.get(node) ?? { cpu: 0, memory: 0, pods: 0 };
  }

  note({ type, object }: Change): void {
    const pod = object as Pod;
    const { uid } = pod.metadata;
    const takes = type !== 'DELETED' && pod.spec.nodeName !== undefined && !hasEnded(pod);
    const before = this.counted.get(uid);
    if (takes && repels(pod)) this.repelling.set(uid, pod);
    else this.repelling.delete(uid);
    if (takes && !before) {
      const share = { node: pod.spec.nodeName ?? '', ...requestsOf(pod.spec), pods: 1 };
      this.counted.set(uid, share);
      this.add(share.node, share, 1);
    } else if (!takes && before) {
      this.counted.delete(uid);
      this.add(before.node, before, -1);
    }
  }

  private add(node: string, share: Room, sign: 1 | -1): void {
    const room = this.of(node);
    const pods = room.pods + sign * share.pods;
    if (pods === 0) this.perNode.delete(node);
    else this.perNode.set(node, { cpu: room.cpu + sign * share.cpu, memory: room.memory + sign * share.memory, pods });
  }
}

/** Places pods on nodes: where they are allowed and fit, spread over zones and nodes, and tries again when something changes. */
export function createScheduler(context: ControllerContext): Controller {
  const usage = new Usage();
  const unplaced = new Set<string>();
  return {
    name: 'scheduler',
    onChange: (change: Change) => {
      const { resource, object, type } = change;
      if (resource === 'nodes') return mayHelp(change) ? [...unplaced] : [];
      if (resource === 'persistentvolumeclaims' || resource === 'persistentvolumes') return [...unplaced];
      if (resource !== 'pods') return [];
      usage.note(change);
      const pod = object as Pod;
      if (type === 'DELETED' || hasEnded(pod)) {
        unplaced.delete(keyOf(pod));
        return pod.spec.nodeName === undefined ? [] : [...unplaced];
      }
      return type === 'ADDED' && pod.spec.nodeName === undefined ? [keyOf(pod)] : [];
    },
    reconcile: (key) => {
      const pod = context.store.getByKey('pods', key);
      if (!pod || pod.spec.nodeName !== undefined || pod.metadata.deletionTimestamp !== undefined) {
        unplaced.delete(key);
        return;
      }
      const choice = choose(context, usage, pod);
      if (typeof choice === 'string') {
        unplaced.add(key);
        reportUnplaced(context, pod, choice);
      } else {
        unplaced.delete(key);
        bind(context, pod, choice);
      }
    },
  };
}

/** Whether a change of a node may make room for a pod that had none. */
function mayHelp({ type, object, previous }: Change): boolean {
  if (type === 'ADDED') return true;
  if (type === 'DELETED') return false;
  const allocatable = (node: Node | undefined): unknown => node?.status.allocatable;
  return (
    !sameJson(object.spec, previous?.spec) ||
    !sameJson(object.metadata.labels, previous?.metadata.labels) ||
    !sameJson(allocatable(object as Node), allocatable(previous as Node | undefined))
  );
}

/** The node for a pod, or the sentence that says why there is none. */
function choose({ store }: ControllerContext, usage: Usage, pod: Pod): Node | string {
  const target = boundTarget(pod.spec);
  const targetNode = target === undefined ? undefined : store.get('nodes', '', target);
  const nodes = target === undefined ? store.list('nodes') : targetNode ? [targetNode] : [];
  const need = requestsOf(pod.spec);
  const volumes = volumesOf(store, pod);
  if (typeof volumes === 'string') return `0/${nodes.length} nodes are available: ${volumes}.`;
  const together = togethernessOf(store, pod, usage.repelling.values());
  const reasons = new Map<string, number>();
  const fitting: Node[] = [];
  const step = nodes.length > fittingNodesMax ? stepThrough(nodes.length) : 1;
  for (let place = 0; place < nodes.length && fitting.length < fittingNodesMax; place++) {
    const node = nodes[(usage.nextNode + place * step) % nodes.length];
    if (!node) continue;
    const reason = obstacle(node, usage.of(node.metadata.name), pod, need) ?? volumeObstacle(node, volumes) ?? together?.(node);
    if (reason === undefined) fitting.push(node);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (nodes.length > fittingNodesMax) usage.nextNode = (usage.nextNode + fittingNodesMax * step) % nodes.length;
  return best(store, store.ownedBy('pods', controllerOf(pod)?.uid ?? ''), usage, fitting) ?? explain(nodes.length, reasons);
}

function obstacle(node: Node, used: Room, pod: Pod, need: { cpu: number; memory: number }): string | undefined {
  const taint = repellingTaint(node, pod.spec.tolerations);
  if (taint?.key === unschedulableTaint) return 'node(s) were unschedulable';
  if (taint) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  if (!isWanted(node, pod.spec)) return "node(s) didn't match Pod's node affinity/selector";
  const room = roomOf(node);
  if (used.pods + 1 > room.pods) return 'Too many pods';
  if (used.cpu + need.cpu > room.cpu) return 'Insufficient cpu';
  if (used.memory + need.memory > room.memory) return 'Insufficient memory';
  return undefined;
}

/** The volumes of a pod's claims, or why it must wait for them. */
function volumesOf(store: Store, pod: Pod): PersistentVolume[] | string {
  const volumes: PersistentVolume[] = [];
  for (const key of claimKeysOf(pod)) {
    const claim = store.getByKey('persistentvolumeclaims', key);
    if (!claim) return `persistentvolumeclaim "${splitKey(key).name}" not found`;
    const volume = store.get('persistentvolumes', '', claim.spec.volumeName ?? '');
    if (claim.status.phase !== 'Bound' || !volume) return 'pod has unbound immediate PersistentVolumeClaims';
    volumes.push(volume);
  }
  return volumes;
}

function volumeObstacle(node: Node, volumes: PersistentVolume[]): string | undefined {
  return volumes.every((volume) => isUsableOn(node, volume)) ? undefined : "node(s) didn't match PersistentVolume's node affinity";
}

/** Read once per state of a node: placing ten thousand pods asks for it ten million times. */
const rooms = new WeakMap<Node, Room>();

function roomOf(node: Node): Room {
  const known = rooms.get(node);
  if (known) return known;
  const { cpu, memory, pods } = node.status.allocatable ?? {};
  const room = { cpu: parseQuantity(cpu), memory: parseQuantity(memory), pods: parseQuantity(pods) };
  rooms.set(node, room);
  return room;
}

/** Fewest siblings in the zone, then on the node, then the least taken of the node. */
function best(store: Store, siblings: Pod[], usage: Usage, nodes: Node[]): Node | undefined {
  // A pod of a DaemonSet has one node to go to, and thousands of siblings.
  if (nodes.length < 2) return nodes[0];
  const zoneOf = (node: Node | undefined): string => node?.metadata.labels?.[zoneLabel] ?? '';
  const inZone = new Map<string, number>();
  const onNode = new Map<string, number>();
  for (const { spec, metadata } of siblings) {
    if (spec.nodeName === undefined || metadata.deletionTimestamp !== undefined) continue;
    const zone = zoneOf(store.get('nodes', '', spec.nodeName));
    onNode.set(spec.nodeName, (onNode.get(spec.nodeName) ?? 0) + 1);
    inZone.set(zone, (inZone.get(zone) ?? 0) + 1);
  }
  const rank = (node: Node): number[] => {
    const used = usage.of(node.metadata.name);
    return [inZone.get(zoneOf(node)) ?? 0, onNode.get(node.metadata.name) ?? 0, used.cpu, used.pods];
  };
  let chosen: { node: Node; rank: number[] } | undefined;
  for (const node of nodes) {
    const candidate = { node, rank: rank(node) };
    if (!chosen || isLess(candidate.rank, chosen.rank)) chosen = candidate;
  }
  return chosen?.node;
}

function isLess(a: number[], b: number[]): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}

function explain(nodes: number, reasons: Map<string, number>): string {
  const causes = [...reasons].sort(([a], [b]) => a.localeCompare(b)).map(([reason, count]) => `${count} ${reason}`);
  return causes.length === 0 ? 'no nodes available to schedule pods' : `0/${nodes} nodes are available: ${causes.join(', ')}.`;
}

function bind(context: ControllerContext, pod: Pod, node: Node): void {
  const { store, clock } = context;
  const placed: Condition = { type: 'PodScheduled', status: 'True' };
  store.update('pods', keyOf(pod), actor, (draft) => {
    draft.spec.nodeName = node.metadata.name;
    draft.status.conditions = setCondition(draft.status.conditions, placed, timestamp(clock.now()));
  });
  const message = `Successfully assigned ${pod.metadata.namespace ?? ''}/${pod.metadata.name} to ${node.metadata.name}`;
  context.recordEvent(pod, 'Normal', 'Scheduled', message, 'default-scheduler');
}

function reportUnplaced(context: ControllerContext, pod: Pod, message: string): void {
  const { store, clock } = context;
  const before = pod.status.conditions?.find(({ type }) => type === 'PodScheduled');
  if (before?.message === message) return;
  const condition: Condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
  store.update('pods', keyOf(pod), actor, (draft) => {
    draft.status.conditions = setCondition(draft.status.conditions, condition, timestamp(clock.now()));
  });
  context.recordEvent(pod, 'Warning', 'FailedScheduling', message, 'default-scheduler');
}
