import type { Controller, ControllerContext } from '../controller.ts';
import { controllerOf, isReady, keyOf, setCondition, splitKey, timestamp } from '../objects.ts';
import type { Condition, OwnerReference, Pod, PodDisruptionBudget } from '../objects.ts';
import { scaledValue } from '../quantity.ts';
import { matchesSelector } from '../selectors.ts';
import type { Actor, Change, Store } from '../store.ts';

/** For how long an evicted pod counts as gone before it has a deletion timestamp (`DeletionTimeout` of the real controller). */
const disruptedPodTimeoutMs = 120_000;

const actor: Actor = { part: 'controller', name: 'disruption-controller', verb: 'update' };

/** Keeps the status of the budgets, from which the eviction API decides. */
export function createDisruptionController(context: ControllerContext): Controller {
  const { store } = context;
  return {
    name: 'disruption',
    onChange: ({ resource, object, previous }: Change) => {
      if (resource === 'poddisruptionbudgets') return [keyOf(object)];
      if (resource !== 'pods') return [];
      const before = previous ? budgetsOf(store, previous as Pod) : [];
      return [...new Set([...before, ...budgetsOf(store, object as Pod)].map(keyOf))];
    },
    reconcile: (key) => {
      const budget = store.getByKey('poddisruptionbudgets', key);
      if (budget) writeStatus(context, key, budget);
    },
  };
}

/** The budgets that cover a pod. One without a selector covers nothing; one whose selector is empty, every pod of its namespace. */
export function budgetsOf(store: Store, pod: Pod): PodDisruptionBudget[] {
  const { namespace = '', labels } = pod.metadata;
  return store.budgetsForLabels(namespace, labels ?? {}).filter(({ spec }) => matchesSelector(spec.selector, labels));
}

function podsOf(store: Store, { metadata, spec }: PodDisruptionBudget): Pod[] {
  if (!spec.selector) return [];
  const pods = store.podsWithLabels(metadata.namespace ?? '', spec.selector.matchLabels ?? {});
  return pods.filter((pod) => matchesSelector(spec.selector, pod.metadata.labels));
}

/**
 * What a budget comes to: how many pods there should be and how many of them healthy. `scale` is what the owners of the
 * pods ask for and is only called where the rule needs it. Percentages round up, as in the real controller.
 */
export function demandOf(
  { minAvailable, maxUnavailable }: PodDisruptionBudget['spec'],
  pods: number,
  scale: () => number,
): { expectedPods: number; desiredHealthy: number } {
  if (maxUnavailable !== undefined) {
    const expectedPods = scale();
    return { expectedPods, desiredHealthy: Math.max(0, expectedPods - scaledValue(maxUnavailable, expectedPods, 'up')) };
  }
  if (typeof minAvailable === 'string') {
    const expectedPods = scale();
    return { expectedPods, desiredHealthy: scaledValue(minAvailable, expectedPods, 'up') };
  }
  return { expectedPods: minAvailable === undefined ? 0 : pods, desiredHealthy: minAvailable ?? 0 };
}

/** The sum of what the owners of the pods ask for, each counted once; throws an Error for owners without a scale. */
function expectedScale(store: Store, pods: Pod[]): number {
  const scales = new Map<string, number>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (!owner) continue;
    const { uid, replicas } = scaleOf(store, pod, owner);
    scales.set(uid, replicas);
  }
  return [...scales.values()].reduce((sum, replicas) => sum + replicas, 0);
}

