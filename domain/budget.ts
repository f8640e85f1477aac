import { selectorMatches, type LabelSelector } from './selector.ts';
import type { PodView } from './pod.ts';

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
}

/** `namespace/name` of a budget, as people write it. */
export function budgetName(budget: { namespace: string; name: string }): string {
  return `${budget.namespace}/${budget.name}`;
}

/** The budgets that protect a pod. */
export function budgetsOf(pod: PodView, budgets: readonly BudgetView[]): BudgetView[] {
  return budgets.filter((budget) => budget.namespace === pod.namespace && selectorMatches(budget.selector, pod.labels));
}

/**
 * Whether a budget can never allow a disruption however long one waits: it demands as many healthy pods as there are.
 * The rule is Gardener's isMisconfiguredPdb (pkg/util/provider/drain), without its demand that all pods are healthy now:
 * a budget that demands every pod stays shut then, too.
 */
export function neverOpens(budget: BudgetView): boolean {
  return budget.statusIsCurrent && budget.expectedPods > 0 && budget.desiredHealthy >= budget.expectedPods;
}

/** What the owner of a budget that never opens can do. */
export function remedyForShutBudget(budget: BudgetView): string {
  const setting =
    budget.maxUnavailable !== undefined ? `maxUnavailable: ${budget.maxUnavailable}` : `minAvailable: ${budget.minAvailable ?? '?'}`;
  return (
    `PodDisruptionBudget ${budgetName(budget)} (${setting}) demands ${budget.desiredHealthy} healthy of ${budget.expectedPods} pods. ` +
    `Have its owner run one more replica or allow one disruption, then plan again.`
  );
}
