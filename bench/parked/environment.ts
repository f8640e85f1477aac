import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { connectTemporal, type TemporalSettings } from '../../client/connection.ts';
import { programCommand } from '../../cli/program-files.ts';
import type { Signer } from '../../client/signing.ts';
import { buildWhereStale } from '../../lab/build.ts';
import { buildProgramsApart } from '../../lab/build-programs.ts';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { findTemporal, startTemporal } from '../../lab/temporal.ts';
import { makeKeys, writeConfiguration, type Person } from '../../test/support/people.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { workerEnvironment } from '../measure/worker-environment.ts';

/** Of the runbook that waits. */
const policy = 'two-people: { atLeast: 2, of: sre, exclude: [requester], expires: 24h }';

const minimalWorkflow = fileURLToPath(new URL('minimal-workflow.ts', import.meta.url));
const namespace = 'default';
/** A thousand clusters take a while to come up. */
const sandboxReadyTimeoutMs = 5 * 60_000;

/** A side of the comparison: its task queue and the one worker process that serves it. */
export interface Side {
  settings: TemporalSettings;
  worker: RunningProcess;
}

/** Everything that both sides share, and their workers. */
export interface Environment {
  client: Client;
  keys: Record<Person, Signer>;
  ours: Side;
  minimal: Side;
  /** Resolves when a part has ended that never should, with a sentence on which and how, and its last lines. */
  broken: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts Temporal, a sandbox with so many clusters, our worker and the worker of the minimal workflow, each in its own process.
 * TEMPORAL_ADDRESS names a server to use instead; times are only right if it reads the clock of this machine.
 */
export async function startEnvironment(clusters: number, report: (sentence: string) => void): Promise<Environment> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-parked-'));
    stops.push(() => rm(directory, { recursive: true, force: true }));
    await buildWhereStale();
    await buildProgramsApart(join(directory, 'programs'), ['bench/parked/sandbox-main', 'bench/parked/minimal-worker']);
    const program = (file: string, ...args: string[]): Pick<ProcessOptions, 'command' | 'args'> => ({
      command: process.execPath,
      args: [join(directory, 'programs', file), ...args],
    });
    const temporal = await startTemporal({ source: await findTemporal(report) });
    stops.push(() => temporal.stop());
    const { address } = temporal;
    const place = (name: string): TemporalSettings => ({ address, namespace, taskQueue: `parked-${name}-${process.pid}-${Date.now()}` });
    const client = await connectTemporal(place('client'));
    stops.push(() => client.connection.close());
    await registerSearchAttributes(client.connection, namespace, Object.values(searchAttributes));
    const keys = await makeKeys(join(directory, 'keys'));
    const configuration = await writeConfiguration(directory, keys, policy);
    const running: RunningProcess[] = [];
    const start = async (options: ProcessOptions): Promise<RunningProcess> => {
      const started = await startProcess(options);
      running.push(started);
      stops.push(() => started.kill());
      return started;
    };
    const sandbox = await start({
      name: 'The sandbox',
      ...program('bench/parked/sandbox-main.js', String(clusters)),
      ready: /"url":"(?<url>[^"]+)"/,
      readyTimeoutMs: sandboxReadyTimeoutMs,
    });
    const awsEndpoint = sandbox.readyMatch?.groups?.url ?? '';
    const startWorker = async (name: string, command: Pick<ProcessOptions, 'command' | 'args'>): Promise<Side> => {
      const settings = place(name);
      const env = workerEnvironment(settings, configuration, awsEndpoint);
      return { settings, worker: await start({ name: `The worker (${name})`, ...command, env, ready: /"listening":true/ }) };
    };
    const ours = await startWorker('holdpoint', programCommand('worker/main'));
    const minimal = await startWorker('minimal', program('bench/parked/minimal-worker.js', minimalWorkflow));
    const broken = Promise.race(running.map(async (part) => `${await part.ended}\n${part.output()}`));
    return { client, keys, ours, minimal, broken, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
