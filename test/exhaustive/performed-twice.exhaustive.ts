import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { inTurns } from '../support/in-turns.ts';
import { startEnvironment, type Scenario, type Environment } from '../support/scenario.ts';
import { shipped } from '../support/scenarios.ts';
import { startWorkerHere, type WorkerHere } from '../support/scenario-workers.ts';
import { temporalAddress } from '../support/temporal.ts';

const scenariosAtOnceMax = 4;

/** What a step has said and done when it was performed a second time. */
interface Second {
  step: string;
  before: string;
  acts: number;
  writes: number;
  sameOutputs: boolean;
}

interface Outcome {
  state: RunState;
  seconds: Second[];
  expected: Second[];
  leftovers: string[];
  troubles: string[];
}

let environment: Environment;
let worker: WorkerHere;
let outcomes: Promise<Outcome>[];
beforeAll(async () => {
  environment = await startEnvironment('twice', await temporalAddress());
  worker = await startWorkerHere(environment);
  outcomes = inTurns(shipped, scenariosAtOnceMax, carryOutTwice);
});
afterAll(async () => {
  await worker.stop();
  await environment.stop();
});

async function carryOutTwice(runbook: string): Promise<Outcome> {
  const scenario = await environment.raise(runbook, worker);
  const seconds = performTwice(scenario);
  await scenario.begin();
  const state = await scenario.follow();
  const nothingNew = { before: 'done', acts: 0, writes: 0, sameOutputs: true };
  const expected = (await scenario.steps()).map(({ id }) => ({ step: id, ...nothingNew }));
  return { state, seconds, expected, leftovers: await scenario.leftovers(), troubles: await scenario.troubles(state) };
}

/** Has each step of a scenario performed a second time as soon as it is done; steps that go at the same time, one after another. */
function performTwice(scenario: Scenario): Second[] {
  const seconds: Second[] = [];
  let turn: Promise<unknown> = Promise.resolve();
  worker.interfere.set(scenario.cluster, {
    aroundPerform: ({ step }, perform) => {
      const both = turn.then(async () => {
        const first = await perform();
        const writesBefore = scenario.writes();
        const { before, acts, outputs } = await perform();
        const sameOutputs = JSON.stringify(outputs) === JSON.stringify(first.outputs);
        seconds.push({ step, before, acts, writes: scenario.writes() - writesBefore, sameOutputs });
        return first;
      });
      turn = both.catch(() => undefined);
      return both;
    },
  });
  return seconds;
}

test.each(shipped)(
  '%s: each step that is performed twice in a row changes the world once',
  async (runbook) => {
    const { state, seconds, expected, leftovers, troubles } = await outcomes[shipped.indexOf(runbook)]!;
    expect(state).toMatchObject({ phase: 'done' });
    expect(seconds).toEqual(expected);
    expect(leftovers).toEqual([]);
    expect(troubles).toEqual([]);
  },
  120_000,
);
