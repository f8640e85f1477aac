import {
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  type GetObjectCommandOutput,
} from '@aws-sdk/client-s3';
import type { EvidenceBucket } from '../../runbooks/configuration/configuration.ts';
import { rememberingCredentials, withoutCredentials } from '../secrets.ts';
import type { ObjectStore, Trouble } from './objects.ts';

const requestTimeoutMs = 10_000;
const connectionTimeoutMs = 5_000;
const attemptsMax = 3;

/** A folder of a bucket, with a client that reaches it. `prefix` is empty or ends with `/`. */
export interface Bucket {
  client: S3Client;
  bucket: string;
  prefix: string;
}

/** A folder of a bucket; nothing is asked of S3 yet. */
export function openBucket({ bucket, prefix = '', region }: EvidenceBucket, timeoutMs = requestTimeoutMs): Bucket {
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  return { client: createClient(region, timeoutMs), bucket, prefix: folder };
}

/** Keeps objects in a folder of a bucket. Several processes may write at once. */
export function createBucketObjects({ client, bucket, prefix }: Bucket): ObjectStore {
  const put = async (name: string, bytes: Uint8Array, ifNoneMatch?: '*'): Promise<void> => {
    const ContentType = name.endsWith('.json') ? 'application/json' : 'application/octet-stream';
    const object = { Bucket: bucket, Key: prefix + name, Body: bytes, ChecksumAlgorithm: 'SHA256' as const, ContentType };
    await client.send(new PutObjectCommand({ ...object, IfNoneMatch: ifNoneMatch }));
  };
  return {
    putIfAbsent: async (name, bytes) => {
      try {
        await put(name, bytes, '*');
        return true;
      } catch (error) {
        // 409 ConditionalRequestConflict: another write of the key was under way, and may have failed.
        const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
        if (status === 412 || (status === 409 && error instanceof Error && error.name === 'ConditionalRequestConflict')) return false;
        throw error;
      }
    },
    get: async (name, bytesMax) => {
      const output = await readObject({ client, bucket, prefix }, name);
      if (output === undefined) return undefined;
      const { LastModified: modifiedAt, ObjectLockRetainUntilDate: lockedUntil } = output;
      if ((output.ContentLength ?? 0) > bytesMax) {
        // Not read, or the connection would stay taken.
        (output.Body as { destroy?: () => void } | undefined)?.destroy?.();
        return { modifiedAt, lockedUntil };
      }
      // The client compares its checksum.
      return { bytes: await output.Body?.transformToByteArray(), modifiedAt, lockedUntil };
    },
    list: async (folder, namesMax) => {
      const Prefix = `${prefix}${folder}/`;
      const names: string[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix, ContinuationToken }));
        // S3 lists keys in the order of their bytes.
        for (const { Key = '' } of page.Contents ?? []) names.push(Key.slice(Prefix.length));
        if (names.length > namesMax) throw new Error(`there are more than ${namesMax} objects, more than any record has`);
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      return names;
    },
    // With Object Lock it becomes a new version, with the whole retention before it, and the old one stays.
    renew: (name, bytes) => put(name, bytes),
    pathOf: (name) => `s3://${bucket}/${prefix}${name}`,
    troubleOf: (error) => bucketTrouble(error, bucket),
  };
}

/** Begins to read an object; undefined where there is none. */
export async function readObject({ client, bucket, prefix }: Bucket, name: string): Promise<GetObjectCommandOutput | undefined> {
  try {
    return await client.send(new GetObjectCommand({ Bucket: bucket, Key: prefix + name, ChecksumMode: 'ENABLED' }));
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
}

/** The region is where to begin: AWS says if the bucket is in another one, and the client follows. */
function createClient(region: string, requestTimeout: number): S3Client {
  const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
  const client = new S3Client({
    region,
    followRegionRedirects: true,
    // Stores other than AWS's seldom have a host name per bucket.
    forcePathStyle: Boolean(AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL),
    maxAttempts: attemptsMax,
    // Without the flag the SDK only warns of a request that nobody answers, and waits for ever.
    requestHandler: { requestTimeout, throwOnRequestTimeout: true, connectionTimeout: connectionTimeoutMs },
  });
  client.middlewareStack.add(rememberingCredentials, { step: 'deserialize', priority: 'low' });
  return client;
}

const credentialNames = new Set(['ExpiredToken', 'InvalidToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'TokenRefreshRequired']);
const busyNames = new Set(['SlowDown', 'ServiceUnavailable', 'Throttling', 'ThrottlingException', 'RequestLimitExceeded', 'InternalError']);

/**
 * Reads an error of the S3 client. The error itself must go no further: with a refused token S3 sends the token back,
 * and a failed credential process tells its output.
 */
export function bucketTrouble(error: unknown, bucket: string): Trouble {
  const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
  const status = error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0;
  const code = (error as { code?: unknown } | null)?.code;
  if (name === 'CredentialsProviderError') {
    const remedy = 'Provide them (AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), then try again.';
    return { consequence: 'stuck', why: 'there are no AWS credentials', remedy };
  }
  if (name === 'NoSuchBucket') {
    return { consequence: 'stuck', why: `the bucket ${bucket} does not exist`, remedy: 'Correct its name, or make the bucket.' };
  }
  if (credentialNames.has(name)) {
    return { consequence: 'stuck', why: `S3 does not accept the AWS credentials (${name})`, remedy: 'Renew them, then try again.' };
  }
  if (status === 401 || status === 403) {
    const remedy = `Allow s3:PutObject, s3:GetObject and s3:ListBucket on ${bucket}, and the use of its KMS key if it has one.`;
    return { consequence: 'stuck', why: `S3 denied access (${name}: ${withoutStop(withoutCredentials(message))})`, remedy };
  }
  if (busyNames.has(name) || status === 429 || status >= 500) {
    return { consequence: 'retry', why: `S3 could not take the request just now (${name})`, remedy: 'Wait; it will be tried again.' };
  }
  if (typeof code === 'string' || name === 'TimeoutError') {
    const why = `S3 did not answer (${typeof code === 'string' ? code : name})`;
    return { consequence: 'retry', why, remedy: 'Check the network and the endpoint (AWS_ENDPOINT_URL), then try again.' };
  }
  return {
    consequence: 'retry',
    why: withoutStop(withoutCredentials(message) || name),
    remedy: 'Read the reason, and put it right in S3.',
  };
}

function withoutStop(message: string): string {
  return message.replace(/\.+$/, '');
}
