import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import {
  defaultPayloadConverter,
  defineSearchAttributeKey,
  TerminatedFailure,
  TimeoutFailure,
  type SearchAttributePair,
} from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import { endPhases, type RunState } from '../domain/run/state.ts';
import { approvalId, type ApprovalRequest } from '../domain/approval/request.ts';
import type { Progress, StepReport } from '../domain/action.ts';
import { HoldpointError } from '../domain/errors.ts';
import { heartbeatMark } from '../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import {
  expectedOf,
  statementFor,
  type CommandName,
  type CommandStatement,
  type DecisionStatement,
  type DeferredApprovalStatement,
  type DelegatedApprovalStatement,
  type StartStatement,
  type BreakGlassStatement,
  type WithdrawalStatement,
} from '../domain/approval/statement.ts';
import {
  admissionUpdate,
  attemptRefusedSignal,
  decideUpdate,
  planWorkflow,
  runWorkflow,
  searchAttributes,
  stateQuery,
  commandUpdate,
  testChannelWorkflow,
  type Admission,
  type DecisionAnswer,
  type RefusedAttempt,
  type RunInput,
  type SweepResult,
  type WordAtHold,
  type CommandResult,
  type TestResult,
} from '../workflows/messages.ts';
import type { Ticket } from '../domain/ticket.ts';
import { requireWorker, type TemporalSettings } from './connection.ts';
import { entriesOf, lastKnownOf, outsideEndOf, type HistoryEntry, type LastKnown, type OutsideEnd } from './last-known.ts';
import { silenceMs, silenceOf, tellingWhenSilent, withinTime, type Silence } from './temporal/silence.ts';
import { askAgain, isLost, isUnanswered, resultOf, saysThatReplayFailed, sendAgain } from './temporal/asking.ts';
import { eventsOf, type RunBundle } from './run-bundle.ts';
import { readInbox, type Inbox } from './inbox.ts';
import { refusalIn } from './remote-error.ts';
import { digestOf } from '../domain/plan/plan.ts';
import { requireHonestForecast, requireHonestState, requireRun } from './shown.ts';
import { Schedules } from './schedules.ts';
import { findAction } from '../runbooks/actions/index.ts';
import { newRunId } from './run-id.ts';
import { listQuery, readRunPage, summaryOf, type RunFilter, type RunPage, type RunSummary } from './run-list.ts';
import type { Signer } from './signing.ts';
import { sweepTargets } from './sweep.ts';

export type { RunFilter, RunPage, RunSummary } from './run-list.ts';

const planTimeoutMs = 3 * 60_000;
/** After how long `show` reads what takes the place of an answer. */
const spareAfterMs = 400;
/** For how long a plan waits for a worker to begin with it. */
const planTakenWithinMs = 15_000;
const planPauseMs = 500;
/** A worker that carries out a step says so every few seconds. */
const heartbeatFreshMs = 15_000;
/** A worker sends the message at once, or is lost. */
const testTimeoutMs = 2 * 60_000;
const runsListedMax = 1_000;
/** How many runs are asked at a time why they ended. */
const questionsAtOnce = 8;
/** A start, and a workflow task that nobody has taken, or that was taken by a worker that does not finish it. */
const eventsOfUntakenStart = 5;

/** What a person can say at a hold. */
export type StatementAtHold =
  DecisionStatement | DeferredApprovalStatement | DelegatedApprovalStatement | BreakGlassStatement | WithdrawalStatement;

/** How a run stands, with what its activities say right now. */
export interface LiveRun {
  state: RunState;
  /** Of the steps that are being carried out, by their ids. */
  progress: Readonly<Record<string, Progress>>;
  /** What is being tried again. */
  retrying: readonly Retrying[];
  /** No worker has answered: all of this is what Temporal knows. */
  lastKnown?: Unanswered;
  /** Somebody has ended its workflow past Holdpoint. */
  outsideEnd?: OutsideEnd;
}

