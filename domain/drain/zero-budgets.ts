import { BudgetIndex, shutReason, type BudgetView } from './budget.ts';
import { isOfCustomController, type PodView } from './pod.ts';

/** A PodDisruptionBudget that allows 0 disruptions however many of its pods are healthy, over pods that a drain moves. */
export interface ZeroBudget {
  budget: BudgetView;
  /** Why it allows none, with its numbers. */
  reason: string;
  /** Those of its pods that go only when it allows it. */
  pods: PodView[];
  /** What may change it as a drain goes on: an operator of its own; undefined where nothing is known to. */
  opener?: BudgetOpener;
}

/** A controller that is not one of Kubernetes' own, and that may let pods go which a budget holds. */
export interface BudgetOpener {
  /** As people call it: `CloudNativePG (Cluster shop/orders)`. */
  name: string;
  /** What makes it do so, where it is an operator that is known. */
  when?: string;
}

/** By the API group of what owns the pods or the budget. Sources: what each project says of drains. */
const knownOperators: Readonly<Record<string, { name: string; when: string }>> = {
  // cloudnative-pg/cloudnative-pg#2570, #10103
  'postgresql.cnpg.io': { name: 'CloudNativePG', when: 'makes another instance the primary when it sees that the node is cordoned' },
  // kubevirt/kubevirt#4012, docs/handling-eviction-requests.md
  'kubevirt.io': { name: 'KubeVirt', when: 'migrates the virtual machine when the eviction of its pod is asked for' },
  // strimzi/drain-cleaner
  'core.strimzi.io': { name: 'Strimzi', when: 'rolls the pod when its drain cleaner sees that the eviction is asked for' },
  // longhorn.io/docs, "Node Maintenance and Kubernetes Upgrade Guide"
  'longhorn.io': { name: 'Longhorn', when: 'takes its budget away when the node holds no volume and no last replica any more' },
  // rook/rook, design/ceph/ceph-managed-disruptionbudgets.md
  'ceph.rook.io': { name: 'Rook', when: 'lets one failure domain go at a time, the next when all placement groups are clean' },
};

/** The budgets that allow 0 disruptions for good, as far as numbers tell, over any of these pods. */
export function zeroBudgets(budgets: readonly BudgetView[], pods: readonly PodView[]): ZeroBudget[] {
  const covered = new BudgetIndex(budgets).cover(pods);
  return budgets.flatMap((budget) => {
    const reason = shutReason(budget);
    const kept = (covered.get(budget) ?? []).filter((pod) => needsBudget(pod, budget));
    return reason === undefined || kept.length === 0 ? [] : [{ budget, reason, pods: kept, opener: openerOf(budget, kept) }];
  });
}

/** Pods that go whatever the numbers are need no budget that allows it. */
function needsBudget(pod: PodView, { unhealthyPodEvictionPolicy }: BudgetView): boolean {
  return pod.phase !== 'Pending' && !pod.terminating && (pod.ready || unhealthyPodEvictionPolicy === 'IfHealthyBudget');
}

/** The controller of their own that looks after all of the pods, or after the budget; undefined where there is none. */
export function openerOf(budget: BudgetView, pods: readonly PodView[]): BudgetOpener | undefined {
  const [pod] = pods;
  const owned = isOfCustomController(budget) ? budget : pods.every(isOfCustomController) ? pod : undefined;
  if (owned?.owner === undefined) return undefined;
  const { kind, name, customGroup = '' } = owned.owner;
  const object = `${kind} ${owned.namespace}/${name}`;
  const known = knownOperators[customGroup];
  return known ? { name: `${known.name} (${object})`, when: known.when } : { name: object };
}
