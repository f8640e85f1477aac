import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { contextOfLook, type AnyAction } from '../../../activities/action.ts';
import { createClients, type Clients } from '../../../activities/clients.ts';
import { cloudwatchAlarmsGate } from '../../../activities/gate/cloudwatch-alarms.ts';
import { endpointLimits } from '../../../activities/gate/endpoint.ts';
import { httpGate } from '../../../activities/gate/http.ts';
import { prometheusGate } from '../../../activities/gate/prometheus.ts';
import type { Observation } from '../../../domain/action.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { createCloudwatchHandler, isCloudwatchRequest } from '../../../sandbox/cloudwatch/handler.ts';
import { startSandbox, type Sandbox } from '../../../sandbox/server.ts';
import { region, useEnvironment, worldWith } from '../../support/cluster.ts';
import { answering, endless, hanging, startEndpoint, type Endpoint } from '../../support/endpoint.ts';

const target: Target = { kind: 'eks', region, name: 'demo' };
const token = 'a-token-nobody-may-see';

let sandbox: Sandbox;
let endpoint: Endpoint;
let clients: Clients;
let directory: string;
let nowMs = 0;
const patience = endpointLimits.timeoutMs;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-gates-'));
  await writeFile(join(directory, 'token'), token);
  sandbox = await startSandbox({
    seed: worldWith([]),
    cloud: (world) => {
      const cloudwatch = createCloudwatchHandler(world.alarms, world.faults);
      return (request, response) => (isCloudwatchRequest(request) ? cloudwatch(request, response) : response.writeHead(404).end());
    },
  });
  useEnvironment(sandbox.url);
});
beforeEach(async () => {
  endpoint = await startEndpoint();
  nowMs = 1_000_000;
  clients = createClients({
    endpoints: async () => ({
      metrics: { url: `${sandbox.url}/prometheus/`, token: { file: join(directory, 'token') } },
      probe: { url: endpoint.url, token: { file: join(directory, 'token') } },
      lost: { url: endpoint.url, token: { file: join(directory, 'none') } },
    }),
  });
});
afterEach(async () => {
  endpointLimits.timeoutMs = patience;
  sandbox.world.alarms.clear();
  sandbox.world.queries.clear();
  await endpoint.stop();
});
afterAll(async () => {
  await sandbox.stop();
  await rm(directory, { recursive: true, force: true });
});

const clock = (): number => nowMs;
const prometheus = (): AnyAction => prometheusGate(clients.endpoints, clock);
const http = (): AnyAction => httpGate(clients.endpoints, clock);
const alarms = (): AnyAction => cloudwatchAlarmsGate(clients, clock);

/** Looks at a gate as one attempt does: it remembers what it has seen. */
async function watching(action: AnyAction, input: JsonObject, retry = 0): Promise<{ plan: ActionPlan; look: () => Promise<Observation> }> {
  let kept: Json | undefined;
  const checkpoint = { read: () => kept, write: (value: Json) => void (kept = value) };
  const context = { ...contextOfLook({ run: 'r-1', step: 's', target, retry }), checkpoint };
  const plan = await action.plan(input, context);
  return { plan, look: () => action.observe(plan, context) };
}

/** What one look says, in a word and its reason. */
async function seen(action: AnyAction, input: JsonObject): Promise<string> {
  const { look } = await watching(action, input);
  const observation = await look();
  return `${observation.state === 'done' ? 'open' : 'shut'}: ${observation.progress?.summary ?? ''}`;
}

