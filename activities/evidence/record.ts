import {
  anchoredKinds,
  anchorOf,
  bytesOfEntry,
  chain,
  digestOfBytes,
  endingKind,
  evidenceLineBytesMax,
  isRunId,
  keptBytesMax,
  keptPathOf,
  indexPathOf,
  lineOf,
  readLine,
  type EvidenceEntry,
} from '../../domain/evidence/evidence.ts';
import { canonicalText, digestOf, digestOfText } from '../../domain/plan/plan.ts';
import type { ObjectStore } from '../storage/objects.ts';
import { checkRecord, entryNameOf, readRecord, recordEntriesMax } from './entries.ts';
import { EvidenceError, type EvidenceErrorCode, type EvidenceStore, type NewEntry, type Receipt } from './store.ts';

/** Runs whose last entry is remembered; another one costs a read. */
const rememberedRunsMax = 1_000;
/** Runs that are written down for one subject. */
const indexedRunsMax = 100_000;
/** How often something is written when the place says that it is there, or being written, and then shows none. */
const writesMax = 5;
/**
 * How old something that is kept may be when it is referred to anew. What is older is written over with the same bytes, so
 * that Object Lock keeps it about as long as the entry that refers to it now.
 */
const renewAfterMs = 86_400_000;

/** What the next entry follows from; bodies are not remembered. */
type Link = EvidenceEntry | undefined;

/** What makes a record one of a certain worker, and keeps it from being rewritten. */
export interface Proof {
  /** Signs each entry; entries are not signed where it is left out. */
  signer?: EntrySigner;
  /** A second place, where others cannot remove what is written: heads of records are put there as they grow. */
  anchor?: ObjectStore;
}

/** The key of a worker. */
export interface EntrySigner {
  /** The `x` of its JWK. */
  publicKey: string;
  sign(bytes: Uint8Array): Uint8Array;
}

interface RunRecord {
  proof: Proof;
  objects: ObjectStore;
  run: string;
  /** Where a person finds it. */
  path: string;
  last: LastEntries;
}

/**
 * The rules of evidence over a place that keeps small objects: each entry of a run is one object `<run>/<sequence>.json`
 * that holds one canonical JSON line; what is kept under its digest is `payloads/<hex>`. Several processes may write at
 * once: an entry is only ever written where there is none, and whoever comes second compares.
 */
export function createEvidenceStore(objects: ObjectStore, proof: Proof = {}): EvidenceStore {
  const last = new LastEntries();
  const recordOf = (run: string): RunRecord => {
    if (isRunId(run)) return { proof, objects, run, path: objects.pathOf(run), last };
    const message = `${JSON.stringify(run.slice(0, 200))} cannot be the id of a run.`;
    throw new EvidenceError('evidence-run-malformed', 'refuse', message, 'Use letters, digits, ".", "_" and "-", a letter or digit first.');
  };
  const trying = async <Result>(
    code: 'evidence-unwritable' | 'evidence-unreadable',
    what: string,
    work: () => Promise<Result>,
  ): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof EvidenceError) throw error;
      const { consequence, why, remedy } = objects.troubleOf(error);
      // Without the cause: errors of the S3 client can hold tokens.
      throw new EvidenceError(code, consequence, `${what}: ${why}.`, remedy);
    }
  };
  return {
    pathOf: (run) => recordOf(run).path,
    append: async (run, entry) => {
      const record = recordOf(run);
      checkSequence(record, entry);
      const what = `Entry ${entry.sequence} of run ${run} could not be written to ${record.path}`;
      return trying('evidence-unwritable', what, () => appendEntry(record, entry));
    },
    readAfter: async (run, known) => {
      const record = recordOf(run);
      const what = `The record of run ${run} could not be read from ${record.path}`;
      return trying('evidence-unreadable', what, () => readFollowing(record, known));
    },
    read: async (run) => {
      const record = recordOf(run);
      const what = `The record of run ${run} could not be read from ${record.path}`;
      return trying('evidence-unreadable', what, () => readEntries(record));
    },
    readEntry: async (run, sequence) => {
      const record = recordOf(run);
      checkSequence(record, { sequence });
      const what = `Entry ${sequence} of run ${run} could not be read from ${record.path}`;
      return trying('evidence-unreadable', what, () => readEntry(record, sequence));
    },
    keep: (bytes) =>
      trying('evidence-unwritable', `${bytes.length} bytes could not be kept in ${objects.pathOf('')}`, () => keep(objects, bytes)),
    fetch: (digest) =>
      trying('evidence-unreadable', `${digest} could not be read from ${objects.pathOf('')}`, async () => {
        const name = keptPathOf(digest);
        const there = await objects.get(name, keptBytesMax);
        // What is not read because it is too large cannot be what was kept.
        return requireDigest(there && (there.bytes ?? new Uint8Array()), digest, objects.pathOf(name));
      }),
    addToIndex: async (subject, run) => {
      const name = `${indexPathOf(subject)}/${recordOf(run).run}`;
      const what = `Run ${run} could not be written down in ${objects.pathOf(name)}`;
      await trying('evidence-unwritable', what, () => writeMark(objects, name, subject));
    },
    runsInIndex: (subject) => {
      const folder = indexPathOf(subject);
      return trying('evidence-unreadable', `The runs in ${objects.pathOf(folder)} could not be read`, async () => {
        const names = await objects.list(folder, indexedRunsMax);
        return names.filter(isRunId);
      });
    },
  };
}

