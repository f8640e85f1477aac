import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { findAction } from '../../runbooks/actions/index.ts';
import { placesOf } from '../support/borders.ts';
import { Deaths } from '../support/deaths.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { inTurns } from '../support/in-turns.ts';
import { startMortalWorkers, startWorkerHere, type MortalWorkers, type WorkerHere } from '../support/scenario-workers.ts';
import { startEnvironment, told, type Environment, type Scenario } from '../support/scenario.ts';
import { lastToUndo, missingScenario, shipped, withScenario } from '../support/scenarios.ts';
import { askForShared, testProgram } from '../support/shared.ts';
import { temporalAddress } from '../support/temporal.ts';

/** How often the worker of a run is killed. What each moment of each step comes to is shown by test:exhaustive. */
const killsOfRun = 2;
const scenariosAtOnceMax = 8;
const limitMs = 400_000;

interface Outcome {
  state: RunState;
  differences: string[];
  leftovers: string[];
  troubles: string[];
}

interface Forward extends Outcome {
  /** Where workers were to die, and where they did. */
  kills: string[];
  deaths: string[];
  /** What the same runbook with the same inputs would still change, and what would be in its way. */
  left: string[];
}

let environment: Environment;
let worker: WorkerHere;
let deaths: Deaths;
let mortal: MortalWorkers;
let forward: Promise<Forward>[];
let back: Promise<Outcome>[];
let runsBegun = 0;
const begunAtMs = performance.now();
beforeAll(async () => {
  environment = await startEnvironment('every', await temporalAddress());
  worker = await startWorkerHere(environment);
  const directory = join(environment.directory, 'deaths');
  deaths = new Deaths(directory);
  const [bundle, program] = [await askForShared('hasty-workflows'), await testProgram('test/support/crashing-worker')];
  mortal = await startMortalWorkers(environment, { bundle, program, taskQueue: `${environment.name}-mortal`, deaths: directory });
  const ways = [...shipped.map((runbook) => () => goForward(runbook)), ...shipped.map((runbook) => () => goBack(runbook))];
  const outcomes = inTurns<() => Promise<Outcome>, Outcome>(ways, scenariosAtOnceMax, (go) => go());
  forward = outcomes.slice(0, shipped.length) as Promise<Forward>[];
  back = outcomes.slice(shipped.length);
}, limitMs);
afterAll(async () => {
  const seconds = (performance.now() - begunAtMs) / 1000;
  const each = (seconds / shipped.length).toFixed(1);
  process.stdout.write(`\n${shipped.length} runbooks, ${runsBegun} runs: ${seconds.toFixed(0)} s, ${each} s for each runbook.\n`);
  await mortal.stop();
  await worker.stop();
  await environment.stop();
});

/** The same places each time for the same runbook: the numbers of a linear congruential generator that begins with its name. */
function choose(places: readonly string[], name: string): string[] {
  let number = [...name].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) % 0x7fff_ffff, 7);
  const left = [...places];
  return Array.from({ length: killsOfRun }, () => {
    number = (number * 48_271) % 0x7fff_ffff;
    return left.splice(number % left.length, 1)[0] ?? '';
  });
}

async function begin(scenario: Scenario): Promise<void> {
  runsBegun += 1;
  await scenario.begin();
}

async function goForward(runbook: string): Promise<Forward> {
  // Nodes that are drained at the same time would be tried anew whenever a worker dies of the other one.
  const scenario = await environment.raise(runbook, { taskQueue: `${environment.name}-mortal`, nodesAtOnce: 1 });
  const { cluster } = scenario;
  try {
    const before = await scenario.world();
    const kills = choose(placesOf(await scenario.steps(), await scenario.holds()), runbook);
    deaths.plan(cluster, { wanted: kills });
    await begin(scenario);
    const state = await Promise.race([scenario.follow(), mortal.broken]);
    const differences = told(await scenario.differencesSince(before));
    // What names a node that has been replaced is refused by then.
    const left = await scenario.plan().then(leftIn, (error: unknown) => {
      if (error instanceof RefusedError && error.code === 'node-unknown') return [];
      throw error;
    });
    return { kills, deaths: deaths.of(cluster), left, ...(await outcomeOf(scenario, state, differences)) };
  } catch (error) {
    const died = deaths.of(cluster).join('\n');
    throw new Error(`${String(error)}\nWorkers have died at:\n${died}\nThe last one says:\n${mortal.output()}`, { cause: error });
  } finally {
    await scenario.stop();
  }
}

