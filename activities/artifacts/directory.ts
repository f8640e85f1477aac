import { open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { diskTrouble } from '../storage/directory.ts';
import { nameAnyway, removeAbandoned, systemCodeOf } from '../storage/new-file.ts';
import { createArtifactStore, type ArtifactStore } from './store.ts';

/**
 * Keeps artifacts in the directory `<directory>/<hex>`, readable by their owner only. All workers must share the directory.
 * What killed workers have left in `.unfinished` is removed a day later.
 */
export function createArtifactDirectory(directory: string): ArtifactStore {
  const fileOf = (name: string): string => path.join(directory, name);
  let tidied: Promise<void> | undefined;
  return createArtifactStore({
    unfinishedRoot: directory,
    keep: async (file, name) => {
      await (tidied ??= removeAbandoned(directory));
      await nameAnyway(directory, file, name);
    },
    sizeOf: async (name) => (await stat(fileOf(name)).catch(absent))?.size,
    open: async (name) => {
      const handle = await open(fileOf(name), 'r').catch(absent);
      if (handle === undefined) return undefined;
      const { size } = await handle.stat();
      // Closes the file when it ends.
      return { bytes: size, stream: handle.createReadStream() };
    },
    remove: async (name) => rm(fileOf(name), { force: true }),
    pathOf: fileOf,
    troubleOf: diskTrouble,
  });
}

function absent(error: unknown): undefined {
  if (systemCodeOf(error) === 'ENOENT') return undefined;
  throw error;
}
