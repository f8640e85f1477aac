import { mayLoseWork, podName, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { isSurged } from '../../../domain/drain/workload.ts';
import { groupBy } from '../../../domain/map.ts';
import type { Risk } from '../../../domain/plan/plan.ts';
import { isAccepted, zeroBudgetRisks } from './eviction-blockers.ts';
import type { DrainInput } from './facts.ts';
import { asked, type PodsOfDrain } from './pods-of-drain.ts';
import type { DrainReview } from './review.ts';

const hostPathsShownMax = 5;

/**
 * What may be lost by a drain, for people to accept by signing; which findings are risks and which are notes is told in
 * docs/how-it-works.md. What the input does not allow is a blocker instead, and no risk.
 */
export function drainRisks(pods: PodsOfDrain, review: DrainReview, input: DrainInput): Risk[] {
  return [...placementRisks(review, input), ...budgetRisks(pods), ...lossRisks(pods, input), ...downtimeRisks(pods, review)];
}

function placementRisks({ problems }: DrainReview, { deleteEmptyDirData }: DrainInput): Risk[] {
  return problems
    .filter(({ kind }) => kind !== 'local-volume' || deleteEmptyDirData)
    .map(({ workload, risk, detail, remedy }) => ({ object: workload, risk, detail, remedy }));
}

/** Budgets that are waited for, though nothing in their numbers will change. */
function budgetRisks({ zero, settings }: PodsOfDrain): Risk[] {
  const accepted = zero.filter((found) => isAccepted(found, settings));
  return zeroBudgetRisks(accepted, (pods) => ({
    detail:
      `Its pods here (${pods.length}) are asked for again after 1, 2, 4 … 30 s, and go as soon as it allows it; ` +
      'all others go meanwhile.',
    remedy: 'Plan with a `podDeadline`, so that the drain does not wait for ever where nothing changes.',
  }));
}

function lossRisks({ lost, dataLost, moved, known, settings }: PodsOfDrain, { force, deleteEmptyDirData }: DrainInput): Risk[] {
  const bare = lost.flatMap((pod): Risk[] => {
    const object = `Pod/${podName(pod)}`;
    return [
      ...(force ? [{ object, risk: 'no controller brings it back' }] : []),
      ...(pod.emptyDir && deleteEmptyDirData ? [{ object, risk: 'the data in its emptyDir volume is lost' }] : []),
    ];
  });
  const ofWorkloads = deleteEmptyDirData ? dataLost : [];
  return [
    ...bare,
    ...ofWorkloads.map((object) => ({ object, risk: 'the data in the emptyDir volumes of its pods is lost' })),
    ...orphanRisks(moved, known),
    ...hostPathRisks(moved),
    ...workRisks(asked(moved, new Map(), settings)),
  ];
}

/** Pods whose StatefulSet is gone while they are not: what they say of an owner is no promise (kubernetes/kubernetes#31252). */
function orphanRisks(pods: readonly PodView[], known: PodsOfDrain['known']): Risk[] {
  const isOrphan = ({ owner, ...pod }: PodView): boolean =>
    owner?.kind === 'StatefulSet' && owner.customGroup === undefined && !known.has(workloadOf({ owner, ...pod }));
  return [...new Set(pods.filter(isOrphan).map(workloadOf))].map((object) => ({
    object,
    risk: 'it is not there (any more), so that nothing brings its pods back',
    remedy: 'Make it anew (`kubectl apply`), or move its pods by hand.',
  }));
}

/** What pods keep in a directory of their node is not there where they go. */
function hostPathRisks(pods: readonly PodView[]): Risk[] {
  const found = groupBy(
    pods.filter(({ hostPaths = [] }) => hostPaths.length > 0),
    workloadOf,
  );
  return [...found].map(([object, own]) => {
    const paths = [...new Set(own.flatMap(({ hostPaths = [] }) => hostPaths))].sort();
    return {
      object,
      risk: `what it keeps in directories of its node stays behind: ${paths.slice(0, hostPathsShownMax).join(', ')}`,
      remedy: 'See that the data lives elsewhere, too, or copy it by hand.',
    };
  });
}

/** Pods that are not started again when they have succeeded, of controllers of which nobody knows what they do when one of them goes. */
function workRisks(pods: readonly PodView[]): Risk[] {
  return [...new Set(pods.filter(mayLoseWork).map(workloadOf))].map((object) => ({
    object,
    risk: 'what its pod has done so far is lost, and nobody knows whether it is begun anew',
    remedy: 'Have its owner wait with the maintenance, or give the pod the label `cluster.x-k8s.io/drain=wait-completed`.',
  }));
}

function downtimeRisks({ moved, singletons, known, settings }: PodsOfDrain, { exclusiveClaims }: DrainReview): Risk[] {
  const moving = new Set(moved.map(workloadOf));
  const down = singletons.filter((workload) => moving.has(workload) && !isSurged(known.get(workload), settings.singletons));
  return down.map((object) => {
    const view = known.get(object);
    const own = moved.filter((pod) => workloadOf(pod) === object);
    const isHeld = own.some(({ namespace, claims }) => claims.some((claim) => exclusiveClaims.has(`${namespace}/${claim}`)));
    const surge = view?.kind === 'Deployment' && view.noSurge === undefined && !isHeld;
    const remedy = `Have its owner run a second pod${surge ? ', or plan with `singletons: surge`, which starts the new one first' : ''}.`;
    return { object, risk: 'it is down until its only pod is Ready elsewhere', remedy };
  });
}
