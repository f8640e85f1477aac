import { setTimeout as wait } from 'node:timers/promises';
import { endPhases } from '../domain/run/state.ts';
import type { Holdpoint, LiveRun } from '../client/holdpoint.ts';
import { HoldpointError, ToldError } from '../domain/errors.ts';
import { formatClock } from './format.ts';
import { retryingText, runLines } from './run-view.ts';
import { screenOf } from './screen.ts';
import type { Terminal } from './terminal.ts';

const lookEveryMs = 400;
/** After this many looks without an answer in a row, the watch gives up: the server is gone. */
const failuresMax = 50;

/** Shows a run while it goes on: a live table on a terminal, a line for each change in a pipe, nothing with --json. */
export class RunWatch {
  private readonly holdpoint: Holdpoint;
  private readonly terminal: Terminal;
  private readonly log: ChangeLog;

  constructor(holdpoint: Holdpoint, terminal: Terminal) {
    this.holdpoint = holdpoint;
    this.terminal = terminal;
    this.log = new ChangeLog(terminal);
  }

  /** Watches until `until` says so of the run, or Ctrl-C (which leaves the run alone). Returns the last look. */
  async watch(run: string, until: (live: LiveRun) => boolean): Promise<LiveRun> {
    const { signal } = this.terminal.surroundings;
    const screen = screenOf(this.terminal);
    let shown: string[] = [];
    for (let failures = 0; ;) {
      try {
        const live = await unlessAborted(this.holdpoint.live(run), signal);
        failures = 0;
        shown = runLines(live, this.terminal, { plan: false });
        if (screen) screen.draw(shown);
        else this.log.look(live);
        if (until(live) || signal.aborted) {
          screen?.done();
          return live;
        }
      } catch (error) {
        failures += 1;
        if (failures > failuresMax || signal.aborted || !mayPass(error)) throw error;
        const silent = 'No answer from Temporal or the worker; trying again. What is above may be old.';
        if (screen) screen.draw([...shown, '', this.terminal.colors.yellow(`! ${silent}`)]);
        else if (failures === 1) this.terminal.line(silent);
      }
      await wait(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Ctrl-C must not wait for a server that does not answer. */
async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new ToldError('interrupted', 'Interrupted. The run goes on by itself.'));
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A server or a worker that is being started again comes back; a run that does not exist does not. */
function mayPass(error: unknown): boolean {
  return !(error instanceof HoldpointError);
}

/** Whether a run needs nobody's waiting any more: it is over, or waits for people or its window. */
export function needsPeople({ state }: LiveRun): boolean {
  return endPhases.includes(state.phase) || ['holding', 'parked', 'stuck', 'paused'].includes(state.phase);
}

/** Whether a run is over. */
export function isOver({ state }: LiveRun): boolean {
  return endPhases.includes(state.phase);
}

/** One plain line for each thing that has changed since the last look. */
class ChangeLog {
  private readonly terminal: Terminal;
  private readonly seen = new Map<string, string>();

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  look({ state, progress, retrying }: LiveRun): void {
    this.change('phase', state.phase, `run ${state.run} is ${state.phase}`);
    for (const { id, status, summary } of state.steps) {
      const running = status === 'running' ? (progress[id]?.summary ?? summary) : summary;
      if (status !== 'waiting') this.change(`step ${id}`, `${status} ${running ?? ''}`, `${id}: ${status}${running ? `, ${running}` : ''}`);
    }
    if (state.hold) {
      const { hold, number, question } = state.hold.request;
      this.change(
        `hold ${hold}`,
        String(number),
        `${hold}: signatures requested (request ${number})${question === '' ? '' : `; the author asks: ${question}`}`,
      );
    }
    for (const each of retrying) this.change(`retrying ${each.step ?? ''}`, each.reason, retryingText(each));
    if (state.window) this.change('window', `${state.window.reason} ${state.window.opensAt ?? ''}`, `parked: ${state.window.reason}`);
    if (state.stuck) this.change('stuck', state.stuck.reason, `stuck at ${state.stuck.step}: ${state.stuck.reason} ${state.stuck.remedy}`);
  }

  private change(what: string, value: string, line: string): void {
    if (this.seen.get(what) === value) return;
    this.seen.set(what, value);
    this.terminal.line(`${formatClock(this.terminal.surroundings.now())}  ${line}`);
  }
}
