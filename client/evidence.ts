import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { checkRecord, decode, readRecord } from '../activities/evidence/entries.ts';
import { clockSkewMaxMs } from '../activities/people/verify.ts';
import { createDirectoryObjects } from '../activities/storage/directory.ts';
import type { ObjectStore } from '../activities/storage/objects.ts';
import {
  isRunId,
  keptBytesMax,
  keptPathOf,
  keptProblemOf,
  keptValuesOf,
  recordBytesMax,
  signedClaimsOf,
  signedKinds,
  verifyChain,
  type ChainReport,
  type EvidenceEntry,
  type LineProblem,
} from '../domain/evidence/evidence.ts';
import { KeyCheck } from './evidence-keys.ts';
import { checkAnchors, checkWorkers, proofOf, type AnchorReport } from './evidence-proof.ts';
import type { Configuration, EvidenceBucket, EvidencePlace } from '../runbooks/configuration/configuration.ts';
import { meaningOf, type Authority, type WholeEntry } from '../domain/evidence/meaning.ts';
import { keyOfText, textOfKey, type PeopleKeys } from '../domain/approval/keys.ts';
import { refusalOfPreApproval, type PreApprovalUse } from '../domain/approval/pre-approval.ts';
import { checkSignature, type VerificationResult } from '../domain/approval/signature.ts';
import type { ExpectedStatement, PreApprovalStatement } from '../domain/approval/statement.ts';
import { ToldError } from '../domain/errors.ts';
import { parseJson, type Json, type JsonObject } from '../domain/json.ts';
import { digestOf } from '../domain/plan/plan.ts';

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
  /** No line is changed, missing, moved or added, every signature holds, and what was done follows from what was signed. */
  ok: boolean;
  entries: number;
  /** How many values of entries are kept beside the record, because of their size; absent where there are none. */
  kept?: number;
  ending: ChainReport['ending'];
  signatures: CheckedSignature[];
  /** What a record in order proves, and what it does not, in sentences for an auditor; empty for one with problems. */
  proven: string[];
  notProven: string[];
  /** What a holdpoint.yaml says otherwise now than a worker has recorded then. */
  notes: string[];
  /** Entries with the signature of a worker, and how many of them were made with a key of holdpoint.yaml. */
  workers: { signed: number; known: number };
  /** How many heads of the record were found in the second place; absent where none was looked at. */
  anchors?: number;
  /** Sorted by line. `object` is the file of a directory or the object of a bucket that the problem was found in. */
  problems: (LineProblem & { object?: string })[];
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
interface FoundRecord {
  chain: ChainReport;
  problems: EvidenceReport['problems'];
  /** The files or objects behind the lines, of a record that has one for each entry. */
  names?: string[];
  /** Of a record in S3: until when each of its objects is locked. */
  locks?: (Date | undefined)[];
  /** Reads what is kept beside the record. */
  readKept: (digest: string) => Promise<KeptBytes>;
}

type Verified = Extract<VerificationResult, { ok: true }>;

/** `bytes` is undefined where there is nothing, and empty where there is more than was ever kept. */
interface KeptBytes {
  bytes: Uint8Array | undefined;
  lockedUntil?: Date;
}

const bucketUrlPattern = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)\/?$/;
const regionDefault = 'us-east-1';

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

/**
 * Verifies a record as `verifyEvidence` does, and gives its entries as well, with what is kept beside them in its place: they are worth as
 * much as the report says.
 */
