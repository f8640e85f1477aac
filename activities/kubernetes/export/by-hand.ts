import { differenceOfObjects, type FieldDifference } from '../../../domain/backup/desired.ts';
import { apiVersionOf, typeNameOf, type ExportStatement } from '../../../domain/backup/export.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { formatTarget, type Target } from '../../../domain/target.ts';
import { backupPlacesOf } from '../../../runbooks/configuration/backups.ts';
import type { Configuration } from '../../../runbooks/configuration/configuration.ts';
import { openKeyKeeper } from '../../backup/keys.ts';
import type { StoredBackup } from '../../backup/store.ts';
import { createClients } from '../../clients.ts';
import { openExports } from './backup.ts';
import { readArchive, type ArchivedObject } from './read-archive.ts';

/** Objects whose differences are told; of more, only their names. */
const detailedMax = 200;
/** Objects that a difference may name. */
const namedMax = 100_000;

/** The configuration that says where backups are kept, with the path of its file. */
interface Configured {
  file: string;
  configuration: Configuration;
}

/** A backup of objects as people see it. */
export interface ListedExport {
  name: string;
  statement: ExportStatement;
  storedBytes: number;
  isDeleted: boolean;
  isDrilled: boolean;
}

/** What has become of an object between two backups. */
export interface ObjectChange {
  /** Such as `deployments.apps shop/web`. */
  object: string;
  change: 'added' | 'removed' | 'changed';
  /** Left out of objects that were added or removed, and where there are too many. */
  fields?: FieldDifference[];
}

/** What differs between two backups. */
export interface ExportDifference {
  from: string;
  to: string;
  added: number;
  removed: number;
  changed: number;
  /** Objects that were written, and are the same apart from what servers set. */
  rewritten: number;
  changes: ObjectChange[];
}

interface OpenedByHand {
  backups: StoredBackup<ExportStatement>[];
  read: (backup: StoredBackup<ExportStatement>) => AsyncGenerator<ArchivedObject>;
  readWhole: (backup: StoredBackup<ExportStatement>) => AsyncIterable<Uint8Array>;
}

async function open(target: Target, { file, configuration }: Configured): Promise<OpenedByHand> {
  const places = backupPlacesOf(file, configuration);
  const clients = createClients({ backups: async () => places });
  const { backups, store } = await openExports(clients, target);
  const stored = await store.list();
  const keys = openKeyKeeper(backups.key);
  keys.catch(() => undefined);
  return {
    backups: stored,
    readWhole: async function* (backup) {
      yield* store.open(backup.manifest, await keys);
    },
    read: async function* (backup) {
      yield* readArchive(backup.name, store.open(backup.manifest, await keys), backup.manifest.statement);
    },
  };
}

function find(backups: readonly StoredBackup<ExportStatement>[], name: string | undefined, target: Target): StoredBackup<ExportStatement> {
  const found = name === undefined ? backups.findLast(({ isDeleted }) => !isDeleted) : backups.find((one) => one.name === name);
  const unusable = (cause: string) => new HoldpointError('backup-unusable', { backup: name ?? `of ${formatTarget(target)}`, cause });
  if (!found) throw unusable('there is none');
  if (found.isDeleted) throw unusable('retention has deleted its file');
  return found;
}

function listed({ name, manifest: { statement, file }, isDeleted, isDrilled }: StoredBackup<ExportStatement>): ListedExport {
  return { name, statement, storedBytes: file.bytes, isDeleted, isDrilled };
}

/** All backups of the objects of a cluster, the oldest first. Throws `backup-place-…` errors. */
export async function listExportsByHand(target: Target, configured: Configured): Promise<ListedExport[]> {
  return (await open(target, configured)).backups.map(listed);
}

/** One of them by its name, the newest without one; its file is not read. Throws `backup-unusable` where there is none. */
export async function showExportByHand(target: Target, name: string | undefined, configured: Configured): Promise<ListedExport> {
  return listed(find((await open(target, configured)).backups, name, target));
}

/** Reads a backup whole: every object is the one that its manifest counts. Throws `backup-unusable`. */
export async function verifyExportByHand(target: Target, name: string | undefined, configured: Configured): Promise<ListedExport> {
  const opened = await open(target, configured);
  const backup = find(opened.backups, name, target);
  for await (const _object of opened.read(backup)) continue;
  return listed(backup);
}

/** Which object is meant. */
export interface WantedObject {
  /** `deployments.apps`, or `deployments` where that is clear. */
  type: string;
  name: string;
  namespace?: string;
}

