import type { Todo } from '../action.ts';
import { getOrAdd } from '../map.ts';
import { compareText } from '../text.ts';
import { BudgetIndex, budgetName, keptOf, shutReason, wishForShutBudget, type BudgetView, type KeptPods } from './budget.ts';
import { hasEnded, podName, workloadOf, type PodView } from './pod.ts';
import { openerOf } from './zero-budgets.ts';

/** The pods under a budget. */
export interface PodsUnderBudget {
  all: Iterable<PodView>;
  /** Those of them that may have been asked for or have to move; others may be among them. */
  here: Iterable<PodView>;
  /** How many of all are Ready and not on their way out. */
  serving: number;
  /** What else counts of all of them. */
  kept: KeptPods;
}

/** What a spending is counted from. */
export interface SpendingSnapshot {
  pods: readonly PodView[];
  budgets: readonly BudgetView[];
  /** The pods under a budget, where that is known; without it they are found among `pods`. */
  under?: (budget: BudgetView) => PodsUnderBudget | undefined;
  /** UIDs of pods whose eviction has been asked for. */
  asked: ReadonlySet<string>;
  nodes: readonly { turnBeganMs?: number }[];
  /** Milliseconds since 1970. */
  nowMs: number;
}

/** A pod that is not Ready so long after it was made is not only starting. */
const startingMaxMs = 120_000;

/** What is left of a PodDisruptionBudget. */
interface Account {
  budget: BudgetView;
  free: number;
  /** Disruptions that have been asked for and do not show in the budget's numbers yet. */
  used: number;
  /** How many of its pods have to move, once that has been counted. */
  left?: number;
}

/** How many disruptions each PodDisruptionBudget still allows while the moves of a drain are chosen. */
export class BudgetSpending {
  private readonly snapshot: SpendingSnapshot;
  private readonly index: BudgetIndex;
  private readonly accounts = new Map<BudgetView, Account>();
  private readonly shut = new Map<BudgetView, boolean>();
  private covered: Map<BudgetView, PodView[]> | undefined;
  private readonly under: (budget: BudgetView) => PodsUnderBudget | undefined;

  constructor(snapshot: SpendingSnapshot) {
    this.snapshot = snapshot;
    this.index = new BudgetIndex(snapshot.budgets);
    this.under = snapshot.under ?? ((budget) => this.found(budget));
  }

  /**
   * Takes one disruption from the pod's budget, or says why it cannot. Mirrors the API server's order of checks
   * (pkg/registry/core/pod/storage/eviction.go): finished and pending pods go freely, two budgets are an error,
   * unready pods follow unhealthyPodEvictionPolicy and cost nothing.
   */
  spend(pod: PodView): string | undefined {
    if (hasEnded(pod) || pod.phase === 'Pending') return undefined;
    const [budget, second] = this.index.of(pod);
    if (budget === undefined) return undefined;
    if (second !== undefined) {
      return `two budgets protect it, ${budgetName(budget)} and ${budgetName(second)}: the API server evicts no such pod`;
    }
    if (!pod.ready) {
      const healthyBudget = budget.desiredHealthy > 0 && budget.currentHealthy >= budget.desiredHealthy;
      if (budget.unhealthyPodEvictionPolicy === 'AlwaysAllow' || healthyBudget) return undefined;
    }
    if (!budget.statusIsCurrent) return `PDB ${budgetName(budget)} is being worked out by its controller`;
    const account = this.accountOf(budget);
    if (account.free <= 0) {
      const why = this.isZero(pod) ? untilChanged(budget, pod) : this.cutOff(budget) || this.broken(budget, pod);
      return `${shortage(account)}${why}`;
    }
    account.free -= 1;
    account.used += 1;
    return undefined;
  }

  /** What a person can do where `spend` has said why the pod cannot go: whose the budget is, what keeps it shut, how to look at it. */
  todoFor(pod: PodView): Todo | undefined {
    const [budget, second] = this.index.of(pod);
    if (budget === undefined) return undefined;
    const command = `kubectl -n ${budget.namespace} describe pdb ${[budget, second].map((each) => each?.name ?? '').join(' ')}`.trimEnd();
    if (second !== undefined) {
      return { text: `Have the owner of ${workloadOf(pod)} change the selectors so that one budget covers each pod.`, command };
    }
    const workload = workloadOf(pod);
    const opener = openerOf(budget, [pod]);
    if (this.isZero(pod)) {
      if (opener === undefined) return { text: `${wishForShutBudget(budget, [workload])}. The drain goes on by itself then.`, command };
      return { text: `${opener.name} ${opener.when ?? 'has to allow it'}. If it does not, ask whoever looks after it.`, command };
    }
    const { kind = '', name = '' } = budget.owner ?? {};
    const owner = budget.owner ? `${kind} ${budget.namespace}/${name}` : `whoever owns ${workload}`;
    const owned = `PDB ${budgetName(budget)} belongs to ${owner}.`;
    const [broken] = this.brokenPods(budget, pod);
    if (broken) {
      const text = `${owned} Have ${podName(broken)} made Ready, or deleted; the drain goes on by itself when the PDB allows a disruption.`;
      return { text, command: `kubectl -n ${broken.namespace} describe pod ${broken.name}` };
    }
    return { text: `${owned} The drain goes on by itself when enough of its pods are Ready.`, command };
  }

