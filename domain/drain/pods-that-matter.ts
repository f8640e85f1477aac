import { isServing, type PodsUnderBudget } from './budget-spending.ts';
import { BudgetIndex, budgetName, type BudgetView } from './budget.ts';
import { hasEnded, ordinalOf, podName, workloadOf, type PodView } from './pod.ts';

/**
 * The pods of a cluster that the moves of a drain depend on, kept while pods come, change and go: those on its nodes, the other pods of
 * their StatefulSets, pods that find no node, and those under a budget that protects any on the nodes. From them `nextDrainMoves` makes
 * the same as from all pods; in a large cluster they are few, and most of what happens there is nothing to the drain.
 */
export class PodsThatMatter {
  /** Whether all pods have to be looked through anew: others may matter now. */
  isOutdated = false;
  private readonly nodes: ReadonlySet<string>;
  private readonly index: BudgetIndex;
  /** StatefulSets with a pod on the nodes. */
  private readonly sets = new Set<string>();
  /** By the names of the budgets that protect any pod on the nodes. */
  private readonly byBudget = new Map<string, ProtectedPods>();
  /** By their names, without those that matter for a budget only. */
  private readonly single = new Map<string, PodView>();
  /** Those on the nodes, by their names. */
  private readonly here = new Map<string, PodView>();

  constructor(nodes: Iterable<string>, pods: readonly PodView[], budgets: readonly BudgetView[]) {
    this.nodes = new Set(nodes);
    this.index = new BudgetIndex(budgets);
    for (const pod of pods) {
      if (!this.nodes.has(pod.node)) continue;
      if (ordinalOf(pod) !== undefined) this.sets.add(workloadOf(pod));
      for (const budget of this.index.of(pod)) this.byBudget.set(budgetName(budget), new ProtectedPods());
    }
    for (const pod of pods) this.put(undefined, pod);
  }

  /** All of them. */
  pods(): PodView[] {
    const named = [...this.byBudget.values()].flatMap(({ byName }) => [...byName]);
    return [...new Map([...this.single, ...named]).values()];
  }

  /** Those that are looked at one by one: of others under a budget it only counts how many serve. */
  singlePods(): PodView[] {
    return [...this.single.values()];
  }

  /** The pods under a budget; undefined where it protects none on the nodes. */
  under(budget: BudgetView): PodsUnderBudget | undefined {
    const pods = this.byBudget.get(budgetName(budget));
    return pods && { all: pods.byName.values(), here: pods.here.values(), serving: pods.serving, kept: pods.kept };
  }

  /** Those that are on the nodes. */
  podsOnNodes(): PodView[] {
    return [...this.here.values()];
  }

  /** Those of the budgets that protect a pod on the nodes. */
  budgets(all: readonly BudgetView[]): BudgetView[] {
    return all.filter((budget) => this.byBudget.has(budgetName(budget)));
  }

  /** A pod has come, changed or gone. Returns whether that matters. */
  see(before: PodView | undefined, after: PodView | undefined): boolean {
    const matters = this.put(before, after);
    if (after && this.nodes.has(after.node)) this.isOutdated ||= this.bringsOthers(after);
    return matters || this.isOutdated;
  }

  /** A budget has come, changed or gone. Returns whether that matters. */
  seeBudget(before: BudgetView | undefined, after: BudgetView | undefined): boolean {
    const isSame = before && after && JSON.stringify(before.selector) === JSON.stringify(after.selector);
    this.isOutdated ||= isSame !== true;
    return this.isOutdated || (after !== undefined && this.byBudget.has(budgetName(after)));
  }

  private put(before: PodView | undefined, after: PodView | undefined): boolean {
    const pod = after ?? before;
    if (!pod) return false;
    const name = podName(pod);
    const wasSingle = this.single.delete(name);
    this.here.delete(name);
    const isHere = after !== undefined && this.nodes.has(after.node);
    const isSingle = after !== undefined && (isHere || this.isLookedAtAlone(after));
    if (isSingle) this.single.set(name, after);
    if (isHere) this.here.set(name, after);
    const left = this.groupsOf(before);
    const joined = this.groupsOf(after);
    for (const group of left) group.remove(name);
    if (after) for (const group of joined) group.add(name, after, isHere);
    return wasSingle || isSingle || left.length > 0 || joined.length > 0;
  }

  private groupsOf(pod: PodView | undefined): ProtectedPods[] {
    if (!pod || this.byBudget.size === 0) return [];
    return this.index.of(pod).flatMap((budget) => this.byBudget.get(budgetName(budget)) ?? []);
  }

  private isLookedAtAlone(pod: PodView): boolean {
    return pod.unschedulable !== undefined || (this.sets.size > 0 && ordinalOf(pod) !== undefined && this.sets.has(workloadOf(pod)));
  }

  private bringsOthers(pod: PodView): boolean {
    if (ordinalOf(pod) !== undefined && !this.sets.has(workloadOf(pod))) return true;
    return this.index.of(pod).some((budget) => !this.byBudget.has(budgetName(budget)));
  }
}

/** The pods under one budget, by their names. */
class ProtectedPods {
  readonly byName = new Map<string, PodView>();
  readonly here = new Map<string, PodView>();
  serving = 0;
  readonly kept = { ended: 0, bare: 0 };

  add(name: string, pod: PodView, isHere: boolean): void {
    this.byName.set(name, pod);
    if (isHere) this.here.set(name, pod);
    this.count(pod, 1);
  }

  remove(name: string): void {
    const pod = this.byName.get(name);
    if (pod) this.count(pod, -1);
    this.byName.delete(name);
    this.here.delete(name);
  }

  private count(pod: PodView, by: 1 | -1): void {
    if (isServing(pod)) this.serving += by;
    if (hasEnded(pod)) this.kept.ended += by;
    if (pod.owner === undefined) this.kept.bare += by;
  }
}
