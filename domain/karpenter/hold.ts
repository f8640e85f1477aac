/**
 * A disruption budget of a NodePool (karpenter.sh/v1, `spec.disruption.budgets`). Where several are active the smallest counts; one
 * without reasons is for all of them; changing budgets makes no node drift
 * (https://karpenter.sh/docs/concepts/disruption/#nodepool-disruption-budgets).
 */
export interface Budget {
  nodes: string;
  reasons?: string[];
  schedule?: string;
  duration?: string;
}

/** Why Karpenter replaces nodes by itself. Empty nodes are taken away without being replaced. */
const reasonsHeld = ['Drifted', 'Underutilized'];

/** The budget that holds a NodePool. */
export const holdBudget: Budget = { nodes: '0', reasons: reasonsHeld };

/** How many budgets a NodePool may have (karpenter.sh/v1). */
export const budgetsMax = 50;

/** Whether budgets keep Karpenter from replacing nodes, at any time. */
export function isHeld(budgets: readonly Budget[]): boolean {
  return reasonsHeld.every((reason) =>
    budgets.some(({ nodes, reasons, schedule }) => {
      return ['0', '0%'].includes(nodes) && schedule === undefined && (reasons === undefined || reasons.includes(reason));
    }),
  );
}

/** Where the budget of a hold stands among others; -1 where somebody has taken it away or changed it. */
export function placeOfHold(budgets: readonly Budget[]): number {
  return budgets.findLastIndex(({ nodes, reasons = [], schedule }) => {
    const isSame = reasons.length === reasonsHeld.length && reasonsHeld.every((reason) => reasons.includes(reason));
    return nodes === holdBudget.nodes && schedule === undefined && isSame;
  });
}

/** The budgets with a hold, after all others. */
export function withHold(budgets: readonly Budget[]): Budget[] {
  return [...budgets, holdBudget];
}

/** The budgets without the hold: all others stay as they are, also those that have come since. Undefined where there is no hold. */
export function withoutHold(budgets: readonly Budget[]): Budget[] | undefined {
  const place = placeOfHold(budgets);
  return place < 0 ? undefined : budgets.filter((_budget, index) => index !== place);
}
