import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { CancellationScope, condition, isCancellation, upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { reviewedHold } from '../../domain/approval/break-glass.ts';
import { keyOfText, keysOf, keysPerPersonMax, textOfKey, type PersonKey } from '../../domain/approval/keys.ts';
import { checkSignature, type VerificationRefusal } from '../../domain/approval/signature.ts';
import { stepCommands, type CommandName, type ExpectedStatement } from '../../domain/approval/statement.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import {
  givenCommand,
  initialIntent,
  isInterrupted,
  isUnanswered,
  next,
  pausedBy,
  possibleCommands,
  refusalOfCommand,
  type Intent,
  type IntentEvent,
  type OperatorCommand,
  type Situation,
} from '../../domain/run/intent.ts';
import type { BrokenGlass, HoldState, Phase, RunState } from '../../domain/run/state.ts';
import { openSteps, shownSteps, stepsToUndo, withParts, type OpenStep, type StepRow, type StepState } from '../../domain/run/steps.ts';
import type { StepInstance } from '../../domain/run/step-tree.ts';
import type { ScheduledStart } from '../../domain/schedule/schedule.ts';
import { brokenGlassMemo, searchAttributes, type NotificationNews, type RefusedAttempt, type RunInput } from '../messages.ts';
import { startTelling } from '../notify/start.ts';
import { takeNews } from '../notify/trouble.ts';
import { reads, shortReads, verifier, type ShortReads } from '../proxies.ts';
import { EvidenceLog } from './evidence-log.ts';
import { failureOf, recordLossIn, type Failure } from './failure.ts';
import { refusalFailure, type RefusedWord } from './refusal.ts';
import { Rollover } from './rollover.ts';

const phaseAttribute = defineSearchAttributeKey(searchAttributes.phase, 'KEYWORD');

/** Signatures that do not hold, as far as a run can see, and are shown to a worker all the same, in each history. */
const forgeriesLetInMax = 20;
/** Attempts that somebody known has signed, and that each history takes in only to write them down. */
const signedRefusalsLetInMax = 200;
/** For how long an entry may wait for the one that it is written with. */
const notedForMs = 2_000;

/** The run is over, and not because everything is done; carries how. */
export class RunEnded extends Error {
  readonly phase: Phase;
  constructor(phase: Phase, reason: string) {
    super(reason);
    this.phase = phase;
  }
}

/** A hold that somebody has released alone, with the plan that they have released, which others are to look at. */
export interface BrokenHold extends BrokenGlass {
  policy: string;
  plan: SpanPlan;
}

/** What a new history needs of a run besides its progress. */
export interface CarryOver {
  state: RunState;
  rows: StepRow[];
  sequence: number;
  nonces: string[];
  requests: Record<string, number>;
  intent: Intent;
  pausedFrom: Phase;
  stuckFrom?: { phase: Phase; status: StepState['status'] };
  rollingBack: boolean;
  /** Absent in what an older version has handed over. */
  keys?: KnownKeys;
  /** Absent where no glass was broken. */
  broken?: BrokenHold[];
}

/** Public keys by person; a text where a worker or a history of an older version has told it. */
type KnownKeys = Record<string, readonly PersonKey[] | string>;

/** What a run asks of the workflow around it. */
export interface RunDuties {
  /** Deals with the command to undo; returns where that comes to nothing, throws where the rollback has been signed. */
  undo(command: OperatorCommand): Promise<void>;
  /** Hands over to a new history; never returns. */
  continueAsNew(): Promise<never>;
}

/** One run: what is shown of it, what its operators want, its record, and the places where it waits for people. */
export class Run {
  readonly state: RunState;
  rows: StepRow[] = [];
  broken: BrokenHold[] = [];
  /** The scope of the activities that change the world at this moment: pause and abort cancel it. */
  performing: CancellationScope | undefined;
  rollingBack = false;
  readonly rollover: Rollover;
  /** What has started it where no person has. */
  readonly scheduled: { start: ScheduledStart; signature: string } | undefined;
  private intent = initialIntent;
  private clockMs = workflowInfo().startTime.getTime();
  private pausedFrom: Phase = 'planning';
  private stuckFrom: CarryOver['stuckFrom'];
  private noncesUsed = new Set<string>();
  private requests: Record<string, number> = {};
  private keys: Record<string, readonly PersonKey[]> = {};
  private forgeriesLetIn = 0;
  private signedRefusalsLetIn = 0;
  private inTask: Promise<unknown> = Promise.resolve();
  private readonly log: EvidenceLog;
  private readonly duties: RunDuties;

