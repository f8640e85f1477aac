import { sameJson } from './json.ts';
import type { KubernetesObject } from './objects.ts';

/** The fields that one manager has set last: `{ "f:spec": { "f:unschedulable": {} } }`. */
export interface FieldSet {
  [field: string]: FieldSet;
}

/** What one manager owns of an object, as `metadata.managedFields` tells it. */
export interface ManagedFields {
  manager: string;
  operation: 'Update';
  apiVersion: string;
  time: string;
  fieldsType: 'FieldsV1';
  fieldsV1: FieldSet;
}

/** The values of the fields that are kept account of, by their paths. */
type Fields = Map<string, unknown>;

const separator = '\n';

/**
 * Who owns which field of an object after a change. As at the API server a field belongs to whoever has given it the value that
 * it has: who writes the value that is there already gets nothing, and who takes a field away leaves it without an owner.
 * Account is kept of labels, annotations and of the fields of the spec, those as a whole.
 */
export function managedFieldsAfter(
  before: KubernetesObject,
  after: KubernetesObject,
  { manager, time }: { manager: string; time: string },
): ManagedFields[] | undefined {
  const known = before.metadata.managedFields;
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  const set = [...now.keys()].filter((path) => !old.has(path) || !sameJson(old.get(path), now.get(path)));
  const gone = [...old.keys()].filter((path) => !now.has(path));
  if (set.length === 0 && gone.length === 0) return known;
  const lost = new Set([...set, ...gone]);
  const entries = (known ?? []).map((entry) => ({ ...entry, paths: pathsOf(entry.fieldsV1).filter((path) => !lost.has(path)) }));
  const own = entries.find((entry) => entry.manager === manager);
  if (own) Object.assign(own, { time, paths: [...own.paths, ...set] });
  else entries.push({ manager, operation: 'Update', apiVersion: after.apiVersion, time, fieldsType: 'FieldsV1', fieldsV1: {}, paths: set });
  return entries.filter(({ paths }) => paths.length > 0).map(({ paths, ...entry }) => ({ ...entry, fieldsV1: fieldSetOf(paths) }));
}

function fieldsOf({ metadata: { labels = {}, annotations = {} }, spec = {} }: KubernetesObject): Fields {
  const entriesUnder = (parents: string[], fields: object): [string, unknown][] =>
    Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]): [string, unknown] => [[...parents, name].map((part) => `f:${part}`).join(separator), value]);
  return new Map([
    ...entriesUnder(['metadata', 'labels'], labels),
    ...entriesUnder(['metadata', 'annotations'], annotations),
    ...entriesUnder(['spec'], spec),
  ]);
}

function pathsOf(set: FieldSet, parents: string[] = []): string[] {
  return Object.entries(set).flatMap(([name, inner]) => {
    const path = [...parents, name];
    return Object.keys(inner).length === 0 ? [path.join(separator)] : pathsOf(inner, path);
  });
}

function fieldSetOf(paths: readonly string[]): FieldSet {
  const root: FieldSet = {};
  for (const path of paths) {
    let set = root;
    for (const name of path.split(separator)) set = set[name] ??= {};
  }
  return root;
}
