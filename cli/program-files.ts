import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildDirectory, hasFreshBuild } from '../lab/fresh-build.mjs';

/**
 * A program of ours as a command line: from a build by Node alone; from the sources by the build in dist/ if it is one of just these
 * sources, else through tsx.
 */
export function programCommand(path: 'cli/main' | 'worker/main' | 'sandbox/main'): { command: string; args: string[] } {
  const inFolder = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
  const command = process.execPath;
  // Its thread for workflows loads it, too.
  const first = path === 'worker/main' ? ['--import', pathToFileURL(inFolder('worker/no-promise-hooks.mjs')).href] : [];
  if (!import.meta.url.endsWith('.ts')) return { command, args: [...first, inFolder(`${path}.js`)] };
  if (hasFreshBuild()) return { command, args: [...first, join(buildDirectory, `${path}.js`)] };
  return { command, args: [...first, '--import', import.meta.resolve('tsx'), inFolder(`${path}.ts`)] };
}

/** A file of the build that a command hands on: of the build that it belongs to, or of that in dist/. */
export function builtFile(path: string): string {
  return import.meta.url.endsWith('.ts') ? join(buildDirectory, path) : fileURLToPath(new URL(`../${path}`, import.meta.url));
}