export async function readEvidence(
  path: string,
  people?: PeopleKeys,
  options: RecordOptions = {},
): Promise<{ report: EvidenceReport; entries: WholeEntry[] }> {
  const found = await findRecord(path, options);
  if ('sentence' in found) {
    const problems = [{ line: 1, sentence: found.sentence }];
    const workers = { signed: 0, known: 0 };
    const nothing = { signatures: [], proven: [], notProven: [], notes: [], workers };
    return { report: { path, ok: false, entries: 0, ending: 'open-or-cut-off', ...nothing, problems }, entries: [] };
  }
  const { chain, names, locks } = found;
  const signatures: CheckedSignature[] = [];
  const revokedLater: LineProblem[] = [];
  const keys = people && new KeyCheck(people);
  const problems = [...found.problems];
  const started = chain.entries.find(({ entry }) => entry.kind === signedKinds.start)?.entry;
  for (const { line, entry } of chain.entries) {
    keys?.forget(entry);
    const checked = checkSigned(entry, started);
    const ofKey = checked?.result ? keys?.ofSigned(entry, checked.result) : keys?.ofRelease(entry);
    const sentence = checked?.sentence ?? ofKey?.sentence;
    if (ofKey?.revokedLater !== undefined) revokedLater.push({ line, sentence: ofKey.revokedLater });
    if (checked) signatures.push({ line, sequence: entry.sequence, kind: entry.kind, person: checked.person, ok: sentence === undefined });
    if (sentence !== undefined) problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
  }
  const kept = await checkKept(found);
  problems.push(...kept.problems);
  // What a damaged record says cannot be followed, and the damage has been told.
  const isWhole = found.problems.length === 0 && kept.problems.length === 0;
  const whole = wholeEntries(chain, signatures, kept.values);
  const { authority } = options;
  const meaning = isWhole ? meaningOf(whole, authority && people && { ...authority, people: Object.keys(people) }) : undefined;
  const workers = checkWorkers(chain, options.authority?.workers);
  const run = chain.entries[0]?.entry.run;
  const anchors = options.anchor && (await readAnchors(found, run ?? basename(path), options.anchor));
  // A worker that is known vouches for what was the policy then: that it is another one now is no fault of the record.
  const isVouched = ({ line }: LineProblem): boolean => workers.known.has(line);
  const differences = [...(meaning?.differences ?? []), ...revokedLater];
  const notes = differences.filter(isVouched).map(({ sentence }) => sentence);
  const others = [meaning?.problems, differences.filter((one) => !isVouched(one)), workers.problems, anchors?.problems];
  for (const { line, sentence } of others.flatMap((list) => list ?? [])) {
    problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
  }
  problems.sort((one, other) => one.line - other.line);
  const { entries, ending } = chain;
  const isCompared = people !== undefined && options.authority !== undefined;
  const ok = problems.length === 0;
  const proof = ok ? proofOf({ chain, meaning, workers, anchors, isCompared }) : { proven: [], notProven: [] };
  const count = { signed: workers.signed, known: workers.known.size };
  const report = { path, run, ok, entries: entries.length, ending, signatures, ...proof, notes, workers: count, problems };
  const more = {
    ...(anchors && { anchors: anchors.found }),
    ...(kept.count > 0 && { kept: kept.count }),
    ...(locks && { locked: lockedOf([...locks, ...kept.locks]) }),
  };
  return { report: { ...report, ...more }, entries: whole };
}

async function readAnchors({ chain }: FoundRecord, run: string, place: EvidencePlace): Promise<AnchorReport> {
  const objects = 's3' in place ? await bucketObjects(place.s3) : createDirectoryObjects(place.directory);
  return checkAnchors(chain, run, objects).catch((error: unknown) => {
    const { why, remedy } = objects.troubleOf(error);
    throw new RecordUnreachableError(`The anchors of ${run} cannot be read from ${objects.pathOf('')}: ${why}.`, remedy);
  });
}

/** The entries with what is kept beside them in its place, as far as it is there. */
function wholeEntries({ entries }: ChainReport, signatures: readonly CheckedSignature[], values: ReadonlyMap<string, Json>): WholeEntry[] {
  const unsigned = new Set(signatures.flatMap(({ line, ok }) => (ok ? [] : [line])));
  return entries.map(({ line, entry }) => {
    const filled = keptValuesOf(entry).map(([name, { sha256 }]): [string, Json] => [name, values.get(sha256) ?? null]);
    const body: JsonObject = { ...entry.body, ...Object.fromEntries(filled) };
    return { line, entry: { ...entry, body }, isSigned: !unsigned.has(line) };
  });
}