  constructor(input: RunInput, duties: RunDuties, carried?: CarryOver) {
    this.duties = duties;
    this.scheduled = input.schedule && { start: input.schedule, signature: input.signature };
    this.rollover = new Rollover(
      () => this.log.settle(),
      () => duties.continueAsNew(),
    );
    this.state = carried?.state ?? {
      run: input.run,
      target: input.target,
      runbook: { name: '', title: '', digest: '' },
      inputs: input.inputs,
      requester: input.requester,
      ...(input.ticket && { ticket: input.ticket }),
      ...(input.schedule && { schedule: shownSchedule(input.schedule) }),
      phase: 'planning',
      steps: [],
      commands: [],
      evidence: '',
      refusedAttempts: 0,
    };
    const { run, target } = input;
    this.log = new EvidenceLog(this.state.run, carried?.sequence ?? 0, (sequence) => startTelling({ run, target, sequence }));
    if (!carried) return;
    this.rows = carried.rows;
    this.noncesUsed = new Set(carried.nonces);
    this.requests = carried.requests;
    this.intent = carried.intent;
    this.pausedFrom = carried.pausedFrom;
    this.stuckFrom = carried.stuckFrom;
    this.rollingBack = carried.rollingBack;
    this.learnKeys(carried.keys);
    this.broken = carried.broken ?? [];
  }

  /** What a new history needs to continue this run. */
  carryOver(): CarryOver {
    return {
      state: this.state,
      rows: this.rows,
      sequence: this.log.sequence,
      nonces: [...this.noncesUsed],
      requests: this.requests,
      intent: this.intent,
      pausedFrom: this.pausedFrom,
      stuckFrom: this.stuckFrom,
      rollingBack: this.rollingBack,
      keys: this.keys,
      ...(this.broken.length > 0 && { broken: this.broken }),
    };
  }

  /** The state as it is shown, with what an operator can say to it. */
  shown(): RunState {
    const pauseRequestedBy = pausedBy(this.intent);
    const commands = possibleCommands(this.intent, this.situation());
    const brokenGlass = this.broken.map(({ plan: _plan, policy: _policy, ...broken }) => broken);
    const steps = shownSteps(this.rows);
    return { ...this.state, steps, commands, pauseRequestedBy, ...(brokenGlass.length > 0 && { brokenGlass }) };
  }

  row(id: string): StepRow {
    const row = this.rows.find(({ shown }) => shown.id === id);
    if (!row) throw ApplicationFailure.nonRetryable(`the run has no step ${id}`);
    return row;
  }

  /** What is shown of a step. */
  step(id: string): StepState {
    return this.row(id).shown;
  }

  /** Shows what lists and nested runbooks have become. */
  showParts(groups: readonly { id: string; parts: readonly StepInstance[] }[]): void {
    this.rows = withParts(this.rows, groups);
  }

  enter(phase: Phase): void {
    if (this.state.phase === phase) return;
    this.state.phase = phase;
    upsertSearchAttributes([{ key: phaseAttribute, value: phase }]);
  }

  /** Remembers that somebody has released a hold alone, which lists of runs show, and others must look at afterwards. */
  breakGlass({ request, plan, decisions }: HoldState, person: string): void {
    const { hold, policy } = request;
    const { reason = '', at = '' } = decisions.find((decision) => decision.person === person) ?? {};
    this.broken.push({ hold, policy: policy.name, person, reason, at, plan });
    upsertMemo({ [brokenGlassMemo]: this.broken.map((broken) => `${broken.person} at ${broken.hold}`).join(', ') });
  }

  /** What a run is in while it carries out steps. */
  working(): Phase {
    return this.rollingBack ? 'undoing' : 'running';
  }

  /** Writes an entry into the record, in the order of the calls; returns when it is safe. Not even an abort cuts it off. */
  async record(kind: string, body: JsonObject): Promise<{ at: string }> {
    const { at, path } = await this.log.write(kind, body);
    this.state.evidence = path;
    return { at };
  }

  /**
   * Puts an entry into the record together with the one that is recorded next, which saves an activity and a workflow task. Only for
   * what is followed at once by another entry or by `flush`: nothing that an entry announces may begin before it is safe, and nobody may
   * be waited for. `onWritten` is told its time.
   */
  note(kind: string, body: JsonObject, onWritten?: (at: string) => void): Promise<void> {
    const written = this.log.note(kind, body).then(({ at, path }) => {
      this.state.evidence = path;
      onWritten?.(at);
    });
    // It fails only where the record cannot be begun, and with it the entry that follows.
    void written.catch(() => undefined);
    return written;
  }

