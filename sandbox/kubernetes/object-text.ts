import type { KubernetesObject } from './objects.ts';
import type { FieldSet, ManagedFields } from './managed-fields.ts';

/** Objects are never altered, and each is told to every watch and in every list that is open. */
const texts = new WeakMap<KubernetesObject, string>();

/** An object as JSON, as watches tell it. */
export function objectText(object: KubernetesObject): string {
  const { apiVersion, kind } = object;
  return `{"apiVersion":${JSON.stringify(apiVersion)},"kind":${JSON.stringify(kind)},${itemText(object).slice(1)}`;
}

/** An object as JSON, as lists have it: the items of a typed list carry neither kind nor version of their own, as at the real server. */
export function itemText(object: KubernetesObject): string {
  const known = texts.get(object);
  if (known !== undefined) return known;
  const { apiVersion: _apiVersion, kind, ...item } = object;
  const text = JSON.stringify(kind === 'Pod' ? withManagedFields(object, item) : item);
  texts.set(object, text);
  return text;
}

/** Who owns which field of a pod: whoever has made it, and its kubelet. That is a third of each pod that clients read. */
function withManagedFields(pod: KubernetesObject, item: Omit<KubernetesObject, 'apiVersion' | 'kind'>): object {
  const { metadata, spec, status } = item;
  const { labels, annotations, generateName, ownerReferences, managedFields } = metadata;
  // The store keeps account of pods that were made with a node; of one that the scheduler has chosen the real server tells nothing.
  const ownSpec = managedFields === undefined ? { ...spec, nodeName: undefined } : spec;
  const owned = { metadata: { labels, annotations, generateName, ownerReferences }, spec: ownSpec };
  const entry = (manager: string, fields: object): ManagedFields => ({
    manager,
    operation: 'Update',
    apiVersion: pod.apiVersion,
    time: metadata.creationTimestamp,
    fieldsType: 'FieldsV1',
    fieldsV1: fieldsOf(fields),
  });
  const kubelet = { ...entry('kubelet', { status }), subresource: 'status' };
  return { ...item, metadata: { ...metadata, managedFields: [entry('kube-controller-manager', owned), kubelet] } };
}

/** Lists whose items have a name are owned item by item, all others as a whole. */
function fieldsOf(value: object): FieldSet {
  const fields: FieldSet = {};
  for (const [name, inner] of Object.entries(value) as [string, unknown][]) {
    if (inner === undefined) continue;
    fields[`f:${name}`] = Array.isArray(inner) ? itemFieldsOf(inner) : typeof inner === 'object' && inner ? fieldsOf(inner) : {};
  }
  return fields;
}

function itemFieldsOf(items: unknown[]): FieldSet {
  const fields: FieldSet = {};
  for (const item of items) {
    const { name, type } = (item ?? {}) as { name?: unknown; type?: unknown };
    if (name === undefined && type === undefined) return {};
    const key = name === undefined ? { type } : { name };
    fields[`k:${JSON.stringify(key)}`] = { '.': {}, ...fieldsOf(item as object) };
  }
  return fields;
}
