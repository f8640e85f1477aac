import { getOrAdd } from '../map.ts';
import { labelOf, selectorMatches, type LabelSelector } from './selector.ts';
import { hasEnded, type PodOwner, type PodView } from './pod.ts';

/** A PodDisruptionBudget as the drain sees it (policy/v1). */
export interface BudgetView {
  namespace: string;
  name: string;
  selector?: LabelSelector;
  minAvailable?: string;
  maxUnavailable?: string;
  /** `IfHealthyBudget` is the API server's default. */
  unhealthyPodEvictionPolicy: 'IfHealthyBudget' | 'AlwaysAllow';
  /** Whether the controller's status is of the present spec; a stale status allows nothing. */
  statusIsCurrent: boolean;
  disruptionsAllowed: number;
  currentHealthy: number;
  desiredHealthy: number;
  expectedPods: number;
  /** Names of pods whose eviction the API server has granted and the controller has not seen through yet. */
  disrupted: readonly string[];
  /** Why its controller cannot work it out, in the controller's words. */
  syncFailure?: string;
  /** The controller that keeps it, where it is not written by hand. */
  owner?: PodOwner;
}

/** `namespace/name` of a budget, as people write it. */
export function budgetName(budget: { namespace: string; name: string }): string {
  return `${budget.namespace}/${budget.name}`;
}

interface PlacedBudget {
  budget: BudgetView;
  place: number;
}

/** The budgets of a namespace, each under one label that its pods must have: by its name, then by its value. */
class NamespaceBudgets {
  readonly byLabel = new Map<string, Map<string, PlacedBudget[]>>();
  /** Those that demand no label. */
  readonly others: PlacedBudget[] = [];
  /** What has been found for labels before: pods of a workload often share theirs. */
  readonly found = new Map<object, BudgetView[]>();

  add(placed: PlacedBudget): void {
    const [label] = Object.entries(placed.budget.selector?.matchLabels ?? {});
    if (!label) {
      this.others.push(placed);
      return;
    }
    const byValue = getOrAdd(this.byLabel, label[0], () => new Map<string, PlacedBudget[]>());
    getOrAdd(byValue, label[1], () => []).push(placed);
  }
}

/** Finds the budgets of pods and the pods of budgets without comparing each with each. */
export class BudgetIndex {
  private readonly byNamespace = new Map<string, NamespaceBudgets>();

  constructor(budgets: readonly BudgetView[]) {
    for (const [place, budget] of budgets.entries()) {
      getOrAdd(this.byNamespace, budget.namespace, () => new NamespaceBudgets()).add({ budget, place });
    }
  }

  /** The budgets that protect a pod, in the order in which they were given. */
  of({ namespace, labels }: PodView): BudgetView[] {
    const known = this.byNamespace.get(namespace);
    return known ? getOrAdd(known.found, labels, () => this.search(known, labels)) : [];
  }

  /** The pods of each budget that protects any of these. */
  cover(pods: readonly PodView[]): Map<BudgetView, PodView[]> {
    const covered = new Map<BudgetView, PodView[]>();
    for (const pod of pods) for (const budget of this.of(pod)) getOrAdd(covered, budget, () => []).push(pod);
    return covered;
  }

  private search(known: NamespaceBudgets, labels: PodView['labels']): BudgetView[] {
    const candidates = [...known.others];
    for (const [name, byValue] of known.byLabel) {
      const value = labelOf(labels, name);
      if (value !== undefined) candidates.push(...(byValue.get(value) ?? []));
    }
    const found = candidates.filter(({ budget }) => selectorMatches(budget.selector, labels));
    if (found.length > 1) found.sort((a, b) => a.place - b.place);
    return found.map(({ budget }) => budget);
  }
}

/**
 * How many healthy pods a budget demands of so many expected ones: percentages are rounded up in both settings
 * (pkg/controller/disruption, getExpectedPodCount).
 */
export function healthyDemanded({ minAvailable, maxUnavailable }: BudgetView, expectedPods: number): number {
  if (maxUnavailable !== undefined) return Math.max(0, expectedPods - countOf(maxUnavailable, expectedPods));
  return minAvailable === undefined ? 0 : countOf(minAvailable, expectedPods);
}

function countOf(setting: string, of: number): number {
  return setting.endsWith('%') ? Math.ceil((Number(setting.slice(0, -1)) * of) / 100) : Number(setting);
}