  /** Waits for something that mostly takes a moment; where it takes longer, what was noted is written meanwhile. */
  async inShort<Result>(work: Promise<Result>): Promise<Result> {
    let isOver = false;
    const end = work.finally(() => (isOver = true));
    void end.catch(() => undefined);
    if (!(await condition(() => isOver, notedForMs))) this.flush();
    return end;
  }

  /** Starts to write what was noted. */
  flush(): void {
    void this.log.flush();
  }

  /** Notes an attempt that was refused. */
  async recordRefusal(attempt: RefusedAttempt): Promise<void> {
    this.state.refusedAttempts += 1;
    try {
      await this.log.writeRefusal(attempt, this.state.refusedAttempts);
    } catch (error) {
      // Whoever tells of it must not end the run: that is for what the run itself records.
      if (!recordLossIn(error)) throw error;
    }
  }

  /** Hears how it goes with telling people of an entry. What they were not told of is put into the record. */
  async hearOfNotification(news: NotificationNews): Promise<void> {
    const undelivered = takeNews(this.state, news);
    if (!undelivered) return;
    try {
      await this.log.writeUndelivered(undelivered, this.state.undelivered ?? 0);
    } catch (error) {
      if (!recordLossIn(error)) throw error;
    }
  }

  /** Resolves when everything is written, and people are being told of it. */
  allWritten(): Promise<void> {
    return this.log.settle();
  }

  /** Whether there is anything that a rollback would take back. */
  canRollBack(): boolean {
    return stepsToUndo(this.rows).length > 0;
  }

  private situation(): Situation {
    const { phase, stuck, hold } = this.state;
    const stuckAtAction = stuck !== undefined && this.rows.find(({ shown }) => shown.id === stuck.step)?.shown.kind === 'action';
    const exceptionHold = hold?.request.askedBy === undefined ? undefined : hold.request.hold;
    const reviewing = hold !== undefined && reviewedHold(hold.request.hold) !== undefined;
    return { phase, reviewing, stuck, stuckAtAction, rollingBack: this.rollingBack, canRollBack: this.canRollBack(), exceptionHold };
  }

  /** Why a command is not allowed now, with those that are; undefined where it is. */
  refusalOfCommand(command: CommandName, step: string): { cause: string; possible: CommandName[] } | undefined {
    const isNeeded = stepCommands.includes(command);
    return refusalOfCommand(this.intent, this.situation(), command, { named: step, isNeeded });
  }

  /** Takes a command, which `refusalOfCommand` has let pass. */
  obey(command: OperatorCommand): void {
    this.state.notice = undefined;
    this.happened({ event: 'commanded', command });
    if (this.isInterrupted()) this.performing?.cancel();
  }

  private happened(event: IntentEvent): void {
    this.intent = next(this.intent, event);
  }

  /** From here on no command counts any more. */
  beginEnding(): void {
    this.happened({ event: 'ending' });
  }

  /** From here on the run rolls back. A pause of before does not hold that up, which has been signed since. */
  beginRollback(): void {
    this.rollingBack = true;
    this.happened({ event: 'rollback-began' });
  }

  /** The command that was taken up has been dealt with. */
  private settle(): void {
    if (this.intent.want === 'asked' && this.intent.stage === 'taken') this.happened({ event: 'settled' });
  }

  /** Whether a command has led to something that its sender can be told: a hold to be signed, or the end of the matter. */
  hasAnswered(command: OperatorCommand): boolean {
    // What was taken back is answered when the run stands where it stood before.
    if (this.withdrawnAt() !== undefined) return false;
    return this.state.hold?.request.askedBy !== undefined || !isUnanswered(this.intent, command);
  }

  /** Whether somebody has asked the run to stop, for a while or for good. */
  isInterrupted(): boolean {
    return isInterrupted(this.intent);
  }

  /** When the run was told to abort; undefined where it was not. */
  abortedAt(): string | undefined {
    return this.intent.want === 'abort' ? this.intent.by.at : undefined;
  }

  /** When what is put up for signature was taken back; undefined where it was not. */
  withdrawnAt(): string | undefined {
    return this.intent.want === 'asked' ? this.intent.withdrawnAt : undefined;
  }

