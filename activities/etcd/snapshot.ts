import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import type { FileDigest } from '../../domain/backup/manifest.ts';
import { compareHashes, type EtcdMember, type HashKv } from '../../domain/etcd/members.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { unfinishedFolder } from '../storage/new-file.ts';
import type { EtcdClient } from './client.ts';
import { hashesAt } from './health.ts';
import { checksumBytes, digestOfFile, FileStalled, followFile } from './growing-file.ts';
import { findProgram, runProgram } from './programs.ts';

/** etcd sends for ever where the member can no longer read its file: a snapshot that does not grow for so long is given up. */
const stallDefaultMs = 30_000;
const snapshotTimeoutMinMs = 120_000;
/** Slower than this is no snapshot, but a member in trouble: it keeps its pages from being used anew meanwhile. */
const bytesPerMsMin = 2_000;
const verifyTimeoutMs = 10 * 60_000;
/** The snapshot, the copy on which hashes are computed or the encrypted file, and some more. */
const roomFactor = 2.2;
/** `hasChecksum` of etcd: pages of 512 bytes, and 32 bytes of SHA-256 behind them. */
const pageBytes = 512;

const hashAnswer = z.object({ hash: z.number(), hashRevision: z.number(), compactRevision: z.number() });
const statusAnswer = z.object({ totalKey: z.number() });

/** A snapshot in a file, as the file itself tells. */
export interface SnapshotFacts extends HashKv {
  file: FileDigest;
  keys: number;
}

