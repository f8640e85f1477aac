import canonicalize from 'canonicalize';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { isObject, parseJson, type Json, type JsonObject } from '../json.ts';
import { digestOf, digestOfText } from '../plan/plan.ts';
import { claimNames, optionalClaimNames, type ExpectedStatement, type StatementKind } from '../approval/statement.ts';

/**
 * One entry of the record of a run. Each names the hash of the one before it, so none can be changed, left out,
 * moved or added without a trace; the first names the digest of the run's id, so that records cannot be swapped.
 * Somebody who can rewrite the whole record can also make the chain anew: only the signatures in it hold against that, those of
 * people and that of the worker which has written the entry.
 */
export interface EvidenceEntry {
  /** 1, 2, 3 … */
  sequence: number;
  /** When it was written; ISO 8601, UTC. */
  at: string;
  run: string;
  /**
   * Id of the Temporal execution that has written it, which no start carried out anew and no reset has again; a run that continues as
   * new has another one from there on. Absent where no workflow writes, as for a drain by hand.
   */
  execution?: string;
  /** What happened, e.g. `run.started`, `decision.accepted`, `run.ended`. */
  kind: string;
  body: JsonObject;
  /** Hash of the entry before, or the digest of the run's id for the first. */
  previous: string;
  /** The public key of the worker that has written it (`x` of the JWK); absent where the worker has none. */
  worker?: string;
  /** `sha256:…` over the canonical JSON of everything else but the signature. */
  hash: string;
  /** The worker's Ed25519 signature over `bytesOfEntry`, base64url; absent where it has no key. */
  signature?: string;
}

/** The head of a record as it is put into a second place: the entry without its body. */
export type Anchor = Omit<EvidenceEntry, 'body' | 'previous'>;

/** The kinds of entries whose head is put into a second place: before changes that were signed begin, and at the end. */
export const anchoredKinds: readonly string[] = ['plan.made', 'hold.released', 'undo.started', 'run.ended'];

/**
 * What stands in the body of an entry in the place of a value that is too large for it. The value itself is its JSON, as `writtenJson`
 * writes it, in UTF-8 in `payloads/<hex>` beside the record, and the hash of the entry covers its digest.
 */
export interface KeptValue {
  /** `sha256:<hex>` over the bytes. */
  sha256: string;
  /** How many there are. */
  bytes: number;
}

/** Something wrong with one line of a record. */
export interface LineProblem {
  /** Counted from 1. */
  line: number;
  sentence: string;
}

/** What is found in a record by looking at nothing but its text. */
export interface ChainReport {
  /** Whether every line is as it was written; says nothing about entries cut off at the end, see `ending`. */
  ok: boolean;
  /** The entries that could be read, with their lines. */
  entries: { line: number; entry: EvidenceEntry }[];
  problems: LineProblem[];
  /** A record without `run.ended` belongs to a run that is still open, or its end was cut off: the text cannot tell. */
  ending: 'ended' | 'open-or-cut-off';
}

/**
 * What is larger stays neither in the histories of Temporal nor in the entries of a record: the evidence store keeps it
 * under its digest.
 */
export const payloadSizeMax = 64 * 1024;

/** How large something kept under its digest may be: more than any message of Temporal (gRPC) could bring. */
export const keptBytesMax = 4 * 1024 * 1024;

/**
 * How large one value of an entry may be that is kept beside the record. A plan and what has changed in it must be shown to
 * the people who sign, both in one answer of Temporal, which has 2 MiB at most.
 */
export const recordedValueBytesMax = 768 * 1024;

/**
 * The metadata key of a Temporal payload that answers a client (a query, an update, a plan that was asked for): it stays as
 * it is, whatever its size, so that clients need no access to the evidence store.
 */
export const answerMark = 'holdpoint-answer';

/**
 * The metadata key of a Temporal payload that is the heartbeat of a step: it stays as it is, too. Heartbeats come into no history, each
 * replaces the one before, and clients read them without the evidence store.
 */
export const heartbeatMark = 'holdpoint-heartbeat';

/** How large the JSON of one body may be, as it is written. */
export const evidenceBodyBytesMax = 256 * 1024;

/** How long a line can be: the body and everything around it. */
export const evidenceLineBytesMax = evidenceBodyBytesMax + 1024;

