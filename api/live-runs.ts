import { createHash } from 'node:crypto';
import type { LiveRun } from '../client/holdpoint.ts';
import { endPhases } from '../domain/run/state.ts';
import { withoutPlan } from './without-plan.ts';
import { problemOf } from './problem.ts';
import type { Problem } from './schema/answers.ts';
import { liveRun } from './schema/run.ts';

/** A run that somebody watches is looked at so often. */
const lookEveryMs = 1_000;
/** And so often where it could not be looked at. */
const lookAgainMs = 5_000;
const digestCharacters = 32;

/** What watchers are told: a state that differs from the one before, or why there is none. */
export type LiveEvent = { kind: 'state'; id: string; json: string } | { kind: 'problem'; problem: Problem };

/** A run that is watched. */
interface Watched {
  run: string;
  watchers: Set<(event: LiveEvent) => void>;
  last?: LiveEvent;
  /** When it was last looked at with an answer, in milliseconds since 1970. */
  seenMs?: number;
  isOver: boolean;
  timer?: NodeJS.Timeout;
  looking?: Promise<void>;
  /** Something has happened while it was looked at. */
  again: boolean;
}

/** One look at a run for all who watch it: once a second while somebody does, and at once after something was said to it. */
export class LiveRuns {
  private readonly watched = new Map<string, Watched>();
  private readonly read: (run: string) => Promise<LiveRun>;
  private readonly nowMs: () => number;

  constructor(read: (run: string) => Promise<LiveRun>, nowMs: () => number = Date.now) {
    this.read = read;
    this.nowMs = nowMs;
  }

  /** Tells a watcher of a run, first what is known already; what it returns ends that. */
  watch(run: string, tell: (event: LiveEvent) => void): () => void {
    const known = this.watched.get(run);
    const one = known ?? { run, watchers: new Set(), isOver: false, again: false };
    this.watched.set(run, one);
    one.watchers.add(tell);
    if (one.last) tell(one.last);
    if (!known) this.lookAt(one);
    return () => {
      one.watchers.delete(tell);
      if (one.watchers.size > 0) return;
      clearTimeout(one.timer);
      if (this.watched.get(run) === one) this.watched.delete(run);
    };
  }

  /** Looks at a run at once, if somebody watches it. */
  look(run: string): void {
    const one = this.watched.get(run);
    if (one && !one.isOver) this.lookAt(one);
  }

  /** Whether somebody watches a run already. */
  isWatched(run: string): boolean {
    return this.watched.has(run);
  }

  /** When a run was last seen, in milliseconds since 1970; undefined where it was not, or nobody watches it. */
  seenMs(run: string): number | undefined {
    return this.watched.get(run)?.seenMs;
  }

  private lookAt(one: Watched): void {
    if (one.looking) {
      one.again = true;
      return;
    }
    clearTimeout(one.timer);
    one.again = false;
    one.looking = this.lookOnce(one).finally(() => {
      one.looking = undefined;
      if (one.watchers.size === 0 || one.isOver) return;
      if (one.again) this.lookAt(one);
      else one.timer = setTimeout(() => this.lookAt(one), one.last?.kind === 'problem' ? lookAgainMs : lookEveryMs);
    });
  }

  private async lookOnce(one: Watched): Promise<void> {
    try {
      const live = await this.read(one.run);
      const json = JSON.stringify(liveRun.parse(withoutPlan(live)));
      const id = createHash('sha256').update(json).digest('hex').slice(0, digestCharacters);
      one.seenMs = this.nowMs();
      one.isOver = endPhases.includes(live.state.phase);
      if (one.last?.kind !== 'state' || one.last.id !== id) this.tell(one, { kind: 'state', id, json });
    } catch (error) {
      const { problem } = problemOf(error, one.run);
      if (one.last?.kind !== 'problem' || one.last.problem.code !== problem.code) this.tell(one, { kind: 'problem', problem });
    }
  }

  private tell(one: Watched, event: LiveEvent): void {
    one.last = event;
    for (const watcher of one.watchers) watcher(event);
  }
}
