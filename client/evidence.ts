import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { checkRecord, decode, readRecord, recordEntriesMax } from '../activities/evidence/entries.ts';
import { createDirectoryObjects } from '../activities/storage/directory.ts';
import type { ObjectStore } from '../activities/storage/objects.ts';
import {
  bytesOfEntry,
  isRunId,
  keptBytesMax,
  keptPathOf,
  keptValuesOf,
  recordBytesMax,
  verifyChain,
  type EvidenceEntry,
} from '../domain/evidence/evidence.ts';
import type { Configuration, EvidenceBucket, EvidencePlace } from '../runbooks/configuration/configuration.ts';
import type { Authority, WholeEntry } from '../domain/evidence/meaning.ts';
import type { FoundHead } from '../domain/evidence/proof.ts';
import { verifyRecord, type RecordInHand, type Verification } from '../domain/evidence/verification.ts';
import type { PeopleKeys } from '../domain/approval/keys.ts';
import { ToldError } from '../domain/errors.ts';
import { getOrAdd } from '../domain/map.ts';

/** What can be said of a record without asking any server. */
export interface EvidenceReport extends Verification {
  path: string;
  /** The run of the first entry; undefined where no entry can be read. */
  run?: string;
  /** Of a record in S3, how many of its objects Object Lock keeps now, and the earliest end of that, as far as the reader may see it. */
  locked?: { objects: number; until?: string };
}

/** Where to find a record and what else to do with it. */
export interface RecordOptions {
  /** Groups and policies of a configuration, which releases of holds must satisfy, too, and the keys of its workers. */
  authority?: Pick<Authority, 'groups' | 'policies'> & Pick<Configuration, 'workers'>;
  /** The second place, where heads of records are put; a directory with its absolute path. */
  anchor?: EvidencePlace;
  /** Region of its bucket; S3 says where it is if that is not right. */
  region?: string;
  /**
   * File to write a record to, as JSON lines, that is not one file already. It must not exist yet. What is kept beside the
   * record is written beside it, too.
   */
  output?: string;
}

/** A record that is not where it should be, cannot be had from there, or not be written to a file. */
export class RecordUnreachableError extends ToldError {
  override readonly name = 'RecordUnreachableError';

  constructor(message: string, remedy: string) {
    super('usage', message, remedy);
  }
}

/** A record as it was found, before its signatures and what is kept beside it are checked. */
interface FoundRecord extends Pick<RecordInHand, 'chain' | 'problems'> {
  /** The record as JSON lines. */
  text: string;
  /** The files or objects behind the lines, of a record that has one for each entry. */
  names?: string[];
  /** Of a record in S3: until when each of its objects is locked. */
  locks?: (Date | undefined)[];
  /** Reads what is kept beside the record. */
  readKept: (digest: string) => Promise<KeptBytes>;
}

/** `bytes` is undefined where there is nothing, and empty where there is more than was ever kept. */
interface KeptBytes {
  bytes: Uint8Array | undefined;
  lockedUntil?: Date;
}

/** A record that was read: what it comes to, its entries, and all that this was found out from. */
export interface ReadRecord {
  report: EvidenceReport;
  /** With what is kept beside them in its place; they are worth as much as the report says. */
  entries: WholeEntry[];
  /** Undefined where there is no text to look at. */
  inHand?: RecordInHand & { text: string };
}

const bucketUrlPattern = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)\/?$/;
const regionDefault = 'us-east-1';
/** A head is an entry without its body. */
const headBytesMax = 4 * 1024;

/** Whether a record is named by `s3://bucket/prefix/run`. */
function isBucketUrl(path: string): boolean {
  return path.startsWith('s3://');
}

/**
 * Checks the record of a run and what is kept beside it, in `payloads`: the chain, each signature with the key that was
 * recorded with it, and whatever entries refer to. Neither workers nor Temporal are asked.
 *
 * @param path the directory of the run, `s3://bucket/prefix/run`, or a file of JSON lines that such a record was written to.
 * @param people if given, the recorded keys must be theirs. Without it a signature shows only that the record agrees with itself.
 * @throws Error where a file cannot be read or is larger than any record; RecordUnreachableError for other records.
 */
