import type { Target } from '../../../domain/target.ts';
import { BudgetIndex, budgetName, remedyForShutBudget, type BudgetView } from '../../../domain/drain/budget.ts';
import type { Blocker, Risk } from '../../../domain/plan/plan.ts';
import { podName, staysOnNode, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { mayBeRefused, zeroBudgets, type ZeroBudget } from '../../../domain/drain/zero-budgets.ts';
import type { Clients } from '../../clients.ts';
import { listBudgets, podsOnNodes } from '../client/read.ts';

/** The budgets that protect any of the pods. */
export function budgetsOver(pods: readonly PodView[], budgets: readonly BudgetView[]): BudgetView[] {
  const covered = new BudgetIndex(budgets).cover(pods);
  return budgets.filter((budget) => covered.has(budget));
}

/** Whether a budget that allows 0 disruptions is waited for, as a risk that people sign, instead of being a blocker. */
export function isAccepted({ opener }: ZeroBudget, { zeroBudgets }: { zeroBudgets: 'block' | 'wait' }): boolean {
  return opener !== undefined || zeroBudgets === 'wait';
}

/**
 * A blocker for each budget that allows none of these pods to be evicted, as far as numbers tell. Nobody can tell from the numbers
 * whether something will change them; whoever knows can say so.
 */
export function zeroBudgetBlockers(zero: readonly ZeroBudget[]): Blocker[] {
  return zero.map(({ budget, reason, pods }) => {
    const workloads = [...new Set(pods.map(workloadOf))].sort();
    const wayOut = 'Where a controller will allow it as the drain goes on, plan with `zeroBudgets: wait`.';
    return { object: objectOf(budget), reason, remedy: `${remedyForShutBudget(budget, workloads)} ${wayOut}` };
  });
}

/** A risk for each budget that is accepted. `whatFollows` tells how its pods are waited for. */
export function zeroBudgetRisks(
  zero: readonly ZeroBudget[],
  whatFollows: (pods: readonly PodView[]) => Pick<Risk, 'detail' | 'remedy'>,
): Risk[] {
  return zero.map(({ budget, reason, pods, opener }) => {
    const { detail, remedy } = whatFollows(pods);
    return {
      object: objectOf(budget),
      risk: `it allows 0 disruptions until ${opener?.name ?? 'its owner'} changes that`,
      detail: `${reason} ${opener?.when ? `${opener.name} ${opener.when}. ` : ''}${detail}`,
      remedy,
    };
  });
}

function objectOf(budget: BudgetView): string {
  return `PodDisruptionBudget/${budgetName(budget)}`;
}

/** A blocker for each pod under two budgets: the API server refuses to evict it at all. */
export function twoBudgetsBlockers(pods: readonly PodView[], budgets: readonly BudgetView[]): Blocker[] {
  const index = new BudgetIndex(budgets);
  return pods.filter(mayBeRefused).flatMap((pod) => {
    const [first, second] = index.of(pod);
    if (!first || !second) return [];
    const reason = `Two budgets protect it, ${budgetName(first)} and ${budgetName(second)}: the API server evicts no such pod.`;
    const remedy = 'Have their owner change the selectors so that one budget covers each pod.';
    return [{ object: `Pod/${podName(pod)}`, reason, remedy }];
  });
}

/** What would keep pods of some nodes from being evicted by anybody who keeps to their budgets. */
export interface EvictionObstacles {
  zero: ZeroBudget[];
  /** Of pods under two budgets. */
  blockers: Blocker[];
}

/** Reads it. Throws `kubernetes-…` errors. */
export async function evictionObstacles(clients: Clients, target: Target, nodes: readonly string[]): Promise<EvictionObstacles> {
  const apis = await clients.kubernetes(target);
  const pods = (await podsOnNodes(apis, target.name, nodes)).filter((pod) => !staysOnNode(pod));
  const budgets = budgetsOver(pods, await listBudgets(apis, target.name));
  return { zero: zeroBudgets(budgets, pods), blockers: twoBudgetsBlockers(pods, budgets) };
}
