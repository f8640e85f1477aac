import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundleOptions } from './bundle-options.mjs';
import { partOfTemporalApi } from './part-of-temporal-api.ts';

const project = fileURLToPath(new URL('..', import.meta.url));

export interface Programs {
  /** Paths in the project without extension, such as `cli/main`. */
  entries: readonly string[];
  /** Packages that stay outside: those with native code, or of which there may be only one instance in a process. */
  external?: readonly string[];
  /** Whether classes that clash keep their names, as what Temporal keeps of an error needs them. It is a tenth of a command's start. */
  keepNames?: boolean;
}

/**
 * Makes programs of the project that Node runs without a compiler: each entry becomes a file of the same path in the directory, what
 * they share goes into `chunks/`, one folder deep like the entries, so that `new URL('../runbooks/…', import.meta.url)` leads to the
 * same place from each. Types are not checked. Throws with what esbuild says.
 */
export async function buildPrograms(directory: string, { entries, external = [], keepNames = true }: Programs): Promise<void> {
  await build({
    ...bundleOptions,
    plugins: [...(bundleOptions.plugins ?? []), partOfTemporalApi(project)],
    absWorkingDir: project,
    entryPoints: entries.map((entry) => ({ in: `${entry}.ts`, out: entry })),
    outdir: directory,
    chunkNames: 'chunks/[name]-[hash]',
    external: [...external],
    keepNames,
    sourcemap: true,
    sourcesContent: false,
  });
}

/** Makes one script of an entry and all that it imports, for a browser to run from within a page. Throws with what esbuild says. */
export async function buildScript(entry: string, file: string): Promise<void> {
  // Not minified: whoever does not trust the page may read it.
  const options = { bundle: true, platform: 'browser', format: 'iife', target: 'es2022', logLevel: 'error' } as const;
  await build({ ...options, absWorkingDir: project, entryPoints: [entry], outfile: file });
}

/**
 * What a worker starts as a thread, and what starts it: as an entry it comes into a chunk of its own, from which the way to the thread is
 * the same whichever program it belongs to.
 */
const threadParts = ['activities/preparer', 'activities/prepare-thread'];

/** As buildPrograms, into a directory outside the project, for tests and benchmarks; Temporal stays outside the programs. */
export async function buildProgramsApart(directory: string, entries: readonly string[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  await symlink(join(project, 'node_modules'), join(directory, 'node_modules'), 'dir');
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await buildPrograms(directory, { entries: [...entries, ...threadParts], external: ['@temporalio/*'] });
}

/**
 * Puts what programs read beside themselves into the directory: the runbooks, what is loaded before a worker, and what the lab's
 * control plane is built from.
 */
export async function copyCompanions(directory: string): Promise<void> {
  const isRunbook = (path: string): boolean => !path.endsWith('.ts');
  await cp(join(project, 'runbooks'), join(directory, 'runbooks'), { recursive: true, filter: isRunbook });
  await cp(join(project, 'lab/kubernetes'), join(directory, 'lab/kubernetes'), { recursive: true });
  await cp(join(project, 'worker/no-promise-hooks.mjs'), join(directory, 'worker/no-promise-hooks.mjs'));
  await cp(join(project, 'package.json'), join(directory, 'package.json'));
}