/** Checks what entries refer to; the same bytes are read once. */
async function checkKept({ chain, names, readKept }: FoundRecord): Promise<{
  count: number;
  /** What was read, by its digest. */
  values: Map<string, Json>;
  problems: EvidenceReport['problems'];
  locks: (Date | undefined)[];
}> {
  const values = new Map<string, Json>();
  const problems: EvidenceReport['problems'] = [];
  const sound = new Map<string, Date | undefined>();
  let count = 0;
  for (const { line, entry } of chain.entries) {
    for (const [name, kept] of keptValuesOf(entry)) {
      count += 1;
      if (sound.has(kept.sha256)) continue;
      const { bytes, lockedUntil } = await readKept(kept.sha256);
      const sentence = keptProblemOf(entry, name, kept, bytes);
      if (sentence === undefined) {
        sound.set(kept.sha256, lockedUntil);
        values.set(kept.sha256, (parseJson(bytes ?? new Uint8Array()) ?? null) as Json);
      } else problems.push({ line, sentence, ...(names && { object: names[line - 1] }) });
    }
  }
  return { count, values, problems, locks: [...sound.values()] };
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
  return { chain, problems: chain.problems, readKept: (digest) => readKept(objects, digest) };
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
  return { chain, problems, names, locks: found.map(({ lockedUntil }) => lockedUntil), readKept: read };
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

/** Undefined for an entry of a kind that needs no signature; a sentence where the signature is missing or does not hold. */
function checkSigned(
  entry: EvidenceEntry,
  started: EvidenceEntry | undefined,
): { person: string; sentence: string; result?: undefined } | { person: string; sentence?: undefined; result: Verified } | undefined {
  const signed = signedClaimsOf(entry);
  if (signed === undefined) return undefined;
  const { claims, jws, publicKey } = signed;
  const name = `Entry ${entry.sequence} (${entry.kind})`;
  if (typeof claims.person !== 'string' || typeof jws !== 'string' || typeof publicKey !== 'string') {
    return { person: 'nobody', sentence: `${name} should be signed, but lacks the person, the signature or the key.` };
  }
  const { person } = claims;
  // Claims that the body lacks are undefined here, and no signed claim is equal to that.
  const recorded = keyOfText(publicKey);
  if (!recorded || textOfKey(recorded) !== publicKey)
    return { person, sentence: `${name} is signed with ${JSON.stringify(publicKey.slice(0, 100))}, which is no public key.` };
  const result = checkSignature(jws, claims as unknown as ExpectedStatement, { keys: [recorded] }, 'signing');
  if (!result.ok) return { person, sentence: `${name}: ${result.reason}` };
  if (Date.parse(result.statement.at) > Date.parse(entry.at) + clockSkewMaxMs) {
    return { person, sentence: `${name} was written at ${entry.at}, before ${person} signed it at ${result.statement.at}.` };
  }
  if (result.statement.kind === 'pre-approval') {
    const writtenMs = Date.parse(entry.at);
    // What is accepted in the last moment of an opening is written down after it.
    const acceptedMs = Math.min(writtenMs, Math.max(writtenMs - clockSkewMaxMs, Date.parse(result.statement.notAfter)));
    const refusal = refusalOfPreApproval(result.statement, useOf(result.statement, started), [], acceptedMs);
    if (refusal) return { person, sentence: `${name} should not have been accepted. ${refusal.reason}` };
  }
  return { person, result };
}

/** What the run of a record asked for: the start says on what, with which runbook and inputs; the entry says the rest, and is signed. */
function useOf(statement: PreApprovalStatement, started: EvidenceEntry | undefined): PreApprovalUse {
  const { target, runbook, inputs } = started?.body ?? {};
  // Large inputs are kept beside the record under the digest that a person signs.
  const kept = started && keptValuesOf(started).find(([name]) => name === 'inputs')?.[1];
  const inputsDigest = kept?.sha256 ?? (inputs === undefined ? undefined : digestOf(inputs));
  const text = (value: Json | undefined): string => (typeof value === 'string' ? value : 'nothing');
  return { ...statement, target: text(target), runbook: text(runbook), inputs: text(inputsDigest) };
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