/** What to know of a state that no worker has told. */
export interface Unanswered extends Silence {
  /** Nobody answers, or workers cannot replay the run. */
  why: 'silent' | 'not-replayed';
  /** When the last thing happened that is known; ISO 8601, UTC. */
  at: string;
  /** Some of it is in the evidence store only. */
  incomplete: boolean;
  /** Steps that a worker has spoken of a moment ago: it carries them out still. */
  carriedOut: { step: string; at: string }[];
}

/** Something that has failed and is tried again by itself. */
export interface Retrying {
  /** Absent for what no step does, such as a plan or an entry of the record. */
  step?: string;
  reason: string;
  attempt: number;
}

/** What a person can do with runs: everything that the command line, a console or a chat needs goes through here. */
export class Holdpoint {
  readonly schedules: Schedules;
  private readonly client: Client;
  private readonly settings: TemporalSettings;
  private readonly onSilence: (silence: Silence, about: 'question' | 'word' | 'plan') => void;
  /** The execution in which each state was seen: what is said to that need not be looked for again. */
  private readonly seenIn = new WeakMap<object, { workflowId: string; runId: string }>();

  /** @param onSilence told, at most once a call, where no worker has answered within `silenceMs`; what was asked goes on. */
  constructor(client: Client, settings: TemporalSettings, onSilence: Holdpoint['onSilence'] = () => undefined) {
    this.client = client;
    this.settings = settings;
    this.onSilence = onSilence;
    this.schedules = new Schedules(client, settings);
  }

  /** What a runbook would do, read afresh by the worker. Throws RefusedError, `worker-missing`, `shown-forged`. */
  async plan(document: RunbookDocument, inputs: JsonObject): Promise<Forecast> {
    await requireWorker(this.client, this.settings);
    try {
      const planning = await this.client.workflow.start(planWorkflow, {
        workflowId: `plan-${randomUUID()}`,
        taskQueue: this.settings.taskQueue,
        workflowExecutionTimeout: planTimeoutMs,
        args: [{ document, inputs }],
      });
      const forecast = await this.takenUp(planning, resultOf(planning));
      await requireHonestForecast(forecast as Forecast, document, inputs);
      return forecast as Forecast;
    } catch (error) {
      const ending = error instanceof WorkflowFailedError ? error.cause : undefined;
      // We have ended it ourselves where nobody has begun with it.
      if (ending instanceof TimeoutFailure || ending instanceof TerminatedFailure) throw this.noWorker(error);
      throw refusalIn(error) ?? error;
    }
  }

  private noWorker(cause?: unknown): HoldpointError {
    return new HoldpointError('worker-missing', { queue: this.settings.taskQueue, address: this.settings.address }, { cause });
  }

  /** Waits for a plan, as long as a worker makes it; throws `worker-missing` where none has begun. */
  private async takenUp<Result>(planning: WorkflowHandle, result: Promise<Result>): Promise<Result> {
    const isBegun = async (): Promise<boolean> => {
      const { historyLength, raw } = await planning.describe();
      const isWaiting = Boolean(raw.pendingWorkflowTask) && (raw.pendingActivities ?? []).length === 0;
      return !isWaiting || Number(historyLength) > eventsOfUntakenStart;
    };
    const tell = async (): Promise<void> => {
      if (!(await isBegun())) this.onSilence(await silenceOf(this.client, this.settings), 'plan');
    };
    const giveUpAt = performance.now() + planTakenWithinMs;
    let isOver = false;
    const untaken = async (): Promise<never> => {
      while (!isOver && performance.now() < giveUpAt) await wait(planPauseMs);
      if (isOver || (await isBegun())) return new Promise<never>(() => undefined);
      await planning.terminate('no worker has taken it');
      throw this.noWorker();
    };
    const patience = untaken();
    patience.catch(() => undefined);
    try {
      return await tellingWhenSilent(Promise.race([result, patience]), tell);
    } finally {
      isOver = true;
    }
  }

