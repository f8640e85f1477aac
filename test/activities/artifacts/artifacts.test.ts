import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createArtifactDirectory } from '../../../activities/artifacts/directory.ts';
import { createArtifactBucket } from '../../../activities/artifacts/s3.ts';
import type { Artifact, ArtifactStore } from '../../../activities/artifacts/store.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { S3Refusal } from '../../../sandbox/s3/answers.ts';
import { s3Environment, serveS3, type ServedS3 } from '../../sandbox/s3-fixture.ts';
import { testProgram } from '../../support/shared.ts';

const mebibyte = 1024 * 1024;
const unfinished = '.unfinished';
const bucket = { bucket: 'artifacts', prefix: 'snapshots', region: 'eu-central-1' };

let environment: NodeJS.ProcessEnv;
let home: string;
let s3: ServedS3;

beforeEach(async () => {
  environment = { ...process.env };
  home = await mkdtemp(path.join(tmpdir(), 'holdpoint-artifacts-'));
  s3 = await serveS3({ name: bucket.bucket });
  Object.assign(process.env, s3Environment(s3.url), { TMPDIR: home });
});

afterEach(async () => {
  for (const name of [...Object.keys(s3Environment('')), 'TMPDIR']) {
    if (environment[name] === undefined) delete process.env[name];
    else process.env[name] = environment[name];
  }
  await s3.stop();
  await rm(home, { recursive: true, force: true });
});

/** A place with the way past the store that somebody has who owns the disk or the bucket. */
interface Place {
  open(): ArtifactStore;
  pathOf(hex: string): string;
  /** What can be seen. */
  names(): Promise<string[]>;
  read(hex: string): Promise<Buffer>;
  write(hex: string, bytes: Buffer): Promise<unknown>;
  remove(hex: string): Promise<unknown>;
  /** The directory of files that are not whole yet. */
  unfinished(): string;
}

const fileOf = (hex: string): string => path.join(home, 'artifacts', hex);
const objectOf = (hex: string) => ({ Bucket: bucket.bucket, Key: `${bucket.prefix}/${hex}` });
const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const places: [string, Place][] = [
  [
    'a directory',
    {
      open: () => createArtifactDirectory(path.join(home, 'artifacts')),
      pathOf: fileOf,
      names: async () => (await namesIn(path.join(home, 'artifacts'))).filter((name) => name !== unfinished),
      read: (hex) => readFile(fileOf(hex)),
      write: (hex, bytes) => writeFile(fileOf(hex), bytes),
      remove: (hex) => rm(fileOf(hex)),
      unfinished: () => path.join(home, 'artifacts', unfinished),
    },
  ],
  [
    'a bucket',
    {
      open: () => createArtifactBucket(bucket),
      pathOf: (hex) => `s3://${bucket.bucket}/${bucket.prefix}/${hex}`,
      names: async () => {
        const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: bucket.bucket }));
        return Contents.map(({ Key = '' }) => path.posix.relative(bucket.prefix, Key));
      },
      read: async (hex) => {
        const { Body } = await s3.client.send(new GetObjectCommand(objectOf(hex)));
        return Buffer.from((await Body?.transformToByteArray()) ?? []);
      },
      write: async (hex, bytes) => s3.seed(bucket.bucket, objectOf(hex).Key, bytes),
      remove: (hex) => s3.client.send(new DeleteObjectCommand(objectOf(hex))),
      unfinished: () => path.join(home, `holdpoint-artifacts-${process.getuid?.()}`, unfinished),
    },
  ],
];

