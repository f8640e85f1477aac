import { ApiError, badRequest } from './errors.ts';
import { cloneJson, sameJson } from './json.ts';
import type { Json, JsonObject } from './json.ts';

/** How many operations one JSON patch may have, as at the API server. */
const operationsMax = 10_000;

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON merge patch (RFC 7386): null takes a member away, objects are merged, everything else is replaced. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/**
 * The lists that a strategic merge patch merges item by item, by the field that holds them, with the key of an item
 * ('' for lists of plain values). All other lists, `spec.taints` and tolerations among them, are replaced as a whole:
 * so the Kubernetes API types say in their `patchStrategy` and `patchMergeKey` tags.
 */
const mergeKeys: Record<string, string[]> = {
  addresses: ['type'],
  conditions: ['type'],
  containers: ['name'],
  env: ['name'],
  ephemeralContainers: ['name'],
  finalizers: [''],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  initContainers: ['name'],
  ownerReferences: ['uid'],
  podIPs: ['ip'],
  ports: ['containerPort', 'port'],
  topologySpreadConstraints: ['topologyKey'],
  volumeDevices: ['devicePath'],
  volumeMounts: ['mountPath'],
  volumes: ['name'],
};

/** Objects that a strategic merge patch replaces as a whole. */
const replacedObjects = new Set(['selector']);

/** Strategic merge patch, as `kubectl` and client-go send it, with its `$patch`, `$retainKeys` and list directives. */
export function strategicMergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const directive = patch.$patch;
  if (directive === 'replace') return without(patch, ['$patch']);
  if (directive === 'delete') return {};
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  retainKeys(merged, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith('$setElementOrder/')) continue;
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      deleteFromList(merged, key.slice('$deleteFromPrimitiveList/'.length), value);
    } else if (value === null) delete merged[key];
    else if (Array.isArray(value)) merged[key] = mergeList(key, merged[key], value);
    else if (replacedObjects.has(key)) merged[key] = value;
    else merged[key] = strategicMergePatch(merged[key], value);
  }
  return merged;
}

function without(object: JsonObject, keys: string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function retainKeys(target: JsonObject, patch: JsonObject): void {
  if (!Array.isArray(patch.$retainKeys)) return;
  for (const key of Object.keys(target)) if (!patch.$retainKeys.includes(key)) delete target[key];
}

function deleteFromList(target: JsonObject, key: string, values: Json): void {
  const list = target[key];
  if (Array.isArray(list) && Array.isArray(values)) target[key] = list.filter((item) => !values.includes(item));
}

function mergeList(field: string, target: Json | undefined, patch: Json[]): Json {
  const hasKey = (item: Json, key: string): boolean => isObject(item) && (key in item || '$patch' in item);
  const mergeKey = mergeKeys[field]?.find((key) => key === '' || patch.every((item) => hasKey(item, key)));
  if (mergeKey === undefined) return patch;
  const list = Array.isArray(target) ? [...target] : [];
  if (mergeKey === '') return [...list, ...patch.filter((item) => !list.includes(item))];
  if (patch.some((item) => isObject(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isObject(item) && item.$patch === 'replace'));
  }
  for (const item of patch) if (isObject(item)) mergeItem(list, mergeKey, item);
  return list;
}

function mergeItem(list: Json[], mergeKey: string, item: JsonObject): void {
  const at = list.findIndex((other) => isObject(other) && other[mergeKey] === item[mergeKey]);
  if (item.$patch === 'delete') {
    if (at >= 0) list.splice(at, 1);
  } else if (at < 0) list.push(strategicMergePatch({}, item));
  else list[at] = strategicMergePatch(list[at], item);
}

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: Json;
}

/** JSON patch (RFC 6902); throws an ApiError (422) if an operation does not apply, (400) if it is none. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  if (patch.length > operationsMax) throw badRequest(`a JSON patch may have ${operationsMax} operations, not ${patch.length}`);
  const root: JsonObject = { root: cloneJson(target) };
  for (const operation of patch) applyOperation(root, operation as unknown as Operation);
  return root.root ?? null;
}

function applyOperation(root: JsonObject, { op, path, from, value }: Operation): void {
  switch (op) {
    case 'add':
      return addAt(root, path, value ?? null);
    case 'remove':
      removeAt(root, path);
      return;
    case 'replace':
      removeAt(root, path);
      return addAt(root, path, value ?? null);
    case 'move':
      return addAt(root, path, removeAt(root, from ?? ''));
    case 'copy':
      return addAt(root, path, cloneJson(readAt(root, from ?? '')));
    case 'test':
      if (!sameJson(readAt(root, path), value ?? null)) throw notApplicable(`testing value ${path} failed`);
      return;
    default:
      throw badRequest(`unexpected kind of JSON patch operation: ${String(op)}`);
  }
}

function notApplicable(message: string): ApiError {
  return new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${message}`);
}

function locate(root: JsonObject, path: string): { parent: JsonObject | Json[]; key: string } {
  const steps = [
    'root',
    ...path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')),
  ];
  const key = steps.pop() ?? 'root';
  let parent: Json = root;
  for (const step of steps) {
    const next: Json | undefined = Array.isArray(parent) ? parent[Number(step)] : isObject(parent) ? parent[step] : undefined;
    if (next === undefined || next === null || typeof next !== 'object') throw notApplicable(`path ${path} does not exist`);
    parent = next;
  }
  return { parent: parent, key };
}

function readAt(root: JsonObject, path: string): Json {
  const { parent, key } = locate(root, path);
  const value = Array.isArray(parent) ? parent[Number(key)] : parent[key];
  if (value === undefined) throw notApplicable(`path ${path} does not exist`);
  return value;
}

function addAt(root: JsonObject, path: string, value: Json): void {
  const { parent, key } = locate(root, path);
  if (!Array.isArray(parent)) {
    parent[key] = value;
    return;
  }
  const at = key === '-' ? parent.length : Number(key);
  if (!Number.isInteger(at) || at < 0 || at > parent.length) throw notApplicable(`index ${key} of ${path} is out of bounds`);
  parent.splice(at, 0, value);
}

function removeAt(root: JsonObject, path: string): Json {
  const value = readAt(root, path);
  const { parent, key } = locate(root, path);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return value;
}
