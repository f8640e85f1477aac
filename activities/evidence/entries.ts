import { evidenceLineBytesMax, readLine, recordBytesMax, verifyChain, type ChainReport } from '../../domain/evidence/evidence.ts';
import type { ObjectStore, StoredObject } from '../storage/objects.ts';

/** Entries of one record; a long run has a few thousand. */
export const recordEntriesMax = 100_000;
/** Entries that are read at once. */
const readsAtOnceMax = 16;
const sequenceDigits = 9;
const entryNamePattern = /^\d{9}\.json$/;

/** Something that lies in the folder of a record. */
export interface FoundObject extends StoredObject {
  /** Its name in the folder, e.g. `000000012.json`. */
  name: string;
}

/** What is found in the folder of a record. */
export interface RecordReport {
  chain: ChainReport;
  /** Everything that is wrong, with the name of what it was found in; undefined where that is nothing in particular. */
  problems: { line: number; object?: string; sentence: string }[];
  /** The names behind the lines of `chain`, in order. */
  names: string[];
  /** The record as JSON lines. */
  text: string;
}

/** The name under which an entry is kept. Nine digits, so that names sort as their entries do. */
export function entryNameOf(run: string, sequence: number): string {
  return `${run}/${String(sequence).padStart(sequenceDigits, '0')}.json`;
}

/** Reads the folder of a record, in order; what is no entry by its name is only named. Throws where there is more than any record has. */
export async function readRecord(objects: ObjectStore, run: string): Promise<FoundObject[]> {
  const names = await objects.list(run, recordEntriesMax);
  const found: FoundObject[] = [];
  let next = 0;
  let bytes = 0;
  const work = async (): Promise<void> => {
    while (next < names.length) {
      const index = next++;
      const name = names[index] ?? '';
      const object = entryNamePattern.test(name) ? await objects.get(`${run}/${name}`, evidenceLineBytesMax) : undefined;
      found[index] = { name, ...object };
      bytes += object?.bytes?.length ?? 0;
      if (bytes > recordBytesMax) throw new Error(`the record has more than ${recordBytesMax} bytes, more than any record of a run`);
    }
  };
  try {
    await Promise.all(Array.from({ length: readsAtOnceMax }, work));
  } finally {
    // After an error the others stop, too.
    next = names.length;
  }
  return found;
}

/** Checks a record as it lies in its folder: each entry for itself, that it has its place, and the chain through all of them. */
export function checkRecord(found: readonly FoundObject[], run: string): RecordReport {
  const own: RecordReport['problems'] = [];
  const names: string[] = [];
  const lines: string[] = [];
  for (const object of found) {
    const { line, sentence } = readEntryLine(object);
    if (line !== undefined) {
      names.push(object.name);
      lines.push(line);
    }
    if (sentence !== undefined) own.push({ line: Math.max(1, lines.length), object: object.name, sentence });
  }
  const text = lines.join('');
  const chain = verifyChain(text, run);
  const inChain = chain.problems.map((problem) => ({ ...problem, object: names[problem.line - 1] }));
  const problems = [...own, ...inChain].sort((one, other) => one.line - other.line);
  return { chain, problems, names, text };
}

/** The line that an entry is kept as, with its end; a sentence where it is none or belongs elsewhere. */
function readEntryLine({ name, bytes }: FoundObject): { line?: string; sentence?: string } {
  if (!entryNamePattern.test(name)) return { sentence: 'This is no entry of the record: somebody put it there.' };
  if (bytes === undefined) return { sentence: 'This is larger than any entry, or was removed while the record was read.' };
  const line = decode(bytes);
  if (line === undefined || line === '' || line.indexOf('\n') !== line.length - 1) {
    return { sentence: 'This is not one line of UTF-8 text: it was changed.' };
  }
  const sequence = readLine(line.slice(0, -1)).entry?.sequence;
  if (sequence !== undefined && sequence !== Number.parseInt(name, 10)) {
    return { line, sentence: `This holds entry ${sequence}: it was moved or replaced.` };
  }
  return { line };
}

/** Undefined where the bytes are not UTF-8: a lenient decoder would let some changed bytes pass as the same text. */
export function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
