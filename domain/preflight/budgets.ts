import { BudgetIndex, budgetName, wishForShutBudget } from '../drain/budget.ts';
import { selectorMatches } from '../drain/selector.ts';
import { zeroBudgets } from '../drain/zero-budgets.ts';
import { defineCheck, isSystemNamespace, objectText, type Check } from './finding.ts';

const docs = 'https://kubernetes.io/docs/tasks/run-application/configure-pdb/';

const blocking = defineCheck({
  name: 'budget-blocks',
  title: 'A PodDisruptionBudget allows 0 disruptions however many of its pods are healthy',
  severity: 'error, or warning where an operator opens it',
  source: docs,
  reads: ['budgets', 'pods'],
  find: ({ budgets, pods }) =>
    zeroBudgets(budgets, pods).map(({ budget, reason, pods: kept, opener }) => {
      const owners = new Set(kept.flatMap(({ owner }) => (owner ? [`${owner.kind} ${owner.name}`] : [])));
      return {
        object: `PodDisruptionBudget/${budgetName(budget)}`,
        severity: opener ? 'warning' : 'error',
        why: opener ? `${reason} ${opener.name} is known to let pods go.` : reason,
        remedy: `${wishForShutBudget(budget, [...owners])}.`,
      };
    }),
});

const twoBudgets = defineCheck({
  name: 'two-budgets',
  title: 'Pods are under two PodDisruptionBudgets, so the API server refuses to evict them',
  severity: 'error',
  source: 'https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/',
  reads: ['budgets', 'pods'],
  find: ({ budgets, pods }) => {
    const index = new BudgetIndex(budgets);
    const seen = new Map<string, string>();
    for (const pod of pods) {
      const own = index.of(pod);
      if (own.length > 1) seen.set(own.map(budgetName).sort().join('+'), `${pod.namespace}/${pod.name}`);
    }
    return [...seen].map(([names, pod]) => ({
      object: `PodDisruptionBudgets/${names}`,
      severity: 'error' as const,
      why: `Both select pods such as ${pod}; the API server evicts no pod that is under two of them.`,
      remedy: 'Have their owners take one of them away, or select other pods.',
    }));
  },
});

const none = defineCheck({
  name: 'no-budget',
  title: 'A workload with replicas has no PodDisruptionBudget',
  severity: 'note',
  source: docs,
  reads: ['budgets', 'workloads'],
  find: ({ budgets, workloads }) =>
    workloads
      .filter(({ kind, replicas = 0, namespace }) => {
        return ['Deployment', 'StatefulSet', 'ReplicaSet'].includes(kind) && replicas > 1 && !isSystemNamespace(namespace);
      })
      .filter(({ namespace, labels }) => !budgets.some((one) => one.namespace === namespace && selectorMatches(one.selector, labels)))
      .map((workload) => ({
        object: objectText(workload),
        severity: 'note' as const,
        why: 'No PodDisruptionBudget keeps any of its pods: all may be evicted at once.',
        remedy: 'Write one with maxUnavailable: 1.',
      })),
});

/** Whether PodDisruptionBudgets let nodes be emptied. */
export const budgetChecks: readonly Check[] = [blocking, twoBudgets, none];
