import { randomUUID } from 'node:crypto';
import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowHandle,
} from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import type { Progress, StepReport } from '../domain/action.ts';
import type { ApprovalRequest } from '../domain/approval/approval.ts';
import { HoldpointError } from '../domain/errors.ts';
import { heartbeatMark } from '../domain/evidence/evidence.ts';
import type { JsonObject } from '../domain/json.ts';
import {
  stepCommands,
  type DecisionStatement,
  type StartStatement,
  type CommandName,
  type CommandStatement,
} from '../domain/approval/statement.ts';
import {
  admissionUpdate,
  attemptRefusedSignal,
  decideUpdate,
  endPhases,
  planWorkflow,
  runWorkflow,
  searchAttributes,
  stateQuery,
  commandUpdate,
  type Admission,
  type DecisionAnswer,
  type Forecast,
  type RefusedAttempt,
  type RunbookDocument,
  type RunInput,
  type RunState,
  type SweepResult,
  type CommandResult,
} from '../workflows/messages.ts';
import { requireWorker, type TemporalSettings } from './connection.ts';
import type { SigningKey } from './keys.ts';
import { refusalIn } from './remote-error.ts';
import { newRunId } from './run-id.ts';
import { signStatement } from './signing.ts';
import { sweepMarks } from './sweep.ts';

const planTimeoutMs = 3 * 60_000;
const runsListedMax = 1_000;

/** A row of the list of runs. */
export interface RunSummary {
  run: string;
  target: string;
  runbook: string;
  requester: string;
  phase: string;
  startedAt: string;
  endedAt?: string;
}

/** How a run stands, with what its activities say right now. */
export interface LiveRun {
  state: RunState;
  /** Of the steps that are being carried out, by their ids. */
  progress: Readonly<Record<string, Progress>>;
  /** What is being tried again. */
  retrying: readonly Retrying[];
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
  private readonly client: Client;
  private readonly settings: TemporalSettings;

  constructor(client: Client, settings: TemporalSettings) {
    this.client = client;
    this.settings = settings;
  }

  /** What a runbook would do, read afresh by the worker. Throws RefusedError, `worker-missing`. */
  async plan(document: RunbookDocument, inputs: JsonObject): Promise<Forecast> {
    await requireWorker(this.client, this.settings);
    try {
      const forecast: unknown = await this.client.workflow.execute(planWorkflow, {
        workflowId: `plan-${randomUUID()}`,
        taskQueue: this.settings.taskQueue,
        workflowExecutionTimeout: planTimeoutMs,
        args: [{ document, inputs }],
      });
      return forecast as Forecast;
    } catch (error) {
      throw refusalIn(error) ?? error;
    }
  }