/** How large the record of one run may become; a long run has a few thousand entries of about a kilobyte. */
export const recordBytesMax = 256 * 1024 * 1024;

/** How many problems of one record are listed; a file that is no record at all has one in each line. */
export const lineProblemsMax = 1_000;

/** The kind of a run's last entry. */
export const endingKind = 'run.ended';

/** The kind of the entry with which a run turns round, to roll back. */
export const rollbackKind = 'undo.started';

/** The kind of the entry that says over which channel people could not be told of what, and why. */
export const undeliveredKind = 'notification.undelivered';

/** The kind of the entry that says why a schedule has not started a run. */
export const skippedKind = 'schedule.skipped';

const runPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const kindPattern = /^[a-z][A-Za-z0-9.-]{0,99}$/;
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;
/** The folder beside the records for what is kept under its digest. */
const keptFolder = 'payloads';
/** The folder beside the records that says which runs have to do with a subject. */
const indexFolder = 'index';
/** Folders beside the records that are no record; large files go to `artifacts` where the configuration does not say. */
const reservedFolders = [keptFolder, indexFolder, 'artifacts'];
/** What a KeptValue takes at most. */
const keptValueBytes = 128;
const entryKeys = ['at', 'body', 'hash', 'kind', 'previous', 'run', 'sequence'];
const signedEntryKeys = [...entryKeys, 'signature', 'worker'];
const signaturePattern = /^[A-Za-z0-9_-]{86}$/;
const keyPattern = /^[A-Za-z0-9_-]{43}$/;
const executionPattern = /^[A-Za-z0-9-]{1,64}$/;
/**
 * What a terminal obeys instead of showing it, or what nobody sees: controls, directions, formats, fillers, tags. By their numbers, as the
 * classes of Unicode grow with its editions, and a line that was written once must be right in all of them.
 */
const unseenInFiles = new RegExp(
  [
    '[\\x7f-\\x9f\\xad\\u061c\\u115f\\u1160\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb]',
    '\\u034f|[\\u17b4\\u17b5]|[\\u180b-\\u180f]|[\\ufe00-\\ufe0f]',
    '\\ud834[\\udd73-\\udd7a]',
    '[\\udb40-\\udb43][\\udc00-\\udfff]',
  ].join('|'),
  'g',
);

/** The kinds of entries that carry a signature, by the statement that was signed: the body repeats its claims. */
export const signedKinds = {
  start: 'run.started',
  schedule: 'run.scheduled',
  decision: 'decision.accepted',
  'deferred-approval': 'decision.deferred',
  'delegated-approval': 'decision.delegated',
  'break-glass': 'glass.broken',
  delegation: 'delegation.accepted',
  withdrawal: 'decision.withdrawn',
  command: 'command.accepted',
  'pre-approval': 'pre-approval.accepted',
} as const satisfies Record<StatementKind, string>;

/** Whether a text can be the id of a run: also safe as the name of a folder. */
export function isRunId(text: string): boolean {
  return runPattern.test(text) && !reservedFolders.includes(text);
}

