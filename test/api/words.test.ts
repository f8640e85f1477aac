import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { refusalsPerMinute, writesPerMinute } from '../../api/limits.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { plan, run } from './fake-client.ts';
import { origin, startServer, type ServerInTest } from './server.ts';

let server: ServerInTest;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.app.close());
beforeEach(() => {
  server.clock.nowMs += 61_000;
  server.client.asked.length = 0;
  server.client.submitted = async () => ({ state: 'approved', missing: 0 });
  server.client.log = async () => ({ run, target: '', entries: [], incomplete: false });
});

const claims = { person: 'ada', run, hold: 'sign', request: 2, planHash: plan.hash, question: 'sha256:0' };
const statement = { kind: 'decision', ...claims, decision: 'approve', reason: '확인함', at: '2026-11-29T12:00:00.000Z', nonce: 'n-1' };

const post = (path: string, payload: object, person = 'ada') =>
  server.app.inject({
    method: 'POST',
    url: `/api/v1${path}`,
    headers: {
      host: new URL(origin).host,
      cookie: server.cookieOf(person, ['platform']),
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/json',
    },
    payload,
  });
const decide = (person?: string) => post(`/runs/${run}/decisions`, { statement, signature: 'signed' }, person);

test('a statement and its signature go on as they came', async () => {
  expect((await decide()).json()).toEqual({ state: 'approved', missing: 0 });
  expect(server.client.asked).toEqual([{ name: 'submit', args: [run, statement, 'signed', undefined] }]);
});

test.each([
  [new RefusedError('plan-drifted', 'It has drifted.', 'Look again.', true), 409, true],
  [new RefusedError('not-in-group', 'Not in it.', 'Ask others.'), 403, true],
  [new RefusedError('signature-forged', 'It does not hold.', 'Sign.', true), 403, true],
  [new RefusedError('statement-stale', 'Too old.', 'Sign anew.', true), 422, true],
  [new HoldpointError('worker-missing', { queue: 'q', address: 'a' }), 503, undefined],
  [new HoldpointError('word-unanswered', { target: 't', attempt: 'approve' }), 504, undefined],
  [new HoldpointError('hold-not-waiting', { run, phase: 'running' }), 409, undefined],
])('a refusal is told with its code and what to do: %s', async (error, status, recorded) => {
  server.client.submitted = () => Promise.reject(error);
  const answer = await decide();
  expect(answer.statusCode).toBe(status);
  expect(answer.json()).toEqual({
    type: `/errors#${error.code}`,
    title: expect.any(String),
    status,
    detail: error.message,
    code: error.code,
    remedy: error.remedy,
    run,
    ...(recorded && { recorded }),
  });
  expect(answer.headers['retry-after']).toBe(status === 503 || status === 504 ? '5' : undefined);
});

test('what nobody has foreseen is told to the log, and not to whoever asks', async () => {
  server.client.submitted = () => Promise.reject(new Error('postgres://user:secret@host'));
  const answer = await decide();
  expect(answer.json()).toMatchObject({ status: 500, code: 'unexpected' });
  expect(answer.body).not.toContain('secret');
  expect(server.errors).toHaveLength(1);
});

test('a repeat of what was taken is a success also when the run has gone on; of anything else it is none', async () => {
  server.client.submitted = () => Promise.reject(new HoldpointError('hold-not-waiting', { run, phase: 'done' }));
  const entry = (kind: string, jws: string) => ({ kind, body: { hold: 'sign', jws }, at: '' });
  server.client.log = async () => ({
    run,
    target: '',
    entries: [entry('decision.accepted', 'signed'), entry('hold.released', '')],
    incomplete: false,
  });
  expect((await decide()).json()).toEqual({ state: 'approved', missing: 0 });
  server.client.log = async () => ({ run, target: '', entries: [entry('attempt.refused', 'signed')], incomplete: false });
  expect((await decide()).json()).toMatchObject({ code: 'hold-not-waiting' });
});

