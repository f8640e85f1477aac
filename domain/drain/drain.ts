import type { Todo } from '../action.ts';
import { getOrAdd } from '../map.ts';
import { durationText } from '../time.ts';
import { cut, nameCharactersMax } from '../visible.ts';
import type { BudgetView } from './budget.ts';
import { BudgetSpending, type PodsUnderBudget } from './budget-spending.ts';
import { doesWork, hasEnded, isDaemon, losesData, optOutOf, ordinalOf, podName, staysOnNode, workloadOf, type PodView } from './pod.ts';
import { arrivalOf } from './returning-pods.ts';
import { Successors } from './successors.ts';
import { isSurged, workloadsByName, type WorkloadView } from './workload.ts';

/** How long a pod may be past its grace period on a node that is not Ready, where nobody can end it or say that it has ended. */
const deadNodeWaitMs = 60_000;
/** A pod whose grace period is over so soon is waited for after the deadline of its node, too; one that has more left is given so much. */
const graceLeftMaxMs = 60_000;
/** A kubelet ends a pod at the end of its grace period, and needs a moment to do so and to say so. */
const killingMaxMs = 10_000;
/** How long a pod has to end after that, where the signed plan has what is left deleted. */
const shortGraceSeconds = 30;

/** A node that is drained. */
export interface DrainNode {
  name: string;
  /** Its availability zone; empty where it names none. */
  zone: string;
  ready: boolean;
  /** When its own drain began, in milliseconds since 1970; undefined as long as its turn has not come. */
  turnBeganMs?: number;
  /** The same by the clock of the API server, which also says when pods were created; where it is left out, ours is taken. */
  turnStampMs?: number;
  /** UIDs of the pods that it had when its drain began; undefined where nobody here has seen that. */
  seenAtTurn?: ReadonlySet<string>;
  /** Volumes that are still attached to it though their pods are gone. */
  attached?: readonly string[];
}

/** What the signed plan says of how nodes are drained. */
export interface DrainSettings {
  /** How many nodes are worked on at a time. */
  nodesAtOnce: number;
  /** Whether that is counted in each zone by itself. */
  perZone: boolean;
  /** `evict`: once everything else is gone, the pods of DaemonSets are asked to end, too. */
  daemonSets: 'leave' | 'evict';
  /** Whether the pods of Jobs are waited for or evicted. */
  jobs: 'wait' | 'evict';
  /** `surge`: the only pod of a Deployment is replaced by a rollout, which starts the new one first. */
  singletons: 'evict' | 'surge';
  /** `budget`: of a StatefulSet that has a budget, as many pods move at a time as that allows, in any order. */
  statefulSets: 'oneAtATime' | 'budget';
  /** How long a pod may wait for its budget, or be past its grace period. */
  podDeadlineMs?: number;
  /** How long a node may take. */
  nodeDeadlineMs?: number;
  onDeadline: 'stuck' | 'delete';
  /** How long new pods may find no node before a person has to look. */
  unschedulableLimitMs: number;
  /** Names of the workloads whose pods are moved. */
  workloads: ReadonlySet<string>;
  /** Whether the signed plan names groups of nodes for the pods to go to. */
  hasDestinations: boolean;
  /** UIDs of the pods that nothing brings back, and that may go all the same. */
  named: ReadonlySet<string>;
  /** Names of the workloads whose pods may go though the data in their emptyDir volumes is lost. */
  dataLossNamed: ReadonlySet<string>;
  /** Names of the workloads of one pod that may be down for a while. */
  singletonsNamed: ReadonlySet<string>;
}

/** An eviction that the API server has refused a moment ago. `by` its budget, or by something else, such as a webhook. */
export interface RefusedEviction {
  reason: string;
  by: 'budget' | 'other';
}

