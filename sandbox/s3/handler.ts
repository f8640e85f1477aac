import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { element, S3Refusal, sendRefusal, sendXml } from './answers.ts';
import { Bucket, checksumOf, type BucketSeed, type ObjectVersion } from './buckets.ts';
import { abortMultipartUpload, completeMultipartUpload, createMultipartUpload, uploadPart } from './multipart.ts';

/** What one call may bring: a part of an upload is the largest. */
const bodyBytesMax = 16 * 1024 * 1024;
/** S3 API, ListObjectsV2: a page has 1,000 keys at most. */
const pageKeysMax = 1_000;

export type S3Operation =
  | 'HeadBucket'
  | 'GetObjectLockConfiguration'
  | 'ListObjectsV2'
  | 'PutObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload';

/** What goes wrong with the next calls of an operation. */
export interface S3Fault {
  operation: S3Operation;
  /**
   * `lost-reply`: the call is carried out, and the connection cut in place of the answer. `other-bytes`, of `PutObject`: one bit is kept
   * as another one, and the answer says that all is well. A refusal: nothing is carried out.
   */
  effect: 'lost-reply' | 'other-bytes' | S3Refusal;
  times: number;
}

export interface S3Handler {
  handle: RequestListener;
  addFault(fault: S3Fault): void;
  /** Puts an object into a bucket at once, without a call. */
  seed(bucket: string, key: string, body: string | Uint8Array): void;
  /** How many uploads in parts have begun and not ended. */
  openUploads(bucket: string): number;
  /** How many calls of an operation have come in, faults included. */
  calls(operation: S3Operation): number;
}

/** Whether a request is signed for S3, which is how it is told from other services on one endpoint. */
export function isS3Request({ headers }: IncomingMessage): boolean {
  return /\/s3\/aws4_request\b/.test(headers.authorization ?? '');
}

interface S3Request {
  message: IncomingMessage;
  response: ServerResponse;
  bucket: Bucket;
  key: string;
  query: URLSearchParams;
  readBody: () => Promise<Buffer>;
  /** Whether the bytes of the object are changed on the way to the disk. */
  keepsOtherBytes: boolean;
}

const operations: Record<S3Operation, (request: S3Request) => void | Promise<void>> = {
  HeadBucket: ({ response }) => void response.writeHead(200, { 'x-amz-bucket-region': 'us-east-1' }).end(),
  GetObjectLockConfiguration: getObjectLockConfiguration,
  ListObjectsV2: listObjects,
  PutObject: putObject,
  GetObject: getObject,
  HeadObject: getObject,
  DeleteObject: ({ response, bucket, key, query }) => {
    bucket.delete(key, query.get('versionId') ?? undefined);
    response.writeHead(204).end();
  },
  CreateMultipartUpload: createMultipartUpload,
  UploadPart: uploadPart,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: abortMultipartUpload,
};

/**
 * Serves the calls of S3 (path-style) that keeping records needs. Requests must be signed, but signatures are not checked.
 * What it does not know is refused with 501, so that nobody takes its silence for consent.
 */
export function createS3Handler(seeds: readonly BucketSeed[]): S3Handler {
  const buckets = new Map(seeds.map((seed) => [seed.name, new Bucket(seed)]));
  const faults: S3Fault[] = [];
  const counts = new Map<S3Operation, number>();
  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams: query } = new URL(message.url ?? '/', 'http://sandbox');
    const [, name = '', ...rest] = pathname.split('/').map(decodeURIComponent);
    const key = rest.join('/');
    const operation = operationOf(message.method ?? '', key, query);
    counts.set(operation, (counts.get(operation) ?? 0) + 1);
    const effect = takeFault(faults, operation);
    if (effect instanceof S3Refusal) throw effect;
    if (!isS3Request(message)) throw new S3Refusal(403, 'AccessDenied', 'Access Denied');
    const bucket = buckets.get(name);
    if (!bucket) throw new S3Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
    if (effect === 'lost-reply') response.end = cutInPlaceOf(response);
    const keepsOtherBytes = effect === 'other-bytes';
    await operations[operation]({ message, response, bucket, key, query, readBody: () => readBody(message), keepsOtherBytes });
  };
  return {
    handle: (message, response) => {
      serve(message, response).catch((error: unknown) => {
        // A body left unread would block the connection.
        message.resume();
        sendRefusal(response, asRefusal(error));
      });
    },
    addFault: (fault) => void faults.push({ ...fault }),
    openUploads: (bucket) => buckets.get(bucket)?.openUploads ?? 0,
    seed: (bucket, key, body) => void buckets.get(bucket)?.put(key, Buffer.from(body), false),
    calls: (operation) => counts.get(operation) ?? 0,
  };
}

