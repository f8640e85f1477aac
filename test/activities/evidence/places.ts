import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DeleteObjectCommand, GetObjectCommand, paginateListObjectsV2, PutObjectCommand } from '@aws-sdk/client-s3';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { createEvidenceBucket } from '../../../activities/evidence/s3.ts';
import { EvidenceError, type EvidenceStore } from '../../../activities/evidence/store.ts';
import { s3Environment, serveS3, type ServedS3 } from '../../sandbox/s3-fixture.ts';

export const region = 'eu-central-1';

/** A place for evidence, with the way past the store that somebody has who owns the disk or the bucket. Names are relative. */
export interface Place {
  /** A store of its own, as each process has one. */
  open(): EvidenceStore;
  pathOf(name: string): string;
  read(name: string): Promise<Buffer>;
  write(name: string, bytes: string | Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  /** All that can be seen, in order. */
  names(): Promise<string[]>;
}

/** Both places, made anew for each test by `openPlaces`. */
export interface Places {
  /** A directory for whatever a test needs besides. */
  home: string;
  s3: ServedS3;
  directory: Place;
  bucket: Place;
  /** A bucket with Object Lock. */
  locked: Place;
  close(): Promise<void>;
}

/** The places that keep to the same rules. */
export const placeNames = ['directory', 'bucket'] as const;

/** Makes an empty directory and empty buckets, and points the AWS SDK of this process to them. */
export async function openPlaces(): Promise<Places> {
  const before = { ...process.env };
  const home = await mkdtemp(path.join(tmpdir(), 'holdpoint-evidence-'));
  const s3 = await serveS3({ name: 'records' }, { name: 'locked', objectLock: { retention: { mode: 'COMPLIANCE', days: 30 } } });
  Object.assign(process.env, s3Environment(s3.url));
  return {
    home,
    s3,
    directory: inDirectory(path.join(home, 'records')),
    bucket: inBucket(s3, 'records'),
    locked: inBucket(s3, 'locked'),
    close: async () => {
      for (const name of Object.keys(s3Environment(''))) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
      await s3.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** The error of a store that work ends with; anything else fails the test. */
export async function errorOf(work: Promise<unknown>): Promise<EvidenceError> {
  const error = await work.catch((reason: unknown) => reason);
  if (error instanceof EvidenceError) return error;
  throw new Error(`expected an EvidenceError, got ${String(error)}`);
}

function inDirectory(root: string): Place {
  const fileOf = (name: string): string => path.join(root, name);
  return {
    open: () => createEvidenceDirectory(root),
    pathOf: fileOf,
    read: (name) => readFile(fileOf(name)),
    write: async (name, bytes) => {
      await mkdir(path.dirname(fileOf(name)), { recursive: true });
      await writeFile(fileOf(name), bytes);
    },
    remove: (name) => rm(fileOf(name)),
    names: async () => {
      const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
      const files = entries.filter((entry) => !entry.isDirectory());
      return files.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))).sort();
    },
  };
}

function inBucket({ client }: ServedS3, Bucket: string): Place {
  const keyOf = (name: string): string => `holdpoint/${name}`;
  return {
    open: () => createEvidenceBucket({ bucket: Bucket, prefix: 'holdpoint', region }),
    pathOf: (name) => `s3://${Bucket}/${keyOf(name)}`,
    read: async (name) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: keyOf(name) }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    write: async (name, bytes) => void (await client.send(new PutObjectCommand({ Bucket, Key: keyOf(name), Body: Buffer.from(bytes) }))),
    remove: async (name) => void (await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(name) }))),
    names: async () => {
      const names: string[] = [];
      for await (const { Contents } of paginateListObjectsV2({ client }, { Bucket, Prefix: keyOf('') })) {
        for (const { Key = '' } of Contents ?? []) names.push(Key.slice(keyOf('').length));
      }
      return names;
    },
  };
}