  /**
   * Signs the start of a run of what a forecast has shown, and submits it. Throws what `submitStart` does, and KeyError.
   */
  async start(
    document: RunbookDocument,
    forecast: Forecast,
    signer: Signer,
    ticket?: Ticket,
  ): Promise<{ run: string; admission: Admission }> {
    const run = newRunId(new Date());
    const statement = statementFor({ kind: 'start', run, forecast, ...(ticket && { ticket }) }, signedBy(signer));
    return { run, admission: await this.submitStart(statement, await signer.sign(statement), { document, forecast }) };
  }

  /**
   * Starts the run that a statement names; its requester has signed the statement, wherever their key is. Returns when the run has been
   * admitted or refused. Throws `target-busy` where the target has an open run (which notes the attempt), `worker-missing`.
   */
  async submitStart(
    statement: StartStatement,
    signature: string,
    { document, forecast }: { document: RunbookDocument; forecast: Pick<Forecast, 'inputs' | 'runbook'> },
  ): Promise<Admission> {
    await requireWorker(this.client, this.settings);
    const { run, target, person, planHash, ticket: id, ticketLink: link } = statement;
    const ticket = id === undefined ? {} : { ticket: { id, ...(link !== undefined && { link }) } };
    const input: RunInput = { run, target, document, inputs: forecast.inputs, requester: person, planHash, signature, ...ticket };
    const options = {
      workflowId: target,
      taskQueue: this.settings.taskQueue,
      workflowIdConflictPolicy: 'FAIL' as const,
      args: [input] as [RunInput],
      typedSearchAttributes: attributesOf({ run, runbook: forecast.runbook.name, requester: person, phase: 'planning' }),
    };
    try {
      return await this.telling(
        'word',
        sendAgain((updateId) => {
          const startWorkflowOperation = new WithStartWorkflowOperation(runWorkflow, options);
          return this.client.workflow.executeUpdateWithStart(admissionUpdate, { startWorkflowOperation, updateId });
        }),
      );
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return await this.startedBefore(statement);
      if (isLost(error)) throw new HoldpointError('word-unanswered', { target, attempt: 'start' }, { cause: error });
      throw refusalIn(error) ?? error;
    }
  }

  /**
   * Lifts what runs that are over have left at the targets, or at all that runs have worked on; with `dryRun` only looks for it.
   * Throws RefusedError, `worker-missing`.
   */
  sweep(options: { targets?: string[]; dryRun: boolean }): Promise<SweepResult> {
    return sweepTargets(this.client, this.settings, options);
  }

  /** Has a worker send a test message over a channel of its configuration. Throws `worker-missing`. */
  async testChannel(channel: string): Promise<TestResult> {
    await requireWorker(this.client, this.settings);
    try {
      const result: unknown = await this.client.workflow.execute(testChannelWorkflow, {
        workflowId: `test-channel-${randomUUID()}`,
        taskQueue: this.settings.taskQueue,
        workflowExecutionTimeout: testTimeoutMs,
        args: [{ channel }],
      });
      return result as TestResult;
    } catch (error) {
      throw refusalIn(error) ?? error;
    }
  }

  /** The runs that are open, or the newest ones of all. */
  async list(options: RunFilter): Promise<RunSummary[]> {
    const query = listQuery(options);
    const runs: RunSummary[] = [];
    for await (const found of this.client.workflow.list({ query })) {
      runs.push(summaryOf(found));
      if (runs.length >= (options.most ?? runsListedMax)) break;
    }
    if (options.reasons) await this.addReasons(runs);
    return runs;
  }

  /** One page of the same list; see `readRunPage`. */
  page(filter: RunFilter, pageSize: number, from?: Uint8Array): Promise<RunPage> {
    return readRunPage(this.client, filter, pageSize, from);
  }

