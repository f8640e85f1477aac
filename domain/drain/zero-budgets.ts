import { BudgetIndex, keptOf, shutReason, type BudgetView } from './budget.ts';
import { hasEnded, isOfCustomController, type PodOwner, type PodView } from './pod.ts';
import { labelOf } from './selector.ts';

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
  // elastic/cloud-on-k8s, docs: "Pod disruption budget"
  'elasticsearch.k8s.elastic.co': { name: 'ECK', when: 'allows one disruption when the health of the Elasticsearch cluster is green' },
  // libopenstorage/operator, "Smart upgrade"; docs.portworx.com, pod disruption budgets
  'core.libopenstorage.org': { name: 'Portworx', when: 'allows a node to go when the volumes of the others have their replicas' },
  // zalando/postgres-operator, docs/administrator.md: "Drain nodes"
  'acid.zalan.do': { name: 'the Postgres operator of Zalando', when: 'moves the primary when it sees that the node is cordoned' },
  // rook/rook, design/ceph/ceph-managed-disruptionbudgets.md
  'ceph.rook.io': { name: 'Rook', when: 'lets one failure domain go at a time, the next when all placement groups are clean' },
};

/** The same by a label of the pods, of operators whose pods belong to a StatefulSet and whose budgets name no owner. */
const knownLabels = [{ label: 'application', value: 'spilo', nameLabel: 'cluster-name', group: 'acid.zalan.do', kind: 'postgresql' }];

/**
 * The budgets that allow 0 disruptions for good, as far as numbers tell, over any of these pods.
 * @param all every pod that may be under them; where it is left out, these pods are all that is known
 */
export function zeroBudgets(budgets: readonly BudgetView[], pods: readonly PodView[], all = pods): ZeroBudget[] {
  const index = new BudgetIndex(budgets);
  const covered = index.cover(pods);
  const selected = index.cover(all);
  return budgets.flatMap((budget) => {
    const kept = (covered.get(budget) ?? []).filter((pod) => needsBudget(pod, budget));
    const reason = kept.length === 0 ? undefined : shutReason(budget, keptOf(selected.get(budget) ?? []));
    return reason === undefined ? [] : [{ budget, reason, pods: kept, opener: openerOf(budget, kept) }];
  });
}

/** Whether the API server asks any budget for the pod: of those on their way out, that wait to run or have ended, it does not. */
export function mayBeRefused(pod: PodView): boolean {
  return !pod.terminating && pod.phase !== 'Pending' && !hasEnded(pod);
}

/** Pods that go whatever the numbers are need no budget that allows it. */
function needsBudget(pod: PodView, { unhealthyPodEvictionPolicy }: BudgetView): boolean {
  return mayBeRefused(pod) && (pod.ready || unhealthyPodEvictionPolicy === 'IfHealthyBudget');
}

/** The controller of their own that looks after all of the pods, or after the budget; undefined where there is none. */
export function openerOf(budget: BudgetView, pods: readonly PodView[]): BudgetOpener | undefined {
  const [pod] = pods;
  const owned = isOfCustomController(budget) ? budget : pods.every(isOfCustomController) ? pod : undefined;
  const owner = owned?.owner ?? (pods.every((other) => ownerByLabel(other) !== undefined) ? ownerByLabel(pod) : undefined);
  if (owner === undefined) return undefined;
  const { kind, name, customGroup = '' } = owner;
  const object = `${kind} ${budget.namespace}/${name}`;
  const known = knownOperators[customGroup];
  return known ? { name: `${known.name} (${object})`, when: known.when } : { name: object };
}

function ownerByLabel(pod: PodView | undefined): PodOwner | undefined {
  const found = pod && knownLabels.find(({ label, value }) => labelOf(pod.labels, label) === value);
  return found && { kind: found.kind, name: labelOf(pod.labels, found.nameLabel) ?? pod.name, customGroup: found.group };
}
