import { Option, type Command } from 'commander';
import type { Terminal } from './terminal.ts';

/** What every command is given: the terminal for its options, and the way to hand back its exit code. */
export interface CommandContext {
  terminal(options: CommonOptions): Terminal;
  exit(code: number): void;
  /** All commands of the program, as they are declared. */
  declarations(): Promise<Command>;
}

/** A file in `commands/` adds its command (or a few that belong together) to the program. */
export type RegisterCommand = (program: Command, context: CommandContext) => void;

export interface CommonOptions {
  json?: boolean;
  color?: boolean;
  verbose?: boolean;
}

/** The options that every command has which prints something. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print one JSON object instead of text')
    .option('--no-color', 'no colours (as with NO_COLOR)')
    .option('-v, --verbose', 'say on stderr what is asked of whom, how long it takes, and what was behind an error');
}

/** Whether a plan is shown with all that its hash covers. */
export interface FullOption {
  full?: boolean;
}

/** The option of commands that show a plan to whoever signs it. */
export function withFullOption(command: Command): Command {
  return command.option('--full', 'show all that the hash of the plan covers, such as facts, as JSON');
}

/** Where a person's key may be: a file of `holdpoint keys create`, an SSH agent, the file of an SSH key. */
export const signerKinds = ['file', 'ssh-agent', 'ssh-file'] as const;

/** Who signs, and with what. */
export interface SignerOptions {
  as?: string;
  signer?: string;
  /** The holdpoint.yaml that says whose the keys of an SSH agent are. */
  config?: string;
}

/** The options that say who signs, and with what. */
export function withSignerOptions(command: Command): Command {
  return command
    .option('--as <person>', 'whose key signs (else HOLDPOINT_PERSON, else the only key there is)')
    .addOption(new Option('--signer <kind>', 'where the key is (else HOLDPOINT_SIGNER, else a key file)').choices(signerKinds));
}

/** The options by which a runbook is given its inputs. */
export function withInputOptions(command: Command): Command {
  return command
    .option('-i, --input <name=value>', 'an input of the runbook (may be repeated; a list also an element at a time)', collect)
    .option('-f, --inputs-file <file>', 'inputs from a file, a map in YAML or JSON; --input comes before it');
}

/** Collects an option that may be given several times; it has no default, which `--help` would show as `[]`. */
export function collect(value: string, collected: string[] = []): string[] {
  return [...collected, value];
}
