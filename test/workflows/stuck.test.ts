import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HoldpointError } from '../../domain/errors.ts';
import { documentOf, runbookOf, startEngine, untilTrue, type Engine, type Site } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('stuck');
});
afterAll(() => engine.stop());

const broken = (): Error =>
  new HoldpointError('action-stuck', { cause: 'The disk of node-first is full.', remedy: 'Make room, then try again.' });
const twoSteps = documentOf(`
  - { id: sign, hold: one }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }
  - { id: more, uses: kubernetes.drain, with: { nodes: [node-a] } }`);

/** A run of dana's that is stuck at `work`, signed by ada. */
async function stuckRun(prepare: (site: Site) => void = () => undefined): Promise<{ run: string; target: string; site: Site }> {
  const { cluster, target, site } = engine.newSite();
  site.failures.push(broken());
  prepare(site);
  const { run } = await engine.begin(cluster, twoSteps);
  await engine.decide(target, 'ada');
  await engine.until(target, 'stuck');
  return { run, target, site };
}

const operate = (
  target: string,
  command: Parameters<Engine['holdpoint']['operate']>[1],
  person: 'dana' | 'grace' = 'dana',
  reason = 'known trouble',
) => engine.holdpoint.operate(target, command, reason, engine.keys[person]);

describe('a stuck step', () => {
  test('names the reason, the remedy, the code and the choices', async () => {
    const { target } = await stuckRun();
    const { stuck, commands, steps } = await engine.until(target, 'stuck');
    expect(stuck).toEqual({
      step: 'work',
      code: 'action-stuck',
      reason: 'The disk of node-first is full.',
      remedy: 'Make room, then try again.',
    });
    expect(commands).toEqual(['retry', 'skip', 'done', 'pause', 'undo', 'abort']);
    expect(steps.find(({ id }) => id === 'work')).toMatchObject({ status: 'stuck' });
  });

  test.each(['adopt', 'resume'] as const)('refuses %s, which makes no sense, and names what does', async (command) => {
    const { run, target } = await stuckRun();
    const refused = await operate(target, command).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'command-refused',
      remedy: 'Commands that are allowed now: retry, skip, done, pause, undo, abort.',
    });
    await untilTrue(async () => (await engine.verifiedKinds(run)).includes('attempt.refused'));
  });

  test('is left out once a second person has signed that', async () => {
    const { run, target, site } = await stuckRun();
    await expect(operate(target, 'skip')).resolves.toEqual({ phase: 'holding', hold: 'skip:work' });
    const { hold, commands } = await engine.until(target, 'holding');
    expect(hold).toMatchObject({ request: { hold: 'skip:work', askedBy: 'dana', policy: { atLeast: 1 } } });
    expect(hold?.plan.steps).toMatchObject([
      { id: 'work', plan: { effects: [{ object: 'step work' }], facts: { askedBy: 'dana', reason: 'known trouble' } } },
    ]);
    expect(commands).toEqual(['resume', 'abort']);
    await engine.decide(target, 'grace');
    const { steps } = await engine.until(target, 'done');
    expect(steps).toMatchObject([
      { status: 'done' },
      { id: 'work', status: 'skipped', summary: expect.stringMatching(/dana.*grace/) },
      { status: 'done' },
    ]);
    expect(site.done).toEqual([]);
    expect(site.drained).toEqual(['node-a']);
    const skipped = (await engine.entries(run)).find(({ kind }) => kind === 'step.skipped');
    expect(skipped?.body).toMatchObject({ step: 'work', askedBy: 'dana', signedBy: ['grace'], reason: 'known trouble' });
    await engine.verifiedKinds(run);
    await engine.replay(target, { name: 'skip' });
  });

  test('is not left out by the one who asks, by an outsider, or without a reason', async () => {
    const { target } = await stuckRun();
    await expect(operate(target, 'skip', 'grace', ' ')).rejects.toMatchObject({ code: 'reason-missing' });
    await operate(target, 'skip', 'grace');
    const state = await engine.until(target, 'holding');
    const sign = (person: 'grace' | 'oscar' | 'dana') =>
      engine.holdpoint.decide(state, state.hold!.request, 'approve', 'yes', engine.keys[person]);
    await expect(sign('grace')).rejects.toMatchObject({ code: 'asker-excluded' });
    await expect(sign('oscar')).rejects.toMatchObject({ code: 'not-in-group' });
    await expect(sign('dana')).rejects.toMatchObject({ code: 'requester-excluded' });
    await engine.decide(target, 'linus');
    await engine.until(target, 'done');
  });

  test('stays stuck where the second person says no or the asker takes it back; the next one is another request', async () => {
    const { target, site } = await stuckRun();
    await operate(target, 'skip');
    await engine.decide(target, 'ada', 'reject', 'never');
    const { notice, stuck } = await engine.until(target, 'stuck');
    expect(notice).toBe('skip:work was rejected by ada: never.');
    expect(stuck?.step).toBe('work');
    await operate(target, 'skip');
    expect((await engine.until(target, 'holding')).hold?.request.number).toBe(2);
    await operate(target, 'resume');
    expect((await engine.until(target, 'stuck')).notice).toBe('skip:work was taken back.');
    await operate(target, 'retry');
    await engine.until(target, 'done');
    expect(site.done).toHaveLength(3);
  });

  test('that was done by hand counts at once where a look agrees', async () => {
    const { run, target, site } = await stuckRun();
    site.done.push(...site.todo.splice(0));
    await expect(operate(target, 'done')).resolves.toMatchObject({ phase: 'running' });
    const { steps } = await engine.until(target, 'done');
    expect(steps[1]).toMatchObject({ status: 'done', summary: expect.stringContaining('done by hand, says dana, and a look agrees') });
    const done = (await engine.entries(run)).find(({ kind, body }) => kind === 'step.done' && body.step === 'work');
    expect(done?.body).toMatchObject({ byHand: true, saidBy: 'dana', signedBy: [] });
  });

  test('that was done by hand but does not look so needs a second person, who sees what was seen', async () => {
    const { target } = await stuckRun();
    await expect(operate(target, 'done')).resolves.toEqual({ phase: 'holding', hold: 'done:work' });
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.plan.steps[0]?.plan.facts).toMatchObject({ seen: 'todo', askedBy: 'dana' });
    await engine.decide(target, 'linus');
    const { steps } = await engine.until(target, 'done');
    expect(steps[1]).toMatchObject({ status: 'done', summary: expect.stringContaining('signed by linus') });
  });

  test('whose change somebody else has begun can be adopted', async () => {
    const inFlight = new HoldpointError('change-in-flight', { cause: 'Update u-1 does the same', remedy: 'Adopt it.' });
    const { target, site } = await stuckRun((site) => site.failures.splice(0, 1, inFlight));
    expect((await engine.until(target, 'stuck')).commands).toContain('adopt');
    await operate(target, 'adopt');
    await engine.until(target, 'done');
    expect(site.adopted).toBe(true);
  });

  test('is aborted while a second person is waited for', async () => {
    const { target } = await stuckRun();
    await operate(target, 'skip');
    await operate(target, 'abort');
    const { ended } = await engine.until(target, 'aborted');
    expect(ended?.leftovers).toEqual(['step work (kubernetes.cordon) was stopped before its end: 0 of 3']);
  });
});

test('a word about another step than the one that is stuck now is refused', async () => {
  const { target } = await stuckRun();
  const state = await engine.until(target, 'stuck');
  const refusal = await engine
    .sendVerb(target, 'dana', { command: 'retry', step: 'more', run: state.run })
    .catch((error: unknown) => error);
  expect(String((refusal as { cause?: unknown }).cause)).toContain('it is stuck at work, and the command was about more');
});

test('a hold cannot be skipped', async () => {
  const { cluster, target } = engine.newSite();
  await engine.begin(cluster, runbookOf({ policy: 'short' }));
  await engine.until(target, 'stuck');
  await expect(operate(target, 'skip')).rejects.toMatchObject({ remedy: 'Commands that are allowed now: retry, pause, abort.' });
});
