import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { InjectOptions } from 'fastify';
import { readAudit } from '../../api/audit.ts';
import { plan, run } from './fake-client.ts';
import { machineToken, origin, startServer, type ServerInTest } from './server.ts';

const base = '/api/v1';
const now = { at: '2026-11-29T12:00:00.000Z', nonce: 'n-1' };
const answer = { person: 'ada', run, hold: 'sign', request: 2, planHash: plan.hash, question: 'sha256:0' };
const decision = { kind: 'decision', ...answer, decision: 'approve', reason: '', ...now };
const command = { kind: 'command', person: 'dana', run, command: 'abort', step: '', reason: '', ...now };
const start = { kind: 'start', person: 'dana', run, target: 'eks/eu-central-1/demo', runbook: 'sha256:0', planHash: plan.hash, ...now };

type Who = 'anybody' | 'signed-in' | 'viewer' | 'operator' | 'auditor';

/** Every route with who may call it. What is not here is not known, and the first test fails. */
const table: Record<string, { access: Who; url?: string; body?: unknown; stream?: true }> = {
  'GET /healthz': { access: 'anybody' },
  'GET /readyz': { access: 'anybody' },
  [`GET ${base}/auth/login`]: { access: 'anybody' },
  [`GET ${base}/auth/callback`]: { access: 'anybody' },
  [`POST ${base}/auth/logout`]: { access: 'anybody', body: {} },
  [`GET ${base}/openapi.json`]: { access: 'viewer' },
  [`GET ${base}/me`]: { access: 'signed-in' },
  [`GET ${base}/inbox`]: { access: 'signed-in' },
  [`GET ${base}/runs`]: { access: 'viewer' },
  [`GET ${base}/runs/:run`]: { access: 'viewer', url: `${base}/runs/${run}` },
  [`GET ${base}/runs/:run/events`]: { access: 'viewer', url: `${base}/runs/${run}/events`, stream: true },
  [`GET ${base}/runs/:run/holds/:hold/:opening`]: { access: 'viewer', url: `${base}/runs/${run}/holds/sign/2` },
  [`GET ${base}/runs/:run/evidence`]: { access: 'signed-in', url: `${base}/runs/${run}/evidence` },
  [`GET ${base}/plans/:hash`]: { access: 'viewer', url: `${base}/plans/${plan.hash}?run=${run}` },
  [`GET ${base}/runbooks`]: { access: 'viewer' },
  [`GET ${base}/runbooks/:runbook`]: { access: 'viewer', url: `${base}/runbooks/node-maintenance` },
  [`POST ${base}/forecasts`]: {
    access: 'operator',
    body: { runbook: 'node-maintenance', inputs: { target: 'kubernetes/lab', nodes: ['a'] } },
  },
  [`POST ${base}/runs`]: { access: 'operator', body: { runbook: 'node-maintenance', inputs: {}, statement: start, signature: 'x' } },
  [`POST ${base}/runs/:run/decisions`]: {
    access: 'signed-in',
    url: `${base}/runs/${run}/decisions`,
    body: { statement: decision, signature: 'x' },
  },
  [`POST ${base}/runs/:run/verbs`]: { access: 'operator', url: `${base}/runs/${run}/verbs`, body: { statement: command, signature: 'x' } },
};

let server: ServerInTest;
const routes: string[] = [];
beforeAll(async () => {
  server = await startServer({ onRoute: (route) => routes.push(route) });
});
afterAll(() => server.app.close());
beforeEach(() => {
  server.clock.nowMs += 61_000;
  server.audit.length = 0;
  server.client.asked.length = 0;
});

const host = new URL(origin).host;
const rows = Object.entries(table).map(([route, row]) => {
  const [method = '', path = ''] = route.split(' ');
  return { route, method: method as 'GET' | 'POST', url: row.url ?? path, ...row };
});
const unsafe = rows.filter(({ method }) => method === 'POST');
const guarded = rows.filter(({ access }) => access !== 'anybody');

type Row = (typeof rows)[number];