/** The last entry of each run that this process has written, the longest unused one given up first. */
class LastEntries {
  private readonly entries = new Map<string, EvidenceEntry>();

  /** The entry with this number, if it is the last one that is known. */
  at(run: string, sequence: number): Link {
    const entry = this.entries.get(run);
    return entry?.sequence === sequence ? entry : undefined;
  }

  forget(run: string): void {
    this.entries.delete(run);
  }

  /** Keeps the entry unless a later one is known. */
  keep(entry: EvidenceEntry): void {
    const known = this.entries.get(entry.run);
    if (known && known.sequence > entry.sequence) return;
    this.entries.delete(entry.run);
    this.entries.set(entry.run, { ...entry, body: {} });
    const [oldest] = this.entries.keys();
    if (this.entries.size > rememberedRunsMax && oldest !== undefined) this.entries.delete(oldest);
  }
}

async function appendEntry(record: RunRecord, entry: NewEntry): Promise<Receipt> {
  const { objects, run, last } = record;
  const name = entryNameOf(run, entry.sequence);
  let previous = last.at(run, entry.sequence - 1) ?? (await readPrevious(record, entry));
  for (let writes = 1; writes <= writesMax; writes += 1) {
    const refusal = await refusalOf(record, previous, entry);
    // What lies there already was let in before, and is compared.
    if (refusal && !(await objects.get(name, 0))) throw refusal;
    const sealed = sealAfter(previous, record, entry);
    const isWritten = await objects.putIfAbsent(name, Buffer.from(`${lineOf(sealed)}\n`));
    const found = isWritten ? sealed : await readEntry(record, entry.sequence);
    // The write that was in the way has failed, or the entry was removed since.
    if (found === undefined) continue;
    if (!follows(found, previous, run)) {
      // What is remembered may be wrong, if the record was changed by hand; what lies there decides.
      last.forget(run);
      previous = await readPrevious(record, entry);
      if (!follows(found, previous, run)) throw damaged(record, `entry ${found.sequence} does not follow from the one before`);
    }
    if (!isSame(found, entry)) throw conflict(record, entry, found);
    await anchor(record, found);
    last.keep(found);
    return { sequence: found.sequence, at: found.at, hash: found.hash };
  }
  throw neverShown(`entry ${entry.sequence}`);
}

/**
 * A record is written by one execution, or by those that continue it: a start that is carried out anew, or a workflow that was reset,
 * must not add to what another one has written. Nothing comes after the end.
 */
async function refusalOf(record: RunRecord, previous: Link, entry: NewEntry): Promise<EvidenceError | undefined> {
  if (!previous) return undefined;
  if (previous.kind === endingKind) return ended(record, entry);
  const { execution, continues } = entry;
  if (previous.execution === execution) return undefined;
  if (previous.execution !== undefined && (await continues?.(previous.execution))) return undefined;
  return foreign(record, entry, previous);
}

function isSame(found: EvidenceEntry, { execution, kind, body }: NewEntry): boolean {
  return found.kind === kind && found.execution === execution && digestOf(found.body) === digestOf(body);
}

