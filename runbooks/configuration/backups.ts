import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import { TargetError } from '../../domain/target.ts';
import type { SourceMap } from '../grammar/document.ts';
import { bucketGrammar, placeIn, type EvidencePlace } from './places.ts';

const pathCharactersMax = 4096;
const targetCharactersMax = 253;

/** Where backups are kept, and what encrypts them. */
export interface BackupPlace {
  place: EvidencePlace;
  key: BackupKey;
}

/** A file with 32 bytes in base64, or a key of AWS KMS. */
export type BackupKey = { file: string } | { kmsKey: string; region: string };

const kmsKeyPattern = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(key|alias)\/[A-Za-z0-9/_-]+$/;
const file = z.string().min(1).max(pathCharactersMax);

/** Where backups of one cluster are kept, as an entry of holdpoint.yaml; which settings belong together, `checkBackups` tells. */
export const backupsGrammar = z.strictObject({
  directory: file.describe('Directory for the backups of this cluster alone, relative to this file.').optional(),
  s3: bucketGrammar.describe('Bucket of S3, with a prefix for the backups of this cluster alone.').optional(),
  keyFile: file.describe('File with the key that encrypts backups: 32 bytes in base64, relative to this file.').optional(),
  kmsKey: z
    .string()
    .max(300)
    .regex(kmsKeyPattern, 'must be the ARN of a key of AWS KMS')
    .describe('ARN of the key of AWS KMS that encrypts backups.')
    .optional(),
});

/** The section `backups` of holdpoint.yaml: places by the targets that are exported to them. */
export const backupPlacesGrammar = z.record(z.string().max(targetCharactersMax), backupsGrammar);

type Backups = z.output<typeof backupsGrammar>;

/** Tells what a grammar cannot: which settings belong together. */
export function checkBackups(backups: Backups, path: (string | number)[], sourceMap: SourceMap): void {
  if ((backups.directory === undefined) === (backups.s3 === undefined)) {
    sourceMap.error(path, 'Must name either a `directory` or a bucket (`s3`), not both.');
  }
  if ((backups.keyFile === undefined) === (backups.kmsKey === undefined)) {
    sourceMap.error(path, 'Must name either a `keyFile` or a `kmsKey`: backups hold every Secret of the cluster.');
  }
}

/**
 * Checks the section `backups`: its names are targets that can be exported, and no two have the same place.
 * @param kindOf the kind of a target; throws TargetError for what is none
 */
export function checkBackupPlaces(places: Record<string, Backups>, kindOf: (target: string) => string, sourceMap: SourceMap): void {
  const owners = new Map<string, string>();
  for (const [target, backups] of Object.entries(places)) {
    const path = ['backups', target];
    try {
      const kind = kindOf(target);
      if (kind === 'etcd') sourceMap.error(path, 'Backups of etcd belong in `backups` of their entry in `etcd`.');
      else if (!exportedKinds.includes(kind)) sourceMap.error(path, `Only ${exportedKinds.join(' and ')} targets are backed up here.`);
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      sourceMap.error(path, error.message);
    }
    checkBackups(backups, path, sourceMap);
    const place = JSON.stringify([backups.directory, backups.s3]);
    const owner = owners.get(place);
    if (owner !== undefined) sourceMap.error(path, `Has the same place as ${owner}: each cluster needs one of its own.`);
    owners.set(place, target);
  }
}

/** Kinds of targets whose objects are exported. */
export const exportedKinds: readonly string[] = ['eks', 'kubernetes'];

/** Of backups that have been checked; paths are as they were written. */
export function backupPlaceIn(backups: Backups): BackupPlace | undefined {
  const place = placeIn(backups);
  const key = keyIn(backups);
  return place && key && { place, key };
}

/** The section `backups` of a configuration, with absolute paths. */
export function backupPlacesOf(
  configurationFile: string,
  { backups = {} }: { backups?: Record<string, BackupPlace> },
): Record<string, BackupPlace> {
  const absolute = (path: string): string => resolve(dirname(configurationFile), path);
  return Object.fromEntries(Object.entries(backups).map(([target, place]) => [target, absoluteBackups(place, absolute)]));
}

/** A place whose paths are made absolute. */
export function absoluteBackups({ place, key }: BackupPlace, absolute: (path: string) => string): BackupPlace {
  return {
    place: 's3' in place ? place : { directory: absolute(place.directory) },
    key: 'file' in key ? { file: absolute(key.file) } : key,
  };
}

function keyIn(backups: Backups): BackupKey | undefined {
  if (backups.keyFile !== undefined) return { file: backups.keyFile };
  const region = backups.kmsKey?.match(kmsKeyPattern)?.[1];
  return backups.kmsKey === undefined || region === undefined ? undefined : { kmsKey: backups.kmsKey, region };
}
