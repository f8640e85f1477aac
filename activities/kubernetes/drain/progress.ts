import type { Observation, Progress, ProgressItem, Todo } from '../../../domain/action.ts';
import type { BlockedPod, DrainMoves } from '../../../domain/drain/drain.ts';
import { countedPods, podName, type PodView } from '../../../domain/drain/pod.ts';
import { whyItComesBack } from '../../../domain/drain/returning-pods.ts';
import type { PlanOf } from '../../action.ts';
import type { NodeView } from './cluster-state.ts';
import type { DrainFacts } from './facts.ts';

const shownMax = 3;
/** Nodes that are shown one by one; of more, those that are worked on. */
const nodesShownMax = 50;

/** What a drain sees in one look. */
export interface DrainLook {
  moves: DrainMoves;
  /** The planned nodes that still exist under the planned UID. */
  nodes: NodeView[];
  uncordoned: NodeView[];
}

/** What one look says of a drain. `maySend`: whether any of its requests for pods may be sent now. */
export function observationOf(plan: PlanOf<DrainFacts>, look: DrainLook, maySend: boolean): Observation {
  const { moves, uncordoned } = look;
  const { evict, surge, remove, begin, ending, blocked, unnamed, cameBack, later, detaching } = moves;
  const progress = progressOf(plan, look);
  if (uncordoned.length > 0 || begin.length > 0 || maySend) return { state: 'todo', progress };
  const waiting = [...blocked, ...detaching].filter(({ overdue }) => !overdue);
  const moving = evict.length + surge.length + remove.length + ending.length + waiting.length;
  const overdue = blocked.filter((pod) => pod.overdue);
  if (moving > 0) return { state: 'moving', progress };
  if (overdue.length > 0 && moves.unschedulable.overdue) return { ...stuckOnUnschedulable(moves, plan.facts), progress };
  if (overdue.length > 0) return { ...stuckOnOverdue(overdue), progress };
  if (detaching.length > 0) return { ...stuckOnVolumes(detaching), progress };
  if (unnamed.length > 0) return { ...stuckOnUnnamed(unnamed), progress };
  if (cameBack.length > 0) return { ...stuckOnCameBack(cameBack), progress };
  if (later.length > 0) return { state: 'moving', progress };
  const planned = typeof plan.outputs.podsMoved === 'number' ? plan.outputs.podsMoved : 0;
  return { state: 'done', outputs: { nodes: plan.facts.nodes.map(({ name }) => name), podsMoved: planned }, progress };
}

function stuckOnUnnamed(pods: readonly PodView[]): { state: 'stuck'; reason: string; remedy: string } {
  const names = pods.slice(0, shownMax).map(podName).join(', ');
  return {
    state: 'stuck',
    reason:
      `${countedPods(pods.length)} that the plan does not name would be lost, lose data or take a workload down: ` +
      `${names}${pods.length > shownMax ? ', …' : ''}.`,
    remedy: 'Move or delete them by hand and try again, or have a new plan made that names them.',
  };
}

function stuckOnCameBack(pods: readonly PodView[]): { state: 'stuck'; reason: string; remedy: string } {
  const shown = pods.slice(0, shownMax).map((pod) => {
    const why = whyItComesBack(pod);
    return `${podName(pod)} on ${pod.node}${why === undefined ? '' : ` (${why})`}`;
  });
  return {
    state: 'stuck',
    reason:
      `${countedPods(pods.length)} came to nodes though those were cordoned. Evicted, they would only come again: ` +
      `${shown.join('; ')}${pods.length > shownMax ? '; …' : ''}.`,
    remedy:
      'Have the owner of what brings them there change it or scale it down; then try again. ' +
      'Or leave the pods where they are: `kubectl label pod … cluster.x-k8s.io/drain=skip`.',
  };
}

function stuckOnUnschedulable(
  { unschedulable: { pods }, blocked }: DrainMoves,
  { settings }: DrainFacts,
): { state: 'stuck'; reason: string; remedy: string } {
  const { unschedulableLimitMs } = settings;
  const limit = unschedulableLimitMs < 60_000 ? `${unschedulableLimitMs / 1000} s` : `${Math.round(unschedulableLimitMs / 60_000)} minutes`;
  return {
    state: 'stuck',
    reason:
      `For more than ${limit}, ${countedPods(pods.length, 'new')} found no node: ${unschedulableText(pods)}. ` +
      `So ${countedPods(blocked.length)} of the drained nodes will not be evicted.`,
    remedy:
      'Add nodes that take these pods, or make room (`kubectl describe pod` tells what is missing); then try again. ' +
      'Where the pods are to go all the same, have a new plan made.',
  };
}

function unschedulableText(pods: readonly PodView[]): string {
  const shown = pods.slice(0, shownMax).map((pod) => `${podName(pod)} (${pod.unschedulable ?? ''})`);
  return shown.join('; ') + (pods.length > shownMax ? '; …' : '');
}

function stuckOnOverdue(blocked: readonly BlockedPod[]): { state: 'stuck'; reason: string; remedy: string } {
  const shown = blocked.slice(0, shownMax).map(({ pod, reason }) => `${podName(pod)}: ${reason}`);
  const more = blocked.length > shownMax ? '; …' : '';
  const remedies = new Set(blocked.map(({ remedy }) => remedy));
  const [only] = remedies;
  return {
    state: 'stuck',
    reason: `${countedPods(blocked.length)} cannot go: ${shown.join('; ')}${more}.`,
    remedy: remedies.size === 1 && only !== undefined ? `${only} Then try again.` : overdueRemedy,
  };
}