  /** Whether somebody has asked to undo, which the run has not taken up yet. */
  undoAsked(): boolean {
    return this.commandGiven() === 'undo';
  }

  /** Takes the public keys of all people as a worker has just read them. Workers of an older version tell none. */
  learnKeys(known: KnownKeys | undefined): void {
    if (!known) return;
    const entries = Object.entries(known);
    this.keys = Object.fromEntries(entries.map(([person, keys]) => [person, typeof keys === 'string' ? keysOf({ key: keys }) : keys]));
  }

  /**
   * What is wrong with a signature, as far as the run can see at once; undefined where a worker is to look at it. Forgeries leave nothing
   * in the history, but for a few: somebody may have been given a new key since the run has heard of keys.
   */
  forgeryIn(expected: ExpectedStatement, signature: string): VerificationRefusal | undefined {
    const { person } = expected;
    // When it takes effect is for a worker to say, which has a clock.
    const checked = checkSignature(signature, expected, { keys: this.keysOf(person) }, 'signing');
    return checked.ok || this.forgeriesLetIn < forgeriesLetInMax ? undefined : checked;
  }

  /** Whether a person has signed what is said in their name, as far as the run can see at once. */
  isSigned(expected: ExpectedStatement, signature: string): boolean {
    return checkSignature(signature, expected, { keys: this.keysOf(expected.person) }, 'signing').ok;
  }

  /**
   * Lets something in that is refused anyway: what a validator refuses leaves no trace, and only our own client would tell of it. Throws
   * the refusal where so many have come already that they would fill the history.
   */
  letInToRefuse(word: RefusedWord): void {
    const isFull = word.isSigned ? this.signedRefusalsLetIn >= signedRefusalsLetInMax : this.forgeriesLetIn >= forgeriesLetInMax;
    if (isFull) throw refusalFailure(word);
  }

  /** Writes down what was let in only for that, and throws what its sender is told. */
  async refuse(word: RefusedWord): Promise<never> {
    if (word.isSigned) this.signedRefusalsLetIn += 1;
    else this.forgeriesLetIn += 1;
    this.rollover.countUpdate();
    await this.recordRefusal(word);
    throw refusalFailure(word, true);
  }

  /** Verifies a signature, whatever is cancelled meanwhile. */
  async verify(request: Parameters<typeof verifier.verifySignature>[0]): Promise<Awaited<ReturnType<typeof verifier.verifySignature>>> {
    this.rollover.countUpdate();
    const verified = await this.withinTask(() => CancellationScope.nonCancellable(() => verifier.verifySignature(request)));
    if (verified.ok) {
      this.learnKey(request.expected.person, verified.publicKey);
      // Workers of an older version do not tell.
      this.learnTime(verified.nowMs ?? 0);
    } else this.forgeriesLetIn += 1;
    return verified;
  }

  /** Says whose words do not count any more. */
  findVoided(earlier: Parameters<typeof verifier.findVoided>[0]['earlier']): ReturnType<typeof verifier.findVoided> {
    return this.withinTask(() => CancellationScope.nonCancellable(() => verifier.findVoided({ earlier })));
  }

  /** A key that a worker has just found good takes the place of what was known of it. */
  private learnKey(person: string, text: string): void {
    const key = keyOfText(text);
    const others = this.keysOf(person).filter((known) => textOfKey(known) !== text);
    if (key) this.keys[person] = [...others, key].slice(-keysPerPersonMax);
  }

  private keysOf(person: string): readonly PersonKey[] {
    return Object.hasOwn(this.keys, person) ? (this.keys[person] ?? []) : [];
  }

  /**
   * Reads something within the workflow task at hand. What takes longer, or fails, is read by an activity of its own, which is patient
   * and whose failure is told; what was noted is written meanwhile.
   */
  async read<Result>(what: (from: ShortReads) => Promise<Result>): Promise<Result> {
    try {
      return await this.withinTask(() => what(shortReads));
    } catch (error) {
      if (isCancellation(error)) throw error;
      this.flush();
      return what(reads);
    }
  }

