import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { programCommand } from '../cli/program-files.ts';
import { rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';
import { boundOf, startEnvironment, type Environment } from './rotation/environment.ts';
import { carryOutRun } from './rotation/whole-run.ts';
import { clusterName, rotatedGroup, workloadsFor } from './rotation/world.ts';

const runFile = promisify(execFile);

const nodesDefault = 100;
const nodesMax = 1_000;
/** More nodes than that are a matter for a run; one step could drain as many, but nobody should have to sign that. */
const nodesOfOneDrainMax = 100;
/** No faster: what a drain and the sandbox take for themselves would count so many times. */
const speedOfDrain = 2;
/** A run's own steps take real time, in which the world would otherwise stand still. */
const speedOfRun = 20;
const drainTimeoutMs = 15 * 60_000;
const outputBytesMax = 64 * 1024 * 1024;

/**
 * `npm run bench:rotation -- [--nodes 100] [--json]`: takes so many nodes of a sandbox world with 12.5 pods per node under mixed
 * budgets out of service, in a process of their own each. Up to 100 nodes are one `kubernetes.drain` of all at once, whose makespan
 * is held against the least that budgets and pods allow; more are a whole run of `node-maintenance` on a real worker, 100 at a
 * time, which must end. Exit code 1 where it did not, or where a budget was broken.
 */
async function main(): Promise<number> {
  const { nodes, json } = readSettings();
  const where = machine();
  const isRun = nodes > nodesOfOneDrainMax;
  const speed = isRun ? speedOfRun : speedOfDrain;
  const environment = await startEnvironment({
    program: 'bench/rotation/sandbox-main',
    args: [String(nodes), String(speed)],
    cluster: clusterName,
    nodegroup: rotatedGroup,
    workloads: workloadsFor(nodes),
  });
  try {
    const facts = { nodes, pods: environment.podsToMove.length, nodesAtOnce: Math.min(nodes, nodesOfOneDrainMax), speed };
    const measured = isRun ? await rotateByRun(environment, facts) : await rotateByDrain(environment, facts);
    const { violations, requests, podsLeft } = await environment.observed();
    const seen = { requestsPerPod: Math.round((100 * requests) / facts.pods) / 100, violations, podsLeft };
    const figures = { ...facts, ...measured, ...seen, machine: where };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
    return violations === 0 && podsLeft === 0 ? 0 : 1;
  } finally {
    await environment.stop();
  }
}

interface Facts {
  nodesAtOnce: number;
  speed: number;
}

/** Times in simulated seconds but for that of planning, which is done before anybody waits. */
async function rotateByDrain(environment: Environment, { nodesAtOnce, speed }: Facts): Promise<object> {
  const bound = boundOf(environment, nodesAtOnce);
  const { command, args } = programCommand('cli/main');
  const options = ['--kubeconfig', environment.kubeconfig, '--nodes-at-once', String(nodesAtOnce), '--yes', '--json'];
  const record = ['--record', join(environment.directory, 'record.jsonl')];
  const begunAt = performance.now();
  const { stdout } = await runFile(command, [...args, 'drain', ...environment.nodes, ...options, ...record], {
    timeout: drainTimeoutMs,
    maxBuffer: outputBytesMax,
  });
  const wholeMs = performance.now() - begunAt;
  const { tookMs } = JSON.parse(stdout) as { tookMs: number };
  const makespanSeconds = (tookMs / 1000) * speed;
  return {
    makespanSeconds: rounded(makespanSeconds),
    lowerBoundSeconds: rounded(bound.seconds),
    lowerBoundBy: bound.by,
    ratio: Math.round((100 * makespanSeconds) / bound.seconds) / 100,
    startAndPlanSeconds: rounded((wholeMs - tookMs) / 1000),
  };
}

/** The time of a run is real. */
async function rotateByRun(environment: Environment, { nodesAtOnce, speed }: Facts): Promise<object> {
  const { seconds, ...run } = await carryOutRun(environment, nodesAtOnce, (sentence) => console.error(sentence));
  if (run.phase !== 'done') throw new Error(`the run ended as ${run.phase}`);
  return { seconds: rounded(seconds), lowerBoundSeconds: rounded(boundOf(environment, nodesAtOnce).seconds / speed), ...run };
}

function readSettings(): { nodes: number; json: boolean } {
  const { values } = parseArgs({
    options: { nodes: { type: 'string', default: String(nodesDefault) }, json: { type: 'boolean', default: false } },
  });
  return { nodes: wholeNumber('nodes', values.nodes, 1, nodesMax), json: values.json };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
