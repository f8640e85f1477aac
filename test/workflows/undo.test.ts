import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { planBytesMax } from '../../activities/span-size.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { documentOf, startEngine, untilTrue, type Engine, type Site } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('undo');
});
afterAll(() => engine.stop());

const broken = (cause: string): Error => new HoldpointError('action-stuck', { cause, remedy: 'Mend it.' });

const threeSteps = (onFailure = 'stuck') =>
  documentOf(`
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }
  - { id: sign, hold: one }
  - { id: a, uses: kubernetes.drain, with: { nodes: [node-a] } }
  - { id: b, uses: kubernetes.drain, with: { nodes: [node-b] }, onFailure: ${onFailure} }`);

/** A run of dana's in which \`b\` fails after \`work\` and \`a\`. */
async function failedRun(prepare: (site: Site) => void = () => undefined, onFailure?: string) {
  const { cluster, target, site } = engine.newSite();
  site.drainFailures.set('node-b', broken('node-b does not answer.'));
  prepare(site);
  const { run } = await engine.begin(cluster, threeSteps(onFailure));
  await engine.decide(target, 'ada');
  return { run, target, site };
}

const operate = (target: string, command: Parameters<Engine['holdpoint']['operate']>[1], reason = 'back to where we were') =>
  engine.holdpoint.operate(target, command, reason, engine.keys.dana);