test('who is refused too often at a run waits; others, and other runs, do not', async () => {
  server.client.submitted = () => Promise.reject(new RefusedError('plan-differs', 'Another.', 'Read.', true));
  for (let count = 0; count < refusalsPerMinute; count += 1) expect((await decide()).statusCode).toBe(409);
  const before = server.client.asked.length;
  const answer = await decide();
  expect([answer.json(), answer.headers['retry-after']]).toEqual([expect.objectContaining({ code: 'too-many-refusals' }), '5']);
  expect(server.client.asked).toHaveLength(before);
  const grace = { ...statement, person: 'grace' };
  expect((await post(`/runs/${run}/decisions`, { statement: grace, signature: 'x' }, 'grace')).statusCode).toBe(409);
  server.clock.nowMs += 61_000;
  expect((await decide()).statusCode).toBe(409);
});

test('a person writes so often in a minute and no more', async () => {
  for (let count = 0; count < writesPerMinute; count += 1) expect((await decide()).statusCode).toBe(200);
  expect((await decide()).json()).toMatchObject({ status: 429, code: 'too-many-writes' });
});

test('a start is of a runbook that comes with Holdpoint, in the version that was signed, with inputs that fit', async () => {
  server.current.policies = {
    'production-change': { name: 'production-change', atLeast: 1, of: 'sre', exclude: [], reason: 'optional', expiresMs: 1 },
  };
  const inputs = { target: 'kubernetes/lab', nodes: ['node-a'] };
  const { digest } = (
    await server.app.inject({
      url: '/api/v1/runbooks/node-maintenance',
      headers: { host: new URL(origin).host, cookie: server.cookieOf('ada') },
    })
  ).json<{ digest: string }>();
  const start = {
    kind: 'start',
    person: 'dana',
    run: 'r-20261129-zzzzzz',
    target: 'kubernetes/lab',
    runbook: digest,
    planHash: plan.hash,
    at: statement.at,
    nonce: 'n-2',
  };
  server.client.submitted = async () => ({ admitted: true });
  const begin = (change: object) =>
    post('/runs', { runbook: 'node-maintenance', inputs, statement: start, signature: 'x', ...change }, 'dana');
  expect((await begin({})).json()).toEqual({ run: start.run, target: start.target, admission: { admitted: true } });
  expect((await begin({ statement: { ...start, runbook: 'sha256:1' } })).json()).toMatchObject({ code: 'request-malformed' });
  expect((await begin({ inputs: { nodes: 7 } })).json()).toMatchObject({ status: 422, code: 'inputs-invalid' });
  expect((await begin({ runbook: 'nothing' })).json()).toMatchObject({ status: 404, code: 'runbook-unknown' });
  expect(server.client.asked).toHaveLength(1);
});

test('the cursor of a list goes on with that list only', async () => {
  const list = (query: string) =>
    server.app.inject({ url: `/api/v1/runs?${query}`, headers: { host: new URL(origin).host, cookie: server.cookieOf('ada') } });
  server.client.pages = { runs: [], next: Buffer.from('temporal') };
  const { next, command } = (await list('phase=stuck&limit=2')).json<{ next: string; command: string }>();
  expect(command).toBe('holdpoint runs --phase stuck');
  server.client.asked.length = 0;
  expect((await list(`phase=stuck&limit=2&cursor=${next}`)).statusCode).toBe(200);
  expect(server.client.asked).toEqual([{ name: 'page', args: [expect.objectContaining({ phase: 'stuck' }), 2, Buffer.from('temporal')] }]);
  for (const query of [`phase=done&cursor=${next}`, `cursor=e30`, 'limit=101', 'limit=0', 'phase=x', 'nothing=1', 'limit=1&limit=2']) {
    expect([query, (await list(query)).statusCode]).toEqual([query, 422]);
  }
});
