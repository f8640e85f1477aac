import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { allHandlersFinished, type CancellationScope, condition, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { JsonObject } from '../../domain/json.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import { stepCommands, type CommandName } from '../../domain/approval/statement.ts';
import { Entries } from './evidence-log.ts';
import { failureOf, type Failure } from '../failure.ts';
import { endPhases, searchAttributes, type Phase, type RefusedAttempt, type RunInput, type RunState, type StepState } from '../messages.ts';
import { withGroups } from './step-view.ts';

/** A history of this many events is left for a new one at the next place where nothing is under way. */
const historyEventsMax = 2_000;
/** The same by size. */
const historyBytesMax = 4 * 1024 * 1024;

const phaseAttribute = defineSearchAttributeKey(searchAttributes.phase, 'KEYWORD');

/** The run is over, and not because everything is done; carries how. */
export class RunEnded extends Error {
  readonly phase: Phase;
  constructor(phase: Phase, reason: string) {
    super(reason);
    this.phase = phase;
  }
}

/** An operator's word that the run has to answer where it stands, with the plan of the way back that they were promised. */
export interface Word {
  command: CommandName;
  person: string;
  reason: string;
  plan?: SpanPlan;
}

/** What has to outlive a history, apart from what is shown: see `Run.keep`. */
export interface Kept {
  state: RunState;
  sequence: number;
  nonces: string[];
  requests: Record<string, number>;
  pausing: boolean;
  pausedFrom: Phase;
  stuckFrom?: { phase: Phase; status: StepState['status'] };
  deadlineMs: number;
  goingBack: boolean;
}

/** The state of one run, the words of its operators, and the way into its record. */
export class Run {
  readonly state: RunState;
  /** The scope of the activities that change the world at this moment: pause and abort cancel it. */
  performing: CancellationScope | undefined;
  /** For how long the hold that is open takes decisions. */
  decisionsMs = 0;
  /** Set while the run goes back: it cannot be told to go back again. */
  goingBack = false;
  /** Answers a word that asks to go back; throws where that has been signed. */
  onUndo: (word: Word) => Promise<void> = async () => undefined;
  /** Whether there is anything to go back from. */
  canGoBack: () => boolean = () => false;
  /** Goes on in a new history; never returns. */
  renew: (() => Promise<never>) | undefined;
  private deadlineMs = 0;
  private pausing = false;
  private pausedFrom: Phase = 'planning';
  private aborting: { person: string; reason: string; at: string } | undefined;
  private word: Word | undefined;
  /** The word that is being answered: taken, and not yet settled. */
  private answering: Word | undefined;
  private asking = false;
  private withdrawnAt: string | undefined;
  private stuckFrom: Kept['stuckFrom'];
  private ending = false;
  private noncesUsed = new Set<string>();
  private requests: Record<string, number> = {};
  private readonly entries: Entries;

  constructor(input: RunInput, kept?: Kept) {
    this.state = kept?.state ?? {
      run: input.run,
      target: input.target,
      runbook: { name: '', title: '', digest: '' },
      inputs: input.inputs,
      requester: input.requester,
      phase: 'planning',
      steps: [],
      commands: [],
      evidence: '',
      refusedAttempts: 0,
    };
    this.entries = new Entries(this.state.run, kept?.sequence ?? 0);
    if (!kept) return;
    this.noncesUsed = new Set(kept.nonces);
    this.requests = kept.requests;
    this.pausing = kept.pausing;
    this.pausedFrom = kept.pausedFrom;
    this.stuckFrom = kept.stuckFrom;
    this.takeDecisionsFor(kept.deadlineMs - workflowInfo().startTime.getTime(), kept.deadlineMs);
    this.goingBack = kept.goingBack;
  }

  /** Sets until when a hold takes decisions: the time from now, and the moment, in milliseconds since 1970. */
  takeDecisionsFor(timeMs: number, deadlineMs: number): void {
    // A timer of no time at all would mean none.
    this.decisionsMs = Math.max(timeMs, 1);
    this.deadlineMs = deadlineMs;
  }

  /** What a new history needs to go on with this run. */
  keep(): Kept {
    return {
      state: this.state,
      sequence: this.entries.sequence,
      nonces: [...this.noncesUsed],
      requests: this.requests,
      pausing: this.pausing,
      pausedFrom: this.pausedFrom,
      stuckFrom: this.stuckFrom,
      deadlineMs: this.deadlineMs,
      goingBack: this.goingBack,
    };
  }

  /** The state as it is shown, with what an operator can say to it. */
  shown(): RunState {
    return { ...this.state, steps: withGroups(this.state.steps), commands: this.possibleCommands() };
  }

  step(id: string): StepState {
    const step = this.state.steps.find((candidate) => candidate.id === id);
    if (!step) throw ApplicationFailure.nonRetryable(`the run has no step ${id}`);
    return step;
  }

  enter(phase: Phase): void {
    if (this.state.phase === phase) return;
    this.state.phase = phase;
    upsertSearchAttributes([{ key: phaseAttribute, value: phase }]);
  }

  /** What a run is in while it carries out steps. */
  working(): Phase {
    return this.goingBack ? 'undoing' : 'running';
  }

  /** Writes an entry into the record, in the order of the calls; returns when it is safe. Not even an abort cuts it off. */
  async record(kind: string, body: JsonObject): Promise<{ at: string }> {
    const { at, path } = await this.entries.write(kind, body);
    this.state.evidence = path;
    return { at };
  }

  /** Notes an attempt that was refused at the door. */
  async recordRefusal(attempt: RefusedAttempt): Promise<void> {
    this.state.refusedAttempts += 1;
    await this.entries.writeRefusal(attempt, this.state.refusedAttempts);
  }

  /** Why an operator's word makes no sense now, with the ones that do; undefined where it does. */
  refusalOfCommand(command: CommandName, step: string): { cause: string; possible: CommandName[] } | undefined {
    const possible = this.possibleCommands();
    if (!possible.includes(command)) return { cause: this.situation(command), possible };
    const { stuck } = this.state;
    if (!stepCommands.includes(command) || step === stuck?.step) return undefined;
    return { cause: `it is stuck at ${stuck?.step ?? 'no step'}, and the word was about ${step || 'no step'}`, possible };
  }

  private situation(command: CommandName): string {
    const { phase, hold } = this.state;
    if (this.aborting) return 'it is being aborted';
    if (this.ending) return 'it is ending';
    if (hold?.request.askedBy !== undefined) return `it waits for a signature at hold ${hold.request.hold}`;
    if (command === 'undo' && this.goingBack) return 'it is going back already';
    if (command === 'undo' && !this.canGoBack()) return 'it has changed nothing yet that could be undone';
    return `it is ${phase}`;
  }

  private possibleCommands(): CommandName[] {
    const { phase, stuck, steps } = this.state;
    if (this.aborting || this.ending || endPhases.includes(phase)) return [];
    if (this.asking || this.word || this.answering) return ['resume', 'abort'];
    const commands: CommandName[] = [];
    if (stuck) {
      commands.push('retry');
      if (steps.find(({ id }) => id === stuck.step)?.kind === 'action') commands.push('skip', 'done');
      if (stuck.code === 'change-in-flight') commands.push('adopt');
    }
    commands.push(this.pausing ? 'resume' : 'pause');
    const standsStill = phase === 'holding' || phase === 'paused' || phase === 'stuck';
    if (standsStill && !this.goingBack && this.canGoBack()) commands.push('undo');
    return [...commands, 'abort'];
  }

  /** From here on no operator's word counts any more. */
  beginEnding(): void {
    this.ending = true;
  }

  /** Takes an operator's word, which `refusalOfCommand` has let pass. */
  obey(word: Word, at: string): void {
    const { command, person, reason } = word;
    this.state.notice = undefined;
    if (command === 'abort') this.aborting = { person, reason, at };
    else if (command === 'resume' && (this.asking || this.word)) this.takeBack(at);
    else if (command === 'pause' || command === 'resume') this.pausing = command === 'pause';
    else this.word = word;
    this.state.pauseRequestedBy = this.pausing ? (this.state.pauseRequestedBy ?? person) : undefined;
    if (this.interrupted()) this.performing?.cancel();
  }

  private takeBack(at: string): void {
    this.withdrawnAt = at;
    this.word = undefined;
  }

  /** Whether an operator's word has led to something that its sender can be told: a hold to be signed, or the end of the matter. */
  hasAnswered(word: Word): boolean {
    const isPutUp = this.state.hold?.request.askedBy !== undefined;
    return this.ending || isPutUp || (this.word !== word && this.answering !== word);
  }

  /** Whether somebody has asked the run to stop, for a while or for good. */
  interrupted(): boolean {
    return this.pausing || this.aborting !== undefined;
  }

  /** When the run was told to abort; undefined where it was not. */
  abortedAt(): string | undefined {
    return this.aborting?.at;
  }

  /** When what is put up for signature was taken back; undefined where it was not. */
  takenBackAt(): string | undefined {
    return this.withdrawnAt;
  }

  /** Whether somebody has asked to go back, which the run has not answered yet. */
  undoAsked(): boolean {
    return this.word?.command === 'undo';
  }

  /** Whether a signed word has been used before; from now on it has. A copy of it must not work a second time. */
  wasUsed(person: string, nonce: string): boolean {
    const word = `${person} ${nonce}`;
    const used = this.noncesUsed.has(word);
    this.noncesUsed.add(word);
    return used;
  }

  /** The number under which a hold is opened next: 1, 2, 3 … It is never given twice, so that no old signature fits. */
  nextOpening(hold: string): number {
    return (this.requests[hold] = (this.requests[hold] ?? 0) + 1);
  }

  /** Puts something up for signature that is no step; until it is answered, it can only be taken back. */
  async asked<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    this.asking = true;
    this.withdrawnAt = undefined;
    try {
      return await work();
    } finally {
      this.asking = false;
      this.state.hold = undefined;
    }
  }

  /**
   * Waits, for people mostly; false where the time is over first. Where meanwhile the history becomes long, the run goes on in a
   * new one, which comes back to the same place.
   */
  async standing(passes: () => boolean, timeoutMs?: number): Promise<boolean> {
    const isOver = (): boolean => passes() || (this.isLong() && !this.asking);
    const inTime = timeoutMs === undefined ? (await condition(isOver), true) : await condition(isOver, timeoutMs);
    if (!inTime || passes()) return inTime;
    await this.leaveHistory(passes);
    return true;
  }

  /** Goes on in a new history if this one is long. To be called only where nothing is under way. */
  async leaveHistory(passes: () => boolean = () => false): Promise<void> {
    if (!this.isLong() || !this.renew) return;
    // Whoever has been let in is answered first; that may be what the run has waited for, or wait for the run itself.
    await condition(() => allHandlersFinished() || passes());
    if (!passes()) await this.renew();
  }

  /** Whether the history has become so long that a new one should be begun where that is possible. */
  isLong(): boolean {
    const { historyLength, historySize, continueAsNewSuggested } = workflowInfo();
    return this.renew !== undefined && (continueAsNewSuggested || historyLength > historyEventsMax || historySize > historyBytesMax);
  }

  /** Waits here while the run is paused. Throws RunEnded where it was aborted, and whatever `onUndo` throws. */
  async safePoint(): Promise<void> {
    while (this.pausing && !this.aborting) {
      if (this.state.phase !== 'paused') {
        this.pausedFrom = this.state.phase;
        this.enter('paused');
        await this.record('run.paused', {});
      }
      await this.standing(() => !this.pausing || this.aborting !== undefined || this.undoAsked());
      if (this.undoAsked() && !this.aborting) {
        await this.answerUndo();
        this.enter('paused');
      } else if (!this.pausing && !this.aborting) {
        await this.record('run.resumed', {});
        this.enter(this.pausedFrom);
      }
    }
    if (this.aborting) throw new RunEnded('aborted', `aborted by ${this.aborting.person}: ${this.aborting.reason || 'no reason given'}`);
  }

  /** The word that waits for an answer. */
  takeWord(): Word {
    const { word } = this;
    if (!word) throw new RangeError('no word waits');
    this.word = undefined;
    this.answering = word;
    return word;
  }

  /** Answers the word that asks to go back; returns where that came to nothing. */
  async answerUndo(): Promise<void> {
    await this.onUndo(this.takeWord());
    this.answering = undefined;
  }

  /**
   * Stops at a step that cannot go on by itself, and returns what an operator says to that. It stays stuck until `unstick`.
   * Throws RunEnded where the run is aborted, and whatever `onUndo` throws.
   */
  async stuck(id: string, { code, reason, remedy }: Failure): Promise<Word> {
    const step = this.step(id);
    if (this.state.stuck?.step !== id) {
      this.stuckFrom = { phase: this.state.phase, status: step.status };
      step.status = 'stuck';
      step.summary = reason;
      this.state.stuck = { step: id, code, reason, remedy };
      this.enter('stuck');
      await this.record('step.stuck', { step: id, code, reason, remedy });
    }
    for (;;) {
      this.answering = undefined;
      await this.standing(() => this.word !== undefined || this.aborting !== undefined);
      if (this.aborting) {
        this.state.stuck = undefined;
        await this.safePoint();
      }
      if (!this.undoAsked()) return this.takeWord();
      await this.answerUndo();
      this.enter('stuck');
    }
  }

  /** Goes on after a step was stuck; waits where the run is paused. */
  async unstick(): Promise<void> {
    const { stuck } = this.state;
    if (!stuck) return;
    this.step(stuck.step).status = this.stuckFrom?.status ?? 'running';
    this.state.stuck = undefined;
    this.enter(this.stuckFrom?.phase ?? this.working());
    this.answering = undefined;
    await this.safePoint();
  }

  /** Says what has become of the stuck step before `unstick` goes on. */
  unstickAs(id: string, status: StepState['status'], summary: string, endedAt?: string): void {
    const row = this.step(id);
    row.summary = summary;
    row.endedAt ??= endedAt;
    if (this.stuckFrom) this.stuckFrom.status = status;
  }

  /** A pause of the way forward does not hold up the way back, which has been signed since. */
  endPause(): void {
    this.pausing = false;
    this.answering = undefined;
    this.state.pauseRequestedBy = undefined;
  }

  /** Stops at a hold, or at what leads to it, until an operator has it tried again. */
  async stuckUntilRetried(id: string, failure: Failure): Promise<void> {
    await this.stuck(id, failure);
    await this.unstick();
  }

  /** Tries something until it works, stopping for an operator each time it does not. */
  async untilItWorks<Result>(id: string, attempt: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const failure = failureOf(error);
        if (!failure) throw error;
        await this.stuckUntilRetried(id, failure);
      }
    }
  }
}
