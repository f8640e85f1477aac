import type { Clock } from '../clock.ts';
import { allowedCondition, budgetsOf } from './controllers/disruption.ts';
import { checkPreconditions, deleteObject } from './deletion.ts';
import type { DeleteOptions } from './deletion.ts';
import { ApiError, forbidden, notFound, tooManyRequests } from './errors.ts';
import type { Status } from './errors.ts';
import { hasEnded, isReady, keyOf, setCondition, splitKey, timestamp } from './objects.ts';
import type { Pod, PodDisruptionBudget } from './objects.ts';
import type { Actor, Store } from './store.ts';

/** How many evictions of one budget may be granted without its controller having seen them (`MaxDisruptedPodSize`). */
const disruptedPodsMax = 2000;

/** How long clients are told to wait for a budget whose controller lags behind. */
const retryAfterSeconds = 10;

const refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
const severalBudgets = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';

/**
 * Evicts a pod by the rules of the API server (`pkg/registry/core/pod/storage/eviction.go`). Returns the Status of success.
 * Throws an ApiError: 404 no such pod, 409 a precondition does not hold, 429 the budget is spent, 403 the budget is broken,
 * 500 several budgets cover the pod.
 */
export function evictPod(context: { store: Store; clock: Clock }, key: string, options: DeleteOptions, actor: Actor): Status {
  const { store } = context;
  const pod = store.getByKey('pods', key);
  if (!pod) throw notFound({ group: '', resource: 'pods' }, splitKey(key).name);
  if (!needsNoBudget(pod)) {
    const budgets = budgetsOf(store, pod);
    // The one error that the real server sends without a reason: clients must know it by its message.
    if (budgets.length > 1) throw new ApiError(500, undefined, severalBudgets);
    const [budget] = budgets;
    if (budget && !mayGoUnhealthy(pod, budget)) spend(context, pod, budget, options, actor);
  }
  checkPreconditions('pods', pod, options);
  if (options.dryRun?.includes('All') !== true) {
    markAsTarget(context, pod, actor);
    deleteObject(context, 'pods', key, { gracePeriodSeconds: options.gracePeriodSeconds }, actor);
  }
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

/** Pods that have ended, not begun or are on their way out disrupt nobody. */
function needsNoBudget(pod: Pod): boolean {
  return hasEnded(pod) || pod.status.phase === 'Pending' || pod.metadata.deletionTimestamp !== undefined;
}

/** Whether a pod that is not ready may go without spending the budget, since it does not count as healthy anyway. */
function mayGoUnhealthy(pod: Pod, { spec, status }: PodDisruptionBudget): boolean {
  if (isReady(pod)) return false;
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  return status.currentHealthy >= status.desiredHealthy && status.desiredHealthy > 0;
}

/** Checks a budget and takes one disruption off it in the same breath, so that no two evictions can spend the same one. */
function spend(
  { store, clock }: { store: Store; clock: Clock },
  pod: Pod,
  budget: PodDisruptionBudget,
  options: DeleteOptions,
  actor: Actor,
): void {
  const { status } = budget;
  const { name, generation = 0 } = budget.metadata;
  if ((status.observedGeneration ?? 0) < generation) {
    const message = `The disruption budget ${name} is still being processed by the server.`;
    throw tooManyRequests(refusal, retryAfterSeconds, [{ reason: 'DisruptionBudget', message }]);
  }
  const resource = { group: 'policy', resource: 'poddisruptionbudget' };
  if (status.disruptionsAllowed < 0) throw forbidden(resource, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status.disruptedPods ?? {}).length > disruptedPodsMax) {
    throw forbidden(resource, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  }
  if (status.disruptionsAllowed === 0) {
    const message = `The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`;
    throw tooManyRequests(refusal, 0, [{ reason: 'DisruptionBudget', message }]);
  }
  if (options.dryRun?.includes('All') === true) return;
  const now = timestamp(clock.now());
  store.update('poddisruptionbudgets', keyOf(budget), actor, (draft) => {
    draft.status.disruptionsAllowed--;
    draft.status.disruptedPods = { ...draft.status.disruptedPods, [pod.metadata.name]: now };
    if (draft.status.disruptionsAllowed === 0) {
      draft.status.conditions = setCondition(draft.status.conditions, allowedCondition(0, draft.metadata.generation), now);
    }
  });
}

function markAsTarget({ store, clock }: { store: Store; clock: Clock }, pod: Pod, actor: Actor): void {
  const reason = 'EvictionByEvictionAPI';
  store.update('pods', keyOf(pod), actor, ({ status }) => {
    const condition = { type: 'DisruptionTarget', status: 'True', reason, message: 'Eviction API: evicting' } as const;
    status.conditions = setCondition(status.conditions, condition, timestamp(clock.now()));
  });
}
