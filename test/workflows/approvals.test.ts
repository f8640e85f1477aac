import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createKey, readKey } from '../../client/keys.ts';
import { refusalIn } from '../../client/remote-error.ts';
import type { Signer } from '../../client/signing.ts';
import type { Policy } from '../../domain/approval/policy.ts';
import { bytesToSign, signedWith, statementFor, type DelegationStatement, type Statement } from '../../domain/approval/statement.ts';
import type { RunState } from '../../domain/run/state.ts';
import { decideUpdate, type DecisionAnswer, type WordAtHold } from '../../workflows/messages.ts';
import { TestsBeside } from '../support/in-turns.ts';
import { startEngine, type Engine, type Person, runbookOf } from '../support/engine.ts';

const terms = { exclude: ['requester'], reason: 'optional' as const, expiresMs: 600_000 };
const crowdCount = 20;
const policies: Record<string, Policy> = {
  impatient: {
    name: 'impatient',
    atLeast: 1,
    of: 'leads',
    ...terms,
    remindMs: 8_000,
    escalate: { afterMs: 12_000, to: 'sre' },
    expiresMs: 26_000,
  },
  escalating: { name: 'escalating', atLeast: 1, of: 'leads', ...terms, escalate: { afterMs: 2_000, to: 'sre' } },
  deputized: { name: 'deputized', atLeast: 2, of: 'sre', ...terms, delegate: 'allowed' },
  crowd: { name: 'crowd', atLeast: crowdCount, of: 'crowd', ...terms },
};

