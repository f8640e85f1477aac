import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { inTurns } from '../support/in-turns.ts';
import { startEnvironment, told, type Environment } from '../support/scenario.ts';
import { shipped } from '../support/scenarios.ts';
import { startWorkerHere, type WorkerHere } from '../support/scenario-workers.ts';
import { temporalAddress } from '../support/temporal.ts';

const scenariosAtOnceMax = 4;

interface Outcome {
  state: RunState;
  /** What the same runbook with the same inputs would still change, and what would be in its way. */
  changesLeft: string[];
  blockers: string[];
  /** What is not as it was before the run. */
  differences: string[];
  leftovers: string[];
  troubles: string[];
}

describe('after a run that has gone through', () => {
  let environment: Environment;
  let worker: WorkerHere;
  let outcomes: Promise<Outcome>[];
  beforeAll(async () => {
    environment = await startEnvironment('finished', await temporalAddress());
    worker = await startWorkerHere(environment);
    outcomes = inTurns(shipped, scenariosAtOnceMax, carryOut);
  });
  afterAll(async () => {
    await worker.stop();
    await environment.stop();
  });

  async function carryOut(runbook: string): Promise<Outcome> {
    const scenario = await environment.raise(runbook, worker);
    const before = await scenario.world();
    await scenario.begin();
    const state = await scenario.follow();
    const differences = told(await scenario.differencesSince(before));
    const again = await scenario.plan();
    const [changesLeft, blockers] = [changesIn(again), blockersIn(again)];
    return { state, changesLeft, blockers, differences, leftovers: await scenario.leftovers(), troubles: await scenario.troubles(state) };
  }

  test.each(shipped)(
    '%s: the same plan is empty, or the world is as it was before',
    async (runbook) => {
      const { state, changesLeft, blockers, differences, leftovers, troubles } = await outcomes[shipped.indexOf(runbook)]!;
      expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
      expect({ leftovers, troubles }).toEqual({ leftovers: [], troubles: [] });
      // A runbook whose end is its beginning, such as maintenance of nodes, can be carried out again.
      if (differences.length > 0) expect({ changesLeft, blockers, after: differences }).toMatchObject({ changesLeft: [], blockers: [] });
    },
    120_000,
  );
});

function changesIn({ spans }: Forecast): string[] {
  // Each run takes a snapshot of its own.
  const steps = spans.flatMap(({ plan }) => plan.steps).filter(({ uses }) => uses !== 'rds.takeSnapshot');
  return steps.flatMap(({ id, plan }) => plan.effects.map(({ object, change }) => `${id}: ${object}: ${change}`));
}

function blockersIn({ spans }: Forecast): string[] {
  const steps = spans.flatMap(({ plan }) => plan.steps);
  return steps.flatMap(({ id, plan }) => plan.blockers.map(({ object, reason }) => `${id}: ${object}: ${reason}`));
}
