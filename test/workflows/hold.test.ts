import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { refusalIn, type RefusedError } from '../../client/remote-error.ts';
import { questionDigest } from '../../domain/approval/request.ts';
import type { DecisionStatement } from '../../domain/approval/statement.ts';
import type { DecisionRequest } from '../../workflows/messages.ts';
import { documentOf, runbookOf, startEngine, untilTrue, type Engine, type Held, type Person } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('hold');
});
afterAll(() => engine.stop());

/** A signed decision on what is open; `signed` changes what is signed, and with it what is sent. */
async function decisionOf({ run, state }: Held, person: Person, signed: Partial<DecisionStatement> = {}): Promise<DecisionRequest> {
  const { hold = '', number: request = 0, planHash = '', question: asked = '' } = state.hold?.request ?? {};
  const question = questionDigest({ question: asked });
  const shown = { run, hold, request, planHash, question, at: new Date().toISOString(), nonce: randomUUID() };
  const statement: DecisionStatement = { kind: 'decision', person, decision: 'approve', reason: 'fine', ...shown, ...signed };
  const { kind: _kind, at: _at, nonce: _nonce, ...claims } = statement;
  return { ...claims, signature: await engine.keys[person].sign(statement) };
}

async function refusalOf(attempt: Promise<unknown>): Promise<RefusedError> {
  const answer = await attempt.then(
    () => 'taken' as const,
    (error: unknown) => refusalIn(error) ?? error,
  );
  if (answer === 'taken') throw new Error('the attempt was taken, not refused');
  return answer as RefusedError;
}

/** The refused attempts in the record, as soon as there are that many. */
async function refusedIn({ run, target }: Held, count: number): Promise<Record<string, unknown>[]> {
  await engine.until(target, ({ refusedAttempts }) => refusedAttempts >= count);
  const bodies = async (): Promise<Record<string, unknown>[]> =>
    (await engine.entries(run)).filter(({ kind }) => kind === 'attempt.refused').map(({ body }) => body);
  for (let look = 0; look < 100; look += 1) {
    const found = await bodies();
    if (found.length >= count) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return bodies();
}

async function expectOnlyRefused(held: Held, code: string, person: string): Promise<void> {
  await expect(refusedIn(held, 1)).resolves.toEqual([expect.objectContaining({ code, person, attempt: 'approve' })]);
  const state = await engine.until(held.target, 'holding');
  expect(state.hold?.decisions).toEqual([]);
  expect(held.site.done).toEqual([]);
}

describe('who may not decide is refused with the reason, and the attempt is in the record', () => {
  test.each<[string, Person, string, RegExp]>([
    ['the requester', 'dana', 'requester-excluded', /dana started the run.*requester decide on hold sign/],
    ['a known person outside of the group', 'oscar', 'not-in-group', /decided by group sre, and oscar was not in it/],
  ])('%s', async (_who, person, code, reason) => {
    const held = await engine.held();
    const refusal = await refusalOf(engine.decide(held.target, person));
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(reason) });
    expect(refusal.remedy).toContain('ada, grace, linus');
    await expectOnlyRefused(held, code, person);
  });

  test('a stranger, even one that the group has named by mistake', async () => {
    engine.configuration.groups.sre?.push('mallory');
    const held = await engine.held();
    engine.configuration.groups.sre?.pop();
    const request = { ...(await decisionOf(held, 'ada')), person: 'mallory' };
    await expect(refusalOf(engine.sendDecision(held.target, request))).resolves.toMatchObject({ code: 'person-unknown', recorded: true });
    await expectOnlyRefused(held, 'person-unknown', 'mallory');
  });

  test('a person who was taken out of holdpoint.yaml after the signatures were requested', async () => {
    const held = await engine.held();
    const { linus } = engine.configuration.people;
    delete engine.configuration.people.linus;
    try {
      await expect(refusalOf(engine.decide(held.target, 'linus'))).resolves.toMatchObject({ code: 'person-unknown' });
      await expectOnlyRefused(held, 'person-unknown', 'linus');
    } finally {
      if (linus) engine.configuration.people.linus = linus;
    }
  });

  test('the same person a second time', async () => {
    const held = await engine.held('two');
    await engine.decide(held.target, 'ada');
    const refusal = await refusalOf(engine.decide(held.target, 'ada'));
    expect(refusal).toMatchObject({ code: 'already-decided', message: expect.stringContaining('ada has already approved') });
    await expect(refusedIn(held, 1)).resolves.toEqual([expect.objectContaining({ code: 'already-decided', person: 'ada' })]);
    expect((await engine.until(held.target, 'holding')).hold?.decisions).toHaveLength(1);
  });

  test('the same person twice at once: one of the two counts', async () => {
    const held = await engine.held('two');
    const requests = await Promise.all([decisionOf(held, 'ada'), decisionOf(held, 'ada')]);
    const answers = await Promise.allSettled(requests.map((request) => engine.sendDecision(held.target, request)));
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const rejected = answers.find((answer) => answer.status === 'rejected');
    expect(refusalIn(rejected?.reason)).toMatchObject({ code: 'already-decided' });
    expect((await engine.until(held.target, 'holding')).hold?.decisions).toHaveLength(1);
  });

  test('two people at once release a hold that asks for two, and a replay of that comes to the same', async () => {
    const held = await engine.held('two');
    const answers = await Promise.all([engine.decide(held.target, 'ada'), engine.decide(held.target, 'grace')]);
    expect(answers.map(({ state }) => state).sort()).toEqual(['approved', 'waiting']);
    const state = await engine.until(held.target, 'done');
    expect(state.steps[1]?.summary).toMatch(/^signed by (ada, grace|grace, ada)$/);
    await engine.replay(held.target);
  });
});