/** A request as a page of ours sends it, with what a test puts into the place of that. */
const send = (row: Row, change: { headers?: Record<string, string | undefined>; payload?: string; url?: string } = {}) => {
  const headers = { host, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json', ...change.headers };
  const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const options: InjectOptions = { method: row.method, url: change.url ?? row.url, headers: Object.fromEntries(given) };
  if (row.method === 'POST') options.payload = change.payload ?? JSON.stringify(row.body);
  return server.app.inject(options);
};

/** Somebody who may call a route: dana is a person and an operator, an auditor may look. */
const cookieFor = ({ access, url }: Row): string =>
  access === 'operator' ? server.cookieOf('dana', ['platform']) : server.cookieOf('ada', url.includes('evidence') ? ['audit'] : []);

test('every route that is served is in the table above', () => {
  expect(routes.filter((route) => !route.startsWith('HEAD ')).sort()).toEqual(Object.keys(table).sort());
});

test.each(guarded)('$route lets nobody in without a session', async (row) => {
  const { statusCode, headers } = await send(row);
  expect([statusCode, headers['content-type']]).toEqual([401, 'application/problem+json; charset=utf-8']);
  expect(server.audit).toMatchObject([{ code: 'session-missing', method: row.method }]);
});

test.each(guarded)('$route lets nobody in with a token, a cookie or a scheme that is none', async (row) => {
  const wrong = [
    { authorization: 'Bearer x' },
    { authorization: `Bearer ${machineToken}x` },
    { authorization: `Bearer ${'a'.repeat(40)}` },
    { authorization: `Basic ${machineToken}` },
    { authorization: '' },
    { authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdWItYWRhIn0.' },
    { cookie: '__Host-holdpoint=fixed-by-somebody' },
    { cookie: server.cookieOf('ada').replace('__Host-', '') },
    { authorization: `Bearer ${machineToken}`, cookie: server.cookieOf('ada') },
  ];
  for (const headers of wrong)
    expect([headers, (await send(row, { headers })).statusCode]).toEqual([
      headers,
      401 + ('cookie' in headers && 'authorization' in headers ? 2 : 0),
    ]);
});

test.each(guarded.filter(({ access }) => access !== 'signed-in'))('$route is not for whoever has another role', async (row) => {
  const stranger = server.cookieOf('nobody', ['canteen']);
  const cookies = row.access === 'operator' ? [stranger, server.cookieOf('ada', ['staff', 'audit'])] : [stranger];
  for (const cookie of cookies)
    expect((await send(row, { headers: { cookie } })).json()).toMatchObject({ status: 403, code: 'role-missing' });
  expect(server.audit.map(({ code }) => code)).toEqual(cookies.map(() => 'role-missing'));
});

test.each(unsafe)('$route takes nothing from another origin, nor from nobody knows where', async (row) => {
  const cookie = cookieFor(row);
  const wrong: Record<string, string | undefined>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: 'https://evil.example.com' },
    { 'sec-fetch-site': 'none' },
    // An own origin does not outweigh what the browser says.
    { 'sec-fetch-site': 'same-site', origin },
    { 'sec-fetch-site': undefined },
    { 'sec-fetch-site': undefined, origin: 'https://evil.example.com' },
    { 'sec-fetch-site': undefined, origin: 'null' },
    { 'sec-fetch-site': undefined, origin: `${origin}.evil.example.com` },
  ];
  for (const headers of wrong)
    expect((await send(row, { headers: { cookie, ...headers } })).json()).toMatchObject({ status: 403, code: 'origin-refused' });
  expect((await send(row, { headers: { cookie, host: 'evil.example.com' } })).json()).toMatchObject({ status: 421, code: 'host-refused' });
  expect(server.client.asked).toEqual([]);
});

test.each(unsafe)('$route takes JSON only, however its type is spelled', async (row) => {
  const cookie = cookieFor(row);
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/json\t; a=b',
    'text/plain; application/json',
    undefined,
  ];
  for (const type of types) {
    expect([type, (await send(row, { headers: { cookie, 'content-type': type } })).statusCode]).toEqual([type, 415]);
  }
  expect(server.client.asked).toEqual([]);
});

test.each(unsafe)('$route takes nothing that is too large, unknown, or meant for the prototype', async (row) => {
  const cookie = cookieFor(row);
  const body = JSON.stringify(row.body);
  const wrong: [string, number][] = [
    [`${body.slice(0, -1)}${body === '{}' ? '' : ','}"padding":"${'x'.repeat(2 * 1024 * 1024)}"}`, 413],
    [`${body.slice(0, -1)}${body === '{}' ? '' : ','}"unknown":1}`, 422],
    [`${body.slice(0, -1)}${body === '{}' ? '' : ','}"__proto__":{"roles":["auditor"]}}`, 422],
    [`${body.slice(0, -1)}${body === '{}' ? '' : ','}"constructor":{"prototype":{}}}`, 422],
    ['[]', 422],
    ['"x"', 422],
    ['{', 422],
    ['', 422],
  ];
  for (const [payload, status] of wrong) {
    const { statusCode } = await send(row, { headers: { cookie }, payload });
    expect([payload.slice(0, 400), statusCode]).toEqual([payload.slice(0, 400), status]);
    server.clock.nowMs += 61_000;
  }
  expect(server.client.asked).toEqual([]);
});

test.each(unsafe.filter(({ access }) => access !== 'anybody'))('$route is for people: a token of a machine only reads', async (row) => {
  const { json } = await send(row, { headers: { authorization: `Bearer ${machineToken}` } });
  expect(json()).toMatchObject({ status: 403, code: 'role-missing' });
});

