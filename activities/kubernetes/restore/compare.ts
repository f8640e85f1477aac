import { differenceOfObjects, type FieldDifference } from '../../../domain/backup/desired.ts';
import { apiVersionOf, typeNameOf, type ExportedType } from '../../../domain/backup/export.ts';
import { whyNotRestored } from '../../../domain/backup/restorable.ts';
import { isObject, parseJson, type Json, type JsonObject } from '../../../domain/json.ts';
import { servedNameOf, type ServedTypes } from '../export/discover.ts';
import { readType, type PageReading } from '../export/read-type.ts';
import type { ArchivedObject } from '../export/read-archive.ts';

/** Which objects of a backup are restored. */
export type RestoreScope = { whole: boolean; namespaces: string[]; objects: string[] };

/** An object of a backup beside what the cluster has under its name. */
export interface ComparedObject {
  archived: ArchivedObject;
  /** Such as `deployments.apps shop/web`. */
  key: string;
  /** Why it is left alone; half a sentence. */
  skipped?: string;
  /** What the cluster has; undefined where there is none. */
  live?: { uid: string; resourceVersion: string; managers: string[] };
  /** Empty where it is as it was. */
  fields: FieldDifference[];
  /** Fields that the cluster has and the backup has not. */
  beyond: FieldDifference[];
}

/** Whether an object of a backup is meant. */
export function isInScope({ type, namespace, name }: ArchivedObject, { whole, namespaces, objects }: RestoreScope): boolean {
  if (whole) return true;
  if (objects.length > 0)
    return objects.includes(`${typeNameOf(type)}/${name}`) && (namespaces.length === 0 || namespaces.includes(namespace));
  return typeNameOf(type) === 'namespaces' ? namespaces.includes(name) : namespaces.includes(namespace);
}

/** What was in a namespace that was being deleted was to go with it. */
export const inEndingNamespace = 'was in a namespace that was being deleted';

/** Whether an object is a namespace that was being deleted. A backup has namespaces before what is in them. */
export function isEndingNamespace({ type, object }: Pick<ArchivedObject, 'type' | 'object'>): boolean {
  return typeNameOf(type) === 'namespaces' && isObject(object.metadata) && object.metadata.deletionTimestamp !== undefined;
}

/**
 * Holds the objects of a backup that are meant against the cluster, one after another: what the cluster has is read type by type.
 * Throws `backup-unusable` and `kubernetes-…` errors.
 */
export async function* compareWithCluster(
  archive: AsyncIterable<ArchivedObject>,
  scope: RestoreScope,
  served: ServedTypes,
  reading: PageReading,
): AsyncGenerator<ComparedObject> {
  let known: { type: ExportedType; live: Map<string, Buffer>; unserved: string | undefined } | undefined;
  const ending = new Set<string>();
  for await (const archived of archive) {
    const { type, namespace, name, object } = archived;
    if (isEndingNamespace(archived)) ending.add(name);
    if (!isInScope(archived, scope)) continue;
    if (known?.type !== type) {
      const unserved = whyUnserved(type, scope, served);
      const live = unserved === undefined && isServed(type, served) ? await liveObjects(type, scope, reading) : new Map<string, Buffer>();
      known = { type, live, unserved };
    }
    const compared = { archived, key: `${typeNameOf(type)} ${namespace === '' ? '' : `${namespace}/`}${name}` };
    const skipped = known.unserved ?? (ending.has(namespace) ? inEndingNamespace : whyNotRestored(object, type));
    if (skipped !== undefined) {
      yield { ...compared, skipped, fields: [], beyond: [] };
      continue;
    }
    const json = known.live.get(`${namespace}/${name}`);
    const current = json === undefined ? undefined : (parseJson(json) as JsonObject);
    const difference = current ? differenceOfObjects(object, current, type) : { fields: [], beyond: [] };
    yield { ...compared, ...(current && { live: identityOf(current) }), ...difference };
  }
}

function isServed(type: ExportedType, { versions }: ServedTypes): boolean {
  return versions.has(servedNameOf(type));
}

/** A type of its own is served once its definition is restored, which comes first where everything is. */
function whyUnserved(type: ExportedType, { whole }: RestoreScope, served: ServedTypes): string | undefined {
  if (served.aggregated.has(typeNameOf(type))) return 'belongs to an aggregated API, whose own server keeps it';
  if (isServed(type, served)) return undefined;
  const isOtherVersion = served.types.some((one) => typeNameOf(one) === typeNameOf(type));
  if (isOtherVersion) return `is of ${apiVersionOf(type)}, which the cluster does not serve any more`;
  return whole && type.group.includes('.') ? undefined : 'is of a type that the cluster does not serve';
}

async function liveObjects(type: ExportedType, { whole, namespaces }: RestoreScope, reading: PageReading): Promise<Map<string, Buffer>> {
  const live = new Map<string, Buffer>();
  const places = whole || !type.namespaced || namespaces.length === 0 ? [''] : namespaces;
  for (const namespace of places) {
    for await (const { items } of readType(type, undefined, { ...reading, ...(namespace !== '' && { namespace }) })) {
      for (const item of items) {
        const object = parseJson(item);
        const metadata = isObject(object) && isObject(object.metadata) ? object.metadata : {};
        live.set(`${textOf(metadata.namespace)}/${textOf(metadata.name)}`, item);
      }
    }
  }
  return live;
}

function identityOf(object: JsonObject): NonNullable<ComparedObject['live']> {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const entries = Array.isArray(metadata.managedFields) ? metadata.managedFields : [];
  const managers = entries.flatMap((entry) => (isObject(entry) && entry.operation === 'Apply' ? [textOf(entry.manager)] : []));
  return { uid: textOf(metadata.uid), resourceVersion: textOf(metadata.resourceVersion), managers };
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
