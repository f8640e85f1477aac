import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EvidenceError } from '../../activities/evidence/store.ts';
import { attemptRefusedSignal } from '../../workflows/messages.ts';
import { runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';

let engine: Engine;
/** Holds back the entry that ends a record. */
let beforeEnd: () => Promise<void> = async () => undefined;
/** Thrown by the next attempts to write an entry of that kind, one each. */
const failures = new Map<string, Error[]>();
beforeAll(async () => {
  engine = await startEngine('evidence', async (kind) => {
    const failure = failures.get(kind)?.shift();
    if (failure) throw failure;
    if (kind === 'run.ended') await beforeEnd();
  });
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

test('what follows from the last signature is written by one activity, before the step begins', async () => {
  const { cluster, target } = engine.newSite();
  await engine.begin(cluster, runbookOf({ policy: 'one' }));
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const { events = [] } = await engine.handle(target).fetchHistory();
  const types = (events ?? []).map((event) => {
    if (event.workflowExecutionUpdateAcceptedEventAttributes) return 'update';
    return event.activityTaskScheduledEventAttributes?.activityType?.name ?? '';
  });
  const afterwards = types.slice(types.lastIndexOf('update') + 1).filter((type) => type !== '');
  expect(afterwards.slice(0, 2)).toEqual(['record', 'perform']);
});

test.each([
  ['a disk that fails once', new Error('EIO: i/o error')],
  ['a store that refuses it once', new EvidenceError('evidence-entry-malformed', 'refuse', 'It cannot be recorded.', 'Report it.')],
])('of entries that are written together, each is there once and in order after %s', async (_what, failure) => {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'one' }));
  await engine.until(target, 'holding');
  // The last of three: the first two are there already when they are written again.
  failures.set('step.started', [failure]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(failures.get('step.started')).toEqual([]);
  expect((await engine.verifiedKinds(run)).slice(4)).toEqual([
    'hold.requested',
    'decision.accepted',
    'hold.released',
    'step.started',
    'step.done',
    'annotations.lifted',
    'run.ended',
  ]);
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
