import { setTimeout as wait } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';

/** How long a run may take, once it has been approved, to end. */
const endTimeoutMs = 5 * 60_000;

/** What was approved when, in milliseconds of this machine's clock. */
export interface Approval {
  cluster: string;
  sentAtMs: number;
}

/** One side of the comparison; its runs are known by their clusters. */
export interface Contender {
  /** The process of its one worker. */
  workerPid: number;
  /** Starts a run on a cluster; it goes to its hold by itself. */
  start(cluster: string): Promise<void>;
  /** How many runs wait at their hold. */
  holding(): Promise<number>;
  /** Looks at a run as a person does; where the worker has given it up, it replays it first. */
  look(cluster: string): Promise<void>;
  /** The first of the two approvals, after which the run still waits. */
  approveFirst(cluster: string): Promise<void>;
  /** The second approval; resolves when it has been answered. */
  approve(cluster: string): Promise<Approval>;
  /** Waits until a run is over and returns whether it ended as it should; false where it has not ended in time. */
  hasEndedWell(cluster: string): Promise<boolean>;
  /** From sending the approval to the start of the next step; undefined where that step was never started. */
  approvalToStepMs(approval: Approval): Promise<number | undefined>;
}

/** Whether a workflow ends in time with a result that is as it should be. */
export async function endsWell(handle: WorkflowHandle, isWell: (result: unknown) => boolean): Promise<boolean> {
  const over = new AbortController();
  const late = wait(endTimeoutMs, false, { signal: over.signal }).catch(() => false);
  const end = handle.result().then(isWell, () => false);
  return Promise.race([end, late]).finally(() => over.abort());
}

/**
 * From sending an approval to the moment in which a worker took up the first activity of that type that was scheduled after it
 * (`ActivityTaskStarted` in the history). It is not the moment of scheduling: a step that waits for a free worker has not begun.
 */
export async function approvalToActivityMs(handle: WorkflowHandle, type: string, { sentAtMs }: Approval): Promise<number | undefined> {
  const { events } = await handle.fetchHistory();
  const scheduled = events?.find(
    ({ activityTaskScheduledEventAttributes, eventTime }) =>
      activityTaskScheduledEventAttributes?.activityType?.name === type && milliseconds(eventTime) >= sentAtMs,
  );
  const started = events?.find(
    ({ activityTaskStartedEventAttributes }) =>
      scheduled !== undefined && String(activityTaskStartedEventAttributes?.scheduledEventId) === String(scheduled.eventId),
  );
  return started && milliseconds(started.eventTime) - sentAtMs;
}

function milliseconds(time: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(time?.seconds ?? 0) * 1_000 + (time?.nanos ?? 0) / 1e6;
}

/** Does the work for each item, so many at a time; the results are in the order of the items. Rejects with the first failure. */
export async function inLanes<Item, Result>(
  items: readonly Item[],
  lanes: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of waiting) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}