/**
 * The last step that changes something fails before it begins, so that what has been done can be undone; a single one when it is done.
 */
async function goBack(runbook: string): Promise<Outcome> {
  const scenario = await environment.raise(runbook, worker);
  const changing = (await scenario.steps()).filter(({ changes }) => changes);
  const last = lastToUndo[runbook] ?? changing.at(-1)?.id;
  let failed = false;
  const fail = (): never => {
    failed = true;
    throw new HoldpointError('action-stuck', { cause: 'The test wants it to fail.', remedy: 'Have it undone.' });
  };
  worker.interfere.set(scenario.cluster, {
    aroundPerform: async ({ step }, perform) => {
      if (step !== last || failed) return perform();
      if (changing.length > 1) fail();
      await perform();
      return fail();
    },
  });
  const before = await scenario.world();
  await begin(scenario);
  const stuck = await scenario.follow({ until: ['stuck'] });
  if (stuck.phase === 'stuck') await scenario.operate('undo');
  const state = await scenario.follow();
  const outcome = await outcomeOf(scenario, state, told(await scenario.differencesSince(before)));
  await scenario.stop();
  return outcome;
}

async function outcomeOf(scenario: Scenario, state: RunState, differences: string[]): Promise<Outcome> {
  return { state, differences, leftovers: await scenario.leftovers(), troubles: await scenario.troubles(state) };
}

function leftIn({ spans }: Forecast): string[] {
  // What only reads does so each time, and each run takes a snapshot of its own.
  const isRepeated = (uses: string): boolean => findAction(uses)?.change === 'reads' || uses === 'rds.takeSnapshot';
  const steps = spans.flatMap(({ plan }) => plan.steps).filter(({ uses }) => !isRepeated(uses));
  return steps.flatMap(({ id, plan: { effects, blockers } }) => [
    ...effects.map(({ object, change }) => `${id}: ${object}: ${change}`),
    ...blockers.map(({ object, reason }) => `${id}: ${object}: blocked: ${reason}`),
  ]);
}

describe('every shipped runbook', () => {
  test.each(shipped)(
    '%s goes through though its worker is killed twice (SIGKILL): nothing is done twice or left behind, and nothing is left to do',
    async (runbook) => {
      const { state, kills, deaths, left, differences, leftovers, troubles } = await forward[shipped.indexOf(runbook)]!;
      expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
      expect(deaths.sort()).toEqual(kills.sort());
      expect({ leftovers, troubles }).toEqual({ leftovers: [], troubles: [] });
      // A runbook whose end is its beginning, such as maintenance of nodes, can be carried out again.
      if (differences.length > 0) expect({ left, after: differences }).toMatchObject({ left: [] });
    },
    limitMs,
  );

  test.each(shipped)(
    '%s goes back from its last step, and the world is as before',
    async (runbook) => {
      const { state, differences, leftovers, troubles } = await back[shipped.indexOf(runbook)]!;
      expect(state).toMatchObject({ phase: 'undone', ended: { leftovers: [] } });
      expect({ differences, leftovers, troubles }).toEqual({ differences: [], leftovers: [], troubles: [] });
    },
    limitMs,
  );

  test('is carried out twice, and no more: its part of the time must stay small', () => {
    expect(runsBegun).toBe(2 * shipped.length);
  });

  test('has a scenario, so that these tests carry it out', () => {
    expect(shipped.filter((runbook) => !withScenario.includes(runbook)).map(missingScenario)).toEqual([]);
    expect(withScenario.filter((runbook) => !shipped.includes(runbook))).toEqual([]);
  });
});
