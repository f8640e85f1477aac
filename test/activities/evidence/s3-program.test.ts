import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createEvidenceBucket } from '../../../activities/evidence/s3.ts';
import type { EvidenceStore } from '../../../activities/evidence/store.ts';
import { lineOf } from '../../../domain/evidence/evidence.ts';
import { runCommand } from '../../support/run-command.ts';
import { startProgram } from '../../support/start-program.ts';
import { openPlaces, region, type Places } from './places.ts';

const run = 'r-20261121-7kq2m';
const url = `s3://records/holdpoint/${run}`;

let places: Places;
let store: EvidenceStore;

beforeEach(async () => {
  places = await openPlaces();
  store = createEvidenceBucket({ bucket: 'records', prefix: 'holdpoint', region });
});

afterEach(() => places.close());

async function append(count: number): Promise<void> {
  for (let sequence = 1; sequence <= count; sequence += 1)
    await store.append(run, { sequence, kind: 'step.performed', body: { sequence } });
}

/** `holdpoint evidence verify …` as somebody types it. */
const verify = (...args: string[]) => runCommand('evidence', 'verify', ...args);

async function startWorker(bucket: string): Promise<string> {
  const file = path.join(places.home, `${bucket}.yaml`);
  const head = 'apiVersion: holdpoint.dev/v1\nkind: Configuration\npeople: {}\ngroups: {}\npolicies: {}\n';
  await writeFile(file, `${head}evidence: { s3: { bucket: ${bucket}, region: ${region} } }\n`);
  const { code, stderr } = await startProgram('worker/main', [], { HOLDPOINT_CONFIG: file, TEMPORAL_ADDRESS: '127.0.0.1:1' });
  expect(code).toBe(1);
  return stderr;
}

test('a worker says at its start whether the bucket locks its objects, and goes no further if there is no bucket', async () => {
  const [started, refused] = await Promise.all([startWorker('locked'), startWorker('nowhere')]);
  expect(started).toContain('Records are kept in the bucket locked, which locks each object for 30 days (Object Lock, COMPLIANCE).');
  // It got as far as Temporal, of which there is none here.
  expect(started).toContain('No Temporal server answers at 127.0.0.1:1');
  const why = 'The bucket nowhere cannot keep records: the bucket nowhere does not exist.';
  expect(refused).toContain(`nowhere.yaml cannot be used: ${why}`);
  expect(refused).not.toContain('Temporal server');
});

test('whoever verifies a record in S3 may write it to a file, which is in order, too', async () => {
  await append(3);
  const output = path.join(places.home, 'record.jsonl');
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

test('whoever verifies hears of an object that was removed, and of a bucket that is not there', async () => {
  await append(3);
  await places.bucket.remove(`${run}/000000002.json`);
  const found = await verify(url);
  expect(found).toMatchObject({ code: 1, stdout: expect.stringContaining('✗ 000000003.json: Entry 2 is missing before Entry 3') });
  const nowhere = await verify('s3://nowhere/r-1');
  expect(nowhere.code).toBe(2);
  expect(nowhere.stderr).toContain('error: The record s3://nowhere/r-1 cannot be read: the bucket nowhere does not exist.');
  expect(nowhere.stderr).toContain('Correct its name, or make the bucket.');
});

test('whoever verifies hears that S3 does not answer', async () => {
  await places.s3.stop();
  const { code, stderr } = await startProgram('cli/main', ['evidence', 'verify', url]);
  expect(code).toBe(2);
  expect(stderr).toContain(`The record ${url} cannot be read: S3 did not answer (ECONNREFUSED).`);
});
