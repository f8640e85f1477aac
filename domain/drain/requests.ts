import { getOrAdd } from '../map.ts';
import { budgetName, type BudgetView } from './budget.ts';
import type { DrainMoves, RefusedEviction } from './drain.ts';
import type { PodView } from './pod.ts';

/** How soon what has been granted must be seen; after that it is looked for, and asked for again where it has not come about. */
const seenWithinMs = 10_000;
const pauseMinMs = 500;
const pauseMaxMs = 30_000;

/** What the API server says to a request for a pod. */
export type EvictionAnswer =
  | { answer: 'evicted' }
  | { answer: 'gone' }
  /** Another pod has its name now, or it is not as it was seen. */
  | { answer: 'changed' }
  /** It may go later. `by`: a budget that allows none or is being worked out, or something else that says no for now. */
  | { answer: 'blocked'; by: 'budget' | 'other'; reason: string; retryAfterMs?: number };

/** An eviction that may be asked for now, and the budget it is counted on, where it has one. */
export interface Sendable {
  pod: PodView;
  budget?: BudgetView;
}

/** Why the API server does not want to be asked for a pod again yet. */
interface Refusal {
  reason: string;
  untilMs: number;
  times: number;
  /** The budget as it was then: once it has changed, it is asked anew. */
  budget?: BudgetView;
}

interface PodRequest {
  /**
   * `sent`: not answered yet. `granted`: the cluster has to show it by `showByMs`. `unknown`: what came of it is being read anew.
   * `settled`: nothing is waited for.
   */
  state: 'sent' | 'granted' | 'unknown' | 'settled';
  /** Whether the pod was on its way out before, so that only its end shows that something has come of the request. */
  wasTerminating: boolean;
  showByMs: number;
  /** The budget that it is counted on, of a request that was sent. */
  budget?: BudgetView;
  refusal?: Refusal;
  /** Whether an eviction may have been granted that nobody has seen. */
  inDoubt: boolean;
}

interface NodeRequest {
  cordonedAtMs?: number;
  /** The version of the node in which it was cordoned. */
  cordonedVersion?: string;
  beganAtMs?: number;
  /** The same by the clock of the API server, once that has shown it. */
  stampMs?: number;
  /** UIDs of the pods that it had then. */
  seenAtTurn?: ReadonlySet<string>;
}

/**
 * What one drain at work has asked for and been told, for as long as the cluster does not show it. It sends and reads nothing itself:
 * times are given to it, and it says what has to be read anew.
 */
export class RequestBook {
  /** By the UID of the pod. */
  private readonly pods = new Map<string, PodRequest>();
  /** By the UID of the node. */
  private readonly nodes = new Map<string, NodeRequest>();

  /** A request for a pod is on its way. `budget`: what its eviction is counted on. */
  send({ uid, terminating }: PodView, budget?: BudgetView): void {
    this.pods.set(uid, { ...this.of(uid), state: 'sent', wasTerminating: terminating, budget });
  }

  /** A request has been answered. Returns whether what came of it is unknown, so that everything has to be read anew. */
  answer(pod: PodView, answer: EvictionAnswer, nowMs: number): boolean {
    const request = this.of(pod.uid);
    const { budget } = request;
    if (answer.answer === 'changed') {
      doubt(request);
    } else if (answer.answer === 'blocked') {
      request.state = 'settled';
      const reason = `the API server refuses it for now: ${answer.reason}`;
      pause(request, { reason, pauseMs: answer.retryAfterMs, budget: answer.by === 'budget' ? budget : undefined }, nowMs);
    } else {
      request.state = 'granted';
      request.showByMs = nowMs + seenWithinMs;
    }
    return request.state === 'unknown';
  }

  /**
   * A request has failed, and whether anything has come of it has to be read anew. The first failure may be a chance; where it goes on,
   * asking again and again without a pause would help nobody. `reason`: why it failed, where asking again can help.
   */
  fail(pod: PodView, reason: string | undefined, nowMs: number): void {
    const request = this.of(pod.uid);
    if (reason !== undefined) pause(request, { reason, pauseMs: request.refusal ? undefined : 0 }, nowMs);
    doubt(request);
  }

  /** Everything has been read anew: those of the pods that are still there may be asked for again. */
  readAnew(uids: readonly string[]): void {
    for (const uid of uids) {
      const request = this.pods.get(uid);
      if (request?.state === 'unknown') request.state = 'settled';
    }
  }

