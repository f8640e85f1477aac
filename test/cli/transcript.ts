import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { RunState } from '../../domain/run/state.ts';
import { LiveEnvironment, type Outcome, type Environment } from './environment.ts';

/**
 * A transcript is a text: prose (`# …`), commands (`$ holdpoint …`, also `| head -3`), and below each command what it writes
 * (`2> ` before lines of stderr) and its exit code (`[exit 0]`). Lines with `% ` set the environment; see `directives`.
 */
const target = 'eks/eu-central-1/demo';
const waitLimitMs = 20_000;
const waitPauseMs = 100;
/** Of what was played before an error. */
const lastLinesShown = 60;
const stderrMark = '2> ';

/** Whether a transcript needs a sandbox, Temporal and a worker: it says so in a line of its own. */
export function needsSandbox(text: string): boolean {
  return text.split('\n').includes('% with a sandbox');
}

/** Plays a transcript: returns it with the output that its commands give now. */
export async function play(text: string, environment: Environment): Promise<string> {
  const names = new Placeholders(environment);
  const played: string[] = [];
  for (const line of scriptOf(text)) {
    played.push(line);
    try {
      if (line.startsWith('% ')) await direct(line.slice(2), environment, names);
      if (line.startsWith('$ ')) played.push(...(await command(line.slice(2), environment, names)));
    } catch (error) {
      throw new Error(`after\n${played.slice(-lastLinesShown).join('\n')}\n${String(error)}`, { cause: error });
    }
  }
  return `${played.join('\n')}\n`;
}

/** The lines that were written by a person. A command that has just been added has no output and no exit code yet. */
function scriptOf(text: string): string[] {
  const lines = text.trimEnd().split('\n');
  const script: string[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    script.push(lines[index] ?? '');
    if (!lines[index]?.startsWith('$ ')) continue;
    const rest = lines.slice(index + 1);
    const exit = rest.findIndex((line) => /^\[exit \d+\]$/.test(line));
    const next = rest.findIndex((line) => line.startsWith('$ '));
    if (exit >= 0 && (next < 0 || exit < next)) index += exit + 1;
  }
  return script;
}

async function command(line: string, environment: Environment, names: Placeholders): Promise<string[]> {
  const [call = '', head] = line.split(/ \| head -(?=\d+$)/);
  const [program, ...argv] = wordsOf(names.real(call));
  if (program !== 'holdpoint') throw new Error(`a transcript can only call holdpoint, not ${program ?? ''}`);
  const outcome = await environment.call(argv);
  const output = names.hide(textOf(outcome)).split('\n').slice(0, -1);
  return [...output.slice(0, head === undefined ? output.length : Number(head)), `[exit ${outcome.code}]`];
}

/** What is said to whoever waits for a worker of this process: how busy the machine is decides whether it is. */
const toldWhileWaiting = /^! No worker answers on the task queue in-process-/;

function textOf({ lines }: Outcome): string {
  const asked = lines.filter(({ stream, text }) => stream !== 'stderr' || !toldWhileWaiting.test(text));
  return asked.map(({ stream, text }) => (stream === 'stderr' ? text.replace(/^(?=.)/gm, stderrMark) : text)).join('');
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}

type Directive = (environment: Environment, match: RegExpExecArray, names: Placeholders) => Promise<void> | void;

const directives: [RegExp, Directive][] = [
  [/^with a sandbox$/, () => undefined],
  [/^wait until listed as (\w+)$/, (environment, [, phase]) => untilListed(live(environment), phase ?? '')],
  [/^wait until drifted$/, (environment) => untilState(live(environment), ({ hold }) => hold?.drift !== undefined)],
  [/^wait until (\w+)(?: at ([\w-]+))?$/, (environment, [, phase, step]) => untilPhase(live(environment), phase ?? '', step)],
  [
    /^budget (\S+) maxUnavailable (\d+)$/,
    (environment, [, budget, most]) => live(environment).setMaxUnavailable(budget ?? '', Number(most)),
  ],
  [/^worker with AWS at (\S+)$/, (environment, [, endpoint]) => live(environment).startWorkerProcess({ endpoint })],
  [/^worker without AWS credentials$/, (environment) => live(environment).startWorkerProcess({ credentials: false })],
  [/^a kubeconfig$/, (environment) => writeKubeconfig(live(environment))],
  [/^the run is terminated$/, (environment) => live(environment).terminate(target)],
  [/^no worker$/, (environment) => live(environment).stopWorker()],
  [
    /^set (\w+)=(.*)$/,
    (environment, [, name = '', value = ''], names) => {
      environment.env[name] = names.real(value);
    },
  ],
  [
    /^file (\S+) of (\d+) MB$/,
    (environment, [, name = '', size]) => writeFile(join(environment.directory, name), '- x\n'.repeat(Number(size) * 250_000)),
  ],
];

