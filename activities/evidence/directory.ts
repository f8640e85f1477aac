import { constants } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import {
  chain,
  evidenceLineBytesMax,
  isRunId,
  lineOf,
  readLine,
  recordBytesMax,
  verifyChain,
  type EvidenceEntry,
} from '../../domain/evidence/evidence.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import { fetchFile, keepFile, syncDirectory } from './kept-files.ts';
import { withLock, type HeldLock, type LockLimits } from './lock.ts';
import { EvidenceError, systemCodeOf, type EvidenceStore, type NewEntry, type Receipt } from './store.ts';

/** An append takes milliseconds; an activity that waits longer than this had better be tried again. */
const lockLimits: LockLimits = { waitMs: 10_000, staleMs: 60_000 };

const newline = 0x0a;

/** A record as the next append finds it. */
interface Tail {
  last: EvidenceEntry | undefined;
  /** Bytes up to the end of the last whole line; what follows was torn off and never acknowledged. */
  wholeBytes: number;
  fileBytes: number;
}

/**
 * Keeps each run's record in `<directory>/<run>.jsonl`, one canonical JSON line per entry, readable by its owner only.
 * What is kept under its digest is in `<directory>/payloads/<hex>`. Several processes may write at once. The directory must
 * be on a file system that all workers share.
 */
export function createEvidenceDirectory(directory: string): EvidenceStore {
  const pathOf = (run: string): string => {
    if (isRunId(run)) return path.join(directory, `${run}.jsonl`);
    const message = `${JSON.stringify(run.slice(0, 200))} cannot be the id of a run.`;
    throw new EvidenceError('evidence-run-malformed', 'refuse', message, 'Use letters, digits, ".", "_" and "-", a letter or digit first.');
  };
  return {
    pathOf,
    append: async (run, entry) => {
      const file = pathOf(run);
      if (!Number.isSafeInteger(entry.sequence) || entry.sequence < 1) {
        throw malformed(run, new RangeError(`the entries of a run are numbered 1, 2, 3 …, not ${entry.sequence}`));
      }
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        return await withLock(`${file}.lock`, lockLimits, (lock) => appendLocked(file, run, entry, lock));
      } catch (error) {
        throw asEvidenceError(error, 'evidence-unwritable', `Entry ${entry.sequence} of run ${run} could not be written to ${file}`);
      }
    },
    read: async (run) => {
      const file = pathOf(run);
      try {
        return await readRecord(file, run);
      } catch (error) {
        throw asEvidenceError(error, 'evidence-unreadable', `The record of run ${run} could not be read from ${file}`);
      }
    },
    keep: (bytes) =>
      keepFile(directory, bytes).catch((error: unknown) => {
        throw asEvidenceError(error, 'evidence-unwritable', `${bytes.length} bytes could not be kept in ${directory}`);
      }),
    fetch: (digest) =>
      fetchFile(directory, digest).catch((error: unknown) => {
        throw asEvidenceError(error, 'evidence-unreadable', `${digest} could not be read from ${directory}`);
      }),
  };
}