  /** Says of runs that are over why they ended; of those that did not end as planned. */
  private async addReasons(runs: RunSummary[]): Promise<void> {
    const left = runs.filter(({ phase, endedAt }) => endedAt !== undefined && phase !== 'done');
    const read = async (): Promise<void> => {
      for (let run = left.pop(); run; run = left.pop()) {
        const handle = await this.handleOf(run.run);
        if (run.phase === 'terminated') {
          const end = await outsideEndOf(handle, await handle.describe());
          if (end) run.reason = outsideEndText(end);
        } else run.reason = ((await handle.result()) as { reason?: string }).reason;
      }
    };
    await Promise.all(Array.from({ length: questionsAtOnce }, () => read().catch(() => undefined)));
  }

  /** The holds of all runs that a person may sign now. */
  inbox(person: string): Promise<Inbox> {
    return readInbox(this.client, this.settings, person, (target) => this.state(target));
  }

  /** The full state of a run by its id or its target. Throws `run-unknown`; `target-occupied`, `shown-forged` where it is not that run. */
  async state(name: string): Promise<RunState> {
    return (await this.look(await this.handleOf(name), name)).state;
  }

  /** The state of a run and the live progress of what it is carrying out. Throws what `state` does. */
  async live(name: string): Promise<LiveRun> {
    const { state, raw, outsideEnd } = await this.look(await this.handleOf(name), name);
    return { ...liveIn(state, raw), ...(outsideEnd && { outsideEnd }) };
  }

  /**
   * The same within a few seconds: where no worker answers in that time, how the run stood when something last happened in it.
   * Throws `run-unknown`, `target-occupied`, `shown-forged`.
   */
  async show(name: string): Promise<LiveRun> {
    const handle = await this.handleOf(name);
    const workflow = await this.described(handle, name);
    const outsideEnd = await outsideEndOf(handle, workflow);
    const asked = this.answerOf(handle, name, workflow).catch((error: unknown) => {
      if (error instanceof HoldpointError && (error.code === 'run-silent' || error.code === 'run-not-replayed')) return error;
      throw error;
    });
    const readSpare = async (): Promise<[LastKnown, Silence]> =>
      Promise.all([lastKnownOf(handle, workflow), silenceOf(this.client, this.settings)]);
    // Most answers come at once; what would take their place is read while the others are waited for.
    const early = await withinTime(asked, spareAfterMs);
    const spare = early === undefined ? readSpare() : undefined;
    spare?.catch(() => undefined);
    const answer = early ?? (await withinTime(asked, silenceMs - spareAfterMs));
    const ended = outsideEnd && { outsideEnd };
    if (answer && !(answer instanceof HoldpointError)) return { ...liveIn(withOutsideEnd(answer, outsideEnd), workflow.raw), ...ended };
    const [{ state, at, incomplete }, silence] = await (spare ?? readSpare());
    // Whoever takes tasks from our queue can have written the history, too.
    requireHonestState(name, state, workflow.workflowId);
    const why = answer?.code === 'run-not-replayed' ? ('not-replayed' as const) : ('silent' as const);
    const lastKnown = { ...silence, why, at, incomplete, carriedOut: carriedOutIn(workflow.raw, Date.now()) };
    return { ...liveIn(withOutsideEnd(state, outsideEnd), workflow.raw), ...ended, lastKnown };
  }

  /**
   * What has happened in a run since its history began, as it was put into its record, whether a worker is there or not. `incomplete`: some
   * of it is in the evidence store only. Throws `run-unknown`, `target-occupied`.
   */
  async log(name: string): Promise<{ run: string; target: string; entries: HistoryEntry[]; incomplete: boolean; outsideEnd?: OutsideEnd }> {
    const handle = await this.handleOf(name);
    const workflow = await this.described(handle, name);
    const outsideEnd = await outsideEndOf(handle, workflow);
    const { entries, incomplete, cutOff } = await entriesOf(this.client, handle);
    const run = workflow.typedSearchAttributes.get(defineSearchAttributeKey(searchAttributes.run, 'KEYWORD')) ?? '';
    const target = workflow.workflowId;
    return { run, target, entries, incomplete: incomplete || cutOff, ...(outsideEnd && { outsideEnd }) };
  }

