import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { S3Refusal } from '../../sandbox/s3/answers.ts';
import { serveS3, type ServedS3 } from './s3-fixture.ts';

let s3: ServedS3;

beforeEach(async () => {
  s3 = await serveS3({ name: 'plain' }, { name: 'locked', objectLock: { retention: { mode: 'COMPLIANCE', days: 30 } } });
});

afterEach(() => s3.stop());

const put = (Bucket: string, Key: string, Body: string, more: object = {}) =>
  s3.client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

const get = async (Bucket: string, Key: string) => (await s3.client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();

async function refusalOf(work: Promise<unknown>): Promise<{ name: string; status?: number }> {
  const error = await work.catch((reason: unknown) => reason);
  if (error instanceof S3ServiceException) return { name: error.name, status: error.$metadata.httpStatusCode };
  throw new Error(`expected S3 to refuse, got ${String(error)}`);
}

async function listed(Bucket: string, Prefix: string, pageSize = 1_000): Promise<string[]> {
  const keys: string[] = [];
  for await (const { Contents } of paginateListObjectsV2({ client: s3.client, pageSize }, { Bucket, Prefix })) {
    for (const { Key } of Contents ?? []) keys.push(Key ?? '');
  }
  return keys;
}

describe('an object', () => {
  test('is read as it was written, also with its checksum', async () => {
    await put('plain', 'a/b & <c>.json', 'Grüße\n', { ChecksumAlgorithm: 'SHA256' });
    const output = await s3.client.send(new GetObjectCommand({ Bucket: 'plain', Key: 'a/b & <c>.json', ChecksumMode: 'ENABLED' }));
    expect(await output.Body?.transformToString()).toBe('Grüße\n');
    expect(output.ChecksumSHA256).toBe('sd5huBCPFdmRPg+i5jce1zf74r6E5jqJyorno3AyI3E=');
    const head = await s3.client.send(new HeadObjectCommand({ Bucket: 'plain', Key: 'a/b & <c>.json' }));
    expect(head.ContentLength).toBe(8);
  });

  test('is not written when its checksum is another one', async () => {
    const wrong = { ChecksumSHA256: Buffer.alloc(32).toString('base64') };
    expect(await refusalOf(put('plain', 'a', 'x', wrong))).toEqual({ name: 'BadDigest', status: 400 });
    expect(await listed('plain', '')).toEqual([]);
  });

  test('is written on condition only where there is none, whoever comes first', async () => {
    const writes = await Promise.allSettled(['1', '2', '3', '4'].map((body) => put('plain', 'a', body, { IfNoneMatch: '*' })));
    expect(writes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await refusalOf(put('plain', 'a', '5', { IfNoneMatch: '*' }))).toEqual({ name: 'PreconditionFailed', status: 412 });
    await put('plain', 'a', '6');
    expect(await get('plain', 'a')).toBe('6');
  });

  test('that is not there is told from a bucket that is not', async () => {
    expect(await refusalOf(get('plain', 'none'))).toEqual({ name: 'NoSuchKey', status: 404 });
    expect(await refusalOf(get('none', 'none'))).toEqual({ name: 'NoSuchBucket', status: 404 });
    expect((await refusalOf(s3.client.send(new HeadBucketCommand({ Bucket: 'none' })))).status).toBe(404);
    await s3.client.send(new HeadBucketCommand({ Bucket: 'plain' }));
  });
});

describe('an upload in parts', () => {
  const partBytes = 5 * 1024 * 1024;
  const upload = async () => ({ Bucket: 'plain', Key: 'a', UploadId: await begin() });
  const begin = async () =>
    (await s3.client.send(new CreateMultipartUploadCommand({ Bucket: 'plain', Key: 'a', ChecksumAlgorithm: 'SHA256' }))).UploadId;
  type Upload = Awaited<ReturnType<typeof upload>>;
  const send = async (to: Upload, PartNumber: number, body: Buffer) => {
    const { ETag, ChecksumSHA256 } = await s3.client.send(
      new UploadPartCommand({ ...to, PartNumber, Body: body, ChecksumAlgorithm: 'SHA256' }),
    );
    return { PartNumber, ETag, ChecksumSHA256 };
  };
  const complete = (to: Upload, Parts: object[]) =>
    s3.client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload: { Parts } }));

  test('is an object once it is completed, not before, and no upload any more', async () => {
    const to = await upload();
    const parts = [await send(to, 1, Buffer.alloc(partBytes, 'x')), await send(to, 2, Buffer.from('end'))];
    expect(await listed('plain', '')).toEqual([]);
    expect(s3.openUploads('plain')).toBe(1);
    expect((await complete(to, parts)).ChecksumSHA256).toMatch(/=-2$/);
    expect((await get('plain', 'a'))?.slice(-4)).toBe('xend');
    expect(s3.openUploads('plain')).toBe(0);
    expect(await refusalOf(send(to, 3, Buffer.from('late')))).toEqual({ name: 'NoSuchUpload', status: 404 });
  });

  test('is refused with parts that are missing, out of order or too small, and ends without an object', async () => {
    const to = await upload();
    const parts = [await send(to, 1, Buffer.from('small')), await send(to, 2, Buffer.from('end'))];
    expect(await refusalOf(complete(to, parts))).toEqual({ name: 'EntityTooSmall', status: 400 });
    expect(await refusalOf(complete(to, parts.toReversed()))).toEqual({ name: 'InvalidPartOrder', status: 400 });
    expect(await refusalOf(complete(to, [{ ...parts[0], PartNumber: 7 }]))).toEqual({ name: 'InvalidPart', status: 400 });
    await s3.client.send(new AbortMultipartUploadCommand(to));
    expect([await listed('plain', ''), s3.openUploads('plain')]).toEqual([[], 0]);
  });
});

