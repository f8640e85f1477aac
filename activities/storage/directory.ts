import { access, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { nameIfAbsent, removeAbandoned, syncName, systemCodeOf, writeUnfinished } from './new-file.ts';
import type { ObjectStore, Trouble } from './objects.ts';

/**
 * Keeps objects as files of a directory, readable by their owner only. A file is written to `.unfinished`, made safe, and
 * linked to its name, so that nobody ever sees a part of it, and of two writers one comes first. Several processes may
 * write at once; the directory must be on a file system that all of them share, and that knows hard links.
 */
export function createDirectoryObjects(root: string): ObjectStore {
  let tidied: Promise<void> | undefined;
  return {
    putIfAbsent: async (name, bytes) => {
      const file = path.join(root, name);
      if (await isThere(file)) {
        // Whoever has put it there may have ended before its name was safe.
        await syncName(root, file);
        return false;
      }
      await (tidied ??= removeAbandoned(root));
      return nameIfAbsent(root, await writeUnfinished(root, [bytes]), name);
    },
    get: async (name, bytesMax) => {
      const handle = await open(path.join(root, name), 'r').catch(absent);
      if (handle === undefined) return undefined;
      try {
        const { size, mtime: modifiedAt } = await handle.stat();
        return size > bytesMax ? { modifiedAt } : { bytes: await handle.readFile(), modifiedAt };
      } finally {
        await handle.close();
      }
    },
    list: async (folder, namesMax) => {
      const names = (await readdir(path.join(root, folder)).catch(absent)) ?? [];
      if (names.length > namesMax) throw new Error(`there are ${names.length} files, more than the ${namesMax} that any record has`);
      return names.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    },
    renew: async () => undefined,
    pathOf: (name) => path.join(root, name),
    troubleOf: diskTrouble,
  };
}

const noAccess = 'Give the user that the worker runs as access to the directory and its files.';
const remedies: { [code: string]: string } = {
  ENOSPC: 'Make room on the disk; the run goes on from there.',
  EDQUOT: 'Raise the quota of the user that the worker runs as; the run goes on from there.',
  EROFS: 'The file system is read-only: mount it for writing, or choose another directory.',
  EACCES: noAccess,
  EPERM: noAccess,
};
const noLinkCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/** Reads an error of the file system. */
export function diskTrouble(error: unknown): Trouble {
  const code = systemCodeOf(error) ?? '';
  const why = String(error)
    .replace(/^Error: /, '')
    .replace(/\.$/, '');
  const { syscall } = error as { syscall?: unknown };
  // link(2): EPERM where the file system has no hard links.
  const hasNoLinks = syscall === 'link' && noLinkCodes.includes(code);
  const remedy = hasNoLinks ? 'The file system has no hard links: choose a directory on another one, or a bucket.' : remedies[code];
  return { consequence: 'retry', why, remedy: remedy ?? 'Check the directory in the configuration and the disk it is on.' };
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

function absent(error: unknown): undefined {
  if (systemCodeOf(error) === 'ENOENT') return undefined;
  throw error;
}