describe('a decision that is not for what is open is refused', () => {
  test.each<[string, { planHash?: string; hold?: string; number?: number; question?: string }, string]>([
    ['another plan', { planHash: `sha256:${'1'.repeat(64)}` }, 'plan-differs'],
    ['another question', { question: 'Is the weather fine?' }, 'question-differs'],
    ['another hold', { hold: 'sign-later' }, 'hold-differs'],
    ['a request that is yet to come', { number: 2 }, 'request-unknown'],
  ])('%s, and our client has it written down', async (_what, difference, code) => {
    const held = await engine.held();
    const shown = { ...held.state.hold!.request, ...difference };
    const refusal = await refusalOf(engine.holdpoint.decide(held, shown, 'approve', 'fine', engine.keys.ada));
    expect(refusal.code).toBe(code);
    await expectOnlyRefused(held, code, 'ada');
  });

  test('whatever comes past our client, well signed or not, is in the record of the run, and has no effect', async () => {
    const [held, other] = await Promise.all([engine.held('two'), engine.held()]);
    const sent: [code: string, request: DecisionRequest][] = [
      ['run-differs', await decisionOf(other, 'ada')],
      ['run-differs', await decisionOf(held, 'ada', { run: 'r-20200101-aaaaaa' })],
      ['hold-differs', await decisionOf(held, 'ada', { hold: 'sign-later' })],
      ['request-unknown', await decisionOf(held, 'ada', { request: 2 })],
      ['plan-differs', await decisionOf(held, 'ada', { planHash: `sha256:${'1'.repeat(64)}` })],
      ['decision-unknown', await decisionOf(held, 'ada', { decision: 'maybe' as 'approve' })],
      ['reason-unreadable', await decisionOf(held, 'ada', { reason: 'fine\u001b[2J' })],
      ['requester-excluded', await decisionOf(held, 'dana')],
      ['hold-differs', { ...(await decisionOf(held, 'ada')), hold: 'sign-later' }],
      ['request-malformed', { person: 'ada' } as DecisionRequest],
      ['request-malformed', null as unknown as DecisionRequest],
    ];
    for (const [code, request] of sent) {
      await expect(refusalOf(engine.sendDecision(held.target, request))).resolves.toMatchObject({ code, recorded: true });
    }
    expect((await refusedIn(held, sent.length)).map(({ code }) => code)).toEqual(sent.map(([code]) => code));
    expect((await engine.until(held.target, 'holding')).hold?.decisions).toEqual([]);
    await engine.decide(held.target, 'ada', 'reject');
    await engine.until(held.target, 'rejected');
    await engine.replay(held.target);
  });

  test('a decision without the reason that the policy asks for', async () => {
    const held = await engine.held('reasoned');
    await expect(refusalOf(engine.decide(held.target, 'ada', 'approve', ' '))).resolves.toMatchObject({ code: 'reason-missing' });
    await expectOnlyRefused(held, 'reason-missing', 'ada');
  });
});

