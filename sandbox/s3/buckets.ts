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

/** An upload in parts that has begun: the parts by their numbers. */
interface Upload {
  key: string;
  parts: Map<number, Buffer>;
}

/** How many uploads in parts one bucket holds at once. */
const uploadsMax = 1_000;

/** One bucket: the versions of each key, the latest last. Without Object Lock a key has one version. */
export class Bucket {
  readonly name: string;
  readonly objectLock: BucketSeed['objectLock'];
  private readonly objects = new Map<string, ObjectVersion[]>();
  private readonly uploads = new Map<string, Upload>();
  private versions = 0;
  private uploadsBegun = 0;

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
  put(key: string, body: Buffer, ifAbsent: boolean, checksumSha256 = checksumOf(body)): ObjectVersion {
    if (ifAbsent && this.latest(key)) {
      throw new S3Refusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
    }
    const retention = this.objectLock?.retention;
    const until = retention && { mode: retention.mode, until: new Date(Date.now() + retention.days * dayMs) };
    return this.add(key, { body, retention: until, checksumSha256 });
  }

  /** Begins an upload in parts and returns its id. */
  beginUpload(key: string): string {
    if (this.uploads.size >= uploadsMax) throw new S3Refusal(500, 'InternalError', `The sandbox holds ${uploadsMax} uploads at most.`);
    this.uploadsBegun += 1;
    const id = `upload-${this.uploadsBegun}`;
    this.uploads.set(id, { key, parts: new Map() });
    return id;
  }

  /** The upload with that id; refuses where there is none, as after its end. */
  upload(key: string, id: string): Upload {
    const upload = this.uploads.get(id);
    if (upload?.key === key) return upload;
    throw new S3Refusal(404, 'NoSuchUpload', 'The specified upload does not exist.', { UploadId: id });
  }

  /** Removes an upload with its parts. */
  endUpload(key: string, id: string): void {
    this.upload(key, id);
    this.uploads.delete(id);
  }

  /** How many uploads have begun and not ended. */
  get openUploads(): number {
    return this.uploads.size;
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

  private add(key: string, version: Partial<Pick<ObjectVersion, 'body' | 'retention' | 'checksumSha256'>>): ObjectVersion {
    const { body, retention, checksumSha256 = '' } = version;
    this.versions += 1;
    if (this.versions > versionsMax) throw new S3Refusal(500, 'InternalError', `The sandbox holds ${versionsMax} versions at most.`);
    const bytes = body ?? Buffer.alloc(0);
    const added: ObjectVersion = {
      id: `v${this.versions}`,
      body,
      checksumSha256,
      etag: `"${createHash('md5').update(bytes).digest('hex')}"`,
      modifiedAt: new Date(),
      retention,
    };
    const earlier = this.objectLock ? (this.objects.get(key) ?? []) : [];
    this.objects.set(key, [...earlier, added]);
    return added;
  }
}