export async function verifyEvidence(path: string, people?: PeopleKeys, options: RecordOptions = {}): Promise<EvidenceReport> {
  return (await readEvidence(path, people, options)).report;
}

/** Verifies a record as `verifyEvidence` does, and gives its entries as well. */
export async function readEvidence(path: string, people?: PeopleKeys, options: RecordOptions = {}): Promise<ReadRecord> {
  const found = await findRecord(path, options);
  if ('sentence' in found) {
    const problems = [{ line: 1, sentence: found.sentence }];
    const workers = { signed: 0, known: 0 };
    const nothing = { signatures: [], proven: [], notProven: [], notes: [], workers };
    return { report: { path, ok: false, entries: 0, ending: 'open-or-cut-off', ...nothing, problems }, entries: [] };
  }
  const { text, chain, names, locks } = found;
  const run = chain.entries[0]?.entry.run;
  const kept = await readAllKept(found);
  const inHand = {
    text,
    chain,
    run: run ?? basename(path),
    problems: found.problems,
    kept: kept.bytes,
    ...(options.anchor && { heads: await readHeads(run ?? basename(path), options.anchor) }),
  };
  const { verification, entries } = verifyRecord(inHand, { people, authority: options.authority }, signatureChecker());
  const problems = verification.problems.map((problem) => ({ ...(names && { object: names[problem.line - 1] }), ...problem }));
  const report = { path, run, ...verification, problems, ...(locks && { locked: lockedOf([...locks, ...kept.locks]) }) };
  return { report, entries, inHand };
}

/** Node checks signatures in a fiftieth of the time that JavaScript takes, of which a record may have thousands. */
function signatureChecker(): (entry: EvidenceEntry) => boolean {
  const keys = new Map<string, KeyObject | undefined>();
  return ({ hash, worker = '', signature = '' }) => {
    const key = getOrAdd(keys, worker, () => publicKeyOf(worker));
    const bytes = Buffer.from(signature, 'base64url');
    // The decoder is lenient: only the one spelling counts, or a character could be changed unseen.
    return key !== undefined && bytes.toString('base64url') === signature && verify(null, bytesOfEntry(hash), key, bytes);
  };
}

function publicKeyOf(x: string): KeyObject | undefined {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    return undefined;
  }
}

/** Reads what entries refer to; the same bytes are read once. */
async function readAllKept({ chain, readKept }: FoundRecord): Promise<{
  bytes: Map<string, Uint8Array | undefined>;
  locks: (Date | undefined)[];
}> {
  const bytes = new Map<string, Uint8Array | undefined>();
  const locks: (Date | undefined)[] = [];
  for (const [, { sha256 }] of chain.entries.flatMap(({ entry }) => keptValuesOf(entry))) {
    if (bytes.has(sha256)) continue;
    const kept = await readKept(sha256);
    bytes.set(sha256, kept.bytes);
    if (kept.bytes) locks.push(kept.lockedUntil);
  }
  return { bytes, locks };
}

/** A second place that cannot be read proves nothing, and speaks against nothing. */
async function readHeads(run: string, place: EvidencePlace): Promise<NonNullable<RecordInHand['heads']>> {
  const objects = 's3' in place ? await bucketObjects(place.s3) : createDirectoryObjects(place.directory);
  try {
    const heads: FoundHead[] = [];
    for (const name of await objects.list(run, recordEntriesMax)) {
      const head = await objects.get(`${run}/${name}`, headBytesMax);
      heads.push({ path: objects.pathOf(`${run}/${name}`), bytes: head?.bytes });
    }
    return heads;
  } catch (error) {
    const { why, remedy } = objects.troubleOf(error);
    return { unreadable: `The second place ${objects.pathOf('')} cannot be read: ${why}. ${remedy}` };
  }
}

function lockedOf(locks: readonly (Date | undefined)[]): NonNullable<EvidenceReport['locked']> {
  const ends = locks.flatMap((until) => (until && until.getTime() > Date.now() ? [until.toISOString()] : []));
  return { objects: ends.length, until: ends.sort()[0] };
}

