import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { SMTPServer } from 'smtp-server';
import { verifyEvidence } from '../../client/evidence.ts';
import type { NotificationEvent } from '../../domain/notification.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Channel } from '../../runbooks/configuration/notifications.ts';
import { notifyWorkflow, testChannelWorkflow } from '../../workflows/messages.ts';
import { answering, startEndpoint, type Endpoint } from '../support/endpoint.ts';
import { runbookOf, startEngine, untilTrue, type Engine } from '../support/engine.ts';

const key = 'a-key-that-nobody-may-see';

interface Told {
  id: string;
  type: string;
  data: { title: string; text: string; mark?: string };
}

let engine: Engine;
let endpoint: Endpoint;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-notifications-'));
  await writeFile(join(directory, 'key'), key);
  engine = await startEngine('notifications');
});
beforeEach(async () => {
  endpoint = await startEndpoint();
});
afterEach(() => endpoint.stop());
afterAll(async () => {
  await engine.stop();
  await rm(directory, { recursive: true, force: true });
});

const bus = (): Channel => ({ kind: 'cloudEvents', url: endpoint.url, key: { file: join(directory, 'key') } });

function notifyOf(events: NotificationEvent[] | undefined, channels: Record<string, Channel> = { bus: bus() }): void {
  const routes = [{ ...(events && { events }), channels: Object.keys(channels) }];
  engine.configuration.notifications = { channels, routes, templates: {} };
}

const told = (): Told[] => endpoint.received.map(({ body }) => JSON.parse(body) as Told);
const types = (): string[] => told().map(({ type }) => type);

/** The workflows that the run on a target has started to tell people. */
async function outboxesOf(target: string): Promise<{ workflowId: string; runId: string }[]> {
  const found: { workflowId: string; runId: string }[] = [];
  const query = `WorkflowType = '${notifyWorkflow}' AND TaskQueue = '${engine.settings.taskQueue}'`;
  for await (const { workflowId, runId, parentExecution } of engine.client.workflow.list({ query })) {
    if (parentExecution?.workflowId === target) found.push({ workflowId, runId });
  }
  return found;
}

/** A history with its payloads in clear. */
function textOf(history: unknown): string {
  return JSON.stringify(history, (name, value: unknown) =>
    name === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : value,
  );
}

test('people are told that a hold has opened, that the plan has changed, that a step is stuck, and how the run has ended', async () => {
  notifyOf(undefined);
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  await untilTrue(() => types().length === 1);
  site.generation = 2;
  await engine.decide(target, 'ada');
  await engine.until(target, ({ phase, hold }) => phase === 'holding' && hold?.request.number === 2);
  site.failures.push(new HoldpointError('action-stuck', { cause: 'It does not go on.', remedy: 'Push it.' }));
  await engine.decide(target, 'ada');
  await engine.until(target, 'stuck');
  await engine.holdpoint.operate(target, 'retry', 'pushed', engine.keys.dana);
  const state = await engine.until(target, 'done');
  await untilTrue(() => types().length === 4);
  expect(types()).toEqual(['opened', 'drift', 'stuck', 'done'].map((event) => `dev.holdpoint.${event}`));
  const [opened, , stuck, done] = told();
  expect(opened?.data.text).toContain(`holdpoint approve ${run} --plan sha256:`);
  expect(opened?.data.text).toContain('Work on ');
  expect(stuck?.data.text).toContain('It does not go on.');
  expect(done?.data.title).toBe(`Ended (done): ${run} on ${target}`);
  expect(told().some(({ data }) => data.mark !== undefined)).toBe(false);
  expect(state.notifications ?? []).toEqual([]);
  expect(await engine.verifiedKinds(run)).not.toContain('notification.undelivered');
  await engine.replay(target, { name: 'notified' });
  await untilTrue(async () => (await outboxesOf(target)).length === 4);
  const outboxes = await outboxesOf(target);
  const histories = await Promise.all(
    outboxes.map(({ workflowId, runId }) => engine.client.workflow.getHandle(workflowId, runId).fetchHistory()),
  );
  histories.push(await engine.handle(target).fetchHistory());
  expect(textOf(histories[0])).toContain(run);
  for (const history of histories) expect(textOf(history)).not.toContain(key);
});

