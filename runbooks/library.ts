import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { didYouMean } from '../domain/suggestion.ts';
import { documentBytesMax } from './document.ts';

/** A runbook's text and where it was found, as it is shown in problems. */
export interface RunbookFile {
  text: string;
  file: string;
}

/** No runbook where it was looked for: says where, and which ones there are. */
export class RunbookNotFoundError extends Error {
  override readonly name = 'RunbookNotFoundError';
}

/** Names of the runbooks that come with Holdpoint. */
export function shippedRunbooks(): string[] {
  return readdirSync(runbooksDirectory())
    .filter((entry) => entry.endsWith('.yaml'))
    .map((entry) => basename(entry, '.yaml'))
    .sort();
}

/** Finds a runbook by the name of a shipped one or by a path (`./my.yaml`). Throws a RunbookNotFoundError. */
export function readRunbook(nameOrPath: string): RunbookFile {
  const isPath = /[/\\]|\.ya?ml$/.test(nameOrPath);
  const names = shippedRunbooks();
  if (!isPath && !names.includes(nameOrPath)) {
    const choice = `There are: ${names.join(', ')}; a file of your own is given by its path, such as ./${nameOrPath}.yaml.`;
    throw new RunbookNotFoundError(`There is no runbook "${nameOrPath}".${didYouMean(nameOrPath, names)} ${choice}`);
  }
  return isPath ? readFileAt(nameOrPath, nameOrPath) : readShipped(nameOrPath);
}

function readShipped(name: string): RunbookFile {
  const path = join(runbooksDirectory(), `${name}.yaml`);
  const shown = relative(process.cwd(), path);
  return readFileAt(path, shown.startsWith('..') ? path : shown);
}

function readFileAt(path: string, file: string): RunbookFile {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status?.isFile()) throw new RunbookNotFoundError(`There is no file "${file}".`);
  // The compiler refuses a longer text and says so; there is no use in decoding all of a huge file.
  const bytes = readFileSync(path).subarray(0, documentBytesMax + 1);
  return { text: bytes.toString('utf8'), file };
}

/** Beside this module, or, where only the compiled modules are in dist/, in the same folder of the sources. */
function runbooksDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const candidates = [here, join(here, '..', '..', 'runbooks')];
  return candidates.find((directory) => existsSync(join(directory, 'node-group-rotation.yaml'))) ?? here;
}
