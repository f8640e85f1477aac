import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { clockSkewMaxMs, verifySignature } from '../activities/people/verify.ts';
import {
  isRunId,
  keptBytesMax,
  keptPathOf,
  keptProblemOf,
  keptValuesOf,
  recordBytesMax,
  signedClaimsOf,
  verifyChain,
  type ChainReport,
  type EvidenceEntry,
  type LineProblem,
} from '../domain/evidence/evidence.ts';
import type { ExpectedStatement } from '../domain/approval/statement.ts';
import { ToldError } from '../domain/errors.ts';

/** A signature of the record that was checked. */
export interface CheckedSignature {
  line: number;
  sequence: number;
  kind: string;
  person: string;
  /** Whether it is the person's, over exactly what the entry says. */
  ok: boolean;
}

/** What can be said of a record without asking any server. */
export interface EvidenceReport {
  path: string;
  /** The run of the first entry; undefined where no entry can be read. */
  run?: string;
  /** No line is changed, missing, moved or added, and every signature holds. */
  ok: boolean;
  entries: number;
  /** How many values of entries are kept beside the record, because of their size; absent where there are none. */
  kept?: number;
  ending: ChainReport['ending'];
  signatures: CheckedSignature[];
  /** Sorted by line. `object` is the object of a bucket that the problem was found in. */
  problems: (LineProblem & { object?: string })[];
  /** Of a record in S3, how many of its objects Object Lock keeps now, and the earliest end of that, as far as the reader may see it. */
  locked?: { objects: number; until?: string };
}

/** Where to find a record in S3 and what else to do with it. */
export interface BucketOptions {
  /** Region of the bucket; S3 says where it is if that is not right. */
  region?: string;
  /** File to write the record to, as JSON lines; it must not exist yet. What is kept beside the record is written beside it, too. */
  output?: string;
}

/** A record in S3 that cannot be had from there, or not be written to a file. */
export class RecordUnreachableError extends ToldError {
  override readonly name = 'RecordUnreachableError';

  constructor(message: string, remedy: string) {
    super('usage', message, remedy);
  }
}

/** A record as it was found, before its signatures and what is kept beside it are checked. */
interface FoundRecord {
  chain: ChainReport;
  problems: EvidenceReport['problems'];
  /** The objects behind the lines, of a record in S3. */
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

const bucketUrlPattern = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)\/?$/;
const regionDefault = 'us-east-1';

/** The people of a configuration, by id, with their public keys (`x` of the JWK). */
export type PeopleKeys = Readonly<Record<string, { key: string } | undefined>>;

/** Whether a record is named by `s3://bucket/prefix/run`. */
export function isBucketUrl(path: string): boolean {
  return path.startsWith('s3://');
}

/**
 * Checks the record of a run from its file and the `payloads` beside it, or from its objects in S3: the chain, each
 * signature with the key that was recorded with it, and whatever entries refer to. Neither workers nor Temporal are asked.
 *
 * @param people if given, the recorded keys must be theirs. Without it a signature shows only that the record agrees with itself.
 * @throws Error where the file cannot be read or is larger than any record; RecordUnreachableError for a record in S3.
 */
export async function verifyEvidence(path: string, people?: PeopleKeys, options: BucketOptions = {}): Promise<EvidenceReport> {
  const found = isBucketUrl(path) ? await readFromBucket(path, options) : await readFromFile(path);
  if ('sentence' in found) {
    const problems = [{ line: 1, sentence: found.sentence }];
    return { path, ok: false, entries: 0, ending: 'open-or-cut-off', signatures: [], problems };
  }
  const { chain, names, locks } = found;
  const signatures: CheckedSignature[] = [];
  const problems = [...found.problems];
  for (const { line, entry } of chain.entries) {
    const checked = await checkSignature(entry, people);
    if (checked === undefined) continue;
    const { person, sentence } = checked;
    signatures.push({ line, sequence: entry.sequence, kind: entry.kind, person, ok: sentence === undefined });
    if (sentence !== undefined) problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
  }
  const kept = await checkKept(found);
  problems.push(...kept.problems);
  problems.sort((one, other) => one.line - other.line);
  const { entries, ending } = chain;
  const run = entries[0]?.entry.run;
  const report = { path, run, ok: problems.length === 0, entries: entries.length, ending, signatures, problems };
  return { ...report, ...(kept.count > 0 && { kept: kept.count }), ...(locks && { locked: lockedOf([...locks, ...kept.locks]) }) };
}