test('whoever has not signed is reminded, and those to whom the policy escalates are told, over HTTP and by mail', async () => {
  const mails: string[] = [];
  const server = new SMTPServer({
    hideSTARTTLS: true,
    authOptional: true,
    onData: (stream, _session, done) => {
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      stream.on('end', () => {
        mails.push(text);
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const mail: Channel = { kind: 'mail', server: '127.0.0.1', port, tls: 'none', from: 'holdpoint@example.com', to: ['sre@example.com'] };
  notifyOf(['reminder', 'escalated'], { bus: bus(), mail });
  const { policies, groups } = engine.configuration;
  groups.leads = ['oscar'];
  policies.impatient = { ...policies.one!, name: 'impatient', remindMs: 1_500, escalate: { afterMs: 1_000, to: 'leads' } };
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'impatient' }));
  await untilTrue(() => types().includes('dev.holdpoint.reminder') && mails.length >= 2);
  // Of what is due together only the last reminder comes, so the escalation is first or close behind it.
  expect(types()).toContain('dev.holdpoint.escalated');
  const escalated = told().find(({ type }) => type === 'dev.holdpoint.escalated');
  expect(escalated?.data.text).toContain('People of leads may sign as well');
  expect(escalated?.data.text).toContain(`holdpoint approve ${run} --plan sha256:`);
  expect(mails.join('')).toMatch(/Subject: .*Escalated/);
  await engine.decide(target, 'oscar');
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
  await new Promise<void>((resolve) => server.close(resolve));
});

test('a channel that is down holds nothing up: it is shown while it is tried again, and not any more when it has worked', async () => {
  endpoint.answer = answering(503);
  notifyOf(['opened']);
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster);
  const shown = await engine.until(target, ({ notifications = [] }) => notifications.length > 0);
  expect(shown.phase).toBe('holding');
  expect(shown.notifications).toEqual([
    { sequence: 5, event: 'opened', channel: 'bus', state: 'trying', reason: 'it answered 503', attempts: 1 },
  ]);
  endpoint.answer = answering(200);
  await engine.until(target, ({ notifications = [] }) => notifications.length === 0);
  // They were refused, so none of them is a repeat.
  expect(told().every(({ data }) => data.mark === undefined)).toBe(true);
  expect(new Set(told().map(({ id }) => id))).toEqual(new Set([`${run}/5`]));
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(await engine.verifiedKinds(run)).not.toContain('notification.undelivered');
});

test('what cannot be delivered is in the record, and other channels get theirs; after the end it is in a record of its own', async () => {
  const none: Channel = { kind: 'cloudEvents', url: endpoint.url, key: { environment: 'HOLDPOINT_TEST_NO_SUCH_KEY' } };
  notifyOf(['opened', 'done'], { bus: bus(), broken: none });
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster);
  const shown = await engine.until(target, ({ notifications = [] }) => notifications.length > 0);
  expect(shown.notifications).toMatchObject([
    { channel: 'broken', state: 'undelivered', reason: expect.stringContaining('has no secret in it') },
  ]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  await untilTrue(() => types().length === 2);
  const undelivered = (await engine.entries(run)).filter(({ kind }) => kind === 'notification.undelivered');
  expect(undelivered.map(({ body }) => body)).toMatchObject([{ entry: 5, event: 'opened', channel: 'broken', attempts: 1 }]);
  expect(await engine.verifiedKinds(run)).toContain('notification.undelivered');
  let own: string | undefined;
  await untilTrue(async () => {
    for (const { runId } of await outboxesOf(target)) {
      const entries = await engine.entries(`notify-${runId}`);
      if (entries.length === 2) own = `notify-${runId}`;
    }
    return own !== undefined;
  });
  const [first] = await engine.entries(own ?? '');
  expect(first).toMatchObject({ kind: 'notification.undelivered', body: { run, event: 'done', channel: 'broken' } });
  const report = await verifyEvidence(engine.evidence.pathOf(own ?? ''), engine.configuration.people, { authority: engine.configuration });
  expect(report.problems).toEqual([]);
  const { workflowId, runId } = (await outboxesOf(target)).find(({ runId }) => own === `notify-${runId}`) ?? { workflowId: '', runId: '' };
  await engine.replay(workflowId, { name: 'undelivered', historyOf: engine.client.workflow.getHandle(workflowId, runId) });
});

test('whoever reaches Temporal can have nothing told that a run has not told', async () => {
  notifyOf(['opened']);
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await untilTrue(() => types().length === 1);
  const { taskQueue } = engine.settings;
  const args = [{ run, target, sequence: 5 }];
  await engine.client.workflow.execute(notifyWorkflow, { workflowId: `forged-${run}`, taskQueue, args });
  const { notifications } = await engine.until(target, ({ notifications = [] }) => notifications.length > 0);
  expect(notifications).toMatchObject([{ channel: '(all)', reason: expect.stringContaining('has not written entry 5') }]);
  expect(types()).toHaveLength(1);
  // Nor is a run troubled by news of another one.
  await engine.handle(target).signal('notification', { run: 'r-other', sequence: 1, event: 'x', channel: 'y', state: 'undelivered' });
  await engine.handle(target).signal('notification', null);
  await engine.decide(target, 'ada');
  expect((await engine.until(target, 'done')).notifications).toHaveLength(1);
});

test('a test message is marked as one, and tells why a channel does not work', async () => {
  notifyOf([], { bus: bus() });
  const { taskQueue } = engine.settings;
  const workflowId = `test-channel-${Date.now()}`;
  const start = (channel: string, id = workflowId): Promise<unknown> =>
    engine.client.workflow.execute(testChannelWorkflow, { workflowId: id, taskQueue, args: [{ channel }] });
  expect(await start('bus')).toEqual({ delivered: true });
  expect(told()).toMatchObject([{ type: 'dev.holdpoint.test', data: { mark: 'test', title: '[test] This channel works' } }]);
  await engine.replay(workflowId, { name: 'test-channel' });
  expect(await start('bsu', `${workflowId}-2`)).toEqual({ delivered: false, reason: 'the configuration of the worker has no channel bsu' });
});

test('without notifications nothing is started', async () => {
  engine.configuration.notifications = undefined;
  const { cluster, target } = engine.newSite();
  await engine.begin(cluster, runbookOf());
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const history = textOf(await engine.handle(target).fetchHistory());
  expect(history).not.toContain('startChildWorkflow');
  expect(endpoint.received).toEqual([]);
});
