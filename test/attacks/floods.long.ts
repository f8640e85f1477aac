import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { questionDigest } from '../../domain/approval/request.ts';
import { planBytesMax } from '../../activities/span-size.ts';
import { admissionUpdate, attemptRefusedSignal, decideUpdate, type DecisionRequest } from '../../workflows/messages.ts';
import { runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';
import { isExhaustive } from '../support/exhaustive.ts';

/** Temporal takes messages of 2 MiB at most. */
const signalCharacters = 1_900_000;
const signals = 6;
const sendTimeoutMs = 2_000;
const forgeries = 60;
const atOnce = 5;
const messages = isExhaustive ? 2_000 : 400;
const refusalsRecordedMax = 200;

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('floods');
});
afterAll(() => engine.stop());

/** How many updates have got into the history of the run. */
async function updatesIn(target: string): Promise<number> {
  const { events } = await engine.handle(target).fetchHistory();
  return (events ?? []).filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
}

/** Sends so many, some at a time, whatever becomes of them; returns what was answered to those that were refused. */
async function flood(count: number, send: () => Promise<unknown>): Promise<unknown[]> {
  const refusals: unknown[] = [];
  for (let sent = 0; sent < count; sent += atOnce) {
    const answers = await Promise.allSettled(Array.from({ length: atOnce }, send));
    refusals.push(...answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : [])));
  }
  return refusals;
}

test('forged decisions leave nothing in the history but for a few, and genuine ones count beside them', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  const { hold } = await engine.until(target, 'holding');
  const { number: request = 1, planHash = '' } = hold?.request ?? {};
  const before = await updatesIn(target);
  const forged = async (): Promise<unknown> => {
    const question = questionDigest({ question: hold?.request.question ?? '' });
    const claims = { run, hold: 'sign', request, planHash, question, decision: 'approve' as const, reason: '' };
    const statement = { kind: 'decision' as const, ...claims, person: 'oscar', at: new Date().toISOString(), nonce: randomUUID() };
    const [head = '', body = ''] = (await engine.keys.oscar.sign(statement)).split('.');
    const signature = `${head}.${body}.${'A'.repeat(86)}`;
    const sent: DecisionRequest = { ...claims, person: 'ada', signature };
    return engine.handle(target).executeUpdate(decideUpdate, { args: [sent] });
  };
  expect(await flood(forgeries, forged)).toHaveLength(forgeries);
  expect((await updatesIn(target)) - before).toBeLessThanOrEqual(20 + atOnce);
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  await engine.verifiedKinds(run);
});

test(`${messages} messages that mean nothing leave a bounded record of refusals, and the run goes on beside them`, async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  await engine.until(target, 'holding');
  const handle = engine.handle(target);
  const refused = { person: 'ada', attempt: 'approve', code: 'made-up', reason: '\u202e\u001b[2J\u009b'.repeat(1_000) };
  const kinds = [
    () => handle.signal(attemptRefusedSignal, refused),
    () => handle.signal(attemptRefusedSignal, 'nothing' as never),
    () => handle.executeUpdate('nothing'),
    () => handle.executeUpdate(decideUpdate, { args: [{ person: {}, run } as never] }),
    () => handle.query('nothing'),
  ];
  let sent = 0;
  await flood(messages, () => (kinds[sent++ % kinds.length] as () => Promise<unknown>)());
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  const recorded = (await engine.verifiedKinds(run)).filter((kind) => kind === 'attempt.refused');
  expect(recorded.length).toBeGreaterThanOrEqual(Math.min(messages / 10, refusalsRecordedMax));
  expect(recorded.length).toBeLessThanOrEqual(refusalsRecordedMax);
  // Each text of a refusal is cut.
  const longest = Math.max(...(await engine.entries(run)).map(({ body }) => JSON.stringify(body.reason ?? '').length));
  expect(longest).toBeLessThan(20_000);
}, 240_000);

test('whoever asks again and again whether a run was admitted is not let in any more, and the run is aborted all the same', async () => {
  const { target } = await engine.working((site) => site.slow.add('first'));
  const refusals = await flood(forgeries, () => engine.handle(target).executeUpdate(admissionUpdate));
  expect(refusals.length).toBeGreaterThanOrEqual(forgeries - 20 - atOnce);
  await engine.holdpoint.operate(target, 'abort', 'enough', engine.keys.ada);
  await expect(engine.handle(target).result()).resolves.toMatchObject({ phase: 'aborted' });
});