/** All that a drain knows when it decides what to do next. */
export interface DrainSnapshot {
  /** In the order in which they are to be drained. */
  nodes: readonly DrainNode[];
  /** Those on the nodes, of their StatefulSets, and those that find no node; where `under` is not given, all under the budgets, too. */
  pods: readonly PodView[];
  budgets: readonly BudgetView[];
  /** The pods under a budget, on the nodes and elsewhere. */
  under?: (budget: BudgetView) => PodsUnderBudget | undefined;
  workloads: readonly WorkloadView[];
  /** UIDs of the pods whose eviction has been asked for, and of which nothing has been seen since. */
  asked: ReadonlySet<string>;
  /** Why the API server does not want to be asked again yet, by UID of the pod. */
  refused: ReadonlyMap<string, RefusedEviction>;
  /** Whether a node that is not drained is Ready and not cordoned. */
  hasDestination: boolean;
  /** Milliseconds since 1970. */
  nowMs: number;
}

/** A pod that does not go at this moment, and why. */
export interface BlockedPod {
  pod: PodView;
  reason: string;
  /** Whether it is past a deadline, so that a person has to look. */
  overdue: boolean;
  /** What can be done about it, where that is known. */
  remedy?: string;
  /** What a person can do meanwhile, of a pod that goes as soon as it is let. */
  todo?: Todo;
}

/** A pod that is deleted. Without `graceSeconds` it has its own time to end; 0 is by force, where nobody is there to end it. */
export interface PodToRemove {
  pod: PodView;
  graceSeconds?: number;
}

/** The next moves of a drain: what may be done now, and why the other pods wait. Each pod to move is in one list. */
export interface DrainMoves {
  /** Nodes whose turn comes now. */
  begin: string[];
  evict: PodView[];
  /**
   * Those of `blocked` whose budget allows 0 disruptions for good, as far as numbers tell. They may be asked for now and then, which
   * breaks nothing: some controllers let a pod go only when they hear that it is asked for.
   */
  attempt: PodView[];
  /** The PodDisruptionBudget of each pod of `evict` and `attempt` that has one. */
  budgetOf: ReadonlyMap<PodView, BudgetView>;
  /** Pods whose Deployment is rolled out anew instead. */
  surge: PodView[];
  /** Pods past their deadline that the signed plan has deleted. */
  remove: PodToRemove[];
  /** On their way out. */
  ending: PodView[];
  blocked: BlockedPod[];
  /** Pods that came after the plan was signed and go only with a signature of their own. */
  unnamed: PodView[];
  /** Pods that came to nodes though those were cordoned, and would come again and again. */
  cameBack: PodView[];
  /** Pods of nodes whose turn has not come. */
  later: PodView[];
  /** Nodes that have no pods to move any more, but volumes of pods that were moved. */
  detaching: { node: string; volumes: readonly string[]; overdue: boolean }[];
  /** New pods that take the place of moved ones and find no node; they are on no node, so in no other list. */
  unschedulable: { pods: readonly PodView[]; overdue: boolean };
}

/**
 * Decides what a drain does next from what is there now. Every budget is spent once across all nodes, so that the
 * evictions it returns could all be granted together; the API server still has the last word on each.
 * Nodes are taken in the given order, so many at a time: the next one begins when one has no pod left to move.
 */
export function nextDrainMoves(snapshot: DrainSnapshot, settings: DrainSettings): DrainMoves {
  const moving = new PodsToMove(snapshot, settings);
  const { inTurn, begin } = moving.turns();
  const successors = new Successors(snapshot, settings);
  const unschedulable = { pods: successors.waiting, overdue: successors.areOverdue };
  const budgetOf = new Map<PodView, BudgetView>();
  const lists = {
    evict: [],
    attempt: [],
    surge: [],
    remove: [],
    ending: [],
    blocked: [],
    unnamed: [],
    cameBack: [],
    later: [],
    detaching: [],
  };
  const moves: DrainMoves = { begin, budgetOf, ...lists, unschedulable };
  const spending = new BudgetSpending(snapshot);
  // One after another: as arguments of one call, the pods of a large cluster would not fit on the stack.
  for (const pod of moving.unnamed) moves.unnamed.push(pod);
  for (const pod of moving.cameBack) moves.cameBack.push(pod);
  for (const [node, pods] of moving.byNode) if (!inTurn.has(node)) for (const pod of pods) moves.later.push(pod);
  for (const node of snapshot.nodes) {
    if (!inTurn.has(node.name)) continue;
    if (!moving.byNode.has(node.name)) moves.detaching.push(detachingOf(node, snapshot, settings));
    for (const pod of highestFirst(moving.byNode.get(node.name) ?? []))
      place(pod, node, { snapshot, settings, moving, spending, successors, moves, inTurn });
  }
  for (const pod of moves.attempt) budgetOf.set(pod, spending.budgetOf(pod)!);
  const waves = new Map<PodView, number>();
  for (const pod of moves.evict) {
    const budget = spending.budgetOf(pod);
    if (budget) budgetOf.set(pod, budget);
    waves.set(pod, Math.max(moving.wavesOf(pod), budget ? spending.wavesOf(budget, moving.byNode) : 0));
  }
  // Whoever has the longest way to go sets out first; the order is the same each time, as the sort keeps what is equal.
  moves.evict.sort((a, b) => (waves.get(b) ?? 0) - (waves.get(a) ?? 0));
  return moves;
}

