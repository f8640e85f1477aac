import { inspect } from 'node:util';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { bucketProtection, createEvidenceBucket } from '../../../activities/evidence/s3.ts';
import type { EvidenceStore, NewEntry, Receipt } from '../../../activities/evidence/store.ts';
import { verifyEvidence } from '../../../client/evidence.ts';
import { chain, lineOf, type EvidenceEntry } from '../../../domain/evidence/evidence.ts';
import { S3Refusal } from '../../../sandbox/s3/answers.ts';
import type { ServedS3 } from '../../sandbox/s3-fixture.ts';
import { errorOf, openPlaces, type Places } from './places.ts';

const run = 'r-20261121-7kq2m';
const Bucket = 'records';
const place = { bucket: Bucket, prefix: 'holdpoint', region: 'eu-central-1' };
const url = `s3://records/holdpoint/${run}`;

let places: Places;
let s3: ServedS3;
let store: EvidenceStore;

beforeEach(async () => {
  places = await openPlaces();
  s3 = places.s3;
  store = createEvidenceBucket(place);
});

afterEach(() => places.close());

const entryOf = (sequence: number, body: NewEntry['body'] = { sequence }): NewEntry => ({ sequence, kind: 'step.performed', body });

async function append(count: number, to = store): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) receipts.push(await to.append(run, entryOf(sequence)));
  return receipts;
}

const receiptOf = ({ sequence, at, hash }: EvidenceEntry): Receipt => ({ sequence, at, hash });

