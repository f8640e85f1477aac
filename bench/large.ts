import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { programCommand } from '../cli/program-files.ts';
import { measureCommand, type MeasuredCommand } from './measure/command.ts';
import { percentile, rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';
import { clusterName, daemonSets, drainedGroup, drainedNodes, workloadsFor } from './large/world.ts';
import { boundOf, startEnvironment, type Environment } from './rotation/environment.ts';

const nodesDefault = 5_000;
const podsDefault = 150_000;
const plansDefault = 3;
const plannedNodes = 20;
const planTimeoutMs = 10 * 60_000;
const drainTimeoutMs = 30 * 60_000;
/** What the sandbox needs for each pod and each node; Node would give it less. */
const sandboxMemoryMb = 12_000;

/** What is asked of Holdpoint. */
const goals = { planSeconds: 20, planPeakMemoryMb: 1_500, drainRatio: 1.1 };

/**
 * `npm run bench:large -- [--nodes 5000] [--pods 150000] [--plans 3] [--json]`: a sandbox with a large cluster, in a process of its own.
 * Plans a drain of 20 nodes, so many times, then drains 100, whose makespan is held against the least that budgets and pods allow.
 * Exit code 1 where a goal is not reached, a budget was broken, or pods are left.
 */
async function main(): Promise<number> {
  const { nodes, pods, plans, json } = readSettings();
  const where = machine();
  const begunAt = performance.now();
  const environment = await startEnvironment({
    program: 'bench/large/sandbox-main',
    args: [String(nodes), String(pods)],
    nodeArgs: [`--max-old-space-size=${sandboxMemoryMb}`],
    cluster: clusterName,
    nodegroup: drainedGroup,
    workloads: workloadsFor(pods - daemonSets * nodes),
  });
  try {
    console.error(`The sandbox is up after ${rounded((performance.now() - begunAt) / 1000)} s.`);
    const planned = await planRepeatedly(environment, plans);
    const drained = await drain(environment);
    const { violations, podsLeft } = await environment.observed();
    const figures = { nodes, pods, ...planned, ...drained, violations, podsLeft, goals, machine: where };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
    const isReached =
      planned.planSeconds <= goals.planSeconds &&
      planned.planPeakMemoryMb <= goals.planPeakMemoryMb &&
      drained.drainRatio <= goals.drainRatio;
    return isReached && violations === 0 && podsLeft === 0 ? 0 : 1;
  } finally {
    await environment.stop();
  }
}

async function planRepeatedly(environment: Environment, plans: number): Promise<{ planSeconds: number; planPeakMemoryMb: number }> {
  const measured: MeasuredCommand[] = [];
  for (let round = 0; round < plans; round += 1) {
    const plan = await holdpoint(environment, ['drain', ...environment.nodes.slice(0, plannedNodes), '--plan'], planTimeoutMs);
    console.error(`Plan ${round + 1}: ${rounded(plan.seconds)} s, ${plan.peakMemoryMb} MiB.`);
    measured.push(plan);
  }
  const median = (figure: (plan: MeasuredCommand) => number): number => rounded(percentile(measured.map(figure), 50));
  return { planSeconds: median(({ seconds }) => seconds), planPeakMemoryMb: median(({ peakMemoryMb }) => peakMemoryMb) };
}

/** All of the group at once. The sandbox's time is ours. */
async function drain(environment: Environment): Promise<Record<string, unknown> & { drainRatio: number }> {
  const { nodes, podsToMove, directory } = environment;
  const bound = boundOf(environment, drainedNodes);
  const options = ['--nodes-at-once', String(drainedNodes), '--yes', '--record', join(directory, 'record.jsonl')];
  const { stdout, peakMemoryMb } = await holdpoint(environment, ['drain', ...nodes, ...options], drainTimeoutMs);
  const seconds = (JSON.parse(stdout) as { tookMs: number }).tookMs / 1000;
  return {
    drainedNodes,
    drainedPods: podsToMove.length,
    drainSeconds: rounded(seconds),
    drainBoundSeconds: rounded(bound.seconds),
    drainBoundBy: bound.by,
    drainRatio: Math.round((100 * seconds) / bound.seconds) / 100,
    drainPeakMemoryMb: peakMemoryMb,
  };
}

function holdpoint({ kubeconfig }: Environment, words: readonly string[], timeoutMs: number): Promise<MeasuredCommand> {
  const { command, args } = programCommand('cli/main');
  return measureCommand(command, [...args, ...words, '--kubeconfig', kubeconfig, '--json'], timeoutMs);
}

function readSettings(): { nodes: number; pods: number; plans: number; json: boolean } {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: String(nodesDefault) },
      pods: { type: 'string', default: String(podsDefault) },
      plans: { type: 'string', default: String(plansDefault) },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    nodes: wholeNumber('nodes', values.nodes, 2 * drainedNodes, nodesDefault),
    pods: wholeNumber('pods', values.pods, 1_000, podsDefault),
    plans: wholeNumber('plans', values.plans, 1, 20),
    json: values.json,
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