interface Place {
  snapshot: DrainSnapshot;
  settings: DrainSettings;
  moving: PodsToMove;
  spending: BudgetSpending;
  successors: Successors;
  moves: DrainMoves;
  inTurn: ReadonlySet<string>;
}

/** Puts a pod of a node in turn into the list it belongs to. */
function place(pod: PodView, node: DrainNode, { snapshot, settings, moving, spending, successors, moves, inTurn }: Place): void {
  if (snapshot.asked.has(pod.uid)) {
    moves.ending.push(pod);
  } else if (pod.terminating) {
    const kept = keptEnding(pod, node, snapshot, settings);
    if (kept === undefined) moves.ending.push(pod);
    else if ('graceSeconds' in kept) moves.remove.push({ pod, graceSeconds: kept.graceSeconds });
    else moves.blocked.push({ pod, ...kept });
  } else {
    const isSurge = moving.isSurged(pod);
    const late = isOverdue(pod, node, snapshot, settings);
    const surgeWaits = late ? 'its rollout has not replaced it' : undefined;
    const refusal = snapshot.refused.get(pod.uid);
    // Of a budget that allows 0 for good its numbers say more.
    const refused = refusal?.by === 'budget' && spending.isZero(pod) ? undefined : refusal?.reason;
    const order = moving.orderWaits(pod, inTurn, { late, hasBudget: spending.budgetOf(pod) !== undefined });
    const waits = whyItWaits(pod, node, snapshot, settings) ?? refused ?? order?.reason;
    const stays = waits === undefined ? successors.whyItStays(pod) : undefined;
    const isKept = waits !== undefined || stays !== undefined || refusal !== undefined;
    const reason = waits ?? stays ?? (isSurge ? surgeWaits : spending.spend(pod));
    if (!isKept && !isSurge && !late && reason !== undefined && spending.isZero(pod)) moves.attempt.push(pod);
    if (reason === undefined) (isSurge ? moves.surge : moves.evict).push(pod);
    else if (!late) {
      const remedy = reason === order?.reason ? order.remedy : undefined;
      // What keeps the pod is its budget, or else whatever has refused its eviction; other reasons say what is waited for.
      const isRefused = waits !== undefined && waits === refusal?.reason;
      const isOfBudget = waits === undefined ? stays === undefined && !isSurge : isRefused && refusal?.by === 'budget';
      const todo = isOfBudget ? spending.todoFor(pod) : isRefused ? refusalTodo : undefined;
      const overdue = stays !== undefined && successors.areOverdue;
      moves.blocked.push({ pod, reason, overdue, ...(remedy !== undefined && { remedy }), ...(todo && { todo }) });
    } else if (settings.onDeadline === 'stuck') moves.blocked.push({ pod, reason: `${reason}, past its deadline`, overdue: true });
    else {
      moves.remove.push({ pod });
      spending.noteLoss(pod);
    }
  }
}

/** The API server has refused it in words of its own or of somebody else: a webhook, a policy, its flow control. */
const refusalTodo: Todo = {
  text:
    'The API server refuses to evict some pods, for a reason other than a PDB. ' +
    'Where the answer names a webhook or a policy, ask its owner. They are asked for again and again, and go as soon as it grants that.',
  command: 'kubectl get validatingwebhookconfigurations,validatingadmissionpolicies',
};

