import { setTimeout as wait } from 'node:timers/promises';
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import type { ExternalStorage } from '@temporalio/common';
import { HoldpointError } from '../domain/errors.ts';

const connectTimeoutMs = 5_000;
const pollerCheckTimeoutMs = 5_000;
/** A worker that has just started is known to the server a moment later. */
const pollerAppearsMs = 2_000;
const pollerPauseMs = 100;
/** `NOT_FOUND` of gRPC. */
const grpcNotFound = 5;
/** `TASK_QUEUE_TYPE_WORKFLOW` of the Temporal API. */
const workflowQueueType = 1;

/** Where Temporal is and under which names Holdpoint works there. */
export interface TemporalSettings {
  address: string;
  namespace: string;
  taskQueue: string;
}

/** The settings of this process: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and HOLDPOINT_TASK_QUEUE, else the defaults. */
export function temporalSettings(env: Readonly<Record<string, string | undefined>>): TemporalSettings {
  return {
    address: env.TEMPORAL_ADDRESS ?? '127.0.0.1:7233',
    namespace: env.TEMPORAL_NAMESPACE ?? 'default',
    taskQueue: env.HOLDPOINT_TASK_QUEUE ?? 'holdpoint',
  };
}

/**
 * Connects to Temporal. Throws `temporal-unreachable`, `namespace-unknown`.
 *
 * @param storage where workers keep what is too large for histories. Answers are readable without it; with it, large
 * documents that a run is started with go there, too.
 */
export async function connectTemporal({ address, namespace }: TemporalSettings, storage?: ExternalStorage): Promise<Client> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
    await requireNamespace(connection, { address, namespace });
    return new Client({ connection, namespace, dataConverter: storage && { externalStorage: storage } });
  } catch (error) {
    if (error instanceof HoldpointError) throw error;
    const cause = error instanceof Error ? error.message : String(error);
    throw new HoldpointError('temporal-unreachable', { address, cause }, { cause: error });
  }
}

async function requireNamespace(connection: Connection, { address, namespace }: Omit<TemporalSettings, 'taskQueue'>): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + connectTimeoutMs, () => connection.workflowService.describeNamespace({ namespace }));
  } catch (error) {
    await connection.close();
    if (isGrpcServiceError(error) && Number(error.code) === grpcNotFound) {
      throw new HoldpointError('namespace-unknown', { address, namespace }, { cause: error });
    }
    throw error;
  }
}

/** Makes sure that somebody will take up what is started: without a worker a request would wait unseen. Throws `worker-missing`. */
export async function requireWorker(client: Client, settings: TemporalSettings): Promise<void> {
  const giveUpAt = performance.now() + pollerAppearsMs;
  while (!(await hasWorker(client, settings))) {
    if (performance.now() > giveUpAt) throw new HoldpointError('worker-missing', { queue: settings.taskQueue, address: settings.address });
    await wait(pollerPauseMs);
  }
}

async function hasWorker(client: Client, { namespace, taskQueue }: TemporalSettings): Promise<boolean> {
  const { pollers } = await client.connection.withDeadline(Date.now() + pollerCheckTimeoutMs, () =>
    client.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: workflowQueueType }),
  );
  return (pollers ?? []).length > 0;
}