function operationOf(method: string, key: string, query: URLSearchParams): S3Operation {
  if (key !== '') {
    if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload';
    if (method === 'POST' && query.has('uploadId')) return 'CompleteMultipartUpload';
    if (method === 'PUT' && query.has('uploadId')) return 'UploadPart';
    if (method === 'DELETE' && query.has('uploadId')) return 'AbortMultipartUpload';
    if (method === 'PUT') return 'PutObject';
    if (method === 'GET') return 'GetObject';
    if (method === 'HEAD') return 'HeadObject';
    if (method === 'DELETE') return 'DeleteObject';
  }
  if (key === '' && method === 'HEAD') return 'HeadBucket';
  if (key === '' && method === 'GET' && query.has('object-lock')) return 'GetObjectLockConfiguration';
  if (key === '' && method === 'GET' && query.get('list-type') === '2') return 'ListObjectsV2';
  throw new S3Refusal(501, 'NotImplemented', 'The sandbox does not know this call.');
}

function takeFault(faults: S3Fault[], operation: S3Operation): S3Fault['effect'] | undefined {
  const fault = faults.find((candidate) => candidate.operation === operation && candidate.times > 0);
  if (!fault) return undefined;
  fault.times -= 1;
  return fault.effect;
}

function cutInPlaceOf(response: ServerResponse): ServerResponse['end'] {
  return () => {
    response.destroy();
    return response;
  };
}

function asRefusal(error: unknown): S3Refusal {
  if (error instanceof S3Refusal) return error;
  return new S3Refusal(500, 'InternalError', error instanceof Error ? error.message : String(error));
}

function getObjectLockConfiguration({ response, bucket }: S3Request): void {
  if (!bucket.objectLock) {
    const message = 'Object Lock configuration does not exist for this bucket';
    throw new S3Refusal(404, 'ObjectLockConfigurationNotFoundError', message, { BucketName: bucket.name });
  }
  const { retention } = bucket.objectLock;
  const rule = retention && element('DefaultRetention', [element('Mode', retention.mode), element('Days', retention.days)]);
  sendXml(response, 'ObjectLockConfiguration', [element('ObjectLockEnabled', 'Enabled'), rule ? element('Rule', [rule]) : '']);
}

function listObjects({ response, bucket, query }: S3Request): void {
  if (query.has('delimiter')) throw new S3Refusal(501, 'NotImplemented', 'The sandbox lists without a delimiter only.');
  const prefix = query.get('prefix') ?? '';
  const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
  const count = Math.min(pageKeysMax, Number(query.get('max-keys') ?? pageKeysMax));
  const rest = bucket.keys(prefix).filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const page = rest.slice(0, count);
  const isTruncated = rest.length > page.length;
  sendXml(response, 'ListBucketResult', [
    element('Name', bucket.name),
    element('Prefix', prefix),
    element('KeyCount', page.length),
    element('MaxKeys', count),
    element('IsTruncated', isTruncated),
    isTruncated ? element('NextContinuationToken', page.at(-1) ?? '') : '',
    ...page.map((key) => contentsOf(key, bucket.latest(key))),
  ]);
}

function contentsOf(key: string, version: ObjectVersion | undefined): string {
  if (!version) return '';
  const { modifiedAt, etag, body } = version;
  return element('Contents', [
    element('Key', key),
    element('LastModified', modifiedAt.toISOString()),
    element('ETag', etag),
    element('Size', body?.length ?? 0),
    element('StorageClass', 'STANDARD'),
  ]);
}

async function putObject({ message, response, bucket, key, readBody, keepsOtherBytes }: S3Request): Promise<void> {
  const body = await readBody();
  const condition = message.headers['if-none-match'];
  if (condition !== undefined && condition !== '*') {
    throw new S3Refusal(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented');
  }
  const claimed = message.headers['x-amz-checksum-sha256'];
  if (claimed !== undefined && claimed !== checksumOf(body)) {
    throw new S3Refusal(400, 'BadDigest', 'The SHA256 you specified did not match the calculated checksum.');
  }
  const kept = Buffer.from(body);
  if (keepsOtherBytes) kept[kept.length - 1]! ^= 1;
  const version = bucket.put(key, kept, condition === '*');
  response.writeHead(200, { etag: version.etag, 'x-amz-checksum-sha256': checksumOf(body), ...versionHeader(bucket, version) }).end();
}

function getObject({ message, response, bucket, key, query }: S3Request): void {
  if (query.has('versionId')) throw new S3Refusal(501, 'NotImplemented', 'The sandbox reads the latest version only.');
  const version = bucket.latest(key);
  if (!version?.body) throw new S3Refusal(404, 'NoSuchKey', 'The specified key does not exist.', { Key: key });
  const { retention } = version;
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': version.body.length,
    etag: version.etag,
    'last-modified': version.modifiedAt.toUTCString(),
    ...(message.headers['x-amz-checksum-mode'] === 'ENABLED' && { 'x-amz-checksum-sha256': version.checksumSha256 }),
    ...(retention && {
      'x-amz-object-lock-mode': retention.mode,
      'x-amz-object-lock-retain-until-date': retention.until.toISOString(),
    }),
    ...versionHeader(bucket, version),
  });
  response.end(message.method === 'HEAD' ? undefined : version.body);
}

function versionHeader({ objectLock }: Bucket, { id }: ObjectVersion): Record<string, string> {
  return objectLock ? { 'x-amz-version-id': id } : {};
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax) throw new S3Refusal(400, 'EntityTooLarge', `The sandbox takes ${bodyBytesMax} bytes at once at most.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
