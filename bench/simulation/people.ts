import { setTimeout as wait } from 'node:timers/promises';
import type { CommandName } from '../../domain/approval/statement.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import { endPhases, type RunState } from '../../domain/run/state.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { errorKinds, errorsToldInPlace, HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Random } from '../../sandbox/random.ts';
import type { Person } from '../../test/support/people.ts';
import type { Circumstances, Deed, Moment } from './circumstances.ts';
import { isOdd, sayingFor, situationOf, type Saying, type Situation } from './habits.ts';
import { diagnose, type Environment } from './environment.ts';

const lookPauseMs = 150;
const lookMaxMs = 5_000;
/** How long nothing about a run may change, while it neither waits for people nor is over. */
const silenceMaxMs = 120_000;
/** How long a run may wait for something in its world before its people have enough of it: more than an hour of simulated time. */
const patienceMs = 45_000;
/** How long a run may take to answer a word. */
const answerMaxMs = 90_000;
const runMaxMs = 600_000;
const planAttemptsMax = 20;
const startAttemptsMax = 10;
/** How often people say something else than what has the run go on. */
const oddWordsMax = 6;
/** How many words a stuck run is given before people leave it at that. */
const stuckWordsMax = 8;
/** How often somebody else than the one who has started the run operates it. */
const otherOperatorShare = 0.2;
const signers: readonly Person[] = ['ada', 'grace'];

/** What a word can be refused with in a run that goes as it should: it came too late, or what it asks for cannot be. */
const refusalsExpected = new Set<string>([
  ...['command-refused', 'undo-blocked', 'undo-impossible', 'aws-busy', 'aws-unreachable', 'kubernetes-unreachable'],
  ...['hold-not-waiting', 'hold-differs', 'hold-expired', 'hold-withdrawn', 'request-replaced', 'plan-drifted', 'run-aborted'],
]);

/** How a run went, as the people saw it. */
export interface Story {
  /** `stuck`: its people have left it at that, and aborted it. `lost`: it gave no answer, or came to no end. */
  outcome: 'done' | 'undone' | 'stuck' | 'aborted' | 'rejected' | 'refused' | 'lost';
  state?: RunState;
  /** What it was stuck with, in order. */
  stuckWith: string[];
  /** What was said to it, in order. */
  words: string[];
  /** What must not be: a state that is stuck without a reason, a word without an answer, silence. */
  troubles: string[];
}

/** What people can do to the surroundings of a run. */
export interface Means {
  /** Kills its worker and has another one started. */
  kill: () => void;
  /** Has somebody else do something; false where that does not suit now. */
  befall: (deed: Deed) => Promise<boolean>;
}

/** Plans, starts, signs at the holds and deals with what is stuck, until the run is over or lost. */
export class People {
  private readonly environment: Environment;
  private readonly holdpoint: Holdpoint;
  private readonly random: Random;
  private readonly circumstances: Circumstances;
  private readonly target: string;
  private readonly means: Means;
  private readonly story: Omit<Story, 'outcome' | 'state'> = { stuckWith: [], words: [], troubles: [] };
  private readonly reachedAtMs = new Map<Moment, number>();
  private readonly over = new Set<Moment>();
  private readonly leftToExpire = new Set<string>();
  private stuckSeen = '';
  private stuckWords = 0;
  private oddWords = 0;
  private gaveUp = false;
  private impatient = false;
  private killedAtMs = -Infinity;
  private seen = { fingerprint: '', atMs: 0 };

  constructor(
    environment: Environment,
    run: { taskQueue: string; target: string; random: Random; circumstances: Circumstances },
    means: Means,
  ) {
    this.environment = environment;
    this.holdpoint = new Holdpoint(environment.client, { address: environment.address, namespace: 'default', taskQueue: run.taskQueue });
    this.random = run.random;
    this.circumstances = run.circumstances;
    this.target = run.target;
    this.means = means;
  }

  /** Carries out a runbook, until its run is over or lost. */
  async play(document: RunbookDocument, inputs: JsonObject): Promise<Story> {
    const refusal = await this.begin(document, inputs);
    if (refusal !== undefined) return { outcome: 'refused', ...this.story, stuckWith: [refusal] };
    const beganAtMs = performance.now();
    for (;;) {
      const nowMs = performance.now() - beganAtMs;
      // While a worker is away nobody answers.
      const look = (): Promise<LiveRun> => this.holdpoint.live(this.target);
      const live = await this.environment.client.withDeadline(Date.now() + lookMaxMs, look).catch(() => undefined);
      this.noteProgress(live, nowMs);
      if (live && endPhases.includes(live.state.phase)) return { outcome: this.outcomeOf(live.state), state: live.state, ...this.story };
      if (live) await this.react(live, nowMs);
      const lost = this.lossAt(nowMs, live);
      if (lost !== undefined) {
        this.story.troubles.push(`${lost}; ${await diagnose(this.environment, this.target)}`);
        return { outcome: 'lost', state: live?.state, ...this.story };
      }
      await wait(lookPauseMs);
    }
  }