/** Checks what entries refer to; the same bytes are read once. */
async function checkKept({ chain, names, readKept }: FoundRecord): Promise<{
  count: number;
  problems: EvidenceReport['problems'];
  locks: (Date | undefined)[];
}> {
  const problems: EvidenceReport['problems'] = [];
  const sound = new Map<string, Date | undefined>();
  let count = 0;
  for (const { line, entry } of chain.entries) {
    for (const [name, kept] of keptValuesOf(entry)) {
      count += 1;
      if (sound.has(kept.sha256)) continue;
      const { bytes, lockedUntil } = await readKept(kept.sha256);
      const sentence = keptProblemOf(entry, name, kept, bytes);
      if (sentence === undefined) sound.set(kept.sha256, lockedUntil);
      else problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
    }
  }
  return { count, problems, locks: [...sound.values()] };
}

function lockedOf(locks: readonly (Date | undefined)[]): NonNullable<EvidenceReport['locked']> {
  const ends = locks.flatMap((until) => (until && until.getTime() > Date.now() ? [until.toISOString()] : []));
  return { objects: ends.length, until: ends.sort()[0] };
}

async function readFromFile(path: string): Promise<FoundRecord | { sentence: string }> {
  const bytes = await readBytes(path, recordBytesMax);
  if (bytes === undefined) throw new Error(`${path} has more bytes than the record of a run, which has at most ${recordBytesMax}.`);
  const text = decode(bytes);
  if (text === undefined) return { sentence: 'The file is not UTF-8 text: at least one byte was changed, or it is no record.' };
  const chain = verifyChain(text);
  const readKept = async (digest: string): Promise<KeptBytes> => {
    try {
      return { bytes: (await readBytes(join(dirname(path), keptPathOf(digest)), keptBytesMax)) ?? new Uint8Array() };
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return { bytes: undefined };
      throw error;
    }
  };
  return { chain, problems: chain.problems, readKept };
}

async function readFromBucket(url: string, { region = regionDefault, output }: BucketOptions): Promise<FoundRecord> {
  const [, bucket, prefix, run] = bucketUrlPattern.exec(url) ?? [];
  if (bucket === undefined || run === undefined || !isRunId(run)) {
    const remedy = 'A record in S3 is named s3://BUCKET/PREFIX/RUN, as `holdpoint show` does.';
    throw new RecordUnreachableError(`${url} names no record.`, remedy);
  }
  // Whoever verifies a file need not load the client of S3.
  const { checkObjects, getObject, keptKeyOf, placeOf, readObjects, troubleOf } = await import('../activities/evidence/s3-record.ts');
  const place = placeOf(region, bucket, prefix);
  const refuse = (error: unknown): never => {
    const { why, remedy } = troubleOf(error, bucket);
    throw new RecordUnreachableError(`The record ${url} cannot be read: ${why}.`, remedy);
  };
  const objects = await readObjects(place, run).catch(refuse);
  const { chain, problems, names, text } = checkObjects(objects, run);
  if (output !== undefined) await writeRecord(output, text);
  const readKept = async (digest: string): Promise<KeptBytes> => {
    const object = await getObject(place, keptKeyOf(place, digest), keptBytesMax).catch(refuse);
    if (output !== undefined && object?.bytes) await writeKept(join(dirname(output), keptPathOf(digest)), object.bytes);
    return { bytes: object && (object.bytes ?? new Uint8Array()), lockedUntil: object?.lockedUntil };
  };
  return { chain, problems, names, locks: objects.map(({ lockedUntil }) => lockedUntil), readKept };
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

/** Undefined for an entry of a kind that needs no signature; a sentence where the signature is missing or does not hold. */
async function checkSignature(
  entry: EvidenceEntry,
  people: PeopleKeys | undefined,
): Promise<{ person: string; sentence?: string } | undefined> {
  const signed = signedClaimsOf(entry);
  if (signed === undefined) return undefined;
  const { claims, jws, publicKey } = signed;
  const name = `Entry ${entry.sequence} (${entry.kind})`;
  if (typeof claims.person !== 'string' || typeof jws !== 'string' || typeof publicKey !== 'string') {
    return { person: 'nobody', sentence: `${name} should be signed, but lacks the person, the signature or the key.` };
  }
  const { person } = claims;
  // Claims that the body lacks are undefined here, and no signed claim is equal to that.
  const result = await verifySignature(jws, claims as unknown as ExpectedStatement, publicKey);
  if (!result.ok) return { person, sentence: `${name}: ${result.reason}` };
  if (Date.parse(result.statement.at) > Date.parse(entry.at) + clockSkewMaxMs) {
    return { person, sentence: `${name} was written at ${entry.at}, before ${person} signed it at ${result.statement.at}.` };
  }
  const known = people && Object.hasOwn(people, person) ? people[person] : undefined;
  if (people !== undefined && known?.key !== publicKey) {
    const why = known ? `the configuration names another key for ${person}` : `the configuration does not know ${person}`;
    return { person, sentence: `${name} is signed with a key that cannot be vouched for: ${why}.` };
  }
  return { person };
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

/** Undefined where the bytes are not UTF-8: a lenient decoder would let some changed bytes pass as the same text. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
