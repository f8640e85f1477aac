import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connectTemporal, type TemporalSettings } from '../../client/connection.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { Signer } from '../../client/signing.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { region, untilTrue, workAtOnce } from '../support/engine.ts';
import { makeKeys, writeConfiguration, type Person } from '../support/people.ts';
import { hastyWorkflowBundle, testProgram } from '../support/shared.ts';
import { temporalAddress } from '../support/temporal.ts';

const cluster = `uploads-${process.pid}`;
const target = `eks/${region}/${cluster}`;
const workers: RunningProcess[] = [];
let directory: string;
let configuration: string;
let settings: TemporalSettings;
let client: Client;
let keys: Record<Person, Signer>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-upload-'));
  keys = await makeKeys(join(directory, 'keys'));
  configuration = await writeConfiguration(directory, keys);
  await appendFile(configuration, 'rules: [{ start: [people] }]\n');
  settings = { address: await temporalAddress(), namespace: 'default', taskQueue: cluster };
  client = await connectTemporal(settings);
  await registerSearchAttributes(client.connection, settings.namespace, Object.values(searchAttributes));
  await write('workflows.js', (await hastyWorkflowBundle()).code);
}, 120_000);

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await client.connection.close();
  await rm(directory, { recursive: true, force: true });
});

const write = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);
const uploaded = async (): Promise<string[]> => (await readFile(join(directory, 'parts'), 'utf8').catch(() => '')).trim().split('\n');
const untilPart = (part: number): Promise<void> => untilTrue(async () => (await uploaded()).includes(`part ${part}`));

async function startWorker(): Promise<RunningProcess> {
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: settings.address,
    HOLDPOINT_TASK_QUEUE: settings.taskQueue,
    HOLDPOINT_CONFIG: configuration,
    HOLDPOINT_TEST_BUNDLE: join(directory, 'workflows.js'),
    HOLDPOINT_TEST_PARTS: directory,
  };
  const args = [await testProgram('test/support/uploading-worker')];
  const worker = await startProcess({ name: 'The uploading worker', command: process.execPath, args, env, ready: /"listening":true/ });
  workers.push(worker);
  return worker;
}

test('an upload in parts that is paused, killed and fails goes on at the part at which it was each time', async () => {
  const holdpoint = new Holdpoint(client, settings);
  const untilPhase = (wanted: string): Promise<void> => untilTrue(async () => (await holdpoint.state(target)).phase === wanted);
  await write('wait-at', '2');
  const first = await startWorker();
  const forecast = await holdpoint.plan(workAtOnce, { cluster });
  expect((await holdpoint.start(workAtOnce, forecast, keys.dana)).admission).toMatchObject({ admitted: true });

  await untilPart(2);
  await holdpoint.operate(target, 'pause', 'lunch', keys.ada);
  await untilPhase('paused');
  await write('wait-at', '4');
  await holdpoint.operate(target, 'resume', 'back', keys.ada);

  await untilPart(4);
  // What is told in the middle of a push is seen, and Temporal has the checkpoint with it.
  await untilTrue(async () => (await holdpoint.live(target)).progress.work?.summary === '4 of 6 parts');
  await first.kill();
  await write('wait-at', '');
  await write('fail-at', '5');
  await startWorker();

  await untilPhase('stuck');
  expect((await holdpoint.state(target)).stuck).toMatchObject({ step: 'work', code: 'aws-denied' });
  await holdpoint.operate(target, 'retry', 'permission given', keys.ada);
  await untilPhase('done');
  expect(await uploaded()).toEqual(['part 1', 'part 2', 'part 3', 'part 4', 'part 5', 'part 6', 'complete']);
}, 240_000);