test('keys are listed page by page, in the order of their bytes, by their prefix', async () => {
  const keys = ['r-1/b', 'r-1/a', 'r-10/a', 'r-1/Z', 'r-1/ä', 'r-1/c', 'q'];
  for (const key of keys) await put('plain', key, key);
  expect(await listed('plain', 'r-1/', 2)).toEqual(['r-1/Z', 'r-1/a', 'r-1/b', 'r-1/c', 'r-1/ä']);
  const page = await s3.client.send(new ListObjectsV2Command({ Bucket: 'plain', MaxKeys: 3 }));
  expect(page).toMatchObject({ IsTruncated: true, KeyCount: 3 });
  expect(page.Contents?.[0]).toMatchObject({ Key: 'q', Size: 1 });
});

describe('Object Lock', () => {
  test('is told with its default retention, or that there is none', async () => {
    const { ObjectLockConfiguration } = await s3.client.send(new GetObjectLockConfigurationCommand({ Bucket: 'locked' }));
    expect(ObjectLockConfiguration).toEqual({
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 30 } },
    });
    expect(await refusalOf(s3.client.send(new GetObjectLockConfigurationCommand({ Bucket: 'plain' })))).toEqual({
      name: 'ObjectLockConfigurationNotFoundError',
      status: 404,
    });
  });

  test('keeps a version from being deleted, but not from being hidden', async () => {
    const { VersionId } = await put('locked', 'a', '1');
    const head = await s3.client.send(new HeadObjectCommand({ Bucket: 'locked', Key: 'a' }));
    expect(head.ObjectLockMode).toBe('COMPLIANCE');
    const days = (Number(head.ObjectLockRetainUntilDate) - Date.now()) / 86_400_000;
    expect(days).toBeCloseTo(30, 2);
    const deletion = s3.client.send(new DeleteObjectCommand({ Bucket: 'locked', Key: 'a', VersionId }));
    expect(await refusalOf(deletion)).toEqual({ name: 'AccessDenied', status: 403 });
    await s3.client.send(new DeleteObjectCommand({ Bucket: 'locked', Key: 'a' }));
    expect(await refusalOf(get('locked', 'a'))).toMatchObject({ name: 'NoSuchKey' });
    expect(await listed('locked', '')).toEqual([]);
  });

  test('is not needed for deleting where the bucket has none', async () => {
    await put('plain', 'a', '1');
    await s3.client.send(new DeleteObjectCommand({ Bucket: 'plain', Key: 'a' }));
    expect(await listed('plain', '')).toEqual([]);
  });
});

describe('a fault', () => {
  test('that loses the reply leaves the object written, and the retry of the client is refused', async () => {
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    expect(await refusalOf(put('plain', 'a', '1', { IfNoneMatch: '*' }))).toMatchObject({ name: 'PreconditionFailed' });
    expect(s3.calls('PutObject')).toBe(2);
    expect(await get('plain', 'a')).toBe('1');
  });

  test('of a throttle passes, and nothing is written while it lasts', async () => {
    s3.addFault({ operation: 'PutObject', effect: new S3Refusal(503, 'SlowDown', 'Please reduce your request rate.'), times: 1 });
    await put('plain', 'a', '1', { IfNoneMatch: '*' });
    expect(s3.calls('PutObject')).toBe(2);
  });
});

test('what is not signed is denied, and what is not known is refused', async () => {
  expect((await fetch(`${s3.url}/plain?list-type=2`)).status).toBe(403);
  expect(await refusalOf(s3.client.send(new CreateBucketCommand({ Bucket: 'new' })))).toEqual({ name: 'NotImplemented', status: 501 });
});
