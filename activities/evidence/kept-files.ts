import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { digestOfBytes, keptBytesMax, keptPathOf } from '../../domain/evidence/evidence.ts';
import { requireDigest, requireKeepable, systemCodeOf } from './store.ts';

/**
 * Keeps bytes in `<directory>/payloads/<hex>`, readable by their owner only, and returns their digest once they are safe on
 * the disk. Nobody ever sees a part of them: they are written beside their place and moved there.
 *
 * @throws EvidenceError where they are too many or something else lies in their place, and errors of the file system.
 */
export async function keepFile(directory: string, bytes: Uint8Array): Promise<string> {
  requireKeepable(bytes);
  const digest = digestOfBytes(bytes);
  const file = path.join(directory, keptPathOf(digest));
  const folder = path.dirname(file);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(path.dirname(made));
  const there = await readFileKept(file);
  if (there === undefined) await writeWhole(file, bytes);
  else requireDigest(there, digest, file);
  // Also where it was there: whoever has moved it there may have ended before this.
  await syncDirectory(folder);
  return digest;
}

/** Reads what is kept under a digest. Throws EvidenceError where it is missing or changed, and errors of the file system. */
export async function fetchFile(directory: string, digest: string): Promise<Uint8Array> {
  const file = path.join(directory, keptPathOf(digest));
  return requireDigest(await readFileKept(file), digest, file);
}

/** Makes the name of a new file as safe as its contents. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync().finally(() => handle.close());
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const unfinished = `${file}.${randomUUID()}`;
  try {
    const handle = await open(unfinished, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Undefined where there is no such file; no bytes of one that is larger than any, as it cannot be the one that was kept. */
async function readFileKept(file: string): Promise<Uint8Array | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  try {
    return (await handle.stat()).size > keptBytesMax ? new Uint8Array() : await handle.readFile();
  } finally {
    await handle.close();
  }
}