describe('gate.prometheus', () => {
  const input = { endpoint: 'metrics', query: 'up', above: 0.5 };

  test('is open only where every value is as it has to be', async () => {
    sandbox.world.queries.set('up', {
      vector: [
        { metric: { job: 'web' }, value: '1' },
        { metric: { job: 'db' }, value: '0.75' },
      ],
    });
    expect(await seen(prometheus(), input)).toBe('open: open: all 2 values are above 0.5');
    sandbox.world.queries.set('up', {
      vector: [
        { metric: { job: 'web' }, value: '1' },
        { metric: { job: 'db' }, value: '0.5' },
      ],
    });
    expect(await seen(prometheus(), input)).toBe('shut: shut: {job="db"} is 0.5, not above 0.5');
    sandbox.world.queries.set('up', { scalar: '3' });
    expect(await seen(prometheus(), { endpoint: 'metrics', query: 'up', equals: 3 })).toBe('open: open: the value is 3, equal to 3');
    expect(await seen(prometheus(), { endpoint: 'metrics', query: 'up', below: 3 })).toMatch(/^shut/);
  });

  test.each([
    ['no value', { vector: [] }, 'the query gives no value'],
    ['NaN', { vector: [{ metric: {}, value: 'NaN' }] }, 'is NaN'],
    ['warnings', { vector: [{ metric: {}, value: '1' }], warnings: ['partial answer'] }, 'Prometheus warns: partial answer'],
    ['a range', { matrix: true as const }, 'the query gives matrix'],
    ['an error', { error: 'parse error: unclosed' }, 'Prometheus says parse error: unclosed'],
    ['what is no number', { vector: [{ metric: {}, value: '' }] }, 'no value'],
  ])('is shut for %s', async (_what, result, reason) => {
    sandbox.world.queries.set('up', result);
    expect(await seen(prometheus(), input)).toContain(reason);
    expect(await seen(prometheus(), input)).toMatch(/^shut/);
    expect(await seen(prometheus(), { endpoint: 'metrics', query: 'up', below: 5 })).toMatch(/^shut/);
  });

  test('is refused without exactly one condition, and for an endpoint that is not there', async () => {
    const wrong = (given: JsonObject) => watching(prometheus(), { endpoint: 'metrics', query: 'up', ...given });
    await expect(wrong({})).rejects.toMatchObject({ code: 'action-input-invalid' });
    await expect(wrong({ above: 1, below: 2 })).rejects.toMatchObject({ code: 'action-input-invalid' });
    await expect(wrong({ above: 1, endpoint: 'metrix' })).rejects.toMatchObject({ message: expect.stringContaining('no endpoint metrix') });
  });
});

describe('gate.http', () => {
  const json = { 'content-type': 'application/json' };

  test('is open for the status, and for the field of the JSON that it asks for; it sends the token', async () => {
    expect(await seen(http(), { endpoint: 'probe', path: '/health' })).toBe('open: open: probe/health answers 200');
    expect(endpoint.received[0]).toMatchObject({ method: 'GET', path: '/health', headers: { authorization: `Bearer ${token}` } });
    endpoint.answer = answering(200, json, '{"checks":[{"status":"green","lag":3}]}');
    const field = { endpoint: 'probe', field: 'checks.0.status' };
    expect(await seen(http(), { ...field, equals: 'green' })).toBe('open: open: checks.0.status is "green", equal to "green"');
    expect(await seen(http(), { ...field, equals: 'red' })).toMatch(/^shut.*not equal to "red"$/);
    expect(await seen(http(), { ...field, above: 0 })).toMatch(/^shut/);
    expect(await seen(http(), { endpoint: 'probe', field: 'checks.0.lag', below: 5 })).toMatch(/^open/);
    expect(await seen(http(), { endpoint: 'probe', field: 'checks.1.lag', below: 5 })).toMatch(/^shut.*has no field/);
    expect(await seen(http(), { endpoint: 'probe', field: 'checks.__proto__.lag', below: 5 })).toMatch(/^shut.*has no field/);
    await expect(watching(http(), { endpoint: 'probe', below: 5 })).rejects.toMatchObject({ code: 'action-input-invalid' });
  });

  test('is shut for another status, a redirect, no answer, one without end, one that is no JSON, and without its token', async () => {
    const stranger = await startEndpoint();
    endpoint.answer = answering(503);
    expect(await seen(http(), { endpoint: 'probe' })).toBe('shut: shut: probe answers 503, not 200');
    endpoint.answer = answering(302, { location: stranger.url });
    expect(await seen(http(), { endpoint: 'probe' })).toBe('shut: shut: probe answers 302, not 200');
    expect(stranger.received).toEqual([]);
    endpoint.answer = endless;
    expect(await seen(http(), { endpoint: 'probe' })).toContain('shut: probe gave no answer: the answer has more than');
    endpoint.answer = answering(200, json, 'not json');
    expect(await seen(http(), { endpoint: 'probe', field: 'a', equals: 1 })).toMatch(/^shut/);
    endpointLimits.timeoutMs = 200;
    endpoint.answer = hanging;
    expect(await seen(http(), { endpoint: 'probe' })).toContain('shut: probe gave no answer: no answer within 0.2 s');
    const lost = await seen(http(), { endpoint: 'lost' });
    expect(lost).toContain('cannot be read (ENOENT)');
    await endpoint.stop();
    expect(await seen(http(), { endpoint: 'probe' })).toContain('ECONNREFUSED');
    await stranger.stop();
    endpoint = await startEndpoint();
  });
});

