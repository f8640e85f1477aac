import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyEvidence } from '../../client/evidence.ts';
import { refusalIn } from '../../client/remote-error.ts';
import type { Policy } from '../../domain/approval/policy.ts';
import { decideUpdate } from '../../workflows/messages.ts';
import { startEngine, type Engine, type Held, type Person } from '../support/engine.ts';

const terms = { exclude: ['requester'], reason: 'optional' as const, expiresMs: 600_000 };
const policies: Record<string, Policy> = {
  emergency: { name: 'emergency', atLeast: 2, of: 'sre', ...terms, breakGlass: ['dana', 'oscar'] },
  lonely: { name: 'lonely', atLeast: 1, of: 'leads', ...terms, exclude: [], breakGlass: ['linus'] },
};

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('break-glass');
  Object.assign(engine.configuration.policies, policies);
  Object.assign(engine.configuration.groups, { leads: ['linus'] });
});
afterAll(() => engine.stop());

const reason = 'the disk is full';

async function breakGlass({ state }: Held, person: Person, why = reason): Promise<unknown> {
  return engine.holdpoint.breakGlass(state, state.hold!.request, why, engine.keys[person]);
}

/** The run at its review, after somebody has broken the glass and the work is done. */
async function reviewed(policy = 'emergency', person: Person = 'dana'): Promise<Held> {
  const held = await engine.held(policy);
  await breakGlass(held, person);
  const state = await engine.until(held.target, ({ hold }) => hold?.request.hold.startsWith('review:') === true);
  return { ...held, state };
}

async function verified({ state: { evidence } }: Held): ReturnType<typeof verifyEvidence> {
  const { people } = engine.configuration;
  return verifyEvidence(evidence, people, { authority: engine.configuration });
}

describe('whoever a policy names for that', () => {
  test('releases a hold alone, also as the requester; others sign that when the work is done, and it is told everywhere', async () => {
    const held = await engine.held('emergency');
    await engine.decide(held.target, 'ada');
    await expect(breakGlass(held, 'dana')).resolves.toMatchObject({ state: 'approved' });
    const { site, target, run } = held;
    const state = await engine.until(target, ({ hold }) => hold?.request.hold === 'review:sign');
    expect(site.done).toEqual(['first', 'second', 'third']);
    // Nothing of the run stays in the way until somebody signs.
    expect([...site.marks.keys()]).toEqual([]);
    expect(state.commands).toEqual(['abort']);
    expect(state.brokenGlass).toEqual([expect.objectContaining({ hold: 'sign', person: 'dana', reason })]);
    expect(state.steps.find(({ id }) => id === 'sign')?.summary).toBe(`BREAK GLASS by dana: ${reason}`);
    const [listed] = (await engine.holdpoint.list({ openOnly: true })).filter((summary) => summary.run === run);
    expect(listed?.brokenGlass).toBe('dana at sign');
    const { items } = await engine.holdpoint.inbox('grace');
    expect(items.find((item) => item.run === run)).toMatchObject({ hold: 'review:sign', askedBy: 'dana', missing: 2 });
    expect((await engine.holdpoint.inbox('dana')).items.some((item) => item.run === run)).toBe(false);
    await engine.decide(target, 'grace');
    await engine.decide(target, 'ada');
    const { ended } = await engine.until(target, 'done');
    expect(ended?.reason).toContain('BREAK GLASS by dana at hold sign: signed afterwards by grace, ada');
    const report = await verified({ ...held, state });
    expect(report).toMatchObject({ ok: true });
    expect(report.proven).toEqual(
      expect.arrayContaining([
        `BREAK GLASS: hold sign was released by dana alone, who signed this reason: ${reason}`,
        'grace, ada signed afterwards that dana broke the glass at hold sign.',
      ]),
    );
    await engine.replay(target, { name: 'break-glass' });
  });

  test('cannot sign the review, and needs a reason', async () => {
    const held = await engine.held('emergency');
    await expect(breakGlass(held, 'oscar', ' ')).rejects.toMatchObject({ code: 'reason-missing' });
    await breakGlass(held, 'oscar');
    await engine.until(held.target, ({ hold }) => hold?.request.hold === 'review:sign');
    await expect(engine.decide(held.target, 'oscar')).rejects.toMatchObject({ code: 'asker-excluded' });
    await expect(engine.verifiedKinds(held.run)).resolves.toContain('attempt.refused');
  });

  test('is told with the rejection where others find it wrong, which undoes nothing', async () => {
    const held = await reviewed();
    await engine.decide(held.target, 'ada', 'reject', 'we were at our desks');
    const { ended, brokenGlass } = await engine.until(held.target, 'done');
    expect(ended?.reason).toContain('REJECTED afterwards by ada: we were at our desks');
    expect(brokenGlass?.[0]?.verdict).toContain('REJECTED');
    expect(held.site.undone).toEqual([]);
    expect((await verified(held)).notProven).toContainEqual(expect.stringContaining('nobody has signed that afterwards'));
  });

  test('is not reviewed where nobody else may sign, or an operator ends the wait, and the end says so', async () => {
    const alone = await engine.held('lonely');
    await breakGlass(alone, 'linus');
    const { ended } = await engine.until(alone.target, 'done');
    expect(ended?.reason).toContain('not reviewed: of policy lonely nobody else may sign');
    const held = await reviewed();
    await engine.holdpoint.operate(held.target, 'abort', 'the target is needed', engine.keys.grace);
    const state = await engine.until(held.target, 'done');
    expect(state.ended?.reason).toContain('not reviewed: aborted by grace: the target is needed');
    await expect(engine.verifiedKinds(held.run)).resolves.toContain('glass.broken');
    await engine.replay(held.target);
  });
});

