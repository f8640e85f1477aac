import type { Target } from '../../../domain/target.ts';
import { BudgetIndex, budgetName, remedyForShutBudget, type BudgetView } from '../../../domain/drain/budget.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { podName, staysOnNode, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { zeroBudgets, type ZeroBudget } from '../../../domain/drain/zero-budgets.ts';
import type { Clients } from '../../clients.ts';
import { listBudgets, podsOnNodes } from '../client/read.ts';

/** The budgets that protect any of the pods. */
export function budgetsOver(pods: readonly PodView[], budgets: readonly BudgetView[]): BudgetView[] {
  const covered = new BudgetIndex(budgets).cover(pods);
  return budgets.filter((budget) => covered.has(budget));
}

/** A blocker for each budget that allows none of these pods to be evicted, however long one waits. */
export function zeroBudgetBlockers(zero: readonly ZeroBudget[]): Blocker[] {
  return zero.map(({ budget, reason, pods }) => {
    const workloads = [...new Set(pods.map(workloadOf))].sort();
    return { object: `PodDisruptionBudget/${budgetName(budget)}`, reason, remedy: remedyForShutBudget(budget, workloads) };
  });
}

/** A blocker for each pod under two budgets: the API server refuses to evict it at all. */
export function twoBudgetsBlockers(pods: readonly PodView[], budgets: readonly BudgetView[]): Blocker[] {
  const index = new BudgetIndex(budgets);
  return pods.flatMap((pod) => {
    const [first, second] = index.of(pod);
    if (!first || !second) return [];
    const reason = `Two budgets protect it, ${budgetName(first)} and ${budgetName(second)}: the API server evicts no such pod.`;
    const remedy = 'Have their owner change the selectors so that one budget covers each pod.';
    return [{ object: `Pod/${podName(pod)}`, reason, remedy }];
  });
}

/** Why pods of these nodes could not be evicted by anybody who keeps to their budgets. Throws `kubernetes-…` errors. */
export async function evictionBlockers(clients: Clients, target: Target, nodes: readonly string[]): Promise<Blocker[]> {
  const apis = await clients.kubernetes(target);
  const pods = (await podsOnNodes(apis, target.name, nodes)).filter((pod) => !staysOnNode(pod));
  const budgets = budgetsOver(pods, await listBudgets(apis, target.name));
  return [...zeroBudgetBlockers(zeroBudgets(budgets, pods)), ...twoBudgetsBlockers(pods, budgets)];
}