  /** A pod goes without asking its budgets: what they allow others is less by one. */
  noteLoss(pod: PodView): void {
    if (!pod.ready) return;
    for (const budget of this.index.of(pod)) this.accountOf(budget).free -= 1;
  }

  /** Whether the only budget of the pod allows 0 disruptions for good, as far as numbers tell. */
  isZero(pod: PodView): boolean {
    const [budget, second] = this.index.of(pod);
    return budget !== undefined && second === undefined && this.isShut(budget);
  }

  /** The budget that the API server asks when the pod is evicted; undefined where it has none. */
  budgetOf(pod: PodView): BudgetView | undefined {
    return this.index.of(pod)[0];
  }

  /** How often a budget has to allow disruptions until all of its pods on these nodes are gone. */
  wavesOf(budget: BudgetView, byNode: ReadonlyMap<string, readonly PodView[]>): number {
    const account = this.accountOf(budget);
    account.left ??= [...(this.under(budget)?.here ?? [])].filter((other) => byNode.has(other.node)).length;
    return account.left / Math.max(1, budget.expectedPods - budget.desiredHealthy);
  }

  private isShut(budget: BudgetView): boolean {
    return getOrAdd(this.shut, budget, () => shutReason(budget, this.under(budget)?.kept ?? { ended: 0, bare: 0 }) !== undefined);
  }

  private accountOf(budget: BudgetView): Account {
    return getOrAdd(this.accounts, budget, () => this.openAccount(budget));
  }

  /**
   * What the budget's status allows, less what has been asked for since; and no more than what the pods themselves show: a pod
   * that was moved counts once it is Ready elsewhere, whatever a status of a moment ago says.
   */
  private openAccount(budget: BudgetView): Account {
    const { serving = 0, here = [] } = this.under(budget) ?? {};
    const asked = [...here].filter((pod) => isServing(pod) && this.snapshot.asked.has(pod.uid));
    const uncounted = asked.filter(({ name }) => !budget.disrupted.includes(name)).length;
    const healthy = serving - asked.length;
    return { budget, free: Math.min(budget.disruptionsAllowed - uncounted, healthy - budget.desiredHealthy), used: uncounted };
  }

  /**
   * The API server spends the budget first and deletes the pod then. Where the connection is cut in between, as by the death of a
   * worker, the pod is left, and the controller counts the disruption for two minutes (DeletionTimeout, pkg/controller/disruption).
   */
  private cutOff(budget: BudgetView): string {
    if (budget.disrupted.length === 0) return '';
    const isLeft = (pod: PodView): boolean => budget.disrupted.includes(pod.name) && !pod.terminating && !this.snapshot.asked.has(pod.uid);
    // The first by name: a reason must not change with the order in which pods have come.
    const [left] = [...(this.under(budget)?.all ?? [])].filter(isLeft).map(podName).sort(compareText);
    return left === undefined ? '' : `; an eviction of ${left} that was cut off counts against it for two minutes`;
  }

  /** The pod that keeps the budget shut, being broken: whoever sees to it helps, and not whoever sees to the budget. */
  private broken(budget: BudgetView, asking: PodView): string {
    const [first, ...others] = this.brokenPods(budget, asking);
    if (first === undefined) return '';
    const place = first.node === '' ? '' : ` on ${first.node}`;
    const more = others.length > 0 ? `, as ${others.length} more` : '';
    return `; ${podName(first)}${place} is not Ready${first.trouble === undefined ? '' : ` (${first.trouble})`}${more}`;
  }

  private brokenPods(budget: BudgetView, asking: PodView): PodView[] {
    const { nowMs, nodes } = this.snapshot;
    // What has come since takes the place of moved pods, and is only starting as a rule.
    const beganAtMs = Math.min(...nodes.map(({ turnBeganMs = Infinity }) => turnBeganMs));
    const isOld = ({ createdAtMs }: PodView): boolean => createdAtMs < beganAtMs || createdAtMs + startingMaxMs < nowMs;
    const isBroken = (pod: PodView): boolean =>
      pod.uid !== asking.uid && !pod.ready && !pod.terminating && !hasEnded(pod) && (pod.trouble !== undefined || isOld(pod));
    return [...(this.under(budget)?.all ?? [])].filter(isBroken).sort((a, b) => compareText(podName(a), podName(b)));
  }

  private found(budget: BudgetView): PodsUnderBudget {
    this.covered ??= this.index.cover(this.snapshot.pods);
    const pods = this.covered.get(budget) ?? [];
    return { all: pods, here: pods, serving: pods.filter(isServing).length, kept: keptOf(pods) };
  }
}

/** Whether a pod counts as healthy for its budgets. */
export function isServing({ ready, terminating }: PodView): boolean {
  return ready && !terminating;
}

function untilChanged(budget: BudgetView, pod: PodView): string {
  return `, and allows 0 disruptions until ${openerOf(budget, [pod])?.name ?? 'its owner'} changes that`;
}

function shortage({ budget, used }: Account): string {
  const spent = used > 0 ? `, ${used} of them just evicted` : '';
  return `PDB ${budgetName(budget)} needs ${budget.desiredHealthy} healthy pods and has ${budget.currentHealthy}${spent}`;
}
