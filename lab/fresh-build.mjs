// Which build of the sources is in dist/, if any. Plain JavaScript, so that it can be asked before a compiler has been loaded.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));
/** What a build is made of. */
const folders = ['activities', 'api', 'cli', 'client', 'console', 'domain', 'lab', 'runbooks', 'sandbox', 'worker', 'workflows'];
const files = ['package.json', 'package-lock.json', 'tsconfig.json'];

export const buildDirectory = join(project, 'dist');
/** Written last; its time of change is when the build began. */
export const buildMarker = join(buildDirectory, 'built');

/** Whether dist/ holds a build, and nothing that it is made of has changed, come or gone since it began. */
export function hasFreshBuild() {
  const builtMs = statSync(buildMarker, { throwIfNoEntry: false })?.mtimeMs;
  if (builtMs === undefined) return false;
  const isOlder = (path) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) < builtMs;
  return files.every((file) => isOlder(join(project, file))) && folders.every((folder) => isOlderThroughout(join(project, folder)));

  // A folder changes when a file in it comes or goes.
  function isOlderThroughout(folder) {
    if (!isOlder(folder)) return false;
    return readdirSync(folder, { withFileTypes: true }).every((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? isOlderThroughout(path) : isOlder(path);
    });
  }
}
