import { parseArgs } from 'node:util';
import { shippedRunbooks } from '../runbooks/library.ts';
import { rehearse, simulate, type Assignment, type Verdict } from './simulation/run.ts';
import { startEnvironment, type Environment } from './simulation/environment.ts';

/** How many runs are under way at a time: most of the time each of them waits. */
const runsAtOnceDefault = 12;
const runsAtOnceMax = 100;
const stuckShownMax = 5;

interface Settings {
  assignments: Assignment[];
  runsAtOnce: number;
  json: boolean;
}

/**
 * `npm run simulate -- --seed N --runs M [--runbook R] [--fault-rate 0.2] [--at-once 12] [--json]`: the seeds N to N+M-1, each with
 * every runbook (or the given one). A line for each run, and a last line of JSON; exit code 1 if anything was not as it must be.
 */
async function main(): Promise<number> {
  const { assignments, runsAtOnce, json } = readSettings();
  // What cannot be simulated is heard of before anything starts.
  for (const assignment of assignments) rehearse(assignment);
  const beganAtMs = performance.now();
  const environment = await startEnvironment((sentence) => console.error(sentence));
  const verdicts: Verdict[] = [];
  const report = (verdict: Verdict): void => {
    verdicts.push(verdict);
    console.log(json ? JSON.stringify(verdict) : linesOf(verdict).join('\n'));
  };
  const workerGone = environment.workerEnded.then((how) => Promise.reject(new Error(`the worker is gone: ${how}`)));
  try {
    await Promise.race([Promise.all(Array.from({ length: runsAtOnce }, () => lane(environment, assignments, report))), workerGone]);
  } finally {
    // From here on the worker is meant to end.
    workerGone.catch(() => undefined);
    await environment.stop();
  }
  return conclude(verdicts, (performance.now() - beganAtMs) / 1000);
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '10' },
      runbook: { type: 'string' },
      'fault-rate': { type: 'string', default: '0.2' },
      'at-once': { type: 'string', default: String(runsAtOnceDefault) },
      json: { type: 'boolean', default: false },
    },
  });
  const seed = numberOf('seed', values.seed, { least: 0 });
  const runs = numberOf('runs', values.runs, { least: 1 });
  const faultRate = numberOf('fault-rate', values['fault-rate'], { least: 0, most: 1, whole: false });
  const runsAtOnce = numberOf('at-once', values['at-once'], { least: 1, most: runsAtOnceMax });
  const runbooks = values.runbook === undefined ? shippedRunbooks() : [values.runbook];
  const seeds = Array.from({ length: runs }, (_, index) => seed + index);
  return {
    assignments: seeds.flatMap((each) => runbooks.map((runbook) => ({ seed: each, runbook, faultRate }))),
    runsAtOnce,
    json: values.json,
  };
}

function numberOf(
  option: string,
  text: string,
  { least, most = Number.MAX_SAFE_INTEGER, whole = true }: { least: number; most?: number; whole?: boolean },
): number {
  const value = Number(text);
  if (text !== '' && value >= least && value <= most && (Number.isInteger(value) || !whole)) return value;
  throw new RangeError(`--${option} must be a ${whole ? 'whole ' : ''}number from ${least} to ${most}, not "${text}"`);
}

async function lane(environment: Environment, assignments: Assignment[], report: (verdict: Verdict) => void): Promise<void> {
  for (let next = assignments.shift(); next; next = assignments.shift()) {
    const { seed, runbook } = next;
    report(
      await simulate(environment, next).catch((error: unknown) => {
        throw new Error(`seed ${seed} ${runbook} could not be simulated`, { cause: error });
      }),
    );
  }
}

function linesOf(verdict: Verdict): string[] {
  const { seed, runbook, outcome, seconds, faults, kills, deeds, words, stuckWith, faultRate } = verdict;
  const killed = kills > 0 ? `, its worker killed ${kills} times` : '';
  const head = `seed ${seed} ${runbook}: ${outcome} in ${seconds.toFixed(1)} s, ${faults} faults${killed}`;
  const wrong = wrongsOf(verdict);
  const told = outcome === 'done' && wrong.length === 0 ? [] : [...new Set(stuckWith)].slice(-stuckShownMax);
  const repeat = `repeat: npm run simulate -- --seed ${seed} --runs 1 --runbook ${runbook} --fault-rate ${faultRate}`;
  return [
    head,
    ...(deeds.length > 0 ? [`  somebody else: ${deeds.join('; ')}`] : []),
    ...(wrong.length > 0 ? [`  words: ${words.join(', ')}`] : []),
    ...told.map((line) => `  stuck: ${line}`),
    ...wrong.map((line) => `  WRONG: ${line}`),
    ...(wrong.length > 0 ? [`  ${repeat}`] : []),
  ];
}

function wrongsOf({ violations, doubleEffects, leftovers, troubles }: Verdict): string[] {
  return [...troubles, ...violations, ...doubleEffects, ...leftovers.map((leftover) => `left over: ${leftover}`)];
}

function conclude(verdicts: readonly Verdict[], seconds: number): number {
  const ended = (outcome: Verdict['outcome']): number => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const total = (count: (verdict: Verdict) => number): number => verdicts.reduce((sum, verdict) => sum + count(verdict), 0);
  const said: Record<string, number> = {};
  for (const word of verdicts.flatMap(({ words }) => words)) {
    const [command = ''] = word.split(' ');
    if (!word.includes('(refused')) said[command] = (said[command] ?? 0) + 1;
  }
  console.log(
    JSON.stringify({
      runs: verdicts.length,
      done: ended('done'),
      stuck: ended('stuck'),
      violations: total(({ violations }) => violations.length),
      leftovers: total(({ leftovers }) => leftovers.length),
      doubleEffects: total(({ doubleEffects }) => doubleEffects.length),
      undone: ended('undone'),
      aborted: ended('aborted'),
      rejected: ended('rejected'),
      refused: ended('refused'),
      lost: ended('lost'),
      troubles: total(({ troubles }) => troubles.length),
      faults: total(({ faults }) => faults),
      kills: total(({ kills }) => kills),
      deeds: total(({ deeds }) => deeds.length),
      words: said,
      seconds: Math.round(seconds),
    }),
  );
  return verdicts.some((verdict) => wrongsOf(verdict).length > 0) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  // Runs that are under way would go on without a server.
  process.exit(1);
}