/** Puts the head of the record into the second place. What others have anchored there under its number must be the same entry. */
async function anchor(record: RunRecord, entry: EvidenceEntry): Promise<void> {
  const { anchor: place } = record.proof;
  if (!place || !anchoredKinds.includes(entry.kind)) return;
  const name = entryNameOf(entry.run, entry.sequence);
  const bytes = Buffer.from(`${canonicalText({ ...anchorOf(entry) })}\n`);
  try {
    for (let writes = 1; writes <= writesMax; writes += 1) {
      if (await place.putIfAbsent(name, bytes)) return;
      const there = await place.get(name, evidenceLineBytesMax);
      if (there === undefined) continue;
      if (bytes.equals(there.bytes ?? new Uint8Array())) return;
      throw stuck(
        'evidence-conflict',
        `Entry ${entry.sequence} of run ${entry.run} is anchored in ${place.pathOf(name)} already, as another entry.`,
        `The record was made anew, or two runs share the id: check it with \`holdpoint evidence verify ${record.path}\`.`,
      );
    }
  } catch (error) {
    if (error instanceof EvidenceError) throw error;
    const { consequence, why, remedy } = place.troubleOf(error);
    const what = `Entry ${entry.sequence} of run ${entry.run} could not be anchored in ${place.pathOf(name)}`;
    throw new EvidenceError('evidence-unwritable', consequence, `${what}: ${why}.`, remedy);
  }
  throw neverShown(`the anchor ${name}`);
}

/** Writes an object that is only there; the subject stands in it for people. */
async function writeMark(objects: ObjectStore, name: string, subject: string): Promise<void> {
  for (let writes = 1; writes <= writesMax; writes += 1) {
    if (await objects.putIfAbsent(name, Buffer.from(`${subject}\n`))) return;
    // The write that was in the way may have failed.
    if ((await objects.get(name, 0)) !== undefined) return;
  }
  throw neverShown(name);
}

/** Keeps bytes and returns their digest. */
async function keep(objects: ObjectStore, bytes: Uint8Array): Promise<string> {
  if (bytes.length > keptBytesMax) {
    const message = `Something of ${bytes.length} bytes cannot be kept: ${keptBytesMax} are the most that a plan or a result may have.`;
    throw new EvidenceError('evidence-entry-malformed', 'refuse', message, 'Split the work into several runs, each with a smaller plan.');
  }
  const digest = digestOfBytes(bytes);
  const name = keptPathOf(digest);
  for (let writes = 1; writes <= writesMax; writes += 1) {
    if (await objects.putIfAbsent(name, bytes)) return digest;
    const there = await objects.get(name, keptBytesMax);
    // The write that was in the way has failed, or what was there was removed since.
    if (there === undefined) continue;
    requireDigest(there.bytes ?? new Uint8Array(), digest, objects.pathOf(name));
    if (Date.now() - (there.modifiedAt?.getTime() ?? 0) > renewAfterMs) await objects.renew(name, bytes);
    return digest;
  }
  throw neverShown(name);
}

function follows(entry: EvidenceEntry, previous: Link, run: string): boolean {
  return entry.previous === (previous?.hash ?? digestOfText(run));
}

/** The entry before, as it lies there. Undefined for the first one; throws where it is missing. */
async function readPrevious(record: RunRecord, entry: NewEntry): Promise<Link> {
  if (entry.sequence === 1) return undefined;
  const previous = await readEntry(record, entry.sequence - 1);
  if (previous) return previous;
  const names = await record.objects.list(record.run, recordEntriesMax);
  throw gap(record, entry, Number.parseInt(names.at(-1) ?? '0', 10));
}

async function readEntry(record: RunRecord, sequence: number): Promise<Link> {
  const { objects, run } = record;
  const object = await objects.get(entryNameOf(run, sequence), evidenceLineBytesMax);
  if (!object) return undefined;
  const line = Buffer.from(object.bytes ?? []).toString('utf8');
  const { entry, problem } = readLine(line.slice(0, -1));
  if (!entry || problem !== undefined || !line.endsWith('\n')) {
    throw damaged(record, `entry ${sequence} cannot be continued: ${problem ?? 'its line has no end'}`);
  }
  if (entry.run !== run || entry.sequence !== sequence) {
    throw damaged(record, `in the place of entry ${sequence} is entry ${entry.sequence} of run ${entry.run}`);
  }
  return entry;
}

/** The entries behind a known one, one after another until there is none. */
async function readFollowing(record: RunRecord, known: Pick<EvidenceEntry, 'sequence' | 'hash'>): Promise<EvidenceEntry[]> {
  const entries: EvidenceEntry[] = [];
  let { sequence, hash } = known;
  for (let entry = await readEntry(record, sequence + 1); entry; entry = await readEntry(record, sequence + 1)) {
    if (entry.previous !== hash) throw damaged(record, `entry ${entry.sequence} does not follow from the one before`);
    entries.push(entry);
    ({ sequence, hash } = entry);
  }
  return entries;
}

async function readEntries(record: RunRecord): Promise<EvidenceEntry[]> {
  const found = await readRecord(record.objects, record.run);
  if (found.length === 0) return [];
  const { chain: report, problems } = checkRecord(found, record.run);
  const [problem] = problems;
  if (problem) throw damaged(record, `${problem.object ?? 'the whole'}: ${problem.sentence}`);
  return report.entries.map(({ entry }) => entry);
}

