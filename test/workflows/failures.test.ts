import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { startEngine, untilTrue, type Engine, type Working } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('failures');
});
afterAll(() => engine.stop());

const unreachable = (): HoldpointError => new HoldpointError('kubernetes-unreachable', { cluster: 'demo', call: 'a list', cause: 'gone' });
/** Not one of the errors that a step lets pass by itself, so each of them ends an attempt. */
const broken = (): Error => new Error('the bolt is loose');
const denied = (): HoldpointError => new HoldpointError('kubernetes-denied', { cluster: 'demo', call: 'a patch', cause: 'no permission' });

async function stuckAt({ target }: Working): Promise<RunState['stuck']> {
  return (await engine.until(target, 'stuck')).stuck;
}

describe('failures', () => {
  test('a failure that may pass by itself is tried again, without anybody having to look', async () => {
    const working = await engine.working((site) => site.failures.push(unreachable(), unreachable()));
    await engine.until(working.target, 'done');
    expect(working.site.done).toEqual(['first', 'second', 'third']);
    await expect(engine.verifiedKinds(working.run)).resolves.not.toContain('step.stuck');
  });

  test('a failure that does not pass makes the step stuck with reason and remedy, and retry goes on', async () => {
    const working = await engine.working((site) => site.failures.push(...Array.from({ length: 5 }, broken)));
    const { target, site } = working;
    const told = { reason: 'An unexpected error: the bolt is loose', remedy: 'Look at the log of the worker, then try again.' };
    await expect(stuckAt(working)).resolves.toEqual({ step: 'work', code: 'unexpected', ...told });
    expect(site.failures).toEqual([]);
    expect(site.done).toEqual([]);
    await engine.holdpoint.operate(target, 'retry', 'network is back', engine.keys.dana);
    const state = await engine.until(target, 'done');
    expect(state.stuck).toBeUndefined();
    expect(site.done).toEqual(['first', 'second', 'third']);
  }, 90_000);

  test('a failure that a person must look at makes the step stuck at once', async () => {
    const working = await engine.working((site) => site.failures.push(denied()));
    await expect(stuckAt(working)).resolves.toEqual({
      step: 'work',
      code: 'kubernetes-denied',
      reason: denied().message,
      remedy: denied().remedy,
    });
    expect(working.site.looks).toBe(1);
    await untilTrue(async () => (await engine.verifiedKinds(working.run)).at(-1) === 'step.stuck');
  });

  test('a step that is aborted while it is stuck lifts its marks and names what was left', async () => {
    const working = await engine.working((made) => made.slow.add('second'));
    const { target, site, run } = working;
    await untilTrue(() => site.marks.size === 2);
    site.failures.push(denied());
    site.finishSlow();
    await stuckAt(working);
    expect(site.marks.size).toBe(2);
    await engine.holdpoint.operate(target, 'abort', 'enough', engine.keys.ada);
    const state = await engine.until(target, 'aborted');
    expect(site.marks.size).toBe(0);
    const leftovers = ['step work (kubernetes.cordon) was stopped before its end: 2 of 3'];
    expect(state.ended).toMatchObject({ reason: 'aborted by ada: enough', leftovers });
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.slice(-4)).toEqual(['step.stuck', 'command.accepted', 'annotations.lifted', 'run.ended']);
  });
});

test('a worker that is replaced in the middle of a step, as by a deployment, leaves nothing for a person to do', async () => {
  const { target, site, run } = await engine.working((made) => made.slow.add('second'));
  await untilTrue(() => site.marks.size === 2);
  await engine.replaceWorker();
  expect(site.done).toEqual(['first', 'second']);
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  await expect(engine.verifiedKinds(run)).resolves.not.toContain('step.stuck');
});