  /** Drops what the cluster shows by now. Returns the UIDs of the pods of which it should show something and does not: read them anew. */
  see(pods: readonly PodView[], nowMs: number): string[] {
    if (this.pods.size === 0) return [];
    const byUid = new Map<string, PodView>();
    for (const pod of pods) if (this.pods.has(pod.uid)) byUid.set(pod.uid, pod);
    const missing: string[] = [];
    for (const [uid, request] of this.pods) {
      if (request.state === 'sent') continue;
      const pod = byUid.get(uid);
      if (pod && request.state === 'granted') {
        if (pod.terminating && !request.wasTerminating) request.state = 'settled';
        else if (nowMs >= request.showByMs) {
          doubt(request);
          missing.push(uid);
        }
      }
      const saysNothing = request.state === 'settled' && !request.refusal && !request.inDoubt;
      if (!pod || saysNothing) this.pods.delete(uid);
    }
    return missing;
  }

  /** UIDs of the pods that have been asked for, and of which nothing has been seen since. */
  asked(): Set<string> {
    return new Set([...this.pods].filter(([, { state }]) => state !== 'settled').map(([uid]) => uid));
  }

  /** Why the API server is not asked for pods now, by their UIDs. A budget that has changed since may allow it now. */
  refusals(budgets: readonly BudgetView[], nowMs: number): Map<string, RefusedEviction> {
    const unchanged = new Set(budgets);
    const isStanding = ({ untilMs, budget }: Refusal): boolean => nowMs < untilMs && (!budget || unchanged.has(budget));
    return new Map(
      [...this.pods].flatMap(([uid, { refusal }]) => (refusal && isStanding(refusal) ? [[uid, refusedOf(refusal)] as const] : [])),
    );
  }

  /** Whether an eviction of the pod may have been granted that nobody has seen. */
  isInDoubt(uid: string): boolean {
    return this.pods.get(uid)?.inDoubt === true;
  }

  /**
   * Of each budget one eviction at a time: of two that write its status at once, the API server has one wait for half a second and
   * try again, up to twenty times (EvictionsRetry, pkg/registry/core/pod/storage/eviction.go).
   */
  sendable({ evict, attempt, budgetOf }: Pick<DrainMoves, 'evict' | 'attempt' | 'budgetOf'>): Sendable[] {
    const sent = [...this.pods.values()].filter(({ state }) => state === 'sent');
    const taken = new Set(sent.flatMap(({ budget }) => (budget ? budgetName(budget) : [])));
    return [...evict, ...attempt].flatMap((pod): Sendable[] => {
      const budget = budgetOf.get(pod);
      if (!budget) return [{ pod }];
      if (taken.has(budgetName(budget))) return [];
      taken.add(budgetName(budget));
      return [{ pod, budget }];
    });
  }

  /** A node has been cordoned, or its drain has begun. */
  noteNode(uid: string, at: NodeRequest): void {
    this.nodes.set(uid, { ...this.nodes.get(uid), ...at });
  }

  /**
   * Whether a node has been cordoned so lately that the cluster need not show it yet. `isLater` says of a version of it whether the node
   * as it is seen is later than that: where that one is without a cordon, somebody has lifted it.
   */
  hasCordoned(uid: string, nowMs: number, isLater: (version: string) => boolean): boolean {
    const { cordonedAtMs: atMs, cordonedVersion: version } = this.nodes.get(uid) ?? {};
    return atMs !== undefined && nowMs - atMs < seenWithinMs && !(version !== undefined && isLater(version));
  }

  /** When this session has begun the drain of a node, and with which pods; undefined where it has not. */
  turnOf(uid: string): Pick<NodeRequest, 'beganAtMs' | 'stampMs' | 'seenAtTurn'> {
    return this.nodes.get(uid) ?? {};
  }

  private of(uid: string): PodRequest {
    return getOrAdd(this.pods, uid, (): PodRequest => ({ state: 'settled', wasTerminating: false, showByMs: 0, inDoubt: false }));
  }
}

function refusedOf({ reason, budget }: Refusal): RefusedEviction {
  return { reason, by: budget ? 'budget' : 'other' };
}

function doubt(request: PodRequest): void {
  request.state = 'unknown';
  request.inDoubt = true;
}

/** Leaves the pod in peace for a while, longer each time unless the API server says for how long. */
function pause(request: PodRequest, why: { reason: string; pauseMs?: number; budget?: BudgetView }, nowMs: number): void {
  const { reason, pauseMs, budget } = why;
  const times = (request.refusal?.times ?? 0) + 1;
  request.refusal = { reason, times, untilMs: nowMs + (pauseMs ?? Math.min(pauseMaxMs, pauseMinMs * 2 ** times)), budget };
}
