import { open, readFile } from 'node:fs/promises';
import type { CompiledRunbook, RunbookDocument } from '../domain/runbook.ts';
import { isObject, type JsonObject } from '../domain/json.ts';
import { compileRunbook } from '../runbooks/compiler/compile.ts';
import { loadConfiguration, type Configuration } from '../runbooks/configuration/configuration.ts';
import { writableByAll } from '../runbooks/configuration/file-mode.ts';
import { checkInputs, parseInputArguments } from '../runbooks/compiler/inputs.ts';
import { readRunbook } from '../runbooks/library.ts';
import { readDocument } from '../runbooks/grammar/document.ts';
import { formatProblem } from '../runbooks/grammar/problem.ts';
import { unreadable, UsageError } from './errors.ts';
import type { Terminal } from './terminal.ts';

const configurationFileDefault = 'holdpoint.yaml';

/**
 * Reads holdpoint.yaml: --config, HOLDPOINT_CONFIG, or the file in this folder if there is one.
 * Throws UsageError with every problem of the file.
 */
export async function readConfiguration(terminal: Terminal, given: string | undefined): Promise<Configuration | undefined> {
  const named = given ?? terminal.surroundings.env.HOLDPOINT_CONFIG;
  const file = configurationFile(terminal, given);
  let text: string;
  let mode: number;
  try {
    ({ text, mode } = await readWithMode(file));
  } catch (error) {
    if (named === undefined) return undefined;
    throw unreadable(`The configuration ${file}`, error, 'Name another one with --config or HOLDPOINT_CONFIG.');
  }
  const refusal = writableByAll(file, mode);
  if (refusal !== undefined) throw new UsageError(`The configuration ${file} is not believed: ${refusal}`);
  const { configuration, problems } = loadConfiguration(text, file);
  if (!configuration) throw new UsageError(`The configuration ${file} cannot be used:`, undefined, problems.map(formatProblem));
  return configuration;
}

async function readWithMode(file: string): Promise<{ text: string; mode: number }> {
  const handle = await open(file);
  try {
    return { mode: (await handle.stat()).mode, text: await handle.readFile('utf8') };
  } finally {
    await handle.close();
  }
}

/** The path of holdpoint.yaml, which paths in it are relative to. */
export function configurationFile(terminal: Terminal, given: string | undefined): string {
  return given ?? terminal.surroundings.env.HOLDPOINT_CONFIG ?? configurationFileDefault;
}

/** Reads and checks a runbook before anything is started. Throws UsageError with every problem of the file. */
export async function loadRunbook(
  terminal: Terminal,
  nameOrPath: string,
  config: string | undefined,
): Promise<{ document: RunbookDocument; runbook: CompiledRunbook }> {
  const document = readRunbook(nameOrPath);
  const configuration = await readConfiguration(terminal, config);
  const { runbook, problems } = compileRunbook(document.text, document.file, configuration, document.runbooks);
  if (!runbook) throw new UsageError(`The runbook ${document.file} cannot be used:`, undefined, problems.map(formatProblem));
  return { document, runbook };
}

/** How the inputs of a run are given. */
export interface InputOptions {
  input?: string[];
  inputsFile?: string;
}

/**
 * The inputs of `--input name=value`, and of `--inputs-file` where they are not given so, by the runbook's schema. Throws UsageError with
 * every problem.
 */
export async function readInputs(runbook: CompiledRunbook, { input = [], inputsFile }: InputOptions): Promise<JsonObject> {
  const parsed = parseInputArguments([...input], runbook.inputs);
  const ofFile = inputsFile === undefined ? {} : await inputsIn(inputsFile);
  const checked = parsed.problems.length > 0 ? parsed : checkInputs(runbook, { ...ofFile, ...parsed.given });
  if (checked.problems.length > 0) {
    const list = checked.problems.map(({ path, message }) => `${path ? `${path}: ` : ''}${message}`);
    const heading = `The inputs do not fit the runbook ${runbook.name}:`;
    throw new UsageError(heading, `See \`holdpoint runbooks ${runbook.name}\`.`, list);
  }
  return 'inputs' in checked ? checked.inputs : parsed.given;
}

/** A file of inputs: a map in YAML or JSON. */
async function inputsIn(file: string): Promise<JsonObject> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw unreadable(`The inputs ${file}`, error);
  });
  const { value, sourceMap } = readDocument(text, file);
  const problems = sourceMap.problems();
  if (problems.length > 0) throw new UsageError(`The inputs ${file} cannot be used:`, undefined, problems.map(formatProblem));
  if (isObject(value)) return value;
  throw new UsageError(`The inputs ${file} are no map.`, 'Write `name: value`, a line for each input.');
}
