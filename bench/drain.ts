import { parseArgs } from 'node:util';
import { bringNodes } from './drain/cluster.ts';
import { detailsOf, reportOf, type ScenarioDetails } from './drain/report.ts';
import { scenarios, type Scenario } from './drain/scenarios.ts';
import { startEnvironment, type Environment } from './drain/environment.ts';
import { takeTurn, type Turn } from './drain/turn.ts';
import { rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';

const roundsDefault = 3;
const roundsMax = 20;

interface Settings {
  chosen: readonly Scenario[];
  rounds: number;
  json: boolean;
}

/**
 * `npm run bench:drain -- [--scenario a]… [--rounds 3] [--json]`: on a real control plane, drains the same nodes of the same pods
 * with one `kubectl drain` for all of them, one `kubectl drain` per node at the same time, and Holdpoint, in turns that begin with
 * another one in each round. Prints a line of JSON per scenario and one with what stands behind them. KUBECTL names the kubectl to
 * use. Exit code 1 where anybody has left fewer healthy pods than a budget demands.
 */
async function main(): Promise<number> {
  const { chosen, rounds, json } = readSettings();
  const report = (sentence: string): void => console.error(sentence);
  const where = machine();
  const environment = await startEnvironment(report);
  const broken = environment.plane.broken.then((how) => Promise.reject(new Error(`a part of the control plane is gone: ${how}`)));
  const details: Record<string, ScenarioDetails> = {};
  try {
    for (const scenario of chosen) {
      const turns = await Promise.race([playRounds(environment, scenario, rounds, report), broken]);
      details[scenario.letter] = detailsOf(scenario, turns);
      console.log(json ? JSON.stringify(reportOf(scenario, turns)) : sentenceOf(scenario, turns));
    }
    const last = { rounds, machine: where, versions: environment.versions, scenarios: details };
    console.log(json ? JSON.stringify(last) : JSON.stringify(last, null, 2));
    const below = Object.values(details).flatMap(({ contenders }) => Object.values(contenders).map(({ below }) => below));
    return below.every((moments) => moments === 0) ? 0 : 1;
  } finally {
    // From here on the parts are meant to end.
    broken.catch(() => undefined);
    await environment.stop();
  }
}

async function playRounds(
  environment: Environment,
  scenario: Scenario,
  rounds: number,
  report: (sentence: string) => void,
): Promise<Turn[]> {
  await bringNodes(environment.plane.request, scenario);
  const turns: Turn[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (let place = 0; place < environment.contenders.length; place += 1) {
      const contender = environment.contenders[(round + place) % environment.contenders.length];
      if (!contender) continue;
      const turn = await takeTurn(environment, scenario, contender, round);
      turns.push(turn);
      const { seconds, pods, requests, below, unblockToEvictionMs } = turn;
      const counted = Object.values(requests).reduce((sum, count) => sum + count, 0);
      const figures = `${rounded(seconds)} s, ${pods} pods, ${counted} requests, ${below} moments below a budget`;
      report(`(${scenario.letter}) round ${round + 1}, ${contender.name}: ${figures}, ${unblockToEvictionMs.length} unblocked.`);
    }
  }
  return turns;
}

function sentenceOf(scenario: Scenario, turns: readonly Turn[]): string {
  const { kubectlSeconds, kubectlParallelSeconds, holdpointSeconds, ...rest } = reportOf(scenario, turns);
  const times = `kubectl ${kubectlSeconds} s, one kubectl per node ${kubectlParallelSeconds} s, Holdpoint ${holdpointSeconds} s`;
  const requests = `requests per pod ${rest.requestsPerPodKubectl} and ${rest.requestsPerPodHoldpoint}`;
  const unblock = `unblock to eviction p50 ${rest.unblockToEvictionMsP50} ms, p99 ${rest.unblockToEvictionMsP99} ms`;
  return `(${scenario.letter}) ${scenario.title}: ${times} (${rest.ratio} and ${rest.ratioParallel}); ${requests}; ${unblock}`;
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', multiple: true, default: scenarios.map(({ letter }) => letter) },
      rounds: { type: 'string', default: String(roundsDefault) },
      json: { type: 'boolean', default: false },
    },
  });
  const rounds = wholeNumber('rounds', values.rounds, 1, roundsMax);
  const chosen = values.scenario.map((letter) => {
    const scenario = scenarios.find((known) => known.letter === letter);
    if (scenario) return scenario;
    throw new RangeError(`--scenario must be one of ${scenarios.map((known) => known.letter).join(', ')}, not "${letter}"`);
  });
  return { chosen, rounds, json: values.json };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
