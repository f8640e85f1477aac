import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HoldpointError } from '../../domain/errors.ts';
import { startEngine, untilTrue, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('pause');
});
afterAll(() => engine.stop());

const denied = (): HoldpointError => new HoldpointError('kubernetes-denied', { cluster: 'demo', call: 'a patch', cause: 'no permission' });

describe('pause', () => {
  test('a pause in the middle of a step takes hold after the unit in hand, and resuming does nothing twice', async () => {
    const working = await engine.working((site) => site.slow.add('second'));
    const { target, site, run } = working;
    await untilTrue(() => site.marks.size === 2);
    await engine.holdpoint.operate(target, 'pause', 'lunch', engine.keys.ada);
    const paused = await engine.until(target, 'paused');
    expect(paused.pauseRequestedBy).toBe('ada');
    expect(site.done).toEqual(['first', 'second']);
    expect(site.marks.size).toBe(2);
    site.finishSlow();
    await engine.holdpoint.operate(target, 'resume', 'back', engine.keys.grace);
    await engine.until(target, 'done');
    expect(site.done).toEqual(['first', 'second', 'third']);
    await expect(engine.verifiedKinds(run)).resolves.toEqual([
      'run.started',
      'plan.made',
      'step.started',
      'command.accepted',
      'run.paused',
      'command.accepted',
      'run.resumed',
      'step.done',
      'annotations.lifted',
      'run.ended',
    ]);
    await engine.replay(target, { name: 'pause' });
  });

  test('a pause that is taken back before it takes hold lets the step go on', async () => {
    const { target, site, run } = await engine.working((made) => made.slow.add('second'));
    await untilTrue(() => site.marks.size === 2);
    await engine.holdpoint.operate(target, 'pause', 'lunch', engine.keys.ada);
    await engine.holdpoint.operate(target, 'resume', 'not hungry', engine.keys.ada);
    // The third unit may be done before we look.
    await untilTrue(() => site.done.length >= 2);
    site.finishSlow();
    await engine.until(target, 'done');
    expect(site.done).toEqual(['first', 'second', 'third']);
    await expect(engine.verifiedKinds(run)).resolves.not.toContain('step.stuck');
  });

  test('a run that is aborted while it is paused in a step lifts its marks', async () => {
    const { target, site } = await engine.working((made) => made.slow.add('second'));
    await untilTrue(() => site.marks.size === 2);
    await engine.holdpoint.operate(target, 'pause', 'lunch', engine.keys.ada);
    await engine.until(target, 'paused');
    await engine.holdpoint.operate(target, 'abort', 'never mind', engine.keys.ada);
    const state = await engine.until(target, 'aborted');
    expect(site.marks.size).toBe(0);
    expect(site.done).toEqual(['first', 'second']);
    expect(state.ended?.leftovers).toEqual(['step work (kubernetes.cordon) was stopped before its end: 2 of 3']);
  });
});

describe('abort and cancel', () => {
  test('an abort in the middle of a step finishes the unit in hand, lifts the marks and closes the record', async () => {
    const { target, site, run } = await engine.working((made) => made.slow.add('second'));
    await untilTrue(() => site.marks.size === 2);
    await engine.holdpoint.operate(target, 'abort', 'wrong cluster', engine.keys.ada);
    const state = await engine.until(target, 'aborted');
    expect(site.done).toEqual(['first', 'second']);
    expect(site.marks.size).toBe(0);
    expect(state.ended).toMatchObject({ reason: 'aborted by ada: wrong cluster' });
    await expect(engine.handle(target).result()).resolves.toMatchObject({ phase: 'aborted' });
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.slice(-3)).toEqual(['command.accepted', 'annotations.lifted', 'run.ended']);
  });

  test('a cancel through Temporal in the middle of a step counts as an abort', async () => {
    const { target, site, run } = await engine.working((made) => made.slow.add('second'));
    await untilTrue(() => site.marks.size === 2);
    await engine.handle(target).cancel();
    const state = await engine.until(target, 'aborted');
    expect(site.done).toEqual(['first', 'second']);
    expect(site.marks.size).toBe(0);
    expect(state.ended).toMatchObject({ reason: 'cancelled through Temporal' });
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.slice(2)).toEqual(['step.started', 'annotations.lifted', 'run.ended']);
  });

  test('marks that cannot be lifted are named in the record, and the run ends all the same', async () => {
    const { target, site, run } = await engine.working((made) => made.slow.add('second'));
    await untilTrue(() => site.marks.size === 2);
    site.releaseFailure = denied();
    await engine.holdpoint.operate(target, 'abort', 'wrong cluster', engine.keys.ada);
    const state = await engine.until(target, 'aborted');
    expect(state.ended?.leftovers).toContainEqual(expect.stringMatching(`cordons of ${run} may still be there.*no permission`));
    await expect(engine.verifiedKinds(run)).resolves.toEqual(expect.arrayContaining(['annotations.kept', 'run.ended']));
  });
});
