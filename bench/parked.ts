import { parseArgs } from 'node:util';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';
import { holdpointContender } from './parked/holdpoint-contender.ts';
import { minimalContender } from './parked/minimal-contender.ts';
import { compare, runsLeast } from './parked/compare.ts';
import { outgrow, outgrownTable } from './parked/outgrow.ts';
import { reportOf, tableOf } from './parked/report.ts';
import { startEnvironment } from './parked/environment.ts';

const runsDefault = 1_000;
const runsMax = 10_000;
const approveAtOnceDefault = 20;
const approveAtOnceMax = 500;

interface Settings {
  runs: number;
  approveAtOnce: number;
  outgrow: boolean;
  json: boolean;
}

/**
 * `npm run bench:parked -- [--runs 1000] [--approve-at-once 20] [--outgrow] [--json]`: opens that many runs at a hold on one worker,
 * looks how much memory it takes, approves them all, and says how many went on and how soon; beside it, in turn with ours, the same with a
 * workflow written by hand. Prints a table, or one line of JSON. Exit code 1 if any run did not go on.
 *
 * With `--outgrow` the runs are only opened, ours alone: it says how the memory grows on the way, and how long a look at a run takes that
 * the worker has given up meanwhile. `--runs 10000` takes about a quarter of an hour.
 */
async function main(): Promise<number> {
  const { runs, approveAtOnce, outgrow: isOutgrown, json } = readSettings();
  const report = (sentence: string): void => console.error(sentence);
  const where = machine();
  const environment = await startEnvironment(runs, report);
  const broken = environment.broken.then((how) => Promise.reject(new Error(`a part of the benchmark is gone: ${how}`)));
  try {
    if (isOutgrown) {
      const figures = { ...(await Promise.race([outgrow(holdpointContender(environment), runs, report), broken])), machine: where };
      console.log(json ? JSON.stringify(figures) : outgrownTable(figures).join('\n'));
      return 0;
    }
    const sides = { ours: holdpointContender(environment), minimal: minimalContender(environment) };
    const comparison = await Promise.race([compare(sides, { runs, approveAtOnce }, report), broken]);
    const figures = { ...reportOf(comparison, { runs, approveAtOnce }), machine: where };
    console.log(json ? JSON.stringify(figures) : tableOf(figures).join('\n'));
    return figures.wentOn === 1 && figures.minimalWentOn === 1 ? 0 : 1;
  } finally {
    // From here on the parts are meant to end.
    broken.catch(() => undefined);
    await environment.stop();
  }
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: String(runsDefault) },
      'approve-at-once': { type: 'string', default: String(approveAtOnceDefault) },
      outgrow: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    runs: wholeNumber('runs', values.runs, runsLeast, runsMax),
    approveAtOnce: wholeNumber('approve-at-once', values['approve-at-once'], 1, approveAtOnceMax),
    outgrow: values.outgrow,
    json: values.json,
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
