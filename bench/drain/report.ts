import { percentile, rounded, timesOf } from '../measure/figures.ts';
import type { Contender } from './contenders.ts';
import type { Scenario } from './scenarios.ts';
import type { Turn } from './turn.ts';

/** The line of a scenario: medians over the rounds. */
export interface ScenarioReport {
  scenario: string;
  kubectlSeconds: number;
  kubectlParallelSeconds: number;
  holdpointSeconds: number;
  /** Holdpoint's time over that of one kubectl for all nodes, and over that of one kubectl per node. */
  ratio: number;
  ratioParallel: number;
  requestsPerPodKubectl: number;
  requestsPerPodHoldpoint: number;
  /** Of Holdpoint, over all rounds; null where no budget has opened while pods waited. */
  unblockToEvictionMsP50: number | null;
  unblockToEvictionMsP99: number | null;
}

/** What the last line says of a scenario besides. */
export interface ScenarioDetails {
  title: string;
  pods: number;
  contenders: Record<string, ContenderDetails>;
}

interface ContenderDetails {
  seconds: number[];
  /** Of each round: what it takes at least in the order of evictions that was chosen. */
  boundSeconds: number[];
  requests: Record<string, number>;
  /** Moments in which a budget had fewer healthy pods than it demands, of those looked at. */
  moments: number;
  below: number;
  unblocked: number;
  unblockToEvictionMsP50: number | null;
  unblockToEvictionMsP99: number | null;
}

const hundredths = (value: number): number => Math.round(value * 100) / 100;

/** The line of a scenario out of the turns of all rounds. */
export function reportOf({ letter }: Scenario, turns: readonly Turn[]): ScenarioReport {
  const of = (name: Contender['name']): Turn[] => turns.filter(({ contender }) => contender === name);
  const seconds = (name: Contender['name']): number =>
    percentile(
      of(name).map((turn) => turn.seconds),
      50,
    );
  const [kubectl, parallel, holdpoint] = [seconds('kubectl'), seconds('kubectl, one per node'), seconds('Holdpoint')];
  return {
    scenario: letter,
    kubectlSeconds: rounded(kubectl),
    kubectlParallelSeconds: rounded(parallel),
    holdpointSeconds: rounded(holdpoint),
    ratio: hundredths(holdpoint / kubectl),
    ratioParallel: hundredths(holdpoint / parallel),
    requestsPerPodKubectl: hundredths(percentile(of('kubectl').map(requestsPerPod), 50)),
    requestsPerPodHoldpoint: hundredths(percentile(of('Holdpoint').map(requestsPerPod), 50)),
    ...unblockTimes(of('Holdpoint')),
  };
}

function requestsPerPod({ requests, pods }: Turn): number {
  return total(requests) / pods;
}

function total(requests: Record<string, number>): number {
  return Object.values(requests).reduce((sum, count) => sum + count, 0);
}

function unblockTimes(turns: readonly Turn[]): Pick<ScenarioReport, 'unblockToEvictionMsP50' | 'unblockToEvictionMsP99'> {
  const samples = turns.flatMap(({ unblockToEvictionMs }) => unblockToEvictionMs);
  if (samples.length === 0) return { unblockToEvictionMsP50: null, unblockToEvictionMsP99: null };
  const { msP50, msP99 } = timesOf(samples);
  return { unblockToEvictionMsP50: msP50, unblockToEvictionMsP99: msP99 };
}

/** What stands behind the line: every contender's times, its requests of the last round, and what the witness saw. */
export function detailsOf({ title }: Scenario, turns: readonly Turn[]): ScenarioDetails {
  const names = [...new Set(turns.map(({ contender }) => contender))].sort();
  const contenders = names.map((name): [string, ContenderDetails] => {
    const own = turns.filter(({ contender }) => contender === name);
    const details = {
      seconds: own.map(({ seconds }) => rounded(seconds)),
      boundSeconds: own.map((turn) => rounded(turn.boundSeconds)),
      requests: own.at(-1)?.requests ?? {},
      moments: own.reduce((sum, { moments }) => sum + moments, 0),
      below: own.reduce((sum, { below }) => sum + below, 0),
      unblocked: own.flatMap(({ unblockToEvictionMs }) => unblockToEvictionMs).length,
      ...unblockTimes(own),
    };
    return [name, details];
  });
  return { title, pods: turns[0]?.pods ?? 0, contenders: Object.fromEntries(contenders) };
}
