import type { StatementOfAny } from './manifest.ts';

/** A kind of object as an API server serves it. */
export type ServedType = {
  /** Empty for the core group. */
  group: string;
  version: string;
  /** In the plural, as in paths: `deployments`. */
  resource: string;
  kind: string;
  namespaced: boolean;
};

/**
 * `revision`: all objects are as they were at the one revision of the backup. `own`: they are as they were at a moment of their own, as
 * the server could not give the other one; why, `reason` says.
 */
export type Consistency = 'revision' | 'own';

/** What a backup says of all objects of one type. */
export type ExportedType = ServedType & {
  consistency: Consistency;
  /** The resource version of the list; empty where a server gives none. */
  revision: string;
  objects: number;
  /** `sha256:<hex>` over the objects as they stand in the archive, each with its line end. */
  sha256: string;
  reason?: string;
};

/** A type that a backup does not have, and why. */
export type LeftOutType = { type: string; reason: string };

/** What the manifest of a backup of a cluster through its API server says. */
export type ExportStatement = StatementOfAny & {
  serverVersion: string;
  consistency: 'revision' | 'mixed';
  objects: number;
  types: ExportedType[];
  leftOut: LeftOutType[];
};

/** What manifests of such backups begin with. */
export const exportFormat = 'holdpoint.dev/kubernetes-backup/v1';

/** A type as people write it: `pods`, `deployments.apps`. */
export function typeNameOf({ group, resource }: Pick<ServedType, 'group' | 'resource'>): string {
  return group === '' ? resource : `${resource}.${group}`;
}

/** The `apiVersion` of objects of a type. */
export function apiVersionOf({ group, version }: Pick<ServedType, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Whether everything in a backup is of one revision. */
export function consistencyOf(types: readonly Pick<ExportedType, 'consistency'>[]): ExportStatement['consistency'] {
  return types.every(({ consistency }) => consistency === 'revision') ? 'revision' : 'mixed';
}

/**
 * Whether a list was answered by the store whose revisions were seen before and after it. One store counts all its writes in one row, so
 * what it answers in between lies in between; another store would have to be there by chance.
 */
export function isOfOneStore(revision: string, before: string, after: string): boolean {
  const areNumbers = [revision, before, after].every((text) => /^\d{1,19}$/.test(text));
  return areNumbers && BigInt(before) <= BigInt(revision) && BigInt(revision) <= BigInt(after);
}