function checkSequence({ run, path }: RunRecord, { sequence }: Pick<NewEntry, 'sequence'>): void {
  if (!Number.isSafeInteger(sequence) || sequence < 1) {
    throw malformed(run, new RangeError(`the entries of a run are numbered 1, 2, 3 …, not ${sequence}`));
  }
  if (sequence > recordEntriesMax) {
    const message = `The record ${path} has reached its limit of ${recordEntriesMax} entries.`;
    throw new EvidenceError('evidence-full', 'stuck', message, 'Abort the run and start another one for the rest of the work.');
  }
}

function sealAfter(previous: Link, { run, proof: { signer } }: RunRecord, { execution, kind, body }: NewEntry): EvidenceEntry {
  try {
    const entry = chain(previous, { run, execution, at: new Date().toISOString(), kind, body, worker: signer?.publicKey });
    return signer ? { ...entry, signature: Buffer.from(signer.sign(bytesOfEntry(entry.hash))).toString('base64url') } : entry;
  } catch (error) {
    throw error instanceof RangeError ? malformed(run, error) : error;
  }
}

/** Gives back the bytes that were found at a place if they have the digest that they are kept under. */
function requireDigest(bytes: Uint8Array | undefined, digest: string, place: string): Uint8Array {
  if (bytes !== undefined && digestOfBytes(bytes) === digest) return bytes;
  throw new EvidenceError(
    'evidence-damaged',
    'stuck',
    `What is kept in ${place} ${bytes === undefined ? 'is missing' : 'was changed: it does not have that hash any more'}.`,
    'Bring it back from a backup or an earlier version: the runs that refer to it cannot go on without it.',
  );
}

function malformed(run: string, cause: RangeError): EvidenceError {
  const message = `Run ${run} has something that cannot be recorded: ${cause.message}.`;
  return new EvidenceError('evidence-entry-malformed', 'refuse', message, 'This is a fault of Holdpoint: report it.', { cause });
}

function conflict(record: RunRecord, { sequence, kind, execution }: NewEntry, found: EvidenceEntry): EvidenceError {
  const what = found.execution === execution ? 'with other contents than' : 'of another execution than';
  return stuck(
    'evidence-conflict',
    `Entry ${sequence} of run ${record.run} is in ${record.path} already, as ${found.kind} ${what} this ${kind}.`,
    `Two runs may share the id, or the record was edited: check it with \`holdpoint evidence verify ${record.path}\`.`,
  );
}

function ended(record: RunRecord, { sequence, kind }: NewEntry): EvidenceError {
  const message = `Entry ${sequence} (${kind}) cannot be added to ${record.path}: the record of run ${record.run} has ended before it.`;
  return new EvidenceError('evidence-ended', 'refuse', message, 'What belongs to another run needs an id of its own: start it anew.');
}

function foreign(record: RunRecord, { sequence, kind, execution }: NewEntry, previous: EvidenceEntry): EvidenceError {
  const [writer, other] = [previous.execution, execution].map((id) => (id === undefined ? 'no execution' : `the execution ${id}`));
  return stuck(
    'evidence-conflict',
    `Entry ${sequence} (${kind}) of run ${record.run} comes from ${other}, but ${record.path} is written by ${writer}, ` +
      'which it does not continue.',
    'The run was started a second time, or reset through Temporal: start another one for what is left to do.',
  );
}

function gap(record: RunRecord, { sequence, kind }: NewEntry, last: number): EvidenceError {
  const why = last >= sequence - 1 ? `entry ${sequence - 1} is missing` : `the record ends with entry ${last}`;
  return stuck(
    'evidence-gap',
    `Entry ${sequence} (${kind}) of run ${record.run} cannot be written to ${record.path}: ${why}.`,
    'Check that all workers keep their records in the same place, and that nothing was removed from it.',
  );
}

function damaged(record: RunRecord, why: string): EvidenceError {
  return stuck(
    'evidence-damaged',
    `The record ${record.path} is damaged: ${why}.`,
    `Look at it with \`holdpoint evidence verify ${record.path}\`, and bring the entry back from a backup or an earlier version.`,
  );
}

function stuck(code: EvidenceErrorCode, message: string, remedy: string): EvidenceError {
  return new EvidenceError(code, 'stuck', message, remedy);
}

function neverShown(what: string): Error {
  return new Error(`${what} is said to be there, ${writesMax} times, and cannot be found: it is being written, or was deleted`);
}
