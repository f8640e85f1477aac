import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SMTPServer } from 'smtp-server';
import { sendLimits } from '../../../activities/notify/channel.ts';
import { send } from '../../../activities/notify/send.ts';
import type { Message } from '../../../domain/notification.ts';
import type { Channel } from '../../../runbooks/configuration/notifications.ts';
import { answering, endless, hanging, startEndpoint, type Endpoint } from '../../support/endpoint.ts';

const token = 'xoxb-very-secret';
const message: Message = {
  id: 'r-1/5',
  event: 'opened',
  at: '2026-11-28T16:00:00.000Z',
  run: 'r-1',
  target: 'kubernetes/lab',
  title: 'Approval needed <!channel> & <@U123>',
  text: 'Approval needed <!channel> & <@U123>\n*bold* http://evil.example',
  values: { run: 'r-1' },
};

let directory: string;
let endpoint: Endpoint;
let stranger: Endpoint;
let secret: { file: string };
let patience: typeof sendLimits.timeoutMs;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-notify-'));
  secret = { file: join(directory, 'secret') };
  await writeFile(secret.file, `${token}\n`);
  patience = sendLimits.timeoutMs;
});
beforeEach(async () => {
  [endpoint, stranger] = [await startEndpoint(), await startEndpoint()];
});
afterEach(async () => {
  sendLimits.timeoutMs = patience;
  await Promise.all([endpoint.stop(), stranger.stop()]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const bot = (): Channel => ({ kind: 'slack', channel: 'C024BE91L', token: secret, apiUrl: `${endpoint.url}api/` });
const events = (): Channel => ({ kind: 'cloudEvents', url: endpoint.url, key: secret });
async function webhook(): Promise<Channel> {
  const file = join(directory, 'webhook');
  await writeFile(file, `${endpoint.url}services/T0/B0/very-secret`);
  return { kind: 'slackWebhook', url: { file } };
}
const kinds = { 'a bot of Slack': async () => bot(), 'a webhook of Slack': webhook, CloudEvents: async () => events() };

test('a bot posts one block in which Slack reads nothing, and a title whose signs are escaped', async () => {
  endpoint.answer = answering(200, { 'content-type': 'application/json' }, '{"ok":true}');
  expect(await send(bot(), message)).toEqual({ state: 'delivered' });
  const { path = '', headers = {}, body = '' } = endpoint.received[0] ?? {};
  expect(path).toBe('/api/chat.postMessage');
  expect(headers.authorization).toBe(`Bearer ${token}`);
  const sent = new URLSearchParams(body);
  expect(sent.get('text')).toBe('Approval needed &lt;!channel&gt; &amp; &lt;@U123&gt;');
  expect(sent.get('channel')).toBe('C024BE91L');
  expect(JSON.parse(sent.get('blocks') ?? '')).toEqual([
    {
      type: 'rich_text',
      elements: [{ type: 'rich_text_preformatted', elements: [{ type: 'text', text: message.text }] }],
    },
  ]);
});

test('what Slack says decides whether trying again is of use', async () => {
  const json = { 'content-type': 'application/json' };
  endpoint.answer = answering(200, json, '{"ok":false,"error":"channel_not_found"}');
  expect(await send(bot(), message)).toEqual({ state: 'refused', reason: 'Slack answered channel_not_found' });
  endpoint.answer = answering(200, json, '{"ok":false,"error":"internal_error"}');
  expect(await send(bot(), message)).toMatchObject({ state: 'failed' });
  endpoint.answer = answering(200, json, `{"ok":false,"error":"${token} "}`);
  expect(JSON.stringify(await send(bot(), message))).not.toContain(token);
});

test('a CloudEvent is signed with its time, and has the same id when it is sent again', async () => {
  expect(await send(events(), message)).toEqual({ state: 'delivered' });
  await send(events(), { ...message, mark: 'repeat' });
  const [first, second] = endpoint.received;
  const event = JSON.parse(first?.body ?? '') as Record<string, unknown>;
  expect(first?.headers['content-type']).toContain('application/cloudevents+json');
  expect(event).toMatchObject({
    specversion: '1.0',
    id: 'r-1/5',
    type: 'dev.holdpoint.opened',
    source: '/holdpoint/kubernetes/lab',
    subject: 'r-1',
    time: message.at,
    data: { run: 'r-1', text: message.text },
  });
  expect(JSON.parse(second?.body ?? '')).toMatchObject({ id: 'r-1/5', source: '/holdpoint/kubernetes/lab', data: { mark: 'repeat' } });
  const [, at = '', mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(first?.headers['holdpoint-signature'])) ?? [];
  expect(mac).toBe(
    createHmac('sha256', token)
      .update(`${at}.${first?.body ?? ''}`)
      .digest('hex'),
  );
});

describe.each(Object.entries(kinds))('%s', (_name, channelOf) => {
  test('is not led to another host', async () => {
    endpoint.answer = answering(307, { location: stranger.url });
    const delivery = await send(await channelOf(), message);
    expect(delivery).toEqual({ state: 'refused', reason: 'it answered 307: redirects are not followed' });
    expect(stranger.received).toEqual([]);
  });

  test('reads no answer without end, and waits for none for ever: nobody knows then whether it has arrived', async () => {
    const channel = await channelOf();
    endpoint.answer = endless;
    expect(await send(channel, message)).toEqual({ state: 'unsure', reason: 'the answer has more than 65536 bytes' });
    sendLimits.timeoutMs = 300;
    endpoint.answer = hanging;
    expect(await send(channel, message)).toEqual({ state: 'unsure', reason: 'no answer within 0.3 s' });
  });

  test('is tried again after 429 and 503, not before it has asked for, and not after 403', async () => {
    const channel = await channelOf();
    endpoint.answer = answering(429, { 'retry-after': '7' });
    expect(await send(channel, message)).toMatchObject({ state: 'failed', retryAfterMs: 7_000 });
    endpoint.answer = answering(429, { 'retry-after': '99999999' });
    expect(await send(channel, message)).toMatchObject({ state: 'failed', retryAfterMs: 3_600_000 });
    endpoint.answer = answering(503);
    expect(await send(channel, message)).toMatchObject({ state: 'failed', reason: 'it answered 503' });
    endpoint.answer = answering(403, {}, token);
    expect(await send(channel, message)).toEqual({ state: 'refused', reason: 'it answered 403' });
  });

  test('that is not there has not got it', async () => {
    const channel = await channelOf();
    await endpoint.stop();
    expect(await send(channel, message)).toEqual({ state: 'failed', reason: 'the connection failed (ECONNREFUSED)' });
    endpoint = await startEndpoint();
  });
});

test('a secret that is not there is named by its place', async () => {
  const file = join(directory, 'none');
  expect(await send({ kind: 'cloudEvents', url: endpoint.url, key: { file } }, message)).toEqual({
    state: 'refused',
    reason: `the file ${file} cannot be read (ENOENT)`,
  });
  const environment = 'HOLDPOINT_TEST_NO_SUCH_SECRET';
  expect(await send({ kind: 'cloudEvents', url: endpoint.url, key: { environment } }, message)).toMatchObject({ state: 'refused' });
  expect(endpoint.received).toEqual([]);
});

describe('mail', () => {
  interface Mail {
    from: string;
    to: string[];
    text: string;
  }

  async function withServer(
    answer: (callback: (error?: Error | null) => void) => void,
    work: (channel: Channel & { kind: 'mail' }, mails: Mail[]) => Promise<void>,
  ): Promise<void> {
    const mails: Mail[] = [];
    const server = new SMTPServer({
      hideSTARTTLS: true,
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, callback) =>
        password === token ? callback(null, { user: username }) : callback(new Error(`not ${password ?? ''}`)),
      onData: (stream, { envelope }, callback) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
          mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(chunks).toString('utf8') });
          answer(callback);
        });
      },
    });
    server.on('error', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const { port } = server.server.address() as AddressInfo;
    const login = { user: 'holdpoint', password: secret };
    const to = ['sre@example.com', 'dba@example.com'];
    try {
      await work({ kind: 'mail', server: '127.0.0.1', port, tls: 'none', login, from: 'holdpoint@example.com', to }, mails);
    } finally {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  test('goes to all recipients, as text, with an id that a repeat has again, and no header of a stranger', async () => {
    await withServer(
      (callback) => callback(),
      async (channel, mails) => {
        const injected = { ...message, title: 'Approval\r\nBcc: all@example.com', mark: 'repeat' as const };
        expect(await send(channel, injected)).toEqual({ state: 'delivered' });
        const [mail] = mails;
        expect(mail).toMatchObject({ from: 'holdpoint@example.com', to: ['sre@example.com', 'dba@example.com'] });
        expect(mail?.text).toMatch(/^Message-ID: <r-1\.5@example\.com>\r$/m);
        expect(mail?.text).toMatch(/^Auto-Submitted: auto-generated\r$/m);
        expect(mail?.text).toMatch(/^Holdpoint-Mark: repeat\r$/m);
        expect(mail?.text).not.toMatch(/^Bcc:/m);
        expect(mail?.text).toContain('<!channel>');
      },
    );
  });

  test('that the server refuses is told by the number of its answer; a login is not repeated', async () => {
    const refusal = (code: number) => Object.assign(new Error(`${token} no`), { responseCode: code });
    await withServer(
      (callback) => callback(refusal(451)),
      async (channel) => expect(await send(channel, message)).toMatchObject({ state: 'failed', reason: expect.stringContaining('451') }),
    );
    await withServer(
      (callback) => callback(refusal(554)),
      async (channel) => {
        const delivery = await send(channel, message);
        expect(delivery).toEqual({ state: 'refused', reason: 'the mail server answered 554 to DATA' });
        await writeFile(join(directory, 'wrong'), 'wrong-secret');
        const wrong = { ...channel, login: { user: 'holdpoint', password: { file: join(directory, 'wrong') } } };
        expect(await send(wrong, message)).toEqual({ state: 'refused', reason: expect.stringMatching(/^the mail server answered 535/) });
      },
    );
  });

  test('that was sent whole and is not answered may have arrived; one that found nobody has not', async () => {
    sendLimits.timeoutMs = 400;
    await withServer(
      () => undefined,
      async (channel) => expect(await send(channel, message)).toMatchObject({ state: 'unsure' }),
    );
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const channel: Channel = { kind: 'mail', server: '127.0.0.1', port, tls: 'none', from: 'a@example.com', to: ['b@example.com'] };
    expect(await send(channel, message)).toMatchObject({ state: 'failed' });
    silent.close();
  });

  test('goes over no connection that is not encrypted where that was not said', async () => {
    await withServer(
      (callback) => callback(),
      async (channel, mails) => {
        expect(await send({ ...channel, tls: 'starttls' }, message)).toMatchObject({ state: expect.stringMatching(/failed|refused/) });
        expect(mails).toEqual([]);
      },
    );
  });
});
