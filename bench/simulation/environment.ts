import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { buildWhereStale } from '../../lab/build.ts';
import { programCommand } from '../../cli/program-files.ts';
import { connectTemporal } from '../../client/connection.ts';
import type { Signer } from '../../client/signing.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { findTemporal, startTemporal } from '../../lab/temporal.ts';
import { createCloud, type Cloud } from '../../sandbox/cloud.ts';
import { serveClouds, type CloudOfWorld } from '../../sandbox/clouds.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { makeKeys, writeConfiguration, type Person } from '../../test/support/people.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { speed } from './circumstances.ts';
import type { SimulatedTarget } from './world.ts';

const namespace = 'default';
/** One of the two signs; a hold closes after 20 s of silence. */
const policy = 'production-change: { atLeast: 1, of: sre, exclude: [requester], expires: 20s }';

/** What all runs of a simulation share: a Temporal server, a worker, people with keys, and one endpoint for the EKS of every world. */
export interface Environment {
  client: Client;
  address: string;
  keys: Record<Person, Signer>;
  /** The task queue of the worker that is never killed. */
  taskQueue: string;
  /** Resolves, with its last lines, when that worker has ended: it never should. */
  workerEnded: Promise<string>;
  startWorker(taskQueue: string): Promise<RunningProcess>;
  startWorld(simulated: SimulatedTarget, seed: number): Promise<SimulatedCloud>;
  stop(): Promise<void>;
}

/** A world, with what is wrong with its node groups from outside. */
export type SimulatedCloud = Sandbox & Pick<Cloud, 'setNodegroupIssue'>;

/** Starts it. TEMPORAL_ADDRESS names a server to use instead of one of its own. */
export async function startEnvironment(report: (sentence: string) => void): Promise<Environment> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-simulation-'));
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  await buildWhereStale();
  const temporal = await startTemporal({ source: await findTemporal(report) });
  const { address } = temporal;
  const taskQueue = `simulation-${process.pid}-${Date.now()}`;
  const client = await connectTemporal({ address, namespace, taskQueue });
  await registerSearchAttributes(client.connection, namespace, Object.values(searchAttributes));
  const keys = await makeKeys(join(directory, 'keys'));
  const configuration = await writeConfiguration(directory, keys, policy);
  const clouds = new Map<string, CloudOfWorld>();
  const front = await serveClouds(clouds);
  const awsEndpoint = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  const running = new Set<RunningProcess>();
  const startWorker: Environment['startWorker'] = async (queue) => {
    const worker = await startProcess({
      name: 'The worker',
      ...programCommand('worker/main'),
      env: workerEnvironment({ address, taskQueue: queue, configuration, awsEndpoint }),
      ready: /"listening":true/,
    });
    running.add(worker);
    void worker.ended.then(() => running.delete(worker));
    return worker;
  };
  const shared = await startWorker(taskQueue);
  return {
    client,
    address,
    keys,
    taskQueue,
    workerEnded: shared.ended.then((end) => `${end}\n${shared.output()}`),
    startWorker,
    startWorld: (simulated, seed) => startWorld(clouds, simulated, seed),
    stop: async () => {
      await Promise.all([...running].map((worker) => worker.kill()));
      await client.connection.close();
      front.closeAllConnections();
      front.close();
      await temporal.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Its Kubernetes API is on a port of its own; its EKS is reached through the endpoint that all worlds share. */
async function startWorld(clouds: Map<string, CloudOfWorld>, simulated: SimulatedTarget, seed: number): Promise<SimulatedCloud> {
  let cloud: Cloud | undefined;
  const sandbox = await startSandbox({
    seed: simulated.world,
    speed,
    randomSeed: seed,
    cloud: (world) => {
      cloud = createCloud(world);
      clouds.set(simulated.cluster, { ...cloud, faults: world.faults });
      return cloud.handle;
    },
  });
  return {
    ...sandbox,
    setNodegroupIssue: (clusterName, name, issue) => {
      const group = cloud?.selfManagedGroups.find(({ seed }) => seed.name === name);
      if (group) group.shortage = issue?.message;
      else cloud?.setNodegroupIssue(clusterName, name, issue);
    },
    stop: async () => {
      clouds.delete(simulated.cluster);
      await sandbox.stop();
    },
  };
}

function workerEnvironment(place: { address: string; taskQueue: string; configuration: string; awsEndpoint: string }): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TEMPORAL_ADDRESS: place.address,
    TEMPORAL_NAMESPACE: namespace,
    HOLDPOINT_TASK_QUEUE: place.taskQueue,
    HOLDPOINT_CONFIG: place.configuration,
    HOLDPOINT_LOG_LEVEL: 'error',
    AWS_ENDPOINT_URL: place.awsEndpoint,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** What the server knows of a run that gives no answer: its next workflow task, and the activities that are under way. */
export async function diagnose({ client }: Environment, target: string): Promise<string> {
  try {
    const { raw } = await client.workflow.getHandle(target).describe();
    const { pendingActivities, pendingWorkflowTask, workflowExecutionInfo } = raw;
    const activities = (pendingActivities ?? []).map((activity) => ({
      name: activity.activityType?.name,
      state: activity.state,
      attempt: activity.attempt,
      lastHeartbeat: timeOf(activity.lastHeartbeatTime),
      lastStarted: timeOf(activity.lastStartedTime),
      lastFailure: activity.lastFailure?.message,
    }));
    const task = pendingWorkflowTask && {
      state: pendingWorkflowTask.state,
      attempt: pendingWorkflowTask.attempt,
      scheduled: timeOf(pendingWorkflowTask.scheduledTime),
      started: timeOf(pendingWorkflowTask.startedTime),
    };
    const events = Number(workflowExecutionInfo?.historyLength ?? 0);
    return `at ${new Date().toISOString()} the server knows ${JSON.stringify({ events, task, activities })}`;
  } catch (error) {
    return `the server does not know the run: ${String(error)}`;
  }
}

function timeOf(time: { seconds?: unknown } | null | undefined): string | undefined {
  return time?.seconds === undefined ? undefined : new Date(Number(time.seconds) * 1000).toISOString();
}
