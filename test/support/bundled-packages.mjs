import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundleOptions } from '../../lab/bundle-options.mjs';

/** Packages of hundreds of files, each of which every test file that imports one would load anew. */
const packages = ['@aws-sdk/client-ec2', '@aws-sdk/client-eks', '@aws-sdk/client-s3', '@kubernetes/client-node'];
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/**
 * Bundles large packages, as a build does, unless that has been done for these versions; resolves to where jest finds them. A test
 * file that needs the Kubernetes client loads in a third of the time then.
 */
export async function bundledPackages() {
  const versions = packages.map((name) => JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version);
  const directory = join(modules, '.cache', `holdpoint-tests-${versions.join('-')}`);
  if (!existsSync(directory)) await bundle(directory);
  return Object.fromEntries(packages.map((name) => [`^${name}$`, join(directory, `${fileNameOf(name)}.mjs`)]));
}

async function bundle(directory) {
  const unfinished = `${directory}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  for (const name of packages) writeFileSync(join(unfinished, `${fileNameOf(name)}.ts`), `export * from '${name}';\n`);
  await build({
    ...bundleOptions,
    entryPoints: packages.map((name) => join(unfinished, `${fileNameOf(name)}.ts`)),
    outdir: unfinished,
    outExtension: { '.js': '.mjs' },
  });
  // Another run may have been faster.
  if (existsSync(directory)) rmSync(unfinished, { recursive: true });
  else renameSync(unfinished, directory);
}

function fileNameOf(name) {
  return name.replace(/^@/, '').replace('/', '-');
}