async function appendLocked(file: string, run: string, entry: NewEntry, lock: HeldLock): Promise<Receipt> {
  const handle = await open(file, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
  try {
    const tail = await readTail(handle, file, run);
    const next = (tail.last?.sequence ?? 0) + 1;
    if (entry.sequence > next) throw gap(file, run, entry, next - 1);
    if (entry.sequence < next) {
      const written = await existing(file, run, entry);
      // The first try may have been cut short between writing and syncing.
      await handle.sync();
      return receiptOf(written);
    }
    const sealed = sealAfter(tail.last, run, entry);
    await lock.assertHeld();
    await writeLine(handle, file, tail, `${lineOf(sealed)}\n`);
    if (tail.last === undefined) await syncDirectory(path.dirname(file));
    return receiptOf(sealed);
  } finally {
    await handle.close();
  }
}

/** Reads no more than the last two lines can take, however long the record is. */
async function readTail(handle: FileHandle, file: string, run: string): Promise<Tail> {
  const fileBytes = (await handle.stat()).size;
  const start = Math.max(0, fileBytes - 2 * evidenceLineBytesMax);
  const bytes = Buffer.alloc(fileBytes - start);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
  // A short read taken for the whole would have acknowledged entries cut off as torn.
  if (bytesRead !== bytes.length) throw new Error(`only ${bytesRead} of ${bytes.length} bytes could be read`);
  const end = bytes.lastIndexOf(newline);
  if (end === -1) {
    if (start > 0) throw damaged(file, 'its last line is longer than any entry');
    return { last: undefined, wholeBytes: 0, fileBytes };
  }
  const begin = end === 0 ? 0 : bytes.lastIndexOf(newline, end - 1) + 1;
  const { entry, problem } = readLine(bytes.toString('utf8', begin, end));
  if (entry === undefined || problem !== undefined) throw damaged(file, `its last line cannot be continued: ${problem}`);
  if (entry.run !== run) throw damaged(file, `it belongs to run ${entry.run}`);
  return { last: entry, wholeBytes: start + end + 1, fileBytes };
}

async function writeLine(handle: FileHandle, file: string, tail: Tail, line: string): Promise<void> {
  const bytes = Buffer.from(line);
  if (tail.wholeBytes + bytes.length > recordBytesMax) {
    const message = `The record ${file} has reached its limit of ${recordBytesMax} bytes.`;
    throw new EvidenceError('evidence-full', 'stuck', message, 'Abort the run and start another one for the rest of the work.');
  }
  if (tail.fileBytes > tail.wholeBytes) await handle.truncate(tail.wholeBytes);
  try {
    await handle.appendFile(bytes);
    await handle.sync();
  } catch (error) {
    // What may be there of the line was not acknowledged. If it cannot be removed now, the next append does so.
    await handle.truncate(tail.wholeBytes).catch(() => undefined);
    throw error;
  }
}

function sealAfter(last: EvidenceEntry | undefined, run: string, { kind, body }: NewEntry): EvidenceEntry {
  try {
    return chain(last, { run, at: new Date().toISOString(), kind, body });
  } catch (error) {
    throw error instanceof RangeError ? malformed(run, error) : error;
  }
}

/** The entry that already has the number, if it is the same one. */
async function existing(file: string, run: string, { sequence, kind, body }: NewEntry): Promise<EvidenceEntry> {
  const written = (await readRecord(file, run))[sequence - 1];
  if (written?.kind === kind && digestOf(written.body) === digestOf(body)) return written;
  throw new EvidenceError(
    'evidence-conflict',
    'stuck',
    `Entry ${sequence} of run ${run} is in ${file} already, as ${written?.kind} with other contents than this ${kind}.`,
    'Two runs may share the id, or the record was edited: check it with `holdpoint evidence verify`.',
  );
}

async function readRecord(file: string, run: string): Promise<EvidenceEntry[]> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    if (size > recordBytesMax) throw damaged(file, `it has ${size} bytes, more than any record`);
    const bytes = await handle.readFile();
    // A last line without its end is still being written, or was torn off: either way it was never acknowledged.
    const report = verifyChain(bytes.toString('utf8', 0, bytes.lastIndexOf(newline) + 1), run);
    const [problem] = report.problems;
    if (problem && bytes.includes(newline)) throw damaged(file, `line ${problem.line}: ${problem.sentence}`);
    return report.entries.map(({ entry }) => entry);
  } finally {
    await handle.close();
  }
}

function receiptOf({ sequence, at, hash }: EvidenceEntry): Receipt {
  return { sequence, at, hash };
}

function malformed(run: string, cause: RangeError): EvidenceError {
  const message = `Run ${run} has something that cannot be recorded: ${cause.message}.`;
  return new EvidenceError('evidence-entry-malformed', 'refuse', message, 'This is a fault of Holdpoint: report it.', { cause });
}

function gap(file: string, run: string, { sequence, kind }: NewEntry, last: number): EvidenceError {
  return new EvidenceError(
    'evidence-gap',
    'stuck',
    `Entry ${sequence} (${kind}) of run ${run} cannot be written to ${file}: the record ends with entry ${last}.`,
    'Check that all workers keep their records in the same directory, and that no file was removed from it.',
  );
}

function damaged(file: string, why: string): EvidenceError {
  return new EvidenceError(
    'evidence-damaged',
    'stuck',
    `The record ${file} is damaged: ${why}.`,
    'Look at it with `holdpoint evidence verify`, and bring the file back from a backup.',
  );
}

const remedies: { [code: string]: string } = {
  ENOSPC: 'Make room on the disk; the run goes on from there.',
  EDQUOT: 'Raise the quota of the user that the worker runs as; the run goes on from there.',
  EROFS: 'The file system is read-only: mount it for writing, or choose another directory.',
  EACCES: 'Give the user that the worker runs as access to the directory and its files.',
  EPERM: 'Give the user that the worker runs as access to the directory and its files.',
};

function asEvidenceError(error: unknown, code: 'evidence-unwritable' | 'evidence-unreadable', what: string): EvidenceError {
  if (error instanceof EvidenceError) return error;
  const remedy = remedies[systemCodeOf(error) ?? ''] ?? 'Check the evidence directory of the configuration and the disk it is on.';
  return new EvidenceError(code, 'retry', `${what}: ${String(error).replace(/^Error: /, '')}.`, remedy, { cause: error });
}
