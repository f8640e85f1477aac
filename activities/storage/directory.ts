import { constants } from 'node:fs';
import { access, lstat, open, readdir, stat } from 'node:fs/promises';
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
      await requireClosed(root);
      await requireFolder(path.dirname(file));
      if (await isThere(file)) {
        // Whoever has put it there may have ended before its name was safe.
        await syncName(root, file);
        return false;
      }
      await (tidied ??= removeAbandoned(root));
      return nameIfAbsent(root, await writeUnfinished(root, [bytes]), name);
    },
    get: async (name, bytesMax) => {
      const file = path.join(root, name);
      await requireFolder(path.dirname(file));
      // Without waiting for the other end of a pipe.
      const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
        if (systemCodeOf(error) === 'ELOOP') throw symbolicLink(file);
        return absent(error);
      });
      if (handle === undefined) return undefined;
      try {
        const status = await handle.stat();
        // Of a directory in its place the system speaks by itself.
        if (!status.isFile() && !status.isDirectory())
          throw new UnsafePlaceError(`${file} is not a file`, 'Find out who has put it there, and remove it.');
        const { size, mtime: modifiedAt } = status;
        return size > bytesMax ? { modifiedAt } : { bytes: await handle.readFile(), modifiedAt };
      } finally {
        await handle.close();
      }
    },
    list: async (folder, namesMax) => {
      await requireFolder(path.join(root, folder));
      const names = (await readdir(path.join(root, folder)).catch(absent)) ?? [];
      if (names.length > namesMax) throw new Error(`there are ${names.length} files, more than the ${namesMax} that any record has`);
      return names.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    },
    renew: async () => undefined,
    pathOf: (name) => path.join(root, name),
    troubleOf: diskTrouble,
  };
}

/** Something about a directory that lets others than its owner say what is in it. */
class UnsafePlaceError extends Error {
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** Whoever may write to the directory can put something else in the place of what was kept. Throws where everybody may. */
export async function requireClosed(root: string): Promise<void> {
  const status = await stat(root).catch(absent);
  if (status === undefined || (status.mode & constants.S_IWOTH) === 0) return;
  const octal = (status.mode & 0o7777).toString(8);
  throw new UnsafePlaceError(`everybody may write to the directory ${root} (mode ${octal})`, `Close it with: chmod o-w ${root}`);
}

/** A link in the place of a folder leads to where somebody else may say what is there. */
async function requireFolder(folder: string): Promise<void> {
  const status = await lstat(folder).catch(absent);
  if (status?.isSymbolicLink()) throw symbolicLink(folder);
}

function symbolicLink(file: string): UnsafePlaceError {
  return new UnsafePlaceError(`${file} is a symbolic link`, 'Find out who has put it there, and bring back what it stands for.');
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
  if (error instanceof UnsafePlaceError) return { consequence: 'stuck', why: error.message, remedy: error.remedy };
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
