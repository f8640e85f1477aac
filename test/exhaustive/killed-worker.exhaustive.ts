import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { bordersOfStep, inTheMiddle, placesOf } from '../support/borders.ts';
import { Deaths, type FailingStep, type Wanted } from '../support/deaths.ts';
import { inTurns } from '../support/in-turns.ts';
import { startMortalWorkers, type MortalWork } from '../support/scenario-workers.ts';
import { startEnvironment, told, type Scenario, type Environment } from '../support/scenario.ts';
import { shipped } from '../support/scenarios.ts';
import { askForShared, testProgram } from '../support/shared.ts';
import { temporalAddress } from '../support/temporal.ts';

const scenariosAtOnceMax = 5;
const limitMs = 900_000;

interface Outcome {
  state: RunState;
  /** Where workers died, and where they should have at least. */
  deaths: string[];
  expected: string[];
  leftovers: string[];
  troubles: string[];
  /** What is not as it was before the run. */
  differences: string[];
}

/** A run that workers carry out one after another. */
interface Story {
  scenario: Scenario;
  /** Where workers have died so far. */
  died: () => string[];
  /** Has a step fail. */
  fail: (step: string, moment: FailingStep['moment']) => void;
}

let environment: Environment;
let mortal: Pick<MortalWork, 'program' | 'bundle'>;
let there: Promise<Outcome>[];
let back: Promise<Outcome>[];
beforeAll(async () => {
  environment = await startEnvironment('killed', await temporalAddress());
  const bundle = await askForShared('hasty-workflows');
  mortal = { bundle, program: await testProgram('test/support/crashing-worker') };
  const ways = [...shipped.map((runbook) => () => goThrough(runbook)), ...shipped.map((runbook) => () => goBack(runbook))];
  const outcomes = inTurns(ways, scenariosAtOnceMax, (go) => go());
  [there, back] = [outcomes.slice(0, shipped.length), outcomes.slice(shipped.length)];
}, 60_000);
afterAll(() => environment.stop());

async function goThrough(runbook: string): Promise<Outcome> {
  return amongDeaths(
    runbook,
    async ({ scenario, died }) => {
      await scenario.begin();
      const state = await scenario.follow();
      const steps = await scenario.steps();
      return { state, deaths: died(), expected: placesOf(steps, await scenario.holds()) };
    },
    'anywhere',
  );
}

/**
 * The last step that changes something fails before it begins, so that there is something to undo; a single one when it is done.
 * Workers die on the rollback only.
 */
async function goBack(runbook: string): Promise<Outcome> {
  return amongDeaths(
    runbook,
    async ({ scenario, died, fail }) => {
      const changing = (await scenario.steps()).filter(({ changes }) => changes);
      fail(changing.at(-1)?.id ?? '', changing.length > 1 ? 'before it begins' : 'when it is done');
      await scenario.begin();
      const stuck = await scenario.follow({ until: ['stuck'] });
      if (stuck.phase === 'stuck') await scenario.operate('undo');
      const state = await scenario.follow();
      const undone = state.steps.filter(({ id, kind }) => kind === 'action' && id.startsWith('undo:'));
      const deaths = died();
      // What one step undoes may be what the next one would: at least one of them acts.
      const acts = deaths.filter((death) => death.endsWith(`: ${inTheMiddle}`)).slice(0, 1);
      return { state, deaths, expected: [...bordersOf(undone), 'undo: hold.requested', 'undo: undo.started', acts[0] ?? 'an act'] };
    },
    'anywhere on the rollback',
  );
}

function bordersOf(steps: readonly { id: string }[]): string[] {
  return steps.flatMap(({ id }) => bordersOfStep.map((border) => `${id}: ${border}`));
}

let courses = 0;

async function amongDeaths(
  runbook: string,
  go: (story: Story) => Promise<Pick<Outcome, 'state' | 'deaths' | 'expected'>>,
  wanted: Wanted,
): Promise<Outcome> {
  courses += 1;
  const taskQueue = `${environment.name}-${courses}`;
  const directory = join(environment.directory, `deaths-${courses}`);
  const deaths = new Deaths(directory);
  // Nodes that are drained at the same time would be tried anew whenever a worker dies of the other one.
  const scenario = await environment.raise(runbook, { taskQueue, nodesAtOnce: 1 });
  const { cluster } = scenario;
  deaths.plan(cluster, { wanted });
  const workers = await startMortalWorkers(environment, { ...mortal, taskQueue, deaths: directory });
  const died = (): string[] => deaths.of(cluster);
  const fail: Story['fail'] = (step, moment) => deaths.plan(cluster, { failing: { step, moment } });
  try {
    const before = await scenario.world();
    const went = await Promise.race([go({ scenario, died, fail }), workers.broken]);
    const differences = told(await scenario.differencesSince(before));
    return { ...went, differences, leftovers: await scenario.leftovers(), troubles: await scenario.troubles(went.state) };
  } catch (error) {
    const places = died().join('\n');
    throw new Error(`${String(error)}\nWorkers have died at:\n${places}\nThe last one says:\n${workers.output()}`, { cause: error });
  } finally {
    await workers.stop();
    await scenario.stop();
  }
}

describe('workers that are killed with SIGKILL at every border of a step, and within it', () => {
  test.each(shipped)(
    '%s: the run goes through, nothing is done twice, nothing is left behind',
    async (runbook) => {
      const { state, deaths, expected, leftovers, troubles } = await there[shipped.indexOf(runbook)]!;
      expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
      expect(deaths).toEqual(expect.arrayContaining(expected));
      expect({ leftovers, troubles }).toEqual({ leftovers: [], troubles: [] });
    },
    limitMs,
  );

  test.each(shipped)(
    '%s: on the rollback, the world is as before all the same',
    async (runbook) => {
      const { state, deaths, expected, differences, leftovers, troubles } = await back[shipped.indexOf(runbook)]!;
      expect(state).toMatchObject({ phase: 'undone', ended: { leftovers: [] } });
      expect(deaths).toEqual(expect.arrayContaining(expected));
      expect({ differences, leftovers, troubles }).toEqual({ differences: [], leftovers: [], troubles: [] });
    },
    limitMs,
  );
});
