import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** The folder of a directory in which files are until they are whole. No run and no digest is called so. */
export const unfinishedFolder = '.unfinished';
/** Nobody writes any more to an unfinished file that was not touched for so long: its writer was killed. */
const abandonedAfterMs = 24 * 3_600_000;

/**
 * Writes a file that has no name yet: its contents are safe on the disk when this returns its path in `.unfinished`, and
 * nothing is left of it when this throws. Readable by its owner only.
 *
 * @throws errors of the file system and of the source.
 */
export async function writeUnfinished(root: string, source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<string> {
  const folder = path.join(root, unfinishedFolder);
  await makeFolder(folder);
  const file = path.join(folder, randomUUID());
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      for await (const chunk of source) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return file;
  } catch (error) {
    await rm(file, { force: true }).catch(() => undefined);
    throw error;
  }
}

/**
 * Gives an unfinished file its name below the root unless something has that name, and says whether it did. What has the
 * name is safe on the disk when this returns, also where a process that was killed has put it there.
 */
export async function nameIfAbsent(root: string, unfinished: string, name: string): Promise<boolean> {
  const file = path.join(root, name);
  try {
    await makeFolder(path.dirname(file));
    const isNamed = await link(unfinished, file).then(
      () => true,
      (error: unknown) => {
        if (systemCodeOf(error) === 'EEXIST') return false;
        throw error;
      },
    );
    await syncName(root, file);
    return isNamed;
  } finally {
    await rm(unfinished, { force: true }).catch(() => undefined);
  }
}

/** Gives an unfinished file its name below the root, in the place of what may have it. */
export async function nameAnyway(root: string, unfinished: string, name: string): Promise<void> {
  const file = path.join(root, name);
  await makeFolder(path.dirname(file));
  await rename(unfinished, file);
  await syncName(root, file);
}

/** Makes the name of a file below the root as safe as its contents. */
export async function syncName(root: string, file: string): Promise<void> {
  await syncFolder(path.dirname(file));
  await syncFolder(root);
}

/** Removes what writers that were killed have left below the root. What cannot be removed is left. */
export async function removeAbandoned(root: string): Promise<void> {
  const folder = path.join(root, unfinishedFolder);
  for (const name of await readdir(folder).catch(() => [])) {
    const file = path.join(folder, name);
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > abandonedAfterMs) await rm(file, { force: true }).catch(() => undefined);
  }
}

/** The code of a file system error, e.g. `ENOSPC`; undefined for other errors. */
export function systemCodeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}

async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncFolder(path.dirname(made));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
