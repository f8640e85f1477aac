import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { chain, digestOfBytes, keptPathOf, lineOf, splitBody, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import { diskTrouble } from '../storage/directory.ts';
import { EvidenceError } from './store.ts';

/** A record in one file of JSON lines, as `holdpoint evidence verify` checks it. One process writes it, from its beginning to its end. */
export interface RecordFile {
  /** Resolves when the entry is on the disk. Throws EvidenceError. */
  append(kind: string, body: JsonObject): Promise<void>;
  close(): Promise<void>;
}

/**
 * Begins a record in a new file that only its owner may read. What is too large for an entry is kept beside it, in `payloads`.
 * Throws EvidenceError where there is such a file, or none can be made.
 */
export async function openRecordFile(path: string, run: string): Promise<RecordFile> {
  const file = await writing(path, async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(path, 'wx', 0o600);
  });
  let previous: EvidenceEntry | undefined;
  return {
    append: (kind, whole) =>
      writing(path, async () => {
        const { body, kept } = splitBody(whole);
        for (const { bytes } of kept) await keep(join(dirname(path), keptPathOf(digestOfBytes(bytes))), bytes);
        const entry = chain(previous, { run, at: new Date().toISOString(), kind, body });
        await file.write(`${lineOf(entry)}\n`);
        await file.sync();
        previous = entry;
      }),
    close: () => file.close(),
  };
}

/** It is named by its digest: whatever is there already is the same. */
async function keep(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, bytes, { mode: 0o600 });
}

async function writing<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') {
      throw new EvidenceError('evidence-unwritable', 'refuse', `There is a file ${path} already.`, 'Name another one with --record.');
    }
    const { why } = diskTrouble(error);
    throw new EvidenceError(
      'evidence-unwritable',
      'refuse',
      `The record ${path} cannot be written: ${why}.`,
      'Name another file with --record.',
    );
  }
}
