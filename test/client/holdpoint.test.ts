import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Holdpoint } from '../../client/holdpoint.ts';
import { bytesToSign, signedWith, statementFor, type Statement } from '../../domain/approval/statement.ts';
import { newRunId } from '../../client/run-id.ts';
import { runbookOf, startEngine, workAtOnce, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('client');
});
afterAll(() => engine.stop());

test('a target has one open run: a second start is refused by naming it, is noted in its record, and works once it has ended', async () => {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  await expect(engine.begin(cluster, runbookOf(), 'grace')).rejects.toMatchObject({
    code: 'target-busy',
    message: `${target} has an open run already: ${run} (scripted), started by dana, now holding.`,
  });
  await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 1);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const [refused] = (await engine.entries(run)).filter(({ kind }) => kind === 'attempt.refused');
  expect(refused?.body).toMatchObject({ person: 'grace', attempt: 'start', code: 'target-busy' });
  const next = await engine.begin(cluster, runbookOf(), 'grace');
  expect(next.admission).toEqual({ admitted: true });
  const state = await engine.until(target, 'holding');
  expect(state).toMatchObject({ run: next.run, requester: 'grace' });
});

test('what was signed elsewhere is submitted without any key: a start, a command, a decision', async () => {
  const { cluster, target } = engine.newSite();
  const { holdpoint, keys } = engine;
  const signedBy = (person: string) => ({ person, at: new Date().toISOString(), nonce: randomUUID() });
  // As a browser would, which has the bytes signed by whatever holds the key.
  const signedElsewhere = async (statement: Statement): Promise<string> => {
    const jws = await keys[statement.person as 'ada' | 'dana'].sign(statement);
    const signature = Buffer.from(jws.slice(jws.lastIndexOf('.') + 1), 'base64url');
    expect(jws.startsWith(Buffer.from(bytesToSign(statement)).toString('latin1'))).toBe(true);
    return signedWith(statement, signature);
  };
  const document = runbookOf();
  const forecast = await holdpoint.plan(document, { cluster });
  const start = statementFor({ kind: 'start', run: newRunId(new Date()), forecast }, signedBy('dana'));
  await expect(holdpoint.submitStart(start, await signedElsewhere(start), { document, forecast })).resolves.toEqual({ admitted: true });
  const state = await engine.until(target, 'holding');
  expect(state.run).toBe(start.run);
  const pause = statementFor({ kind: 'command', state, command: 'pause', reason: 'lunch' }, signedBy('ada'));
  await expect(holdpoint.submit(target, pause, await signedElsewhere(pause))).resolves.toMatchObject({ phase: 'holding' });
  const resume = statementFor({ kind: 'command', state, command: 'resume', reason: 'back' }, signedBy('ada'));
  await holdpoint.submit(target, resume, await signedElsewhere(resume));
  const { request } = state.hold!;
  const decision = statementFor({ kind: 'decision', run: state.run, request, decision: 'approve', reason: 'fine' }, signedBy('ada'));
  const rejection = { ...decision, decision: 'reject' as const };
  const signature = await signedElsewhere(decision);
  await expect(holdpoint.submit(target, rejection, signature)).rejects.toMatchObject({ code: 'claim-differs' });
  await expect(holdpoint.submit(target, decision, signature)).resolves.toEqual({ state: 'approved', missing: 0 });
  await engine.until(target, 'done');
  await expect(holdpoint.submit(target, decision, signature)).rejects.toMatchObject({ code: 'hold-not-waiting' });
  await expect(holdpoint.submit(target, pause, signature)).rejects.toMatchObject({ code: 'command-refused' });
});

test('a decision goes to the execution that was seen, and where that is over, whoever has taken its place is told apart', async () => {
  const { cluster, target } = engine.newSite();
  const { holdpoint, keys } = engine;
  await engine.begin(cluster);
  await engine.until(target, 'holding');
  const seen = await holdpoint.state(target);
  await expect(holdpoint.decide(seen, seen.hold!.request, 'approve', 'fine', keys.ada)).resolves.toEqual({ state: 'approved', missing: 0 });
  await engine.until(target, 'done');
  await engine.handle(target).result();
  await expect(holdpoint.decide(seen, seen.hold!.request, 'approve', 'late', keys.ada)).rejects.toMatchObject({ code: 'hold-not-waiting' });
  await engine.begin(cluster);
  await engine.until(target, 'holding');
  await expect(holdpoint.decide(seen, seen.hold!.request, 'approve', 'later', keys.ada)).rejects.toMatchObject({ code: 'run-differs' });
  const present = await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 1);
  expect(present.hold?.decisions).toEqual([]);
});