const overdueRemedy =
  'Have the owner of what keeps them (budget, mark, node, finalizer) see to it, or delete them by hand; then try again. ' +
  'A plan with `onDeadline: delete` names them and deletes them after the deadline.';

function stuckOnVolumes(detaching: DrainMoves['detaching']): { state: 'stuck'; reason: string; remedy: string } {
  const nodes = detaching.slice(0, shownMax).map(({ node, volumes }) => `${volumes.slice(0, shownMax).join(', ')} on ${node}`);
  const shown = nodes.join('; ') + (detaching.length > shownMax ? '; …' : '');
  return {
    state: 'stuck',
    reason: `Volumes of pods that were moved are still attached to their nodes: ${shown}.`,
    remedy: 'See to what keeps them attached (the driver of the volume, `kubectl get volumeattachments`), then try again.',
  };
}

function progressOf(plan: PlanOf<DrainFacts>, { moves, nodes }: DrainLook): Progress {
  const planned = (plan.details.podsByNode ?? {}) as Record<string, number>;
  const lists = sortedByNode(moves);
  const present = new Set(nodes.map(({ name }) => name));
  const all = plan.facts.nodes.map(({ name }): ProgressItem => itemOf(name, lists.get(name), planned[name], present.has(name)));
  const total = all.reduce((sum, item) => sum + item.total, 0);
  const done = all.reduce((sum, item) => sum + item.done, 0);
  const worked = all.length > nodesShownMax ? all.filter(({ state }) => state === 'moving' || state === 'blocked') : all;
  const todo = todoOf(moves);
  return {
    summary: summaryOf(moves, done, total),
    done,
    total,
    unit: 'pods',
    items: worked.slice(0, nodesShownMax),
    ...(todo.length > 0 && { todo }),
  };
}

/** What people can do about pods that wait, each thing once. */
function todoOf({ blocked, unschedulable: { pods: unschedulable }, detaching }: DrainMoves): Todo[] {
  const known = new Map(blocked.flatMap(({ todo }) => (todo ? [[`${todo.text} ${todo.command ?? ''}`, todo] as const] : [])));
  const [pod] = unschedulable;
  const noRoom = pod && {
    text: 'Add nodes that take the new pods, or make room; the drain goes on by itself when they are scheduled. What is missing:',
    command: `kubectl -n ${pod.namespace} describe pod ${pod.name}`,
  };
  const [attached] = detaching.filter(({ volumes }) => volumes.length > 0);
  const volumes = attached && {
    text: 'The drain goes on by itself when the volumes are detached. Where that takes long, look at their driver.',
    command: 'kubectl get volumeattachments',
  };
  return [noRoom, ...known.values(), volumes].filter((todo) => todo !== undefined).slice(0, shownMax);
}

/** What is left on a node. */
interface NodeLeft {
  pods: number;
  later: boolean;
  /** Why it is not done, or one of its pods does not go. */
  reason?: string;
  unnamed: number;
}

function sortedByNode(moves: DrainMoves): Map<string, NodeLeft> {
  const lists = new Map<string, NodeLeft>();
  const at = ({ node }: PodView): NodeLeft => {
    const known = lists.get(node) ?? { pods: 0, later: false, unnamed: 0 };
    known.pods += 1;
    lists.set(node, known);
    return known;
  };
  for (const pod of [...moves.evict, ...moves.surge, ...moves.ending]) at(pod);
  for (const { pod } of moves.remove) at(pod);
  for (const { pod, reason } of moves.blocked) at(pod).reason ??= reason;
  for (const pod of moves.later) at(pod).later = true;
  for (const pod of moves.unnamed) at(pod).unnamed += 1;
  for (const pod of moves.cameBack) at(pod).reason ??= 'pods have come though it is cordoned';
  for (const { node, volumes } of moves.detaching) {
    lists.set(node, { pods: 0, later: false, unnamed: 0, reason: `still attached: ${volumes.slice(0, shownMax).join(', ')}` });
  }
  return lists;
}

function itemOf(name: string, left: NodeLeft | undefined, planned: number | undefined, isPresent: boolean): ProgressItem {
  const pods = left?.pods ?? 0;
  const total = Math.max(planned ?? pods, pods);
  const done = total - pods;
  if (!left) return { name, state: 'done', done: total, total, detail: isPresent ? undefined : 'gone' };
  if (left.later) return { name, state: 'waiting', done, total };
  const unnamed = left.unnamed > 0 ? `pods that the plan does not name: ${left.unnamed}` : undefined;
  const detail = left.reason ?? unnamed;
  return { name, state: detail === undefined ? 'moving' : 'blocked', done, total, detail };
}

function summaryOf(
  { ending, blocked, cameBack, detaching, unschedulable: { pods: unschedulable } }: DrainMoves,
  done: number,
  total: number,
): string {
  const parts = [`${done} of ${total} pods gone`];
  if (ending.length > 0) parts.push(`${ending.length} ending`);
  const find = unschedulable.length === 1 ? 'finds' : 'find';
  if (unschedulable.length > 0)
    parts.push(`${countedPods(unschedulable.length, 'new')} ${find} no node: ${unschedulableText(unschedulable)}`);
  const reasons = [...new Set(blocked.map(({ reason }) => reason))].slice(0, shownMax);
  if (blocked.length > 0) parts.push(`${blocked.length} waiting: ${reasons.join('; ')}`);
  if (cameBack.length > 0) parts.push(`${cameBack.length} came though their nodes are cordoned`);
  const volumes = detaching.reduce((sum, node) => sum + node.volumes.length, 0);
  if (volumes > 0) parts.push(`${volumes} volumes still attached`);
  return parts.join(', ');
}