describe('gate.cloudwatchAlarms, with the client of AWS', () => {
  function alarm(name: string, state: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA', kind: 'metric' | 'composite' = 'metric'): void {
    sandbox.world.alarms.set(name, { name, state, kind });
  }

  test('is open where all of them are OK, composite ones too', async () => {
    alarm('latency', 'OK');
    alarm('everything', 'OK', 'composite');
    expect(await seen(alarms(), { names: ['latency', 'everything'] })).toBe('open: open: 2 of 2 alarms are OK');
    alarm('everything', 'ALARM', 'composite');
    expect(await seen(alarms(), { names: ['latency', 'everything'] })).toBe('shut: shut: everything is ALARM');
  });

  test('is shut for one that is missing or has no data, unless that was said', async () => {
    alarm('latency', 'INSUFFICIENT_DATA');
    expect(await seen(alarms(), { names: ['latency'] })).toBe('shut: shut: latency is INSUFFICIENT_DATA');
    expect(await seen(alarms(), { names: ['latency'], allowInsufficientData: true })).toMatch(/^open/);
    expect(await seen(alarms(), { names: ['errors'] })).toBe('shut: shut: there is no alarm errors');
    expect(await seen(alarms(), { prefix: 'err' })).toBe('shut: shut: no alarm begins with err');
    expect(await seen(alarms(), { names: ['errors'], allowMissing: true })).toMatch(/^open/);
  });

  test('goes through all pages of a prefix', async () => {
    for (let index = 0; index < 150; index += 1) alarm(`shop-${index}`, 'OK');
    expect(await seen(alarms(), { prefix: 'shop-' })).toBe('open: open: 150 of 150 alarms are OK');
    alarm('shop-149', 'ALARM');
    expect(await seen(alarms(), { prefix: 'shop-' })).toBe('shut: shut: shop-149 is ALARM');
  });

  test('is refused with names and prefix, and without a region', async () => {
    await expect(watching(alarms(), {})).rejects.toMatchObject({ code: 'action-input-invalid' });
    await expect(watching(alarms(), { names: ['a'], prefix: 'b' })).rejects.toMatchObject({ code: 'action-input-invalid' });
    const context = contextOfLook({ run: 'r-1', step: 's', target: { kind: 'kubernetes', region: '', name: 'lab' }, retry: 0 });
    await expect(alarms().plan({ names: ['a'] }, context)).rejects.toMatchObject({ code: 'action-input-invalid' });
  });
});

describe('a gate that must hold for a time', () => {
  const input = { endpoint: 'probe', holdsFor: '60s', deadline: '5m' };

  test('is open when it has held without a break, and begins anew after one look that was shut', async () => {
    const { plan, look } = await watching(http(), input);
    expect(plan).toMatchObject({ effects: [], notes: ['It is open now: probe answers 200.'], estimateMs: 60_000 });
    expect(await look()).toMatchObject({ state: 'moving', progress: { done: 0, total: 60 } });
    nowMs += 50_000;
    expect(await look()).toMatchObject({ state: 'moving', progress: { done: 50 } });
    endpoint.answer = answering(500);
    nowMs += 9_000;
    expect(await look()).toMatchObject({ state: 'moving', progress: { summary: 'shut: probe answers 500, not 200' } });
    endpoint.answer = answering(200);
    nowMs += 10_000;
    expect(await look()).toMatchObject({ state: 'moving', progress: { done: 0 } });
    nowMs += 59_999;
    expect(await look()).toMatchObject({ state: 'moving' });
    nowMs += 1;
    expect(await look()).toMatchObject({ state: 'done' });
  });

  test('does not count a time in which nobody looked', async () => {
    const { look } = await watching(http(), input);
    await look();
    nowMs += 61_000;
    expect(await look()).toMatchObject({ state: 'moving', progress: { done: 0 } });
  });

  test('is stuck after its deadline, and has all of it again when an operator has it tried anew', async () => {
    endpoint.answer = answering(503);
    const { look } = await watching(http(), { endpoint: 'probe', deadline: '50s' });
    expect(await look()).toMatchObject({ state: 'moving' });
    nowMs += 49_000;
    expect(await look()).toMatchObject({ state: 'moving' });
    nowMs += 1_000;
    const stuck = await look();
    expect(stuck).toMatchObject({ state: 'stuck', reason: 'The gate is shut after 50s: probe answers 503, not 200.' });
    expect(stuck).toMatchObject({ remedy: expect.stringContaining('skip') });
    const again = await watching(http(), { endpoint: 'probe', deadline: '50s' }, 1);
    expect(await again.look()).toMatchObject({ state: 'moving' });
  });

  test('nothing of the plan depends on what it says now', async () => {
    const first = await watching(http(), input);
    endpoint.answer = answering(503);
    const second = await watching(http(), input);
    expect(second.plan.facts).toEqual(first.plan.facts);
    expect(second.plan.notes).toEqual(['It is shut now: probe answers 503, not 200.']);
  });
});
