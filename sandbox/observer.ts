import type { Clock } from './clock.ts';
import { DoubleEffects } from './double-effects.ts';
import type { AcceptedChange } from './double-effects.ts';
import type { FaultKind } from './faults.ts';
import type { ClusterWitness, EvictedPod } from './kubernetes/cluster.ts';
import type { KubernetesObject, LabelSelector, Node, Pod, PodDisruptionBudget } from './kubernetes/objects.ts';
import type { Actor, Change, Store } from './kubernetes/store.ts';

/** Something that happened and must not have. */
export interface Violation {
  /** Simulated time, ISO 8601. */
  at: string;
  kind: 'budget-broken' | 'foreign-cordon-lifted' | 'cordoned-twice' | 'evicted-twice' | 'done-twice' | 'updated-needlessly';
  /** e.g. `demo: Pod shop/web-5d7c9-x2x4v`. */
  object: string;
  sentence: string;
  /** Of a broken budget: its name with its namespace, and who has broken it, such as `holdpoint`, `eks` or `auto-scaling`. */
  budget?: { name: string; by: string };
}

/** What the observer has seen since the world began. */
export interface ObserverReport {
  violations: Violation[];
  /** Violations beyond the limit of the list. */
  violationsLeftOut: number;
  counters: {
    evictionsGranted: number;
    evictionsRefused: number;
    /** Ready pods of workloads that were evicted and have a ready successor. */
    podsMoved: number;
    foreignCordonsLifted: number;
    /** Requests by method and kind: `PATCH nodes`. */
    requests: Record<string, number>;
    /** Faults that requests met, by kind. */
    faults: Partial<Record<FaultKind, number>>;
  };
}

/** How many violations are kept in full. */
const violationsMax = 1000;

/** How many granted evictions are remembered to notice a second one. */
const evictedPodsMax = 100_000;

const cordonAnnotation = 'holdpoint.dev/cordon';

/**
 * Watches what is done to the world and tells right from wrong by its own reckoning: it shares no code with the eviction
 * API or the disruption controller, so that it can catch them out too.
 */
export class Observer implements ClusterWitness {
  private readonly clock: Clock;
  private readonly violations: Violation[] = [];
  private violationCount = 0;
  /** Who has evicted a pod, by its UID. */
  private readonly evicted = new Map<string, string[]>();
  /** Evicted pods that did their work and have no successor yet, by the UID of their owner. */
  private readonly owed = new Map<string, number>();
  /** Who cordoned a node, by cluster and node. */
  private readonly cordonedBy = new Map<string, string>();
  private readonly requests = new Map<string, number>();
  private readonly faults = new Map<FaultKind, number>();
  private readonly doubleEffects = new DoubleEffects();
  private readonly counts = { evictionsGranted: 0, evictionsRefused: 0, podsMoved: 0, foreignCordonsLifted: 0 };

  constructor(clock: Clock) {
    this.clock = clock;
  }

  watch(cluster: string, store: Store): void {
    store.onChange((change) => {
      if (change.resource === 'pods') this.seePod(cluster, store, change);
      if (change.resource === 'nodes') this.seeNode(cluster, change);
    });
  }

  noteEviction(cluster: string, { key, uid, by }: EvictedPod, answer: 'granted' | 'refused'): void {
    if (answer === 'refused') {
      this.counts.evictionsRefused++;
      return;
    }
    this.counts.evictionsGranted++;
    if (uid === undefined) return;
    // Who finds that somebody else has just evicted it has done it once all the same.
    const others = this.evicted.get(uid) ?? [];
    if (others.includes(by)) {
      this.report('evicted-twice', `${cluster}: Pod ${key}`, `The pod ${key} (UID ${uid}) was evicted a second time by ${by}.`);
    }
    this.evicted.set(uid, [...others, by]);
    const [oldest] = this.evicted.keys();
    if (this.evicted.size > evictedPodsMax && oldest !== undefined) this.evicted.delete(oldest);
  }

  countRequest(method: string, kind: string): void {
    const key = `${method} ${kind}`;
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
  }

