import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker, type WorkflowBundle, bundleWorkflowCode } from '@temporalio/worker';
import { createActions } from '../activities/catalogue.ts';
import { createClients } from '../activities/clients.ts';
import { createEvidenceDirectory } from '../activities/evidence/directory.ts';
import { createActivities } from '../activities/index.ts';
import { HoldpointError } from '../domain/errors.ts';
import { createConfigurationReader, evidenceDirectory } from './configuration-file.ts';
import type { WorkerSettings } from './settings.ts';

/** Progress is shown live, so heartbeats may not be held back for longer than this. */
const heartbeatThrottleMs = 500;
/** How long steps may take to finish the unit in hand when the worker is asked to end. */
const shutdownGraceMs = 10_000;

/** A worker that has connected but does not run yet. Throws `temporal-unreachable`, `configuration-invalid`. */
export async function createWorker(settings: WorkerSettings, workflowBundle?: WorkflowBundle): Promise<Worker> {
  const readConfiguration = createConfigurationReader(settings.configurationFile);
  const evidence = createEvidenceDirectory(evidenceDirectory(settings.configurationFile, await readConfiguration()));
  const clients = createClients();
  const activities = createActivities({ clients, actions: createActions(clients), evidence, readConfiguration });
  return Worker.create({
    connection: await connect(settings.address),
    namespace: settings.namespace,
    taskQueue: settings.taskQueue,
    activities,
    workflowBundle: workflowBundle ?? (await bundleWorkflows()),
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: heartbeatThrottleMs,
    shutdownGraceTime: shutdownGraceMs,
  });
}

/** The workflow code in the form in which workers run it. */
export async function bundleWorkflows(): Promise<WorkflowBundle> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const workflowsPath = fileURLToPath(new URL(`../workflows/index.${extension}`, import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: undefined });
}

async function connect(address: string): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({ address });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new HoldpointError('temporal-unreachable', { address, cause }, { cause: error });
  }
}
