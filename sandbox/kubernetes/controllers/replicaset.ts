import type { Controller, ControllerContext } from '../controller.ts';
import { controllerOf, hasEnded, isReady, keyOf } from '../objects.ts';
import type { Pod, PodTemplate, ReplicaSet } from '../objects.ts';
import { deleteObject } from '../deletion.ts';
import { freePodName, newPod, reportCreated } from './pods.ts';
import type { Actor, Change } from '../store.ts';

/** How many pods one look at a ReplicaSet may create or delete. */
const burstMax = 500;

const actor: Actor = { part: 'controller', name: 'replicaset-controller', verb: 'update' };

/** Keeps as many pods of each ReplicaSet as it asks for. */
export function createReplicaSetController(context: ControllerContext): Controller {
  const { store } = context;
  return {
    name: 'replicaset',
    onChange: ({ resource, object }: Change) => {
      if (resource === 'replicasets') return [keyOf(object)];
      const owner = resource === 'pods' ? controllerOf(object) : undefined;
      return owner?.kind === 'ReplicaSet' ? [`${object.metadata.namespace ?? ''}/${owner.name}`] : [];
    },
    reconcile: (key) => {
      const replicaSet = store.getByKey('replicasets', key);
      if (!replicaSet) return;
      const pods = activePods(store.ownedBy('pods', replicaSet.metadata.uid));
      if (replicaSet.metadata.deletionTimestamp === undefined) {
        const missing = replicaSet.spec.replicas - pods.length;
        if (missing > 0) createPods(context, replicaSet, Math.min(missing, burstMax));
        if (missing < 0) deletePods(context, replicaSet, pods, Math.min(-missing, burstMax));
        if (Math.abs(missing) > burstMax) context.wake('replicaset', key);
      }
      writeStatus(context, key, replicaSet);
    },
  };
}

/** Pods that neither have ended nor are about to. */
function activePods(pods: Pod[]): Pod[] {
  return pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !hasEnded(pod));
}

function createPods(context: ControllerContext, replicaSet: ReplicaSet, count: number): void {
  for (let index = 0; index < count; index++) {
    const name = freePodName(context, replicaSet);
    context.store.create('pods', newPod(replicaSet, replicaSet.spec.template, name), { ...actor, verb: 'create' });
    reportCreated(context, replicaSet, name, actor.name);
  }
}

/** Pods that do the least good go first: not placed, not ready, on a node with siblings, young. */
function deletePods(context: ControllerContext, owner: ReplicaSet, pods: Pod[], count: number): void {
  const perNode = new Map<string, number>();
  for (const { spec } of pods) perNode.set(spec.nodeName ?? '', (perNode.get(spec.nodeName ?? '') ?? 0) + 1);
  const worth = (pod: Pod): number => (pod.spec.nodeName === undefined ? 0 : isReady(pod) ? 2 : 1);
  const ranked = [...pods].sort(
    (a, b) =>
      worth(a) - worth(b) ||
      (perNode.get(b.spec.nodeName ?? '') ?? 0) - (perNode.get(a.spec.nodeName ?? '') ?? 0) ||
      b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp) ||
      a.metadata.name.localeCompare(b.metadata.name),
  );
  for (const pod of ranked.slice(0, count)) {
    deleteObject(context, 'pods', keyOf(pod), {}, { ...actor, verb: 'delete' });
    context.recordEvent(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, actor.name);
  }
}

function writeStatus({ store }: ControllerContext, key: string, { metadata, spec }: ReplicaSet): void {
  const pods = activePods(store.ownedBy('pods', metadata.uid));
  const ready = pods.filter(isReady).length;
  const labelled = pods.filter((pod) => hasLabels(pod, spec.template)).length;
  store.update('replicasets', key, actor, (draft) => {
    draft.status = {
      replicas: pods.length,
      ...(labelled > 0 ? { fullyLabeledReplicas: labelled } : {}),
      ...(ready > 0 ? { readyReplicas: ready, availableReplicas: ready } : {}),
      observedGeneration: metadata.generation,
    };
  });
}

function hasLabels(pod: Pod, template: PodTemplate): boolean {
  return Object.entries(template.metadata?.labels ?? {}).every(([key, value]) => pod.metadata.labels?.[key] === value);
}