  /**
   * Starts a run of what a forecast has shown, signed by the requester. Returns when the run has been admitted or refused.
   * Throws `target-busy` where the target has an open run (which notes the attempt), `worker-missing`.
   */
  async start(document: RunbookDocument, forecast: Forecast, key: SigningKey): Promise<{ run: string; admission: Admission }> {
    await requireWorker(this.client, this.settings);
    const run = newRunId(new Date());
    const { target, inputs, runbook } = forecast;
    const planHash = forecast.spans[0]?.plan.hash ?? '';
    const statement: StartStatement = { kind: 'start', run, target, runbook: runbook.digest, planHash, ...signedBy(key) };
    const signature = await signStatement(statement, key);
    const input: RunInput = { run, target, document, inputs, requester: key.person, planHash, signature };
    const start = new WithStartWorkflowOperation(runWorkflow, {
      workflowId: target,
      taskQueue: this.settings.taskQueue,
      workflowIdConflictPolicy: 'FAIL',
      args: [input],
      typedSearchAttributes: attributesOf({ run, runbook: runbook.name, requester: key.person, phase: 'planning' }),
    });
    try {
      const admission = await this.client.workflow.executeUpdateWithStart(admissionUpdate, { startWorkflowOperation: start });
      return { run, admission };
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) throw await this.busy(target, key.person);
      throw refusalIn(error) ?? error;
    }
  }

  /**
   * Lifts what runs that are over have left at the targets, or at all that runs have worked on; with `dryRun` only looks for it.
   * Throws RefusedError, `worker-missing`.
   */
  sweep(options: { targets?: string[]; dryRun: boolean }): Promise<SweepResult> {
    return sweepMarks(this.client, this.settings, options);
  }

  /** The runs that are open, or the newest ones of all. */
  async list(options: { openOnly: boolean; most?: number }): Promise<RunSummary[]> {
    const which = options.openOnly ? "= 'Running'" : "!= 'ContinuedAsNew'";
    const query = `WorkflowType = '${runWorkflow}' AND ExecutionStatus ${which}`;
    const runs: RunSummary[] = [];
    for await (const found of this.client.workflow.list({ query })) {
      const attribute = (name: string): string => {
        const value = found.typedSearchAttributes.get(defineSearchAttributeKey(name, 'KEYWORD'));
        return typeof value === 'string' ? value : '';
      };
      runs.push({
        run: attribute(searchAttributes.run),
        target: found.workflowId,
        runbook: attribute(searchAttributes.runbook),
        requester: attribute(searchAttributes.requester),
        phase: attribute(searchAttributes.phase),
        startedAt: found.startTime.toISOString(),
        endedAt: found.closeTime?.toISOString(),
      });
      if (runs.length >= (options.most ?? runsListedMax)) break;
    }
    return runs;
  }

  /** The full state of a run by its id or its target. Throws `run-unknown`. */
  async state(name: string): Promise<RunState> {
    return this.queryState(await this.handleOf(name), name);
  }

  /** The state of a run and the live progress of what it is carrying out. Throws `run-unknown`. */
  async live(name: string): Promise<LiveRun> {
    const handle = await this.handleOf(name);
    const state = await this.queryState(handle, name);
    if (endPhases.includes(state.phase)) return { state, progress: {}, retrying: [] };
    const { raw } = await handle.describe();
    const activities = (raw.pendingActivities ?? []).map((activity) => ({ ...activity, report: reportIn(activity) }));
    return {
      state,
      progress: Object.fromEntries(activities.flatMap(({ report }) => (report?.progress ? [[report.step, report.progress]] : []))),
      retrying: activities.flatMap(({ report, lastFailure, attempt }) =>
        lastFailure?.message ? [{ step: report?.step, reason: lastFailure.message, attempt: attempt ?? 0 }] : [],
      ),
    };
  }

  /**
   * Signs a decision on what is open at a hold. `planHash` is the hash of the plan that the person has seen.
   * Throws RefusedError with the run's reason (the refused attempt is in the run's record then, too), `hold-not-open` where it is over.
   */
  async decide(
    name: string,
    shown: Pick<ApprovalRequest, 'hold' | 'number' | 'planHash'>,
    decision: 'approve' | 'reject',
    reason: string,
    key: SigningKey,
  ): Promise<DecisionAnswer> {
    const handle = await this.handleOf(name);
    const { run, phase } = await this.queryState(handle, name);
    if (endPhases.includes(phase)) throw new HoldpointError('hold-not-open', { run, phase });
    const { hold, number, planHash } = shown;
    const statement: DecisionStatement = { kind: 'decision', run, hold, request: number, planHash, decision, reason, ...signedBy(key) };
    const signature = await signStatement(statement, key);
    const request = { person: key.person, run, hold, request: number, planHash, decision, reason, signature };
    return this.attempt(handle, { person: key.person, attempt: decision }, () => handle.executeUpdate(decideUpdate, { args: [request] }));
  }

  /**
   * Gives a run an operator's word; a word about a step means the one that is stuck now.
   * Throws RefusedError with the run's reason, `command-refused` where it is over.
   */
  async operate(name: string, command: CommandName, reason: string, key: SigningKey): Promise<CommandResult> {
    const handle = await this.handleOf(name);
    const { run, phase, stuck } = await this.queryState(handle, name);
    if (endPhases.includes(phase))
      throw new HoldpointError('command-refused', { run, command, cause: `it is ${phase}`, possible: 'nothing' });
    const step = stepCommands.includes(command) ? (stuck?.step ?? '') : '';
    const statement: CommandStatement = { kind: 'command', run, command, step, reason, ...signedBy(key) };
    const request = { person: key.person, run, command, step, reason, signature: await signStatement(statement, key) };
    return this.attempt(handle, { person: key.person, attempt: command }, () => handle.executeUpdate(commandUpdate, { args: [request] }));
  }

  /** The validator of an update leaves no trace: what it has refused is told to the run, for its record. */
  private async attempt<Answer>(
    handle: WorkflowHandle,
    { person, attempt }: Pick<RefusedAttempt, 'person' | 'attempt'>,
    send: () => Promise<Answer>,
  ): Promise<Answer> {
    try {
      return await send();
    } catch (error) {
      const refusal = refusalIn(error);
      if (!refusal) throw error;
      if (!refusal.recorded) await tell(handle, { person, attempt, code: refusal.code, reason: refusal.message });
      throw refusal;
    }
  }

  private async busy(target: string, person: string): Promise<HoldpointError> {
    const handle = this.client.workflow.getHandle(target);
    const { run, runbook, requester, phase } = await this.queryState(handle, target);
    const busy = new HoldpointError('target-busy', { target, run, runbook: runbook.name || 'not read yet', requester, phase });
    await tell(handle, { person, attempt: 'start', code: busy.code, reason: busy.message });
    return busy;
  }

  /** A target is the workflow's id; a run is found by its search attribute. */
  private async handleOf(name: string): Promise<WorkflowHandle> {
    if (name.includes('/')) return this.client.workflow.getHandle(name);
    if (!/^[\w.-]+$/.test(name)) throw new HoldpointError('run-unknown', { run: name });
    let target: string | undefined;
    for await (const found of this.client.workflow.list({ query: `${searchAttributes.run} = '${name}'` })) {
      target = found.workflowId;
      if (found.status.name !== 'CONTINUED_AS_NEW') return this.client.workflow.getHandle(target, found.runId);
    }
    // It has gone on in a new history that is not listed yet; what is open on the target is that run.
    if (target !== undefined) return this.client.workflow.getHandle(target);
    throw new HoldpointError('run-unknown', { run: name });
  }

  private async queryState(handle: WorkflowHandle, name: string): Promise<RunState> {
    try {
      return await handle.query(stateQuery);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw new HoldpointError('run-unknown', { run: name }, { cause: error });
      throw error;
    }
  }
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

function signedBy(key: SigningKey): { person: string; at: string; nonce: string } {
  return { person: key.person, at: new Date().toISOString(), nonce: randomUUID() };
}

function attributesOf(values: Record<keyof typeof searchAttributes, string>): SearchAttributePair[] {
  return Object.entries(values).map(([name, value]) => ({
    key: defineSearchAttributeKey(searchAttributes[name as keyof typeof searchAttributes], 'KEYWORD'),
    value,
  }));
}
