import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { createArtifactDirectory } from '../activities/artifacts/directory.ts';
import { createArtifactBucket } from '../activities/artifacts/s3.ts';
import type { ArtifactStore } from '../activities/artifacts/store.ts';
import { createSystems } from '../activities/catalogue.ts';
import { createClients } from '../activities/clients.ts';
import { createEvidenceDirectory } from '../activities/evidence/directory.ts';
import { createPayloadStorage } from '../activities/evidence/payloads.ts';
import { createEvidenceBucket } from '../activities/evidence/s3.ts';
import { EvidenceError, type EvidenceStore } from '../activities/evidence/store.ts';
import { createActivities } from '../activities/index.ts';
import { connectTemporal, type TemporalSettings } from '../client/connection.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { artifactsPlace, clustersOf, createConfigurationReader, evidencePlace } from './configuration-file.ts';
import type { WorkerSettings } from './settings.ts';
import { deploymentOptionsOf } from './versioning.ts';
import { workflowCode } from './workflow-code.ts';

/** Progress is shown live, so heartbeats may not be held back for longer than this. */
const heartbeatThrottleMs = 500;
/**
 * Runs that a worker keeps in memory, about a third of a MiB each beside its own 300; those that were quiet for longest give way to
 * others, and are replayed when something is said to them. So the memory does not grow with the runs that are parked. Left to itself, the
 * SDK keeps more the more memory the machine has.
 */
const cachedRunsMax = 500;
/** How long steps may take to finish the unit in hand when the worker is asked to end. */
const shutdownGraceMs = 10_000;

/** A worker that has connected but does not run yet. Throws what connectTemporal throws, and `configuration-invalid`. */
export async function createWorker(settings: WorkerSettings, workflowBundle?: WorkerOptions['workflowBundle']): Promise<Worker> {
  const readConfiguration = createConfigurationReader(settings.configurationFile);
  const configuration = await readConfiguration();
  const evidence = await openEvidence(settings.configurationFile, configuration);
  const artifacts = openArtifacts(settings.configurationFile, configuration);
  const clients = createClients(async () => clustersOf(settings.configurationFile, await readConfiguration()));
  const activities = createActivities({ systems: createSystems(clients, configuration.systems), evidence, artifacts, readConfiguration });
  return Worker.create({
    connection: await connect(settings),
    namespace: settings.namespace,
    taskQueue: settings.taskQueue,
    workerDeploymentOptions: deploymentOptionsOf(settings.version),
    activities,
    dataConverter: { externalStorage: createPayloadStorage(evidence) },
    workflowBundle: workflowBundle ?? (await workflowCode()),
    maxCachedWorkflows: cachedRunsMax,
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: heartbeatThrottleMs,
    shutdownGraceTime: shutdownGraceMs,
  });
}

/** A bucket is asked for its Object Lock first, so that a wrong one is heard of now, not when a run starts. */
async function openEvidence(file: string, configuration: Configuration): Promise<EvidenceStore> {
  const place = evidencePlace(file, configuration);
  if ('directory' in place) return createEvidenceDirectory(place.directory);
  const { logger } = Runtime.instance();
  const store = createEvidenceBucket(place.s3);
  try {
    const { isLocked, sentence } = await store.protection();
    logger.log(isLocked === false ? 'WARN' : 'INFO', sentence);
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const cause = `${error.message} ${error.remedy}`;
    if (error.consequence !== 'retry') throw new HoldpointError('configuration-invalid', { file, cause }, { cause: error });
    logger.warn(cause);
  }
  return store;
}

function openArtifacts(file: string, configuration: Configuration): ArtifactStore {
  const place = artifactsPlace(file, configuration);
  return 's3' in place ? createArtifactBucket(place.s3) : createArtifactDirectory(place.directory);
}

async function connect(settings: TemporalSettings): Promise<NativeConnection> {
  const { address, access } = settings;
  try {
    return await NativeConnection.connect({ address, ...access?.options });
  } catch (error) {
    // The client finds out what is wrong, and says it in words that point to a setting.
    await (await connectTemporal(settings)).connection.close();
    const cause = error instanceof Error ? error.message : String(error);
    throw new HoldpointError('temporal-unreachable', { address, cause }, { cause: error });
  }
}