/** Why a pod is left in peace for now, whatever its budget allows and the API server says. */
function whyItWaits(pod: PodView, node: DrainNode, { nowMs }: DrainSnapshot, { jobs }: DrainSettings): string | undefined {
  const isLate = arrivalOf(pod, node, nowMs) === 'late';
  const late = isLate ? `it came to ${node.name} about when that was cordoned, and goes after half a minute` : undefined;
  return waitedFor(pod, nowMs, jobs) ?? late;
}

/** Why a drain waits until a pod ends by itself; undefined where it does not. */
export function waitedFor(pod: PodView, nowMs: number, jobs: DrainSettings['jobs']): string | undefined {
  if (hasEnded(pod)) return undefined;
  const optOut = optOutOf(pod, nowMs);
  if (optOut?.treatment === 'wait') return `it is waited for, as ${optOut.mark} asks`;
  return jobs === 'wait' && doesWork(pod) ? `it is waited for, as its ${pod.owner?.kind ?? ''} has not finished` : undefined;
}

function detachingOf(node: DrainNode, { nowMs }: DrainSnapshot, { nodeDeadlineMs }: DrainSettings): DrainMoves['detaching'][number] {
  const { name, attached = [], turnBeganMs } = node;
  const overdue = nodeDeadlineMs !== undefined && turnBeganMs !== undefined && nowMs - turnBeganMs > nodeDeadlineMs;
  return { node: name, volumes: attached, overdue };
}

/** Whether a pod that does not go has stood in the way for too long. */
function isOverdue(pod: PodView, node: DrainNode, { nowMs }: DrainSnapshot, { podDeadlineMs, nodeDeadlineMs }: DrainSettings): boolean {
  if (node.turnBeganMs === undefined) return false;
  const waitedMs = nowMs - Math.max(node.turnBeganMs, pod.createdAtMs);
  if (podDeadlineMs !== undefined && waitedMs > podDeadlineMs) return true;
  return nodeDeadlineMs !== undefined && nowMs - node.turnBeganMs > nodeDeadlineMs;
}

/**
 * Why a pod that is on its way out will not get there by itself, or in how many seconds it is made to; undefined as long as it may.
 * By force it is deleted only where its node is not Ready, as the signed plan says, and once: the API server says of a pod that it has
 * been.
 */
function keptEnding(
  pod: PodView,
  node: DrainNode,
  { nowMs }: DrainSnapshot,
  { podDeadlineMs, nodeDeadlineMs, onDeadline }: DrainSettings,
): Omit<BlockedPod, 'pod'> | { graceSeconds: number } | undefined {
  const pastMs = nowMs - (pod.graceEndsAtMs ?? nowMs);
  const isNodeLate = nodeDeadlineMs !== undefined && node.turnBeganMs !== undefined && nowMs - node.turnBeganMs > nodeDeadlineMs;
  if (pastMs <= 0) {
    if (!isNodeLate || -pastMs <= graceLeftMaxMs) return undefined;
    if (onDeadline === 'delete') return { graceSeconds: shortGraceSeconds };
    return { reason: `it may take ${durationText(-pastMs)} more to end by itself, past the deadline of its node`, overdue: true };
  }
  const isDead = !node.ready && pastMs > deadNodeWaitMs;
  const isLate = (isNodeLate && pastMs > killingMaxMs) || (podDeadlineMs !== undefined && pastMs > podDeadlineMs);
  const [finalizer] = pod.finalizers ?? [];
  if (isDead && onDeadline === 'delete' && pod.isForced !== true) return { graceSeconds: 0 };
  if (finalizer !== undefined && (pastMs > deadNodeWaitMs || isLate)) {
    return {
      reason: `the finalizer ${cut(finalizer, nameCharactersMax)} keeps it`,
      overdue: isLate || isDead,
      remedy: 'Have whoever has set that finalizer take it off: no deletion ends such a pod, by force or not.',
    };
  }
  if (isDead) return { reason: `its node ${node.name} is not Ready, so nobody there can end it`, overdue: true };
  return isLate ? { reason: `it has not ended ${Math.round(pastMs / 1000)} s after its grace period`, overdue: true } : undefined;
}

