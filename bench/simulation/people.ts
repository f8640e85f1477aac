import { setTimeout as wait } from 'node:timers/promises';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import type { JsonObject } from '../../domain/json.ts';
import { Random } from '../../sandbox/random.ts';
import { endPhases, type RunbookDocument, type RunState, type Verb } from '../../workflows/messages.ts';
import type { Stage } from './stage.ts';
import type { Circumstances, Moment } from './world.ts';

const lookPauseMs = 150;
const lookMaxMs = 5_000;
/** How long nothing about a run may change, while it neither waits for people nor is over. */
const silenceMaxMs = 90_000;
const runMaxMs = 300_000;
const planAttemptsMax = 20;
const startAttemptsMax = 10;
/** How often somebody has a stuck step tried again before giving up. */
const retriesMax = 4;

/** How a run went, as the people saw it. */
export interface Course {
  outcome: 'done' | 'stuck' | 'aborted' | 'refused' | 'lost';
  state?: RunState;
  /** What it was stuck with, in order. */
  stuckWith: string[];
  /** Why it counts as lost: silent, too slow, or never planned. */
  trouble?: string;
}

/** Plans, starts, signs at the holds and deals with what is stuck, until the run is over or lost. */
export class People {
  private readonly stage: Stage;
  private readonly holdpoint: Holdpoint;
  private readonly random: Random;
  private readonly circumstances: Circumstances;
  private readonly stuckWith: string[] = [];
  private readonly reachedAtMs = new Map<Moment, number>();
  private readonly over = new Set<Moment>();
  private gaveUp = false;
  private seen = { fingerprint: '', atMs: 0 };

  constructor(stage: Stage, taskQueue: string, seed: number, circumstances: Circumstances) {
    this.stage = stage;
    this.holdpoint = new Holdpoint(stage.client, { address: stage.address, namespace: 'default', taskQueue });
    this.random = new Random(seed).stream('people');
    this.circumstances = circumstances;
  }

  /** `kill` kills the worker of the run and has another one started. */
  async play(document: RunbookDocument, inputs: JsonObject, target: string, kill: () => void): Promise<Course> {
    const refusal = await this.begin(document, inputs);
    if (refusal !== undefined) return { outcome: 'refused', stuckWith: [refusal] };
    const beganAtMs = performance.now();
    for (;;) {
      const nowMs = performance.now() - beganAtMs;
      // While a worker is away nobody answers.
      const live = await this.stage.client.withDeadline(Date.now() + lookMaxMs, () => this.holdpoint.live(target)).catch(() => undefined);
      if (live && endPhases.includes(live.state.phase)) return this.courseOf(live.state);
      if (live) await this.react(live.state, target, nowMs, kill);
      const trouble = this.troubleAt(nowMs, live);
      if (trouble !== undefined) return { outcome: 'lost', state: live?.state, stuckWith: this.stuckWith, trouble };
      await wait(lookPauseMs);
    }
  }

  /** Plans and starts until the run is admitted; returns why it never was. */
  private async begin(document: RunbookDocument, inputs: JsonObject): Promise<string | undefined> {
    let reason = '';
    for (let attempt = 1; attempt <= startAttemptsMax; attempt += 1) {
      try {
        const forecast = await this.plan(document, inputs);
        const { admission } = await this.holdpoint.start(document, forecast, this.stage.keys.dana);
        if (admission.admitted) return undefined;
        reason = `${admission.code}: ${admission.reason}`;
      } catch (error) {
        reason = String(error);
      }
    }
    return reason;
  }

  private async plan(document: RunbookDocument, inputs: JsonObject): ReturnType<Holdpoint['plan']> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.holdpoint.plan(document, inputs);
      } catch (error) {
        if (attempt >= planAttemptsMax) throw error;
      }
    }
  }

  private async react(state: RunState, target: string, nowMs: number, kill: () => void): Promise<void> {
    const { abort, pause, kills } = this.circumstances;
    for (const moment of kills) {
      if (!this.isDue(moment, state, nowMs)) continue;
      this.over.add(moment);
      return kill();
    }
    if (!this.gaveUp && this.isDue(abort, state, nowMs)) return void (await this.say(target, 'abort'));
    if (state.phase === 'paused') return void (await this.say(target, 'resume'));
    if (pause && this.isDue(pause, state, nowMs)) {
      if (await this.say(target, 'pause')) this.over.add(pause);
      return;
    }
    if (state.phase === 'holding' && state.hold) {
      const person = this.random.next() < 0.5 ? 'ada' : 'grace';
      await this.holdpoint.decide(target, state.hold.opening, 'approve', 'looks right', this.stage.keys[person]).catch(() => undefined);
      return;
    }
    if (state.phase !== 'stuck' || !state.stuck || this.gaveUp) return;
    const { step, reason } = state.stuck;
    const isHeard = await this.say(target, this.stuckWith.length < retriesMax ? 'retry' : 'abort');
    if (isHeard) this.stuckWith.push(`${step}: ${reason}`);
  }

  /** Whether a moment has come that is not over yet. */
  private isDue(moment: Moment | undefined, { steps }: RunState, nowMs: number): boolean {
    if (!moment || this.over.has(moment) || (steps[moment.step]?.status ?? 'waiting') === 'waiting') return false;
    const reachedAtMs = this.reachedAtMs.get(moment) ?? nowMs;
    this.reachedAtMs.set(moment, reachedAtMs);
    return nowMs >= reachedAtMs + moment.afterMs;
  }

  /** Returns whether the run has heard it: it may have moved on, or its worker may be away. Then the next look says what to do. */
  private async say(target: string, verb: Verb): Promise<boolean> {
    try {
      await this.holdpoint.operate(target, verb, 'the simulation wants it', this.stage.keys.dana);
      if (verb === 'abort') this.gaveUp = true;
      return true;
    } catch {
      return false;
    }
  }

  private courseOf(state: RunState): Course {
    const { stuckWith } = this;
    if (state.phase === 'done') return { outcome: 'done', state, stuckWith };
    return { outcome: stuckWith.length > retriesMax ? 'stuck' : 'aborted', state, stuckWith };
  }

  private troubleAt(nowMs: number, live: LiveRun | undefined): string | undefined {
    const fingerprint = JSON.stringify([live?.state.phase, live?.state.steps, live?.progress, live?.retrying?.attempt]);
    if (fingerprint !== this.seen.fingerprint) this.seen = { fingerprint, atMs: nowMs };
    const silentMs = nowMs - this.seen.atMs;
    const last = `${live?.state.phase ?? 'no answer'}: ${live?.progress?.summary ?? live?.retrying?.reason ?? ''}`;
    if (silentMs > silenceMaxMs) return `silent for ${Math.round(silentMs / 1000)} s (${last})`;
    if (nowMs > runMaxMs) return `not over after ${runMaxMs / 1000} s (${last})`;
    return undefined;
  }
}
