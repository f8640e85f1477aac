import { GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { chain, isRunId, lineOf, readLine, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import { digestOf, digestOfText } from '../../domain/plan/plan.ts';
import type { EvidenceBucket } from '../../runbooks/configuration/configuration.ts';
import { fetchObject, keepObject } from './kept-objects.ts';
import {
  checkObjects,
  getObject,
  keyOf,
  listNames,
  placeOf,
  putNew,
  readObjects,
  recordEntriesMax,
  troubleOf,
  type RecordPlace,
} from './s3-record.ts';
import { EvidenceError, type EvidenceErrorCode, type EvidenceStore, type NewEntry, type Receipt } from './store.ts';

/** Runs whose last entry is remembered; another one costs a read. */
const rememberedRunsMax = 1_000;
/** How often an entry is written when S3 says that it is there, or being written, and then shows none. */
const writesMax = 5;

/** What keeps the objects of a bucket from being removed. */
export interface Protection {
  /** Whether new objects are locked by themselves; undefined where the worker may not ask. */
  isLocked?: boolean;
  /** For a log: what holds, and what to do if it should be otherwise. */
  sentence: string;
}

/** A bucket that keeps the records of runs. */
export interface EvidenceBucketStore extends EvidenceStore {
  /** Asks for the Object Lock of the bucket. Throws EvidenceError where the bucket cannot be used. */
  protection(): Promise<Protection>;
}

/** What the next entry follows from; bodies are not remembered. */
type Link = EvidenceEntry | undefined;

interface RunRecord {
  place: RecordPlace;
  run: string;
  /** Where a person finds it. */
  path: string;
  last: LastEntries;
}

/**
 * Keeps each run's record in `s3://<bucket>/<prefix>/<run>/`, one object per entry that is one canonical JSON line.
 * What is kept under its digest is in `s3://<bucket>/<prefix>/payloads/<hex>`.
 * Several processes may write at once: an entry is only ever written where there is none.
 * Object Lock is left to the bucket's default retention, so that whoever writes records cannot shorten it.
 */
export function createEvidenceBucket({ bucket, prefix, region }: EvidenceBucket): EvidenceBucketStore {
  const place = placeOf(region, bucket, prefix);
  const last = new LastEntries();
  const recordOf = (run: string): RunRecord => {
    if (isRunId(run)) return { place, run, path: `s3://${bucket}/${place.prefix}${run}`, last };
    const message = `${JSON.stringify(run.slice(0, 200))} cannot be the id of a run.`;
    throw new EvidenceError('evidence-run-malformed', 'refuse', message, 'Use letters, digits, ".", "_" and "-", a letter or digit first.');
  };
  return {
    pathOf: (run) => recordOf(run).path,
    append: async (run, entry) => {
      const record = recordOf(run);
      checkSequence(record, entry);
      const what = `Entry ${entry.sequence} of run ${run} could not be written to ${record.path}`;
      return withTroubles('evidence-unwritable', what, bucket, () => appendEntry(record, entry));
    },
    read: async (run) => {
      const record = recordOf(run);
      const what = `The record of run ${run} could not be read from ${record.path}`;
      return withTroubles('evidence-unreadable', what, bucket, () => readEntries(record));
    },
    keep: async (bytes) => {
      const what = `${bytes.length} bytes could not be kept in s3://${bucket}/${place.prefix}`;
      return withTroubles('evidence-unwritable', what, bucket, () => keepObject(place, bytes));
    },
    fetch: async (digest) => {
      const what = `${digest} could not be read from s3://${bucket}/${place.prefix}`;
      return withTroubles('evidence-unreadable', what, bucket, () => fetchObject(place, digest));
    },
    protection: async () => {
      const what = `The bucket ${bucket} cannot keep the records of runs`;
      return withTroubles('evidence-unwritable', what, bucket, () => protectionOf(place));
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
  const { place, run, last } = record;
  let previous = last.at(run, entry.sequence - 1) ?? (await readPrevious(record, entry));
  for (let writes = 1; writes <= writesMax; writes += 1) {
    const sealed = sealAfter(previous, run, entry);
    const isWritten = await putNew(place, keyOf(place, run, entry.sequence), `${lineOf(sealed)}\n`);
    const found = isWritten ? sealed : await readEntry(record, entry.sequence);
    // The write that was in the way has failed, or the entry was removed since.
    if (found === undefined) continue;
    if (!follows(found, previous, run)) {
      // What is remembered may be wrong, if the record was changed by hand; what lies in S3 decides.
      last.forget(run);
      previous = await readPrevious(record, entry);
      if (!follows(found, previous, run)) throw damaged(record, `entry ${found.sequence} does not follow from the one before`);
    }
    if (found.kind !== entry.kind || digestOf(found.body) !== digestOf(entry.body)) throw conflict(record, entry, found);
    last.keep(found);
    return { sequence: found.sequence, at: found.at, hash: found.hash };
  }
  throw new Error(`S3 said ${writesMax} times that entry ${entry.sequence} is there, but shows none: it is being written, or was deleted`);
}

function follows(entry: EvidenceEntry, previous: Link, run: string): boolean {
  return entry.previous === (previous?.hash ?? digestOfText(run));
}

/** The entry before, from S3. Undefined for the first one; throws where it is missing. */
async function readPrevious(record: RunRecord, entry: NewEntry): Promise<Link> {
  if (entry.sequence === 1) return undefined;
  const previous = await readEntry(record, entry.sequence - 1);
  if (previous) return previous;
  const names = await listNames(record.place, record.run);
  throw gap(record, entry, Number.parseInt(names.at(-1) ?? '0', 10));
}

async function readEntry(record: RunRecord, sequence: number): Promise<Link> {
  const { place, run } = record;
  const object = await getObject(place, keyOf(place, run, sequence));
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

async function readEntries(record: RunRecord): Promise<EvidenceEntry[]> {
  const objects = await readObjects(record.place, record.run);
  if (objects.length === 0) return [];
  const { chain: report, problems } = checkObjects(objects, record.run);
  const [problem] = problems;
  if (problem) throw damaged(record, `${problem.object ?? 'the whole'}: ${problem.sentence}`);
  return report.entries.map(({ entry }) => entry);
}

async function protectionOf({ client, bucket }: RecordPlace): Promise<Protection> {
  const where = `Records are kept in the bucket ${bucket}`;
  try {
    const { ObjectLockConfiguration: lock } = await client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }));
    const retention = lock?.Rule?.DefaultRetention;
    if (!retention) {
      const sentence = `${where}, whose Object Lock has no default retention: entries are not locked. Give it one to lock them.`;
      return { isLocked: false, sentence };
    }
    const time = retention.Days === undefined ? `${retention.Years} years` : `${retention.Days} days`;
    return { isLocked: true, sentence: `${where}, which locks each entry for ${time} (Object Lock, ${retention.Mode}).` };
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'ObjectLockConfigurationNotFoundError') {
      return { isLocked: false, sentence: `${where}, which has no Object Lock: whoever may delete objects can remove entries.` };
    }
    // The right to ask (s3:GetBucketObjectLockConfiguration) is not needed for writing, and some stores have no Object Lock.
    if (name === 'AccessDenied' || name === 'NotImplemented') {
      return { sentence: `${where}; whether they are locked is not known (${name}).` };
    }
    throw error;
  }
}

async function withTroubles<Result>(
  code: 'evidence-unwritable' | 'evidence-unreadable',
  what: string,
  bucket: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EvidenceError) throw error;
    const { consequence, why, remedy } = troubleOf(error, bucket);
    // Without the cause: errors of the S3 client can hold tokens.
    throw new EvidenceError(code, consequence, `${what}: ${why}.`, remedy);
  }
}

