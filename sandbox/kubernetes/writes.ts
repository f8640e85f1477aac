import { applyDefaults, checkKind, checkNamespace, validate } from './admission.ts';
import type { Manifest } from './admission.ts';
import { checkPolicies } from './admission-policies.ts';
import type { Admission } from './admission-policies.ts';
import type { KubernetesCluster } from './cluster.ts';
import type { DeleteOptions } from './deletion.ts';
import { badRequest, conflict, invalid, modified, notFound, unknownPatchType } from './errors.ts';
import type { Status } from './errors.ts';
import { cloneJson } from './json.ts';
import { keyOf } from './objects.ts';
import type { KubernetesObject, ResourceName } from './objects.ts';
import { jsonPatch, mergePatch, strategicMergePatch } from './patch.ts';
import type { Json, JsonObject } from './json.ts';
import { apiVersionOf } from './resources.ts';
import type { ResourceDefinition } from './resources.ts';
import type { Actor } from './store.ts';

/** What a request is about. */
export interface Target {
  definition: ResourceDefinition;
  namespace: string;
  name: string;
  subresource: string;
}

/** A request that changes something. */
export interface Write {
  cluster: KubernetesCluster;
  target: Target;
  body: JsonObject;
  dryRun: boolean;
  /** The field manager or the program of the client. */
  client: string;
}

/** How many suffixes are tried for an object with a generated name. */
const generatedNamesMax = 8;

function actorOf({ client }: Write, verb: Actor['verb']): Actor {
  return { part: 'client', name: client.startsWith('kubectl') ? 'kubectl' : client, manager: client, verb };
}

function admit({ cluster, target, dryRun }: Write, asked: Pick<Admission, 'operation' | 'name' | 'object' | 'oldObject'>): void {
  const { definition, namespace, subresource } = target;
  checkPolicies(cluster.store, { definition, namespace, subresource, dryRun, ...asked });
}

function keyOfTarget({ namespace, name }: Target): string {
  return `${namespace}/${name}`;
}

function existing({ cluster, target }: Write): KubernetesObject {
  const object = cluster.store.getByKey(target.definition.resource, keyOfTarget(target));
  if (!object) throw notFound(target.definition, target.name);
  return object;
}

function generateName({ cluster, target }: Write, prefix: string): string {
  for (let attempt = 0; attempt < generatedNamesMax; attempt++) {
    const name = `${prefix}${cluster.store.resourceVersion.toString(36).slice(-5)}${attempt}`;
    if (!cluster.store.get(target.definition.resource, target.namespace, name)) return name;
  }
  throw conflict(target.definition, prefix, 'no free name could be generated');
}

