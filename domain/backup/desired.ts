import { isObject, type Json, type JsonObject } from '../json.ts';
import { apiVersionOf, typeNameOf, type ServedType } from './export.ts';

/**
 * What API servers and controllers set by themselves, by the type of the object; `*` stands for every type. It is not put back, and not
 * compared. docs/backing-up-objects.md lists the same.
 */
export const serverSetFields: Readonly<Record<string, readonly string[]>> = {
  '*': [
    'metadata.uid',
    'metadata.resourceVersion',
    'metadata.generation',
    'metadata.creationTimestamp',
    'metadata.deletionTimestamp',
    'metadata.deletionGracePeriodSeconds',
    'metadata.managedFields',
    'metadata.selfLink',
    'status',
  ],
  services: ['spec.clusterIP', 'spec.clusterIPs', 'spec.healthCheckNodePort'],
  persistentvolumes: [
    'spec.claimRef.uid',
    'spec.claimRef.resourceVersion',
    'spec.claimRef.kind',
    'spec.claimRef.apiVersion',
    'metadata.annotations.["pv.kubernetes.io/bound-by-controller"]',
  ],
  persistentvolumeclaims: [
    'metadata.annotations.["pv.kubernetes.io/bind-completed"]',
    'metadata.annotations.["pv.kubernetes.io/bound-by-controller"]',
  ],
  'deployments.apps': ['metadata.annotations.["deployment.kubernetes.io/revision"]'],
  serviceaccounts: ['secrets'],
};

/** Compared apart: an owner has another UID where it was made anew. */
const ownersField = 'metadata.ownerReferences';

/** A headless service says so in a field that is otherwise set by the server. */
const headless = 'None';

/** An object of a backup as it is applied: without what servers set, with the type that lists leave out. */
export function desiredOf(object: JsonObject, type: ServedType): JsonObject {
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  const desired: JsonObject = { apiVersion: apiVersionOf(type), kind: type.kind, ...withoutServerSet(rest, type) };
  if (typeNameOf(type) === 'services' && isObject(object.spec) && object.spec.clusterIP === headless && isObject(desired.spec)) {
    desired.spec = { ...desired.spec, clusterIP: headless };
  }
  return desired;
}

/** An object without what its server sets. */
export function withoutServerSet(object: JsonObject, type: ServedType): JsonObject {
  const fields = [...(serverSetFields['*'] ?? []), ...(serverSetFields[typeNameOf(type)] ?? [])];
  return fields.reduce((left, field) => without(left, partsOf(field)), object);
}

/** A field of an object that is not as it should be. */
export interface FieldDifference {
  /** Such as `spec.replicas` and `metadata.labels.["a.b/c"]`. */
  field: string;
  /** As it is now; left out where it is not there. */
  before?: Json;
  /** As it should be; left out where it should not be there. */
  after?: Json;
}

/**
 * What an object lacks to be as it was: fields that are different or missing. Fields that only the live object has (`beyond`) are told
 * apart: servers fill in defaults, and an apply does not take away what others have set.
 */
export function differenceOfObjects(
  wanted: JsonObject,
  live: JsonObject,
  type: ServedType,
): { fields: FieldDifference[]; beyond: FieldDifference[] } {
  const found = { fields: [] as FieldDifference[], beyond: [] as FieldDifference[] };
  const { apiVersion: _wantedVersion, kind: _wantedKind, ...one } = without(withoutServerSet(wanted, type), partsOf(ownersField));
  const { apiVersion: _liveVersion, kind: _liveKind, ...other } = without(withoutServerSet(live, type), partsOf(ownersField));
  compare(one, other, '', found);
  return found;
}

/** A Service says `None` for headless in a field that is otherwise left to the server: what it wants there, and has, is not compared. */
function compare(wanted: Json | undefined, live: Json | undefined, field: string, found: ReturnType<typeof differenceOfObjects>): void {
  const [one, other] = [wanted ?? undefined, live ?? undefined];
  if (isObject(one) && isObject(other)) {
    for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) compare(one[key], other[key], fieldOf(field, key), found);
  } else if (Array.isArray(one) && Array.isArray(other) && one.length === other.length) {
    for (const [index, item] of one.entries()) compare(item, other[index], `${field}[${index}]`, found);
  } else if (one === undefined && other !== undefined) {
    if (!isEmpty(other)) found.beyond.push({ field, before: other });
  } else if (one !== undefined && other === undefined) {
    if (!isEmpty(one)) found.fields.push({ field, after: one });
  } else if (one !== other && one !== undefined && other !== undefined) {
    found.fields.push({ field, before: other, after: one });
  }
}

/** Servers leave empty maps and lists out, or write them, as they like. */
function isEmpty(value: Json): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every((inner) => inner === null || isEmpty(inner));
}

function fieldOf(parent: string, key: string): string {
  const name = /^[\w-]+$/.test(key) ? key : `[${JSON.stringify(key)}]`;
  return parent === '' ? name : `${parent}.${name}`;
}

function partsOf(field: string): string[] {
  return (field.match(/\["[^"]+"\]|[^.[\]]+/g) ?? []).map((part) => (part.startsWith('[') ? part.slice(2, -2) : part));
}

function without(object: JsonObject, [first = '', ...rest]: string[]): JsonObject {
  if (!(first in object)) return object;
  const { [first]: inner, ...others } = object;
  if (rest.length === 0) return others;
  return isObject(inner) ? { ...others, [first]: without(inner, rest) } : object;
}
