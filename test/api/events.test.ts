import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { streamsPerSession } from '../../api/limits.ts';
import { sessionIdleMs, sessionLastsMs } from '../../api/sessions.ts';
import { EventStream } from './event-stream.ts';
import { run } from './fake-client.ts';
import { issuer, machineToken, origin, startServer, type ServerInTest } from './server.ts';

let server: ServerInTest;
beforeEach(async () => {
  server = await startServer();
});
afterEach(() => server.app.close());

const headersOf = (given: Record<string, string>) => ({ host: new URL(origin).host, ...given });

async function open(given: Record<string, string>): Promise<EventStream> {
  const answer = await server.app.inject({
    method: 'GET',
    url: `/api/v1/runs/${run}/events`,
    headers: headersOf(given),
    payloadAsStream: true,
  });
  expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
  expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  return new EventStream(answer.stream());
}

const post = (path: string, cookie: string, payload: object) =>
  server.app.inject({
    method: 'POST',
    url: `/api/v1${path}`,
    headers: headersOf({ cookie, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }),
    payload,
  });

test('a watcher gets the whole state, then what changes, at once after a decision; all watchers are one question', async () => {
  let asked = 0;
  const show = server.client.show.bind(server.client);
  server.client.show = async (name) => ((asked += 1), show(name));
  const cookie = server.cookieOf('ada');
  const [one, other] = [await open({ cookie }), await open({ cookie })];
  await one.until((stream) => stream.events('state').length === 1);
  await other.until((stream) => stream.events('state').length === 1);
  expect(one.text).toContain('"phase":"holding"');
  expect(one.text).not.toContain('"facts"');
  // One before the first stream, and one for both.
  expect(asked).toBe(2);
  server.client.live.state.phase = 'running';
  server.context.liveRuns.look(run);
  await one.until((stream) => stream.text.includes('"phase":"running"'));
  await other.until((stream) => stream.events('state').length === 2);
  expect(asked).toBe(3);
});

test('whoever comes back with the last id is not sent what they have', async () => {
  const cookie = server.cookieOf('ada');
  const first = await open({ cookie });
  await first.until((stream) => stream.events('state').length === 1);
  const id = /^id: (.+)$/m.exec(first.text)?.[1] ?? '';
  const again = await open({ cookie, 'last-event-id': id });
  await again.until((stream) => stream.events('fresh').length === 1);
  expect(again.events('state')).toEqual([]);
  expect(
    await (async () => {
      const stale = await open({ cookie, 'last-event-id': 'another' });
      await stale.until((stream) => stream.events('state').length === 1);
      return stale.events('state');
    })(),
  ).toHaveLength(1);
});

test('a stream ends at once after sign-out, and nothing comes on it any more', async () => {
  const cookie = server.cookieOf('ada');
  const stream = await open({ cookie });
  await stream.until(({ text }) => text !== '');
  expect((await post('/auth/logout', cookie, {})).statusCode).toBe(200);
  server.client.live.state.phase = 'running';
  server.context.liveRuns.look(run);
  await stream.until(({ ended }) => ended);
  expect(stream.text).not.toContain('"phase":"running"');
  expect(stream.events('end')).toEqual(['event: end\ndata: {"reason":"session-ended"}']);
  expect((await server.app.inject({ url: `/api/v1/runs/${run}/events`, headers: headersOf({ cookie }) })).statusCode).toBe(401);
});

test.each([
  ['the session is idle for too long', () => void (server.clock.nowMs += sessionIdleMs)],
  ['the session has lasted too long', () => void (server.clock.nowMs += sessionLastsMs)],
  ['the group has no role any more', () => void (server.current.api!.roles = { viewer: ['others'] })],
  [
    'the person is in another group after another sign-in',
    () => void server.context.sessions.begin({ issuer, subject: 'sub-visitor', name: 'visitor', groups: ['canteen'] }),
  ],
])('a stream ends within a second or so when %s', async (_what, happens) => {
  const stream = await open({ cookie: server.cookieOf('visitor', ['staff']) });
  await stream.until(({ text }) => text !== '');
  happens();
  await stream.until(({ ended }) => ended);
});

test('a stream of a machine ends when its token is taken away', async () => {
  const stream = await open({ authorization: `Bearer ${machineToken}` });
  await stream.until(({ text }) => text !== '');
  server.current.api!.tokens = {};
  await stream.until(({ ended }) => ended);
});

test('a session has so many streams and no more, and each that ends makes room', async () => {
  const cookie = server.cookieOf('ada');
  for (let count = 0; count < streamsPerSession; count += 1) await open({ cookie });
  const refused = await server.app.inject({ url: `/api/v1/runs/${run}/events`, headers: headersOf({ cookie }) });
  expect(refused.json()).toMatchObject({ status: 429, code: 'too-many-streams' });
  expect((await open({ cookie: server.cookieOf('grace') })).ended).toBe(false);
});

test('what cannot be read for a while is told with its code, and the state again when it can be', async () => {
  const stream = await open({ cookie: server.cookieOf('ada') });
  await stream.until(({ text }) => text !== '');
  const { show } = server.client;
  server.client.show = () => Promise.reject(new Error('a secret of the inside'));
  server.context.liveRuns.look(run);
  await stream.until(({ text }) => text.includes('event: problem'));
  expect(stream.text).not.toContain('a secret');
  server.client.show = show;
  server.context.liveRuns.look(run);
  await stream.until((one) => one.events('state').length === 2);
});
