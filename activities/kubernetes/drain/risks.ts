import { podName, workloadOf } from '../../../domain/drain/pod.ts';
import { isSurged } from '../../../domain/drain/workload.ts';
import type { Risk } from '../../../domain/plan/plan.ts';
import { isAccepted, zeroBudgetRisks } from './eviction-blockers.ts';
import type { DrainInput } from './facts.ts';
import type { PodsOfDrain } from './pods-of-drain.ts';
import type { DrainReview } from './review.ts';

/**
 * What may be lost by a drain, for people to accept by signing; which findings are risks and which are notes is told in
 * docs/how-it-works.md. What the input does not allow is a blocker instead, and no risk.
 */
export function drainRisks(pods: PodsOfDrain, review: DrainReview, input: DrainInput): Risk[] {
  return [...placementRisks(review, input), ...budgetRisks(pods), ...lossRisks(pods, input), ...downtimeRisks(pods)];
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

function lossRisks({ lost }: PodsOfDrain, { force, deleteEmptyDirData }: DrainInput): Risk[] {
  return lost.flatMap((pod) => {
    const object = `Pod/${podName(pod)}`;
    const risks: Risk[] = [];
    if (pod.owner === undefined && force) risks.push({ object, risk: 'no controller brings it back' });
    if (pod.emptyDir && deleteEmptyDirData) risks.push({ object, risk: 'the data in its emptyDir volume is lost' });
    return risks;
  });
}

function downtimeRisks({ moved, singletons, known, settings }: PodsOfDrain): Risk[] {
  const moving = new Set(moved.map(workloadOf));
  const down = singletons.filter((workload) => moving.has(workload) && !isSurged(known.get(workload), settings.singletons));
  return down.map((object) => {
    const view = known.get(object);
    const surge = view?.kind === 'Deployment' && view.noSurge === undefined;
    const remedy = `Have its owner run a second pod${surge ? ', or plan with `singletons: surge`, which starts the new one first' : ''}.`;
    return { object, risk: 'it is down until its only pod is Ready elsewhere', remedy };
  });
}
