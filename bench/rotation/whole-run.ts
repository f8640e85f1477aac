import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { endPhases, type Phase } from '../../domain/run/state.ts';
import { programCommand } from '../../cli/program-files.ts';
import { connectTemporal, type TemporalSettings } from '../../client/connection.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { Signer } from '../../client/signing.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { findTemporal, startTemporal } from '../../lab/temporal.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { makeKeys, writeConfiguration } from '../../test/support/people.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { peakMemoryMb } from '../measure/memory.ts';
import { workerEnvironment } from '../measure/worker-environment.ts';
import type { Environment } from './environment.ts';
import { clusterName, region } from './world.ts';

const namespace = 'default';
const runbook = 'node-maintenance';
const lookPauseMs = 500;
const runTimeoutMs = 30 * 60_000;

/** How a run went. */
export interface WholeRun {
  phase: Phase;
  /** From the start of the run to its end, people included, who answer within half a second. */
  seconds: number;
  /** The largest history of all workflow executions of the run. */
  historyEvents: number;
  historyBytes: number;
  executions: number;
  /** The most memory that the worker ever had resident. */
  workerPeakMemoryMb: number;
}

/** A runbook that is carried out, and whoever carries it out. */
export interface OpenRun {
  phase: Promise<Phase>;
  /** When it was signed and began. */
  begunAtMs: number;
  client: Client;
  settings: TemporalSettings;
  worker: RunningProcess;
  /** Starts another worker, after the first was killed. */
  startWorker(): Promise<RunningProcess>;
}

/** A runbook, its inputs, and how soon people answer; whether the end of the worker is the end of the run. */
export interface Wanted {
  runbook: string;
  inputs: JsonObject;
  answerMs: number;
  workerMayEnd?: boolean;
}

/** Starts a run with a real worker on the environment, signed by people who sign whatever they are asked. */
export async function openRun(environment: Environment, wanted: Wanted, report: (sentence: string) => void): Promise<OpenRun> {
  const temporal = await startTemporal({ source: await findTemporal(report) });
  environment.atEnd(() => temporal.stop());
  const settings: TemporalSettings = { address: temporal.address, namespace, taskQueue: `bench-${process.pid}-${Date.now()}` };
  const client = await connectTemporal(settings);
  environment.atEnd(() => client.connection.close());
  await registerSearchAttributes(client.connection, namespace, Object.values(searchAttributes));
  const keys = await makeKeys(join(environment.directory, 'keys'));
  const configuration = await writeConfiguration(environment.directory, keys);
  const startWorker = (): Promise<RunningProcess> =>
    environment.start({
      name: 'The worker',
      ...programCommand('worker/main'),
      env: workerEnvironment(settings, configuration, environment.url),
      ready: /"listening":true/,
    });
  const worker = await startWorker();
  const holdpoint = new Holdpoint(client, settings);
  const document = readRunbook(wanted.runbook);
  const forecast = await holdpoint.plan(document, wanted.inputs);
  const begunAtMs = performance.now();
  const { run, admission } = await holdpoint.start(document, forecast, keys.dana);
  if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
  const over = signUntilOver(holdpoint, run, keys.ada, wanted.answerMs, report);
  if (wanted.workerMayEnd) return { phase: over, begunAtMs, client, settings, worker, startWorker };
  const ended = worker.ended.then((how) => Promise.reject(new Error(`the worker ${how}: ${worker.output()}`)));
  ended.catch(() => undefined);
  return { phase: Promise.race([over, ended]), begunAtMs, client, settings, worker, startWorker };
}

/** Carries `node-maintenance` out on all nodes of the environment, with a real worker, as people would who sign whatever they are asked. */
export async function carryOutRun(environment: Environment, nodesAtOnce: number, report: (sentence: string) => void): Promise<WholeRun> {
  report(`Planning the run on ${environment.nodes.length} nodes.`);
  const inputs = { target: `eks/${region}/${clusterName}`, nodes: environment.nodes, nodesAtOnce };
  const { phase, begunAtMs, client, settings, worker } = await openRun(environment, { runbook, inputs, answerMs: lookPauseMs }, report);
  const how = await phase;
  const seconds = (performance.now() - begunAtMs) / 1000;
  return { phase: how, seconds, ...(await largestHistory(client, settings)), workerPeakMemoryMb: await peakMemoryMb(worker.pid) };
}

async function signUntilOver(
  holdpoint: Holdpoint,
  run: string,
  key: Signer,
  answerMs: number,
  report: (sentence: string) => void,
): Promise<Phase> {
  const giveUpAt = performance.now() + runTimeoutMs;
  let said = '';
  while (performance.now() < giveUpAt) {
    const state = await holdpoint.state(run).catch(unlessSilent);
    if (!state) continue;
    const { phase, hold, stuck, steps } = state;
    if (endPhases.includes(phase)) return phase;
    if (stuck) throw new Error(`the run is stuck: ${JSON.stringify(stuck)}`);
    const sentence = `The run is ${phase}; ${steps.filter(({ status }) => status === 'done').length} of ${steps.length} steps are done.`;
    if (sentence !== said) report(sentence);
    said = sentence;
    if (hold && phase === 'holding') await holdpoint.decide(state, hold.request, 'approve', 'looks right', key);
    await wait(answerMs);
  }
  throw new Error(`the run has not ended after ${runTimeoutMs / 60_000} minutes`);
}

/** While no worker is there nobody answers; whoever waits for the end goes on waiting. */
function unlessSilent(error: unknown): undefined {
  if (!(error instanceof HoldpointError) || error.code !== 'run-silent') throw error;
}

async function largestHistory(
  client: Client,
  { taskQueue }: TemporalSettings,
): Promise<Pick<WholeRun, 'historyEvents' | 'historyBytes' | 'executions'>> {
  const largest = { historyEvents: 0, historyBytes: 0, executions: 0 };
  for await (const { historyLength, historySize } of client.workflow.list({ query: `TaskQueue = '${taskQueue}'` })) {
    largest.historyEvents = Math.max(largest.historyEvents, historyLength);
    largest.historyBytes = Math.max(largest.historyBytes, historySize ?? 0);
    largest.executions += 1;
  }
  return largest;
}
