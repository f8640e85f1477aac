import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { inspect } from 'node:util';
import { DeleteObjectCommand, GetObjectCommand, paginateListObjectsV2, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEvidenceBucket, type EvidenceBucketStore } from '../../../activities/evidence/s3.ts';
import { EvidenceError, type NewEntry, type Receipt } from '../../../activities/evidence/store.ts';
import { verifyEvidence } from '../../../client/evidence.ts';
import { chain, evidenceBodyBytesMax, lineOf, verifyChain, type EvidenceEntry } from '../../../domain/evidence/evidence.ts';
import { S3Refusal } from '../../../sandbox/s3/answers.ts';
import { s3Environment, serveS3, type ServedS3 } from '../../sandbox/s3-fixture.ts';

const run = 'r-20261121-7kq2m';
const Bucket = 'records';
const place = { bucket: Bucket, prefix: 'holdpoint', region: 'eu-central-1' };
const url = `s3://records/holdpoint/${run}`;
const environmentBefore = { ...process.env };

let s3: ServedS3;
let store: EvidenceBucketStore;

beforeEach(async () => {
  s3 = await serveS3({ name: Bucket }, { name: 'locked', objectLock: { retention: { mode: 'COMPLIANCE', days: 30 } } });
  Object.assign(process.env, s3Environment(s3.url));
  store = createEvidenceBucket(place);
});

afterEach(async () => {
  for (const name of [...Object.keys(s3Environment('')), 'HOLDPOINT_CONFIG', 'TEMPORAL_ADDRESS']) {
    if (environmentBefore[name] === undefined) delete process.env[name];
    else process.env[name] = environmentBefore[name];
  }
  await s3.stop();
});

const entryOf = (sequence: number, body: NewEntry['body'] = { sequence }): NewEntry => ({ sequence, kind: 'step.performed', body });

const keyOf = (sequence: number) => `holdpoint/${run}/${String(sequence).padStart(9, '0')}.json`;

async function errorOf(work: Promise<unknown>): Promise<EvidenceError> {
  const error = await work.catch((reason: unknown) => reason);
  if (error instanceof EvidenceError) return error;
  throw new Error(`expected an EvidenceError, got ${String(error)}`);
}

async function append(count: number, to = store): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) receipts.push(await to.append(run, entryOf(sequence)));
  return receipts;
}

/** The objects of the bucket as anybody would read them, by key. */
async function objects(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { Contents } of paginateListObjectsV2({ client: s3.client }, { Bucket })) {
    for (const { Key = '' } of Contents ?? []) {
      found.set(Key, (await (await s3.client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()) ?? '');
    }
  }
  return found;
}

const overwrite = (Key: string, Body: string) => s3.client.send(new PutObjectCommand({ Bucket, Key, Body }));
const remove = (Key: string) => s3.client.send(new DeleteObjectCommand({ Bucket, Key }));

const receiptOf = ({ sequence, at, hash }: EvidenceEntry): Receipt => ({ sequence, at, hash });

interface Writer {
  receipts: Receipt[];
  ended: Promise<unknown>;
}

function startWriter(...args: string[]): Writer {
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/activities/evidence/s3-writer.ts', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: process.env,
  });
  const lines = createInterface({ input: child.stdout });
  const receipts: Receipt[] = [];
  lines.on('line', (line) => receipts.push(JSON.parse(line) as Receipt));
  return { receipts, ended: Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([exit]) => exit[0] as unknown) };
}