  countFault(kind: FaultKind): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  /** Takes note of a change that EKS took on, and of whether it was to no purpose. */
  noteCloudChange(change: AcceptedChange): void {
    const double = this.doubleEffects.note(change);
    if (!double) return;
    const { clusterName, nodegroupName } = change;
    const object = nodegroupName === undefined ? `${clusterName}: the control plane` : `${clusterName}: node group ${nodegroupName}`;
    this.report(double.kind, object, double.sentence);
  }

  report(kind: Violation['kind'], object: string, sentence: string, budget?: Violation['budget']): void {
    this.violationCount++;
    if (this.violations.length < violationsMax) {
      this.violations.push({ at: this.clock.now().toISOString(), kind, object, sentence, budget });
    }
  }

  summary(): ObserverReport {
    return {
      violations: [...this.violations],
      violationsLeftOut: this.violationCount - this.violations.length,
      counters: {
        ...this.counts,
        requests: Object.fromEntries([...this.requests].sort()),
        faults: Object.fromEntries([...this.faults].sort()),
      },
    };
  }

  private seePod(cluster: string, store: Store, change: Change): void {
    const pod = change.object as Pod;
    const before = change.previous as Pod | undefined;
    this.countMove(pod, before, change);
    const lost = before !== undefined && serves(before) && (change.type === 'DELETED' || !serves(pod));
    if (!lost || !isVoluntary(change.actor) || !actedUpon(change)) return;
    for (const budget of store.inNamespace('poddisruptionbudgets', before.metadata.namespace ?? '')) {
      if (!covers(budget.spec.selector, before)) continue;
      const neighbours = store.inNamespace('pods', before.metadata.namespace ?? '');
      const covered = neighbours.filter((other) => covers(budget.spec.selector, other));
      const healthy = covered.filter(serves).length;
      const demanded = healthyPodsDemanded(store, budget, [...covered, ...(change.type === 'DELETED' ? [before] : [])]);
      if (healthy >= demanded) continue;
      const name = `${before.metadata.namespace ?? ''}/${before.metadata.name}`;
      const sentence = brokenSentence(name, budget.metadata.name, { demanded, healthy }, change.actor);
      const broken = { name: `${budget.metadata.namespace ?? ''}/${budget.metadata.name}`, by: change.actor.name };
      this.report('budget-broken', `${cluster}: Pod ${name}`, sentence, broken);
    }
  }

  /** A pod counts as moved once a successor of the same owner is ready. */
  private countMove(pod: Pod, before: Pod | undefined, { actor, type }: Change): void {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
    if (!owner || owner.kind === 'DaemonSet') return;
    const stopsServing = before !== undefined && serves(before) && (type === 'DELETED' || !serves(pod));
    if (actor.verb === 'evict' && stopsServing) this.owed.set(owner.uid, (this.owed.get(owner.uid) ?? 0) + 1);
    const becameReady = type === 'MODIFIED' && serves(pod) && !(before && serves(before));
    const owed = this.owed.get(owner.uid) ?? 0;
    if (!becameReady || owed === 0) return;
    this.counts.podsMoved++;
    if (owed === 1) this.owed.delete(owner.uid);
    else this.owed.set(owner.uid, owed - 1);
  }

  private seeNode(cluster: string, { object, previous, actor }: Change): void {
    const node = object as Node;
    const before = previous as Node | undefined;
    const key = `${cluster}/${node.metadata.name}`;
    const was = before?.spec.unschedulable === true;
    const is = node.spec.unschedulable === true;
    if (is && !was) this.cordonedBy.set(key, actor.name);
    if (is && was && actor.part === 'client') this.seeSecondCordon(cluster, before, node, actor);
    if (is || !was) return;
    const owner = this.cordonedBy.get(key);
    this.cordonedBy.delete(key);
    if (actor.part !== 'client' || actor.verb === 'delete') return;
    const mark = node.metadata.annotations?.[cordonAnnotation];
    const sentence =
      mark !== undefined
        ? `${actor.name} lifted the cordon of ${node.metadata.name}, which is still marked as belonging to ${mark}.`
        : owner !== undefined && owner !== actor.name
          ? `${actor.name} lifted the cordon of ${node.metadata.name}, which ${owner} had set.`
          : undefined;
    if (sentence === undefined) return;
    this.counts.foreignCordonsLifted++;
    this.report('foreign-cordon-lifted', `${cluster}: Node ${node.metadata.name}`, sentence);
  }