/** SHA-256 of bytes, as `sha256:<hex>`. */
export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${bytesToHex(sha256(bytes))}`;
}

/** Where something is kept, relative to the records: `payloads/<hex>`. Throws RangeError for what is no digest. */
export function keptPathOf(digest: string): string {
  if (!digestPattern.test(digest)) throw new RangeError(`${JSON.stringify(digest.slice(0, 200))} is no SHA-256 digest`);
  return `${keptFolder}/${digest.slice('sha256:'.length)}`;
}

/** Where it is written which runs have to do with a subject: a folder beside the records, named by the hash of the subject. */
export function indexPathOf(subject: string): string {
  return `${indexFolder}/${bytesToHex(sha256(utf8ToBytes(subject)))}`;
}

/**
 * Takes out of a body what must be kept beside the record: its largest values, until the rest is no larger than
 * `payloadSizeMax`. Each leaves a KeptValue under its name. A value that looks like one is kept as well, so that whatever
 * looks like one in a record is one. A body without a JSON form comes back as it is, for `chain` to refuse.
 */
export function splitBody(body: JsonObject): { body: JsonObject; kept: { name: string; bytes: Uint8Array }[] } {
  const rest = { ...body };
  const kept: { name: string; bytes: Uint8Array }[] = [];
  let size = sizeOf(body);
  if (size === undefined) return { body, kept };
  const values = Object.entries(body).map(([name, value]) => ({ name, value, bytes: utf8ToBytes(writtenJson(value)) }));
  values.sort((one, other) => other.bytes.length - one.bytes.length);
  for (const { name, value, bytes } of values) {
    const isTooMuch = size > payloadSizeMax && bytes.length > keptValueBytes;
    if (!isTooMuch && !isKeptValue(value)) continue;
    rest[name] = { sha256: digestOfBytes(bytes), bytes: bytes.length };
    kept.push({ name, bytes });
    size -= bytes.length - keptValueBytes;
  }
  return { body: rest, kept };
}

/** The values of an entry that are kept beside the record, by the names that they have in its body. */
export function keptValuesOf({ body }: EvidenceEntry): [name: string, kept: KeptValue][] {
  return Object.entries(body).flatMap(([name, value]) => (isKeptValue(value) ? [[name, value]] : []));
}

/** What is wrong with the bytes that were found (undefined: none) for a value of an entry; undefined where they are as they were kept. */
export function keptProblemOf(entry: EvidenceEntry, name: string, kept: KeptValue, bytes: Uint8Array | undefined): string | undefined {
  const subject = `${nameOf(entry)} keeps its ${name} beside the record, in ${keptPathOf(kept.sha256)}`;
  if (bytes === undefined) return `${subject}, which is missing.`;
  if (bytes.length === kept.bytes && digestOfBytes(bytes) === kept.sha256) return undefined;
  return `${subject}, which was changed: it is not what the entry names.`;
}

/**
 * Makes the entry that follows `previous`, or the first one of its run.
 *
 * @throws RangeError where the body is too large or has no JSON form, or an id cannot be used.
 */
export function chain(
  previous: EvidenceEntry | undefined,
  entry: Pick<EvidenceEntry, 'run' | 'execution' | 'at' | 'kind' | 'body' | 'worker'>,
): EvidenceEntry {
  const { run, execution, at, kind, body, worker } = entry;
  if (!runPattern.test(run)) throw new RangeError(`${JSON.stringify(run)} cannot be the id of a run`);
  if (!kindPattern.test(kind)) throw new RangeError(`${JSON.stringify(kind)} cannot be the kind of an entry`);
  if (execution !== undefined && !executionPattern.test(execution)) {
    throw new RangeError(`${JSON.stringify(execution)} cannot be the id of an execution`);
  }
  if (!timePattern.test(at)) throw new RangeError(`${JSON.stringify(at)} is not a time in UTC`);
  if (previous && previous.run !== run) throw new RangeError(`an entry of run ${run} cannot follow one of run ${previous.run}`);
  const bytes = utf8ToBytes(writtenBody(body)).length;
  if (bytes > evidenceBodyBytesMax) {
    throw new RangeError(`the body of ${kind} has ${bytes} bytes, and an entry holds at most ${evidenceBodyBytesMax}`);
  }
  const sequence = (previous?.sequence ?? 0) + 1;
  const written = { ...(execution !== undefined && { execution }), ...(worker !== undefined && { worker }) };
  const unsealed = { sequence, at, run, ...written, kind, body, previous: previous?.hash ?? digestOfText(run) };
  return { ...unsealed, hash: digestOf(unsealed) };
}

/**
 * The bytes that a worker signs for an entry. No statement of a person begins like this, so that neither passes for the other.
 *
 * @param hash that of the entry, which covers everything in it.
 */
export function bytesOfEntry(hash: string): Uint8Array {
  return utf8ToBytes(`holdpoint evidence entry ${hash}`);
}

/** The head of a record, as it is put into a second place. */
export function anchorOf({ body: _body, previous: _previous, ...head }: EvidenceEntry): Anchor {
  return head;
}

/** What is wrong with a record for which a second place keeps that anchor; undefined where the record has just that entry. */
export function anchorProblem({ sequence, hash }: Anchor, entries: readonly EvidenceEntry[]): string | undefined {
  const entry = entries.find((candidate) => candidate.sequence === sequence);
  if (entry?.hash === hash) return undefined;
  if (entry) return `${nameOf(entry)} has the hash ${entry.hash}, but was anchored with ${hash}: the record was made anew since.`;
  return `The record has no entry ${sequence}, but one was anchored with the hash ${hash}: it was cut off.`;
}

/** The one way to write an entry, so that not even a space can be added unseen. Without the line's end. */
export function lineOf(entry: EvidenceEntry): string {
  return writtenJson(entry);
}

/**
 * Canonical JSON in which whatever cannot be seen is escaped: tenants of a cluster must not reach the terminal of somebody who looks at a
 * record with `cat`. It says the same as the canonical JSON, which hashes are made of.
 */
function writtenJson(value: unknown): string {
  return (canonicalize(value) ?? '').replace(unseenInFiles, (characters) =>
    Array.from({ length: characters.length }, (_, index) => `\\u${characters.charCodeAt(index).toString(16).padStart(4, '0')}`).join(''),
  );
}

/** Reads one line, looking only at itself: gives the entry, with a sentence if it is not as it was written; or only a sentence. */
export function readLine(line: string): { entry?: EvidenceEntry; problem?: string } {
  const value = parseJson(line);
  if (value === undefined) return { problem: 'The line is not JSON.' };
  if (!isEntry(value)) return { problem: 'The line is JSON, but not an entry of a record.' };
  const found = hashOf(value);
  if (found !== value.hash) {
    return { entry: value, problem: `${nameOf(value)} was changed: its hash is ${found}, but it says ${value.hash}.` };
  }
  if (lineOf(value) === line) return { entry: value };
  return { entry: value, problem: `${nameOf(value)} was written anew: the line is not as Holdpoint writes it.` };
}

/**
 * Checks a whole record: every line for itself, and that each one follows from the one before.
 *
 * @param text JSON lines.
 * @param run the run it should be of; the run of its first entry where that is not known.
 */
export function verifyChain(text: string, run?: string): ChainReport {
  const entries: ChainReport['entries'] = [];
  const problems: LineProblem[] = [];
  const lines = text.split('\n');
  // A text that ends as it should leaves an empty piece after its last line end.
  const cut = lines.pop();
  for (const [index, text] of lines.entries()) {
    const { entry, problem } = readLine(text);
    if (entry) entries.push({ line: index + 1, entry });
    if (problem) problems.push({ line: index + 1, sentence: problem });
  }
  if (cut) problems.push({ line: lines.length + 1, sentence: 'The line has no end: it was cut off while it was written.' });
  if (entries.length === 0 && problems.length === 0) problems.push({ line: 1, sentence: 'The record has no entries.' });
  // As arguments of one call, those of a file of a million lines would not fit on the stack.
  for (const problem of linkProblems(entries, run)) problems.push(problem);
  problems.sort((one, other) => one.line - other.line);
  return {
    ok: problems.length === 0,
    entries,
    problems: problems.slice(0, lineProblemsMax),
    ending: entries.at(-1)?.entry.kind === endingKind ? 'ended' : 'open-or-cut-off',
  };
}

/** What a person signed, as it is put into the record of the run, for `signedClaimsOf` to find again. */
export function signedEvidence(
  claims: ExpectedStatement,
  jws: string,
  publicKey: string,
): { kind: (typeof signedKinds)[StatementKind]; body: JsonObject } {
  // Each entry names its run by itself.
  const { kind, run: _run, ...rest } = claims as ExpectedStatement & { run?: string };
  return { kind: signedKinds[kind], body: { ...rest, jws, publicKey } };
}

/**
 * What an entry says was signed, by whom and with which key; undefined for kinds that carry no signature.
 * Claims that the body lacks are undefined, which no signed statement can agree with.
 */
export function signedClaimsOf(
  entry: EvidenceEntry,
): { claims: { [claim: string]: Json | undefined }; jws?: Json; publicKey?: Json } | undefined {
  const kind = (Object.keys(signedKinds) as StatementKind[]).find((kind) => signedKinds[kind] === entry.kind);
  if (kind === undefined) return undefined;
  const claims: { [claim: string]: Json | undefined } = { kind };
  for (const name of claimNames(kind)) claims[name] = name === 'run' ? entry.run : entry.body[name];
  for (const name of optionalClaimNames(kind)) if (entry.body[name] !== undefined) claims[name] = entry.body[name];
  return { claims, jws: entry.body.jws, publicKey: entry.body.publicKey };
}

function linkProblems(entries: ChainReport['entries'], expectedRun: string | undefined): LineProblem[] {
  const run = expectedRun ?? entries[0]?.entry.run ?? '';
  const present = new Set(entries.map(({ entry }) => entry.sequence));
  const seen = new Map<number, string>([[0, digestOfText(run)]]);
  const problems: LineProblem[] = [];
  let highest = 0;
  let ended = false;
  for (const { line, entry } of entries) {
    const note = (sentence: string) => problems.push({ line, sentence });
    const { sequence } = entry;
    if (entry.run !== run) {
      note(`${nameOf(entry)} belongs to run ${entry.run}, but this is the record of run ${run}.`);
      continue;
    }
    if (seen.has(sequence)) {
      note(seen.get(sequence) === entry.hash ? `${nameOf(entry)} is there twice.` : `${nameOf(entry)} is a second entry ${sequence}.`);
      continue;
    }
    if (ended) note(`${nameOf(entry)} comes after the end of the run.`);
    if (sequence < highest) note(`${nameOf(entry)} is out of order: it comes after entry ${highest}.`);
    const missing = missingBetween(highest, sequence, present);
    if (missing) note(`${missing} before ${nameOf(entry)}.`);
    const before = seen.get(sequence - 1);
    if (before !== undefined && before !== entry.previous) {
      note(`${nameOf(entry)} does not follow from ${sequence === 1 ? `run ${run}` : `entry ${sequence - 1}`}: one of them was replaced.`);
    }
    seen.set(sequence, entry.hash);
    highest = Math.max(highest, sequence);
    ended ||= entry.kind === endingKind;
  }
  return problems;
}

function missingBetween(highest: number, sequence: number, present: ReadonlySet<number>): string | undefined {
  let first = highest + 1;
  while (first < sequence && present.has(first)) first += 1;
  let last = sequence - 1;
  while (last > first && present.has(last)) last -= 1;
  if (first >= sequence) return undefined;
  return first === last ? `Entry ${first} is missing` : `Entries ${first} to ${last} are missing`;
}

function isEntry(value: unknown): value is EvidenceEntry {
  if (!isObject(value)) return false;
  const entry: Record<string, unknown> = value;
  const keys = Object.keys(entry)
    .filter((key) => key !== 'execution')
    .sort()
    .join();
  const isSigned = keys === signedEntryKeys.join();
  if (!isSigned && keys !== entryKeys.join()) return false;
  return (
    (!isSigned || (matches(entry.signature, signaturePattern) && matches(entry.worker, keyPattern))) &&
    Number.isSafeInteger(entry.sequence) &&
    Number(entry.sequence) >= 1 &&
    matches(entry.run, runPattern) &&
    (!Object.hasOwn(entry, 'execution') || matches(entry.execution, executionPattern)) &&
    matches(entry.kind, kindPattern) &&
    matches(entry.at, timePattern) &&
    matches(entry.previous, digestPattern) &&
    matches(entry.hash, digestPattern) &&
    isObject(entry.body)
  );
}

function isKeptValue(value: Json): value is Json & KeptValue {
  if (!isObject(value)) return false;
  return Object.keys(value).sort().join() === 'bytes,sha256' && matches(value.sha256, digestPattern) && Number.isSafeInteger(value.bytes);
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

/** How problems call an entry. */
export function nameOf({ sequence, kind }: EvidenceEntry): string {
  return `Entry ${sequence} (${kind})`;
}

function hashOf(entry: EvidenceEntry): string {
  const { hash: _hash, signature: _signature, ...unsealed } = entry;
  try {
    return digestOf(unsealed);
  } catch {
    // Half a surrogate pair, or nesting too deep: `chain` lets none of it in.
    return 'none (it has no canonical JSON)';
  }
}

/** How many bytes a body has as it is written; undefined where it has no JSON form. */
function sizeOf(body: JsonObject): number | undefined {
  try {
    return utf8ToBytes(writtenBody(body)).length;
  } catch {
    return undefined;
  }
}

function writtenBody(body: JsonObject): string {
  try {
    return writtenJson(body);
  } catch (error) {
    throw new RangeError(`the body has no JSON form: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