function scaleOf(store: Store, pod: Pod, owner: OwnerReference): { uid: string; replicas: number } {
  const namespace = pod.metadata.namespace ?? '';
  if (owner.kind === 'StatefulSet') {
    const set = store.get('statefulsets', namespace, owner.name);
    if (set?.metadata.uid === owner.uid) return { uid: owner.uid, replicas: set.spec.replicas };
  }
  if (owner.kind === 'ReplicaSet') {
    const set = store.get('replicasets', namespace, owner.name);
    const above = set && controllerOf(set);
    const deployment = above?.kind === 'Deployment' ? store.get('deployments', namespace, above.name) : undefined;
    if (deployment && deployment.metadata.uid === above?.uid) return { uid: above.uid, replicas: deployment.spec.replicas };
    if (set?.metadata.uid === owner.uid) return { uid: owner.uid, replicas: set.spec.replicas };
  }
  if (owner.kind === 'DaemonSet') throw new Error('daemonsets.apps does not implement the scale subresource');
  throw new Error(`found no controllers for pod "${pod.metadata.name}"`);
}

/** Which of the evictions that were granted are still to be counted: their pods are there and not yet marked as going. */
function stillDisrupted(pods: Pod[], disrupted: Record<string, string>, now: Date): Record<string, string> {
  const entries = pods
    .filter((pod) => pod.metadata.deletionTimestamp === undefined && disrupted[pod.metadata.name] !== undefined)
    .map((pod): [string, string] => [pod.metadata.name, disrupted[pod.metadata.name] ?? ''])
    .filter(([, at]) => new Date(at).getTime() + disruptedPodTimeoutMs >= now.getTime());
  return Object.fromEntries(entries);
}

function writeStatus(context: ControllerContext, key: string, budget: PodDisruptionBudget): void {
  const { store, clock } = context;
  const pods = podsOf(store, budget);
  const now = clock.now();
  const disruptedPods = stillDisrupted(pods, budget.status.disruptedPods ?? {}, now);
  const healthy = pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && disruptedPods[pod.metadata.name] === undefined && isReady(pod),
  );
  try {
    const demand = demandOf(budget.spec, pods.length, () => expectedScale(store, pods));
    const spare = healthy.length - demand.desiredHealthy;
    const disruptionsAllowed = demand.expectedPods <= 0 || spare <= 0 ? 0 : spare;
    store.update('poddisruptionbudgets', key, actor, ({ status, metadata }) => {
      Object.assign(status, { ...demand, currentHealthy: healthy.length, disruptionsAllowed, observedGeneration: metadata.generation });
      if (Object.keys(disruptedPods).length > 0) status.disruptedPods = disruptedPods;
      else delete status.disruptedPods;
      status.conditions = setCondition(status.conditions, allowedCondition(disruptionsAllowed, metadata.generation), timestamp(now));
    });
  } catch (error) {
    closeBudget(context, key, error instanceof Error ? error.message : String(error));
  }
  const recheck = Object.values(disruptedPods).map((at) => new Date(at).getTime() + disruptedPodTimeoutMs - now.getTime());
  if (recheck.length > 0) context.wakeAfter('disruption', key, Math.min(...recheck) + 1000);
}

/** The condition that goes with a number of allowed disruptions. */
export function allowedCondition(disruptionsAllowed: number, generation: number | undefined): Condition {
  const allowed = disruptionsAllowed > 0;
  return {
    type: 'DisruptionAllowed',
    status: allowed ? 'True' : 'False',
    reason: allowed ? 'SufficientPods' : 'InsufficientPods',
    message: '',
    observedGeneration: generation,
  };
}

/** A budget whose demand cannot be found out allows nothing. */
function closeBudget(context: ControllerContext, key: string, message: string): void {
  const { store, clock } = context;
  const { namespace, name } = splitKey(key);
  const budget = store.get('poddisruptionbudgets', namespace, name);
  if (!budget) return;
  store.update('poddisruptionbudgets', key, actor, ({ status }) => {
    status.disruptionsAllowed = 0;
    const condition: Condition = { type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message };
    status.conditions = setCondition(status.conditions, condition, timestamp(clock.now()));
  });
  const text = `Failed to calculate the number of expected pods: ${message}`;
  context.recordEvent(budget, 'Warning', 'CalculateExpectedPodCountFailed', text, 'controllermanager');
}
