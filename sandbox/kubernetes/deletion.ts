import type { Clock } from '../clock.ts';
import { conflict, notFound } from './errors.ts';
import { hasEnded, splitKey, timestamp } from './objects.ts';
import type { KubernetesObject, Namespace, Pod, ResourceName } from './objects.ts';
import { groupResourceOf } from './resources.ts';
import type { Actor, Store } from './store.ts';

/** The DeleteOptions of a request, as far as the sandbox heeds them. */
export interface DeleteOptions {
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  dryRun?: string[];
}

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

const defaultGraceSeconds = 30;

/** Throws an ApiError (409) if an object is not the one that the options speak of. */
export function checkPreconditions(resource: ResourceName, object: KubernetesObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  if (uid !== undefined && uid !== metadata.uid) {
    const why =
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). ` +
      'The object might have been deleted and then recreated';
    throw conflict(groupResourceOf(resource), metadata.name, why);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    const why =
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record ` +
      `(${metadata.resourceVersion}). The object might have been modified`;
    throw conflict(groupResourceOf(resource), metadata.name, why);
  }
}

/** How long a pod is given to end, in seconds; pods that never ran or have ended need no time. */
function graceOf(pod: Pod, options: DeleteOptions): number {
  if (pod.spec.nodeName === undefined || hasEnded(pod)) return 0;
  return options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
}

/**
 * Deletes an object the way the API server does: pods get their grace period, namespaces and objects with finalizers
 * are marked, everything else goes at once. Returns the object as it is afterwards (or last was).
 * Throws an ApiError: 404 if there is none, 409 if a precondition does not hold.
 */
export function deleteObject(
  { store, clock }: { store: Store; clock: Clock },
  resource: ResourceName,
  key: string,
  options: DeleteOptions,
  actor: Actor,
): KubernetesObject {
  const object: KubernetesObject | undefined = store.getByKey(resource, key);
  if (!object) throw notFound(groupResourceOf(resource), splitKey(key).name);
  checkPreconditions(resource, object, options);
  if (options.dryRun?.includes('All') === true) return object;
  const graceSeconds = resource === 'pods' ? graceOf(object as Pod, options) : 0;
  const finalizers = finalizersAfter(resource, object, options);
  if (graceSeconds === 0 && finalizers.length === 0 && resource !== 'namespaces') {
    return store.remove(resource, key, actor) ?? object;
  }
  return mark(store, clock.now(), resource, key, { graceSeconds, finalizers }, actor);
}

function finalizersAfter(resource: ResourceName, object: KubernetesObject, { propagationPolicy }: DeleteOptions): string[] {
  const finalizers = object.metadata.finalizers ?? [];
  if (resource === 'pods' || resource === 'namespaces' || object.metadata.deletionTimestamp !== undefined) return finalizers;
  if (propagationPolicy === 'Foreground') return [...finalizers, foregroundFinalizer];
  if (propagationPolicy === 'Orphan') return [...finalizers, orphanFinalizer];
  return finalizers;
}

function mark(
  store: Store,
  now: Date,
  resource: ResourceName,
  key: string,
  { graceSeconds, finalizers }: { graceSeconds: number; finalizers: string[] },
  actor: Actor,
): KubernetesObject {
  return store.update(resource, key, actor, (draft) => {
    const { metadata } = draft;
    if (finalizers.length > 0) metadata.finalizers = finalizers;
    // A second deletion may shorten the time that is left, never lengthen it.
    const shorter = graceSeconds < (metadata.deletionGracePeriodSeconds ?? 0);
    if (metadata.deletionTimestamp === undefined || shorter) {
      metadata.deletionTimestamp = timestamp(new Date(now.getTime() + graceSeconds * 1000));
      metadata.deletionGracePeriodSeconds = graceSeconds;
    }
    if (resource === 'namespaces') (draft as Namespace).status.phase = 'Terminating';
  });
}

/** Whether an object has been marked and nothing holds it back any more. */
export function mayGo(object: KubernetesObject): boolean {
  const { deletionTimestamp, finalizers } = object.metadata;
  return deletionTimestamp !== undefined && (finalizers ?? []).length === 0;
}