async function direct(line: string, environment: Environment, names: Placeholders): Promise<void> {
  for (const [pattern, obey] of directives) {
    const match = pattern.exec(line);
    if (match) return obey(environment, match, names);
  }
  throw new Error(`a transcript cannot say: % ${line}`);
}

/** Of the sandbox; with contexts that lead nowhere, too. */
async function writeKubeconfig(environment: LiveEnvironment): Promise<void> {
  const clusters = { demo: `${environment.sandbox.url}/kubernetes/demo`, nobody: 'http://127.0.0.1:1' };
  const config = {
    clusters: Object.entries(clusters).map(([name, server]) => ({ name, cluster: { server } })),
    users: [{ name: 'me', user: {} }],
    contexts: [...Object.keys(clusters), 'lost'].map((name) => ({ name, context: { cluster: name, user: 'me' } })),
    'current-context': 'demo',
  };
  environment.env.KUBECONFIG = join(environment.directory, 'kubeconfig');
  await writeFile(environment.env.KUBECONFIG, JSON.stringify(config));
}

function live(environment: Environment): LiveEnvironment {
  if (environment instanceof LiveEnvironment) return environment;
  throw new Error('the transcript needs a line that says: % with a sandbox');
}

function untilPhase(environment: LiveEnvironment, phase: string, step: string | undefined): Promise<void> {
  return untilState(environment, (state) => {
    const at = state.hold?.request.hold ?? state.stuck?.step;
    return state.phase === phase && (step === undefined || step === at);
  });
}

function untilState(environment: LiveEnvironment, passes: (state: RunState) => boolean): Promise<void> {
  return environment.withHoldpoint((holdpoint) =>
    until(async () => {
      const state = await holdpoint.state(target);
      return [passes(state), `${state.phase}, ${JSON.stringify(state.steps)}`];
    }),
  );
}

/** Lists are made from an index that the server fills a moment later. */
function untilListed(environment: LiveEnvironment, phase: string): Promise<void> {
  return environment.withHoldpoint((holdpoint) =>
    until(async () => {
      const runs = await holdpoint.list({ openOnly: false });
      return [runs[0]?.phase === phase, JSON.stringify(runs)];
    }),
  );
}

async function until(look: () => Promise<[passes: boolean, seen: string]>): Promise<void> {
  const giveUpAt = performance.now() + waitLimitMs;
  for (;;) {
    const [passes, seen] = await look();
    if (passes) return;
    if (performance.now() > giveUpAt) throw new Error(`waited ${waitLimitMs} ms in vain, the last look showed: ${seen}`);
    await wait(waitPauseMs);
  }
}

/** What differs from one time to the next, under names of equal length that are numbered in the order of their appearance. */
class Placeholders {
  private readonly environment: Environment;
  /** By their first 32 digits, which are also shown alone. */
  private readonly hashes = new Map<string, { number: number; digits: string }>();
  private readonly runs = new Map<string, string>();

  constructor(environment: Environment) {
    this.environment = environment;
  }