async function findRecord(path: string, options: RecordOptions): Promise<FoundRecord | { sentence: string }> {
  if (isBucketUrl(path)) return readFromBucket(path, options);
  if ((await stat(path)).isDirectory()) {
    const folder = resolve(path);
    // Only a bucket has locks.
    const { locks: _locks, ...found } = await readFromStore(path, createDirectoryObjects(dirname(folder)), basename(folder), options);
    return found;
  }
  if (options.output !== undefined) {
    throw new RecordUnreachableError(`${path} is a file already.`, 'Leave out --output, or name the directory or the bucket of a record.');
  }
  return readFromFile(path);
}

async function readFromFile(path: string): Promise<FoundRecord | { sentence: string }> {
  const bytes = await readBytes(path, recordBytesMax);
  if (bytes === undefined) throw new Error(`${path} has more bytes than the record of a run, which has at most ${recordBytesMax}.`);
  const text = decode(bytes);
  if (text === undefined) return { sentence: 'The file is not UTF-8 text: at least one byte was changed, or it is no record.' };
  const chain = verifyChain(text);
  const objects = createDirectoryObjects(dirname(path));
  return { text, chain, problems: chain.problems, readKept: (digest) => readKept(objects, digest) };
}

async function readFromBucket(url: string, options: RecordOptions): Promise<FoundRecord> {
  const [, bucket, prefix, run] = bucketUrlPattern.exec(url) ?? [];
  if (bucket === undefined || run === undefined) throw noRecord(url);
  const objects = await bucketObjects({ bucket, prefix, region: options.region ?? regionDefault });
  return readFromStore(url, objects, run, options);
}

/** Whoever verifies what lies on a disk need not load the client of S3. */
async function bucketObjects(bucket: EvidenceBucket): Promise<ObjectStore> {
  const { createBucketObjects, openBucket } = await import('../activities/storage/bucket.ts');
  return createBucketObjects(openBucket(bucket));
}

/** Reads a record of one object for each entry; writes it to a file where that is asked for. */
async function readFromStore(path: string, objects: ObjectStore, run: string, { output }: RecordOptions): Promise<FoundRecord> {
  if (!isRunId(run)) throw noRecord(path);
  const refuse = (error: unknown): never => {
    const { why, remedy } = objects.troubleOf(error);
    throw new RecordUnreachableError(`The record ${path} cannot be read: ${why}.`, remedy);
  };
  const found = await readRecord(objects, run).catch(refuse);
  const { chain, problems, names, text } = checkRecord(found, run);
  if (output !== undefined) await writeRecord(output, text);
  const read = async (digest: string): Promise<KeptBytes> => {
    const kept = await readKept(objects, digest).catch(refuse);
    if (output !== undefined && kept.bytes) await writeKept(join(dirname(output), keptPathOf(digest)), kept.bytes);
    return kept;
  };
  return { text, chain, problems, names, locks: found.map(({ lockedUntil }) => lockedUntil), readKept: read };
}

async function readKept(objects: ObjectStore, digest: string): Promise<KeptBytes> {
  const object = await objects.get(keptPathOf(digest), keptBytesMax);
  return { bytes: object && (object.bytes ?? new Uint8Array()), lockedUntil: object?.lockedUntil };
}

function noRecord(path: string): RecordUnreachableError {
  const remedy = 'A record is the directory EVIDENCE/RUN or s3://BUCKET/PREFIX/RUN, as `holdpoint show` names it.';
  return new RecordUnreachableError(`${path} names no record.`, remedy);
}

async function writeRecord(file: string, text: string): Promise<void> {
  // A file that is there may be the only copy of another record.
  await writeFile(file, text, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => refuseToWrite(file, error));
}

/** What is there already is left: several records may refer to the same bytes. */
async function writeKept(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, bytes, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) refuseToWrite(file, error);
  }
}

function refuseToWrite(file: string, error: unknown): never {
  const cause = error instanceof Error ? error.message : String(error);
  throw new RecordUnreachableError(`The record cannot be written to ${file}: ${cause}.`, 'Name a new file in a directory that is there.');
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

/** Undefined where the file has more bytes than it may have. */
async function readBytes(path: string, bytesMax: number): Promise<Uint8Array | undefined> {
  const handle = await open(path, 'r');
  try {
    return (await handle.stat()).size > bytesMax ? undefined : await handle.readFile();
  } finally {
    await handle.close();
  }
}
