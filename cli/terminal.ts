import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { ToldError } from '../domain/errors.ts';
import { visibleJson } from '../domain/visible.ts';
import { wrapped } from './layout.ts';
import { colorsOf, written, type Colors } from './painted.ts';

export type { Colors } from './painted.ts';

/** How often a question is asked that gets neither a yes nor a no. */
const questionsMax = 5;
/** Lines of a text of several lines that are shown, as of what a program has said before it ended. */
const blockLinesMax = 200;

/** Where a command reads and writes: the process, or a test. */
export interface Surroundings {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean; columns?: number; rows?: number };
  stderr: Writable;
  env: Readonly<Record<string, string | undefined>>;
  now(): Date;
  /** Aborted on Ctrl-C. */
  signal: AbortSignal;
}

/**
 * What a command writes with: results go to stdout, everything that speaks of the work to stderr. Whatever is written, by whomever,
 * is made visible here, in one place: nothing in it but the colours of `colors` is obeyed by a terminal.
 */
export class Terminal {
  readonly surroundings: Surroundings;
  readonly json: boolean;
  /** Whoever looks wants to know what is asked of whom. */
  readonly verbose: boolean;
  readonly colors: Colors;
  /** A person is looking: what is shown may be drawn anew and questions can be asked. */
  readonly interactive: boolean;

  constructor(surroundings: Surroundings, options: { json: boolean; color: boolean; verbose?: boolean }) {
    this.surroundings = surroundings;
    this.json = options.json;
    this.verbose = options.verbose ?? false;
    const { stdout, stdin, env } = surroundings;
    const noColor = env.NO_COLOR !== undefined && env.NO_COLOR !== '';
    this.interactive = stdout.isTTY === true && stdin.isTTY === true && !options.json && env.TERM !== 'dumb';
    this.colors = colorsOf(stdout.isTTY === true && options.color && !noColor && !options.json && env.TERM !== 'dumb');
  }

  /** Nothing is cut off for a pipe or a file. */
  get columns(): number {
    return this.surroundings.stdout.columns ?? Infinity;
  }

  get rows(): number {
    return this.surroundings.stdout.rows ?? 40;
  }

  /** A line of the result, for people; nothing with `--json`. */
  line(text = ''): void {
    if (this.json) return;
    for (const part of wrapped(text, this.columns)) this.surroundings.stdout.write(`${written(part)}\n`);
  }

  /** A line that people copy or programs read: never broken. */
  verbatim(text: string): void {
    if (!this.json) this.surroundings.stdout.write(`${written(text)}\n`);
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** The result for programs: one line of JSON with `--json`, nothing otherwise. */
  result(value: unknown): void {
    if (this.json) this.surroundings.stdout.write(`${visibleJson(JSON.stringify(value))}\n`);
  }

  /** What is going on, for whoever waits; never part of the result. */
  note(text: string): void {
    this.surroundings.stderr.write(`${written(text)}\n`);
  }

  /** What is done behind it all, for whoever wants to know; nothing without --verbose. */
  detail(text: string): void {
    if (this.verbose) this.note(this.colors.dim(`· ${(performance.now() / 1_000).toFixed(2)} s  ${text}`));
  }

  /** A text of several lines, such as what a program has said: those after the first are marked, so that they pass for nothing else. */
  noteBlock(text: string): void {
    const [first = '', ...others] = text.trimEnd().split('\n');
    this.note(first);
    for (const line of others.slice(-blockLinesMax)) this.note(`  | ${line}`);
  }

  /** Asks for yes or no, again if the answer is neither. Answers no where nobody can be asked. Throws `interrupted` on Ctrl-C. */
  async confirm(question: string): Promise<boolean> {
    if (!this.interactive) return false;
    for (let asked = 0; asked < questionsMax; asked += 1) {
      const answer = (await this.ask(`${question} [y/N]`)).toLowerCase();
      if (['y', 'yes'].includes(answer)) return true;
      if (['', 'n', 'no'].includes(answer)) return false;
    }
    return false;
  }

  /** Asks for a line of text; empty where nobody can be asked, or nothing more comes. Throws `interrupted` on Ctrl-C. */
  async ask(question: string): Promise<string> {
    if (!this.interactive) return '';
    const { stdin, stdout, signal } = this.surroundings;
    const prompt = createInterface({ input: stdin, output: stdout });
    // The end of what is typed, and Ctrl-C, which such a terminal hands on as a key.
    const closed = new Promise<undefined>((resolve) => prompt.once('close', () => resolve(undefined)));
    const interrupted = new Promise<undefined>((_resolve, reject) => {
      prompt.once('SIGINT', () => reject(new DOMException('Ctrl-C', 'AbortError')));
    });
    try {
      const answer = await Promise.race([prompt.question(`${written(question)} `, { signal }), closed, interrupted]);
      // What comes next must not stand behind the question.
      if (answer === undefined) stdout.write('\n');
      return (answer ?? '').trim();
    } catch (error) {
      if ((error as Error).name !== 'AbortError') throw error;
      stdout.write('\n');
      throw new ToldError('interrupted', 'Interrupted at the question: nothing was done.');
    } finally {
      prompt.close();
    }
  }
}

/** What the parser of command lines writes: help and errors of several lines of its own, in which words of the command line stand. */
export function parserOutput({ stdout, stderr }: Surroundings): { writeOut: (text: string) => void; writeErr: (text: string) => void } {
  const shown = (text: string): string => text.split('\n').map(written).join('\n');
  return { writeOut: (text) => stdout.write(shown(text)), writeErr: (text) => stderr.write(shown(text)) };
}
