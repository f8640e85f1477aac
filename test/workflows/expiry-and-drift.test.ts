import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ApprovalRequest } from '../../domain/approval/request.ts';
import { clockChangeDefault } from '../../domain/calendar/window.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { HoldState, Phase } from '../../domain/run/state.ts';
import { documentOf, runbookOf, startEngine, type Engine, type Held } from '../support/engine.ts';

/** Entries of this kind are not written into the record of this run before that. */
let delayed: { run: string; kind: string; until: Promise<void> } | undefined;

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('drift', async (kind, run) => {
    if (delayed?.run === run && delayed.kind === kind) await delayed.until;
  });
  const { one } = engine.configuration.policies;
  Object.assign(engine.configuration.policies, {
    emergency: { ...one, name: 'emergency', breakGlass: ['oscar'] },
    without: { ...one, name: 'without', exclude: ['linus'] },
  });
});
afterAll(() => engine.stop());

async function openHold(target: string, request: number): Promise<HoldState> {
  const { hold } = await engine.until(target, ({ phase, hold }) => phase === 'holding' && hold?.request.number === request);
  if (!hold) throw new Error('no hold');
  return hold;
}

test('a hold that nobody signs in time closes without approving, refuses late signatures, and is opened anew by retry', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'short' }));
  const stuck = await engine.until(target, 'stuck');
  // Where the machine is busy nobody has seen it open.
  const requested = (await engine.entries(run)).find(({ kind }) => kind === 'hold.requested');
  const first = { request: requested?.body as unknown as ApprovalRequest };
  expect(stuck.stuck).toMatchObject({ step: 'sign', reason: expect.stringContaining('expired at') });
  expect(stuck.stuck?.remedy).toContain('holdpoint retry');
  const late = engine.holdpoint.decide({ run, target }, first.request, 'approve', 'late', engine.keys.ada);
  await expect(late).rejects.toMatchObject({ code: 'hold-expired' });
  engine.configuration.policies.short!.expiresMs = 600_000;
  await engine.holdpoint.operate(target, 'retry', 'people are back', engine.keys.dana);
  const second = await openHold(target, 2);
  expect(second.decisions).toEqual([]);
  const old = engine.holdpoint.decide({ run, target }, first.request, 'approve', 'later still', engine.keys.ada);
  await expect(old).rejects.toMatchObject({ code: 'request-replaced' });
  expect(site.done).toEqual([]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const kinds = await engine.verifiedKinds(run);
  expect(kinds.slice(4)).toEqual([
    'hold.requested',
    'hold.expired',
    'step.stuck',
    'attempt.refused',
    'command.accepted',
    'hold.requested',
    'attempt.refused',
    'decision.accepted',
    'hold.released',
    'step.started',
    'step.done',
    'annotations.lifted',
    'run.ended',
  ]);
  await engine.replay(target, { name: 'expiry' });
});

test('a plan that changes after it was signed voids the signatures, shows what differs, and opens the hold again', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  const first = await openHold(target, 1);
  site.generation = 2;
  await engine.decide(target, 'ada');
  const second = await openHold(target, 2);
  expect(second.decisions).toEqual([]);
  expect(second.request.planHash).not.toBe(first.request.planHash);
  expect(second.drift).toEqual([expect.objectContaining({ step: 'work', kind: 'changed', before: 1, after: 2 })]);
  expect(site.looks).toBe(0);
  const old = engine.holdpoint.decide({ run, target }, first.request, 'approve', 'again', engine.keys.grace);
  await expect(old).rejects.toMatchObject({ code: 'request-replaced' });
  // Signing again for the same person: the first signature was void.
  await engine.decide(target, 'ada');
  const done = await engine.until(target, 'done');
  expect(done.steps[2]?.status).toBe('done');
  const drifted = (await engine.entries(run)).find(({ kind }) => kind === 'hold.drifted');
  expect(drifted?.body).toMatchObject({ request: 1, planHash: first.request.planHash, presentHash: second.request.planHash });
  await engine.replay(target, { name: 'drift' });
});

test('a plan that is back to what was signed when it is looked at again goes on', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await openHold(target, 1);
  site.generation = 2;
  site.generation = 1;
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.not.toContain('hold.drifted');
});

test('a plan that changes while the run is paused between signature and act is not carried out', async () => {
  const { cluster, target, site } = engine.newSite();
  await engine.begin(cluster);
  await openHold(target, 1);
  await engine.holdpoint.operate(target, 'pause', 'lunch', engine.keys.dana);
  await engine.decide(target, 'ada');
  await engine.until(target, 'paused');
  site.generation = 2;
  await engine.holdpoint.operate(target, 'resume', 'back', engine.keys.dana);
  const second = await openHold(target, 2);
  expect(second.drift).toHaveLength(1);
  expect(site.looks).toBe(0);
});

test('a change that is too large for an entry of the record is kept beside it, and shown in full', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await openHold(target, 1);
  site.generation = 'x'.repeat(300_000);
  await engine.decide(target, 'ada');
  const { drift } = await openHold(target, 2);
  expect(drift).toContainEqual(expect.objectContaining({ step: 'work', object: 'fact generation', before: 1, after: site.generation }));
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.toContain('hold.drifted');
});