test('a token of a machine reads what a viewer may, and no record', async () => {
  const headers = { authorization: `Bearer ${machineToken}` };
  const of = (path: string): Row => rows.find(({ route }) => route === `GET ${base}${path}`)!;
  for (const path of ['/runs', '/runs/:run', '/plans/:hash', '/runbooks', '/me']) {
    expect([path, (await send(of(path), { headers })).statusCode]).toEqual([path, 200]);
  }
  expect((await send(of('/runs/:run/evidence'), { headers })).statusCode).toBe(404);
  server.current.api!.tokens!.grafana!.until = '2020-01-01T00:00:00Z';
  expect((await send(of('/runs'), { headers })).statusCode).toBe(401);
  delete server.current.api!.tokens!.grafana!.until;
});

describe('two identities in one request', () => {
  const withSession = (row: Row, cookie: string) => send(row, { headers: { cookie } });
  const row = (path: string): Row => unsafe.find(({ route }) => route.endsWith(path))!;

  test.each([
    ['decisions', () => server.cookieOf('grace', ['platform'])],
    ['verbs', () => server.cookieOf('ada', ['platform'])],
    // Somebody who operates, and is nobody of holdpoint.yaml.
    ['verbs', () => server.cookieOf('nobody', ['platform'])],
  ])('%s: what another person has signed is refused and written down', async (path, cookie) => {
    const answered = await withSession(row(path), cookie());
    expect(answered.json()).toMatchObject({ status: 403, code: 'person-differs' });
    expect(server.client.asked).toEqual([]);
    expect(server.audit).toMatchObject([{ code: 'person-differs', asks: path === 'decisions' ? 'ada' : 'dana', run }]);
  });

  test('a statement for another run, or of another kind, goes to no run', async () => {
    const decisions = row('decisions');
    const cookie = server.cookieOf('ada');
    for (const statement of [{ ...decision, run: 'r-20261129-zzzzzz' }, command, { ...decision, extra: 'x' }, { ...decision, nonce: '' }]) {
      const payload = JSON.stringify({ statement, signature: 'x' });
      expect((await send(decisions, { headers: { cookie }, payload })).json()).toMatchObject({ status: 422, code: 'request-malformed' });
    }
    expect(server.client.asked).toEqual([]);
  });
});

test('every answer carries the headers that keep a page from harm', async () => {
  for (const row of rows.filter(({ stream }) => !stream)) {
    const { headers } = await send(row, { headers: { cookie: cookieFor(row) } });
    expect([row.route, headers]).toEqual([
      row.route,
      expect.objectContaining({
        'content-security-policy': expect.stringMatching(/default-src 'none'.*frame-ancestors 'none'.*require-trusted-types-for 'script'/),
        'strict-transport-security': 'max-age=31536000',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      }),
    ]);
    expect(headers['content-security-policy']).not.toMatch(/unsafe|data:|\*/);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  }
});

test('ids of what is not there, or cannot be an id, are told alike and lead nowhere', async () => {
  const cookie = server.cookieOf('ada');
  const of = (url: string) =>
    send(
      rows.find(({ url: known }) => known === '/healthz')!,
      { url, headers: { cookie } },
    );
  for (const url of ['/runs/r-20261129-nothere', '/runs/r-20261129-nothere/events', '/runs/r-20261129-nothere/evidence', '/nothing']) {
    expect([url, (await of(`${base}${url}`)).statusCode]).toEqual([url, 404]);
  }
  for (const url of ['/runs/..%2f..%2fetc', '/runs/%00', '/runs/payloads', `/runs/${run}/holds/sign/0`, '/plans/x', '/runbooks/..%2fx']) {
    expect([url, (await of(`${base}${url}`)).statusCode]).toEqual([url, 422]);
  }
});

test('refusals are written down in one chain, which shows each change', async () => {
  const row = rows.find(({ route }) => route === `GET ${base}/runs`)!;
  for (let count = 0; count < 3; count += 1) await send(row);
  const text = server.audit.map((line) => JSON.stringify(line));
  expect(text).toHaveLength(3);
  const first = server.audit[0]!;
  const whole = (lines: string[]): ReturnType<typeof readAudit> => {
    // The chain of this server has begun with the tests before.
    const { sequence, previous } = first;
    return readAudit(lines.join('\n'), { sequence: sequence - 1, hash: previous });
  };
  expect(whole(text)).toEqual({ lines: server.audit });
  expect(whole([text[0]!, text[2]!]).problem).toContain('line 2');
  expect(whole([text[0]!, text[1]!.replace('session-missing', 'role-missing'), text[2]!]).problem).toContain('line 2');
});