/** A file, or a folder, of one step in the work directory, which no other step and no other attempt writes to. */
export async function workFile(root: string, owner: string, suffix: string): Promise<string> {
  const folder = join(root, unfinishedFolder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const prefix = `${owner.replaceAll(/[^\w.-]/g, '_')}.etcd-`;
  // What an attempt before this one has left when its worker was killed: the keys of the cluster in clear.
  for (const name of await readdir(folder)) if (name.startsWith(prefix)) await rm(join(folder, name), { recursive: true, force: true });
  return join(folder, `${prefix}${suffix}`);
}

/** Throws `snapshot-refused` where a directory has no room for a snapshot of so many bytes and what is made of it. */
export async function requireRoom(target: string, directory: string, sizeBytes: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = await statfs(directory);
  const needed = Math.ceil(sizeBytes * roomFactor);
  const free = bavail * bsize;
  if (free >= needed) return;
  const cause = `${directory} has ${free} bytes left, and ${needed} are needed for a snapshot of ${sizeBytes}`;
  throw new HoldpointError('snapshot-refused', { target, cause });
}

/** What a snapshot is taken with. */
export interface SnapshotTaking {
  target: string;
  file: string;
  signal: AbortSignal;
  /** Told how long the file is by now. */
  onBytes: (bytes: number) => void;
  /** After how much time without a byte it is given up; 30 s if left out. */
  stallTimeoutMs?: number;
}

/** What was read of a snapshot while it came, so that nobody has to read it again for that. */
export interface TakenSnapshot {
  /** The digest of all bytes, and whether the last ones are the SHA-256 of those before them. */
  digest: FileDigest;
  isChecked: boolean;
  /** The same bytes in another file, for whoever has to change them. */
  copy: string;
}

/**
 * Has a member write a snapshot to a file, which has its name only when it is whole and safe on the disk. Throws `snapshot-interrupted`
 * where the member stands still or breaks off.
 */
export async function takeSnapshot(
  client: EtcdClient,
  member: EtcdMember,
  { target, file, signal, onBytes, stallTimeoutMs = stallDefaultMs }: SnapshotTaking,
): Promise<TakenSnapshot> {
  const { file: program, flags } = await client.command(member);
  const raw = `${file}.raw`;
  const copy = copyOf(file);
  const interrupted = (cause: string): HoldpointError => new HoldpointError('snapshot-interrupted', { member: member.name, target, cause });
  const stalled = new AbortController();
  const over = new AbortController();
  // etcdctl writes to `<file>.part` and renames it.
  const following = followFile({ file: `${raw}.part`, copy, stallTimeoutMs, over: over.signal, onBytes }).catch((error: unknown) => {
    const why = error instanceof FileStalled ? `nothing came for ${stallTimeoutMs / 1000} s` : `it cannot be copied (${String(error)})`;
    stalled.abort(interrupted(why));
    throw error;
  });
  following.catch(() => undefined);
  const timeoutMs = Math.max(snapshotTimeoutMinMs, (member.status?.sizeBytes ?? 0) / bytesPerMsMin);
  let isTaken = false;
  try {
    const call = { timeoutMs, signal: AbortSignal.any([signal, stalled.signal]) };
    const { code, reason } = await runProgram(program, ['snapshot', 'save', raw, ...flags], call);
    if (code !== 0) throw interrupted(reason);
    const handle = await open(raw, 'r');
    await handle.sync().finally(() => handle.close());
    over.abort();
    const followed = await following;
    const isWhole = followed.digest.bytes === (await stat(raw)).size;
    // One that came and went between two looks was not followed.
    if (!isWhole) await copyFile(raw, copy, constants.COPYFILE_FICLONE);
    const taken = { ...(isWhole ? followed : await digestOfFile(raw)), copy };
    await rename(raw, file);
    const folder = await open(dirname(file), 'r');
    await folder.sync().finally(() => folder.close());
    isTaken = true;
    return taken;
  } finally {
    over.abort();
    await following.catch(() => undefined);
    for (const name of [raw, `${raw}.part`, ...(isTaken ? [] : [copy])]) await rm(name, { force: true });
  }
}

/** The second file of a snapshot. */
export function copyOf(file: string): string {
  return `${file}.copy`;
}

/**
 * Reads what a snapshot is, from the file alone: its checksum is right, and etcdutl can read all of it. Throws `snapshot-refused`.
 * `etcdutl hashkv` opens a file for writing and changes it, so it is given a copy, which is gone then.
 * @param taken what was read of it while it was taken; without it, it is read and copied now
 */
export async function inspectSnapshot(
  access: EtcdAccess,
  target: string,
  file: string,
  signal: AbortSignal,
  taken?: TakenSnapshot,
): Promise<SnapshotFacts> {
  const refused = (cause: string): HoldpointError => new HoldpointError('snapshot-refused', { target, cause });
  const copy = taken?.copy ?? copyOf(file);
  try {
    await requireShape(file, refused);
    return await inspectBoth(access, { file, copy, taken }, signal, refused);
  } finally {
    await rm(copy, { force: true });
  }
}

async function inspectBoth(
  access: EtcdAccess,
  { file, copy, taken }: { file: string; copy: string; taken: TakenSnapshot | undefined },
  signal: AbortSignal,
  refused: (cause: string) => HoldpointError,
): Promise<SnapshotFacts> {
  const etcdutl = await findProgram(access, 'etcdutl');
  const givenUp = new AbortController();
  const ask = async <Answer>(args: string[], shape: z.ZodType<Answer>): Promise<Answer> => {
    const call = { timeoutMs: verifyTimeoutMs, signal: AbortSignal.any([signal, givenUp.signal]) };
    const { code, stdout, reason } = await runProgram(etcdutl, [...args, '--write-out=json'], call);
    const { data } = shape.safeParse(code === 0 ? parseJson(stdout) : undefined);
    if (data !== undefined) return data;
    throw refused(`etcdutl ${args.slice(0, -1).join(' ')} cannot read it: ${code === 0 ? 'its answer cannot be read' : reason}`);
  };
  // At the same time, as each of them keeps one core busy. The checksum has the first word on what is wrong.
  const digesting = requireChecked(taken ?? digestOfFile(file), refused).catch((error: unknown) => {
    givenUp.abort(error);
    throw error;
  });
  const copying = taken ? Promise.resolve() : copyFile(file, copy, constants.COPYFILE_FICLONE);
  const hashing = copying.then(() => ask(['hashkv', copy], hashAnswer));
  const counting = ask(['snapshot', 'status', file], statusAnswer);
  await Promise.allSettled([digesting, hashing, counting]);
  const digest = await digesting;
  const { hash, hashRevision, compactRevision } = await hashing;
  return { hash, hashRevision, compactRevision, file: digest, keys: (await counting).totalKey };
}

/** What can be told of a snapshot by its size: `etcdutl` makes a new store of an empty file, and says that all is well. */
async function requireShape(file: string, refused: (cause: string) => HoldpointError): Promise<void> {
  const { size } = await stat(file);
  if (size === 0) throw refused('the file is empty');
  if (size % pageBytes === checksumBytes) return;
  throw refused('the file has no checksum at its end: it is truncated, or was copied from a data directory');
}

/** Throws `snapshot-refused` where the last bytes of a snapshot are not the SHA-256 of those before them, as etcd writes it. */
async function requireChecked(
  digesting: Pick<TakenSnapshot, 'digest' | 'isChecked'> | Promise<Pick<TakenSnapshot, 'digest' | 'isChecked'>>,
  refused: (cause: string) => HoldpointError,
): Promise<FileDigest> {
  const { digest, isChecked } = await digesting;
  if (isChecked) return digest;
  throw refused('the file does not have the checksum at its end: it was damaged on its way');
}

/** How many members, besides the file itself, have to have the same keys. */
const equalMembersMin = 2;

/**
 * Holds the keys of a snapshot against those that the members have at the same revision; returns the members that have the same. Throws
 * `snapshot-refused` where a member has others, or fewer than two can tell, and `snapshot-interrupted` where the members have compacted.
 */
export async function requireEqualMembers(
  client: EtcdClient,
  members: readonly EtcdMember[],
  facts: SnapshotFacts,
  { target, source, signal }: { target: string; source: EtcdMember; signal: AbortSignal },
): Promise<string[]> {
  const hashes = await hashesAt(client, members, facts.hashRevision, signal);
  const compacted = (): HoldpointError => {
    // Of a revision that is the last compaction itself, members give a hash as if there was none (etcd 3.7): it is that of no file.
    const isNewest = facts.compactRevision === facts.hashRevision;
    const why = `its newest revision ${facts.hashRevision} is the last compaction itself, and members give no hash for it that compares`;
    const cause = isNewest
      ? `${why}: it has to wait until something is written`
      : `the members have compacted, or are behind revision ${facts.hashRevision}, so that they cannot be compared with it`;
    return new HoldpointError('snapshot-interrupted', { member: source.name, target, cause });
  };
  if (!hashes) throw compacted();
  const withFile = new Map<string, HashKv>([...hashes, ['the snapshot', facts]]);
  const comparison = compareHashes(withFile);
  if (comparison === 'compacted-meanwhile') throw compacted();
  if (comparison !== 'equal') {
    const different = comparison.different.join(', ');
    const cause = `at revision ${facts.hashRevision}, the keys are not the same everywhere: ${different} differ (HashKV)`;
    throw new HoldpointError('snapshot-refused', { target, cause });
  }
  const needed = Math.min(equalMembersMin, members.length);
  if (hashes.size >= needed) return [...hashes.keys()].sort();
  throw new HoldpointError('snapshot-refused', { target, cause: `only ${hashes.size} of ${needed} members could be compared with it` });
}
