import type { Controller, ControllerContext } from '../controller.ts';
import { deleteObject, foregroundFinalizer, mayGo, orphanFinalizer } from '../deletion.ts';
import { keyOf } from '../objects.ts';
import type { KubernetesObject, ResourceName } from '../objects.ts';
import { definitionOfKind, resources } from '../resources.ts';
import type { Actor, Change } from '../store.ts';

const actor: Actor = { part: 'controller', name: 'garbage-collector', verb: 'delete' };

/** The resources whose objects have owners. */
const dependents: ResourceName[] = ['replicasets', 'pods', 'endpointslices'];

/** Takes away what belonged to deleted objects, empties namespaces that are being deleted, and lets go what nothing holds back. */
export function createGarbageCollector(context: ControllerContext): Controller {
  return {
    name: 'garbage',
    onChange: keysOfChange,
    reconcile: (key) => {
      const [task = '', resource = '', ...rest] = key.split(' ');
      if (task === 'orphans') collect(context, resource);
      else if (task === 'namespace') emptyNamespace(context, resource);
      else letGo(context, resource as ResourceName, rest.join(' '));
    },
  };
}

function keysOfChange({ type, resource, object }: Change): string[] {
  const { metadata } = object;
  if (resource === 'events') return [];
  if (type !== 'DELETED') {
    if (metadata.deletionTimestamp === undefined) return [];
    return resource === 'namespaces' ? [`namespace ${metadata.name}`] : [`held ${resource} ${keyOf(object)}`];
  }
  const owners = (metadata.ownerReferences ?? []).flatMap(({ apiVersion, kind, name }) => {
    const owner = definitionOfKind(apiVersion, kind);
    return owner ? [`held ${owner.resource} ${metadata.namespace ?? ''}/${name}`] : [];
  });
  const namespace = metadata.namespace === undefined ? [] : [`namespace ${metadata.namespace}`];
  return [`orphans ${metadata.uid}`, ...owners, ...namespace];
}

function collect(context: ControllerContext, uid: string): void {
  for (const resource of dependents) {
    for (const object of context.store.ownedBy(resource, uid)) {
      if (object.metadata.deletionTimestamp === undefined) deleteObject(context, resource, keyOf(object), {}, actor);
    }
  }
}

/** Lets an object go that has been marked, once its finalizers are satisfied. Pods end by their kubelet. */
function letGo(context: ControllerContext, resource: ResourceName, key: string): void {
  const { store } = context;
  const object: KubernetesObject | undefined = store.getByKey(resource, key);
  if (!object || object.metadata.deletionTimestamp === undefined) return;
  const { uid, finalizers = [] } = object.metadata;
  if (finalizers.includes(orphanFinalizer)) disown(context, uid);
  const owned = dependents.flatMap((dependent) => store.ownedBy(dependent, uid));
  if (finalizers.includes(foregroundFinalizer)) collect(context, uid);
  const satisfied = finalizers.filter((one) => one === orphanFinalizer || (one === foregroundFinalizer && owned.length === 0));
  if (satisfied.length > 0) {
    store.update(resource, key, actor, (draft) => {
      draft.metadata.finalizers = finalizers.filter((one) => !satisfied.includes(one));
    });
    return;
  }
  const running = resource === 'pods' && (object.metadata.deletionGracePeriodSeconds ?? 0) > 0;
  if (mayGo(object) && !running) store.remove(resource, key, actor);
}

function disown({ store }: ControllerContext, uid: string): void {
  for (const resource of dependents) {
    for (const object of store.ownedBy(resource, uid)) {
      store.update(resource, keyOf(object), actor, ({ metadata }) => {
        metadata.ownerReferences = metadata.ownerReferences?.filter((owner) => owner.uid !== uid);
      });
    }
  }
}

function emptyNamespace(context: ControllerContext, name: string): void {
  const { store } = context;
  if (store.get('namespaces', '', name)?.metadata.deletionTimestamp === undefined) return;
  let left = 0;
  for (const { resource, namespaced } of resources) {
    if (!namespaced) continue;
    for (const object of store.inNamespace(resource, name)) {
      if (object.metadata.deletionTimestamp === undefined) deleteObject(context, resource, keyOf(object), {}, actor);
      if (store.getByKey(resource, keyOf(object))) left++;
    }
  }
  if (left === 0) store.remove('namespaces', `/${name}`, actor);
}
