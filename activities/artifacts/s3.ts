import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  NotFound,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import type { EvidenceBucket } from '../../runbooks/configuration/configuration.ts';
import { bucketTrouble, openBucket, readObject, type Bucket } from '../storage/bucket.ts';
import { removeAbandoned } from '../storage/new-file.ts';
import { createArtifactStore, type ArtifactStore } from './store.ts';

/** What is sent to S3 at once, and is in the memory meanwhile; S3 takes 10,000 parts at most, of 5 MiB at least. */
const partBytes = 8 * 1024 * 1024;
const partTimeoutMs = 120_000;
const checksum = { ChecksumAlgorithm: 'SHA256' } as const;

/**
 * Keeps artifacts in a bucket as `<prefix>/<hex>`. As the digest is known only at the end, a file is brought to a directory
 * of this machine first (TMPDIR), and to S3 from there, in parts if it is large. S3 shows an object only when it is whole;
 * the parts of an upload that was killed are removed by a lifecycle rule of the bucket (AbortIncompleteMultipartUpload).
 */
export function createArtifactBucket(place: EvidenceBucket): ArtifactStore {
  const bucket = openBucket(place, partTimeoutMs);
  // Each user has their own, so that nobody stands in the way of another one.
  const unfinishedRoot = path.join(tmpdir(), `holdpoint-artifacts-${process.getuid?.() ?? 'user'}`);
  let tidied: Promise<void> | undefined;
  return createArtifactStore({
    unfinishedRoot,
    keep: async (file, name, bytes, signal) => {
      await (tidied ??= removeAbandoned(unfinishedRoot));
      const handle = await open(file, 'r');
      try {
        if (bytes > partBytes) await sendParts(bucket, name, handle, bytes, signal);
        else await sendWhole(bucket, name, await readPart(handle, 0, bytes), signal);
      } finally {
        await handle.close();
      }
    },
    sizeOf: async (name) => {
      const { client, prefix, bucket: Bucket } = bucket;
      const found = await client.send(new HeadObjectCommand({ Bucket, Key: prefix + name })).catch((error: unknown) => {
        if (error instanceof NotFound) return undefined;
        throw error;
      });
      return found?.ContentLength;
    },
    open: async (name) => {
      const output = await readObject(bucket, name);
      return output && { bytes: output.ContentLength ?? 0, stream: output.Body as Readable };
    },
    remove: async (name) => {
      const { client, prefix, bucket: Bucket } = bucket;
      await client.send(new DeleteObjectCommand({ Bucket, Key: prefix + name }));
    },
    pathOf: (name) => `s3://${bucket.bucket}/${bucket.prefix}${name}`,
    troubleOf: (error) => bucketTrouble(error, bucket.bucket),
  });
}

async function sendWhole({ client, bucket, prefix }: Bucket, name: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
  const object = { Bucket: bucket, Key: prefix + name, Body: body, ...checksum };
  await client.send(new PutObjectCommand(object), { abortSignal: signal });
}

async function sendParts(
  { client, bucket, prefix }: Bucket,
  name: string,
  handle: FileHandle,
  bytes: number,
  abortSignal?: AbortSignal,
): Promise<void> {
  const object = { Bucket: bucket, Key: prefix + name };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...object, ...checksum }), { abortSignal });
  const upload = { ...object, UploadId };
  try {
    const Parts: CompletedPart[] = [];
    for (let start = 0; start < bytes; start += partBytes) {
      const Body = await readPart(handle, start, Math.min(partBytes, bytes - start));
      const PartNumber = Parts.length + 1;
      const { ETag, ChecksumSHA256 } = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ...checksum }), {
        abortSignal,
      });
      Parts.push({ PartNumber, ETag, ChecksumSHA256 });
    }
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }), { abortSignal });
  } catch (error) {
    // If that fails, too, the lifecycle rule of the bucket removes the parts.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
    throw error;
  }
}

async function readPart(handle: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const part = Buffer.alloc(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await handle.read(part, filled, length - filled, start + filled);
    if (bytesRead === 0) throw new Error(`the unfinished file ends after ${start + filled} bytes`);
    filled += bytesRead;
  }
  return part;
}
