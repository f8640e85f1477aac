import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { reasonOf } from './reason.ts';

/** How many of the last lines of a process are kept for error messages. */
const outputLinesMax = 40;
/** Longer lines are cut. */
const lineCharactersMax = 2_000;
/** How long a process may take to end by itself after SIGTERM; then it gets SIGKILL. */
const stopTimeoutMs = 5_000;
/** How long we wait for the last output of a process that has exited: its own children may hold the pipes open. */
const lastOutputTimeoutMs = 500;
const readyPauseMs = 100;
const readyTimeoutDefaultMs = 60_000;

/** A program to start, and how to see that it serves. */
export interface ProcessOptions {
  /** What people call it: the subject of error messages. */
  name: string;
  command: string;
  args: readonly string[];
  /** The whole environment of the process; ours where it is left out. */
  env?: NodeJS.ProcessEnv;
  /** A line that it prints when it serves, or a check that throws until it does. */
  ready: RegExp | (() => Promise<void>);
  /** How long it may take to be ready; one minute where it is left out. */
  readyTimeoutMs?: number;
}

/** A process that serves. */
export interface RunningProcess {
  pid: number;
  /** What the `ready` pattern matched, with its groups; undefined where a check was given. */
  readyMatch: RegExpMatchArray | undefined;
  /** Resolves when it has ended, for whatever reason, with a sentence on how: `ended with exit code 1`. */
  ended: Promise<string>;
  /** Its last lines on stdout and stderr. */
  output(): string;
  /** Asks it to end (SIGTERM), makes it end after a limit, and resolves when it and its own children are gone. */
  stop(): Promise<void>;
  /** Ends it and its own children at once (SIGKILL), as a crash would. */
  kill(): Promise<void>;
}

/**
 * Starts a program and resolves when it serves. Throws an Error with the program's last lines if it ends or stays
 * silent instead; nothing is left running then.
 * The program ends with us, however we end, and Ctrl-C reaches it only through us, so that it is stopped in its turn.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  // A process group of its own lets us end the program together with what it started. The pipe to its stdin stays
  // open, because programs that read it take its end for ours.
  const child = spawn(options.command, options.args, { env: options.env ?? process.env, stdio: 'pipe', detached: true });
  const output = collectOutput(child);
  const ended = endOf(child);
  if (child.pid === undefined) throw new Error(`${options.name} cannot be started: ${await ended}.`);
  const { pid } = child;
  const guard = guardGroup(pid);
  let isGone = false;
  const signal = (name: NodeJS.Signals): void => {
    // The system may have given the number to somebody else by then.
    if (!isGone) signalGroup(pid, name);
  };
  const gone = ended.then((end) => {
    guard.kill('SIGKILL');
    signal('SIGKILL');
    isGone = true;
    return end;
  });
  const running = {
    pid,
    ended: gone,
    output: () => output.lines.join('\n'),
    stop: async () => {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), stopTimeoutMs);
      await gone;
      clearTimeout(timer);
    },
    kill: async () => {
      signal('SIGKILL');
      await gone;
    },
  };
  try {
    return { ...running, readyMatch: await becomeReady(options, output, gone) };
  } catch (error) {
    await running.kill();
    const lines = running.output();
    const tail = lines === '' ? 'It printed nothing.' : `Its last lines:\n${lines}`;
    throw new Error(`${options.name} ${reasonOf(error)}. Command: ${[options.command, ...options.args].join(' ')}\n${tail}`, {
      cause: error,
    });
  }
}

interface Output {
  lines: string[];
  onLine: ((line: string) => void) | undefined;
}

function collectOutput(child: ChildProcess): Output {
  const output: Output = { lines: [], onLine: undefined };
  const keep = (line: string): void => {
    output.lines.push(line);
    if (output.lines.length > outputLinesMax) output.lines.shift();
    output.onLine?.(line);
  };
  for (const stream of [child.stdout, child.stderr]) if (stream) splitLines(stream, keep);
  // A program that closes its stdin is no reason for us to fail.
  child.stdin?.on('error', () => undefined);
  return output;
}

function splitLines(stream: Readable, keep: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, lineCharactersMax);
    for (const line of lines) keep(line.slice(0, lineCharactersMax));
  });
  stream.on('end', () => {
    if (rest !== '') keep(rest);
  });
}

async function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      const end = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      const timer = setTimeout(() => resolve(end), lastOutputTimeoutMs);
      child.once('close', () => {
        clearTimeout(timer);
        resolve(end);
      });
    });
  });
}

/**
 * A shell that outlives us by moments: its stdin ends when we do, even by SIGKILL, and then it ends the group.
 * Programs that we do not write can be ended with us in no other portable way.
 */
export function guardGroup(pid: number): ChildProcess {
  const look = 'for second in $(seq "$2"); do sleep 1; kill -s 0 -- "-$1" || exit; done';
  const script = `read -r _ || { kill -s TERM -- "-$1"; ${look}; kill -s KILL -- "-$1"; }`;
  const guard = spawn('sh', ['-c', script, 'sh', String(pid), String(stopTimeoutMs / 1000)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => undefined);
  guard.stdin.on('error', () => undefined);
  guard.unref();
  return guard;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // ESRCH: nobody is left. EPERM: on macOS, only zombies are left.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

async function becomeReady(options: ProcessOptions, output: Output, gone: Promise<string>): Promise<RegExpMatchArray | undefined> {
  const { ready, readyTimeoutMs = readyTimeoutDefaultMs } = options;
  const over = new AbortController();
  const look = { over: over.signal, refusal: '' };
  const endedEarly = gone.then((end) => {
    throw new Error(`${end} before it was ready`);
  });
  const late = wait(readyTimeoutMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`was not ready after ${readyTimeoutMs / 1000} s${look.refusal}`);
  });
  // The losers of the race reject later, when nobody listens any more.
  endedEarly.catch(() => undefined);
  late.catch(() => undefined);
  try {
    return await Promise.race([endedEarly, late, ready instanceof RegExp ? lineMatching(ready, output) : passing(ready, look)]);
  } finally {
    over.abort();
    output.onLine = undefined;
  }
}

async function lineMatching(pattern: RegExp, output: Output): Promise<RegExpMatchArray> {
  return new Promise((resolve) => {
    output.onLine = (line) => {
      const match = line.match(pattern);
      if (match) resolve(match);
    };
  });
}

async function passing(check: () => Promise<void>, look: { over: AbortSignal; refusal: string }): Promise<undefined> {
  while (!look.over.aborted) {
    try {
      await check();
      return undefined;
    } catch (error) {
      look.refusal = `: ${reasonOf(error)}`;
      await wait(readyPauseMs);
    }
  }
  return undefined;
}
