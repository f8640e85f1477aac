import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { TemporalSettings } from './settings.ts';

/** After how long whoever waits hears that nobody has answered so far. */
export const silenceMs = 1_500;
/** `TASK_QUEUE_TYPE_WORKFLOW` of the Temporal API. */
const workflowQueueType = 1;

/** That no worker has answered, and what Temporal knows of those that asked for work. */
export interface Silence {
  queue: string;
  address: string;
  /** When a worker last asked the queue for work; ISO 8601, UTC. Left out where none has for minutes. */
  lastPollAt?: string;
}

/** What Temporal knows of the workers on our queue. A worker that was killed stays in its list for five minutes. */
export async function silenceOf(client: Client, { namespace, taskQueue, address }: TemporalSettings): Promise<Silence> {
  const question = { namespace, taskQueue: { name: taskQueue }, taskQueueType: workflowQueueType };
  const { pollers } = await client.connection.withDeadline(Date.now() + silenceMs, () =>
    client.workflowService.describeTaskQueue(question),
  );
  const times = (pollers ?? []).map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000);
  const lastMs = Math.max(0, ...times);
  return { queue: taskQueue, address, ...(lastMs > 0 && { lastPollAt: new Date(lastMs).toISOString() }) };
}

/** Does something, and tells where that takes long. What is wrong with the telling matters less than the work. */
export async function tellingWhenSilent<Result>(work: Promise<Result>, tell: () => Promise<void>): Promise<Result> {
  const timer = setTimeout(() => void tell().catch(() => undefined), silenceMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits so long for something, and no longer; undefined where it takes longer, whatever comes of it then. */
export async function withinTime<Result>(work: Promise<Result>, timeMs: number): Promise<Result | undefined> {
  const giveUp = new AbortController();
  work.catch(() => undefined);
  try {
    return await Promise.race([work, wait(timeMs, undefined, { signal: giveUp.signal })]);
  } finally {
    giveUp.abort();
  }
}
