import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { timeMsOf } from '../domain/time.ts';
import { brokenGlassMemo, runWorkflow, searchAttributes, windowMemo } from '../workflows/messages.ts';
import { askAgain } from './temporal/asking.ts';

/** A row of the list of runs. */
export interface RunSummary {
  run: string;
  target: string;
  runbook: string;
  requester: string;
  phase: string;
  /** When its window opens next, where it is parked; ISO 8601, UTC. */
  opensAt?: string;
  startedAt: string;
  endedAt?: string;
  /** Who has released a hold alone, and which; left out where nobody has. */
  brokenGlass?: string;
  /** Why it ended, of one that is over and did not end as planned; only where that was asked for. */
  reason?: string;
}

/** Which runs are listed. */
export interface RunFilter {
  openOnly: boolean;
  /** Whether to say of runs that are over why they ended, which takes a question each. */
  reasons?: boolean;
  most?: number;
  target?: string;
  runbook?: string;
  phase?: string;
  requester?: string;
  /** ISO 8601, UTC. */
  since?: string;
}

/** Some rows of the list of runs. */
export interface RunPage {
  runs: RunSummary[];
  /** Where the next page begins, as Temporal wants it to be said; undefined on the last one. */
  next?: Uint8Array;
}

/** What Temporal calls workflows that did not end by themselves. A run that is cancelled aborts and completes. */
const endedOutside: readonly string[] = ['TERMINATED', 'FAILED', 'TIMED_OUT'];
/** The same as numbers of `WorkflowExecutionStatus` of the Temporal API. */
const statusNames: Readonly<Record<number, string>> = { 3: 'FAILED', 5: 'TERMINATED', 7: 'TIMED_OUT' };

/** A row as Temporal has it, however it was asked for. */
interface Found {
  workflowId: string;
  status: string;
  startTime: Date;
  closeTime?: Date;
  attribute: (name: string) => unknown;
  memo: (name: string) => unknown;
}

/** The row of a workflow that was listed. */
export function summaryOf(info: WorkflowExecutionInfo): RunSummary {
  return rowOf({
    workflowId: info.workflowId,
    status: info.status.name,
    startTime: info.startTime,
    closeTime: info.closeTime,
    attribute: (name) => info.typedSearchAttributes.get(defineSearchAttributeKey(name, 'KEYWORD')),
    memo: (name) => info.memo?.[name],
  });
}

/**
 * One page of the list of runs, the newest first. Throws what Temporal does.
 *
 * @param from `next` of the page before, with the same filter; left out for the first page.
 */
export async function readRunPage(client: Client, filter: RunFilter, pageSize: number, from?: Uint8Array): Promise<RunPage> {
  const { namespace } = client.options;
  const nextPageToken = from ?? new Uint8Array();
  const { executions, nextPageToken: next } = await askAgain(client.connection, () =>
    client.workflowService.listWorkflowExecutions({ namespace, query: listQuery(filter), pageSize, nextPageToken }),
  );
  const runs = (executions ?? []).map((info) => rowOf(foundIn(info)));
  return { runs, ...(next && next.length > 0 && { next }) };
}

/** The question to Temporal for a list of runs. */
export function listQuery({ openOnly, target, runbook, phase, requester, since }: RunFilter): string {
  const of = (name: string, value: string | undefined): string[] =>
    value === undefined ? [] : [`${name} = '${value.replaceAll("'", '')}'`];
  // Of a run that was terminated the attribute still says what it said last.
  const isOutside = phase === 'terminated';
  const status = openOnly ? "= 'Running'" : isOutside ? "IN ('Terminated', 'Failed', 'TimedOut')" : "!= 'ContinuedAsNew'";
  return [
    `WorkflowType = '${runWorkflow}'`,
    `ExecutionStatus ${status}`,
    ...of('WorkflowId', target),
    ...of(searchAttributes.runbook, runbook),
    ...of(searchAttributes.requester, requester),
    ...(isOutside ? [] : of(searchAttributes.phase, phase)),
    ...(phase === undefined || isOutside ? [] : ["ExecutionStatus != 'Terminated'"]),
    ...(since === undefined ? [] : [`StartTime > '${since}'`]),
  ].join(' AND ');
}

function rowOf({ workflowId, status, startTime, closeTime, attribute, memo }: Found): RunSummary {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const broken = memo(brokenGlassMemo);
  return {
    run: text(attribute(searchAttributes.run)),
    target: workflowId,
    runbook: text(attribute(searchAttributes.runbook)),
    requester: text(attribute(searchAttributes.requester)),
    phase: endedOutside.includes(status) ? 'terminated' : text(attribute(searchAttributes.phase)),
    ...openingIn(memo(windowMemo)),
    startedAt: startTime.toISOString(),
    endedAt: closeTime?.toISOString(),
    ...(typeof broken === 'string' && { brokenGlass: broken }),
  };
}

function foundIn(info: temporal.api.workflow.v1.IWorkflowExecutionInfo): Found {
  const { execution, status, startTime, closeTime, searchAttributes: attributes, memo } = info;
  const dateOf = ({ seconds, nanos }: { seconds?: unknown; nanos?: number | null }): Date =>
    new Date(Number(seconds ?? 0) * 1_000 + Math.floor((nanos ?? 0) / 1e6));
  return {
    workflowId: execution?.workflowId ?? '',
    status: statusNames[status ?? 0] ?? '',
    startTime: dateOf(startTime ?? {}),
    ...(closeTime && { closeTime: dateOf(closeTime) }),
    attribute: (name) => valueOf(attributes?.indexedFields?.[name]),
    memo: (name) => valueOf(memo?.fields?.[name]),
  };
}

function valueOf(payload: temporal.api.common.v1.IPayload | undefined): unknown {
  try {
    return payload && defaultPayloadConverter.fromPayload(payload);
  } catch {
    // Whoever reaches Temporal can write anything there.
    return undefined;
  }
}

/** When a parked run goes on; whoever reaches Temporal can write anything there. */
function openingIn(opensAt: unknown): Pick<RunSummary, 'opensAt'> {
  return typeof opensAt === 'string' && timeMsOf(opensAt) !== undefined ? { opensAt } : {};
}