async function* chunksOf(bytes: Buffer, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function errorOf(work: Promise<unknown>): Promise<HoldpointError> {
  const error = await work.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  if (error instanceof HoldpointError) return error;
  throw new Error(`expected a HoldpointError, got ${String(error)}`);
}

const hexOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe.each(places)('%s', (_title, place) => {
  /** Two whole parts of an upload and a bit. */
  const large = randomBytes(17 * mebibyte + 3);
  const small = Buffer.from('a snapshot: Grüße');
  const hex = hexOf(small);

  test.each<[string, Buffer]>([
    ['nothing at all', Buffer.alloc(0)],
    ['a few bytes', small],
    ['many megabytes', large],
  ])('gives back %s as they were, under their digest, and leaves nothing else', async (_what, bytes) => {
    const artifact = await place.open().put(chunksOf(bytes), { name: 'etcd-3.db' });
    expect(artifact).toEqual({ sha256: `sha256:${hexOf(bytes)}`, bytes: bytes.length, name: 'etcd-3.db' });
    expect(await place.names()).toEqual([hexOf(bytes)]);
    expect((await readAll(await place.open().open(artifact))).equals(bytes)).toBe(true);
    expect(await place.open().has(artifact)).toBe(true);
    expect(await namesIn(place.unfinished())).toEqual([]);
    expect(s3.openUploads(bucket.bucket)).toBe(0);
  });

  test('keeps the same bytes once, whoever brings them and how often, and mends what was damaged', async () => {
    const store = place.open();
    const artifacts = await Promise.all([store.put(chunksOf(small)), place.open().put(chunksOf(small)), store.put(chunksOf(small, 1))]);
    expect(artifacts).toEqual(Array.from({ length: 3 }, () => ({ sha256: `sha256:${hex}`, bytes: small.length })));
    await place.write(hex, Buffer.from('something else'));
    const again = await store.put(chunksOf(small));
    expect(await readAll(await store.open(again))).toEqual(small);
    expect(await place.names()).toEqual([hex]);
  });

  test('finds a byte that was changed when it is read, and says so before the end', async () => {
    const store = place.open();
    const artifact = await store.put(chunksOf(large));
    const changed = await place.read(hexOf(large));
    changed[9 * mebibyte] = (changed[9 * mebibyte] ?? 0) ^ 1;
    await place.write(hexOf(large), changed);
    const where = place.pathOf(hexOf(large));
    expect(await errorOf(readAll(await store.open(artifact)))).toMatchObject({
      code: 'artifact-damaged',
      consequence: 'stuck',
      message: `The artifact ${where} cannot be used: it was changed: it does not have that hash any more.`,
    });
  });

  test('finds what is missing or has another size before it is read', async () => {
    const store = place.open();
    const artifact = await store.put(chunksOf(small));
    await place.write(hex, small.subarray(1));
    expect(await store.has(artifact)).toBe(false);
    expect((await errorOf(store.open(artifact))).message).toContain(`it has ${small.length - 1} bytes and should have ${small.length}.`);
    await place.remove(hex);
    expect(await store.has(artifact)).toBe(false);
    expect((await errorOf(store.open(artifact))).message).toBe(`The artifact ${place.pathOf(hex)} cannot be used: it is missing.`);
  });

  test('takes no more than it is told to, and nothing is left of it', async () => {
    const error = await errorOf(place.open().put(chunksOf(large), { bytesMax: large.length - 1 }));
    expect(error).toMatchObject({ code: 'artifact-too-large', consequence: 'stuck' });
    expect(error.message).toContain(`more than ${large.length - 1} bytes`);
    expect([await place.names(), await namesIn(place.unfinished())]).toEqual([[], []]);
    await place.open().put(chunksOf(small), { bytesMax: small.length });
  });

  test('passes on why its source has failed, or why it was cancelled, and nothing is left', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield small;
      throw new TypeError('the member is gone');
    };
    await expect(place.open().put(broken())).rejects.toThrow(new TypeError('the member is gone'));
    const cancelled = new AbortController();
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (let chunk = 0; ; chunk += 1) {
        if (chunk === 5) cancelled.abort(new RangeError('the run was aborted'));
        yield small;
      }
    };
    await expect(place.open().put(endless(), { signal: cancelled.signal })).rejects.toThrow(new RangeError('the run was aborted'));
    expect([await place.names(), await namesIn(place.unfinished())]).toEqual([[], []]);
  });

  test.each(['', '../../etc/passwd', 'sha256:../../etc/passwd', hex])('opens nothing under %j, which is no digest', async (sha256) => {
    await expect(place.open().open({ sha256, bytes: 1 })).rejects.toThrow('is no SHA-256 digest');
  });

  test('holds no more of a large file in the memory than a few parts', async () => {
    const chunk = randomBytes(mebibyte);
    let most = 0;
    const before = process.memoryUsage().arrayBuffers;
    const look = (): void => void (most = Math.max(most, process.memoryUsage().arrayBuffers - before));
    const source = async function* (megabytes: number): AsyncGenerator<Uint8Array> {
      for (let sent = 0; sent < megabytes; sent += 1) {
        look();
        yield chunk;
      }
    };
    // What the sandbox holds of it is in this process, too: the directory shows the rest.
    const megabytes = place === places[0]?.[1] ? 200 : 24;
    const artifact = await place.open().put(source(megabytes));
    look();
    expect(artifact.bytes).toBe(megabytes * mebibyte);
    let read = 0;
    for await (const part of (await place.open().open(artifact)) as AsyncIterable<Buffer>) {
      read += part.length;
      look();
    }
    expect(read).toBe(artifact.bytes);
    if (megabytes === 200) expect(most).toBeLessThan(64 * mebibyte);
    else expect(s3.calls('UploadPart')).toBe(3);
  });
});