test('a change too large for the record stops the run for an operator, who can abort it', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await openHold(target, 1);
  site.generation = 'x'.repeat(800_000);
  await engine.decide(target, 'ada');
  const stuck = await engine.until(target, 'stuck');
  expect(stuck.stuck?.reason).toContain('bytes in the plan of one span');
  await engine.holdpoint.operate(target, 'abort', 'too large', engine.keys.dana);
  await engine.until(target, 'aborted');
  await expect(engine.verifiedKinds(run)).resolves.toEqual(expect.arrayContaining(['step.stuck', 'run.ended']));
});

test('a plan that is blocked at the second look tells the operator what blocks it, and retry opens the hold anew', async () => {
  const { cluster, target, site } = engine.newSite();
  await engine.begin(cluster);
  await openHold(target, 1);
  site.blockers = [{ object: 'Budget/shop', reason: 'It never opens.', remedy: 'Loosen it.' }];
  await engine.decide(target, 'ada');
  const stuck = await engine.until(target, 'stuck');
  const reason = 'Step work is blocked: Budget/shop: It never opens.';
  expect(stuck.stuck).toEqual({ step: 'sign', code: 'plan-blocked', reason, remedy: 'Loosen it.' });
  site.blockers = [];
  await engine.holdpoint.operate(target, 'retry', 'loosened', engine.keys.dana);
  await engine.until(target, 'done');
});

describe('a decision that comes while its request is being closed is refused, and in the record', () => {
  /** Decides as grace on what is open while the entry waits that follows what somebody does. */
  async function decideBefore(kind: string, { run, target }: Pick<Held, 'run' | 'target'>, act: () => Promise<unknown>): Promise<unknown> {
    const state = await engine.until(target, ({ hold }) => hold !== undefined);
    let goOn = (): void => undefined;
    delayed = { run, kind, until: new Promise((resolve) => (goOn = resolve)) };
    const acted = act();
    await engine.until(target, ({ hold }) => hold?.request.closed !== undefined);
    const decision = engine.holdpoint
      .decide(state, state.hold!.request, 'approve', 'yes', engine.keys.grace)
      .catch((error: unknown) => error);
    await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 1);
    goOn();
    await acted;
    return decision;
  }

  async function expectRefused({ run, target }: Pick<Held, 'run' | 'target'>, code: string, phase: Phase): Promise<void> {
    await engine.until(target, phase);
    const refused = (await engine.entries(run)).filter(({ kind }) => kind === 'attempt.refused').map(({ body }) => body);
    expect(refused).toEqual([expect.objectContaining({ person: 'grace', code })]);
    await engine.verifiedKinds(run);
    await engine.replay(target);
  }

  test('as the plan has changed', async () => {
    const held = await engine.held();
    held.site.generation = 2;
    const decided = await decideBefore('hold.requested', held, () => engine.decide(held.target, 'ada'));
    expect(decided).toMatchObject({ code: 'plan-drifted' });
    await openHold(held.target, 2);
    await engine.decide(held.target, 'ada');
    await expectRefused(held, 'plan-drifted', 'done');
  });

  test('as an operator has taken back what was to be signed', async () => {
    const { run, target } = await engine.working((site) =>
      site.failures.push(new HoldpointError('action-stuck', { cause: 'full', remedy: 'Mend it.' })),
    );
    await engine.until(target, 'stuck');
    await engine.holdpoint.operate(target, 'skip', 'known', engine.keys.dana);
    const taken = await decideBefore('hold.withdrawn', { run, target }, () =>
      engine.holdpoint.operate(target, 'resume', '', engine.keys.dana),
    );
    expect(taken).toMatchObject({ code: 'hold-withdrawn' });
    await engine.holdpoint.operate(target, 'abort', '', engine.keys.dana);
    await expectRefused({ run, target }, 'hold-withdrawn', 'aborted');
  });

  test('as the run is aborted while others look at a hold that was released alone', async () => {
    const held = await engine.held('emergency');
    await engine.holdpoint.breakGlass(held.state, held.state.hold!.request, 'the disk is full', engine.keys.oscar);
    await engine.until(held.target, ({ hold }) => hold?.request.hold === 'review:sign');
    const abort = (): Promise<unknown> => engine.holdpoint.operate(held.target, 'abort', 'enough', engine.keys.dana);
    await expect(decideBefore('hold.withdrawn', held, abort)).resolves.toMatchObject({ code: 'run-aborted' });
    await expectRefused(held, 'run-aborted', 'done');
  });
});

test('at a hold it is shown in which opening the steps may begin', async () => {
  const { cluster, target } = engine.newSite();
  const opensMs = Math.ceil(Date.now() / 1_000) * 1_000 + 86_400_000;
  const [opensAt, closesAt] = [opensMs, opensMs + 3_600_000].map((ms) => new Date(ms).toISOString()) as [string, string];
  const start = opensAt.slice(0, 19);
  const night = { zone: 'UTC', rrule: 'FREQ=YEARLY', start, durationMs: 3_600_000, dst: clockChangeDefault, freezes: [] };
  engine.configuration.calendars = { night };
  const { file, text } = documentOf(`
  - { id: sign, hold: one }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);
  await engine.begin(cluster, { file, text: text.replace('steps:', 'window: night\nsteps:') });
  expect((await openHold(target, 1)).opening).toEqual({ calendar: 'night', opensAt, closesAt, frozenFor: [] });
  await engine.decide(target, 'ada', 'reject');
  await engine.until(target, 'rejected');
});

test('somebody whom the policy names may not decide, and that is in the record', async () => {
  const { run, target } = await engine.held('without');
  await expect(engine.decide(target, 'linus')).rejects.toMatchObject({ code: 'person-excluded' });
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.toContain('attempt.refused');
});