const besides = new TestsBeside(2);
let engine: Engine;
let directory: string;
let crowd: Signer[];
beforeAll(async () => {
  engine = await startEngine('approvals');
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-crowd-'));
  const names = Array.from({ length: crowdCount }, (_, index) => `p${index}`);
  for (const name of names) await createKey(name, directory);
  crowd = await Promise.all(names.map((name) => readKey(name, directory)));
  for (const { person, publicKey } of crowd) engine.configuration.people[person] = { name: person, key: publicKey };
  Object.assign(engine.configuration.policies, policies);
  Object.assign(engine.configuration.groups, { leads: ['linus'], crowd: names });
  besides.begin();
});
afterAll(async () => {
  await engine.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Some seconds from now, by the clock that the worker has as well. */
const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();

/** What a rogue client sends: a statement, well signed, past everything that ours checks. */
async function signedWord(statement: Statement, person: Person, sent: object = statement): Promise<WordAtHold> {
  const { at: _at, nonce: _nonce, ...claims } = sent as Record<string, unknown>;
  return { ...claims, signature: await engine.keys[person].sign(statement) } as unknown as WordAtHold;
}

async function codeOf(target: string, word: WordAtHold): Promise<string | undefined> {
  return engine
    .handle(target)
    .executeUpdate(decideUpdate, { args: [word] })
    .then(
      () => 'taken',
      (error: unknown) => refusalIn(error)?.code,
    );
}

describe('an approval that counts from later on', () => {
  besides.test('is waited for, and releases the hold by itself when its time has come', async () => {
    const { target, site, run, state } = await engine.held('one');
    const from = inSeconds(15);
    const answer = await engine.holdpoint.approveFrom(state, state.hold!.request, from, 'in the night', engine.keys.grace);
    expect(answer).toEqual({ state: 'waiting', missing: 1 });
    expect(site.done).toEqual([]);
    await engine.until(target, 'done');
    const entries = await engine.entries(run);
    expect(entries.find(({ kind }) => kind === 'decision.deferred')?.body).toMatchObject({ person: 'grace', from });
    expect(Date.parse(entries.find(({ kind }) => kind === 'hold.released')!.at)).toBeGreaterThanOrEqual(Date.parse(from));
    await engine.verifiedKinds(run);
    await engine.replay(target);
  });

  test('does not count where its signer has left when its time comes', async () => {
    const { target, site, run, state } = await engine.held('one');
    await engine.holdpoint.approveFrom(state, state.hold!.request, inSeconds(8), 'in the night', engine.keys.ada);
    const { sre = [] } = engine.configuration.groups;
    engine.configuration.groups.sre = sre.filter((person) => person !== 'ada');
    try {
      await engine.until(target, ({ hold }) => hold?.decisions.length === 0);
      expect(site.done).toEqual([]);
      await engine.decide(target, 'grace');
      await engine.until(target, 'done');
    } finally {
      engine.configuration.groups.sre = sre;
    }
    await expect(engine.verifiedKinds(run)).resolves.toContain('decision.voided');
    await engine.replay(target);
  });

  test('is nothing that others could let count at once', async () => {
    const { target, run, state } = await engine.held('one');
    const shown = { kind: 'deferred-approval' as const, run, request: state.hold!.request, from: inSeconds(300), reason: '' };
    const statement = statementFor(shown, { person: 'ada', at: new Date().toISOString(), nonce: 'n-later' });
    const { from: _from, ...stripped } = statement;
    expect(await codeOf(target, await signedWord(statement, 'ada', { ...stripped, kind: 'decision', decision: 'approve' }))).toBe(
      'claim-differs',
    );
    expect(await codeOf(target, await signedWord(statement, 'ada', { ...statement, from: inSeconds(0) }))).toBe('claim-differs');
    expect((await engine.until(target, 'holding')).hold?.decisions).toEqual([]);
  });

  test('that would count only when the hold has closed is refused', async () => {
    const { state } = await engine.held('one');
    const late = engine.holdpoint.approveFrom(state, state.hold!.request, inSeconds(3_600), '', engine.keys.ada);
    await expect(late).rejects.toMatchObject({ code: 'deferral-too-late' });
  });
});

describe('an approval that is taken back', () => {
  test('does not count, nor does a copy of it, and its signer may approve again', async () => {
    const { target, site, run, state } = await engine.held('two');
    const shown = { kind: 'decision' as const, run, request: state.hold!.request, decision: 'approve' as const, reason: '' };
    const approval = await signedWord(statementFor(shown, { person: 'ada', at: new Date().toISOString(), nonce: 'n-1' }), 'ada');
    expect(await codeOf(target, approval)).toBe('taken');
    const signed = await engine.until(target, ({ hold }) => hold?.decisions.length === 1);
    await expect(engine.holdpoint.withdraw(signed, 'wait', engine.keys.grace)).rejects.toMatchObject({ code: 'nothing-to-withdraw' });
    await expect(engine.holdpoint.withdraw(signed, 'wait', engine.keys.ada)).resolves.toEqual({ state: 'waiting', missing: 2 });
    expect(await codeOf(target, approval)).toBe('statement-used');
    await expect(engine.decide(target, 'grace')).resolves.toEqual({ state: 'waiting', missing: 1 });
    expect(site.done).toEqual([]);
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
    await expect(engine.verifiedKinds(run)).resolves.toContain('decision.withdrawn');
    await engine.replay(target);
  });

  test('at the last moment, when the hold has its signatures and the run is about to go on, keeps the hold closed', async () => {
    const { target, site, run } = await engine.held('one');
    await engine.holdpoint.operate(target, 'pause', 'lunch', engine.keys.dana);
    await engine.decide(target, 'ada');
    const paused = await engine.until(target, 'paused');
    await expect(engine.decide(target, 'grace')).rejects.toMatchObject({ code: 'verdict-reached' });
    await engine.holdpoint.withdraw(paused, 'not today', engine.keys.ada);
    await engine.holdpoint.operate(target, 'resume', 'back', engine.keys.dana);
    const again = await engine.until(target, 'holding');
    expect([again.hold?.request.number, again.hold?.decisions, site.done]).toEqual([1, [], []]);
    await engine.decide(target, 'grace');
    await engine.until(target, 'done');
    await expect(engine.verifiedKinds(run)).resolves.toContain('attempt.refused');
    await engine.replay(target);
  });

  test('after the steps have begun is not', async () => {
    const { target, site, run, state } = await engine.held('one');
    site.slow.add('first');
    await engine.decide(target, 'ada');
    await engine.until(target, ({ steps }) => steps.some(({ id, status }) => id === 'work' && status === 'running'));
    await expect(engine.holdpoint.withdraw(state, 'too late', engine.keys.ada)).rejects.toMatchObject({ code: 'hold-not-waiting' });
    site.finishSlow();
    await engine.until(target, 'done');
    const refused = (await engine.entries(run)).find(({ kind }) => kind === 'attempt.refused');
    expect(refused?.body).toMatchObject({ person: 'ada', attempt: 'withdraw', code: 'hold-not-waiting' });
  });
});

describe('an approval in the place of somebody else', () => {
  /** What ada has signed for oscar, who is in no group. */
  async function delegationOf(rest: Partial<DelegationStatement> = {}): Promise<string> {
    const shown = { kind: 'delegation' as const, to: 'oscar', scope: 'policy/deputized', until: inSeconds(3_600), reason: 'on leave' };
    const statement = statementFor(shown, { person: 'ada', at: new Date().toISOString(), nonce: `n-${Date.now()}` });
    return engine.keys.ada.sign({ ...statement, ...rest });
  }
  const approve = (state: RunState, delegation: string): Promise<DecisionAnswer> =>
    engine.holdpoint.approveInPlace(state, state.hold!.request, delegation, 'ada is away', engine.keys.oscar);

  test('counts for them, once, and the record shows both signatures', async () => {
    const { target, site, run, state } = await engine.held('deputized');
    await expect(approve(state, await delegationOf())).resolves.toEqual({ state: 'waiting', missing: 1 });
    // The delegator is counted already.
    await expect(engine.decide(target, 'ada')).resolves.toEqual({ state: 'waiting', missing: 1 });
    expect(site.done).toEqual([]);
    await engine.decide(target, 'grace');
    const { steps } = await engine.until(target, 'done');
    expect(steps.map(({ summary }) => summary)).toContain('signed by oscar in the place of ada, ada, grace');
    const kinds = await engine.verifiedKinds(run);
    expect(kinds.slice(kinds.indexOf('delegation.accepted'))).toEqual(expect.arrayContaining(['decision.delegated', 'hold.released']));
    await engine.replay(target);
  });

  test.each<[string, () => Promise<string>, string, string]>([
    ['has ended', () => delegationOf({ at: inSeconds(-60), until: inSeconds(-1) }), 'deputized', 'delegation-ended'],
    ['is for another policy', () => delegationOf({ scope: 'policy/one' }), 'deputized', 'delegation-out-of-scope'],
    ['is to somebody else', () => delegationOf({ to: 'grace' }), 'deputized', 'delegation-out-of-scope'],
    ['the policy does not allow', () => delegationOf({ scope: 'policy/two' }), 'two', 'delegation-out-of-scope'],
    ['is none', async () => 'e30.e30.e30', 'deputized', 'delegation-malformed'],
  ])('under a delegation that %s is refused', async (_title, delegation, policy, code) => {
    const { state, site } = await engine.held(policy);
    await expect(approve(state, await delegation())).rejects.toMatchObject({ code });
    expect(site.done).toEqual([]);
  });

  test('under a delegation that its signer has not signed is refused', async () => {
    const { state } = await engine.held('deputized');
    const shown = { kind: 'delegation' as const, to: 'oscar', scope: 'policy/deputized', until: inSeconds(3_600), reason: '' };
    const statement = statementFor(shown, { person: 'ada', at: new Date().toISOString(), nonce: 'n-forged' });
    const bytes = bytesToSign({ ...statement, person: 'ada' });
    const forged = signedWith(statement, sign(null, bytes, generateKeyPairSync('ed25519').privateKey));
    await expect(approve(state, forged)).rejects.toMatchObject({ code: expect.stringMatching(/signature-forged|delegation-ended/) });
  });

  test('does not count any more where the delegator has left by the time that the hold has its signatures', async () => {
    const { target, site, state } = await engine.held('deputized');
    await approve(state, await delegationOf());
    const { sre = [] } = engine.configuration.groups;
    engine.configuration.groups.sre = sre.filter((person) => person !== 'ada');
    try {
      await expect(engine.decide(target, 'grace')).resolves.toEqual({ state: 'waiting', missing: 1 });
      expect(site.done).toEqual([]);
    } finally {
      engine.configuration.groups.sre = sre;
    }
  });
});

besides.test('a hold reminds, escalates, and closes, in this order', async () => {
  const { target, site, run } = await engine.held('impatient');
  await engine.until(target, 'stuck');
  const kinds = (await engine.verifiedKinds(run)).filter((kind) => kind.startsWith('hold.'));
  expect(kinds.slice(0, 4)).toEqual(['hold.requested', 'hold.reminded', 'hold.escalated', 'hold.reminded']);
  expect(kinds.at(-1)).toBe('hold.expired');
  expect(site.done).toEqual([]);
  await engine.holdpoint.operate(target, 'retry', 'people are back', engine.keys.dana);
  await engine.until(target, ({ hold }) => hold?.request.number === 2);
  await expect(engine.decide(target, 'linus')).resolves.toMatchObject({ state: 'approved' });
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
  await engine.replay(target);
});

test('the group that a hold escalates to may sign from then on', async () => {
  const { target, run } = await engine.held('escalating');
  await engine.until(target, ({ hold }) => hold?.request.escalatedAt !== undefined);
  await expect(engine.decide(target, 'grace')).resolves.toMatchObject({ state: 'approved' });
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
});

test('twenty people who sign at once are all counted, once each', async () => {
  const { target, run, state } = await engine.held('crowd');
  const answers = await Promise.all(
    crowd.map((signer) => engine.holdpoint.decide(state, state.hold!.request, 'approve', 'read it', signer)),
  );
  expect(answers.filter(({ state: standing }) => standing === 'approved')).toHaveLength(1);
  await engine.until(target, 'done');
  const signed = (await engine.entries(run)).filter(({ kind }) => kind === 'decision.accepted').map(({ body }) => body.person);
  expect([...signed].sort()).toEqual(crowd.map(({ person }) => person).sort());
  await engine.verifiedKinds(run);
  await engine.replay(target);
});

/** An error as the client of gRPC makes it. */
const grpcError = (code: number, details: string): Error =>
  Object.assign(new Error(`${code}: ${details}`), { code, details, metadata: { get: () => [] } });
const late = grpcError(4, 'Deadline exceeded');
const notReplayed = grpcError(3, '[TMPRL1100] Nondeterminism error: Activity machine does not handle this event');

test.each([
  { title: 'that the server has kept back', error: late },
  { title: 'that came when the server gave up', error: grpcError(1, 'context canceled') },
  { title: 'that came between two tasks of the run', error: grpcError(9, 'Workflow task is not scheduled yet.') },
  { title: 'that found a worker which could not replay the run', error: notReplayed },
])('a question $title is asked again', async ({ error }) => {
  const { target, run } = await engine.held('one');
  const questions = answerQuestionsAbout(target, (asked) => (asked === 1 ? error : undefined));
  try {
    expect(await engine.holdpoint.state(target)).toMatchObject({ run, phase: 'holding' });
    expect(questions.asked()).toBeGreaterThanOrEqual(2);
  } finally {
    questions.letPass();
  }
});

test('a run that no worker can replay is told as that', async () => {
  const { target } = await engine.held('one');
  const questions = answerQuestionsAbout(target, () => notReplayed);
  try {
    await expect(engine.holdpoint.state(target)).rejects.toMatchObject({
      code: 'run-not-replayed',
      remedy: expect.stringContaining('the build that the run began with'),
    });
    expect(questions.asked()).toBeGreaterThanOrEqual(2);
  } finally {
    questions.letPass();
  }
});

/** Answers questions about a run by the error that is told for each of them; the tests beside ask about others. */
function answerQuestionsAbout(
  target: string,
  errorFor: (asked: number) => Error | undefined,
): { asked: () => number; letPass: () => void } {
  const { queryWorkflow: ask } = engine.client.workflowService;
  let asked = 0;
  const spy = jest.spyOn(engine.client.workflowService, 'queryWorkflow');
  spy.mockImplementation((...question: Parameters<typeof ask>) => {
    const isAbout = question[0].execution?.workflowId === target;
    const error = isAbout ? errorFor((asked += 1)) : undefined;
    return error ? Promise.reject(error) : ask.apply(engine.client.workflowService, question);
  });
  return { asked: () => asked, letPass: () => spy.mockRestore() };
}

test('a decision whose answer is lost is sent again, and counts once; where no answer comes at all, that is told', async () => {
  const { target, run, state } = await engine.held('two');
  const { updateWorkflowExecution: send } = engine.client.workflowService;
  const lossy = jest.spyOn(engine.client.workflowService, 'updateWorkflowExecution');
  const lose = async (...request: Parameters<typeof send>): Promise<never> => {
    await send.apply(engine.client.workflowService, request);
    throw late;
  };
  try {
    lossy.mockImplementationOnce(lose);
    const request = state.hold!.request;
    await expect(engine.holdpoint.decide(state, request, 'approve', '', engine.keys.ada)).resolves.toMatchObject({ missing: 1 });
    lossy.mockImplementation(() => Promise.reject(late));
    await expect(engine.holdpoint.decide(state, request, 'approve', '', engine.keys.grace)).rejects.toMatchObject({
      code: 'word-unanswered',
      remedy: expect.stringContaining(`holdpoint show ${target}`),
    });
  } finally {
    lossy.mockRestore();
  }
  expect((await engine.until(target, 'holding')).hold?.decisions.map(({ person }) => person)).toEqual(['ada']);
  expect((await engine.verifiedKinds(run)).filter((kind) => kind === 'decision.accepted')).toHaveLength(1);
});

test('a plan is waited for again where the server gives up in between', async () => {
  const { cluster } = engine.newSite();
  const kept = jest.spyOn(engine.client.workflowService, 'getWorkflowExecutionHistory').mockRejectedValueOnce(late);
  try {
    expect((await engine.holdpoint.plan(runbookOf(), { cluster })).target).toBe(`eks/eu-central-1/${cluster}`);
  } finally {
    kept.mockRestore();
  }
});

test('a start whose answer is lost is sent again, and its run is known again', async () => {
  const { cluster, target } = engine.newSite();
  const { executeMultiOperation: send } = engine.client.workflowService;
  const lossy = jest.spyOn(engine.client.workflowService, 'executeMultiOperation');
  try {
    lossy.mockImplementationOnce(async (...request: Parameters<typeof send>) => {
      await send.apply(engine.client.workflowService, request);
      throw late;
    });
    const { run, admission } = await engine.begin(cluster);
    expect(admission).toEqual({ admitted: true });
    expect(await engine.until(target, 'holding')).toMatchObject({ run, refusedAttempts: 0 });
    expect(lossy).toHaveBeenCalledTimes(2);
  } finally {
    lossy.mockRestore();
  }
});

test('words at a hold that are of no kind, or of one for something else, are refused', async () => {
  const { target, run } = await engine.held('one');
  for (const kind of ['start', 'constructor', 7, null]) {
    expect(await codeOf(target, { kind, run, signature: 'x' } as unknown as WordAtHold)).toBe('request-malformed');
  }
  expect((await engine.until(target, 'holding')).hold?.decisions).toEqual([]);
});
