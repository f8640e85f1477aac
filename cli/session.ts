import { readFile } from 'node:fs/promises';
import type { CompiledRunbook, RunbookDocument } from '../domain/runbook.ts';
import { connectTemporal, temporalSettings } from '../client/connection.ts';
import { Holdpoint } from '../client/holdpoint.ts';
import { keyDirectory, knownPeople, readKey } from '../client/keys.ts';
import { KeyError, type Signer } from '../client/signing.ts';
import { agentSigner } from '../client/ssh-agent.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import { compileRunbook } from '../runbooks/compiler/compile.ts';
import { loadConfiguration, type Configuration } from '../runbooks/configuration/configuration.ts';
import { checkInputs, parseInputArguments } from '../runbooks/compiler/inputs.ts';
import { readRunbook } from '../runbooks/library.ts';
import { formatProblem, type Problem } from '../runbooks/grammar/problem.ts';
import { signerKinds, type SignerOptions } from './command.ts';
import { unreadable, UsageError } from './errors.ts';
import type { Terminal } from './terminal.ts';

const configurationFileDefault = 'holdpoint.yaml';

/** Connects, works, and disconnects whatever happens. Throws `temporal-unreachable`. */
export async function withHoldpoint<Result>(terminal: Terminal, work: (holdpoint: Holdpoint) => Promise<Result>): Promise<Result> {
  const settings = temporalSettings(terminal.surroundings.env);
  const client = await connectTemporal(settings);
  try {
    return await work(new Holdpoint(client, settings));
  } finally {
    await client.connection.close();
  }
}

/**
 * Who signs, with a key file or an SSH agent: `--signer`, HOLDPOINT_SIGNER, or a key file. The person is named by `--as` or
 * HOLDPOINT_PERSON, or has the only key there is.
 * Throws KeyError, UsageError, `person-unnamed`.
 */
export async function signerOf(terminal: Terminal, options: SignerOptions): Promise<Signer> {
  const { env } = terminal.surroundings;
  const person = options.as ?? (env.HOLDPOINT_PERSON || undefined);
  const kind = options.signer ?? (env.HOLDPOINT_SIGNER || 'file');
  if (kind === 'file') return fileSigner(person, keyDirectory(env));
  if (kind === 'ssh-agent') return agentSigner(env.SSH_AUTH_SOCK, person, (await readConfiguration(terminal, options.config))?.people);
  throw new UsageError(
    `HOLDPOINT_SIGNER is ${JSON.stringify(kind)}, which is no kind of signer.`,
    `It is one of ${signerKinds.join(', ')}.`,
  );
}

async function fileSigner(person: string | undefined, directory: string): Promise<Signer> {
  if (person !== undefined) return readKey(person, directory);
  const people = await knownPeople(directory);
  const [only, second] = people;
  if (only === undefined) {
    throw new KeyError(
      `There is no key in ${directory}.`,
      'Make yours with `holdpoint keys create NAME`, set HOLDPOINT_KEYS, or sign with `--signer ssh-agent`.',
    );
  }
  if (second !== undefined) {
    throw new HoldpointError('person-unnamed', { cause: `there are keys of ${people.join(', ')} in ${directory}` });
  }
  return readKey(only, directory);
}

/**
 * Reads holdpoint.yaml: --config, HOLDPOINT_CONFIG, or the file in this folder if there is one.
 * Throws UsageError with every problem of the file.
 */
export async function readConfiguration(terminal: Terminal, given: string | undefined): Promise<Configuration | undefined> {
  const named = given ?? terminal.surroundings.env.HOLDPOINT_CONFIG;
  const file = named ?? configurationFileDefault;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (named === undefined) return undefined;
    throw unreadable(`The configuration ${file}`, error, 'Name another one with --config or HOLDPOINT_CONFIG.');
  }
  const { configuration, problems } = loadConfiguration(text, file);
  if (!configuration) throw new UsageError(problemList(`The configuration ${file} cannot be used:`, problems));
  return configuration;
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
  if (!runbook) throw new UsageError(problemList(`The runbook ${document.file} cannot be used:`, problems));
  return { document, runbook };
}

/** The inputs of `--input name=value`, by the runbook's schema. Throws UsageError with every problem. */
export function readInputs(runbook: CompiledRunbook, given: readonly string[]): JsonObject {
  const parsed = parseInputArguments([...given], runbook.inputs);
  const checked = parsed.problems.length > 0 ? parsed : checkInputs(runbook, parsed.given);
  if (checked.problems.length > 0) {
    const list = checked.problems.map(({ path, message }) => `  ${path ? `${path}: ` : ''}${message}`);
    const heading = `The inputs do not fit the runbook ${runbook.name}:`;
    throw new UsageError([heading, ...list].join('\n'), `See \`holdpoint runbooks ${runbook.name}\`.`);
  }
  return 'inputs' in checked ? checked.inputs : parsed.given;
}

function problemList(heading: string, problems: readonly Problem[]): string {
  return [heading, ...problems.map((problem) => `  ${formatProblem(problem)}`)].join('\n');
}