  /** What a bug report of a run is made of, whether a worker is there or not. Throws what `show` does. */
  async bundle(name: string): Promise<RunBundle> {
    const live = await this.show(name);
    const { entries } = await this.log(name);
    const history = await eventsOf(await this.handleOf(name));
    const { serverVersion } = await this.client.workflowService.getSystemInfo({});
    const json = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;
    return { run: live.state.run, server: serverVersion ?? '', state: json(live), entries: json(entries), history: json(history) };
  }

  /**
   * Signs a decision on what a person was shown, and submits it: on that run, whatever is open on its target by then, and on that plan
   * and question. Throws what `submit` does, and KeyError.
   */
  async decide(
    state: Pick<RunState, 'run' | 'target'>,
    request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>,
    decision: 'approve' | 'reject',
    reason: string,
    signer: Signer,
  ): Promise<DecisionAnswer> {
    const { run, target } = state;
    const statement = statementFor({ kind: 'decision', run, request, decision, reason }, signedBy(signer));
    const signature = await signer.sign(statement);
    const seen = this.seenIn.get(state);
    if (!seen) return this.submit(target, statement, signature);
    try {
      return await this.sendDecision(this.client.workflow.getHandle(seen.workflowId, seen.runId), statement, signature);
    } catch (error) {
      // It is over by now, or has gone on as new.
      if (error instanceof WorkflowNotFoundError) return this.submit(target, statement, signature);
      throw error;
    }
  }

  /** Signs an approval that counts from a time on (ISO 8601, UTC), and submits it. Throws what `decide` does. */
  async approveFrom(
    { run, target }: Pick<RunState, 'run' | 'target'>,
    request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>,
    from: string,
    reason: string,
    signer: Signer,
  ): Promise<DecisionAnswer> {
    const statement = statementFor({ kind: 'deferred-approval', run, request, from, reason }, signedBy(signer));
    return this.submit(target, statement, await signer.sign(statement));
  }

  /**
   * Signs an approval in the place of somebody else, and submits it. Throws what `decide` does.
   *
   * @param delegation what the other person has signed, a compact JWS.
   */
  async approveInPlace(
    { run, target }: Pick<RunState, 'run' | 'target'>,
    request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>,
    delegation: string,
    reason: string,
    signer: Signer,
  ): Promise<DecisionAnswer> {
    const shown = { kind: 'delegated-approval' as const, run, request, delegation: approvalId(delegation), reason };
    const statement = statementFor(shown, signedBy(signer));
    return this.submit(target, statement, await signer.sign(statement), delegation);
  }

  /** Signs that a hold is released alone, and submits that. Throws what `decide` does. */
  async breakGlass(
    { run, target }: Pick<RunState, 'run' | 'target'>,
    request: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash' | 'question'>,
    reason: string,
    signer: Signer,
  ): Promise<DecisionAnswer> {
    const statement = statementFor({ kind: 'break-glass', run, request, reason }, signedBy(signer));
    return this.submit(target, statement, await signer.sign(statement));
  }

  /** Signs that an approval is taken back, and submits that. Throws what `decide` does. */
  async withdraw({ run, target, hold }: RunState, reason: string, signer: Signer): Promise<DecisionAnswer> {
    const own = hold?.decisions.find(({ person }) => person === signer.person);
    const request = hold?.request ?? { hold: '', number: 0, planHash: '' };
    const approval = own === undefined ? '' : approvalId(own.jws);
    const statement = statementFor({ kind: 'withdrawal', run, request, approval, reason }, signedBy(signer));
    return this.submit(target, statement, await signer.sign(statement));
  }

  /**
   * Signs an operator's command to a run, and submits it; a command about a step means the one that is stuck now.
   * Throws what `submit` does, and KeyError.
   */
  async operate(name: string, command: CommandName, reason: string, signer: Signer): Promise<CommandResult> {
    const handle = await this.handleOf(name);
    const { state } = await this.look(handle, name);
    const statement = statementFor({ kind: 'command', state, command, reason }, signedBy(signer));
    requireNotEnded(state, statement);
    return this.sendCommand(handle, statement, await signer.sign(statement));
  }

