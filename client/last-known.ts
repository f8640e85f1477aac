import type { Client, WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { isObject, type Json, type JsonObject } from '../domain/json.ts';
import type { ApprovalRequest } from '../domain/approval/request.ts';
import type { SpanPlan } from '../domain/plan/plan.ts';
import { phases, type Phase, type RunState } from '../domain/run/state.ts';
import { rowsOf, type StepState } from '../domain/run/steps.ts';
import { instancesOf } from '../domain/run/step-tree.ts';
import { searchAttributes, type RunInput } from '../workflows/messages.ts';

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** An entry of a run's record as it is in the history of the run: what was to be written, and when. */
export interface HistoryEntry {
  kind: string;
  body: JsonObject;
  /** When it was given to be written; ISO 8601, UTC. */
  at: string;
}

/** A run as Temporal knows it, without its worker. */
export interface LastKnown {
  state: RunState;
  /** When the last thing happened that is known; ISO 8601, UTC. */
  at: string;
  entries: HistoryEntry[];
  /** Something is too large for the history, and is in the evidence store only. */
  incomplete: boolean;
}

/** Who has ended a run past Holdpoint, and how; read from the history of its workflow. */
export interface OutsideEnd {
  how: 'terminated' | 'failed' | 'timed out';
  at: string;
  /** Whom Temporal names: a user and a machine, mostly; empty where it does not. */
  by: string;
  reason: string;
}

/**
 * How a run stood when something last happened in it: its history holds every entry of its record, so that no worker need be asked.
 * Throws what Temporal does.
 */
export async function lastKnownOf(handle: WorkflowHandle, description: WorkflowExecutionDescription): Promise<LastKnown> {
  return replayedFrom(await handle.fetchHistory(), description);
}

/** How many histories of one run are read; each has thousands of events. */
const historiesMax = 50;

/** All entries of a run, also of the histories that it has left when they became long. Throws what Temporal does. */
export async function entriesOf(
  client: Client,
  handle: WorkflowHandle,
): Promise<{ entries: HistoryEntry[]; incomplete: boolean; cutOff: boolean }> {
  const parts: ReturnType<typeof entriesIn>[] = [];
  let before = '';
  for (let of: WorkflowHandle | undefined = handle; of && parts.length < historiesMax;) {
    const { events } = await of.fetchHistory();
    parts.unshift(entriesIn(events ?? []));
    before = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
    of = before === '' ? undefined : client.workflow.getHandle(handle.workflowId, before);
  }
  return {
    entries: parts.flatMap(({ entries }) => entries),
    incomplete: parts.some(({ incomplete }) => incomplete),
    cutOff: before !== '',
  };
}

/** How the workflow of a run was ended by somebody else than the run; undefined where it was not. */
export async function outsideEndOf(
  handle: WorkflowHandle,
  { status, closeTime }: Pick<WorkflowExecutionDescription, 'status' | 'closeTime'>,
): Promise<OutsideEnd | undefined> {
  const how = ({ TERMINATED: 'terminated', FAILED: 'failed', TIMED_OUT: 'timed out' } as const)[status.name as 'FAILED'];
  if (how === undefined) return undefined;
  const last = (await handle.fetchHistory()).events?.at(-1);
  const ended = last?.workflowExecutionTerminatedEventAttributes;
  const reason = ended?.reason ?? last?.workflowExecutionFailedEventAttributes?.failure?.message ?? '';
  return { how, at: closeTime?.toISOString() ?? '', by: ended?.identity ?? '', reason };
}

/** The state of a run as its history has it. Apart from the reading, for tests. */
export async function replayedFrom(
  { events }: History,
  { typedSearchAttributes, workflowId }: Pick<WorkflowExecutionDescription, 'typedSearchAttributes' | 'workflowId'>,
): Promise<LastKnown> {
  const attribute = (name: keyof typeof searchAttributes): string => {
    const value = typedSearchAttributes.get(defineSearchAttributeKey(searchAttributes[name], 'KEYWORD'));
    return typeof value === 'string' ? value : '';
  };
  const [input, continued] = startOf(events?.[0]);
  const { entries, incomplete } = entriesIn(events ?? []);
  const state: RunState = carriedState(continued) ?? {
    run: attribute('run'),
    target: workflowId,
    runbook: { name: attribute('runbook'), title: '', digest: '' },
    inputs: isObject(input?.inputs) ? input.inputs : {},
    requester: attribute('requester'),
    phase: 'planning',
    steps: await stepsOf(input),
    commands: [],
    evidence: '',
    refusedAttempts: 0,
  };
  state.commands = [];
  for (const entry of entries) apply(state, entry);
  const phase = attribute('phase');
  settle(state, phases.includes(phase as Phase) ? (phase as Phase) : 'planning');
  const last = events?.at(-1)?.eventTime;
  return { state, at: isoOf(last) ?? '', entries, incomplete };
}

/** What was said of the run before its history became long and was left. */
function carriedState(continued: unknown): RunState | undefined {
  const run = isObject(continued) ? continued.run : undefined;
  if (!isObject(run) || !isObject(run.state) || !Array.isArray(run.rows)) return undefined;
  const rows = run.rows as unknown as { shown: StepState }[];
  return { ...(run.state as unknown as RunState), steps: rows.map(({ shown }) => shown) };
}

function startOf(event: HistoryEvent | undefined): [Partial<RunInput> | undefined, unknown] {
  const [input, continued] = event?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  return [valueOf(input) as Partial<RunInput> | undefined, valueOf(continued)];
}

/** A text that does not compile here leaves only what the plans name. */
async function stepsOf(input: Partial<RunInput> | undefined): Promise<StepState[]> {
  const { document } = input ?? {};
  if (typeof document?.text !== 'string' || document.text === '') return [];
  const { compileRunbook } = await import('../runbooks/compiler/compile.ts');
  try {
    const { runbook } = compileRunbook(document.text, document.file, undefined, document.runbooks);
    return runbook ? rowsOf(instancesOf(runbook, input?.inputs ?? {})).map(({ shown }) => shown) : [];
  } catch {
    return [];
  }
}

function entriesIn(events: readonly HistoryEvent[]): { entries: HistoryEntry[]; incomplete: boolean } {
  let incomplete = false;
  const entries = events.flatMap(({ activityTaskScheduledEventAttributes: scheduled, eventTime }) => {
    if (scheduled?.activityType?.name !== 'record') return [];
    const request = valueOf(scheduled.input?.payloads?.[0]);
    if (!isObject(request) || !Array.isArray(request.entries)) {
      incomplete = true;
      return [];
    }
    return request.entries.flatMap((entry) =>
      isObject(entry) && typeof entry.kind === 'string' && isObject(entry.body)
        ? [{ kind: entry.kind, body: entry.body, at: isoOf(eventTime) ?? '' }]
        : [],
    );
  });
  return { entries, incomplete };
}

function valueOf(payload: temporal.api.common.v1.IPayload | undefined | null): Json | undefined {
  if (!payload) return undefined;
  try {
    return defaultPayloadConverter.fromPayload<Json>(payload);
  } catch {
    // A reference to a value that is kept elsewhere.
    return undefined;
  }
}

function isoOf(time: temporal.api.history.v1.IHistoryEvent['eventTime']): string | undefined {
  return time ? new Date(Number(time.seconds ?? 0) * 1_000 + Math.floor((time.nanos ?? 0) / 1e6)).toISOString() : undefined;
}

function textIn(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The row of a step; those of lists and rollbacks become known when they are planned or begun. */
function rowOf(state: RunState, id: string, uses = '', kind: StepState['kind'] = 'action'): StepState {
  let row = state.steps.find((step) => step.id === id);
  if (!row) state.steps.push((row = { id, kind, uses, status: 'waiting' }));
  return row;
}

function learnPlan(state: RunState, plan: Json | undefined): void {
  if (!isObject(plan)) return;
  const { runbook, title, inputs, steps } = plan as unknown as SpanPlan;
  Object.assign(state.runbook, { title, digest: runbook });
  // With the defaults, which a start leaves out.
  if (isObject(inputs)) state.inputs = inputs;
  for (const { id, uses } of Array.isArray(steps) ? steps : []) rowOf(state, id, uses);
}

type Apply = (state: RunState, entry: HistoryEntry) => void;

function apply(state: RunState, entry: HistoryEntry): void {
  appliers[entry.kind]?.(state, entry);
}

/** What each entry of a record says of the state; those that are not named change nothing that is shown. */
const appliers: Readonly<Record<string, Apply | undefined>> = {
  'plan.made': (state, { body }) => learnPlan(state, body.plan),
  'undo.started': (state, { body }) => learnPlan(state, body.plan),
  'hold.requested': (state, { body, at }) => {
    const { plan, drift: _drift, ...request } = body;
    learnPlan(state, plan);
    const hold = textIn(body.hold);
    Object.assign(rowOf(state, hold, '', 'hold'), { status: 'holding', startedAt: at });
    if (isObject(plan)) {
      state.hold = { request: request as unknown as ApprovalRequest, plan: plan as unknown as SpanPlan, decisions: [] };
    }
  },
  'decision.accepted': (state, { body, at }) => {
    const decision = body.decision === 'reject' ? 'reject' : 'approve';
    state.hold?.decisions.push({ person: textIn(body.person), decision, reason: textIn(body.reason), at, jws: textIn(body.jws) });
  },
  'hold.released': (state, { body, at }) => {
    const signers = state.hold?.decisions.filter(({ decision }) => decision === 'approve').map(({ person }) => person) ?? [];
    const summary = signers.length > 0 ? `signed by ${signers.join(', ')}` : undefined;
    Object.assign(rowOf(state, textIn(body.hold), '', 'hold'), { status: 'done', endedAt: at, summary });
    state.hold = undefined;
  },
  'hold.expired': (state) => void (state.hold = undefined),
  'hold.withdrawn': (state) => void (state.hold = undefined),
  'hold.rejected': (state) => void (state.hold = undefined),
  'step.started': (state, { body, at }) => {
    Object.assign(rowOf(state, textIn(body.step), textIn(body.uses)), { status: 'running', startedAt: at });
  },
  'step.done': (state, { body, at }) => {
    Object.assign(rowOf(state, textIn(body.step)), { status: 'done', endedAt: at, summary: textIn(body.summary) || undefined });
  },
  'step.skipped': (state, { body, at }) => void Object.assign(rowOf(state, textIn(body.step)), { status: 'skipped', endedAt: at }),
  'step.stuck': (state, { body }) => {
    const [step, code, reason, remedy] = [body.step, body.code, body.reason, body.remedy].map(textIn) as [string, string, string, string];
    Object.assign(rowOf(state, step), { status: 'stuck', summary: reason });
    state.stuck = { step, code, reason, remedy };
  },
  'window.parked': (state, { body }) => {
    const window = { calendar: textIn(body.calendar), step: textIn(body.step), reason: textIn(body.reason) };
    const opensAt = textIn(body.opensAt) || undefined;
    state.window = { ...window, state: body.state as NonNullable<RunState['window']>['state'], opensAt };
  },
  'run.ended': (state, { body, at }) => {
    const leftovers = Array.isArray(body.leftovers) ? body.leftovers.map(textIn) : [];
    state.ended = { at, reason: textIn(body.reason), leftovers };
  },
};

/** What the phase says is over is over, whatever the record has told of it. */
function settle(state: RunState, phase: Phase): void {
  state.phase = phase;
  if (phase !== 'holding') state.hold = undefined;
  if (phase !== 'parked') state.window = undefined;
  if (phase === 'stuck' || !state.stuck) return;
  const row = rowOf(state, state.stuck.step);
  if (row.status === 'stuck') row.status = 'running';
  state.stuck = undefined;
}
