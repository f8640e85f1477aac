import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import pc from 'picocolors';

/** How often a question is asked that gets neither a yes nor a no. */
const questionsMax = 5;

type Colors = ReturnType<typeof pc.createColors>;

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

/** What a command writes with: results go to stdout, everything that speaks of the work to stderr. */
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
    this.colors = pc.createColors(stdout.isTTY === true && options.color && !noColor && !options.json && env.TERM !== 'dumb');
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
    if (!this.json) this.surroundings.stdout.write(`${text}\n`);
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** The result for programs: one line of JSON with `--json`, nothing otherwise. */
  result(value: unknown): void {
    if (this.json) this.surroundings.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** What is going on, for whoever waits; never part of the result. */
  note(text: string): void {
    this.surroundings.stderr.write(`${text}\n`);
  }

  /** Asks on the terminal, again if the answer is neither yes nor no. Answers no where nobody can be asked. */
  async confirm(question: string): Promise<boolean> {
    if (!this.interactive) return false;
    const { stdin, stdout, signal } = this.surroundings;
    const prompt = createInterface({ input: stdin, output: stdout });
    try {
      for (let asked = 0; asked < questionsMax; asked += 1) {
        const answer = (await prompt.question(`${question} [y/N] `, { signal })).trim().toLowerCase();
        if (['y', 'yes'].includes(answer)) return true;
        if (['', 'n', 'no'].includes(answer)) return false;
      }
      return false;
    } finally {
      prompt.close();
    }
  }
}