  /**
   * Sends a decision or a command that its person has signed, wherever their key is; `name` is the run or its target.
   * Throws RefusedError with the run's reason (the refused attempt is in the run's record then, too), `run-unknown`, `shown-forged`;
   * where the run is over, `hold-not-waiting` for a decision and `command-refused` for a command.
   */
  submit(name: string, statement: StatementAtHold, signature: string, delegation?: string): Promise<DecisionAnswer>;
  submit(name: string, statement: CommandStatement, signature: string): Promise<CommandResult>;
  async submit(
    name: string,
    statement: StatementAtHold | CommandStatement,
    signature: string,
    delegation?: string,
  ): Promise<DecisionAnswer | CommandResult> {
    const handle = await this.handleOf(name);
    requireNotEnded((await this.look(handle, name)).state, statement);
    if (statement.kind === 'command') return this.sendCommand(handle, statement, signature);
    return this.sendDecision(handle, statement, signature, delegation);
  }

  private sendDecision(
    handle: WorkflowHandle,
    statement: StatementAtHold,
    signature: string,
    delegation?: string,
  ): Promise<DecisionAnswer> {
    const under = delegation === undefined ? {} : { delegationSignature: delegation };
    const request = { ...expectedOf(statement), signature, ...under } as WordAtHold;
    const attempt = { person: statement.person, attempt: attemptOf(statement) };
    return this.attempt(handle, attempt, request, (updateId) => handle.executeUpdate(decideUpdate, { args: [request], updateId }));
  }

  private sendCommand(handle: WorkflowHandle, statement: CommandStatement, signature: string): Promise<CommandResult> {
    const { kind: _kind, ...claims } = expectedOf(statement);
    const request = { ...claims, signature };
    const attempt = { person: claims.person, attempt: claims.command };
    return this.attempt(handle, attempt, request, (updateId) => handle.executeUpdate(commandUpdate, { args: [request], updateId }));
  }

  /**
   * Sends a word. Whoever sends the very same once more, because they have not heard what came of it, is told what came of the first: its
   * statement has a nonce, so the same word is never meant twice. Where a run has let in as many refused attempts as it does, its validator
   * leaves no trace: the run is told of them, for its record.
   */
  private async attempt<Answer>(
    handle: WorkflowHandle,
    { person, attempt }: Pick<RefusedAttempt, 'person' | 'attempt'>,
    word: object,
    send: (updateId: string) => Promise<Answer>,
  ): Promise<Answer> {
    try {
      return await this.telling('word', sendAgain(send, digestOf(word as JsonObject)));
    } catch (error) {
      if (isLost(error)) throw new HoldpointError('word-unanswered', { target: handle.workflowId, attempt }, { cause: error });
      const refusal = refusalIn(error);
      if (!refusal) throw error;
      if (!refusal.recorded) await tell(handle, { person, attempt, code: refusal.code, reason: refusal.message });
      throw refusal;
    }
  }

  /** What a run that has been started before says, whose answer was lost. Throws `target-busy` where the target has another one. */
  private async startedBefore({ run: wanted, target, person }: StartStatement): Promise<Admission> {
    const handle = this.client.workflow.getHandle(target);
    const { run, runbook, requester, phase } = (await this.look(handle, target)).state;
    if (run === wanted) return sendAgain((updateId) => handle.executeUpdate(admissionUpdate, { updateId }));
    const busy = new HoldpointError('target-busy', { target, run, runbook: runbook.name || 'not read yet', requester, phase });
    await tell(handle, { person, attempt: 'start', code: busy.code, reason: busy.message });
    throw busy;
  }

