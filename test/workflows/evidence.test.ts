import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attemptRefusedSignal } from '../../workflows/messages.ts';
import { runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';

let engine: Engine;
/** Holds back the entry that ends a record. */
let beforeEnd: () => Promise<void> = async () => undefined;
beforeAll(async () => {
  engine = await startEngine('evidence', async (kind) => (kind === 'run.ended' ? beforeEnd() : undefined));
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
    'hold.requested',
    'decision.accepted',
    'decision.accepted',
    'hold.released',
    'step.started',
    'step.done',
    'annotations.lifted',
    'run.ended',
  ]);
  await engine.replay(target, { name: 'hold' });
});

test('nothing comes into the record behind its end: words that arrive while that is written are refused', async () => {
  let isEnding = false;
  let letEnd = (): void => undefined;
  beforeEnd = async () => {
    isEnding = true;
    await new Promise<void>((resolve) => (letEnd = resolve));
  };
  const { target, run } = await engine.working();
  await untilTrue(() => isEnding);
  await engine.handle(target).signal(attemptRefusedSignal, { person: 'ada', attempt: 'approve', code: 'hold-not-waiting', reason: 'late' });
  const abort = engine.holdpoint.operate(target, 'abort', 'stop it', engine.keys.ada);
  await expect(abort).rejects.toMatchObject({
    code: 'command-refused',
    message: `The command abort is not allowed now for the run ${run}: it is ending.`,
  });
  beforeEnd = async () => undefined;
  letEnd();
  await expect(engine.handle(target).result()).resolves.toMatchObject({ phase: 'done' });
  expect((await engine.verifiedKinds(run)).at(-1)).toBe('run.ended');
});