/**
 * One object as a backup has it, as it was on the wire. Throws `backup-unusable`, and `object-unknown` where the backup does not have
 * it, or several fit.
 */
export async function getObjectByHand(
  target: Target,
  name: string,
  wanted: WantedObject,
  configured: Configured,
): Promise<{ backup: ListedExport; object: JsonObject }> {
  const opened = await open(target, configured);
  const backup = find(opened.backups, name, target);
  const found: { place: string; object: JsonObject }[] = [];
  for await (const { type, namespace, name: own, object } of opened.read(backup)) {
    const isType = [typeNameOf(type), type.resource, type.kind.toLowerCase()].includes(wanted.type.toLowerCase());
    if (!isType || own !== wanted.name || (wanted.namespace !== undefined && namespace !== wanted.namespace)) continue;
    const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
    found.push({ place: keyOf({ type, namespace, name: own }), object: { apiVersion: apiVersionOf(type), kind: type.kind, ...rest } });
  }
  const [first, ...others] = found;
  const object = `${wanted.type}/${wanted.name}`;
  if (!first) throw new HoldpointError('object-unknown', { backup: backup.name, object, cause: 'it has none of that type and name' });
  if (others.length > 0) {
    const places = found.slice(0, 10).map(({ place }) => place);
    throw new HoldpointError('object-unknown', { backup: backup.name, object, cause: `it has ${found.length}: ${places.join(', ')}` });
  }
  return { backup: listed(backup), object: first.object };
}

function keyOf({ type, namespace, name }: Pick<ArchivedObject, 'type' | 'namespace' | 'name'>): string {
  return `${typeNameOf(type)} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

/** What differs between two backups of a cluster, by object. Only as much is held as there are names. Throws `backup-unusable`. */
export async function diffExportsByHand(target: Target, from: string, to: string, configured: Configured): Promise<ExportDifference> {
  const opened = await open(target, configured);
  const [one, other] = [find(opened.backups, from, target), find(opened.backups, to, target)];
  const versions = new Map<string, string>();
  for await (const archived of opened.read(one)) versions.set(keyOf(archived), versionOf(archived.object));
  const changes: ObjectChange[] = [];
  const written = new Set<string>();
  for await (const archived of opened.read(other)) {
    const key = keyOf(archived);
    const version = versions.get(key);
    if (version === undefined) changes.push({ object: key, change: 'added' });
    else if (version !== versionOf(archived.object)) written.add(key);
    versions.delete(key);
  }
  for (const key of versions.keys()) changes.push({ object: key, change: 'removed' });
  const { changed, rewritten } = await changesOf(opened, one, other, written);
  const all = [...changes, ...changed].sort((first, second) => (first.object < second.object ? -1 : 1));
  const count = (change: ObjectChange['change']): number => all.filter((each) => each.change === change).length;
  const counts = { added: count('added'), removed: count('removed'), changed: count('changed'), rewritten };
  return { from: one.name, to: other.name, ...counts, changes: all.slice(0, namedMax) };
}

function versionOf({ metadata }: JsonObject): string {
  const { uid, resourceVersion } = metadata as { uid?: string; resourceVersion?: string };
  return `${uid}@${resourceVersion}`;
}

async function changesOf(
  { read }: OpenedByHand,
  one: StoredBackup<ExportStatement>,
  other: StoredBackup<ExportStatement>,
  written: ReadonlySet<string>,
): Promise<{ changed: ObjectChange[]; rewritten: number }> {
  const detailed = new Set([...written].slice(0, detailedMax));
  const changed: ObjectChange[] = [...written].slice(detailedMax).map((object) => ({ object, change: 'changed' }));
  if (detailed.size === 0) return { changed, rewritten: 0 };
  const before = new Map<string, JsonObject>();
  for await (const archived of read(one)) if (detailed.has(keyOf(archived))) before.set(keyOf(archived), archived.object);
  let rewritten = 0;
  for await (const archived of read(other)) {
    const object = keyOf(archived);
    const old = before.get(object);
    if (!old) continue;
    const { fields, beyond } = differenceOfObjects(archived.object, old, archived.type);
    const all = [...fields, ...beyond];
    if (all.length === 0) rewritten += 1;
    else changed.push({ object, change: 'changed', fields: typeNameOf(archived.type) === 'secrets' ? all.map(withoutValues) : all });
  }
  return { changed, rewritten };
}

/** Values of Secrets are told only where somebody asks for the object itself. */
function withoutValues({ field, before, after }: FieldDifference): FieldDifference {
  return { field, ...(before !== undefined && { before: 'a secret' }), ...(after !== undefined && { after: 'a secret' }) };
}