  /** A target is the workflow's id; a run is found by its search attribute. */
  private async handleOf(name: string): Promise<WorkflowHandle> {
    if (name.includes('/')) return this.client.workflow.getHandle(name);
    if (!/^[\w.-]+$/.test(name)) throw new HoldpointError('run-unknown', { run: name });
    let target: string | undefined;
    // A workflow of another kind, or on a queue of somebody else, can have the attribute as well.
    const ours = `WorkflowType = '${runWorkflow}' AND TaskQueue = '${this.settings.taskQueue}'`;
    const query = `${ours} AND ${searchAttributes.run} = '${name}'`;
    for await (const found of this.client.workflow.list({ query })) {
      target = found.workflowId;
      if (found.status.name !== 'CONTINUED_AS_NEW') return this.client.workflow.getHandle(target, found.runId);
    }
    // It has gone on as new that is not listed yet; what is open on the target is that run.
    if (target !== undefined) return this.client.workflow.getHandle(target);
    throw new HoldpointError('run-unknown', { run: name });
  }

  private telling<Answer>(about: 'question' | 'word', work: Promise<Answer>): Promise<Answer> {
    return tellingWhenSilent(work, async () => this.onSilence(await silenceOf(this.client, this.settings), about));
  }

  /** What a run says of itself, and Temporal of its workflow, which comes first: of what is no run a query would wait for nobody. */
  private async look(
    handle: WorkflowHandle,
    name: string,
  ): Promise<{ state: RunState; raw: WorkflowExecutionDescription['raw']; outsideEnd?: OutsideEnd }> {
    const workflow = await this.described(handle, name);
    const outsideEnd = await outsideEndOf(handle, workflow);
    const told = await this.telling('question', this.answerOf(handle, name, workflow));
    const state = withOutsideEnd(told, outsideEnd);
    this.seenIn.set(state, { workflowId: workflow.workflowId, runId: workflow.runId });
    return { state, raw: workflow.raw, ...(outsideEnd && { outsideEnd }) };
  }

  private async described(handle: WorkflowHandle, name: string): Promise<WorkflowExecutionDescription> {
    try {
      const workflow = await askAgain(this.client.connection, () => handle.describe());
      requireRun(workflow, this.settings.taskQueue);
      return workflow;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw new HoldpointError('run-unknown', { run: name }, { cause: error });
      throw error;
    }
  }

  private async answerOf(handle: WorkflowHandle, name: string, { workflowId }: WorkflowExecutionDescription): Promise<RunState> {
    try {
      const state = await this.stateOf(handle);
      requireHonestState(name, state, workflowId);
      return state;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw new HoldpointError('run-unknown', { run: name }, { cause: error });
      throw error;
    }
  }

  /** Throws `run-silent` where nobody answers in time, and `run-not-replayed` where workers cannot. */
  private async stateOf(handle: WorkflowHandle): Promise<RunState> {
    try {
      return await askAgain(this.client.connection, () => handle.query(stateQuery));
    } catch (error) {
      if (saysThatReplayFailed(error)) throw new HoldpointError('run-not-replayed', { target: handle.workflowId }, { cause: error });
      if (!isUnanswered(error)) throw error;
      const details = { target: handle.workflowId, queue: this.settings.taskQueue };
      throw new HoldpointError('run-silent', details, { cause: error });
    }
  }
}

function liveIn(state: RunState, { pendingActivities }: WorkflowExecutionDescription['raw']): LiveRun {
  if (endPhases.includes(state.phase)) return { state, progress: {}, retrying: [] };
  const activities = (pendingActivities ?? []).map((activity) => ({ ...activity, report: reportIn(activity) }));
  return {
    state,
    progress: Object.fromEntries(activities.flatMap(({ report }) => (report?.progress ? [[report.step, report.progress]] : []))),
    retrying: activities.flatMap(({ report, lastFailure, attempt }) =>
      lastFailure?.message ? [{ step: report?.step, reason: lastFailure.message, attempt: attempt ?? 0 }] : [],
    ),
  };
}

