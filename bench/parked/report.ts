import type { Measurement, Sides } from './compare.ts';
import { rounded, timesOf } from '../measure/figures.ts';
import type { Machine } from '../measure/machine.ts';
import { minimalLacks } from './minimal-contender.ts';

const labelWidth = 52;
const columnWidth = 13;

/** How soon the next step starts after an approval, on both sides. */
interface Latency {
  approvals: number;
  approvalToStepMsP50: number;
  approvalToStepMsP99: number;
  minimalMsP50: number;
  minimalMsP99: number;
  /** How many times as long as the workflow written by hand we take. */
  ratioP50: number;
}

/** All that the benchmark says; times are of approvals sent many at once, but for those in `oneAtATime`. */
export interface Report extends Latency {
  runs: number;
  approveAtOnce: number;
  workerMemoryMb: number;
  workerMemoryIdleMb: number;
  minimalWorkerMemoryMb: number;
  minimalWorkerMemoryIdleMb: number;
  /** Share of the runs that took the next step after the approval and ended as they should: 1 is all of them. */
  wentOn: number;
  minimalWentOn: number;
  oneAtATime: Latency;
  /** Runs that act once and come to their end, per second, while many are approved at once. */
  actionsPerSecond: number;
  minimalActionsPerSecond: number;
  /** The event of the history that counts as the start of the step, the same on both sides. */
  stepStart: 'ActivityTaskStarted';
  minimalLacks: string[];
}

/** The figures of a comparison. */
export function reportOf({ ours, minimal }: Sides<Measurement>, { runs, approveAtOnce }: Pick<Report, 'runs' | 'approveAtOnce'>): Report {
  return {
    runs,
    approveAtOnce,
    workerMemoryMb: ours.memoryHoldingMb,
    workerMemoryIdleMb: ours.memoryIdleMb,
    minimalWorkerMemoryMb: minimal.memoryHoldingMb,
    minimalWorkerMemoryIdleMb: minimal.memoryIdleMb,
    wentOn: ours.wentOn / runs,
    minimalWentOn: minimal.wentOn / runs,
    ...latencyOf(ours.atOnceMs, minimal.atOnceMs),
    oneAtATime: latencyOf(ours.oneAtATimeMs, minimal.oneAtATimeMs),
    actionsPerSecond: rounded(ours.endedPerSecond),
    minimalActionsPerSecond: rounded(minimal.endedPerSecond),
    stepStart: 'ActivityTaskStarted',
    minimalLacks,
  };
}

function latencyOf(oursMs: readonly number[], minimalMs: readonly number[]): Latency {
  const [ours, minimal] = [timesOf(oursMs), timesOf(minimalMs)];
  return {
    approvals: oursMs.length,
    approvalToStepMsP50: ours.msP50,
    approvalToStepMsP99: ours.msP99,
    minimalMsP50: minimal.msP50,
    minimalMsP99: minimal.msP99,
    ratioP50: rounded(ours.msP50 / minimal.msP50),
  };
}

/** The report for people. */
export function tableOf(report: Report & { machine: Machine }): string[] {
  const { runs, approveAtOnce, oneAtATime, machine: where } = report;
  const percent = (share: number): string => `${rounded(share * 100)} %`;
  const times = (how: string, { approvalToStepMsP50, approvalToStepMsP99, minimalMsP50, minimalMsP99 }: Latency): string[] => [
    row(`approval to next step, ${how}, p50 (ms)`, approvalToStepMsP50, minimalMsP50),
    row(`approval to next step, ${how}, p99 (ms)`, approvalToStepMsP99, minimalMsP99),
  ];
  return [
    row(`${runs} runs open at a hold, one worker`, 'Holdpoint', 'by hand'),
    row('memory of the worker, idle (MiB)', report.workerMemoryIdleMb, report.minimalWorkerMemoryIdleMb),
    row('memory of the worker, all at their hold (MiB)', report.workerMemoryMb, report.minimalWorkerMemoryMb),
    row('went on after the approval', percent(report.wentOn), percent(report.minimalWentOn)),
    ...times('one at a time', oneAtATime),
    ...times(`${approveAtOnce} at once`, report),
    row(`actions per second, ${approveAtOnce} approvals at once`, report.actionsPerSecond, report.minimalActionsPerSecond),
    '',
    'The time is from sending the second of two approvals until a worker takes up the next step (ActivityTaskStarted).',
    `What the workflow written by hand lacks: ${report.minimalLacks.join('; ')}.`,
    `Machine: ${where.processors} × ${where.model}, ${where.memoryGb} GiB, ${where.system}, Node ${where.node}.`,
    `Its load before was ${where.loadBefore}; Temporal, the clusters and both workers ran on it.`,
  ];
}

function row(label: string, ...cells: (string | number)[]): string {
  return label.padEnd(labelWidth) + cells.map((cell) => String(cell).padStart(columnWidth)).join('');
}