describe('undo', () => {
  test('whose plan is larger than a record takes is refused in words, and the run waits on', async () => {
    const { run, target, site } = await failedRun();
    await engine.until(target, 'stuck');
    site.wayBack = 'x'.repeat(planBytesMax);
    const refused = { code: 'undo-too-large', message: expect.stringContaining(' of them in step undo:') as unknown };
    await expect(operate(target, 'undo')).rejects.toMatchObject(refused);
    site.wayBack = 1;
    await expect(operate(target, 'undo')).resolves.toEqual({ phase: 'holding', hold: 'undo' });
    await operate(target, 'abort');
    expect(await engine.verifiedKinds(run)).toContain('attempt.refused');
  });

  test('shows the rollback, has it signed by others, and takes it, the last step first', async () => {
    const { run, target, site } = await failedRun();
    await engine.until(target, 'stuck');
    await expect(operate(target, 'undo')).resolves.toEqual({ phase: 'holding', hold: 'undo' });
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.request).toMatchObject({ hold: 'undo', askedBy: 'dana', policy: { name: 'one' } });
    expect(hold?.plan.steps.map(({ id, plan }) => [id, plan.effects.length])).toEqual([
      ['undo:b', 0],
      ['undo:a', 1],
      ['undo:work', 3],
    ]);
    expect(site.undone).toEqual([]);
    await engine.decide(target, 'grace');
    const state = await engine.until(target, 'undone');
    expect(site.undone).toEqual(['node-a', 'first', 'second', 'third']);
    expect(site.drained).toEqual([]);
    expect(state.ended).toMatchObject({
      leftovers: [],
      reason: expect.stringMatching(/undone as dana asked and grace signed: back to where we were/),
    });
    expect(state.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
      'work undone',
      'sign done',
      'a undone',
      'b undone',
      'undo:a done',
      'undo:work done',
    ]);
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.slice(-8)).toEqual([
      'hold.released',
      'undo.started',
      'step.started',
      'step.done',
      'step.started',
      'step.done',
      'annotations.lifted',
      'run.ended',
    ]);
    await engine.replay(target, { name: 'undo' });
  });

  test('is possible at a hold and in a pause, and comes back there where it is refused', async () => {
    const { cluster, target, site } = engine.newSite();
    await engine.begin(cluster, threeSteps());
    await engine.until(target, 'holding');
    await operate(target, 'undo');
    await engine.decide(target, 'grace', 'reject', 'we go on');
    const again = await engine.until(target, ({ hold }) => hold?.request.hold === 'sign' && hold.request.number === 2);
    expect(again.notice).toBe('undo was rejected by grace: we go on.');
    await operate(target, 'pause');
    await engine.decide(target, 'ada');
    await engine.until(target, 'paused');
    await operate(target, 'undo');
    await engine.decide(target, 'linus');
    await engine.until(target, 'undone');
    expect(site.undone).toEqual(['first', 'second', 'third']);
    expect(site.drained).toEqual([]);
  });

  test('is refused while a step is being carried out, and where nothing has been changed', async () => {
    const { target, site } = await engine.working((site) => site.slow.add('first'));
    await untilTrue(() => site.marks.has('node-first'));
    await expect(operate(target, 'undo')).rejects.toMatchObject({
      code: 'command-refused',
      remedy: 'Commands that are allowed now: pause, abort.',
    });
    site.finishSlow();
    await engine.until(target, 'done');
    const other = engine.newSite();
    await engine.begin(other.cluster);
    await engine.until(other.target, 'holding');
    const nothing = await operate(other.target, 'undo').catch((error: unknown) => error);
    expect(nothing).toMatchObject({ message: expect.stringContaining('it has changed nothing yet that could be undone') });
  });

  test('opens again where the rollback has changed after it was signed', async () => {
    const { target, site } = await failedRun();
    await engine.until(target, 'stuck');
    await operate(target, 'undo');
    const state = await engine.until(target, 'holding');
    site.wayBack = 2;
    await engine.holdpoint.decide(state, state.hold!.request, 'approve', 'fine', engine.keys.grace);
    const second = await engine.until(target, ({ hold }) => hold?.request.number === 2);
    expect(second.hold?.drift).toContainEqual({ step: 'undo:a', kind: 'changed', object: 'fact wayBack', before: 1, after: 2 });
    await engine.decide(target, 'linus');
    await engine.until(target, 'undone');
  });

  test('is refused at once where the rollback is blocked or nothing can be undone; the run stays stuck', async () => {
    const { target, site } = await failedRun();
    await engine.until(target, 'stuck');
    site.undoBlockers = [{ object: 'Node/node-a', reason: 'It is on fire.', remedy: 'Put it out.' }];
    await expect(operate(target, 'undo')).rejects.toMatchObject({
      code: 'undo-blocked',
      remedy: 'Put it out.',
      message: expect.stringContaining('It is on fire.'),
    });
    site.undoBlockers = [];
    site.noUndo = 'What is gone is gone.';
    await expect(operate(target, 'undo')).rejects.toMatchObject({
      code: 'undo-impossible',
      message: expect.stringContaining('What is gone is gone.'),
    });
    expect((await engine.until(target, 'stuck')).stuck?.step).toBe('b');
  });

  test('that fails is stuck itself, and is tried again', async () => {
    const { target, site } = await failedRun();
    await engine.until(target, 'stuck');
    site.undoFailure = broken('The API server does not answer.');
    await operate(target, 'undo');
    await engine.decide(target, 'grace');
    const { stuck, commands } = await engine.until(target, ({ stuck }) => stuck?.step === 'undo:a');
    expect(stuck?.reason).toBe('The API server does not answer.');
    expect(commands).toEqual(['retry', 'skip', 'done', 'pause', 'abort']);
    site.undoFailure = undefined;
    await operate(target, 'retry');
    await engine.until(target, 'undone');
    expect(site.undone).toEqual(['node-a', 'first', 'second', 'third']);
  });

  test('that is aborted halfway says what stays', async () => {
    const { target, site } = await failedRun();
    await engine.until(target, 'stuck');
    await operate(target, 'undo');
    site.undoFailure = broken('The API server does not answer.');
    await engine.decide(target, 'grace');
    await engine.until(target, ({ stuck }) => stuck?.step === 'undo:a');
    await operate(target, 'abort');
    const { ended } = await engine.until(target, 'aborted');
    expect(ended?.leftovers).toEqual([
      'step work (kubernetes.cordon) was done and stays: 3 of 3',
      'step a (kubernetes.drain) was done and stays',
    ]);
  });
});

describe('onFailure: undo', () => {
  test('rolls back automatically, as the signed document says', async () => {
    const { run, target, site } = await failedRun(undefined, 'undo');
    const { ended } = await engine.until(target, 'undone');
    expect(ended?.reason).toBe('undone automatically, as step b failed: node-b does not answer.');
    expect(site.undone).toEqual(['node-a', 'first', 'second', 'third']);
    expect(await engine.verifiedKinds(run)).toEqual(expect.arrayContaining(['step.failed', 'undo.started']));
  });

  test('is stuck with both reasons where the rollback is blocked', async () => {
    const { target, site } = await failedRun((site) => {
      site.undoBlockers = [{ object: 'Node/node-a', reason: 'It is on fire.', remedy: 'Put it out.' }];
    }, 'undo');
    const { stuck } = await engine.until(target, 'stuck');
    expect(stuck).toMatchObject({ step: 'b', reason: expect.stringMatching(/node-b does not answer\..*It is on fire/) });
    site.undoBlockers = [];
    await operate(target, 'undo');
    await engine.decide(target, 'linus');
    await engine.until(target, 'undone');
  });
});
