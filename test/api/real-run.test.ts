import { dirname } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { statementFor, type Statement } from '../../domain/approval/statement.ts';
import { hashOfSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { ApprovalRequest } from '../../domain/approval/request.ts';
import { LiveRuns } from '../../api/live-runs.ts';
import { startEngine, type Engine, type Person } from '../support/engine.ts';
import { EventStream } from './event-stream.ts';
import { configuration, issuer, origin, startServer, type ServerInTest } from './server.ts';

let engine: Engine;
let server: ServerInTest;
beforeAll(async () => {
  engine = await startEngine('api');
  server = await startServer({
    holdpoint: engine.holdpoint,
    liveRuns: new LiveRuns((run) => engine.holdpoint.show(run)),
    configurationFile: '/nowhere/holdpoint.yaml',
  });
  server.clock.nowMs = Date.now();
  const people = Object.entries(engine.configuration.people);
  Object.assign(server.current, engine.configuration, {
    api: configuration().api,
    people: Object.fromEntries(people.map(([id, person]) => [id, { ...person, oidc: { issuer, subject: `sub-${id}` } }])),
    evidence: { directory: dirname(engine.evidence.pathOf('r-20261129-aaaaaa')) },
  });
});
afterAll(async () => {
  await server.app.close();
  await engine.stop();
});

const host = new URL(origin).host;
const get = (path: string, person: Person, headers: Record<string, string> = {}) =>
  server.app.inject({ url: `/api/v1${path}`, headers: { host, cookie: server.cookieOf(person), ...headers } });
const post = (path: string, person: Person, payload: object, groups: string[] = []) =>
  server.app.inject({
    method: 'POST',
    url: `/api/v1${path}`,
    headers: { host, cookie: server.cookieOf(person, groups), 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' },
    payload,
  });
const signedBy = (person: Person) => ({ person, at: new Date().toISOString(), nonce: randomUUID() });
const signed = async (statement: Statement, person: Person) => ({ statement, signature: await engine.keys[person].sign(statement) });

test('what waits for somebody is read, signed, taken once however often it is sent, seen at once, and in the record', async () => {
  const { run, target } = await engine.held('one');
  const inbox = (await get('/inbox', 'ada')).json<{ items: { run: string; hold: string; request: number }[] }>();
  const item = inbox.items.find((one) => one.run === run)!;
  expect((await get('/inbox', 'dana')).json<typeof inbox>().items.filter((one) => one.run === run)).toEqual([]);

  const address = `/runs/${run}/holds/${item.hold}/${item.request}`;
  const page = (await get(address, 'ada')).json<{ plan: SpanPlan; request: ApprovalRequest; you: object }>();
  expect(page.you).toMatchObject({ mayApprove: true });
  expect(hashOfSpan(page.plan)).toBe(page.request.planHash);

  const stream = await server.app.inject({
    url: `/api/v1/runs/${run}/events`,
    headers: { host, cookie: server.cookieOf('grace') },
    payloadAsStream: true,
  });
  const events = new EventStream(stream.stream());
  await events.until((one) => one.text.includes('"phase":"holding"'));

  // Somebody else's key, then an altered claim: both go to the run, which refuses them and writes that down.
  const shown = { kind: 'decision' as const, run, request: page.request, decision: 'approve' as const, reason: 'looks right' };
  const statement = statementFor(shown, signedBy('ada'));
  const forged = await post(`/runs/${run}/decisions`, 'ada', {
    statement,
    signature: await engine.keys.grace.sign({ ...statement, person: 'grace' }),
  });
  expect(forged.json()).toMatchObject({ status: 403, code: 'signature-forged', recorded: true });
  const right = await signed(statement, 'ada');
  const altered = await post(`/runs/${run}/decisions`, 'ada', { ...right, statement: { ...statement, reason: 'another' } });
  expect(altered.json()).toMatchObject({ status: 422, code: 'claim-differs', recorded: true });

  const answers = await Promise.all([1, 2, 3].map(() => post(`/runs/${run}/decisions`, 'ada', right)));
  expect(answers.map((answer) => answer.json<object>())).toEqual([1, 2, 3].map(() => ({ state: 'approved', missing: 0 })));
  await events.until((one) => one.text.includes('"phase":"done"'));
  await engine.until(target, 'done');
  // The answer was lost, and the run is over by now.
  expect((await post(`/runs/${run}/decisions`, 'ada', right)).json()).toEqual({ state: 'approved', missing: 0 });
  const kinds = (await engine.entries(run)).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'decision.accepted')).toHaveLength(1);
  expect(kinds.filter((kind) => kind === 'attempt.refused')).toHaveLength(2);

  // The address of the hold is good for ever, and says what became of it.
  expect((await get(address, 'grace')).json()).toMatchObject({
    status: 'approved',
    plan: { hash: page.request.planHash },
    decisions: [{ person: 'ada', reason: 'looks right' }],
    you: { mayApprove: false, whyNotApprove: { code: 'hold-not-waiting' } },
  });
  expect((await get(`/plans/${page.request.planHash}?run=${run}`, 'grace')).statusCode).toBe(200);
  const record = (await get(`/runs/${run}/evidence`, 'ada')).json<{ report: object; entries: object[] }>();
  expect(record.report).toMatchObject({ ok: true, entries: record.entries.length });
  expect((await get(`/runs/${run}/evidence`, 'oscar')).statusCode).toBe(404);
});

test('an operator tells a run what to do, once however often it is sent; the list goes on where its page has ended', async () => {
  const { run, target, state } = await engine.held('one');
  const word = await signed(statementFor({ kind: 'command', state, command: 'abort', reason: 'not now' }, signedBy('dana')), 'dana');
  expect((await post(`/runs/${run}/verbs`, 'dana', word)).json()).toMatchObject({ code: 'role-missing' });
  const answers = await Promise.all([1, 2].map(() => post(`/runs/${run}/verbs`, 'dana', word, ['platform'])));
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200]);
  await engine.until(target, 'aborted');
  expect((await engine.entries(run)).filter(({ kind }) => kind === 'command.accepted')).toHaveLength(1);

  const first = (await get('/runs?open=false&limit=1&requester=dana', 'ada')).json<{ runs: object[]; next: string }>();
  const second = (await get(`/runs?open=false&limit=1&requester=dana&cursor=${first.next}`, 'ada')).json<{ runs: object[] }>();
  expect([first.runs.length, second.runs.length]).toEqual([1, 1]);
  expect(second.runs).not.toEqual(first.runs);
});