/** Steps of which a worker has said something just now, whoever answers for the run. */
function carriedOutIn({ pendingActivities }: WorkflowExecutionDescription['raw'], nowMs: number): Unanswered['carriedOut'] {
  return (pendingActivities ?? []).flatMap((activity) => {
    const atMs = Number(activity.lastHeartbeatTime?.seconds ?? 0) * 1_000;
    const step = reportIn(activity)?.step;
    return step !== undefined && nowMs - atMs < heartbeatFreshMs ? [{ step, at: new Date(atMs).toISOString() }] : [];
  });
}

/** A run whose workflow was ended past it waits for nobody, whatever it has said last. */
function withOutsideEnd(state: RunState, outsideEnd: OutsideEnd | undefined): RunState {
  if (!outsideEnd) return state;
  const { how, at } = outsideEnd;
  const reason = `its workflow has ${how === 'terminated' ? 'been ' : ''}${outsideEndText(outsideEnd)}`;
  const leftovers = state.steps.flatMap(({ id, uses, kind, status, summary, progress, startedAt }) => {
    if (kind !== 'action' || startedAt === undefined || findAction(uses)?.change === 'reads' || status === 'undone') return [];
    const far = progress?.summary ?? summary;
    const stands = status === 'done' ? 'was done and stays' : 'was cut off in the middle';
    return [`step ${id} (${uses}) ${stands}${far === undefined ? '' : `: ${far}`}`];
  });
  const steps = state.steps.map((step) => (step.startedAt !== undefined && step.endedAt === undefined ? stoppedStep(step, at) : step));
  const ended = { at, reason, leftovers };
  const none = { commands: [], pauseRequestedBy: undefined };
  return { ...state, ...none, phase: 'terminated', steps, ended, hold: undefined, stuck: undefined, window: undefined };
}

function outsideEndText({ how, by, reason }: OutsideEnd): string {
  return [`${how} in Temporal${by === '' ? '' : ` by ${by}`}`, reason].filter(Boolean).join(': ');
}

function stoppedStep(step: RunState['steps'][number], at: string): RunState['steps'][number] {
  return { ...step, status: 'stopped', endedAt: at };
}

/** What the heartbeats of an activity tell; only those of steps do. */
function reportIn({ heartbeatDetails }: temporal.api.workflow.v1.IPendingActivityInfo): StepReport | undefined {
  const payload = heartbeatDetails?.payloads?.[0];
  // What carries the mark has stayed as it was; of anything else, such as a reference to a kept value, nothing is known.
  return payload?.metadata?.[heartbeatMark] ? defaultPayloadConverter.fromPayload<StepReport>(payload) : undefined;
}

/** Tells a run of a refused attempt. Its record may have been closed meanwhile; the refusal itself matters more then. */
async function tell(handle: WorkflowHandle, attempt: RefusedAttempt): Promise<void> {
  await handle.signal(attemptRefusedSignal, attempt).catch((error: unknown) => {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  });
}

function attemptOf(statement: StatementAtHold): string {
  if (statement.kind === 'withdrawal') return 'withdraw';
  if (statement.kind === 'break-glass') return 'break-glass';
  return statement.kind === 'decision' ? statement.decision : 'approve';
}

function requireNotEnded({ run, phase }: RunState, statement: StatementAtHold | CommandStatement): void {
  if (!endPhases.includes(phase)) return;
  if (statement.kind !== 'command') throw new HoldpointError('hold-not-waiting', { run, phase });
  throw new HoldpointError('command-refused', { run, command: statement.command, cause: `it is ${phase}`, possible: 'nothing' });
}

function signedBy({ person }: Signer): { person: string; at: string; nonce: string } {
  return { person, at: new Date().toISOString(), nonce: randomUUID() };
}

function attributesOf(values: Record<keyof typeof searchAttributes, string>): SearchAttributePair[] {
  return Object.entries(values).map(([name, value]) => ({
    key: defineSearchAttributeKey(searchAttributes[name as keyof typeof searchAttributes], 'KEYWORD'),
    value,
  }));
}
