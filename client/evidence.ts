import { open, writeFile } from 'node:fs/promises';
import { clockSkewMaxMs, verifySignature } from '../activities/people/verify.ts';
import {
  isRunId,
  recordBytesMax,
  signedClaimsOf,
  verifyChain,
  type ChainReport,
  type EvidenceEntry,
  type LineProblem,
} from '../domain/evidence.ts';
import type { ExpectedStatement } from '../domain/statement.ts';

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
  /** File to write the record to, as JSON lines; it must not exist yet. */
  output?: string;
}

/** A record in S3 that cannot be had from there, or not be written to a file. */
export class RecordUnreachableError extends Error {
  override readonly name = 'RecordUnreachableError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** A record as it was found, before its signatures are checked. */
type FoundRecord = Pick<EvidenceReport, 'problems' | 'locked'> & { chain: ChainReport; names?: string[] };

const bucketUrlPattern = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)\/?$/;
const regionDefault = 'us-east-1';

/** The people of a configuration, by id, with their public keys (`x` of the JWK). */
export type PeopleKeys = Readonly<Record<string, { key: string } | undefined>>;

/** Whether a record is named by `s3://bucket/prefix/run`. */
export function isBucketUrl(path: string): boolean {
  return path.startsWith('s3://');
}

/**
 * Checks the record of a run from its file alone, or from its objects in S3: the chain, and each signature with the key
 * that was recorded with it. Neither workers nor Temporal are asked.
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
  const { chain, names, locked } = found;
  const signatures: CheckedSignature[] = [];
  const problems = [...found.problems];
  for (const { line, entry } of chain.entries) {
    const checked = await checkSignature(entry, people);
    if (checked === undefined) continue;
    const { person, sentence } = checked;
    signatures.push({ line, sequence: entry.sequence, kind: entry.kind, person, ok: sentence === undefined });
    if (sentence !== undefined) problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
  }
  problems.sort((one, other) => one.line - other.line);
  const { entries, ending } = chain;
  const run = entries[0]?.entry.run;
  return { path, run, ok: problems.length === 0, entries: entries.length, ending, signatures, problems, ...(locked && { locked }) };
}

async function readFromFile(path: string): Promise<FoundRecord | { sentence: string }> {
  const text = await readText(path);
  if (text === undefined) return { sentence: 'The file is not UTF-8 text: at least one byte was changed, or it is no record.' };
  const chain = verifyChain(text);
  return { chain, problems: chain.problems };
}

async function readFromBucket(url: string, { region = regionDefault, output }: BucketOptions): Promise<FoundRecord> {
  const [, bucket, prefix, run] = bucketUrlPattern.exec(url) ?? [];
  if (bucket === undefined || run === undefined || !isRunId(run)) {
    const remedy = 'A record in S3 is named s3://BUCKET/PREFIX/RUN, as `holdpoint show` does.';
    throw new RecordUnreachableError(`${url} names no record.`, remedy);
  }
  // Whoever verifies a file need not load the client of S3.
  const { checkObjects, placeOf, readObjects, troubleOf } = await import('../activities/evidence/s3-record.ts');
  const objects = await readObjects(placeOf(region, bucket, prefix), run).catch((error: unknown) => {
    const { why, remedy } = troubleOf(error, bucket);
    throw new RecordUnreachableError(`The record ${url} cannot be read: ${why}.`, remedy);
  });
  const { chain, problems, names, text } = checkObjects(objects, run);
  if (output !== undefined) await writeRecord(output, text);
  const ends = objects.flatMap(({ lockedUntil }) => (lockedUntil && lockedUntil.getTime() > Date.now() ? [lockedUntil.toISOString()] : []));
  return { chain, problems, names, locked: { objects: ends.length, until: ends.sort()[0] } };
}

async function writeRecord(file: string, text: string): Promise<void> {
  // A file that is there may be the only copy of another record.
  await writeFile(file, text, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    const cause = error instanceof Error ? error.message : String(error);
    throw new RecordUnreachableError(`The record cannot be written to ${file}: ${cause}.`, 'Name a new file in a directory that is there.');
  });
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

/** Undefined where the bytes are not UTF-8: a lenient decoder would let some changed bytes pass as the same text. */
async function readText(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > recordBytesMax) throw new Error(`${path} has ${size} bytes; the record of a run has at most ${recordBytesMax}.`);
    const bytes = await handle.readFile();
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return undefined;
    }
  } finally {
    await handle.close();
  }
}