describe('a record', () => {
  test('grows by one object per entry; put together they are its file of JSON lines', async () => {
    const receipts = await append(3);
    const found = await objects();
    expect([...found.keys()]).toEqual([keyOf(1), keyOf(2), keyOf(3)]);
    expect(verifyChain([...found.values()].join(''), run)).toMatchObject({ ok: true });
    const entries = await store.read(run);
    expect(entries.map(receiptOf)).toEqual(receipts);
    expect(entries.map(({ body }) => body)).toEqual([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
    expect(store.pathOf(run)).toBe(url);
  });

  test('is empty for a run that has none, and another run with the same beginning is another one', async () => {
    await append(1);
    expect(await store.read('r-unknown')).toEqual([]);
    expect(await store.read(run.slice(0, -1))).toEqual([]);
  });

  test('lies at the top of the bucket without a prefix', async () => {
    const top = createEvidenceBucket({ ...place, prefix: undefined });
    await append(1, top);
    expect([...(await objects()).keys()]).toEqual([`${run}/000000001.json`]);
    expect(top.pathOf(run)).toBe(`s3://records/${run}`);
    expect(await top.read(run)).toHaveLength(1);
  });

  test('takes an entry of the full size and other scripts, and refuses a larger one before anything is written', async () => {
    await store.append(run, entryOf(1, { text: 'x'.repeat(evidenceBodyBytesMax - '{"text":""}'.length) }));
    await store.append(run, entryOf(2, { text: 'Grüße, 世界 🛑 \u2028\n' }));
    expect((await store.read(run))[1]?.body).toEqual({ text: 'Grüße, 世界 🛑 \u2028\n' });
    const error = await errorOf(store.append(run, entryOf(3, { text: 'x'.repeat(evidenceBodyBytesMax) })));
    expect(error).toMatchObject({ code: 'evidence-entry-malformed', consequence: 'refuse' });
    expect(await store.read(run)).toHaveLength(2);
  });

  test('is continued with one call per entry, also by a process that has not begun it', async () => {
    await append(2);
    const reads = s3.calls('GetObject');
    await store.append(run, entryOf(3));
    expect([s3.calls('PutObject'), s3.calls('GetObject') - reads]).toEqual([3, 0]);
    await createEvidenceBucket(place).append(run, entryOf(4));
    expect((await store.read(run)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
  });

  test('of 1,200 entries is read and verified whole', async () => {
    await append(1_200);
    expect(await store.read(run)).toHaveLength(1_200);
    expect(s3.calls('ListObjectsV2')).toBe(2);
    expect(await verifyEvidence(url)).toMatchObject({ ok: true, entries: 1_200, problems: [] });
  });
});

describe('an entry that is written again', () => {
  test('changes nothing and is answered as the first time, also by another process', async () => {
    const receipts = await append(3);
    const before = await objects();
    for (const other of [store, createEvidenceBucket(place)]) expect(await append(3, other)).toEqual(receipts);
    expect(await objects()).toEqual(before);
  });

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

  test.each<[string, NewEntry]>([
    ['another body', entryOf(2, { sequence: 20 })],
    ['another kind', { ...entryOf(2), kind: 'step.stuck' }],
  ])('with %s is refused', async (_title, entry) => {
    await append(3);
    const before = await objects();
    for (const other of [store, createEvidenceBucket(place)]) {
      const error = await errorOf(other.append(run, entry));
      expect(error).toMatchObject({ code: 'evidence-conflict', consequence: 'stuck' });
      expect(error.message).toBe(
        `Entry 2 of run ${run} is in ${url} already, as step.performed with other contents than this ${entry.kind}.`,
      );
    }
    expect(await objects()).toEqual(before);
  });
});

describe('an entry is refused', () => {
  test('that would leave a gap', async () => {
    expect(await errorOf(store.append(run, entryOf(2)))).toMatchObject({
      code: 'evidence-gap',
      message: `Entry 2 (step.performed) of run ${run} cannot be written to ${url}: the record ends with entry 0.`,
    });
    await append(3);
    expect((await errorOf(store.append(run, entryOf(5)))).message).toContain('the record ends with entry 3');
    await remove(keyOf(2));
    expect((await errorOf(createEvidenceBucket(place).append(run, entryOf(3)))).message).toContain('entry 2 is missing');
    expect([...(await objects()).keys()]).toEqual([keyOf(1), keyOf(3)]);
  });

  test.each([0, -1, 1.5, 100_001])('with the number %d', async (sequence) => {
    await errorOf(store.append(run, entryOf(sequence)));
    expect(s3.calls('PutObject')).toBe(0);
  });

  test.each(['../../etc/passwd', '', 'a/b'])('of the run %j, which is no id', async (id) => {
    expect(await errorOf(store.append(id, entryOf(1)))).toMatchObject({ code: 'evidence-run-malformed' });
    expect(await errorOf(store.read(id))).toMatchObject({ code: 'evidence-run-malformed' });
  });
});

describe('several writers', () => {
  test('in one process that write the same entry at once get the same answer', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => store.append(run, entryOf(1))));
    expect(new Set(answers.map(({ hash }) => hash)).size).toBe(1);
    expect(await store.read(run)).toHaveLength(1);
  });

  test('in four processes that write the same entries at once get the same answers', async () => {
    const writers = Array.from({ length: 4 }, () => startWriter('same', Bucket, run, '25'));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const receipts = (await store.read(run)).map(receiptOf);
    expect(receipts).toHaveLength(25);
    for (const writer of writers) expect(writer.receipts).toEqual(receipts);
  });

  test('in four processes that write different entries lose none and write none twice', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const writers = names.map((name) => startWriter('own', Bucket, run, '15', name));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const entries = await store.read(run);
    expect(entries).toHaveLength(60);
    for (const name of names) {
      const own = entries.filter(({ body }) => body.name === name);
      expect(own.map(({ body }) => body.written)).toEqual(Array.from({ length: 15 }, (_, index) => index));
    }
  });

  test('of which S3 refuses one because another is under way find out what is there', async () => {
    const conflict = new S3Refusal(409, 'ConditionalRequestConflict', 'The conditional request cannot succeed.');
    s3.addFault({ operation: 'PutObject', effect: conflict, times: 4 });
    expect(await store.append(run, entryOf(1))).toMatchObject({ sequence: 1 });
    s3.addFault({ operation: 'PutObject', effect: conflict, times: 5 });
    const error = await errorOf(store.append(run, entryOf(2)));
    expect(error).toMatchObject({ code: 'evidence-unwritable', consequence: 'retry' });
    expect(error.message).toContain('S3 said 5 times that entry 2 is there, but shows none');
    expect(await store.read(run)).toHaveLength(1);
  });
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
    for (const work of [() => nowhere.append(run, entryOf(1)), () => nowhere.read(run), () => nowhere.protection()]) {
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
    expect(await createEvidenceBucket({ ...place, bucket: 'locked' }).protection()).toEqual({
      isLocked: true,
      sentence: 'Records are kept in the bucket locked, which locks each entry for 30 days (Object Lock, COMPLIANCE).',
    });
    expect(await store.protection()).toMatchObject({ isLocked: false, sentence: expect.stringContaining('no Object Lock') });
    s3.addFault({ operation: 'GetObjectLockConfiguration', effect: new S3Refusal(403, 'AccessDenied', 'Access Denied'), times: 1 });
    expect((await store.protection()).isLocked).toBeUndefined();
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

describe('a record that was tampered with', () => {
  async function swap(one: number, other: number): Promise<void> {
    const found = await objects();
    await overwrite(keyOf(one), found.get(keyOf(other)) ?? '');
    await overwrite(keyOf(other), found.get(keyOf(one)) ?? '');
  }
  const change = async (sequence: number, from: string, to: string) =>
    overwrite(keyOf(sequence), ((await objects()).get(keyOf(sequence)) ?? '').replace(from, to));

  test.each<[string, () => Promise<unknown>, string, string]>([
    ['removed', () => remove(keyOf(3)), '000000004.json', 'Entry 3 is missing before Entry 4 (step.performed).'],
    ['removed at the beginning', () => remove(keyOf(1)), '000000002.json', 'Entry 1 is missing before Entry 2'],
    ['changed', () => change(3, '{"sequence":3}', '{"sequence":4}'), '000000003.json', 'Entry 3 (step.performed) was changed'],
    ['written anew with a space', () => change(3, '"body":', '"body": '), '000000003.json', 'the line is not canonical JSON'],
    ['given a second line', () => change(3, '\n', '\n\n'), '000000003.json', 'The object is not one line of UTF-8 text: it was changed.'],
    ['robbed of its line end', () => change(3, '\n', ''), '000000003.json', 'The object is not one line of UTF-8 text: it was changed.'],
    ['swapped with another', () => swap(2, 4), '000000002.json', 'The object holds entry 4: it was moved or replaced.'],
    ['added beside them', () => overwrite(`holdpoint/${run}/notes.txt`, 'x'), 'notes.txt', 'The object is no entry of the record'],
    ['added behind them', async () => overwrite(keyOf(6), (await objects()).get(keyOf(5)) ?? ''), '000000006.json', 'holds entry 5'],
    ['made too large', () => overwrite(keyOf(3), 'x'.repeat(evidenceBodyBytesMax + 2_000)), '000000003.json', 'larger than any entry'],
  ])('is found out when an object was %s', async (_title, tamper, object, sentence) => {
    await append(5);
    expect(await verifyEvidence(url)).toMatchObject({ ok: true, run, entries: 5 });
    await tamper();
    const report = await verifyEvidence(url);
    expect(report.ok).toBe(false);
    expect(report.problems).toContainEqual(expect.objectContaining({ object, sentence: expect.stringContaining(sentence) }));
    expect(await errorOf(store.read(run))).toMatchObject({ code: 'evidence-damaged', consequence: 'stuck' });
  });

  test('is found out when it is the record of another run', async () => {
    await append(2);
    for (const [key, text] of await objects()) await overwrite(key.replace(run, 'r-other'), text);
    const report = await verifyEvidence('s3://records/holdpoint/r-other');
    expect(report.problems[0]?.sentence).toBe(`Entry 1 (step.performed) belongs to run ${run}, but this is the record of run r-other.`);
    expect((await errorOf(store.append('r-other', entryOf(3)))).message).toContain(`in the place of entry 2 is entry 2 of run ${run}`);
  });

  test('is not continued by a process that sees it for the first time', async () => {
    await append(3);
    await change(3, '"sequence":3}', '"sequence":4}');
    const error = await errorOf(createEvidenceBucket(place).append(run, entryOf(4)));
    expect(error).toMatchObject({ code: 'evidence-damaged', message: expect.stringContaining('entry 3 cannot be continued: Entry 3') });
  });

  test('by sealing an entry anew is found when the one behind it is written again', async () => {
    await append(3);
    const [first, second] = await store.read(run);
    if (!first || !second) throw new Error('the record has no entries');
    await overwrite(keyOf(2), `${lineOf(chain(first, { ...second, body: { sequence: 20 } }))}\n`);
    expect(await errorOf(createEvidenceBucket(place).append(run, entryOf(3)))).toMatchObject({
      code: 'evidence-damaged',
      message: `The record ${url} is damaged: entry 3 does not follow from the one before.`,
    });
    expect((await verifyEvidence(url)).problems).toEqual([
      { line: 3, object: '000000003.json', sentence: expect.stringContaining('does not follow from entry 2: one of them was replaced.') },
    ]);
  });

  test('behind the back of a process that remembers its end is found when an entry is there already', async () => {
    const [, second] = await append(2);
    const found = await objects();
    // The same two entries, sealed again a little later, and a third one.
    for (const key of found.keys()) await remove(key);
    const other = createEvidenceBucket(place);
    await append(3, other);
    expect((await other.read(run))[1]?.hash).not.toBe(second?.hash);
    expect(await store.append(run, entryOf(3))).toEqual((await other.read(run)).map(receiptOf)[2]);
    expect(await verifyEvidence(url)).toMatchObject({ ok: true, entries: 3 });
  });

  test('to the point that nothing is left is no record', async () => {
    expect((await verifyEvidence(url)).problems).toEqual([{ line: 1, sentence: 'The record has no entries.' }]);
    await expect(verifyEvidence('s3://records')).rejects.toThrow('s3://records names no record.');
  });
});

describe('the program', () => {
  let directory: string;
  beforeEach(async () => (directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-s3-'))));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function start(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = execFile(process.execPath, ['--import', 'tsx', ...args], { env: process.env });
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (text: string) => (stdout += text));
    child.stderr?.on('data', (text: string) => (stderr += text));
    const [code] = (await once(child, 'close')) as [number];
    return { code, stdout, stderr };
  }

  const verify = (...args: string[]) => start('cli/main.ts', 'evidence', 'verify', ...args);

  async function startWorker(bucket: string): Promise<string> {
    const file = path.join(directory, 'holdpoint.yaml');
    const head = 'apiVersion: holdpoint.dev/v1\nkind: Configuration\npeople: {}\ngroups: {}\npolicies: {}\n';
    await writeFile(file, `${head}evidence: { s3: { bucket: ${bucket}, region: eu-central-1 } }\n`);
    Object.assign(process.env, { HOLDPOINT_CONFIG: file, TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const { code, stderr } = await start('worker/main.ts');
    expect(code).toBe(1);
    return stderr;
  }

  test('of a worker says at its start whether the bucket locks its objects, and goes no further if there is no bucket', async () => {
    const started = await startWorker('locked');
    expect(started).toContain('Records are kept in the bucket locked, which locks each entry for 30 days (Object Lock, COMPLIANCE).');
    // It got as far as Temporal, of which there is none here.
    expect(started).toContain('No Temporal server answers at 127.0.0.1:1');
    const refused = await startWorker('nowhere');
    const why = 'The bucket nowhere cannot keep the records of runs: the bucket nowhere does not exist.';
    expect(refused).toContain(`holdpoint.yaml cannot be used: ${why}`);
    expect(refused).not.toContain('Temporal server');
  });

  test('that verifies checks a record in S3, writes it to a file, and the file is in order, too', async () => {
    await append(3);
    const output = path.join(directory, 'record.jsonl');
    const first = await verify(url, '--output', output);
    // The record of a run that goes on is in order, but not whole.
    expect(first).toMatchObject({
      code: 3,
      stdout: expect.stringContaining(`! ${run}: 3 entries, 0 signatures; what is there was not changed`),
    });
    expect(first.stdout).toContain('S3 shows no lock on any object');
    expect(await readFile(output, 'utf8')).toBe((await store.read(run)).map((entry) => `${lineOf(entry)}\n`).join(''));
    expect((await stat(output)).mode & 0o777).toBe(0o600);
    expect((await verify(output)).code).toBe(3);
    const again = await verify(url, '--output', output);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('EEXIST: file already exists') });
  });

  test('that verifies names the object that was removed, a bucket that is not there, and a server that does not answer', async () => {
    await append(3);
    await remove(keyOf(2));
    const found = await verify(url);
    expect(found).toMatchObject({ code: 1, stdout: expect.stringContaining('✗ 000000003.json: Entry 2 is missing before Entry 3') });
    const nowhere = await verify('s3://nowhere/r-1');
    expect(nowhere.code).toBe(2);
    expect(nowhere.stderr).toContain('error: The record s3://nowhere/r-1 cannot be read: the bucket nowhere does not exist.');
    expect(nowhere.stderr).toContain('Correct its name, or make the bucket.');
    await s3.stop();
    expect((await verify(url)).stderr).toContain(`The record ${url} cannot be read: S3 did not answer (ECONNREFUSED).`);
  });
});
