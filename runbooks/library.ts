import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ToldError } from '../domain/errors.ts';
import { isObject } from '../domain/json.ts';
import { didYouMean } from '../domain/suggestion.ts';
import { documentBytesMax, readDocument } from './grammar/document.ts';
import { nestingMax, stepsMax } from './grammar/runbook.ts';
import { fileOfKey, isPath, keyOfReference, keyOfStarted, type NestedDocument, type NestedDocuments } from './compiler/reference.ts';

/** A runbook's text and where it was found, as it is shown in problems, with the runbooks that it carries out. */
export interface RunbookFile {
  text: string;
  file: string;
  /** Left out where it carries out no other runbook. One that cannot be read is not among them; the compiler says so. */
  runbooks?: NestedDocuments;
}

/** No runbook where it was looked for: says where, and which ones there are. */
export class RunbookNotFoundError extends ToldError {
  override readonly name = 'RunbookNotFoundError';

  constructor(message: string) {
    super('runbook-unknown', message);
  }
}

/** Names of the runbooks that come with Holdpoint. */
export function shippedRunbooks(): string[] {
  return readdirSync(runbooksDirectory())
    .filter((entry) => entry.endsWith('.yaml'))
    .map((entry) => basename(entry, '.yaml'))
    .sort();
}

/**
 * Finds a runbook by the name of a shipped one or by a path (`./my.yaml`), and with it every runbook that it carries out.
 * Throws a RunbookNotFoundError where the first one is missing.
 */
export function readRunbook(nameOrPath: string): RunbookFile {
  if (!isPath(nameOrPath) && !shippedRunbooks().includes(nameOrPath)) throw new RunbookNotFoundError(nameUnknown(nameOrPath));
  const document = isPath(nameOrPath) ? readFileAt(nameOrPath, nameOrPath) : readShipped(nameOrPath);
  const runbooks = readNested(document);
  return runbooks.size === 0 ? document : { ...document, runbooks: Object.fromEntries(runbooks) };
}

/** Says that no runbook comes with Holdpoint by that name, and which ones do. */
export function nameUnknown(name: string): string {
  const names = shippedRunbooks();
  const choice = `There are: ${names.join(', ')}; a file of your own is given by its path, such as ./${name}.yaml.`;
  return `There is no runbook "${name}".${didYouMean(name, names)} ${choice}`;
}

/** Level by level, each document once: runbooks that go in a circle or too deep are for the compiler to refuse. */
function readNested(started: NestedDocument): Map<string, NestedDocument> {
  const found = new Map<string, NestedDocument>();
  const startedKey = keyOfStarted(started.file);
  let level = [{ key: startedKey, document: started }];
  for (let depth = 0; depth < nestingMax; depth++) {
    const next: typeof level = [];
    for (const { key: from, document } of level) {
      for (const reference of referencesIn(document)) {
        const key = keyOfReference(reference, from);
        if (key === undefined || key === startedKey || found.has(key) || found.size === stepsMax) continue;
        const nested = readKey(key, started.file);
        if (nested === undefined) continue;
        found.set(key, nested);
        next.push({ key, document: nested });
      }
    }
    level = next;
  }
  return found;
}

/** What the `runbook` keys of a document's steps say, as far as the document can be read. */
function referencesIn({ text, file }: NestedDocument): string[] {
  const { value } = readDocument(text, file);
  const steps: unknown = isObject(value) ? value.steps : undefined;
  if (!Array.isArray(steps)) return [];
  return steps.flatMap((step: unknown) => {
    const { runbook } = (step ?? {}) as { runbook?: unknown };
    return typeof runbook === 'string' ? [runbook] : [];
  });
}

function readKey(key: string, started: string): NestedDocument | undefined {
  try {
    if (!isPath(key)) return shippedRunbooks().includes(key) ? readShipped(key) : undefined;
    const file = fileOfKey(key, started);
    return readFileAt(file, file);
  } catch {
    return undefined;
  }
}

function readShipped(name: string): NestedDocument {
  const path = join(runbooksDirectory(), `${name}.yaml`);
  const shown = relative(process.cwd(), path);
  return readFileAt(path, shown.startsWith('..') ? path : shown);
}

function readFileAt(path: string, file: string): NestedDocument {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status?.isFile()) throw new RunbookNotFoundError(`There is no file "${file}".`);
  // The compiler refuses a longer text and says so; there is no use in decoding all of a huge file.
  const bytes = readFileSync(path).subarray(0, documentBytesMax + 1);
  return { text: bytes.toString('utf8'), file };
}

/** Beside this module, in the sources as in a build. */
function runbooksDirectory(): string {
  return fileURLToPath(new URL('../runbooks', import.meta.url));
}