  /**
   * Does local activities one after another. Two at once would be answered in one activation of a replay and in two of the first
   * execution, and what follows from them would come in another order.
   */
  private withinTask<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.inTask.then(work);
    this.inTask = done.catch(() => undefined);
    return done;
  }

  /** Whether a signed command has been used before; from now on it has. A copy of it must not work a second time. */
  wasUsed(person: string, nonce: string): boolean {
    const used = this.noncesUsed.has(`${person} ${nonce}`);
    this.noncesUsed.add(`${person} ${nonce}`);
    return used;
  }

  /** The number of the next request at a hold: 1, 2, 3 … It is never given twice, so that no old signature fits. */
  nextRequest(hold: string): number {
    return (this.requests[hold] = (this.requests[hold] ?? 0) + 1);
  }

  /**
   * What time it is at least, in milliseconds since 1970: a workflow has no clock, but what workers tell, and timers that have run out. It
   * never goes back.
   */
  get nowMs(): number {
    return this.clockMs;
  }

  /** Takes note of a time that has come. */
  learnTime(nowMs: number): void {
    this.clockMs = Math.max(this.clockMs, nowMs);
  }

  /**
   * Waits, for people mostly; false where the time is over first. Where meanwhile the history becomes long, the run continues as
   * new, and comes back to the same place.
   */
  async waitUntil(passes: () => boolean, timeoutMs?: number): Promise<boolean> {
    this.flush();
    const mayLeave = (): boolean => this.intent.want !== 'asked' || this.intent.stage === 'given';
    const isOver = (): boolean => passes() || (mayLeave() && this.rollover.isDue());
    const inTime = timeoutMs === undefined ? (await condition(isOver), true) : await condition(isOver, timeoutMs);
    if (!inTime || passes()) return inTime;
    await this.rollover.leave(passes);
    return true;
  }

  /** Waits here while the run is paused. Throws RunEnded where it was aborted, and whatever `undo` throws. */
  async safePoint(): Promise<void> {
    while (pausedBy(this.intent) !== undefined) {
      if (this.state.phase !== 'paused') {
        this.pausedFrom = this.state.phase;
        this.enter('paused');
        await this.record('run.paused', {});
      }
      await this.waitUntil(() => pausedBy(this.intent) === undefined || this.undoAsked());
      if (this.undoAsked()) {
        await this.undo();
        this.enter('paused');
      } else if (this.intent.want === 'go-on' && pausedBy(this.intent) === undefined) {
        await this.record('run.resumed', {});
        this.enter(this.pausedFrom);
      }
    }
    if (this.intent.want !== 'abort') return;
    const { person, reason } = this.intent.by;
    throw new RunEnded('aborted', `aborted by ${person}: ${reason || 'no reason given'}`);
  }

  /** Deals with the command to undo that was given; returns where that came to nothing. */
  async undo(): Promise<void> {
    await this.answer((command) => this.duties.undo(command));
  }

  /** The command that waits to be dealt with; undefined where none does. */
  commandGiven(): CommandName | undefined {
    return givenCommand(this.intent)?.command;
  }

  /** Deals with the command that was given. */
  async answer<Result>(deal: (command: OperatorCommand) => Promise<Result>): Promise<Result> {
    const result = await deal(this.takeCommand());
    this.settle();
    return result;
  }

  private takeCommand(): OperatorCommand {
    const command = givenCommand(this.intent);
    if (!command) throw new RangeError('no command waits');
    this.happened({ event: 'taken' });
    return command;
  }

  /**
   * Stops at a step that cannot go on by itself, and returns what an operator says to that. It stays stuck until `unstick`.
   * Throws RunEnded where the run is aborted, and whatever `undo` throws.
   */
  async stuck(id: string, { code, reason, remedy }: Failure): Promise<OperatorCommand> {
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
      this.settle();
      await this.waitUntil(() => givenCommand(this.intent) !== undefined || this.intent.want === 'abort');
      if (this.intent.want === 'abort') {
        this.state.stuck = undefined;
        await this.safePoint();
      }
      if (!this.undoAsked()) return this.takeCommand();
      await this.undo();
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
    this.settle();
    await this.safePoint();
  }

  /** Says what has become of the stuck step before `unstick` goes on. */
  unstickAs(id: string, status: StepState['status'], summary: string, endedAt?: string): void {
    const shown = this.step(id);
    shown.summary = summary;
    shown.endedAt ??= endedAt;
    if (this.stuckFrom) this.stuckFrom.status = status;
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

  /** The steps of what is being carried out that are not finished, in their order. */
  openSteps(): OpenStep[] {
    return openSteps(this.rows);
  }
}

function shownSchedule({ claims, opens, closes }: ScheduledStart): NonNullable<RunState['schedule']> {
  return { name: claims.schedule, opens, closes };
}
