import type { BudgetView } from '../../domain/budget.ts';
import type { PodView } from '../../domain/pod.ts';

/** A running, ready pod of Deployment shop/web on node a, as far as nothing else is said. */
export function podOf(differences: Partial<PodView> = {}): PodView {
  return {
    namespace: 'shop',
    name: 'web-1',
    uid: `uid of ${differences.name ?? 'web-1'}`,
    node: 'a',
    labels: { app: 'web' },
    phase: 'Running',
    ready: true,
    terminating: false,
    owner: { kind: 'Deployment', name: 'web' },
    mirror: false,
    emptyDir: false,
    ...differences,
  };
}

/** A budget shop/web for the pods with `app: web` that allows one disruption of four pods, as far as nothing else is said. */
export function budgetOf(differences: Partial<BudgetView> = {}): BudgetView {
  return {
    namespace: 'shop',
    name: 'web',
    selector: { matchLabels: { app: 'web' } },
    unhealthyPodEvictionPolicy: 'IfHealthyBudget',
    statusIsCurrent: true,
    disruptionsAllowed: 1,
    currentHealthy: 4,
    desiredHealthy: 3,
    expectedPods: 4,
    ...differences,
  };
}