test('two starts at once: one of them has the target', async () => {
  const { cluster, target } = engine.newSite();
  const answers = await Promise.allSettled([engine.begin(cluster, runbookOf(), 'dana'), engine.begin(cluster, runbookOf(), 'grace')]);
  expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const refused = { code: 'target-busy', message: expect.stringMatching(/ \((scripted|not read yet)\), started by/) };
  expect(answers.find(({ status }) => status === 'rejected')).toMatchObject({ reason: refused });
  await engine.until(target, 'holding');
});

test('a run is found by its id and by its target, also when it is over, and listed with its phase', async () => {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, workAtOnce);
  await engine.until(target, 'done');
  await expect(engine.holdpoint.state(target)).resolves.toMatchObject({ run, phase: 'done' });
  await expect(engine.holdpoint.state(run)).resolves.toMatchObject({ target, phase: 'done' });
  await engine.handle(target).result();
  const listed = await listedUntil((runs) => runs.some((row) => row.run === run && row.endedAt !== undefined));
  expect(listed.find((row) => row.run === run)).toMatchObject({ target, runbook: 'scripted', requester: 'dana', phase: 'done' });
  const open = await engine.holdpoint.list({ openOnly: true });
  expect(open.map((row) => row.run)).not.toContain(run);
});

test.each(['r-20200101-aaaaaa', 'eks/eu-central-1/nobody', "x' OR '1' = '1"])('%p names no run', async (name) => {
  await expect(engine.holdpoint.state(name)).rejects.toMatchObject({ code: 'run-unknown' });
});

test('while a step is carried out its progress can be seen, and why it is tried again', async () => {
  const { cluster, target, site } = engine.newSite();
  site.slow.add('second');
  await engine.begin(cluster, workAtOnce);
  const giveUpAt = Date.now() + 20_000;
  let live = await engine.holdpoint.live(target);
  while (live.progress.work?.done !== 1 && Date.now() < giveUpAt) live = await engine.holdpoint.live(target);
  expect(live.progress).toMatchObject({ work: { summary: '1 of 3', done: 1, total: 3, unit: 'nodes' } });
  site.failures.push(new Error('the network is down'));
  site.finishSlow();
  while (live.retrying.length === 0 && Date.now() < giveUpAt) live = await engine.holdpoint.live(target);
  expect(live.retrying).toEqual([{ step: 'work', reason: expect.stringContaining('the network is down'), attempt: 2 }]);
  await engine.until(target, 'done');
});

test('a plan touches nothing and shows what every span would do', async () => {
  const { cluster, site } = engine.newSite();
  const forecast = await engine.holdpoint.plan(runbookOf(), { cluster });
  expect(forecast.spans.map(({ hold, plan }) => [hold?.id, hold?.question, plan.steps.map(({ id }) => id)])).toEqual([
    [undefined, undefined, ['look']],
    ['sign', `Work on ${cluster}?`, ['work']],
  ]);
  expect(forecast.spans[1]?.plan.steps[0]?.plan.effects).toHaveLength(3);
  expect([site.looks, site.done.length, site.marks.size]).toEqual([0, 0, 0]);
});

test('what the worker refuses to plan is told in its words', async () => {
  const { cluster } = engine.newSite();
  await expect(engine.holdpoint.plan(runbookOf({ policy: 'nobody' }), { cluster })).rejects.toMatchObject({ code: 'runbook-invalid' });
});

test('without a worker nothing is started, and the task queue is named', async () => {
  const settings = { ...engine.settings, taskQueue: 'nobody-listens' };
  const lonely = new Holdpoint(engine.client, settings);
  const { cluster } = engine.newSite();
  await expect(lonely.plan(runbookOf(), { cluster })).rejects.toMatchObject({
    code: 'worker-missing',
    message: expect.stringContaining('nobody-listens'),
  });
});

async function listedUntil(passes: (runs: Awaited<ReturnType<Holdpoint['list']>>) => boolean): ReturnType<Holdpoint['list']> {
  const giveUpAt = Date.now() + 20_000;
  for (;;) {
    const runs = await engine.holdpoint.list({ openOnly: false });
    if (passes(runs)) return runs;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for the list; it is ${JSON.stringify(runs)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
