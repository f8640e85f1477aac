import { afterEach, expect, test } from '@jest/globals';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEnvironment, type Scenario, type Environment } from '../support/scenario.ts';
import { temporalAddress } from '../support/temporal.ts';

let environment: Environment;
afterEach(() => environment.stop());

const cordonedIn = ({ nodes }: Awaited<ReturnType<Scenario['world']>>): number =>
  nodes.filter(({ is }) => is.includes(' cordoned ')).length;

test('a drain that is paused evicts nothing more, and its cordons are lifted when it is aborted', async () => {
  environment = await startEnvironment('paused', await temporalAddress());
  const worker = await startWorkerProgram(environment);
  const scenario = await environment.raise('node-group-rotation', { taskQueue: environment.name, speed: 30 });
  const before = await scenario.world();
  const { observer } = scenario.sandbox.world;
  const evictions = (): number => observer.summary().counters.evictionsGranted;
  await scenario.begin();
  const draining = await scenario.until(({ progress: { drain } }) => drain?.unit === 'pods' && drain.done >= 5);

  await scenario.operate('pause');
  await scenario.until(({ state }) => state.phase === 'paused');
  const evictedWhenPaused = evictions();
  expect(evictedWhenPaused).toBeLessThan(draining.progress.drain?.total ?? 0);
  expect(cordonedIn(await scenario.world())).toBe(6);

  await scenario.operate('abort');
  const { state } = await scenario.until(({ state }) => state.phase === 'aborted');
  expect(evictions()).toBe(evictedWhenPaused);
  // The new node group stays, which the run says; nothing else is different.
  const differences = await scenario.differencesSince(before);
  expect(differences.filter(({ group }) => group !== 'green')).toEqual([]);
  expect(differences).toHaveLength(7);
  expect(state.ended?.leftovers).toContainEqual(
    expect.stringMatching(/^step drain \(kubernetes.drain\) was stopped before its end: \d+ of \d+ pods gone/),
  );
  expect(await scenario.troubles(state)).toEqual([]);
  await worker.kill();
}, 120_000);
