import { ActivityFailure, ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { CancellationScope, condition, isCancellation, upsertSearchAttributes } from '@temporalio/workflow';
import type { JsonObject } from '../domain/json.ts';
import type { CompiledRunbook } from '../domain/runbook.ts';
import {
  endPhases,
  searchAttributes,
  type Phase,
  type RefusedAttempt,
  type RunInput,
  type RunState,
  type StepState,
  type Verb,
} from './messages.ts';
import { recorder } from './proxies.ts';

/** Refused attempts that are written down one by one; beyond that they are only counted, so that nobody can flood the record. */
const refusedAttemptsRecordedMax = 200;
/** How much of each text of a refused attempt is written down: anybody can send them, of any length. */
const refusedTextCharactersMax = 2_000;

const phaseAttribute = defineSearchAttributeKey(searchAttributes.phase, 'KEYWORD');

/** An operator or an approver has ended the run; carries how. */
export class RunEnded extends Error {
  readonly phase: Phase;
  constructor(phase: Phase, reason: string) {
    super(reason);
    this.phase = phase;
  }
}

/** The state of one run, the words of its operators, and the way into its record. */
export class Run {
  readonly state: RunState;
  /** The scope of the activity that changes the world at this moment: pause and abort cancel it. */
  performing: CancellationScope | undefined;
  private pausing = false;
  private aborting: { person: string; reason: string; at: string } | undefined;
  private retryAsked = false;
  private ending = false;
  /** The entry that ends the record is on its way: none may come after it. */
  private sealed = false;
  private readonly noncesUsed = new Set<string>();
  private sequence = 0;
  private written: Promise<unknown> = Promise.resolve();

  constructor(input: RunInput) {
    this.state = {
      run: input.run,
      target: input.target,
      runbook: { name: '', title: '', digest: '' },
      inputs: input.inputs,
      requester: input.requester,
      phase: 'planning',
      steps: [],
      evidence: '',
      refusedAttempts: 0,
    };
  }

  /** Takes over what the worker has read out of the document. */
  begin(runbook: CompiledRunbook, inputs: JsonObject): void {
    const { name, title, digest } = runbook;
    this.state.runbook = { name, title, digest };
    this.state.inputs = inputs;
    this.state.steps = runbook.steps.map((step) => ({
      id: step.id,
      kind: step.kind,
      title: step.kind === 'action' ? step.title : undefined,
      uses: step.kind === 'hold' ? step.policy : step.uses,
      status: 'waiting',
    }));
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

  /** Writes an entry into the record, in the order of the calls; returns when it is safe. Not even an abort cuts it off. */
  async record(kind: string, body: JsonObject): Promise<{ at: string }> {
    this.sealed ||= kind === 'run.ended';
    const write = this.written.then(() => {
      const entry = { run: this.state.run, sequence: this.sequence + 1, kind, body };
      return CancellationScope.nonCancellable(() => recorder.record(entry));
    });
    // The number of an entry that could not be written is free for the next one.
    this.written = write.then(
      () => (this.sequence += 1),
      () => undefined,
    );
    const { at, path } = await write;
    this.state.evidence = path;
    return { at };
  }

  /** Notes an attempt that was refused at the door. */
  async recordRefusal(attempt: RefusedAttempt): Promise<void> {
    this.state.refusedAttempts += 1;
    if (this.sealed || this.state.refusedAttempts > refusedAttemptsRecordedMax) return;
    const told: Partial<Record<keyof RefusedAttempt, unknown>> = { ...attempt };
    const [person, attempted, code, reason] = [told.person, told.attempt, told.code, told.reason].map(writable);
    await this.record('attempt.refused', { person, attempt: attempted, code, reason } as JsonObject);
  }

  /** Why an operator's word makes no sense now, with the ones that do; undefined where it does. */
  refusalOfVerb(verb: Verb): { cause: string; possible: Verb[] } | undefined {
    const possible = this.possibleVerbs();
    if (possible.includes(verb)) return undefined;
    return { cause: this.aborting ? 'it is being aborted' : this.ending ? 'it is ending' : `it is ${this.state.phase}`, possible };
  }

  private possibleVerbs(): Verb[] {
    if (this.aborting || this.ending || endPhases.includes(this.state.phase)) return [];
    const verbs: Verb[] = [this.pausing ? 'resume' : 'pause', 'abort'];
    if (this.state.stuck) verbs.unshift('retry');
    return verbs;
  }

  /** From here on no operator's word counts any more. */
  beginEnding(): void {
    this.ending = true;
  }

  /** Takes an operator's word, which `refusalOfVerb` has let pass. */
  obey(verb: Verb, person: string, reason: string, at: string): void {
    if (verb === 'abort') this.aborting = { person, reason, at };
    if (verb === 'retry') this.retryAsked = true;
    if (verb === 'pause' || verb === 'resume') this.pausing = verb === 'pause';
    this.state.pauseRequestedBy = this.pausing ? person : undefined;
    if (this.interrupted()) this.performing?.cancel();
  }

  /** Whether somebody has asked the run to stop, for a while or for good. */
  interrupted(): boolean {
    return this.pausing || this.aborting !== undefined;
  }

  /** When the run was told to abort; undefined where it was not. */
  abortedAt(): string | undefined {
    return this.aborting?.at;
  }

  /** Whether a signed word has been used before; from now on it has. A copy of it must not work a second time. */
  wasUsed(person: string, nonce: string): boolean {
    const word = `${person} ${nonce}`;
    const used = this.noncesUsed.has(word);
    this.noncesUsed.add(word);
    return used;
  }

  /** Waits here while the run is paused. Throws RunEnded where it was aborted. */
  async safePoint(): Promise<void> {
    const { phase } = this.state;
    if (this.pausing && !this.aborting) {
      this.enter('paused');
      await this.record('run.paused', {});
      await condition(() => !this.pausing || this.aborting !== undefined);
      if (!this.aborting) {
        await this.record('run.resumed', {});
        this.enter(phase);
      }
    }
    if (this.aborting) throw new RunEnded('aborted', `aborted by ${this.aborting.person}: ${this.aborting.reason || 'no reason given'}`);
  }

  /** Stops at a step that cannot go on by itself until an operator has it tried again. Throws RunEnded where it is aborted. */
  async stuck(id: string, reason: string, remedy: string): Promise<void> {
    const { phase } = this.state;
    const step = this.step(id);
    const { status } = step;
    step.status = 'stuck';
    step.summary = reason;
    this.retryAsked = false;
    this.state.stuck = { step: id, reason, remedy };
    this.enter('stuck');
    await this.record('step.stuck', { step: id, reason, remedy });
    await condition(() => this.retryAsked || this.aborting !== undefined);
    this.state.stuck = undefined;
    step.status = status;
    if (this.retryAsked && !this.aborting) this.enter(phase);
    await this.safePoint();
  }

  /** Tries something until it works, stopping for an operator each time it does not. */
  async untilItWorks<Result>(id: string, attempt: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const failure = failureOf(error);
        if (!failure) throw error;
        await this.stuck(id, failure.reason, failure.remedy);
      }
    }
  }
}

/** Lone surrogates have no canonical JSON, so the record could not take them; they give way to the replacement character. */
function writable(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.slice(0, refusedTextCharactersMax).replace(/\p{Surrogate}/gu, '\ufffd');
}

/** What a failed activity says to a person; undefined for anything that is not an activity's failure, and for a cancellation. */
export function failureOf(error: unknown): { code: string; reason: string; remedy: string } | undefined {
  if (!(error instanceof ActivityFailure) || isCancellation(error)) return undefined;
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure)) {
    const reason = `Step activity ${error.activityType} gave no answer: ${cause?.message ?? error.message}.`;
    return { code: 'activity-lost', reason, remedy: 'Check that the worker is running and look at its log, then try again.' };
  }
  const detail = cause.details?.[0] as { remedy?: string } | undefined;
  return {
    code: cause.type ?? 'unexpected',
    reason: cause.message,
    remedy: detail?.remedy ?? 'Look at the log of the worker, then try again.',
  };
}
