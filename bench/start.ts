import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { startEnvironment, startSandboxCluster } from '../cli/environment.ts';
import { programCommand } from '../cli/program-files.ts';
import { buildWhereStale } from '../lab/build.ts';
import { percentile, rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';

const timesDefault = 15;
const timesMax = 1_000;
const sandboxSpeed = 20;
const target = 'eks/eu-central-1/demo';
const rotation = [
  'node-group-rotation',
  '-i',
  'region=eu-central-1',
  '-i',
  'cluster=demo',
  '-i',
  'nodegroup=blue',
  '-i',
  'newNodegroup=green',
];

/**
 * `npm run bench:start -- [--times 15] [--json]`: how long built commands take, in turns with Node that does nothing.
 * `show` shows a real run that waits at a hold, so it counts what Temporal and the worker take for their answer.
 */
async function main(): Promise<void> {
  const { times, json } = readSettings();
  const where = machine();
  const report = (sentence: string): void => console.error(sentence);
  await buildWhereStale();
  const signal = new AbortController().signal;
  const environment = await startEnvironment({ startCluster: (start) => startSandboxCluster(sandboxSpeed, start), report, signal });
  try {
    const env = { ...process.env, ...environment.env, HOLDPOINT_PERSON: 'dana' };
    const { command, args } = programCommand('cli/main');
    const call = (...words: string[]): void => run(command, [...args, ...words], env);
    call('start', ...rotation, '--yes');
    const contenders: Record<string, () => void> = {
      'node -e 0': () => run(process.execPath, ['-e', '0'], env),
      'holdpoint --help': () => call('--help'),
      'holdpoint show': () => call('show', target),
      'holdpoint runs': () => call('runs'),
      'holdpoint drain --help': () => call('drain', '--help'),
    };
    const samples = new Map(Object.keys(contenders).map((name) => [name, [] as number[]]));
    for (let time = 0; time < times; time += 1) {
      for (const [name, start] of Object.entries(contenders)) {
        const begunAt = performance.now();
        start();
        samples.get(name)?.push(performance.now() - begunAt);
      }
    }
    const medians = Object.fromEntries([...samples].map(([name, ms]) => [name, rounded(percentile(ms, 50))]));
    const figures = { times, mediansMs: medians, machine: where };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
  } finally {
    await environment.stop();
  }
}

/** A run that waits at a hold is told with exit code 3. */
function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
  const { status, stderr } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (status !== 0 && status !== 3) throw new Error(`${args.join(' ')} ended with exit code ${String(status)}: ${stderr}`);
}

function readSettings(): { times: number; json: boolean } {
  const { values } = parseArgs({
    options: { times: { type: 'string', default: String(timesDefault) }, json: { type: 'boolean', default: false } },
  });
  return { times: wholeNumber('times', values.times, 1, timesMax), json: values.json };
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