/** Creates the object in the body. Throws an ApiError: 400, 403, 404 (namespace), 409, 422. */
export function createObject(write: Write): KubernetesObject {
  const { cluster, target, dryRun } = write;
  const { definition, namespace } = target;
  const manifest = write.body as Manifest;
  checkKind(definition, manifest);
  const generated = manifest.metadata?.generateName;
  const name = manifest.metadata?.name ?? (generated === undefined ? undefined : generateName(write, generated));
  if (name === undefined) throw badRequest('name or generateName is required');
  const stated = manifest.metadata?.namespace;
  if (definition.namespaced && stated !== undefined && stated !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (definition.namespaced) checkNamespace(cluster.store, definition, namespace, name);
  const { labels, annotations, ownerReferences, finalizers } = manifest.metadata ?? {};
  const given = defined({ generateName: generated, labels, annotations, ownerReferences, finalizers });
  const metadata = { name, ...(definition.namespaced ? { namespace } : {}), ...given };
  const object = { ...manifest, apiVersion: apiVersionOf(definition), kind: definition.kind, metadata } as KubernetesObject;
  validate(definition, object);
  applyDefaults(definition, object);
  admit(write, { operation: 'CREATE', name, object, oldObject: null });
  if (dryRun) return cluster.store.completed<ResourceName>(definition.resource, object);
  return cluster.store.create<ResourceName>(definition.resource, object, actorOf(write, 'create'));
}

function defined(fields: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Replaces the object (PUT). Throws an ApiError: 404, 409 if the version or UID in the body is not the current one, 422. */
export function replaceObject(write: Write): KubernetesObject {
  checkKind(write.target.definition, write.body);
  const current = existing(write);
  const given = write.body as unknown as KubernetesObject;
  const { definition, namespace, name } = write.target;
  const uid = (given as Partial<KubernetesObject>).metadata?.uid ?? '';
  // A replacement is for the object of that UID only, whatever its version: there the server looks first.
  if (uid !== '' && uid !== current.metadata.uid) {
    const key = ['/registry', definition.resource, namespace, name].filter((part) => part !== '').join('/');
    const mismatch = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(
      definition,
      name,
      `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${mismatch}`,
    );
  }
  return writeObject(write, current, given);
}

/** Patches the object in the way that the content type names. Throws an ApiError: 404, 409, 415, 422. */
export function patchObject(
  write: Omit<Write, 'body'> & { body: Json },
  contentType: string,
): { object: KubernetesObject; created: boolean } {
  const whole = { ...write, body: {} as JsonObject };
  const applied = contentType === 'application/apply-patch+yaml';
  const found = write.cluster.store.getByKey(write.target.definition.resource, keyOfTarget(write.target));
  if (applied && !found) {
    const body = write.body as JsonObject;
    return { object: createObject({ ...write, body }), created: true };
  }
  const current = found ?? existing(whole);
  const patched = applyPatch(current as unknown as Json, write.body, contentType);
  return { object: writeObject(whole, current, patched as unknown as KubernetesObject), created: false };
}

/** Applies a patch of one of the types that Kubernetes knows. */
export function applyPatch(target: Json, patch: Json, contentType: string): Json {
  switch (contentType) {
    case 'application/json-patch+json':
      return jsonPatch(target, patch);
    case 'application/merge-patch+json':
      return mergePatch(target, patch);
    case 'application/strategic-merge-patch+json':
    case 'application/apply-patch+yaml':
      return strategicMergePatch(target, patch);
    default:
      throw unknownPatchType();
  }
}

/** Puts the part of an object that the address names in place of the current one. */
function writeObject(write: Write, current: KubernetesObject, given: KubernetesObject): KubernetesObject {
  const { cluster, target, dryRun } = write;
  const { definition, name } = target;
  const { metadata } = given as Partial<KubernetesObject>;
  if (metadata?.name !== undefined && metadata.name !== name) {
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  }
  const version = metadata?.resourceVersion ?? '';
  if (version !== '' && version !== current.metadata.resourceVersion) throw modified(definition, name);
  const uid = metadata?.uid ?? '';
  if (uid !== '' && uid !== current.metadata.uid) {
    throw invalid(definition.group, definition.kind, name, 'metadata.uid', `Invalid value: "${uid}": field is immutable`);
  }
  const next = target.subresource === 'status' ? withStatus(current, given) : withoutStatus(definition, current, given);
  validate(definition, next);
  admit(write, { operation: 'UPDATE', name, object: next, oldObject: current });
  if (dryRun) return next;
  return cluster.store.replace<ResourceName>(definition.resource, next, actorOf(write, 'update'));
}

function withStatus(current: KubernetesObject, given: KubernetesObject): KubernetesObject {
  return { ...cloneJson(current), status: given.status };
}

function withoutStatus(definition: ResourceDefinition, current: KubernetesObject, given: KubernetesObject): KubernetesObject {
  const { labels, annotations, ownerReferences, finalizers } = (given as Partial<KubernetesObject>).metadata ?? {};
  const kept = cloneJson(current);
  for (const field of ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const) delete kept.metadata[field];
  const metadata = { ...kept.metadata, ...defined({ labels, annotations, ownerReferences, finalizers }) };
  const { apiVersion, kind, status } = kept;
  return { ...given, apiVersion, kind, metadata, ...(definition.status ? { status } : {}) };
}

/** Deletes the object. Throws an ApiError: 404, 409 if a precondition does not hold. */
export function removeObject(write: Write): KubernetesObject | Status {
  const options = deleteOptions(write);
  const { cluster, target } = write;
  const before = cluster.store.getByKey(target.definition.resource, keyOfTarget(target));
  if (before) admit(write, { operation: 'DELETE', name: target.name, object: null, oldObject: before });
  const object = write.cluster.delete(write.target.definition.resource, keyOfTarget(write.target), options, actorOf(write, 'delete'));
  const left = write.cluster.store.getByKey(write.target.definition.resource, keyOf(object));
  if (left || write.target.definition.resource === 'pods' || write.target.definition.resource === 'namespaces') return object;
  const { group, resource: kind } = write.target.definition;
  const details = { name: object.metadata.name, ...(group === '' ? {} : { group }), kind, uid: object.metadata.uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code: 200 };
}

function deleteOptions({ body, dryRun }: Pick<Write, 'body' | 'dryRun'>): DeleteOptions {
  const options = body as DeleteOptions;
  return { ...options, dryRun: dryRun ? ['All'] : options.dryRun };
}

/** Evicts the pod as the Eviction in the body says. Throws an ApiError: see evictPod; 400 if the names differ. */
export function evict(write: Write): Status {
  const { cluster, target, body } = write;
  const eviction = body as { apiVersion?: string; kind?: string; metadata?: { name?: string }; deleteOptions?: DeleteOptions };
  if (eviction.apiVersion !== undefined && !['policy/v1', 'policy/v1beta1'].includes(eviction.apiVersion)) {
    throw badRequest(`the API version in the data (${eviction.apiVersion}) does not match the expected API version (policy/v1)`);
  }
  if ((eviction.metadata?.name ?? target.name) !== target.name) throw badRequest('name in URL does not match name in Eviction object');
  checkNamespace(cluster.store, target.definition, target.namespace, target.name);
  if (cluster.store.getByKey('pods', keyOfTarget(target))) {
    admit(write, {
      operation: 'CREATE',
      name: target.name,
      object: { apiVersion: 'policy/v1', kind: 'Eviction', ...body },
      oldObject: null,
    });
  }
  const options = deleteOptions({ body: (eviction.deleteOptions ?? {}) as JsonObject, dryRun: write.dryRun });
  return cluster.evict(keyOfTarget(target), options, actorOf(write, 'evict'));
}

interface Scalable extends KubernetesObject {
  spec: { replicas: number; selector?: { matchLabels?: Record<string, string> } };
  status: { replicas?: number };
}

/** The scale of a workload, as autoscaling/v1 shows it. */
export function scaleOf(object: KubernetesObject): KubernetesObject {
  const { metadata, spec, status } = object as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = Object.entries(spec.selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec.replicas },
    status: { replicas: status.replicas ?? 0, selector },
  };
}

/** Sets the number of replicas from a Scale that was given whole or has been patched. */
export function writeScale(write: Write, given: Json): KubernetesObject {
  const current = existing(write) as Scalable;
  const { spec, metadata } = given as unknown as Scalable;
  // A Scale to nothing that came as protobuf names no number.
  const replicas = (spec as Partial<Scalable['spec']>).replicas ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0) throw badRequest(`spec.replicas: Invalid value: ${String(replicas)}`);
  const next = { ...current, metadata: { ...current.metadata, ...metadata }, spec: { ...current.spec, replicas } };
  return scaleOf(writeObject(write, current, next));
}
