import { setTimeout as wait } from 'node:timers/promises';
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import type { ExternalStorage } from '@temporalio/common';
import { HoldpointError } from '../domain/errors.ts';
import { askAgain } from './temporal/asking.ts';
import { connectionError, requireNetwork } from './temporal/diagnosis.ts';
import { interceptors } from './temporal/interceptors.ts';
import type { TemporalSettings } from './temporal/settings.ts';

export { temporalSettings, type TemporalSettings } from './temporal/settings.ts';

const connectTimeoutMs = 5_000;
/** A worker that has just started is known to the server a moment later. */
const pollerAppearsMs = 2_000;
const pollerPauseMs = 100;
/** `NOT_FOUND` of gRPC. */
const grpcNotFound = 5;
/** `TASK_QUEUE_TYPE_WORKFLOW` of the Temporal API. */
const workflowQueueType = 1;

/**
 * Connects to Temporal. Throws `temporal-unreachable`, `temporal-tls-failed`, `temporal-denied`, `namespace-unknown`.
 *
 * @param storage where workers keep what is too large for histories. Answers are readable without it; with it, large
 * documents that a run is started with go there, too.
 */
export async function connectTemporal(settings: TemporalSettings, storage?: ExternalStorage): Promise<Client> {
  const { address, namespace, access } = settings;
  await requireNetwork(settings);
  const connection = Connection.lazy({ address, connectTimeout: connectTimeoutMs, ...access?.options, interceptors });
  try {
    await connection.ensureConnected();
    await requireNamespace(connection, settings);
    return new Client({ connection, namespace, dataConverter: storage && { externalStorage: storage } });
  } catch (error) {
    // It would go on trying.
    await connection.close();
    throw error instanceof HoldpointError ? error : await connectionError(settings, error);
  }
}

async function requireNamespace(connection: Connection, { address, namespace }: TemporalSettings): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + connectTimeoutMs, () => connection.workflowService.describeNamespace({ namespace }));
  } catch (error) {
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
  const { pollers } = await askAgain(client.connection, () =>
    client.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: workflowQueueType }),
  );
  return (pollers ?? []).length > 0;
}