test('each way to be refused at a hold is in the record with its code, in the order of the attempts', async () => {
  const held = await engine.held('two');
  const { request } = held.state.hold!;
  await engine.decide(held.target, 'grace');
  const { holdpoint, keys } = engine;
  const late = new Date(Date.parse(request.expiresAt) + 1_000).toISOString();
  const approve = (difference: object, person: Person = 'ada', reason = 'fine'): Promise<unknown> =>
    holdpoint.decide(held, { ...request, ...difference }, 'approve', reason, keys[person]);
  const attempts: [code: string, attempt: () => Promise<unknown>][] = [
    ['requester-excluded', () => approve({}, 'dana')],
    ['not-in-group', () => approve({}, 'oscar')],
    ['already-decided', () => approve({}, 'grace')],
    ['plan-differs', () => approve({ planHash: `sha256:${'1'.repeat(64)}` })],
    ['question-differs', () => approve({ question: 'Is the weather fine?' })],
    ['hold-differs', () => approve({ hold: 'sign-later' })],
    ['request-unknown', () => approve({ number: 2 })],
    ['reason-too-long', () => approve({}, 'ada', 'x'.repeat(2_001))],
    ['deferral-too-late', () => holdpoint.approveFrom(held, request, late, 'fine', keys.ada)],
    ['glass-not-yours', () => holdpoint.breakGlass(held, request, 'in a hurry', keys.ada)],
    ['nothing-to-withdraw', () => holdpoint.withdraw(held.state, 'never mind', keys.ada)],
  ];
  for (const [code, attempt] of attempts) expect((await refusalOf(attempt())).code).toBe(code);
  const recorded = await refusedIn(held, attempts.length);
  expect(recorded.map(({ code }) => code)).toEqual(attempts.map(([code]) => code));
  expect((await engine.until(held.target, 'holding')).hold?.decisions).toHaveLength(1);
  await engine.decide(held.target, 'ada');
  await engine.until(held.target, 'done');
});

describe('a signature that does not hold is refused, and the run writes it down by itself', () => {
  const anHourAgo = new Date(Date.now() - 3_600_000).toISOString();

  test.each<[string, Person, Partial<DecisionStatement>, Partial<DecisionRequest>, string]>([
    ['signed with the key of somebody else', 'grace', {}, { person: 'ada' }, 'signature-forged'],
    ['with another reason than the one signed', 'ada', {}, { reason: 'changed' }, 'claim-differs'],
    ['turned from a rejection into an approval', 'ada', { decision: 'reject' }, { decision: 'approve' }, 'claim-differs'],
    ['signed an hour ago', 'ada', { at: anHourAgo }, {}, 'statement-stale'],
    ['no signature', 'ada', {}, { signature: '' }, 'statement-malformed'],
  ])('%s', async (_what, signer, signed, change, code) => {
    const held = await engine.held();
    const request = { ...(await decisionOf(held, signer, signed)), ...change };
    await expect(refusalOf(engine.sendDecision(held.target, request))).resolves.toMatchObject({ code, recorded: true });
    await expectOnlyRefused(held, code, 'ada');
  });

  test('a reason that cannot be written down is refused, and the run goes on', async () => {
    const held = await engine.held();
    const request = await decisionOf(held, 'ada', { reason: 'half a pair \ud800' });
    await expect(refusalOf(engine.sendDecision(held.target, request))).resolves.toMatchObject({ code: 'request-malformed' });
    await engine.decide(held.target, 'grace');
    await engine.until(held.target, 'done');
  });

  test('whatever is told as a refused attempt is cut, and the record goes on', async () => {
    const held = await engine.held();
    const flood = { person: 'x'.repeat(300_000), attempt: 'approve', code: 'half \ud800', reason: 'y'.repeat(300_000) };
    await engine.handle(held.target).signal('attemptRefused', flood);
    const [entry] = await refusedIn(held, 1);
    expect(JSON.stringify(entry).length).toBeLessThan(10_000);
    await engine.decide(held.target, 'grace');
    await engine.until(held.target, 'done');
    await expect(engine.verifiedKinds(held.run)).resolves.toContain('attempt.refused');
  });
});

