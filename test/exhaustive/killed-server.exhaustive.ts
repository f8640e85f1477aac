import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { inTurns } from '../support/in-turns.ts';
import { startMortalServer, type MortalServer } from '../support/mortal-server.ts';
import { startWorkerHere, type WorkerHere } from '../support/scenario-workers.ts';
import { startEnvironment, type Scenario, type Environment } from '../support/scenario.ts';
import { shipped } from '../support/scenarios.ts';
import { hastyWorkflowBundle } from '../support/shared.ts';

interface Outcome {
  state: RunState;
  /** In the middle of which steps, and at which holds, the server was killed; and where it should have been. */
  kills: string[];
  expected: string[];
  leftovers: string[];
  troubles: string[];
}

let directory: string;
let server: MortalServer;
let environment: Environment;
let worker: WorkerHere;
let outcomes: Promise<Outcome>[];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-server-'));
  // Who names a running server with TEMPORAL_ADDRESS may have no program to start another.
  if (process.env.TEMPORAL_ADDRESS) return;
  server = await startMortalServer(directory);
  environment = await startEnvironment('server', server.address);
  worker = await startWorkerHere(environment, hastyWorkflowBundle);
  const scenarios = await Promise.all(shipped.map((runbook) => environment.raise(runbook, worker)));
  // Starting a run while the server goes away would be another test: first all of them are begun.
  let begun = 0;
  let allBegun: () => void = () => undefined;
  const together = new Promise<void>((resolve) => (allBegun = resolve));
  outcomes = inTurns(scenarios, scenarios.length, (scenario) =>
    goThrough(scenario, async () => {
      begun += 1;
      if (begun === scenarios.length) allBegun();
      await together;
    }),
  );
}, 60_000);
afterAll(async () => {
  await worker?.stop();
  await environment?.stop();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function goThrough(scenario: Scenario, untilAllHaveBegun: () => Promise<void>): Promise<Outcome> {
  const kills = new Set<string>();
  const kill = async (where: string): Promise<void> => {
    if (kills.has(where)) return;
    kills.add(where);
    await server.restart();
  };
  let allowed: () => void = () => undefined;
  const killingAllowed = new Promise<void>((resolve) => (allowed = resolve));
  worker.interfere.set(scenario.cluster, {
    aroundPerform: async (_context, perform) => {
      await killingAllowed;
      return perform();
    },
    afterAct: ({ step }) => kill(step),
  });
  await scenario.begin();
  await untilAllHaveBegun();
  allowed();
  const state = await scenario.follow({ atHold: kill });
  const changing = (await scenario.steps()).filter(({ changes }) => changes).map(({ id }) => id);
  const expected = [...changing, ...(await scenario.holds())];
  return { state, kills: [...kills], expected, leftovers: await scenario.leftovers(), troubles: await scenario.troubles(state) };
}

const testWithProgram = process.env.TEMPORAL_ADDRESS ? test.skip : test;

testWithProgram.each(shipped)(
  '%s: a run survives its Temporal server being killed in the middle of every step that changes something, and at every hold',
  async (runbook) => {
    const { state, kills, expected, leftovers, troubles } = await outcomes[shipped.indexOf(runbook)]!;
    expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
    expect(kills.sort()).toEqual(expected.sort());
    expect({ leftovers, troubles }).toEqual({ leftovers: [], troubles: [] });
  },
  300_000,
);
