import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { sweepWorkflow, type SweepInput, type SweepResult } from '../workflows/messages.ts';
import { connectTemporal, requireWorker, type TemporalSettings } from './connection.ts';
import { refusalIn } from './remote-error.ts';

/** Records are waited for, and clusters that cannot be reached; what is left then is swept the next time. */
const sweepTimeoutMs = 30 * 60_000;

/**
 * Has a worker look for owner annotations of runs that are over and lift them. Returns when that is done.
 * Throws RefusedError, `worker-missing`.
 */
export async function sweepTargets(client: Client, settings: TemporalSettings, input: Omit<SweepInput, 'askedBy'>): Promise<SweepResult> {
  await requireWorker(client, settings);
  try {
    const result: unknown = await client.workflow.execute(sweepWorkflow, {
      workflowId: `sweep-${randomUUID()}`,
      taskQueue: settings.taskQueue,
      workflowExecutionTimeout: sweepTimeoutMs,
      args: [{ ...input, askedBy: 'holdpoint sweep' } satisfies SweepInput],
    });
    return result as SweepResult;
  } catch (error) {
    throw refusalIn(error) ?? error;
  }
}

/**
 * Asks for a sweep of all targets without waiting for it, as a worker does at its start: whatever has died with the last one is
 * found then. No two sweeps have the same id: somebody else's workflow that was called like it would keep it from being started.
 * Returns its id. Throws `temporal-unreachable`, `namespace-unknown`.
 */
export async function requestSweep(settings: TemporalSettings): Promise<string> {
  const client = await connectTemporal(settings);
  const workflowId = `sweep-at-start-${settings.taskQueue}-${randomUUID()}`;
  try {
    await client.workflow.start(sweepWorkflow, {
      workflowId,
      taskQueue: settings.taskQueue,
      workflowExecutionTimeout: sweepTimeoutMs,
      args: [{ dryRun: false, askedBy: 'a worker that has started' } satisfies SweepInput],
    });
    return workflowId;
  } finally {
    await client.connection.close();
  }
}
