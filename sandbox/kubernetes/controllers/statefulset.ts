import type { Controller, ControllerContext } from '../controller.ts';
import { deleteObject } from '../deletion.ts';
import { controllerOf, hasEnded, isReady, keyOf } from '../objects.ts';
import type { Pod, StatefulSet } from '../objects.ts';
import type { Actor, Change, Store } from '../store.ts';
import { newPod, templateHash } from './pods.ts';

const revisionLabel = 'controller-revision-hash';
const actor: Actor = { part: 'controller', name: 'statefulset-controller', verb: 'update' };

/** Keeps the pods of each StatefulSet: fixed names, in order where it asks for that, one at a time when updating. */
export function createStatefulSetController(context: ControllerContext): Controller {
  return {
    name: 'statefulset',
    onChange: ({ resource, object }: Change) => {
      if (resource === 'statefulsets') return [keyOf(object)];
      const owner = resource === 'pods' ? controllerOf(object) : undefined;
      return owner?.kind === 'StatefulSet' ? [`${object.metadata.namespace ?? ''}/${owner.name}`] : [];
    },
    reconcile: (key) => {
      const set = context.store.getByKey('statefulsets', key);
      if (!set) return;
      if (set.metadata.deletionTimestamp === undefined) step(context, set);
      writeStatus(context, key, set);
    },
  };
}

function revisionOf(set: StatefulSet): string {
  return `${set.metadata.name}-${templateHash(set.spec.template)}`;
}

function ordinalOf(pod: Pod): number {
  return Number(pod.metadata.name.slice(pod.metadata.name.lastIndexOf('-') + 1));
}

function podsOf({ store }: ControllerContext, set: StatefulSet): Pod[] {
  return store.ownedBy('pods', set.metadata.uid).sort((a, b) => ordinalOf(a) - ordinalOf(b));
}

function isHealthy(pod: Pod): boolean {
  return isReady(pod) && pod.metadata.deletionTimestamp === undefined;
}

function step(context: ControllerContext, set: StatefulSet): void {
  const inOrder = set.spec.podManagementPolicy !== 'Parallel';
  const byOrdinal = new Map(podsOf(context, set).map((pod) => [ordinalOf(pod), pod]));
  for (let ordinal = 0; ordinal < set.spec.replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (!pod) createPod(context, set, ordinal);
    // A pod that has ended is replaced by one of the same name, which needs the name to be free.
    else if (hasEnded(pod)) remove(context, pod);
    if (inOrder && !(pod && isHealthy(pod))) return;
  }
  for (const pod of podsOf(context, set).reverse()) {
    if (ordinalOf(pod) < set.spec.replicas) break;
    if (pod.metadata.deletionTimestamp === undefined) remove(context, pod);
    if (inOrder) return;
  }
  if (set.spec.updateStrategy?.type !== 'OnDelete') replaceOutdated(context, set);
}

function createPod(context: ControllerContext, set: StatefulSet, ordinal: number): void {
  const { store } = context;
  const name = `${set.metadata.name}-${ordinal}`;
  if (store.get('pods', set.metadata.namespace ?? '', name)) return;
  const labels = {
    'apps.kubernetes.io/pod-index': String(ordinal),
    [revisionLabel]: revisionOf(set),
    'statefulset.kubernetes.io/pod-name': name,
  };
  const templates = set.spec.volumeClaimTemplates ?? [];
  for (const template of templates) createClaim(store, set, `${template.metadata.name}-${name}`, template);
  const volumes = [
    ...(set.spec.template.spec.volumes ?? []),
    ...templates.map(({ metadata }) => ({ name: metadata.name, persistentVolumeClaim: { claimName: `${metadata.name}-${name}` } })),
  ];
  const spec = templates.length > 0 ? { volumes } : {};
  store.create('pods', newPod(set, set.spec.template, name, { labels, spec }), { ...actor, verb: 'create' });
  const created = `create Pod ${name} in StatefulSet ${set.metadata.name} successful`;
  context.recordEvent(set, 'Normal', 'SuccessfulCreate', created, actor.name);
}

type ClaimTemplate = NonNullable<StatefulSet['spec']['volumeClaimTemplates']>[number];

/** A claim outlives its pod, and the set. */
function createClaim(store: Store, set: StatefulSet, name: string, { metadata, spec }: ClaimTemplate): void {
  const { namespace = '' } = set.metadata;
  if (store.get('persistentvolumeclaims', namespace, name)) return;
  const labels = { ...metadata.labels, ...set.spec.selector.matchLabels };
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace, labels },
    spec,
    status: { phase: 'Pending' as const },
  };
  store.create('persistentvolumeclaims', claim, { ...actor, verb: 'create' });
}

function remove(context: ControllerContext, pod: Pod): void {
  deleteObject(context, 'pods', keyOf(pod), {}, { ...actor, verb: 'delete' });
}

/** The highest pod of an older template goes once all others are healthy. */
function replaceOutdated(context: ControllerContext, set: StatefulSet): void {
  const revision = revisionOf(set);
  for (const pod of podsOf(context, set).reverse()) {
    if (pod.metadata.labels?.[revisionLabel] !== revision) {
      if (pod.metadata.deletionTimestamp === undefined) remove(context, pod);
      return;
    }
    if (!isHealthy(pod)) return;
  }
}

function writeStatus(context: ControllerContext, key: string, set: StatefulSet): void {
  const pods = podsOf(context, set).filter((pod) => !hasEnded(pod));
  const ready = pods.filter(isReady).length;
  const revision = revisionOf(set);
  const updated = pods.filter((pod) => pod.metadata.labels?.[revisionLabel] === revision).length;
  const older = pods.find((pod) => pod.metadata.labels?.[revisionLabel] !== revision);
  context.store.update('statefulsets', key, actor, (draft) => {
    draft.status = {
      observedGeneration: set.metadata.generation,
      replicas: pods.length,
      ...(ready > 0 ? { readyReplicas: ready } : {}),
      availableReplicas: ready,
      currentReplicas: older ? pods.length - updated : updated,
      ...(updated > 0 ? { updatedReplicas: updated } : {}),
      currentRevision: older?.metadata.labels?.[revisionLabel] ?? revision,
      updateRevision: revision,
      collisionCount: 0,
    };
  });
}
