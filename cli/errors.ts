import { CommanderError } from 'commander';
import { KeyError } from '../client/keys.ts';
import { RefusedError } from '../client/remote-error.ts';
import { HoldpointError } from '../domain/errors.ts';
import { RunbookNotFoundError } from '../runbooks/library.ts';
import { exitCodes } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** The command line cannot be understood, or a file that it names cannot be used; nothing has been started. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

interface Report {
  code: string;
  message: string;
  remedy?: string;
  exitCode: number;
}

const usageCodes = new Set(['runbook-invalid', 'inputs-invalid', 'configuration-invalid']);

/** Tells a person (or a program) what went wrong and what to do, never with a stack trace. Returns the exit code. */
export function reportError(error: unknown, terminal: Terminal): number {
  const { colors } = terminal;
  const report = reportOf(error);
  // Commander has printed its own message already.
  if (report.message !== '') {
    terminal.note(`${colors.red('error:')} ${report.message}`);
    if (report.remedy !== undefined && report.remedy !== '') terminal.note(`  ${report.remedy}`);
  }
  terminal.result({ error: { code: report.code, message: report.message, remedy: report.remedy ?? null } });
  return report.exitCode;
}

function reportOf(error: unknown): Report {
  if (error instanceof CommanderError) return { code: 'usage', message: '', exitCode: error.exitCode === 0 ? 0 : exitCodes.usage };
  if (error instanceof UsageError) return { code: 'usage', message: error.message, remedy: error.remedy, exitCode: exitCodes.usage };
  if (error instanceof RunbookNotFoundError) return { code: 'runbook-unknown', message: error.message, exitCode: exitCodes.usage };
  if (error instanceof HoldpointError || error instanceof RefusedError) {
    const { code, message, remedy } = error;
    return { code, message, remedy, exitCode: usageCodes.has(code) ? exitCodes.usage : exitCodes.error };
  }
  if (error instanceof KeyError) return { code: 'key-unusable', message: error.message, remedy: error.remedy, exitCode: exitCodes.error };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'unexpected', message, exitCode: exitCodes.error };
}
