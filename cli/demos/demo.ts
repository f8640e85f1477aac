import type { Forecast } from '../../domain/plan/forecast.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { EnvironmentCluster, SandboxCluster } from '../environment.ts';

/** What was seen of the cluster from outside, while runs worked on it. */
export interface Sighting {
  /** What was seen, in one sentence without a full stop. */
  sentence: string;
  /** What must not have been, a sentence each; the demo has failed where there is one. */
  violations: string[];
  leftovers: string[];
  /** What `--json` says of it. */
  counts: JsonObject;
}

/** What was seen of pods and their budgets. */
export function sightingOfPods(
  { podsMoved, violations, leftovers }: { podsMoved: number; violations: string[]; leftovers: string[] },
  seenBy: string,
): Sighting {
  const sentence = `${podsMoved} pods moved, ${violations.length} budget violations seen by ${seenBy}`;
  return { sentence, violations, leftovers, counts: { podsMoved, budgetViolations: violations.length } };
}

/** Something that goes wrong while a step is carried out, so that the run has to be undone. */
export interface Regression<Cluster extends EnvironmentCluster> {
  /** Id of the step. */
  step: string;
  /** What happens, in one sentence. */
  says: string;
  cause(cluster: Cluster): Promise<void>;
}

/** One run of a demo. */
export interface Act<Cluster extends EnvironmentCluster> {
  runbook: string;
  inputs(cluster: Cluster): JsonObject;
  regression?: Regression<Cluster>;
  /** What happens before the run is planned, in one sentence, and what makes it happen. */
  prelude?: { says: string; cause?(cluster: Cluster): Promise<void> };
  /** What keeps the run from being started, as its plan has to say it. */
  refusal?: RegExp;
}

/** What a demo shows, on which cluster. */
export interface Demo<Cluster extends EnvironmentCluster> {
  /** Under this name it is asked for; that of its first runbook, as a rule. */
  name: string;
  acts: readonly Act<Cluster>[];
  /** Called before the first run begins; gives what is called when a run is over. */
  watch(cluster: Cluster): Promise<() => Promise<Sighting>>;
  /** What `--json` says of what the steps of the last run have given, as its record has it; nothing where it is left out. */
  measured?(outputs: readonly JsonObject[]): JsonObject;
  /** What `--json` says besides, of the last run. */
  counts(forecast: Forecast, isDone: boolean): JsonObject;
}

interface Observer {
  violations: { sentence: string }[];
  counters: { podsMoved: number };
}

/** What the observer of a sandbox has seen. */
export async function watchSandbox({ url }: SandboxCluster): Promise<() => Promise<Sighting>> {
  return async () => {
    const { violations, counters } = (await (await fetch(`${url}/sandbox/observer`)).json()) as Observer;
    const seen = { podsMoved: counters.podsMoved, violations: violations.map(({ sentence }) => sentence), leftovers: [] };
    return sightingOfPods(seen, "the sandbox's observer");
  };
}
