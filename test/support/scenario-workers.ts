import { Runtime, type WorkerOptions } from '@temporalio/worker';
import { programCommand } from '../../cli/program-files.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { useEnvironment } from './cluster.ts';
import type { Interference } from './scenario-activities.ts';
import { quietTemporal } from './quiet-temporal.ts';
import { makeWorker } from './scenario-worker.ts';
import type { Environment } from './scenario.ts';
import { workflowBundle } from './shared.ts';

/** A worker in the process of the test. */
export interface WorkerHere {
  taskQueue: string;
  /** What the test does around the work of a cluster; nothing unless set. */
  interfere: Map<string, Interference>;
  stop(): Promise<void>;
}

/** Starts one for all scenarios; `interfere` says cluster by cluster what is done to its work. The code is ours unless given. */
export async function startWorkerHere(
  { name: taskQueue, address, configuration, awsEndpoint }: Environment,
  bundle: () => Promise<NonNullable<WorkerOptions['workflowBundle']>> = workflowBundle,
): Promise<WorkerHere> {
  useEnvironment(awsEndpoint);
  quietTemporal();
  const interfere = new Map<string, Interference>();
  const interference: Interference = {
    aroundPerform: (context, perform) => interfere.get(context.cluster)?.aroundPerform?.(context, perform) ?? perform(),
    afterAct: async (context, acts) => interfere.get(context.cluster)?.afterAct?.(context, acts),
  };
  const { worker, connection } = await makeWorker({ address, taskQueue, configuration }, interference, await bundle());
  const running = worker.run();
  running.catch(() => undefined);
  return {
    taskQueue,
    interfere,
    stop: async () => {
      worker.shutdown();
      await running.catch(() => undefined);
      await connection.close();
      await Runtime.instance().shutdown();
    },
  };
}

/** Starts the worker as people start it: as a program of its own, with the time limits of production. */
export async function startWorkerProgram(
  environment: Environment,
  taskQueue = environment.name,
  more: NodeJS.ProcessEnv = {},
): Promise<RunningProcess> {
  const env = { ...environmentOf(environment, taskQueue), HOLDPOINT_LOG_LEVEL: 'warn', ...more };
  return startProcess({ name: 'The worker', ...programCommand('worker/main'), env, ready: /"listening":true/ });
}

function environmentOf({ address, configuration, awsEndpoint }: Environment, taskQueue: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TEMPORAL_ADDRESS: address,
    HOLDPOINT_TASK_QUEUE: taskQueue,
    HOLDPOINT_CONFIG: configuration,
    AWS_ENDPOINT_URL: awsEndpoint,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** Workers that die by their own hand, one after another. */
export interface MortalWorkers {
  /** Never resolves; rejects where a worker cannot be started. */
  broken: Promise<never>;
  /** What the present one has printed. */
  output(): string;
  stop(): Promise<void>;
}

/** What mortal workers are started with. */
export interface MortalWork {
  taskQueue: string;
  /** Paths of the worker and of the workflow code: see testProgram and `hasty-workflows` of askForShared. */
  program: string;
  bundle: string;
  /** The directory of what is to befall them: see Deaths. */
  deaths: string;
}

/**
 * Starts a worker that dies by its own hand (test/support/crashing-worker.ts), and a new one each time it has, until it is told to
 * stop; resolves when the first one listens. Runs that share one share its deaths, too, which is what makes many of them affordable.
 */
export async function startMortalWorkers(environment: Environment, work: MortalWork): Promise<MortalWorkers> {
  let stopped = false;
  let present = await startMortalWorker(environment, work);
  const keepOneAlive = async (): Promise<void> => {
    for (;;) {
      await present.ended;
      if (stopped) return;
      present = await startMortalWorker(environment, work);
      if (stopped) await present.kill();
    }
  };
  const keeping = keepOneAlive();
  const broken = keeping.then(() => new Promise<never>(() => undefined));
  broken.catch(() => undefined);
  return {
    broken,
    output: () => `${present.pid} ${present.output()}`,
    stop: async () => {
      stopped = true;
      await present.kill();
      await keeping.catch(() => undefined);
    },
  };
}

function startMortalWorker(environment: Environment, { taskQueue, program, bundle, deaths }: MortalWork): Promise<RunningProcess> {
  const env = { ...environmentOf(environment, taskQueue), HOLDPOINT_TEST_BUNDLE: bundle, HOLDPOINT_TEST_DEATHS: deaths };
  return startProcess({ name: 'The mortal worker', command: process.execPath, args: [program], env, ready: /"listening":true/ });
}