describe('a record', () => {
  test('lies at the top of the bucket without a prefix', async () => {
    const top = createEvidenceBucket({ ...place, prefix: undefined });
    await append(1, top);
    const { Contents } = await s3.client.send(new ListObjectsV2Command({ Bucket }));
    expect(Contents?.map(({ Key }) => Key)).toEqual([`${run}/000000001.json`]);
    expect(top.pathOf(run)).toBe(`s3://records/${run}`);
    expect(await top.read(run)).toHaveLength(1);
  });

  test('is continued with one call per entry, also by a process that has not begun it', async () => {
    await append(2);
    const reads = s3.calls('GetObject');
    await store.append(run, entryOf(3));
    expect([s3.calls('PutObject'), s3.calls('GetObject') - reads]).toEqual([3, 0]);
    await createEvidenceBucket(place).append(run, entryOf(4));
    expect((await store.read(run)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
  });

  test('of more entries than a list of S3 has is read and verified whole', async () => {
    const entries: EvidenceEntry[] = [];
    const at = new Date().toISOString();
    while (entries.length < 1_001) entries.push(chain(entries.at(-1), { run, at, kind: 'step.performed', body: {} }));
    for (const entry of entries) s3.seed(Bucket, `holdpoint/${run}/${String(entry.sequence).padStart(9, '0')}.json`, `${lineOf(entry)}\n`);
    expect(await verifyEvidence(url)).toMatchObject({ ok: true, entries: 1_001, problems: [] });
    expect(s3.calls('ListObjectsV2')).toBe(2);
  });
});

describe('an entry that is written again', () => {
  test('because the reply was lost is there once, and answered as it was written', async () => {
    await append(1);
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    const receipt = await store.append(run, entryOf(2));
    expect(s3.calls('PutObject')).toBe(3);
    expect((await store.read(run)).map(receiptOf)[1]).toEqual(receipt);
  });

  test('because every reply was lost is an error first, and answered as it was written then', async () => {
    s3.addFault({ operation: 'PutObject', effect: 'lost-reply', times: 1 });
    s3.addFault({ operation: 'GetObject', effect: 'lost-reply', times: 3 });
    expect(await errorOf(store.append(run, entryOf(1)))).toMatchObject({
      code: 'evidence-unwritable',
      consequence: 'retry',
      message: expect.stringContaining(`Entry 1 of run ${run} could not be written to ${url}: `),
    });
    const receipt = await store.append(run, entryOf(1));
    expect((await store.read(run)).map(receiptOf)).toEqual([receipt]);
  });
});

test('a writer that S3 refuses because another write is under way finds out what is there', async () => {
  const conflict = new S3Refusal(409, 'ConditionalRequestConflict', 'The conditional request cannot succeed.');
  s3.addFault({ operation: 'PutObject', effect: conflict, times: 4 });
  expect(await store.append(run, entryOf(1))).toMatchObject({ sequence: 1 });
  s3.addFault({ operation: 'PutObject', effect: conflict, times: 5 });
  const error = await errorOf(store.append(run, entryOf(2)));
  expect(error).toMatchObject({ code: 'evidence-unwritable', consequence: 'retry' });
  expect(error.message).toContain('entry 2 is said to be there, 5 times, and cannot be found');
  expect(await store.read(run)).toHaveLength(1);
});

describe('trouble with S3', () => {
  test('that throttles for a while is waited for', async () => {
    s3.addFault({ operation: 'PutObject', effect: new S3Refusal(503, 'SlowDown', 'Please reduce your request rate.'), times: 2 });
    expect(await append(1)).toHaveLength(1);
  });

  test.each<[string, S3Refusal, string, string]>([
    ['throttling without end', new S3Refusal(503, 'SlowDown', 'Reduce.'), 'retry', 'S3 could not take the request just now (SlowDown).'],
    [
      'a missing right',
      new S3Refusal(403, 'AccessDenied', 'User: arn:aws:iam::1:role/w is not authorized to perform: s3:PutObject.'),
      'stuck',
      'S3 denied access (AccessDenied: User: arn:aws:iam::1:role/w is not authorized to perform: s3:PutObject).',
    ],
    [
      'an expired token',
      new S3Refusal(400, 'ExpiredToken', 'The provided token has expired.', { 'Token-0': 'c2VjcmV0' }),
      'stuck',
      'S3 does not accept the AWS credentials (ExpiredToken).',
    ],
    [
      'an unknown key',
      new S3Refusal(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist.', { AWSAccessKeyId: 'c2VjcmV0' }),
      'stuck',
      'S3 does not accept the AWS credentials (InvalidAccessKeyId).',
    ],
  ])('in the form of %s is named, without secrets', async (_title, effect, consequence, why) => {
    s3.addFault({ operation: 'PutObject', effect, times: 3 });
    const error = await errorOf(store.append(run, entryOf(1)));
    expect(error).toMatchObject({ code: 'evidence-unwritable', consequence });
    expect(error.message).toBe(`Entry 1 of run ${run} could not be written to ${url}: ${why}`);
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('c2VjcmV0');
  });

  test('whose bucket is missing is named when writing, reading and starting', async () => {
    const nowhere = createEvidenceBucket({ ...place, bucket: 'nowhere' });
    for (const work of [
      () => nowhere.append(run, entryOf(1)),
      () => nowhere.read(run),
      () => bucketProtection({ ...place, bucket: 'nowhere' }),
    ]) {
      const error = await errorOf(work());
      expect(error.consequence).toBe('stuck');
      expect(error.message).toContain(': the bucket nowhere does not exist.');
    }
  });

  test('without credentials is named', async () => {
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
    const error = await errorOf(createEvidenceBucket(place).append(run, entryOf(1)));
    expect(error).toMatchObject({ consequence: 'stuck', message: expect.stringContaining(': there are no AWS credentials.') });
  });

  test('that cannot be reached may pass', async () => {
    await s3.stop();
    const error = await errorOf(store.append(run, entryOf(1)));
    expect(error).toMatchObject({ code: 'evidence-unwritable', consequence: 'retry', message: expect.stringContaining('ECONNREFUSED') });
  });
});

describe('Object Lock', () => {
  test('is told when a worker starts: with its retention, as missing, or as not known', async () => {
    expect(await bucketProtection({ ...place, bucket: 'locked' })).toEqual({
      isLocked: true,
      sentence: 'Records are kept in the bucket locked, which locks each object for 30 days (Object Lock, COMPLIANCE).',
    });
    expect(await bucketProtection(place)).toMatchObject({ isLocked: false, sentence: expect.stringContaining('no Object Lock') });
    s3.addFault({ operation: 'GetObjectLockConfiguration', effect: new S3Refusal(403, 'AccessDenied', 'Access Denied'), times: 1 });
    expect((await bucketProtection(place)).isLocked).toBeUndefined();
  });

  test('of the bucket keeps the entries, and a verification says how many and until when', async () => {
    const locked = createEvidenceBucket({ ...place, bucket: 'locked' });
    await append(2, locked);
    const report = await verifyEvidence(locked.pathOf(run));
    expect(report).toMatchObject({ ok: true, locked: { objects: 2 } });
    expect((Date.parse(report.locked?.until ?? '') - Date.now()) / 86_400_000).toBeCloseTo(30, 2);
    await append(1);
    expect((await verifyEvidence(url)).locked).toEqual({ objects: 0, until: undefined });
  });
});

test('a bucket without entries of a run, or without a run, is no record', async () => {
  expect((await verifyEvidence(url)).problems).toEqual([{ line: 1, sentence: 'The record has no entries.' }]);
  await expect(verifyEvidence('s3://records')).rejects.toThrow('s3://records names no record.');
});
