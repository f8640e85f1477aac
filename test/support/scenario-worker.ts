import { dirname, join } from 'node:path';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { createArtifactDirectory } from '../../activities/artifacts/directory.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { createPayloadStorage } from '../../activities/evidence/payloads.ts';
import { createConfigurationReader, evidencePlace } from '../../worker/configuration-file.ts';
import { interferedActivities, type Interference } from './scenario-activities.ts';

/** Progress and pauses are passed on this often at most. */
const heartbeatThrottleMs = 200;
/** When the worker is gone, what it was to do is given to another one after this time. */
const stickyTimeoutMs = 1_000;

/** Makes a worker of the real parts with a test's interference. The AWS SDK finds its endpoint in the environment. */
export async function makeWorker(
  { address, taskQueue, configuration }: { address: string; taskQueue: string; configuration: string },
  interference: Interference,
  workflowBundle: WorkerOptions['workflowBundle'],
): Promise<{ worker: Worker; connection: NativeConnection }> {
  const readConfiguration = createConfigurationReader(configuration);
  const place = evidencePlace(configuration, await readConfiguration());
  if (!('directory' in place)) throw new Error('the tests keep their records in a directory');
  const evidence = createEvidenceDirectory(place.directory);
  const artifacts = createArtifactDirectory(join(dirname(place.directory), 'artifacts'));
  const parts = { systems: createSystems(createClients()), evidence, artifacts, readConfiguration };
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    namespace: 'default',
    taskQueue,
    activities: interferedActivities(parts, interference),
    dataConverter: { externalStorage: createPayloadStorage(evidence) },
    workflowBundle,
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: heartbeatThrottleMs,
    stickyQueueScheduleToStartTimeout: stickyTimeoutMs,
    shutdownForceTime: 5_000,
  });
  return { worker, connection };
}
