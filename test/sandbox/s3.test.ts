import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  S3ServiceException,
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