describe('a directory', () => {
  test('into which a process was killed in the middle shows nothing, and forgets the rest a day later', async () => {
    const directory = path.join(home, 'artifacts');
    const child = spawn(process.execPath, [await testProgram('test/activities/artifacts/directory-writer'), directory, '500'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readdir(directory)).toEqual([unfinished]);
    const [left = ''] = await readdir(path.join(directory, unfinished));
    expect((await stat(path.join(directory, unfinished, left))).size).toBeGreaterThan(0);
    const store = createArtifactDirectory(directory);
    const artifact = await store.put(chunksOf(Buffer.from('again')));
    expect(await store.has(artifact)).toBe(true);
    expect(await readdir(path.join(directory, unfinished))).toEqual([left]);
    const longAgo = new Date(Date.now() - 25 * 3_600_000);
    await utimes(path.join(directory, unfinished, left), longAgo, longAgo);
    await createArtifactDirectory(directory).put(chunksOf(Buffer.from('again')));
    expect(await readdir(path.join(directory, unfinished))).toEqual([]);
  });

  test('lets go of the file when its reader leaves, before the first byte or in the middle', async () => {
    const store = createArtifactDirectory(path.join(home, 'artifacts'));
    const bytes = randomBytes(mebibyte);
    const artifact = await store.put(chunksOf(bytes));
    const isOpen = async (): Promise<boolean> => {
      const links = (await namesIn('/proc/self/fd')).map((name) => readlink(`/proc/self/fd/${name}`).catch(() => ''));
      return (await Promise.all(links)).includes(fileOf(hexOf(bytes)));
    };
    const unread = await store.open(artifact);
    const begun = await store.open(artifact);
    await once(begun, 'readable');
    for (const stream of [unread, begun]) stream.destroy();
    while (await isOpen()) await wait(5);
  });

  test('that cannot be made or read is named', async () => {
    await writeFile(path.join(home, 'artifacts'), '');
    const store = createArtifactDirectory(path.join(home, 'artifacts'));
    expect(await errorOf(store.put(chunksOf(Buffer.from('x'))))).toMatchObject({
      code: 'artifact-unwritable',
      message: expect.stringContaining(`An artifact could not be written to ${path.join(home, 'artifacts')}: `),
    });
    const artifact: Artifact = { sha256: `sha256:${'0'.repeat(64)}`, bytes: 1 };
    expect(await errorOf(store.open(artifact))).toMatchObject({ code: 'artifact-unreadable', message: expect.stringContaining('ENOTDIR') });
  });
});

describe('a bucket', () => {
  const large = randomBytes(17 * mebibyte);

  test('that fails in the middle of an upload has nothing under the name, and no parts, and takes it when it is tried again', async () => {
    const store = createArtifactBucket(bucket);
    s3.addFault({ operation: 'UploadPart', effect: new S3Refusal(503, 'SlowDown', 'Please reduce your request rate.'), times: 3 });
    expect(await errorOf(store.put(chunksOf(large)))).toMatchObject({
      code: 'artifact-unwritable',
      message: expect.stringContaining(`s3://artifacts/snapshots/${hexOf(large)}: S3 could not take the request just now (SlowDown).`),
    });
    expect(await places[1]?.[1].names()).toEqual([]);
    expect(s3.openUploads(bucket.bucket)).toBe(0);
    s3.addFault({ operation: 'UploadPart', effect: 'lost-reply', times: 1 });
    s3.addFault({ operation: 'UploadPart', effect: new S3Refusal(503, 'SlowDown', 'Please reduce your request rate.'), times: 1 });
    const artifact = await store.put(chunksOf(large));
    expect((await readAll(await store.open(artifact))).equals(large)).toBe(true);
  });

  test('stops an upload that is cancelled', async () => {
    const cancelled = new AbortController();
    const put = createArtifactBucket(bucket).put(chunksOf(large), { signal: cancelled.signal });
    const refused = expect(put).rejects.toThrow(new RangeError('the run was aborted'));
    while (s3.calls('UploadPart') === 0) await wait(1);
    cancelled.abort(new RangeError('the run was aborted'));
    await refused;
    expect(await places[1]?.[1].names()).toEqual([]);
    expect(s3.openUploads(bucket.bucket)).toBe(0);
  });

  test('that is missing is named, without secrets', async () => {
    const store = createArtifactBucket({ ...bucket, bucket: 'nowhere' });
    const error = await errorOf(store.put(chunksOf(Buffer.from('x'))));
    expect(error).toMatchObject({ code: 'artifact-unwritable', message: expect.stringContaining('the bucket nowhere does not exist.') });
    expect(error.cause).toBeUndefined();
    expect(error.remedy).toBe('Correct its name, or make the bucket.');
  });
});