/** What the order of pods depends on beside the pods. */
interface OrderLook {
  /** Whether the pod is past a deadline. */
  late: boolean;
  hasBudget: boolean;
}

interface OrderWait {
  reason: string;
  remedy?: string;
}

/** The pods of the nodes that a drain has to get rid of. */
class PodsToMove {
  readonly unnamed: PodView[] = [];
  readonly cameBack: PodView[] = [];
  /** The others, by their node. */
  readonly byNode = new Map<string, PodView[]>();
  private readonly bySet = new Map<string, PodView[]>();
  private readonly snapshot: DrainSnapshot;
  private readonly settings: DrainSettings;
  private readonly workloads: ReadonlyMap<string, WorkloadView>;

  constructor(snapshot: DrainSnapshot, settings: DrainSettings) {
    this.snapshot = snapshot;
    this.settings = settings;
    this.workloads = workloadsByName(snapshot.workloads);
    const nodes = new Map(snapshot.nodes.map((node) => [node.name, node]));
    for (const pod of snapshot.pods) {
      if (ordinalOf(pod) !== undefined) getOrAdd(this.bySet, workloadOf(pod), () => []).push(pod);
      const node = nodes.get(pod.node);
      if (!node || !hasToMove(pod, node, settings, snapshot.nowMs)) continue;
      // A pod that may not go must neither spend a budget nor keep the next node waiting.
      if (arrivalOf(pod, node, snapshot.nowMs) === 'after' && !pod.terminating) this.cameBack.push(pod);
      else if (this.isUnnamed(pod)) this.unnamed.push(pod);
      else getOrAdd(this.byNode, pod.node, () => []).push(pod);
    }
  }

  /** The nodes that are worked on, and those of them whose turn comes only now. */
  turns(): { inTurn: Set<string>; begin: string[] } {
    const { nodesAtOnce, perZone } = this.settings;
    const inTurn = new Set<string>();
    const begin: string[] = [];
    const used = new Map<string, number>();
    const zoneOf = ({ zone }: DrainNode): string => (perZone ? zone : '');
    const take = (node: DrainNode): void => {
      used.set(zoneOf(node), (used.get(zoneOf(node)) ?? 0) + 1);
      inTurn.add(node.name);
    };
    // The volumes of pods that may not go do not come off either, and nobody waits for them.
    const kept = new Set([...this.unnamed, ...this.cameBack].map((pod) => pod.node));
    const occupied = this.snapshot.nodes.filter(
      ({ name, attached = [] }) => this.byNode.has(name) || (attached.length > 0 && !kept.has(name)),
    );
    for (const node of occupied) if (node.turnBeganMs !== undefined) take(node);
    const waiting = occupied.filter(({ turnBeganMs }) => turnBeganMs === undefined);
    const waitingNames = new Set(waiting.map(({ name }) => name));
    for (;;) {
      const open = waiting.filter((node) => (used.get(zoneOf(node)) ?? 0) < nodesAtOnce);
      const next = open.find((node) => !this.hasHigherElsewhere(node, waitingNames)) ?? open[0];
      if (!next) return { inTurn, begin };
      waiting.splice(waiting.indexOf(next), 1);
      waitingNames.delete(next.name);
      take(next);
      begin.push(next.name);
    }
  }

  /** Whether its workload asks for no second pod, so that it is down until this one is back. */
  isOnlyPod(pod: PodView): boolean {
    return this.workloads.get(workloadOf(pod))?.replicas === 1;
  }

  isSurged(pod: PodView): boolean {
    return !hasEnded(pod) && isSurged(this.workloads.get(workloadOf(pod)), this.settings.singletons);
  }

  /** How many pods of its StatefulSet go one after another, this one among them; 0 where it is of none. */
  wavesOf(pod: PodView): number {
    const isLeft = (other: PodView): boolean => this.byNode.get(other.node)?.includes(other) === true;
    return ordinalOf(pod) === undefined ? 0 : (this.bySet.get(workloadOf(pod)) ?? []).filter(isLeft).length;
  }

