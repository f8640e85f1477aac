import { budgetName, budgetsOf, type BudgetView } from './budget.ts';
import { hasEnded, podName, staysOnNode, type PodView } from './pod.ts';

/** A pod that cannot be evicted at this moment, and why. */
export interface BlockedPod {
  pod: PodView;
  reason: string;
}

/** The next moves of a drain: evictions that the budgets allow now, and why the other pods wait. */
export interface DrainMoves {
  evict: PodView[];
  terminating: PodView[];
  blocked: BlockedPod[];
  /** Pods of nodes whose turn has not come. */
  later: PodView[];
}

/**
 * Decides what a drain does next from what is there now. Every budget is spent once across all nodes, so that the
 * evictions it returns could all be granted together; the API server still has the last word on each.
 * Nodes are taken in the given order, `nodesAtOnce` at a time: the next one begins when one has no pod left to move.
 */
export function nextDrainMoves(
  nodes: readonly string[],
  pods: readonly PodView[],
  budgets: readonly BudgetView[],
  nodesAtOnce: number,
): DrainMoves {
  const toMove = pods.filter((pod) => !staysOnNode(pod));
  const occupied = nodes.filter((node) => toMove.some((pod) => pod.node === node));
  const inTurn = new Set(occupied.slice(0, nodesAtOnce));
  const moves: DrainMoves = { evict: [], terminating: [], blocked: [], later: [] };
  const spent = new Map<string, number>();
  for (const pod of byTurn(toMove, nodes)) {
    if (!inTurn.has(pod.node)) moves.later.push(pod);
    else if (pod.terminating) moves.terminating.push(pod);
    else {
      const reason = spend(pod, budgets, spent);
      if (reason === undefined) moves.evict.push(pod);
      else moves.blocked.push({ pod, reason });
    }
  }
  return moves;
}

/** Node order first, then by name with the highest StatefulSet ordinal first, so that the order is the same each time. */
function byTurn(pods: readonly PodView[], nodes: readonly string[]): PodView[] {
  const turn = new Map(nodes.map((node, index) => [node, index]));
  return [...pods].sort((a, b) => {
    const byNode = (turn.get(a.node) ?? nodes.length) - (turn.get(b.node) ?? nodes.length);
    if (byNode !== 0) return byNode;
    return podName(b).localeCompare(podName(a), 'en', { numeric: true });
  });
}

/**
 * Takes one disruption from the pod's budget, or says why it cannot. Mirrors the API server's order of checks
 * (pkg/registry/core/pod/storage/eviction.go): finished and pending pods go freely, two budgets are an error,
 * unready pods follow unhealthyPodEvictionPolicy and cost nothing.
 */
function spend(pod: PodView, budgets: readonly BudgetView[], spent: Map<string, number>): string | undefined {
  if (hasEnded(pod) || pod.phase === 'Pending') return undefined;
  const [budget, second] = budgetsOf(pod, budgets);
  if (budget === undefined) return undefined;
  if (second !== undefined) {
    return `two budgets protect it, ${budgetName(budget)} and ${budgetName(second)}: the API server evicts no such pod`;
  }
  const name = budgetName(budget);
  if (!pod.ready) {
    const healthyBudget = budget.desiredHealthy > 0 && budget.currentHealthy >= budget.desiredHealthy;
    if (budget.unhealthyPodEvictionPolicy === 'AlwaysAllow' || healthyBudget) return undefined;
  }
  if (!budget.statusIsCurrent) return `budget ${name} is being worked out by its controller`;
  const used = spent.get(name) ?? 0;
  if (used >= budget.disruptionsAllowed) {
    const spentText = used > 0 ? `, ${used} spent` : '';
    return `budget ${name} needs ${budget.desiredHealthy} healthy pods and has ${budget.currentHealthy}${spentText}`;
  }
  spent.set(name, used + 1);
  return undefined;
}
