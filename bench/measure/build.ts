import { execFile } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const compileTimeoutMs = 2 * 60_000;

/**
 * Compiles folders of the project, with what they import, into a directory of their own, as a release is compiled: a program that
 * runs from the sources carries a compiler along, starts later and takes half as much memory again. Types are not checked. Throws
 * with what the compiler said.
 */
export async function compilePrograms(directory: string, folders: readonly string[]): Promise<void> {
  const project = fileURLToPath(new URL('../..', import.meta.url));
  const inProject = (path: string): string => join(project, path);
  const compilerOptions = {
    noEmit: false,
    noCheck: true,
    rootDir: project,
    outDir: directory,
    typeRoots: [inProject('node_modules/@types')],
  };
  const config = { extends: inProject('tsconfig.json'), compilerOptions, include: folders.map(inProject) };
  const configFile = join(directory, 'tsconfig.json');
  await writeFile(configFile, JSON.stringify(config));
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await symlink(inProject('node_modules'), join(directory, 'node_modules'), 'dir');
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  await runFile(process.execPath, [compiler, '-p', configFile], { timeout: compileTimeoutMs }).catch((error: unknown) => {
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    throw new Error(`The programs of the benchmark cannot be compiled: ${said || String(error)}`, { cause: error });
  });
}
