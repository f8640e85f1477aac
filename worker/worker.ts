import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { createArtifactDirectory } from '../activities/artifacts/directory.ts';
import { createArtifactBucket } from '../activities/artifacts/s3.ts';
import type { ArtifactStore } from '../activities/artifacts/store.ts';
import { calendarCopies, readCalendars } from '../activities/calendar/read-calendars.ts';
import { createSystems } from '../activities/catalogue.ts';
import { createClients } from '../activities/clients.ts';
import { clustersOf } from '../runbooks/configuration/clusters.ts';
import { backupPlacesOf } from '../runbooks/configuration/backups.ts';
import { etcdClustersOf } from '../runbooks/configuration/etcd.ts';
import { probesOf } from '../runbooks/configuration/probes.ts';
import { createEvidenceDirectory } from '../activities/evidence/directory.ts';
import { createPayloadStorage } from '../activities/evidence/payloads.ts';
import type { Proof } from '../activities/evidence/record.ts';
import { bucketProtection, createEvidenceBucket } from '../activities/evidence/s3.ts';
import { EvidenceError, type EvidenceStore } from '../activities/evidence/store.ts';
import { createBucketObjects, openBucket } from '../activities/storage/bucket.ts';
import { createDirectoryObjects, diskTrouble, requireClosed } from '../activities/storage/directory.ts';
import type { ObjectStore } from '../activities/storage/objects.ts';
import { createActivities } from '../activities/index.ts';
import { connectTemporal, type TemporalSettings } from '../client/connection.ts';
import { readKeyFile } from '../client/keys.ts';
import { HoldpointError } from '../domain/errors.ts';
import { ownValue } from '../domain/map.ts';
import { placeIn } from '../domain/run/place.ts';
import { formatTarget } from '../domain/target.ts';
import type { Configuration, EvidencePlace } from '../runbooks/configuration/configuration.ts';
import {
  anchorPlace,
  artifactsPlace,
  createConfigurationReader,
  endpointsOf,
  evidencePlace,
  notificationsOf,
} from './configuration-file.ts';
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
  const proof = await openProof(settings, configuration);
  const evidence = await openEvidence(settings.configurationFile, configuration, proof);
  const artifacts = openArtifacts(settings.configurationFile, configuration);
  const { configurationFile: file } = settings;
  const clients = createClients({
    clusters: async () => clustersOf(file, await readConfiguration()),
    endpoints: async () => endpointsOf(file, await readConfiguration()),
    waivers: async () => (await readConfiguration()).waivers ?? [],
    etcd: async () => etcdClustersOf(file, await readConfiguration()),
    backups: async () => backupPlacesOf(file, await readConfiguration()),
    probes: async () => probesOf(file, await readConfiguration()),
    ...(settings.member && { place: placeOfMember(settings.member, file, configuration) }),
  });
  const activities = createActivities({
    systems: createSystems(clients, configuration.systems),
    evidence,
    artifacts,
    readConfiguration,
    readNotifications: async () => notificationsOf(settings.configurationFile, await readConfiguration()),
    readCalendars: async (definitions) =>
      (await readCalendars(definitions, { file, copiesFolder: calendarCopies(process.env), nowMs: Date.now() })).calendars,
  });
  return Worker.create({
    connection: await connect(settings),
    namespace: settings.namespace,
    taskQueue: settings.taskQueue,
    workerDeploymentOptions: deploymentOptionsOf(settings.version),
    activities,
    dataConverter: { externalStorage: createPayloadStorage(evidence) },
    // Runs are no business of the worker on the machine of a member.
    ...(settings.member ? {} : { workflowBundle: workflowBundle ?? (await workflowCode()), maxCachedWorkflows: cachedRunsMax }),
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: heartbeatThrottleMs,
    shutdownGraceTime: shutdownGraceMs,
  });
}

/** Throws `configuration-invalid` where holdpoint.yaml has no such member: nothing would ever come for it. */
function placeOfMember({ cluster, name }: { cluster: string; name: string }, file: string, configuration: Configuration): string {
  const members = ownValue(etcdClustersOf(file, configuration), cluster)?.members;
  if (members && ownValue(members, name)) return placeIn(formatTarget({ kind: 'etcd', region: '', name: cluster }), name);
  const cause = `\`etcd.${cluster}.members\` has no "${name}", which \`--member\` names.`;
  throw new HoldpointError('configuration-invalid', { file, cause });
}

/** A key that `holdpoint.yaml` does not know yet is told of: its signatures do not count until it does. */
async function openProof({ configurationFile, keyFile }: WorkerSettings, configuration: Configuration): Promise<Proof> {
  const anchor = await openAnchor(configurationFile, configuration);
  const { logger } = Runtime.instance();
  const known = Object.values(configuration.workers ?? {});
  if (keyFile === undefined) {
    if (known.length > 0) logger.warn('HOLDPOINT_WORKER_KEY is not set: this worker signs no entries, which `evidence verify` objects to.');
    return { anchor };
  }
  const signer = await readKeyFile(keyFile);
  if (!known.some(({ key }) => key === signer.publicKey)) {
    logger.warn(`The key of this worker is not in workers: of holdpoint.yaml; add it: { key: ${signer.publicKey}, from: … }.`);
  }
  return { anchor, signer };
}

async function openAnchor(file: string, configuration: Configuration): Promise<ObjectStore | undefined> {
  const place = anchorPlace(file, configuration);
  if (!place) return undefined;
  await requireUsable(file, place, 'Heads of records');
  return 's3' in place ? createBucketObjects(openBucket(place.s3)) : createDirectoryObjects(place.directory);
}

async function openEvidence(file: string, configuration: Configuration, proof: Proof): Promise<EvidenceStore> {
  const place = evidencePlace(file, configuration);
  await requireUsable(file, place, 'Records');
  return 's3' in place ? createEvidenceBucket(place.s3, proof) : createEvidenceDirectory(place.directory, proof);
}

/** A bucket is asked for its Object Lock first, so that a wrong one is heard of now, not when a run starts. */
async function requireUsable(file: string, place: EvidencePlace, what: 'Records' | 'Heads of records'): Promise<void> {
  if ('directory' in place) {
    await requireClosed(place.directory).catch((error: unknown) => {
      const { why, remedy } = diskTrouble(error);
      throw new HoldpointError('configuration-invalid', { file, cause: `${why}. ${remedy}` }, { cause: error });
    });
    return;
  }
  const { logger } = Runtime.instance();
  try {
    const { isLocked, sentence } = await bucketProtection(place.s3, what);
    logger.log(isLocked === false ? 'WARN' : 'INFO', sentence);
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const cause = `${error.message} ${error.remedy}`;
    if (error.consequence !== 'retry') throw new HoldpointError('configuration-invalid', { file, cause }, { cause: error });
    logger.warn(cause);
  }
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