function checkSequence({ run, path }: RunRecord, { sequence }: NewEntry): void {
  if (!Number.isSafeInteger(sequence) || sequence < 1) {
    throw malformed(run, new RangeError(`the entries of a run are numbered 1, 2, 3 …, not ${sequence}`));
  }
  if (sequence > recordEntriesMax) {
    const message = `The record ${path} has reached its limit of ${recordEntriesMax} entries.`;
    throw new EvidenceError('evidence-full', 'stuck', message, 'Abort the run and start another one for the rest of the work.');
  }
}

function sealAfter(previous: Link, run: string, { kind, body }: NewEntry): EvidenceEntry {
  try {
    return chain(previous, { run, at: new Date().toISOString(), kind, body });
  } catch (error) {
    throw error instanceof RangeError ? malformed(run, error) : error;
  }
}

function malformed(run: string, cause: RangeError): EvidenceError {
  const message = `Run ${run} has something that cannot be recorded: ${cause.message}.`;
  return new EvidenceError('evidence-entry-malformed', 'refuse', message, 'This is a fault of Holdpoint: report it.', { cause });
}

function conflict(record: RunRecord, { sequence, kind }: NewEntry, found: EvidenceEntry): EvidenceError {
  return stuck(
    'evidence-conflict',
    `Entry ${sequence} of run ${record.run} is in ${record.path} already, as ${found.kind} with other contents than this ${kind}.`,
    `Two runs may share the id, or the record was edited: check it with \`holdpoint evidence verify ${record.path}\`.`,
  );
}

function gap(record: RunRecord, { sequence, kind }: NewEntry, last: number): EvidenceError {
  const why = last >= sequence - 1 ? `entry ${sequence - 1} is missing` : `the record ends with entry ${last}`;
  return stuck(
    'evidence-gap',
    `Entry ${sequence} (${kind}) of run ${record.run} cannot be written to ${record.path}: ${why}.`,
    'Check that all workers keep their records in the same bucket and folder, and that no object was removed from it.',
  );
}

function damaged(record: RunRecord, why: string): EvidenceError {
  return stuck(
    'evidence-damaged',
    `The record ${record.path} is damaged: ${why}.`,
    `Look at it with \`holdpoint evidence verify ${record.path}\`, and bring the object back from a copy or an earlier version.`,
  );
}

function stuck(code: EvidenceErrorCode, message: string, remedy: string): EvidenceError {
  return new EvidenceError(code, 'stuck', message, remedy);
}
