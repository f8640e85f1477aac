import { randomInt } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { visible, visibleJson } from '../domain/visible.ts';

/** How often a question is asked that gets neither a yes nor a no. */
const questionsMax = 5;
/** Lines of a text of several lines that are shown, as of what a program has said before it ended. */
const blockLinesMax = 200;

const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

/** How parts of a line are told apart for the eye. */
export type Colors = Readonly<Record<keyof typeof styles, (text: string) => string>>;

const escape = '\u001b';
/** An escape code of ours has this number in it, which nobody outside can know: whatever else looks like one is somebody else's text. */
const ours = Array.from({ length: 6 }, () => randomInt(1_000, 10_000)).join(';');
const ourCode = new RegExp(`(${escape}\\[${ours};\\d+m)`);

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
  readonly colors: Colors;
  /** A person is looking: what is shown may be drawn anew and questions can be asked. */
  readonly interactive: boolean;

  constructor(surroundings: Surroundings, options: { json: boolean; color: boolean }) {
    this.surroundings = surroundings;
    this.json = options.json;
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

  /** A text of several lines, such as what a program has said: those after the first are marked, so that they pass for nothing else. */
  noteBlock(text: string): void {
    const [first = '', ...others] = text.trimEnd().split('\n');
    this.note(first);
    for (const line of others.slice(-blockLinesMax)) this.note(`  | ${line}`);
  }

  /** Asks on the terminal, again if the answer is neither yes nor no. Answers no where nobody can be asked. */
  async confirm(question: string): Promise<boolean> {
    if (!this.interactive) return false;
    const { stdin, stdout, signal } = this.surroundings;
    const prompt = createInterface({ input: stdin, output: stdout });
    try {
      for (let asked = 0; asked < questionsMax; asked += 1) {
        const answer = (await prompt.question(`${written(question)} [y/N] `, { signal })).trim().toLowerCase();
        if (['y', 'yes'].includes(answer)) return true;
        if (['', 'n', 'no'].includes(answer)) return false;
      }
      return false;
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

function colorsOf(colored: boolean): Colors {
  const entries = Object.entries(styles).map(([name, [begin, end]]) => {
    const [open, close] = [`${escape}[${ours};${begin}m`, `${escape}[${ours};${end}m`];
    // Within a colour, the end of another one would end it as well.
    const paint = (text: string): string => open + text.replaceAll(close, close + open) + close;
    return [name, colored ? paint : (text: string) => text];
  });
  return Object.fromEntries(entries) as Colors;
}

/** A line taken apart: visible text, and in between our codes. */
export function partsOf(line: string): { text: string; isCode: boolean }[] {
  // Every second part is what the pattern has found.
  return line
    .split(ourCode)
    .map((part, index) => (index % 2 === 1 ? { text: part, isCode: true } : { text: visible(part), isCode: false }));
}

/** A line as it is written to a terminal or a pipe. */
export function written(line: string): string {
  return partsOf(line)
    .map(({ text, isCode }) => (isCode ? text.replace(`${ours};`, '') : text))
    .join('');
}