  hide(text: string): string {
    const { TEMPORAL_ADDRESS: address } = this.environment.env;
    const hidden = text
      .replaceAll(this.environment.directory, '{directory}')
      .replaceAll(process.cwd(), '{project}')
      .replace(/(?<=^ {2}runbook )sha256:[0-9a-f]{64}$/gm, '{digest}')
      .replace(/\bsha256:([0-9a-f]{64}|[0-9a-f]{32})\b/g, (_all, digits: string) => `sha256:${this.hash(digits)}`)
      .replace(/\br-\d{8}-\w{6}\b/g, (run) => this.run(run))
      .replace(/(?:^ {4}(?:at once|after [^:]+): \d+ pods? .*\n)+/gm, '    {waves}\n')
      .replace(/^ {4}then \d+ more times?\n/gm, '')
      .replace(/\bsweep-[0-9a-f-]{36}\b/g, 'sweep-id')
      .replace(/(?<=key: )[\w-]{43}/g, 'x'.repeat(43))
      .replace(/(?<=pods? still runs? on its nodes: ).*$/gm, '{pods}.')
      // A drain lasts as long as pods here have taken to start, which no two worlds have in common.
      .replace(/(?<= (?:kubernetes\.drain|eks\.deleteNodegroup), about )(?:\d+ (?:s|min|h) ?)+$/gm, '{time}')
      .replace(/(?<=, about )(?:\d+ (?:s|min|h) ?)+\((?:forecast|median[^)]*)\)$/gm, '{time} ({basis})')
      .replace(/(?<=^ {2}In all: .*; about )(?:\d+ (?:s|min|h) ?)+(?=;)/gm, '{time}')
      .replace(/(?<= in all, about )(?:\d+ (?:s|min|h) ?)+(?=of work)/gm, '{time} ')
      .replace(/(?<=^ {4}took )(?:\d+ (?:s|min|h) ?)+(?=;|$)/gm, '{time}')
      // A run goes on between a command and the look after it.
      .replace(/(?<=^r-\S+ is )(?:planning|running|holding|paused|aborted|stuck|undoing)\b.*$/gm, '{phase}')
      .replace(/(?<=; closes in )(?:\d+ (?:s|min|h) ?)+(?=,)/g, '{time}')
      .replace(/\b\d{1,2} \w{3} \d{4}, \d\d:\d\d:\d\d \S+?(?=[)\s]|$)/gm, '1 Jan 2001, 01:01:01 UTC')
      .replace(/^\d\d:\d\d:\d\d \S+(?= )/gm, '01:01:01 UTC')
      .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '2001-01-01T01:01:01.000Z')
      .replace(
        /^(. \S+ +\S+ +?)((?: *\d+ (?:s|min|h))+)(?= {2}|$)/gm,
        (_row, name: string, time: string) => name + 'time'.padStart(time.length),
      )
      .replace(/\b[0-9a-f]{32}\b/g, (digits) => (this.hashes.has(digits) ? this.hash(digits) : digits));
    const sandboxed = this.environment instanceof LiveEnvironment ? hidden.replaceAll(this.environment.sandbox.url, '{sandbox}') : hidden;
    return address === undefined || address.endsWith(':1') ? sandboxed : sandboxed.replaceAll(address, '{temporal}');
  }

  /** The rollback, for what a person writes into a transcript. */
  real(text: string): string {
    const hashes = [...this.hashes.values()];
    return text
      .replaceAll('{directory}', this.environment.directory)
      .replace(/r-20010101-run\d{3}/g, (name) => [...this.runs].find(([, hidden]) => hidden === name)?.[0] ?? name)
      .replace(/(?<=sha256:|--plan )\d{12,64}/g, (name) => {
        const known = hashes.find(({ number }) => digitsOf(number).startsWith(name));
        return known?.digits.slice(0, name.length) ?? name;
      });
  }

  private hash(digits: string): string {
    const key = digits.slice(0, 32);
    const known = this.hashes.get(key) ?? { number: this.hashes.size + 1, digits };
    this.hashes.set(key, digits.length > known.digits.length ? { ...known, digits } : known);
    return digitsOf(known.number).slice(0, digits.length);
  }

  private run(run: string): string {
    const known = this.runs.get(run) ?? `r-20010101-run${String(this.runs.size + 1).padStart(3, '0')}`;
    this.runs.set(run, known);
    return known;
  }
}

/** `111…`, `222…`, and `1010…` from the tenth on. */
function digitsOf(number: number): string {
  const digits = String(number);
  return digits.repeat(64 / digits.length);
}
