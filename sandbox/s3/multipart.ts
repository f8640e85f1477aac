import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { element, S3Refusal, sendXml } from './answers.ts';
import { checksumOf, type Bucket } from './buckets.ts';

/** S3 API, multipart upload limits: no part but the last may be smaller. */
const partBytesMin = 5 * 1024 * 1024;

/** A call that has to do with an upload in parts. */
interface UploadRequest {
  message: IncomingMessage;
  response: ServerResponse;
  bucket: Bucket;
  key: string;
  query: URLSearchParams;
  /** Reads the body, up to the limit of the sandbox. */
  readBody: () => Promise<Buffer>;
}

/** Begins an upload. Checksums are of each part (COMPOSITE). */
export function createMultipartUpload({ response, bucket, key }: UploadRequest): void {
  const id = bucket.beginUpload(key);
  sendXml(response, 'InitiateMultipartUploadResult', [element('Bucket', bucket.name), element('Key', key), element('UploadId', id)]);
}

/** Takes one part; the same number again replaces it. */
export async function uploadPart({ message, response, bucket, key, query, readBody }: UploadRequest): Promise<void> {
  const body = await readBody();
  const checksum = checksumOf(body);
  const claimed = message.headers['x-amz-checksum-sha256'];
  if (claimed !== undefined && claimed !== checksum) {
    throw new S3Refusal(400, 'BadDigest', 'The SHA256 you specified did not match the calculated checksum.');
  }
  bucket.upload(key, query.get('uploadId') ?? '').parts.set(Number(query.get('partNumber')), body);
  response.writeHead(200, { etag: etagOf(body), 'x-amz-checksum-sha256': checksum }).end();
}

/** Puts the parts together that the caller names, in ascending order; from then on there is an object. */
export async function completeMultipartUpload({ response, bucket, key, query, readBody }: UploadRequest): Promise<void> {
  const id = query.get('uploadId') ?? '';
  const { parts } = bucket.upload(key, id);
  const named = [...(await readBody()).toString().matchAll(/<Part>([^]*?)<\/Part>/g)].map(([, text = '']) => ({
    number: Number(/<PartNumber>(\d+)</.exec(text)?.[1]),
    etag: /<ETag>([^<]*)</.exec(text)?.[1]?.replaceAll('&quot;', '"') ?? '',
  }));
  if (named.length === 0) throw new S3Refusal(400, 'MalformedXML', 'The XML you provided was not well-formed');
  if (named.some(({ number }, index) => index > 0 && number <= (named[index - 1]?.number ?? 0))) {
    throw new S3Refusal(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.');
  }
  const bodies = named.map(({ number, etag }, index) => {
    const body = parts.get(number);
    if (!body || etagOf(body) !== etag) throw new S3Refusal(400, 'InvalidPart', 'One or more of the specified parts could not be found.');
    if (index < named.length - 1 && body.length < partBytesMin) {
      throw new S3Refusal(400, 'EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size');
    }
    return body;
  });
  const digests = Buffer.concat(bodies.map((body) => Buffer.from(checksumOf(body), 'base64')));
  const version = bucket.put(key, Buffer.concat(bodies), false, `${checksumOf(digests)}-${bodies.length}`);
  bucket.endUpload(key, id);
  sendXml(response, 'CompleteMultipartUploadResult', [
    element('Bucket', bucket.name),
    element('Key', key),
    element('ETag', version.etag),
    element('ChecksumSHA256', version.checksumSha256),
    element('ChecksumType', 'COMPOSITE'),
  ]);
}

/** Ends an upload without an object. */
export function abortMultipartUpload({ response, bucket, key, query }: UploadRequest): void {
  bucket.endUpload(key, query.get('uploadId') ?? '');
  response.writeHead(204).end();
}

function etagOf(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}