  /** A cordoned node that gets the mark of another owner was cordoned twice; the same owner may do so again. */
  private seeSecondCordon(cluster: string, before: Node | undefined, node: Node, actor: Actor): void {
    const name = node.metadata.name;
    const mark = node.metadata.annotations?.[cordonAnnotation];
    const markBefore = before?.metadata.annotations?.[cordonAnnotation];
    const owner = markBefore ?? this.cordonedBy.get(`${cluster}/${name}`);
    if (mark === undefined || mark === markBefore || (markBefore === undefined && owner === actor.name)) return;
    const sentence = `${actor.name} marked the cordon of ${name} as that of ${mark}, though ${owner ?? 'somebody else'} had set it.`;
    this.report('cordoned-twice', `${cluster}: Node ${name}`, sentence);
  }
}

/** Whether somebody chose to do it, rather than a controller carrying out what its owner asks for. */
function isVoluntary({ part }: Actor): boolean {
  return part === 'client' || part === 'cloud';
}

/** Whether the pod was sent away, rather than merely reported as not ready. */
function actedUpon({ type, object }: Change): boolean {
  return type === 'DELETED' || object.metadata.deletionTimestamp !== undefined;
}

/** Whether a pod does its work: ready, and not on its way out. */
function serves(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  return (pod.status.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

function covers(selector: LabelSelector | undefined, pod: Pod): boolean {
  if (selector === undefined) return false;
  const labels = pod.metadata.labels ?? {};
  const equalities = Object.entries(selector.matchLabels ?? {});
  const expressions = selector.matchExpressions ?? [];
  if (equalities.some(([key, value]) => labels[key] !== value)) return false;
  return expressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    const listed = value !== undefined && values.includes(value);
    if (operator === 'In') return listed;
    if (operator === 'NotIn') return !listed;
    return operator === 'Exists' ? value !== undefined : value === undefined;
  });
}

/** How many healthy pods a budget demands, reckoned from what the owners of its pods ask for. */
function healthyPodsDemanded(store: Store, { spec }: PodDisruptionBudget, pods: Pod[]): number {
  if (typeof spec.minAvailable === 'number') return spec.minAvailable;
  const wanted = podsWantedByOwners(store, pods);
  if (typeof spec.minAvailable === 'string') return Math.ceil((wanted * Number.parseInt(spec.minAvailable, 10)) / 100);
  const { maxUnavailable } = spec;
  if (maxUnavailable === undefined) return 0;
  const away = typeof maxUnavailable === 'number' ? maxUnavailable : Math.ceil((wanted * Number.parseInt(maxUnavailable, 10)) / 100);
  return wanted - away;
}

function podsWantedByOwners(store: Store, pods: Pod[]): number {
  const wanted = new Map<string, number>();
  for (const pod of pods) {
    let owner: KubernetesObject | undefined = ownerOf(store, pod);
    owner = (owner && ownerOf(store, owner)) ?? owner;
    if (owner) wanted.set(owner.metadata.uid, (owner.spec as { replicas?: number } | undefined)?.replicas ?? 0);
  }
  return [...wanted.values()].reduce((sum, replicas) => sum + replicas, 0);
}

function ownerOf(store: Store, object: KubernetesObject): KubernetesObject | undefined {
  const reference = object.metadata.ownerReferences?.find(({ controller }) => controller === true);
  const namespace = object.metadata.namespace ?? '';
  switch (reference?.kind) {
    case 'ReplicaSet':
      return store.get('replicasets', namespace, reference.name);
    case 'Deployment':
      return store.get('deployments', namespace, reference.name);
    case 'StatefulSet':
      return store.get('statefulsets', namespace, reference.name);
    default:
      return undefined;
  }
}

function brokenSentence(pod: string, budget: string, { demanded, healthy }: { demanded: number; healthy: number }, actor: Actor): string {
  const act = actor.verb === 'evict' ? 'evicted' : 'deleted';
  return `${actor.name} ${act} the pod ${pod}: the budget ${budget} demands ${demanded} healthy pods and ${healthy} are left.`;
}
