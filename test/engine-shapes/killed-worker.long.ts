import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { bordersOfStep, inTheMiddle, placesOf } from '../support/borders.ts';
import { Deaths } from '../support/deaths.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { startMortalWorkers, type MortalWorkers } from '../support/scenario-workers.ts';
import { startEnvironment, told, type Environment, type Scenario } from '../support/scenario.ts';
import { askForShared, testProgram } from '../support/shared.ts';
import { temporalAddress } from '../support/temporal.ts';
import { inputsOfShapes, shapes } from './shapes.ts';

/** The places are dealt to so many runs, which go side by side and share their workers: a death serves each of them. */
const runsForward = 4;
const runsBack = 3;
const limitMs = 400_000;

interface Outcome {
  state: RunState;
  /** Every place in the runbook, those where workers were to die, and those where they did. */
  places: string[];
  kills: string[];
  deaths: string[];
  differences: string[];
  leftovers: string[];
  troubles: string[];
}

let environment: Environment;
let deaths: Deaths;
let workers: MortalWorkers;
let forward: Promise<Outcome>[];
let back: Promise<Outcome>[];
beforeAll(async () => {
  environment = await startEnvironment('shapes', await temporalAddress());
  const directory = join(environment.directory, 'deaths');
  deaths = new Deaths(directory);
  const [bundle, program] = [await askForShared('hasty-workflows'), await testProgram('test/support/crashing-worker')];
  workers = await startMortalWorkers(environment, { bundle, program, taskQueue: environment.name, deaths: directory });
  forward = Array.from({ length: runsForward }, (_, lane) => run(placesForward, lane, runsForward));
  back = Array.from({ length: runsBack }, (_, lane) => run(placesBack, lane, runsBack, 'last'));
  for (const outcome of [...forward, ...back]) outcome.catch(() => undefined);
}, limitMs);
afterAll(async () => {
  await workers.stop();
  await environment.stop();
});

/** The steps of the runbook without those to which a run comes as to others: of three in the list the second, of two within the first. */
async function stepsOf(scenario: Scenario): Promise<{ id: string; changes: boolean }[]> {
  const all = await scenario.steps();
  if (isExhaustive) return all;
  const [, second] = all.filter(({ id }) => id.startsWith('each'));
  return all.filter(({ id }) => id !== second?.id && id !== 'nested/first');
}

async function placesForward(scenario: Scenario): Promise<string[]> {
  return placesOf(await stepsOf(scenario), await scenario.holds());
}

/** Around every step that is undone, and where that begins; nobody is asked where a run rolls back automatically. */
async function placesBack(scenario: Scenario): Promise<string[]> {
  const undone = (await stepsOf(scenario)).filter(({ id, changes }) => changes && id !== 'last').map(({ id }) => `undo:${id}`);
  const borders = [...bordersOfStep, inTheMiddle];
  return [...undone.flatMap((id) => borders.map((border) => `${id}: ${border}`)), 'undo: undo.started'];
}

/** Carries the runbook out among the kills of a lane: every so-manieth place. A step that is named fails, and all is undone. */
async function run(
  placesIn: (scenario: Scenario) => Promise<string[]>,
  lane: number,
  lanes: number,
  failingStep?: string,
): Promise<Outcome> {
  const instead = { document: shapes, inputs: inputsOfShapes };
  const scenario = await environment.raise('shapes', { taskQueue: environment.name, instead });
  const { cluster } = scenario;
  try {
    const before = await scenario.world();
    const places = await placesIn(scenario);
    const kills = places.filter((_place, index) => index % lanes === lane);
    deaths.plan(cluster, {
      wanted: kills,
      ...(failingStep !== undefined && { failing: { step: failingStep, moment: 'before it begins' } }),
    });
    await scenario.begin();
    const state = await Promise.race([scenario.follow(), workers.broken]);
    const differences = told(await scenario.differencesSince(before));
    const [leftovers, troubles] = [await scenario.leftovers(), await scenario.troubles(state)];
    return { state, places, kills, deaths: deaths.of(cluster), differences, leftovers, troubles };
  } catch (error) {
    const died = deaths.of(cluster).join('\n');
    throw new Error(`${String(error)}\nWorkers have died at:\n${died}\nThe last one says:\n${workers.output()}`, { cause: error });
  } finally {
    await scenario.stop();
  }
}

async function expectSound(outcomes: Promise<Outcome>[], phase: RunState['phase']): Promise<Outcome[]> {
  const all = await Promise.all(outcomes);
  for (const { state, kills, deaths, differences, leftovers, troubles } of all) {
    expect(state).toMatchObject({ phase, ended: { leftovers: [] } });
    expect([...deaths].sort()).toEqual([...kills].sort());
    expect({ differences, leftovers, troubles }).toEqual({ differences: [], leftovers: [], troubles: [] });
  }
  return all;
}

describe('a worker that is killed (SIGKILL) at every border of a list, a nested runbook, a condition and a hold', () => {
  test(
    'on the way there: the run goes through, nothing is done twice, and what was left out stays so',
    async () => {
      const [first, ...others] = await expectSound(forward, 'done');
      const kills = [...(first?.kills ?? []), ...others.flatMap((other) => other.kills)];
      expect(kills.sort()).toEqual([...(first?.places ?? [])].sort());
      expect(kills).toEqual(expect.arrayContaining(['sign: hold.requested', 'nested/sign: hold.requested', 'nested/second: act 1']));
      expect(first?.state.steps.map(({ id, status }) => [id, status])).toContainEqual(['never', 'skipped']);
    },
    limitMs,
  );

  test(
    'on the rollback, which the run takes by itself: the world is as before',
    async () => {
      const [first, ...others] = await expectSound(back, 'undone');
      const kills = [...(first?.kills ?? []), ...others.flatMap((other) => other.kills)];
      expect(kills.sort()).toEqual([...(first?.places ?? [])].sort());
      expect(kills).toEqual(expect.arrayContaining(['undo:nested/second: act 1', 'undo: undo.started']));
    },
    limitMs,
  );
});
