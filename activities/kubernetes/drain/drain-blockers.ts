import type { V1Node } from '@kubernetes/client-node';
import { optOutOf, podName, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { comesBackForSure, whyItComesBack } from '../../../domain/drain/returning-pods.ts';
import { isSurged, type WorkloadView } from '../../../domain/drain/workload.ts';
import { groupBy } from '../../../domain/map.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { cordonOwner, cordonState } from '../cordon/owner-annotation.ts';
import { isAccepted, twoBudgetsBlockers, zeroBudgetBlockers } from './eviction-blockers.ts';
import type { DrainInput, SignedSettings } from './facts.ts';
import { asked, type PodsOfDrain } from './pods-of-drain.ts';
import type { DrainReview } from './review.ts';

/** Workloads whose several pods are told one by one. */
const objectsShownMax = 3;

/** What must be seen to before a drain of these pods may begin, missing permissions apart. */
export function drainBlockers(
  { nodes, moved, known, singletons, budgets, zero, settings }: PodsOfDrain,
  review: DrainReview,
  input: DrainInput,
  run: string,
): Blocker[] {
  return [
    ...foreignCordonBlockers(nodes, run, input),
    ...zeroBudgetBlockers(zero.filter((found) => !isAccepted(found, settings))),
    ...twoBudgetsBlockers(asked(moved, known, settings), budgets),
    ...lossBlockers(moved, input),
    ...returnBlockers(moved),
    ...endlessBlockers(moved),
    ...surgeBlockers(singletons, known, settings),
    ...(settings.singletons === 'surge' ? exclusiveVolumeBlockers(moved, known, review) : []),
    ...localVolumeBlockers(review, input),
  ];
}

/** Pods that come to the same node again at once: however often they are evicted, the node is never empty, and they are down each time. */
function returnBlockers(pods: readonly PodView[]): Blocker[] {
  return [...groupBy(pods.filter(comesBackForSure), workloadOf)].map(([object, found]) => ({
    object,
    reason: `${found.length} of its pods come back to the same node though it is cordoned: ${found.map(whyItComesBack)[0] ?? ''}.`,
    remedy:
      'Have its owner take the node out of its pod template, or scale it down for the maintenance; then plan again. ' +
      'Or leave its pods where they are: `kubectl label pod … cluster.x-k8s.io/drain=skip`, on the pods themselves.',
  }));
}

function foreignCordonBlockers(nodes: readonly V1Node[], run: string, { alsoCordoned }: DrainInput): Blocker[] {
  if (alsoCordoned) return [];
  return nodes
    .filter((node) => cordonState(node, run) === 'foreign')
    .map((node) => {
      const name = node.metadata?.name ?? '';
      const owner = cordonOwner(node);
      const whose = owner === undefined ? 'by hand or by another tool' : `by run ${owner}`;
      return {
        object: `Node/${name}`,
        reason: `It is cordoned already, ${whose}: somebody may be at work on it.`,
        remedy: `Ask who has cordoned it; then lift that cordon (\`kubectl uncordon ${name}\`), or plan with \`alsoCordoned: true\`.`,
      };
    });
}

/** Pods that their owner will not have disturbed, and that never end by themselves. */
function endlessBlockers(pods: readonly PodView[]): Blocker[] {
  const found = new Map<string, { mark: string; pods: PodView[] }>();
  for (const pod of pods) {
    const optOut = optOutOf(pod, Date.now());
    if (optOut?.treatment !== 'wait' || pod.completes) continue;
    const known = found.get(workloadOf(pod));
    if (known) known.pods.push(pod);
    else found.set(workloadOf(pod), { mark: optOut.mark, pods: [pod] });
  }
  return [...found].map(([object, { mark, pods: marked }]) => ({
    object,
    reason: `${marked.length} of its pods must not be disturbed (${mark}) and never end by themselves: ${shown(marked.map(podName))}.`,
    remedy: 'Have its owner take that mark away for the time of the maintenance, then plan again.',
  }));
}

function surgeBlockers(names: readonly string[], known: ReadonlyMap<string, WorkloadView>, { singletons }: SignedSettings): Blocker[] {
  if (singletons !== 'surge') return [];
  return names.flatMap((object) => {
    const { kind, noSurge } = known.get(object) ?? {};
    if (kind !== 'Deployment' || noSurge === undefined) return [];
    const reason = `A rollout cannot start its new pod before the old one ends: ${noSurge}.`;
    return [{ object, reason, remedy: 'Have its owner allow for it, or plan with `singletons: evict`, which takes it down for a while.' }];
  });
}

/** The new pod of a rollout could not have the volume before the old one, on the drained node, has ended: neither ever would. */
function exclusiveVolumeBlockers(
  moved: readonly PodView[],
  known: ReadonlyMap<string, WorkloadView>,
  { exclusiveClaims }: DrainReview,
): Blocker[] {
  return moved.flatMap((pod) => {
    const object = workloadOf(pod);
    const claim = pod.claims.find((name) => exclusiveClaims.has(`${pod.namespace}/${name}`));
    if (claim === undefined || !isSurged(known.get(object), 'surge')) return [];
    const why = `the volume of its claim ${claim} is on one node at a time (ReadWriteOnce)`;
    const reason = `A rollout cannot start its new pod before the old one ends: ${why}.`;
    return [{ object, reason, remedy: 'Plan with `singletons: evict`, which takes it down for a while.' }];
  });
}

/** Data that stays behind on the node is as good as lost to its pod. */
function localVolumeBlockers({ problems }: DrainReview, { deleteEmptyDirData }: DrainInput): Blocker[] {
  if (deleteEmptyDirData) return [];
  return problems
    .filter(({ kind }) => kind === 'local-volume')
    .map(({ workload, detail, remedy }) => ({
      object: workload,
      reason: `${workload}: ${detail}`,
      remedy: `${remedy} Or plan with \`deleteEmptyDirData: true\`, which leaves that data behind.`,
    }));
}

function shown(names: readonly string[]): string {
  return names.slice(0, objectsShownMax).join(', ') + (names.length > objectsShownMax ? ', …' : '');
}

function lossBlockers(pods: readonly PodView[], { force, deleteEmptyDirData }: DrainInput): Blocker[] {
  const blockers: Blocker[] = [];
  for (const pod of pods) {
    const object = `Pod/${podName(pod)}`;
    if (pod.owner === undefined && !force) {
      const remedy = 'Move it by hand, or plan with `force: true`, which names it in the plan.';
      blockers.push({ object, reason: 'No controller brings it back once it is evicted.', remedy });
    }
    if (pod.emptyDir && !deleteEmptyDirData) {
      const remedy = 'Save the data, or plan with `deleteEmptyDirData: true`, which names its workload in the plan.';
      blockers.push({ object, reason: 'The data in its emptyDir volume is lost with it.', remedy });
    }
  }
  return blockers;
}