  /** Why another pod goes before this one; undefined where none does. */
  orderWaits(pod: PodView, inTurn: ReadonlySet<string>, { late, hasBudget }: OrderLook): OrderWait | undefined {
    if (hasEnded(pod)) return undefined;
    const others = (this.byNode.get(pod.node) ?? []).filter((other) => !isDaemon(other));
    if (isDaemon(pod)) return others.length > 0 ? { reason: 'it goes when all others have gone, being of a DaemonSet' } : undefined;
    if (pod.isCritical === true && !late && others.some((other) => other.isCritical !== true)) {
      return { reason: 'it goes when the others have gone, being critical for its node or the cluster' };
    }
    return hasBudget && this.settings.statefulSets === 'budget' ? undefined : this.setWaits(pod, inTurn);
  }

  /** Pods of a StatefulSet go one at a time, each when all of the others are Ready, the highest ordinal first. */
  private setWaits(pod: PodView, inTurn: ReadonlySet<string>): OrderWait | undefined {
    const ordinal = ordinalOf(pod);
    if (ordinal === undefined) return undefined;
    const name = workloadOf(pod);
    const members = this.bySet.get(name) ?? [];
    const wanted = this.workloads.get(name)?.replicas ?? members.length;
    const there = members.filter((other) => other !== pod && !other.terminating && !this.snapshot.asked.has(other.uid));
    const settled = there.filter((other) => other.ready);
    // Moving a pod that does no work takes nothing from the set, as long as no other one is on its way.
    if ((pod.ready ? settled : there).length < wanted - 1) {
      const broken = there.filter((other) => !other.ready && !hasEnded(other)).map(podName);
      const which = broken.length === 0 ? '' : ` (${broken.sort((a, b) => collator.compare(a, b))[0] ?? ''} is not)`;
      return {
        reason: `${name} moves one pod at a time, and ${settled.length} of its other ${wanted - 1} are Ready${which}`,
        remedy: 'Mend the others, or plan with `statefulSets: budget`, which leaves it to its PodDisruptionBudget.',
      };
    }
    const moving = members.filter((other) => inTurn.has(other.node) && this.byNode.get(other.node)?.includes(other));
    const higher = moving.find((other) => (ordinalOf(other) ?? 0) > ordinal);
    return higher && { reason: `${higher.name} goes first, being of a higher ordinal` };
  }

  private isUnnamed(pod: PodView): boolean {
    if (pod.terminating || hasEnded(pod) || isDaemon(pod)) return false;
    const { named, dataLossNamed } = this.settings;
    if (pod.owner === undefined && !named.has(pod.uid)) return true;
    if (losesData(pod) && !named.has(pod.uid) && !dataLossNamed.has(workloadOf(pod))) return true;
    return this.isOnlyPod(pod) && !this.settings.singletonsNamed.has(workloadOf(pod));
  }

  /** StatefulSets go from their highest ordinal down: a node whose pods come before those of another one goes later, if it can. */
  private hasHigherElsewhere(node: DrainNode, waiting: ReadonlySet<string>): boolean {
    return (this.byNode.get(node.name) ?? []).some((pod) => {
      const ordinal = ordinalOf(pod);
      if (ordinal === undefined) return false;
      const higher = (this.bySet.get(workloadOf(pod)) ?? []).filter((other) => (ordinalOf(other) ?? 0) > ordinal);
      return higher.some((other) => other.node !== node.name && waiting.has(other.node));
    });
  }
}

/**
 * Whether a drain has to get rid of the pod. A daemon pod that has come since the drain of its node began is one that came back, and
 * one that came so and has ended is left behind: another would come in its place.
 */
function hasToMove(pod: PodView, node: DrainNode, { daemonSets }: DrainSettings, nowMs: number): boolean {
  if (!staysOnNode(pod)) return !hasEnded(pod) || arrivalOf(pod, node, nowMs) !== 'after';
  if (pod.mirror || !isDaemon(pod) || daemonSets === 'leave') return false;
  return node.turnBeganMs === undefined || pod.createdAtMs < node.turnBeganMs;
}

const collator = new Intl.Collator('en', { numeric: true });

/** By name with the highest StatefulSet ordinal first, so that the order is the same each time. */
function highestFirst(pods: readonly PodView[]): PodView[] {
  return [...pods].sort((a, b) => collator.compare(podName(b), podName(a)));
}
