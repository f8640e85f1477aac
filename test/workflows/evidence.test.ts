import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runbookOf, startEngine, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('evidence');
});
afterAll(() => engine.stop());

test('the record of a run that goes through holds every step of it, in order, and verifies', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run, admission } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  expect(admission).toEqual({ admitted: true });
  await expect(engine.decide(target, 'ada')).resolves.toEqual({ state: 'waiting', missing: 1 });
  await expect(engine.decide(target, 'grace')).resolves.toEqual({ state: 'approved', missing: 0 });
  const state = await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  expect(state.ended?.leftovers).toEqual([]);
  expect(state.steps.map(({ id, status }) => `${id} ${status}`)).toEqual(['look done', 'sign done', 'work done']);
  await expect(engine.verifiedKinds(run)).resolves.toEqual([
    'run.started',
    'plan.made',
    'step.started',
    'step.done',
    'hold.opened',
    'decision.accepted',
    'decision.accepted',
    'hold.approved',
    'step.started',
    'step.done',
    'marks.lifted',
    'run.ended',
  ]);
  await engine.replay(target);
});
