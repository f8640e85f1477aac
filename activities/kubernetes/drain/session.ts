import type { ActionContext, Observation } from '../../../domain/action.ts';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { nextDrainMoves, type DrainNode } from '../../../domain/drain/drain.ts';
import { claimsOf, staysOnNode, type PodView } from '../../../domain/drain/pod.ts';
import { killedText, PodEnds, type WorkloadEnds } from '../../../domain/drain/pod-ends.ts';
import { RequestBook, type EvictionAnswer, type Sendable } from '../../../domain/drain/requests.ts';
import { attachmentsLeft, type AttachmentView } from '../../../domain/drain/volumes.ts';
import { getOrAdd } from '../../../domain/map.ts';
import type { Following, PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { withoutFullStop } from '../../failure.ts';
import { ClusterState, type NodeView } from './cluster-state.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { takeOut } from '../cordon/owner-annotation.ts';
import { drainSettings, type DrainFacts } from './facts.ts';
import { observationOf, type DrainLook } from './progress.ts';
import { deletePod, evictPod } from './evict.ts';
import { isOlder } from '../client/list.ts';
import { inParallel } from '../client/read.ts';
import { rollOut } from './rollout.ts';
import type { ClaimedVolume } from './volumes.ts';

/** Requests that may wait for their answer at a time: a third of those that change things an API server works on (200 by default). */
const requestsAtOnceMax = 64;
const killedShownMax = 3;
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
  /** Names of the attachments that were of no pod when the plan was made. */
  private readonly orphaned: ReadonlySet<string>;
  private readonly ends: PodEnds;
  private isFollowing = false;
  private readonly book = new RequestBook();
  private readonly inHand = new Set<Promise<void>>();
  /** What went wrong with a request, until the next look tells of it. */
  private trouble: Error | undefined;
  private latest: (DrainLook & { evictions: Sendable[] }) | undefined;

  private constructor(
    connect: () => Promise<KubernetesApis>,
    plan: PlanOf<DrainFacts>,
    context: ActionContext,
    { state, ends }: { state: ClusterState; ends: PodEnds },
  ) {
    this.ends = ends;
    this.plan = plan;
    this.context = context;
    this.connect = connect;
    this.state = state;
    this.settings = drainSettings(plan.facts);
    this.orphaned = new Set((plan.details.orphanedAttachments ?? []) as string[]);
  }

  /** Reads the cluster once; with `follow` it is kept as it is by watches. Throws `kubernetes-…` errors. */
  static async open(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext, follow: boolean): Promise<DrainSession> {
    const { target, run } = context;
    const connect = (): Promise<KubernetesApis> => clients.kubernetes(target);
    const nodes = plan.facts.nodes.map(({ name }) => name);
    const ends = new PodEnds(context.checkpoint.read());
    const seePod = (before: PodView | undefined, after: PodView | undefined): void => {
      if (ends.see(before, after, Date.now())) context.checkpoint.write(ends.summary());
    };
    const state = await ClusterState.open(connect, { cluster: target.name, run, nodes, volumes: plan.facts.volumes, follow, seePod });
    const session = new DrainSession(connect, plan, context, { state, ends });
    session.isFollowing = follow;
    return session;
  }

  async observe(): Promise<Observation> {
    this.throwTrouble();
    const seen = this.seen(this.look());
    if ((seen.state !== 'done' && seen.state !== 'stuck') || !this.isFollowing) return seen;
    // A watch can have missed something, and that of pods be ahead of that of nodes: what is said to be over has been read anew.
    await this.state.confirm();
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
      // Where somebody has lifted the cordon in the middle, pods have come by right: its turn begins anew.
      const wanted = { cordon: toCordon.has(node.name), begin: toBegin.has(node.name) || node.turnBeganMs !== undefined };
      const { cordon, began, beginsNow, version } = await takeOut(apis, target.name, node, run, wanted, node.object);
      if (cordon !== 'gone' && wanted.cordon) this.book.noteNode(node.uid, { cordonedAtMs: Date.now(), cordonedVersion: version });
      const seenAtTurn = beginsNow ? this.state.podsOn(node.name) : undefined;
      if (began && wanted.begin) this.book.noteNode(node.uid, { beganAtMs: began.getTime(), stampMs: undefined, seenAtTurn });
    });
    const gracePeriodSeconds = this.plan.facts.settings.gracePeriodSeconds ?? undefined;
    // What an earlier session has asked for on a node whose drain it began is not known here, nor what somebody else does.
    const isBegunBefore = ({ uid, turnBeganMs }: NodeView): boolean =>
      turnBeganMs !== undefined && this.book.turnOf(uid).beganAtMs === undefined;
    const inDoubt = new Set(nodes.filter((node) => node.isShared || isBegunBefore(node)).map(({ name }) => name));
    const evict = (pod: PodView): Promise<EvictionAnswer> => {
      const asSeen = this.book.isInDoubt(pod.uid) || inDoubt.has(pod.node);
      return evictPod(apis, target.name, pod, { gracePeriodSeconds, asSeen });
    };
    for (const { pod, graceSeconds } of moves.remove) this.send(pod, () => deletePod(apis, target.name, pod, graceSeconds));
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
    return withEnds(observationOf(this.plan, look, isToSend && this.inHand.size < requestsAtOnceMax), this.ends.summary());
  }

  private look(): DrainLook & { evictions: Sendable[] } {
    const { nodes: all, pods, budgets, under, workloads, attachments, volumes } = this.state.look();
    const nowMs = Date.now();
    const missing = new Set(this.book.see(pods, nowMs));
    const nodesOfMissing = pods.flatMap(({ uid, node }) => (missing.has(uid) ? node : []));
    this.readAnew([...missing], nodesOfMissing);
    const byName = new Map(all.map((node) => [node.name, node]));
    const nodes = this.plan.facts.nodes.flatMap(({ name, uid }) => {
      const node = byName.get(name);
      return node?.uid === uid ? node : [];
    });
    const ownAttachments = attachments.filter(({ name }) => !this.orphaned.has(name));
    const attached = attachedTo(nodes, pods, ownAttachments, volumes);
    const planned = new Set(this.plan.facts.nodes.map(({ name }) => name));
    const isUncordoned = ({ uid, cordon, object }: NodeView): boolean => {
      const isLater = (version: string): boolean => isOlder(version, object.metadata?.resourceVersion ?? '');
      return cordon === 'none' && !this.book.hasCordoned(uid, nowMs, isLater);
    };
    const snapshot = {
      hasDestination: all.some(({ name, ready, cordon }) => ready && cordon === 'none' && !planned.has(name)),
      nodes: nodes.map((node): DrainNode => {
        return { ...node, ...this.turnOf(node), attached: attached.get(node.name) };
      }),
      pods,
      budgets,
      under,
      workloads,
      asked: this.book.asked(),
      refused: this.book.refusals(budgets, nowMs),
      nowMs,
    };
    const moves = nextDrainMoves(snapshot, this.settings);
    this.latest = { moves, nodes, uncordoned: nodes.filter(isUncordoned), evictions: this.book.sendable(moves) };
    this.state.endLook();
    return this.latest;
  }

  /** The turn of a node as it is noted there, or as this session has just noted it, while that does not show. */
  private turnOf({ uid, turnBeganMs, turnStampMs }: NodeView): Pick<DrainNode, 'turnBeganMs' | 'turnStampMs' | 'seenAtTurn'> {
    const own = this.book.turnOf(uid);
    if (turnBeganMs !== undefined && turnBeganMs > (own.beganAtMs ?? 0)) return { turnBeganMs, turnStampMs };
    if (own.beganAtMs === undefined) return {};
    if (turnBeganMs === own.beganAtMs) this.book.noteNode(uid, { stampMs: turnStampMs });
    return { turnBeganMs: own.beganAtMs, turnStampMs: this.book.turnOf(uid).stampMs ?? Infinity, seenAtTurn: own.seenAtTurn };
  }

  /** Sends a request for a pod without waiting for its answer, if there is room for one more. */
  private send(pod: PodView, call: () => Promise<EvictionAnswer>, budget?: BudgetView): void {
    if (this.inHand.size >= requestsAtOnceMax) return;
    this.book.send(pod, budget);
    const work = call()
      .then((answer) => {
        if (this.book.answer(pod, answer, Date.now())) this.readAnew([pod.uid], [pod.node]);
      })
      .catch((error: unknown) => this.fail(pod, error))
      .finally(() => {
        this.inHand.delete(work);
        this.state.note();
      });
    this.inHand.add(work);
  }

  private noteTrouble(error: unknown): void {
    this.trouble ??= error instanceof Error ? error : new Error(String(error));
  }

  private fail(pod: PodView, error: unknown): void {
    this.noteTrouble(error);
    this.book.fail(pod, error instanceof HoldpointError ? withoutFullStop(error.message) : undefined, Date.now());
    this.readAnew([pod.uid], [pod.node]);
  }

  /** What has become of pods is not known: they count as asked until their nodes have been read anew, as each look does without watches. */
  private readAnew(uids: readonly string[], nodes: readonly string[]): void {
    if (uids.length === 0) return;
    if (!this.isFollowing) return this.book.readAnew(uids);
    void this.state
      .refreshPods(nodes)
      .catch((error: unknown) => this.noteTrouble(error))
      .finally(() => {
        // Where that has failed, what is sent for them again still says which state of them it is meant for.
        this.book.readAnew(uids);
        this.state.note();
      });
  }
}

/** What is done also says how the pods have ended. */
function withEnds(seen: Observation, podEnds: WorkloadEnds[]): Observation {
  if (seen.state !== 'done' || podEnds.length === 0) return seen;
  const killed = killedText(podEnds, killedShownMax);
  const progress =
    seen.progress && killed !== undefined ? { ...seen.progress, summary: `${seen.progress.summary}; ${killed}` } : seen.progress;
  return { ...seen, outputs: { ...seen.outputs, podEnds }, progress };
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
  const claimsThatStay = new Set(staying.flatMap((pod) => claimsOf(pod).map((claim) => `${pod.namespace}/${claim}`)));
  const found = new Map<string, string[]>();
  for (const { node, claim } of attachmentsLeft([...names], attachments, claimOf, claimsThatStay)) {
    getOrAdd(found, node, () => []).push(claim);
  }
  return found;
}
