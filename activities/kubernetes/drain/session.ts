import type { ActionContext, Observation } from '../../../domain/action.ts';
import { budgetName, type BudgetView } from '../../../domain/drain/budget.ts';
import { nextDrainMoves, type DrainMoves, type DrainNode } from '../../../domain/drain/drain.ts';
import { staysOnNode, type PodView } from '../../../domain/drain/pod.ts';
import { attachmentsLeft, type AttachmentView } from '../../../domain/drain/volumes.ts';
import type { Following, PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { withoutFullStop } from '../../failure.ts';
import { ClusterState, type NodeView } from './cluster-state.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { takeOut } from '../cordon/owner-annotation.ts';
import { drainSettings, type DrainFacts } from './facts.ts';
import { observationOf, type DrainLook } from './progress.ts';
import { deletePod, evictPod, type EvictionAnswer } from './evict.ts';
import { inParallel } from '../client/read.ts';
import { rollOut } from './rollout.ts';
import type { ClaimedVolume } from './volumes.ts';

/** Requests that may wait for their answer at a time: a third of those that change things an API server works on (200 by default). */
const requestsAtOnceMax = 64;
/** How soon what has been granted must be seen; after that it is looked for, and asked for again where it has not come about. */
const seenWithinMs = 10_000;
const pauseMinMs = 500;
const pauseMaxMs = 30_000;

/** An eviction that may be asked for now, and the budget it is counted on, where it has one. */
interface Sendable {
  pod: PodView;
  budget?: BudgetView;
}

/** A request for a pod of which the world has not shown anything yet. */
interface Asked {
  /** Until when that is waited for; Infinity as long as it is not answered. */
  untilMs: number;
  /** Whether the pod was on its way out before, so that only its end shows that something has come of it. */
  wasTerminating: boolean;
}

/** Why the API server does not want to be asked for a pod again yet. */
interface Refusal {
  reason: string;
  untilMs: number;
  times: number;
  /** The budget as it was then: once it has changed, it is asked anew. */
  budget: BudgetView | undefined;
}

/**
 * One drain at work: what it has asked for and what it was told stays in memory only as long as the world does not show it. Everything
 * else is read from the world, so that a drain that was killed is taken up by another session where it stands.
 */
export class DrainSession implements Following {
  private readonly plan: PlanOf<DrainFacts>;
  private readonly context: ActionContext;
  private readonly connect: () => Promise<KubernetesApis>;
  private readonly state: ClusterState;
  private readonly settings: ReturnType<typeof drainSettings>;
  private isFollowing = false;
  /** By the UID of the pod. */
  private readonly asked = new Map<string, Asked>();
  private readonly refused = new Map<string, Refusal>();
  /** UIDs of the pods of which an eviction may have been granted that nobody has seen. */
  private readonly doubted = new Set<string>();
  /** When this session has cordoned a node and begun its drain, until the watch shows it. */
  private readonly cordonedAtMs = new Map<string, number>();
  private readonly beganAtMs = new Map<string, number>();
  private readonly inHand = new Set<Promise<void>>();
  /** Names of the budgets that requests in hand are counted on. */
  private readonly budgetsInHand = new Set<string>();
  /** What went wrong with a request, until the next look tells of it. */
  private trouble: Error | undefined;
  private latest: (DrainLook & { evictions: Sendable[] }) | undefined;

  private constructor(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext) {
    this.plan = plan;
    this.context = context;
    this.connect = () => clients.kubernetes(context.target);
    this.state = new ClusterState(this.connect, context.target.name, context.run, plan.facts.volumes);
    this.settings = drainSettings(plan.facts);
  }

  /** Reads the cluster once; with `follow` it is kept as it is by watches. Throws `kubernetes-…` errors. */
  static async open(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext, follow: boolean): Promise<DrainSession> {
    const session = new DrainSession(clients, plan, context);
    await session.state.load();
    if (follow) session.state.follow();
    session.isFollowing = follow;
    return session;
  }

  async observe(): Promise<Observation> {
    this.throwTrouble();
    const seen = this.seen(this.look());
    if (seen.state !== 'done' || !this.isFollowing) return seen;
    // A watch can have missed something: what is said to be over has been read anew.
    await this.state.refresh();
    return this.seen(this.look());
  }

  async act(): Promise<void> {
    const { moves, nodes, uncordoned, evictions } = this.latest ?? this.look();
    const { run, target } = this.context;
    const apis = await this.connect();
    // Cordoned first, or the evicted pods would come right back.
    const toCordon = new Set(uncordoned.map(({ name }) => name));
    const toBegin = new Set(moves.begin);
    const touched = nodes.filter(({ name }) => toCordon.has(name) || toBegin.has(name));
    await inParallel(touched, async (node) => {
      const wanted = { cordon: toCordon.has(node.name), begin: toBegin.has(node.name) };
      const { cordon, began } = await takeOut(apis, target.name, node, run, wanted, node.object);
      if (cordon !== 'gone' && wanted.cordon) this.cordonedAtMs.set(node.uid, Date.now());
      if (began && wanted.begin) this.beganAtMs.set(node.uid, began.getTime());
    });
    const gracePeriodSeconds = this.plan.facts.settings.gracePeriodSeconds ?? undefined;
    // What an earlier session has asked for on a node whose drain it began is not known here.
    const begunBefore = nodes.filter(({ uid, turnBeganMs }) => turnBeganMs !== undefined && !this.beganAtMs.has(uid));
    const takenUp = new Set(begunBefore.map(({ name }) => name));
    const evict = (pod: PodView): Promise<EvictionAnswer> => {
      const asSeen = this.doubted.has(pod.uid) || takenUp.has(pod.node);
      return evictPod(apis, target.name, pod, { gracePeriodSeconds, asSeen });
    };
    for (const { pod, force } of moves.remove) this.send(pod, () => deletePod(apis, target.name, pod, force));
    for (const { pod, budget } of evictions) this.send(pod, () => evict(pod), budget);
    for (const pod of moves.surge) this.send(pod, () => rollOut(apis, target.name, pod));
    this.latest = undefined;
  }

  changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.state.changed(timeoutMs, signal);
  }

  /** Resolves when every request in hand is answered. Throws what went wrong with one of them. */
  async settle(): Promise<void> {
    await Promise.all(this.inHand);
    this.throwTrouble();
  }

  async stop(): Promise<void> {
    try {
      await Promise.all(this.inHand);
    } finally {
      await this.state.stop();
    }
  }

  private throwTrouble(): void {
    const { trouble } = this;
    this.trouble = undefined;
    if (trouble !== undefined) throw trouble;
  }

  private seen(look: DrainLook & { evictions: Sendable[] }): Observation {
    const { evictions, moves } = look;
    const isToSend = evictions.length + moves.surge.length + moves.remove.length > 0;
    return observationOf(this.plan, look, isToSend && this.inHand.size < requestsAtOnceMax);
  }

  private look(): DrainLook & { evictions: Sendable[] } {
    const { nodes: all, pods, budgets, workloads, attachments, volumes } = this.state.look();
    const nowMs = Date.now();
    this.forget(pods, nowMs);
    const byName = new Map(all.map((node) => [node.name, node]));
    const nodes = this.plan.facts.nodes.flatMap(({ name, uid }) => {
      const node = byName.get(name);
      return node?.uid === uid ? node : [];
    });
    const attached = attachedTo(nodes, pods, attachments, volumes);
    const isUncordoned = ({ uid, cordon }: NodeView): boolean => cordon === 'none' && !isRecent(this.cordonedAtMs.get(uid), nowMs);
    const planned = new Set(this.plan.facts.nodes.map(({ name }) => name));
    const snapshot = {
      hasDestination: all.some(({ name, ready, cordon }) => ready && cordon === 'none' && !planned.has(name)),
      nodes: nodes.map((node): DrainNode => {
        return { ...node, turnBeganMs: node.turnBeganMs ?? this.beganAtMs.get(node.uid), attached: attached.get(node.name) };
      }),
      pods,
      budgets,
      workloads,
      asked: new Set(this.asked.keys()),
      refused: this.refusals(budgets, nowMs),
      nowMs,
    };
    const moves = nextDrainMoves(snapshot, this.settings);
    this.latest = { moves, nodes, uncordoned: nodes.filter(isUncordoned), evictions: this.sendable(moves) };
    return this.latest;
  }

  /**
   * Of each budget one eviction at a time: of two that write its status at once, the API server has one wait for half a second and
   * try again, up to twenty times (EvictionsRetry, pkg/registry/core/pod/storage/eviction.go).
   */
  private sendable({ evict, budgetOf }: DrainMoves): Sendable[] {
    const taken = new Set(this.budgetsInHand);
    return evict.flatMap((pod): Sendable[] => {
      const budget = budgetOf.get(pod);
      if (!budget) return [{ pod }];
      if (taken.has(budgetName(budget))) return [];
      taken.add(budgetName(budget));
      return [{ pod, budget }];
    });
  }

  /** Drops what the world shows by now, and looks anew for what it should show and does not. */
  private forget(pods: readonly PodView[], nowMs: number): void {
    if (this.asked.size + this.refused.size + this.doubted.size === 0) return;
    const byUid = new Map(pods.map((pod) => [pod.uid, pod]));
    for (const [uid, { untilMs, wasTerminating }] of this.asked) {
      const pod = byUid.get(uid);
      const isSeen = !pod || (pod.terminating && !wasTerminating && untilMs !== Infinity);
      if (isSeen) this.asked.delete(uid);
      else if (nowMs >= untilMs) this.lookAgain(uid);
    }
    for (const uid of this.refused.keys()) if (!byUid.has(uid)) this.refused.delete(uid);
    for (const uid of this.doubted) if (!byUid.has(uid)) this.doubted.delete(uid);
  }

  /** Why the API server is not asked for pods now, by their UIDs. */
  private refusals(budgets: readonly BudgetView[], nowMs: number): Map<string, string> {
    const unchanged = new Set(budgets);
    // A budget that has changed since may allow it now.
    const standing = [...this.refused].filter(([, { untilMs, budget }]) => nowMs < untilMs && (!budget || unchanged.has(budget)));
    return new Map(standing.map(([uid, { reason }]) => [uid, reason]));
  }

  /** Sends a request for a pod without waiting for its answer, if there is room for one more. */
  private send(pod: PodView, call: () => Promise<EvictionAnswer>, budget?: BudgetView): void {
    if (this.inHand.size >= requestsAtOnceMax) return;
    this.asked.set(pod.uid, { untilMs: Infinity, wasTerminating: pod.terminating });
    if (budget) this.budgetsInHand.add(budgetName(budget));
    const work = call()
      .then((answer) => this.take(pod, answer, budget))
      .catch((error: unknown) => this.fail(pod, error))
      .finally(() => {
        this.inHand.delete(work);
        if (budget) this.budgetsInHand.delete(budgetName(budget));
        this.state.note();
      });
    this.inHand.add(work);
  }

  private take(pod: PodView, answer: EvictionAnswer, budget: BudgetView | undefined): void {
    if (answer.answer === 'changed') return this.lookAgain(pod.uid);
    if (answer.answer !== 'blocked') {
      this.asked.set(pod.uid, { untilMs: Date.now() + seenWithinMs, wasTerminating: pod.terminating });
      return;
    }
    this.asked.delete(pod.uid);
    const reason = `the API server refuses it for now: ${withoutFullStop(answer.reason)}`;
    this.pause(pod, { reason, pauseMs: answer.retryAfterMs, budget: answer.by === 'budget' ? budget : undefined });
  }

  /** Whether anything has come of the request is not known. Asking again and again without a pause would help nobody. */
  private fail(pod: PodView, error: unknown): void {
    this.trouble ??= error instanceof Error ? error : new Error(String(error));
    const isFirst = !this.refused.has(pod.uid);
    if (error instanceof HoldpointError) this.pause(pod, { reason: withoutFullStop(error.message), pauseMs: isFirst ? 0 : undefined });
    this.lookAgain(pod.uid);
  }

  /** Leaves the pod in peace for a while, longer each time unless the API server says for how long. */
  private pause(pod: PodView, { reason, pauseMs, budget }: { reason: string; pauseMs?: number; budget?: BudgetView }): void {
    const times = (this.refused.get(pod.uid)?.times ?? 0) + 1;
    const untilMs = Date.now() + (pauseMs ?? Math.min(pauseMaxMs, pauseMinMs * 2 ** times));
    this.refused.set(pod.uid, { reason, times, untilMs, budget });
  }

  /** What has become of a pod is not known: it counts as asked until everything has been read anew. */
  private lookAgain(uid: string): void {
    this.doubted.add(uid);
    if (!this.isFollowing) {
      this.asked.delete(uid);
      return;
    }
    this.asked.set(uid, { untilMs: Infinity, wasTerminating: false });
    void this.state
      .refreshPods()
      .catch(() => undefined)
      .finally(() => {
        this.asked.delete(uid);
        this.state.note();
      });
  }
}

/** The volumes that pods have left behind on each node, by its name. */
function attachedTo(
  nodes: readonly NodeView[],
  pods: readonly PodView[],
  attachments: readonly AttachmentView[],
  volumes: readonly ClaimedVolume[],
): Map<string, string[]> {
  if (attachments.length === 0) return new Map();
  const names = new Set(nodes.map(({ name }) => name));
  const claimOf = new Map(volumes.flatMap(({ name, claim }) => (claim === undefined ? [] : [[name, claim] as const])));
  const staying = pods.filter((pod) => names.has(pod.node) && staysOnNode(pod));
  const claimsThatStay = new Set(staying.flatMap(({ namespace, claims }) => claims.map((claim) => `${namespace}/${claim}`)));
  const found = new Map<string, string[]>();
  for (const { node, claim, volume } of attachmentsLeft([...names], attachments, claimOf, claimsThatStay)) {
    found.set(node, [...(found.get(node) ?? []), claim ?? volume]);
  }
  return found;
}

function isRecent(atMs: number | undefined, nowMs: number): boolean {
  return atMs !== undefined && nowMs - atMs < seenWithinMs;
}
