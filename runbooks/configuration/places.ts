import * as z from 'zod';

/** A key of S3 has 1,024 bytes at most, of which the run and the entry take 142. */
const evidencePrefixCharactersMax = 512;

/** Where workers keep the records of runs whose holdpoint.yaml does not say, beside that file. */
export const evidenceDirectoryDefault = 'evidence';

/** A directory, relative to the file, or a bucket of S3. */
export type EvidencePlace = { directory: string } | { s3: EvidenceBucket };

/** A bucket of S3 that keeps the records of runs. */
export interface EvidenceBucket {
  bucket: string;
  /** What the keys of records begin with, as a folder; empty if left out. */
  prefix?: string;
  region: string;
}

/** A bucket of S3, as an entry of holdpoint.yaml. */
export const bucketGrammar = z.strictObject({
  bucket: z
    .string()
    // S3 user guide, bucket naming rules.
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket: 3 to 63 small letters, digits, `-` and `.`')
    .describe('Bucket of S3; workers need s3:PutObject, s3:GetObject and s3:ListBucket.'),
  prefix: z
    .string()
    .max(evidencePrefixCharactersMax)
    .regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*\/?$/, 'must be names of letters, digits, `-`, `_` and `.`, with single `/` between them')
    .describe('Folder within the bucket; the records are at its top if left out.')
    .optional(),
  region: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a region such as eu-central-1')
    .describe('Region of the bucket.'),
});

/** A directory or a bucket, as an entry of holdpoint.yaml; that it is one of both is checked apart. */
export const placeOf = (what: string) =>
  z
    .strictObject({
      directory: z.string().min(1).describe('Directory, relative to this file.').optional(),
      s3: bucketGrammar.describe('Bucket of S3.').optional(),
    })
    .meta({ description: `A directory or a bucket, where ${what}.`, minProperties: 1, maxProperties: 1 });

/** Of a place that has been checked. */
export function placeIn(place: { directory?: string; s3?: EvidenceBucket } | undefined): EvidencePlace | undefined {
  if (place?.s3) return { s3: place.s3 };
  return place?.directory === undefined ? undefined : { directory: place.directory };
}