test('a history that is filled in the middle of a step is left for a new one, which performs the step again', async () => {
  const { run, target, site } = await engine.working((site) => site.slow.add('first'));
  await untilTrue(() => site.marks.size > 0);
  const first = (await engine.handle(target).describe()).runId;
  for (let sent = 0; sent < signals; sent += 1) await engine.handle(target).signal('anything', 'x'.repeat(signalCharacters));
  await untilTrue(async () => (await engine.handle(target).describe()).runId !== first);
  site.finishSlow();
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  const kinds = await engine.verifiedKinds(run);
  expect(kinds.filter((kind) => kind === 'step.started')).toHaveLength(1);
  const writers = new Set((await engine.entries(run)).map(({ execution }) => execution));
  expect(writers.size).toBe(2);
});

test('messages that are larger than Temporal takes are refused, and the run goes on beside them', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  const { taskQueue } = engine.settings;
  const handle = engine.handle(target);
  const { connection, workflow } = engine.client;
  // What Temporal would take: were it taken in to be written down as refused, it would fill the history.
  const word = { person: 'ada', run, reason: 'x'.repeat(300_000) };
  const before = await updatesTaken(handle);
  await expect(engine.sendDecision(target, word as unknown as DecisionRequest)).rejects.toMatchObject({
    cause: { type: 'request-malformed' },
  });
  expect(await updatesTaken(handle)).toBe(before);
  // More than a payload may have (2 MiB), and more than gRPC takes (4 MiB), which the client sends again until its time is over.
  for (const characters of [3_000_000, 5_000_000]) {
    const large = 'x'.repeat(characters);
    const refused = [
      () => handle.signal('anything', large),
      () => handle.query('state', large),
      () => handle.executeUpdate(decideUpdate, { args: [{ person: 'ada', run, reason: large } as never] }),
      () => workflow.start('runbook', { workflowId: randomUUID(), taskQueue, args: [large] }),
      () => workflow.start('planRunbook', { workflowId: randomUUID(), taskQueue, args: [large] }),
    ].map((send) => connection.withDeadline(Date.now() + sendTimeoutMs, send));
    expect((await Promise.allSettled(refused)).map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
  }
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  await engine.verifiedKinds(run);
});

test('a plan that has become too large for a record is told as such, with the step, and the run waits for a smaller one', async () => {
  const { cluster, target, site } = engine.newSite();
  site.generation = 'x'.repeat(planBytesMax);
  const tooLarge = { code: 'work-too-large', message: expect.stringContaining('in step ') as unknown };
  await expect(engine.holdpoint.plan(runbookOf(), { cluster })).rejects.toMatchObject(tooLarge);
  site.generation = 1;
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  site.generation = 'x'.repeat(planBytesMax);
  await engine.decide(target, 'ada');
  const { code, message: reason } = tooLarge;
  expect(await engine.until(target, 'stuck')).toMatchObject({ stuck: { code, reason } });
  expect(site.done).toEqual([]);
  site.generation = 1;
  // The plan is the one that was signed again.
  await engine.holdpoint.operate(target, 'retry', 'it is smaller now', engine.keys.grace);
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
});

test('somebody who has left since they signed does not count when the hold is released', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  await engine.decide(target, 'ada');
  const { sre = [] } = engine.configuration.groups;
  engine.configuration.groups.sre = sre.filter((person) => person !== 'ada');
  try {
    await expect(engine.decide(target, 'grace')).resolves.toEqual({ state: 'waiting', missing: 1 });
    expect(site.done).toEqual([]);
    await engine.decide(target, 'linus');
    await engine.until(target, 'done');
  } finally {
    engine.configuration.groups.sre = sre;
  }
  expect((await engine.verifiedKinds(run)).filter((kind) => kind === 'decision.voided')).toHaveLength(1);
});

test('somebody who leaves after the hold was released takes their signature along: the next step is stuck', async () => {
  const { cluster, target, site } = engine.newSite();
  await engine.begin(cluster, runbookOf({ policy: 'one' }));
  const { sre = [] } = engine.configuration.groups;
  site.slow.add('first');
  await engine.decide(target, 'ada');
  await untilTrue(() => site.marks.size > 0);
  await engine.holdpoint.operate(target, 'pause', 'wait', engine.keys.grace);
  engine.configuration.groups.sre = sre.filter((person) => person !== 'ada');
  try {
    await engine.until(target, 'paused');
    await engine.holdpoint.operate(target, 'resume', 'go on', engine.keys.grace);
    expect(await engine.until(target, 'stuck')).toMatchObject({
      stuck: { code: 'step-not-signed', reason: expect.stringContaining('ada does not belong to sre now') },
    });
  } finally {
    engine.configuration.groups.sre = sre;
  }
  await engine.holdpoint.operate(target, 'retry', 'ada is back', engine.keys.grace);
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
});

/** How many updates a run has let in, whatever has become of them. */
async function updatesTaken(handle: WorkflowHandle): Promise<number> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).filter(({ workflowExecutionUpdateAcceptedEventAttributes: taken }) => taken).length;
}
