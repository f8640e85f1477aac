import { CommanderError } from 'commander';
import { ToldError } from '../domain/errors.ts';
import { fileTrouble } from '../domain/file-trouble.ts';
import { exitCodes } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** The command line cannot be understood, or a file that it names cannot be used; nothing has been started. */
export class UsageError extends ToldError {
  override readonly name = 'UsageError';

  /** The message without its list, and what it speaks of, each on a line of its own. */
  readonly heading: string;
  readonly list: readonly string[];

  constructor(heading: string, remedy?: string, list: readonly string[] = []) {
    super('usage', [heading, ...list.map((text) => `  ${text}`)].join('\n'), remedy);
    this.heading = heading;
    this.list = list;
  }
}

interface Report {
  code: string;
  message: string;
  remedy?: string;
  exitCode: number;
  /** Commander writes its errors by itself, with its hint to `--help`. */
  alreadyTold?: boolean;
}

const usageCodes = new Set([
  'usage',
  'runbook-unknown',
  'runbook-invalid',
  'inputs-invalid',
  'configuration-invalid',
  'temporal-settings-invalid',
]);

/** A file that was named, `what` in a sentence (`The record x.jsonl`), and that the system would not let us read. */
export function unreadable(what: string, error: unknown, remedy?: string): UsageError {
  return new UsageError(`${what} cannot be read: ${fileTrouble(error) ?? messageOf(error)}.`, remedy);
}

/** Tells a person (or a program) what went wrong and what to do, never with a stack trace. Returns the exit code. */
export function reportError(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
  const { code, message, remedy, exitCode, alreadyTold } = reportOf(error);
  if (!alreadyTold) {
    noteError(error, message, terminal);
    if (remedy) terminal.note(`  ${remedy}`);
    for (const cause of causesOf(error)) terminal.detail(`because of ${cause}`);
  }
  terminal.result({ error: { code, message, remedy: remedy || null } });
  return exitCode;
}

const causesMax = 5;

/** What is behind an error, for whoever wants to know: names and messages, never a stack. */
function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  for (let cause = (error as { cause?: unknown } | null)?.cause; cause instanceof Error && causes.length < causesMax; cause = cause.cause) {
    causes.push(`${cause.name}: ${cause.message.split('\n', 1)[0]}`);
  }
  return causes;
}

/** A message is one line, but for our own lists, and for what a program that we have started has said before it ended. */
function noteError(error: unknown, message: string, terminal: Terminal): void {
  const mark = terminal.colors.red('error:');
  if (error instanceof UsageError) {
    terminal.note(`${mark} ${error.heading}`);
    for (const text of error.list) terminal.note(`  ${text}`);
  } else if (error instanceof ToldError) terminal.note(`${mark} ${message}`);
  else terminal.noteBlock(`${mark} ${message}`);
}

function reportOf(error: unknown): Report {
  if (error instanceof CommanderError) return commandLineReport(error);
  if (error instanceof ToldError) {
    const { code, message, remedy } = error;
    if (code === 'interrupted') return { code, message, remedy, exitCode: exitCodes.interrupted };
    return { code, message, remedy, exitCode: usageCodes.has(code) ? exitCodes.usage : exitCodes.error };
  }
  return { code: 'unexpected', message: messageOf(error), exitCode: exitCodes.error };
}

function commandLineReport({ code, message }: CommanderError): Report {
  const told = code === 'commander.help' ? 'A command is missing.' : message.replace(/^error: /, '');
  return { code: 'usage', message: told, remedy: '--help shows what there is.', exitCode: exitCodes.usage, alreadyTold: true };
}

function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' && message !== '' ? message : String(error);
}
