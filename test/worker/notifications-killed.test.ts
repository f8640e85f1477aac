import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { programCommand } from '../../cli/program-files.ts';
import { connectTemporal } from '../../client/connection.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { Signer } from '../../client/signing.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoRegion, demoWorld } from '../../sandbox/worlds/demo.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { startEndpoint, type Endpoint } from '../support/endpoint.ts';
import { untilTrue } from '../support/engine.ts';
import { makeKeys, writeConfiguration, type Person } from '../support/people.ts';
import { temporalAddress } from '../support/temporal.ts';

const cluster = `killed-outbox-${process.pid}-${Date.now()}`;
const document = {
  file: 'look.yaml',
  text: `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: look, title: Look }
target: eks/${demoRegion}/${cluster}
steps:
  - { id: preflight, uses: eks.preflight, with: { nodegroup: blue } }
  - { id: sign, hold: production-change }
`,
};

let directory: string;
let keys: Record<Person, Signer>;
let client: Client;
let sandbox: Sandbox;
let endpoint: Endpoint;
let worker: RunningProcess | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-killed-outbox-'));
  keys = await makeKeys(join(directory, 'keys'));
  endpoint = await startEndpoint();
  const file = await writeConfiguration(directory, keys);
  await writeFile(join(directory, 'key'), 'secret');
  const notifications = `notifications:
  channels:
    bus: { cloudEvents: { url: "${endpoint.url}", keyFile: key } }
  routes:
    - { events: [opened], channels: [bus] }
`;
  await writeFile(file, `${await readFile(file, 'utf8')}\n${notifications}`);
  client = await connectTemporal({ address: await temporalAddress(), namespace: 'default', taskQueue: '' });
  await registerSearchAttributes(client.connection, 'default', Object.values(searchAttributes));
  const seed = { clusters: demoWorld.clusters.map((demo) => ({ ...demo, name: cluster })) };
  sandbox = await startSandbox({ seed, cloud: (world) => createCloud(world).handle });
});

afterAll(async () => {
  await worker?.kill();
  await client.connection.close();
  await Promise.all([sandbox.stop(), endpoint.stop()]);
  await rm(directory, { recursive: true, force: true });
});

test('a worker that is killed between sending a message and noting it: it is sent once more, and marked', async () => {
  const settings = { address: await temporalAddress(), namespace: 'default', taskQueue: cluster };
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: settings.address,
    HOLDPOINT_TASK_QUEUE: settings.taskQueue,
    HOLDPOINT_CONFIG: join(directory, 'holdpoint.yaml'),
    HOLDPOINT_LOG_LEVEL: 'warn',
    AWS_ENDPOINT_URL: sandbox.url,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const start = (): Promise<RunningProcess> =>
    startProcess({ name: 'The worker', ...programCommand('worker/main'), env, ready: /"listening":true/ });
  worker = await start();
  const deadly = endpoint.answer;
  let killed: Promise<void> | undefined;
  // The message is here; the worker never hears so.
  endpoint.answer = () => {
    killed ??= worker?.kill();
  };
  const holdpoint = new Holdpoint(client, settings);
  const forecast = await holdpoint.plan(document, {});
  const { run, admission } = await holdpoint.start(document, forecast, keys.dana);
  expect(admission).toEqual({ admitted: true });
  await untilTrue(() => killed !== undefined);
  await killed;
  endpoint.answer = deadly;
  worker = await start();
  await untilTrue(() => endpoint.received.length === 2);
  await untilTrue(async () => ((await holdpoint.state(run)).notifications ?? []).length === 0);
  const [first, second] = endpoint.received.map(({ body }) => JSON.parse(body) as { id: string; data: { mark?: string; title: string } });
  expect(second?.id).toBe(first?.id);
  expect(first?.data.mark).toBeUndefined();
  expect(second?.data).toMatchObject({ mark: 'repeat', title: expect.stringMatching(/^\[repeat\] Approval needed/) });
  const query = `WorkflowType = 'notify' AND TaskQueue = '${cluster}' AND ExecutionStatus = 'Running'`;
  await untilTrue(async () => (await client.workflow.count(query)).count === 0);
  expect(endpoint.received).toHaveLength(2);
}, 180_000);
