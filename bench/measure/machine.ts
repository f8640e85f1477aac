import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { rounded } from './figures.ts';

const bytesPerGib = 2 ** 30;

/** The machine that everything ran on, Temporal and the clusters included. */
export interface Machine {
  processors: number;
  model: string;
  memoryGb: number;
  system: string;
  node: string;
  /** Processes that wanted to run, on average of the minute before: whatever exceeds 0 was not the benchmark. */
  loadBefore: number;
}

/** The machine that we run on, as it is before anything is started. */
export function machine(): Machine {
  return {
    processors: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    memoryGb: rounded(totalmem() / bytesPerGib),
    system: `${type()} ${release()}`,
    node: process.version,
    loadBefore: rounded(loadavg()[0] ?? 0),
  };
}
