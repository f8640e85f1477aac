import { readdir, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformFile, type JscConfig } from '@swc/core';

const project = fileURLToPath(new URL('../..', import.meta.url));
const folders = ['domain', 'runbooks', 'activities', 'worker'];
const support = ['borders', 'crashing-worker', 'scenario-activities', 'scenario-worker'];

/**
 * Compiles the worker that dies by its own hand into a directory, and returns its path. From the sources it would take twice as
 * long to start, and there are many of them.
 */
export async function compileMortalWorker(directory: string): Promise<string> {
  const listed = await Promise.all(folders.map((folder) => readdir(join(project, folder), { recursive: true, withFileTypes: true })));
  const sources = listed.flat().filter((entry) => entry.isFile() && entry.name.endsWith('.ts'));
  const paths = [
    ...sources.map((entry) => join(entry.parentPath, entry.name).slice(project.length)),
    ...support.map((name) => join('test', 'support', `${name}.ts`)),
  ];
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await symlink(join(project, 'node_modules'), join(directory, 'node_modules'), 'dir');
  await Promise.all(paths.map((path) => compile(path, directory)));
  return join(directory, 'test', 'support', 'crashing-worker.js');
}

/** Its types do not know yet that the compiler gives imports the ending of what it writes. */
const settings: JscConfig & { rewriteRelativeImportExtensions: boolean } = {
  target: 'es2023',
  parser: { syntax: 'typescript' },
  rewriteRelativeImportExtensions: true,
};

async function compile(path: string, directory: string): Promise<void> {
  const { code } = await transformFile(join(project, path), {
    jsc: settings,
    module: { type: 'es6' },
    swcrc: false,
  });
  const target = join(directory, path.replace(/\.ts$/, '.js'));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, code);
}
