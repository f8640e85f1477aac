import { createHash } from 'node:crypto';
import { S3Refusal } from './answers.ts';

/** How many versions of objects one bucket of the sandbox holds, so that a test that runs away ends. */
const versionsMax = 100_000;
const dayMs = 86_400_000;

/** What a bucket does with each new version by itself: its default retention. */
export interface DefaultRetention {
  mode: 'GOVERNANCE' | 'COMPLIANCE';
  days: number;
}

/** A bucket as it is asked for. */
export interface BucketSeed {
  name: string;
  /** Object Lock, which also keeps versions; `retention` is left out where the bucket has no default. */
  objectLock?: { retention?: DefaultRetention };
}

/** One version of an object; without a body it is a delete marker. */
export interface ObjectVersion {
  id: string;
  body?: Buffer;
  checksumSha256: string;
  etag: string;
  modifiedAt: Date;
  retention?: { mode: DefaultRetention['mode']; until: Date };
}

/** SHA-256 in base64, as S3 writes it. */
export function checksumOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}

/** One bucket: the versions of each key, the latest last. Without Object Lock a key has one version. */
export class Bucket {
  readonly name: string;
  readonly objectLock: BucketSeed['objectLock'];
  private readonly objects = new Map<string, ObjectVersion[]>();
  private versions = 0;

  constructor({ name, objectLock }: BucketSeed) {
    this.name = name;
    this.objectLock = objectLock;
  }

  /** The object as it is seen without naming a version. */
  latest(key: string): ObjectVersion | undefined {
    const version = this.objects.get(key)?.at(-1);
    return version?.body === undefined ? undefined : version;
  }

  /** Keys with the prefix, in the order of their UTF-8 bytes, as S3 lists them. */
  keys(prefix: string): string[] {
    const found = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && this.latest(key) !== undefined);
    return found.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  }

  /** @param ifAbsent `If-None-Match: *`. Throws S3Refusal 412 where the key has an object then. */
  put(key: string, body: Buffer, ifAbsent: boolean): ObjectVersion {
    if (ifAbsent && this.latest(key)) {
      throw new S3Refusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
    }
    const retention = this.objectLock?.retention;
    const until = retention && { mode: retention.mode, until: new Date(Date.now() + retention.days * dayMs) };
    return this.add(key, { body, retention: until });
  }

  /** Deletes as S3 does: with Object Lock a delete marker hides the versions, and only naming a version removes it. */
  delete(key: string, versionId: string | undefined): void {
    const versions = this.objects.get(key) ?? [];
    if (versionId === undefined) {
      if (this.objectLock) this.add(key, {});
      else this.objects.delete(key);
      return;
    }
    const version = versions.find(({ id }) => id === versionId);
    if (version?.retention && version.retention.until.getTime() > Date.now()) {
      throw new S3Refusal(403, 'AccessDenied', 'Access Denied because object protected by object lock.');
    }
    this.objects.set(
      key,
      versions.filter(({ id }) => id !== versionId),
    );
  }

  private add(key: string, { body, retention }: Pick<ObjectVersion, 'body' | 'retention'>): ObjectVersion {
    this.versions += 1;
    if (this.versions > versionsMax) throw new S3Refusal(500, 'InternalError', `The sandbox holds ${versionsMax} versions at most.`);
    const bytes = body ?? Buffer.alloc(0);
    const version: ObjectVersion = {
      id: `v${this.versions}`,
      body,
      checksumSha256: checksumOf(bytes),
      etag: `"${createHash('md5').update(bytes).digest('hex')}"`,
      modifiedAt: new Date(),
      retention,
    };
    const earlier = this.objectLock ? (this.objects.get(key) ?? []) : [];
    this.objects.set(key, [...earlier, version]);
    return version;
  }
}