/**
 * Why a budget allows 0 disruptions however many of its pods are healthy, with its numbers; undefined where it allows some then. It
 * demands as many healthy pods as there are, or its controller cannot count them. Only another budget or another number of pods helps.
 * The first rule is Gardener's isMisconfiguredPdb (pkg/util/provider/drain), without its demand that all pods are healthy now.
 */
export function shutReason(budget: BudgetView, { ended, bare }: KeptPods): string | undefined {
  if (budget.syncFailure !== undefined) return `Its controller cannot work it out, so it allows 0 disruptions: ${budget.syncFailure}.`;
  const { expectedPods } = budget;
  if (expectedPods === 0) return budget.statusIsCurrent && bare > 0 && !demandsNumber(budget) ? nothingCounted : undefined;
  const desiredHealthy = budget.statusIsCurrent ? budget.desiredHealthy : healthyDemanded(budget, expectedPods);
  if (desiredHealthy >= expectedPods) return `It allows 0 disruptions: ${desiredHealthy} of ${expectedPods} pods must stay healthy.`;
  // Where a number is demanded, the controller counts every pod that is there, also those that have ended.
  if (!demandsNumber(budget) || ended === 0 || desiredHealthy < expectedPods - ended) return undefined;
  return `It allows 0 disruptions: ${desiredHealthy} of ${expectedPods} pods must stay healthy, and ${ended} of them have ended for good.`;
}

/** What is known of the pods that a budget selects. */
export interface KeptPods {
  /** How many have ended by themselves. */
  ended: number;
  /** How many have no controller. */
  bare: number;
}

/** What a budget's pods are like, beyond how many of them serve. */
export function keptOf(pods: Iterable<PodView>): KeptPods {
  const kept = { ended: 0, bare: 0 };
  for (const pod of pods) {
    if (hasEnded(pod)) kept.ended += 1;
    if (pod.owner === undefined) kept.bare += 1;
  }
  return kept;
}

const nothingCounted =
  'It allows 0 disruptions: none of its pods has a controller, so that its own controller expects 0 pods (kubernetes/kubernetes#70312).';

/** Whether it demands a number of healthy pods, and not a share, nor one of those that controllers are to keep. */
function demandsNumber({ minAvailable, maxUnavailable }: BudgetView): boolean {
  return maxUnavailable === undefined && minAvailable?.endsWith('%') === false;
}

/** What the owner of such a budget can do before a plan. `workloads` are those whose pods it keeps, if they are known. */
export function remedyForShutBudget(budget: BudgetView, workloads: readonly string[] = []): string {
  return `${wishForShutBudget(budget, workloads)}${budget.syncFailure === undefined ? ',' : ';'} then plan again.`;
}

/** The same, whatever follows: without a full stop. */
export function wishForShutBudget(budget: BudgetView, workloads: readonly string[] = []): string {
  const { minAvailable, maxUnavailable, desiredHealthy, expectedPods } = budget;
  const setting = maxUnavailable !== undefined ? `maxUnavailable: ${maxUnavailable}` : `minAvailable: ${minAvailable ?? '?'}`;
  const name = `PodDisruptionBudget ${budgetName(budget)} (${setting})`;
  if (budget.syncFailure !== undefined) {
    return `Have the owner of ${name} select only pods of controllers with a scale, or demand a number with minAvailable`;
  }
  if (expectedPods === 0)
    return `Have the owner of ${name} demand a number of pods with minAvailable, which counts pods without a controller`;
  const over = workloads.length === 0 ? '' : ` over ${workloads.join(', ')}`;
  // More replicas help only where the demand does not grow with them.
  const wish = demandsNumber(budget) ? 'run one more replica or demand one less' : 'allow one disruption (maxUnavailable: 1)';
  return `${name}${over} demands ${desiredHealthy} healthy of ${expectedPods} pods. Have its owner ${wish}`;
}

/** The PodDisruptionBudget as its controller would have it with so many healthy pods. */
export function recounted(budget: BudgetView, currentHealthy: number): BudgetView {
  if (budget.syncFailure !== undefined) return budget;
  const desiredHealthy = budget.statusIsCurrent ? budget.desiredHealthy : healthyDemanded(budget, budget.expectedPods);
  return {
    ...budget,
    statusIsCurrent: true,
    currentHealthy,
    desiredHealthy,
    // pkg/controller/disruption, updatePdbStatus: where no pods are expected, none may be disturbed.
    disruptionsAllowed: budget.expectedPods === 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy),
    disrupted: [],
  };
}
