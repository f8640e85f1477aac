import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const program = fileURLToPath(new URL('crashing-worker.ts', import.meta.url));
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
/** Packages that are CommonJS ask for modules of Node by `require`. */
const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/**
 * Makes one file of the worker that dies by its own hand and of all that it loads but Temporal, which brings native code; returns
 * its path. From the sources it would take some three times as long to start, and there are many of them.
 */
export async function buildMortalWorker(directory: string): Promise<string> {
  await symlink(modules, join(directory, 'node_modules'), 'dir');
  const outfile = join(directory, 'crashing-worker.mjs');
  await build({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['@temporalio/*'],
    banner: { js: banner },
    minifyWhitespace: true,
    logLevel: 'error',
  });
  return outfile;
}