describe('nobody else releases a hold alone', () => {
  test('who is not named, or was taken out since, in whatever way it is sent', async () => {
    const held = await engine.held('emergency');
    await expect(breakGlass(held, 'ada')).rejects.toMatchObject({ code: 'glass-not-yours' });
    engine.configuration.policies.emergency = { ...policies.emergency!, breakGlass: ['oscar'] };
    try {
      await expect(breakGlass(held, 'dana')).rejects.toMatchObject({ code: 'glass-not-yours' });
    } finally {
      engine.configuration.policies.emergency = policies.emergency!;
    }
    // An approval that is sent as a broken glass is not what was signed.
    const { hold, number: request, planHash } = held.state.hold!.request;
    const statement = { kind: 'withdrawal' as const, person: 'dana', run: held.run, hold, request, planHash, approval: '', reason };
    const signature = await engine.keys.dana.sign({ ...statement, at: new Date().toISOString(), nonce: randomUUID() });
    const { approval: _approval, ...claims } = statement;
    const word = { ...claims, kind: 'break-glass' as const, question: '', signature };
    const refusal = await engine
      .handle(held.target)
      .executeUpdate(decideUpdate, { args: [word] })
      .then(
        () => 'taken',
        (error: unknown) => refusalIn(error)?.code,
      );
    expect(refusal).toMatch(/question-differs|statement-differs/);
    expect(held.site.done).toEqual([]);
  });

  test('who is taken out after the release takes it along: the next step is stuck', async () => {
    const held = await engine.held('emergency');
    held.site.slow.add('first');
    engine.configuration.policies.emergency = policies.emergency!;
    await breakGlass(held, 'dana');
    await engine.until(held.target, 'running');
    await engine.holdpoint.operate(held.target, 'pause', '', engine.keys.ada);
    await engine.until(held.target, 'paused');
    engine.configuration.policies.emergency = { ...policies.emergency!, breakGlass: ['oscar'] };
    try {
      await engine.holdpoint.operate(held.target, 'resume', '', engine.keys.ada);
      const { stuck } = await engine.until(held.target, 'stuck');
      expect(stuck).toMatchObject({ code: 'step-not-signed', reason: expect.stringContaining('dana is not named in `breakGlass`') });
    } finally {
      engine.configuration.policies.emergency = policies.emergency!;
    }
  });
});
