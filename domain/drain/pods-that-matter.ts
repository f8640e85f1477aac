import { BudgetIndex, budgetName, type BudgetView } from './budget.ts';
import { ordinalOf, podName, workloadOf, type PodView } from './pod.ts';

/**
 * The pods of a cluster that the moves of a drain depend on, kept while pods come, change and go: those on its nodes, those under a
 * budget that protects any of these, the other pods of their StatefulSets, and pods that find no node. From them `nextDrainMoves` makes
 * the same as from all pods; in a large cluster they are few, and most of what happens there is nothing to the drain.
 */
export class PodsThatMatter {
  /** Whether all pods have to be looked through anew: others may matter now. */
  isOutdated = false;
  private readonly nodes: ReadonlySet<string>;
  private readonly index: BudgetIndex;
  /** StatefulSets with a pod on the nodes. */
  private readonly sets = new Set<string>();
  /** Names of the budgets that protect any pod on the nodes. */
  private readonly budgetNames = new Set<string>();
  /** By their names; those on the nodes by themselves, too. */
  private readonly kept = new Map<string, PodView>();
  private readonly here = new Map<string, PodView>();

  constructor(nodes: Iterable<string>, pods: readonly PodView[], budgets: readonly BudgetView[]) {
    this.nodes = new Set(nodes);
    this.index = new BudgetIndex(budgets);
    for (const pod of pods) {
      if (!this.nodes.has(pod.node)) continue;
      if (ordinalOf(pod) !== undefined) this.sets.add(workloadOf(pod));
      for (const budget of this.index.of(pod)) this.budgetNames.add(budgetName(budget));
    }
    for (const pod of pods) if (this.matters(pod)) this.keep(pod);
  }

  pods(): PodView[] {
    return [...this.kept.values()];
  }

  /** Those of them that are on the nodes. */
  podsOnNodes(): PodView[] {
    return [...this.here.values()];
  }

  /** Those of the budgets that protect a pod on the nodes. */
  budgets(all: readonly BudgetView[]): BudgetView[] {
    return all.filter((budget) => this.budgetNames.has(budgetName(budget)));
  }

  /** A pod has come, changed or gone. Returns whether that matters. */
  see(before: PodView | undefined, after: PodView | undefined): boolean {
    if (!after || !this.matters(after)) {
      const name = podName(after ?? before ?? { namespace: '', name: '' });
      this.here.delete(name);
      return this.kept.delete(name);
    }
    this.keep(after);
    this.isOutdated ||= this.nodes.has(after.node) && this.bringsOthers(after);
    return true;
  }

  /** A budget has come, changed or gone. Returns whether that matters. */
  seeBudget(before: BudgetView | undefined, after: BudgetView | undefined): boolean {
    const isSame = before && after && JSON.stringify(before.selector) === JSON.stringify(after.selector);
    this.isOutdated ||= isSame !== true;
    return this.isOutdated || (after !== undefined && this.budgetNames.has(budgetName(after)));
  }

  private keep(pod: PodView): void {
    this.kept.set(podName(pod), pod);
    if (this.nodes.has(pod.node)) this.here.set(podName(pod), pod);
    else this.here.delete(podName(pod));
  }

  private matters(pod: PodView): boolean {
    if (this.nodes.has(pod.node) || pod.unschedulable !== undefined) return true;
    if (this.sets.size > 0 && ordinalOf(pod) !== undefined && this.sets.has(workloadOf(pod))) return true;
    return this.budgetNames.size > 0 && this.index.of(pod).some((budget) => this.budgetNames.has(budgetName(budget)));
  }

  private bringsOthers(pod: PodView): boolean {
    if (ordinalOf(pod) !== undefined && !this.sets.has(workloadOf(pod))) return true;
    return this.index.of(pod).some((budget) => !this.budgetNames.has(budgetName(budget)));
  }
}
