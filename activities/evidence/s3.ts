import { GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import type { EvidenceBucket } from '../../runbooks/configuration/configuration.ts';
import { bucketTrouble, createBucketObjects, openBucket, type Bucket } from '../storage/bucket.ts';
import { createEvidenceStore, type Proof } from './record.ts';
import { EvidenceError, type EvidenceStore } from './store.ts';

/** What keeps the objects of a bucket from being removed. */
export interface Protection {
  /** Whether new objects are locked by themselves; undefined where the worker may not ask. */
  isLocked?: boolean;
  /** For a log: what holds, and what to do if it should be otherwise. */
  sentence: string;
}

/**
 * Keeps each run's record in `s3://<bucket>/<prefix>/<run>/`, one object per entry, and what is kept under its digest in
 * `s3://<bucket>/<prefix>/payloads/<hex>`. Object Lock is left to the bucket's default retention, so that whoever writes
 * records cannot shorten it.
 */
export function createEvidenceBucket(place: EvidenceBucket, proof?: Proof): EvidenceStore {
  return createEvidenceStore(createBucketObjects(openBucket(place)), proof);
}

/**
 * Asks for the Object Lock of a bucket. Throws EvidenceError where the bucket cannot be used.
 *
 * @param what is kept there, for sentences: `Records` or `Heads of records`.
 */
export async function bucketProtection(place: EvidenceBucket, what = 'Records'): Promise<Protection> {
  try {
    return await protectionOf(openBucket(place), what);
  } catch (error) {
    const { consequence, why, remedy } = bucketTrouble(error, place.bucket);
    const message = `The bucket ${place.bucket} cannot keep ${what.toLowerCase()}: ${why}.`;
    throw new EvidenceError('evidence-unwritable', consequence, message, remedy);
  }
}

async function protectionOf({ client, bucket }: Bucket, what: string): Promise<Protection> {
  const where = `${what} are kept in the bucket ${bucket}`;
  try {
    const { ObjectLockConfiguration: lock } = await client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }));
    const retention = lock?.Rule?.DefaultRetention;
    if (!retention) {
      const sentence = `${where}, whose Object Lock has no default retention: they are not locked. Give it one to lock them.`;
      return { isLocked: false, sentence };
    }
    const time = retention.Days === undefined ? `${retention.Years} years` : `${retention.Days} days`;
    return { isLocked: true, sentence: `${where}, which locks each object for ${time} (Object Lock, ${retention.Mode}).` };
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'ObjectLockConfigurationNotFoundError') {
      return { isLocked: false, sentence: `${where}, which has no Object Lock: whoever may delete objects can remove them.` };
    }
    // The right to ask (s3:GetBucketObjectLockConfiguration) is not needed for writing, and some stores have no Object Lock.
    if (name === 'AccessDenied' || name === 'NotImplemented') {
      return { sentence: `${where}; whether they are locked is not known (${name}).` };
    }
    throw error;
  }
}