test('one rejection ends the run, whoever has approved before', async () => {
  const held = await engine.held('two');
  await engine.decide(held.target, 'ada');
  await expect(engine.decide(held.target, 'grace', 'reject', 'not today')).resolves.toEqual({ state: 'rejected', missing: 0 });
  const state = await engine.until(held.target, 'rejected');
  expect(state.ended).toMatchObject({ reason: 'hold sign was rejected by grace: not today' });
  expect(held.site.done).toEqual([]);
  const kinds = await engine.verifiedKinds(held.run);
  expect(kinds.slice(-3)).toEqual(['decision.accepted', 'hold.rejected', 'run.ended']);
});

test('a run is planned with the times of the runs before it on its target, and with no others', async () => {
  const { cluster, target, site } = engine.newSite();
  const countedNow = async (): Promise<(number | undefined)[]> => {
    const { spans } = await engine.holdpoint.plan(runbookOf(), { cluster });
    return spans.flatMap(({ plan }) => plan.steps.map(({ past }) => past?.runs));
  };
  for (const before of [undefined, 1]) {
    // Temporal lists a run that has just ended a moment later.
    await untilTrue(async () => (await countedNow()).every((runs) => runs === before));
    site.todo = ['first'];
    await engine.begin(cluster);
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.plan.steps.map(({ past }) => past?.runs)).toEqual([before]);
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
  }
  await untilTrue(async () => (await countedNow()).every((runs) => runs === 2));
});

test('a change that would overspend the availability of its target is blocked unless the hold above it is one for that', async () => {
  const { cluster, target, site } = engine.newSite();
  const draining = (node: string) =>
    documentOf(`
  - { id: sign, hold: one }
  - { id: drain, uses: kubernetes.drain, with: { nodes: [${node}] } }`);
  site.outage = { measured: true, writesRefusedMs: { atLeastMs: 3_000, atMostMs: 3_000 } };
  await engine.begin(cluster, draining('a'));
  await engine.until(target, 'holding');
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const planned = async (node: string) => (await engine.holdpoint.plan(draining(node), { cluster })).spans.at(-1)?.plan.steps[0]?.plan;
  // 4.3 s of a day.
  const goal = { goalPercent: 99.995, perMs: 86_400_000 };
  engine.configuration.availability = { [target]: goal };
  const blocked = await planned('b');
  expect(blocked?.notes.at(-1)).toMatch(/of 4.32 s without writes 1.32 s left; kubernetes.drain has refused writes for 3.00 s \(median\)/);
  expect(blocked?.blockers).toMatchObject([{ object: `availability of ${target}`, reason: expect.stringContaining('It may overspend') }]);
  engine.configuration.availability = { [target]: { ...goal, overspend: 'two' } };
  expect((await planned('b'))?.blockers[0]?.remedy).toContain('Put a hold of the policy two above it');
  engine.configuration.availability = { [target]: { ...goal, overspend: 'one' } };
  expect(await planned('b')).toMatchObject({ blockers: [], risks: [{ risk: expect.stringContaining('It may overspend') }] });
  engine.configuration.availability = undefined;
});
