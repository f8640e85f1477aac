import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createKey } from '../../client/keys.ts';
import { s3Environment, serveS3, type ServedS3 } from '../sandbox/s3-fixture.ts';
import { startProgram } from '../support/start-program.ts';

let directory: string;
let publicKey: string;
let keyFile: string;
let s3: ServedS3;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-start-up-'));
  publicKey = await createKey('blue', path.join(directory, 'keys'));
  keyFile = path.join(directory, 'keys/blue.jwk');
  s3 = await serveS3({ name: 'heads', objectLock: { retention: { mode: 'COMPLIANCE', days: 30 } } });
});
afterAll(async () => {
  await s3.stop();
  await rm(directory, { recursive: true, force: true });
});

/** What a worker says that reaches no Temporal server, where it gets that far. */
async function startWorker(name: string, sections: readonly string[], keys?: string, mode = 0o600): Promise<string> {
  const file = path.join(directory, `${name}.yaml`);
  const head = ['apiVersion: holdpoint.dev/v1', 'kind: Configuration', 'people: {}', 'groups: {}', 'policies: {}'];
  await writeFile(file, [...head, ...sections, ''].join('\n'));
  await chmod(file, mode);
  const key: Record<string, string> = keys === undefined ? {} : { HOLDPOINT_WORKER_KEY: keys };
  const env = { ...s3Environment(s3.url), HOLDPOINT_CONFIG: file, TEMPORAL_ADDRESS: '127.0.0.1:1', ...key };
  const { code, stderr } = await startProgram('worker/main', [], env);
  expect(code).toBe(1);
  return stderr;
}

const reachedTemporal = 'No Temporal server answers at 127.0.0.1:1';
const workers = (key: string): string => `workers: { blue: { key: ${key}, from: 2020-01-01T00:00:00Z } }`;

test('a worker goes no further with a key that is not there, or that others may read', async () => {
  const open = path.join(directory, 'open');
  await createKey('green', open);
  await chmod(path.join(open, 'green.jwk'), 0o644);
  const [missing, readable] = await Promise.all([
    startWorker('missing', [workers(publicKey)], path.join(directory, 'keys/red.jwk')),
    startWorker('readable', [workers(publicKey)], path.join(open, 'green.jwk')),
  ]);
  expect(missing).toContain(`red has no key in ${path.join(directory, 'keys')}.`);
  expect(readable).toContain(`green.jwk is open to other users (mode 644). Close it with: chmod 600 ${open}/green.jwk`);
  for (const said of [missing, readable]) expect(said).not.toContain(reachedTemporal);
});

test('a worker says that its key does not count yet, or that it has none where others have one', async () => {
  const other = await createKey('grey', path.join(directory, 'other'));
  const [unknown, without, known] = await Promise.all([
    startWorker('unknown', [workers(other)], keyFile),
    startWorker('without', [workers(other)]),
    startWorker('known', [workers(publicKey)], keyFile),
  ]);
  expect(unknown).toContain(`The key of this worker is not in workers: of holdpoint.yaml; add it: { key: ${publicKey}, from: … }.`);
  expect(without).toContain('HOLDPOINT_WORKER_KEY is not set: this worker signs no entries, which `evidence verify` objects to.');
  expect(known).not.toMatch(/HOLDPOINT_WORKER_KEY|key of this worker/);
  for (const said of [unknown, without, known]) expect(said).toContain(reachedTemporal);
});

test('a worker goes no further with a holdpoint.yaml or a second place that everybody may write to', async () => {
  const heads = path.join(directory, 'open-heads');
  await mkdir(heads);
  await chmod(heads, 0o777);
  const [file, place] = await Promise.all([
    startWorker('writable', [workers(publicKey)], keyFile, 0o666),
    startWorker('open-place', ['anchor: { directory: open-heads }'], keyFile),
  ]);
  expect(file).toContain(`everybody may write to it (mode 666). Close it with: chmod o-w ${directory}/writable.yaml`);
  expect(place).toContain(`everybody may write to the directory ${heads} (mode 777). Close it with: chmod o-w ${heads}`);
  for (const said of [file, place]) expect(said).not.toContain(reachedTemporal);
});

test('a worker says whether the bucket of the second place locks its objects, and goes no further if there is no bucket', async () => {
  const anchorIn = (bucket: string): string => `anchor: { s3: { bucket: ${bucket}, region: eu-central-1 } }`;
  const [started, refused] = await Promise.all([
    startWorker('anchored', [anchorIn('heads')], keyFile),
    startWorker('nowhere', [anchorIn('nowhere')], keyFile),
  ]);
  expect(started).toContain(
    'Heads of records are kept in the bucket heads, which locks each object for 30 days (Object Lock, COMPLIANCE).',
  );
  expect(started).toContain(reachedTemporal);
  expect(refused).toContain('The bucket nowhere cannot keep heads of records: the bucket nowhere does not exist.');
  expect(refused).not.toContain(reachedTemporal);
});
