import { shutdownAnnotation } from '../../lab/kubernetes-stages.ts';
import { follow, type Door } from '../../test/lab-kubernetes/raw.ts';
import type { EvictedPod } from './bound.ts';

/** A pod as it comes over the wire, as far as the witness looks at it. */
export interface WitnessedPod {
  metadata: {
    name: string;
    uid: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    deletionTimestamp?: string;
  };
  spec: { nodeName?: string };
  status?: { conditions?: { type: string; status: string }[] };
}

/** A PodDisruptionBudget as it comes over the wire; those of the benchmark select by the label `app` alone. */
export interface WitnessedBudget {
  metadata: { name: string };
  spec: { selector: { matchLabels: { app: string } } };
  status?: { disruptionsAllowed: number; desiredHealthy: number; disruptedPods?: Record<string, string> };
}

/** What the witness has seen of one turn. */
export interface Testimony {
  /** Those on the nodes, in the order of their evictions. */
  evicted: EvictedPod[];
  /** From each moment in which a budget opened while pods waited for it, until the next eviction under it: milliseconds. */
  unblockToEvictionMs: number[];
  /** Moments, of those in which any pod changed, in which a budget had fewer healthy pods than it demands. */
  moments: number;
  below: number;
}

/**
 * What is to be known of budgets and pods, from events alone and from the time at which each has arrived. A budget opens when
 * `disruptionsAllowed` leaves 0 while pods under it wait on the nodes; the eviction is granted when one of them gets a deletion
 * timestamp or the condition DisruptionTarget. A budget that closes again without an eviction has opened for nobody.
 */
export class Ledger {
  private readonly nodes: ReadonlySet<string>;
  private readonly pods = new Map<string, WitnessedPod>();
  private readonly budgets = new Map<string, WitnessedBudget>();
  private readonly openedAtMs = new Map<string, number>();
  readonly testimony: Testimony = { evicted: [], unblockToEvictionMs: [], moments: 0, below: 0 };

  constructor(nodes: readonly string[]) {
    this.nodes = new Set(nodes);
  }

  seePod(type: string, pod: WitnessedPod, atMs: number): void {
    const before = this.pods.get(pod.metadata.uid);
    if (type === 'DELETED') this.pods.delete(pod.metadata.uid);
    else this.pods.set(pod.metadata.uid, pod);
    if (before && waits(before) && (type === 'DELETED' || !waits(pod))) this.seeEviction(before, atMs);
    this.count();
  }

  seeBudget(type: string, budget: WitnessedBudget, atMs: number): void {
    const app = appOf(budget);
    const allowedBefore = this.budgets.get(app)?.status?.disruptionsAllowed ?? 0;
    if (type === 'DELETED') {
      this.budgets.delete(app);
      this.openedAtMs.delete(app);
      return;
    }
    this.budgets.set(app, budget);
    const allowed = budget.status?.disruptionsAllowed ?? 0;
    const waiting = this.waiting(app);
    if (allowed > 0 && allowedBefore === 0 && waiting.length > 0) this.openedAtMs.set(app, atMs);
    // The status tells of a granted eviction a moment before the pod itself does.
    const isSpent = waiting.some(({ metadata }) => budget.status?.disruptedPods?.[metadata.name] !== undefined);
    if (allowed === 0 && !isSpent) this.openedAtMs.delete(app);
  }

  private seeEviction(pod: WitnessedPod, atMs: number): void {
    if (!this.nodes.has(pod.spec.nodeName ?? '')) return;
    const app = pod.metadata.labels?.app ?? '';
    this.testimony.evicted.push({ app, shutdownSeconds: Number(pod.metadata.annotations?.[shutdownAnnotation] ?? 0) });
    const openedAtMs = this.openedAtMs.get(app);
    if (openedAtMs === undefined) return;
    this.openedAtMs.delete(app);
    this.testimony.unblockToEvictionMs.push(atMs - openedAtMs);
  }

  private waiting(app: string): WitnessedPod[] {
    return [...this.pods.values()].filter(
      (pod) => pod.metadata.labels?.app === app && waits(pod) && this.nodes.has(pod.spec.nodeName ?? ''),
    );
  }

  private count(): void {
    const healthy = new Map<string, number>();
    for (const { metadata, status } of this.pods.values()) {
      if (metadata.deletionTimestamp !== undefined || !isTrue(status, 'Ready')) continue;
      const app = metadata.labels?.app ?? '';
      healthy.set(app, (healthy.get(app) ?? 0) + 1);
    }
    this.testimony.moments += 1;
    const isBelow = [...this.budgets].some(([app, { status }]) => (healthy.get(app) ?? 0) < (status?.desiredHealthy ?? 0));
    if (isBelow) this.testimony.below += 1;
  }
}

function appOf({ spec }: WitnessedBudget): string {
  return spec.selector.matchLabels.app;
}

/** Whether nobody has evicted it yet. */
function waits({ metadata, status }: WitnessedPod): boolean {
  return metadata.deletionTimestamp === undefined && !isTrue(status, 'DisruptionTarget');
}

function isTrue(status: WitnessedPod['status'], condition: string): boolean {
  return status?.conditions?.some(({ type, status }) => type === condition && status === 'True') ?? false;
}

/** Somebody who only looks, on connections of his own past the proxy, without any code of the product. */
export interface Witness {
  /** Ends the watches and says what has been seen. Throws where they could not go on: nobody has seen the rest then. */
  testify(): Testimony;
}

/** Begins to watch pods and budgets of a namespace, for the eviction of those on the nodes. */
export async function startWitness(door: Door, namespace: string, nodes: readonly string[]): Promise<Witness> {
  const ledger = new Ledger(nodes);
  const budgets = await follow(door, `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`, ({ type, object }) =>
    ledger.seeBudget(type, object as unknown as WitnessedBudget, performance.now()),
  );
  const pods = await follow(door, `/api/v1/namespaces/${namespace}/pods`, ({ type, object }) =>
    ledger.seePod(type, object as unknown as WitnessedPod, performance.now()),
  );
  // Before the first pod was known every budget was short of them.
  Object.assign(ledger.testimony, { moments: 0, below: 0 });
  return {
    testify: () => {
      const broken = budgets.broken() ?? pods.broken();
      budgets.stop();
      pods.stop();
      if (broken !== undefined) throw new Error(`The witness has missed something: ${broken}.`);
      return ledger.testimony;
    },
  };
}