  /** Plans and starts until the run is admitted; returns why it never was. */
  private async begin(document: RunbookDocument, inputs: JsonObject): Promise<string | undefined> {
    let reason = '';
    for (let attempt = 1; attempt <= startAttemptsMax; attempt += 1) {
      try {
        const forecast = await this.plan(document, inputs);
        const { admission } = await this.holdpoint.start(document, forecast, this.environment.keys.dana);
        if (admission.admitted) return undefined;
        reason = `${admission.code}: ${admission.reason}`;
      } catch (error) {
        // An answer that got lost on the way: the run is open.
        if (error instanceof HoldpointError && error.code === 'target-busy') return undefined;
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

  private async react(live: LiveRun, nowMs: number): Promise<void> {
    const { state } = live;
    const { abort, pause, kills, deeds } = this.circumstances;
    this.noteStuck(state);
    for (const moment of kills) {
      if (!this.isDue(moment, state, nowMs)) continue;
      this.over.add(moment);
      this.killedAtMs = performance.now();
      return this.means.kill();
    }
    for (const deed of deeds) {
      if (this.isDue(deed.at, state, nowMs) && (await this.means.befall(deed))) this.over.add(deed.at);
    }
    if (this.gaveUp || this.isDue(abort, state, nowMs)) return void (await this.say('abort', state));
    if (pause && this.isDue(pause, state, nowMs) && state.commands.includes('pause')) {
      if (await this.say('pause', state)) this.over.add(pause);
      return;
    }
    const situation = situationOf(state);
    if (situation) return this.answer(situation, state);
    if (nowMs - this.seen.atMs > patienceMs && state.commands.includes('pause')) await this.loseHeart(live);
  }

  /** Says what somebody has drawn; what is heard counts. */
  private async answer(situation: Situation, state: RunState): Promise<void> {
    const opening = state.hold ? `${state.hold.request.hold}#${state.hold.request.number}` : '';
    // Once it has expired the run is stuck, or paused after that, and still shows it.
    const isAsked = situation === 'hold' || situation === 'exception';
    if (isAsked && this.leftToExpire.has(opening)) return;
    const saying = this.sayingIn(situation, state);
    if (saying === undefined) return;
    if (saying === 'silence') {
      this.leftToExpire.add(opening);
      this.story.words.push(`silence at ${opening}`);
      this.oddWords += 1;
      return;
    }
    const isHeard = await (saying === 'approve' || saying === 'reject' ? this.decide(saying, state) : this.say(saying, state));
    if (!isHeard) return;
    if (isOdd(situation, saying)) this.oddWords += 1;
    if (saying === 'undo') this.impatient = false;
    if (situation === 'stuck') this.stuckWords += 1;
  }

  private sayingIn(situation: Situation, { commands }: RunState): Saying | undefined {
    if (situation === 'stuck' && this.stuckWords >= stuckWordsMax) this.gaveUp = true;
    const wantsEnd = this.impatient && situation === 'paused';
    if (wantsEnd && (!commands.includes('undo') || this.oddWords >= oddWordsMax || this.random.next() < 0.5)) this.gaveUp = true;
    if (this.gaveUp) return 'abort';
    return wantsEnd ? 'undo' : sayingFor(situation, commands, this.random, this.oddWords < oddWordsMax);
  }

  private async decide(decision: 'approve' | 'reject', state: RunState): Promise<boolean> {
    const { hold } = state;
    if (!hold) return false;
    const { request } = hold;
    const entitled = signers.filter((person) => person !== request.askedBy);
    const person = entitled[this.random.below(entitled.length)] ?? 'ada';
    const key = this.environment.keys[person];
    return this.heard(decision, `${decision} ${request.hold}`, () =>
      this.holdpoint.decide(state, request, decision, 'as it looks to me', key),
    );
  }

  /** Returns whether the run has heard it: it may have moved on, or its worker may be away. Then the next look says what to do. */
  private async say(command: CommandName, { stuck, phase }: RunState): Promise<boolean> {
    const person = this.random.next() < otherOperatorShare ? 'ada' : 'dana';
    const key = this.environment.keys[person];
    const about = stuck?.step ?? phase;
    return this.heard(command, `${command} ${about}`, async () => {
      const answer = await this.holdpoint.operate(this.target, command, 'the simulation wants it', key);
      const isTold = answer.hold !== undefined || answer.notice !== undefined || endPhases.includes(answer.phase);
      if ((command === 'skip' || command === 'undo') && !isTold)
        this.story.troubles.push(`${command} was answered by nothing: ${answer.phase}`);
    });
  }

  private async heard(word: Saying, told: string, send: () => Promise<unknown>): Promise<boolean> {
    const saidAtMs = performance.now();
    try {
      await this.environment.client.withDeadline(Date.now() + answerMaxMs, send);
      this.story.words.push(told);
      return true;
    } catch (error) {
      this.noteRefusal(word, error);
      const isLate = performance.now() - saidAtMs > answerMaxMs && this.killedAtMs + answerMaxMs < saidAtMs;
      if (isLate)
        this.story.troubles.push(`${told} had no answer for ${answerMaxMs / 1000} s; ${await diagnose(this.environment, this.target)}`);
      return false;
    }
  }

  private noteRefusal(word: Saying, error: unknown): void {
    if (!(error instanceof RefusedError || error instanceof HoldpointError)) return;
    const { code, message, remedy } = error;
    this.story.words.push(`${word} (refused: ${code})`);
    if (refusalsExpected.has(code) && message !== '' && remedy !== '') return;
    this.story.troubles.push(`${word} was refused: ${code}: ${message} ${remedy}`);
  }

  /** Has a run that only waits stand still, to be undone or aborted; it must have said what it waits for. */
  private async loseHeart({ state, progress, retrying }: LiveRun): Promise<void> {
    const waitsFor = saidBy({ progress, retrying });
    const step = state.steps.find(({ kind, status }) => kind === 'action' && status === 'running')?.id ?? state.phase;
    if (waitsFor === '') this.story.troubles.push(`${step} waited for ${patienceMs / 1000} s and did not say for what`);
    if (!(await this.say('pause', state))) return;
    this.story.stuckWith.push(`${step} waits: ${waitsFor}`);
    this.impatient = true;
  }

  private noteStuck({ stuck }: RunState): void {
    const told = stuck ? `${stuck.step}: ${stuck.code}: ${stuck.reason}` : '';
    if (told === this.stuckSeen) return;
    this.stuckSeen = told;
    if (!stuck) return;
    this.story.stuckWith.push(told);
    const { code, reason, remedy } = stuck;
    const isKnown = (code in errorKinds || code in errorsToldInPlace) && code !== 'unexpected';
    if (!isKnown || reason === '' || remedy === '') this.story.troubles.push(`stuck without a name: ${JSON.stringify(stuck)}`);
  }

  /** Whether a moment has come that is not over yet. */
  private isDue(moment: Moment | undefined, { steps }: RunState, nowMs: number): boolean {
    if (!moment || this.over.has(moment)) return false;
    const row = moment.step === 'rollback' ? steps.find(({ id }) => id.startsWith('undo:')) : steps[moment.step];
    if ((row?.status ?? 'waiting') === 'waiting') return false;
    const reachedAtMs = this.reachedAtMs.get(moment) ?? nowMs;
    this.reachedAtMs.set(moment, reachedAtMs);
    return nowMs >= reachedAtMs + moment.afterMs;
  }

  private outcomeOf({ phase }: RunState): Story['outcome'] {
    if (phase === 'aborted') return this.gaveUp ? 'stuck' : 'aborted';
    return phase === 'done' || phase === 'undone' || phase === 'rejected' ? phase : 'lost';
  }

  private noteProgress(live: LiveRun | undefined, nowMs: number): void {
    const { phase, steps, hold, stuck, commands } = live?.state ?? {};
    const fingerprint = JSON.stringify([phase, steps, hold?.request, stuck, commands, live?.progress, live?.retrying]);
    if (fingerprint !== this.seen.fingerprint) this.seen = { fingerprint, atMs: nowMs };
  }

  private lossAt(nowMs: number, live: LiveRun | undefined): string | undefined {
    const silentMs = nowMs - this.seen.atMs;
    const last = `${live?.state.phase ?? 'no answer'}: ${live ? saidBy(live) : ''}`;
    if (silentMs > silenceMaxMs) return `silent for ${Math.round(silentMs / 1000)} s (${last})`;
    return nowMs > runMaxMs ? `not over after ${runMaxMs / 1000} s (${last})` : undefined;
  }
}

/** What is under way, in the words of the steps that do it. */
function saidBy({ progress, retrying }: Pick<LiveRun, 'progress' | 'retrying'>): string {
  return [...Object.values(progress).map(({ summary }) => summary), ...retrying.map(({ reason }) => reason)].join('; ');
}
