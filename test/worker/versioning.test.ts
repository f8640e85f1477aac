import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import type { Phase } from '../../domain/run/state.ts';
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
import { makeKeys, writeConfiguration, type Person } from '../support/people.ts';
import { temporalAddress } from '../support/temporal.ts';

const untilLimitMs = 60_000;
const untilPauseMs = 50;
const namespace = 'default';
/** `PINNED_OVERRIDE_BEHAVIOR_PINNED` of the Temporal API. */
const pinnedOverride = 1;
const document = {
  file: 'cordon-all.yaml',
  text: `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: cordon-all, title: Cordon a node group }
inputs:
  type: object
  required: [cluster]
  properties: { cluster: { type: string } }
target: eks/${demoRegion}/\${inputs.cluster}
steps:
  - { id: preflight, uses: eks.preflight, with: { nodegroup: blue } }
  - { id: sign, hold: production-change }
  - { id: cordon, uses: kubernetes.cordon, with: { nodes: '\${steps.preflight.nodes}' } }
`,
};

let directory: string;
let configuration: string;
let keys: Record<Person, Signer>;
let client: Client;
let sandbox: Sandbox;
const workers: RunningProcess[] = [];
const clusters = ['one', 'two', 'three', 'four'].map((name) => `versioning-${name}-${process.pid}-${Date.now()}`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-versioning-'));
  keys = await makeKeys(join(directory, 'keys'));
  configuration = await writeConfiguration(directory, keys);
  client = await connectTemporal({ address: await temporalAddress(), namespace, taskQueue: '' });
  await registerSearchAttributes(client.connection, namespace, Object.values(searchAttributes));
  const seed = { clusters: clusters.flatMap((name) => demoWorld.clusters.map((demo) => ({ ...demo, name }))) };
  sandbox = await startSandbox({ seed, cloud: (world) => createCloud(world).handle });
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await client.connection.close();
  await sandbox.stop();
  await rm(directory, { recursive: true, force: true });
});

test('a run stays on the build that it began with, unless it is moved, while a new run goes to the current one', async () => {
  const site = await newSite('pinned');
  const [older = '', moved = '', newer = ''] = clusters;
  const first = await site.startBuild('1.4.0');
  await site.makeCurrent('1.4.0');
  for (const cluster of [older, moved]) {
    await site.begin(cluster);
    await site.until(cluster, 'holding');
  }

  const second = await site.startBuild('1.5.0');
  await site.makeCurrent('1.5.0');
  await site.begin(newer);
  await site.until(newer, 'holding');
  await site.untilOpenOn('1.4.0', 2);
  await site.move(moved, '1.5.0');

  for (const cluster of [older, moved, newer]) await site.approve(cluster);
  for (const cluster of [older, moved, newer]) await site.until(cluster, 'done');
  expect(await site.workersOf(older)).toEqual([first.pid]);
  expect(await site.workersOf(moved)).toEqual([first.pid, second.pid]);
  expect(await site.workersOf(newer)).toEqual([second.pid]);
  await site.untilOpenOn('1.4.0', 0);
}, 240_000);

test('a run that was begun before there were versions goes on with the current build', async () => {
  const site = await newSite('adopted');
  const [, , , cluster = ''] = clusters;
  const unversioned = await site.startBuild(undefined);
  await site.begin(cluster);
  await site.until(cluster, 'holding');
  const versioned = await site.startBuild('1.4.0');
  await site.makeCurrent('1.4.0');
  await site.approve(cluster);
  await site.until(cluster, 'done');
  expect(await site.workersOf(cluster)).toEqual([unversioned.pid, versioned.pid]);
}, 240_000);

/** A task queue and a deployment that no other test uses. */
async function newSite(name: string) {
  const settings = { address: await temporalAddress(), namespace, taskQueue: `versioning-${name}-${process.pid}-${Date.now()}` };
  const deployment = settings.taskQueue;
  const holdpoint = new Holdpoint(client, settings);
  const targetOf = (cluster: string): string => `eks/${demoRegion}/${cluster}`;
  return {
    startBuild: async (buildId: string | undefined): Promise<RunningProcess> => {
      const env = {
        ...process.env,
        TEMPORAL_ADDRESS: settings.address,
        HOLDPOINT_TASK_QUEUE: settings.taskQueue,
        HOLDPOINT_CONFIG: configuration,
        HOLDPOINT_LOG_LEVEL: 'warn',
        AWS_ENDPOINT_URL: sandbox.url,
        AWS_ACCESS_KEY_ID: 'sandbox',
        AWS_SECRET_ACCESS_KEY: 'sandbox',
        AWS_EC2_METADATA_DISABLED: 'true',
        ...(buildId === undefined ? {} : { HOLDPOINT_DEPLOYMENT: deployment, HOLDPOINT_BUILD_ID: buildId }),
      };
      const worker = await startProcess({ name: 'The worker', ...programCommand('worker/main'), env, ready: /"listening":true/ });
      workers.push(worker);
      return worker;
    },
    /** As `temporal worker deployment set-current-version` does; the build is known once its worker has asked for work. */
    makeCurrent: (buildId: string): Promise<void> =>
      untilDone(`${buildId} can be made current`, async () => {
        await client.workflowService.setWorkerDeploymentCurrentVersion({ namespace, deploymentName: deployment, buildId });
        return true;
      }),
    /** As `temporal workflow update-options` does. */
    move: async (cluster: string, buildId: string): Promise<void> => {
      const pinned = { behavior: pinnedOverride, version: { deploymentName: deployment, buildId } };
      await client.workflowService.updateWorkflowExecutionOptions({
        namespace,
        workflowExecution: { workflowId: targetOf(cluster) },
        workflowExecutionOptions: { versioningOverride: { pinned } },
        updateMask: { paths: ['versioning_override'] },
      });
    },
    /** As the query says with which people find out whether the workers of a build may go. */
    untilOpenOn: (buildId: string, runs: number): Promise<void> =>
      untilDone(`${runs} runs are open on ${buildId}`, async () => {
        const version = `TemporalWorkerDeploymentVersion = '${deployment}:${buildId}'`;
        return (await client.workflow.count(`${version} AND ExecutionStatus = 'Running'`)).count === runs;
      }),
    begin: async (cluster: string): Promise<void> => {
      const { admission } = await holdpoint.start(document, await holdpoint.plan(document, { cluster }), keys.dana);
      if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
    },
    approve: async (cluster: string): Promise<void> => {
      const state = await holdpoint.state(targetOf(cluster));
      await holdpoint.decide(state, state.hold!.request, 'approve', 'looks right', keys.ada);
    },
    until: (cluster: string, phase: Phase): Promise<void> =>
      untilDone(`${cluster} is ${phase}`, async () => (await holdpoint.state(targetOf(cluster))).phase === phase),
    /** Process ids of the workers that have done the tasks of a run, in the order in which they came in. */
    workersOf: async (cluster: string): Promise<number[]> => {
      const { events } = await client.workflow.getHandle(targetOf(cluster)).fetchHistory();
      const identities = (events ?? []).flatMap(({ workflowTaskCompletedEventAttributes, activityTaskStartedEventAttributes }) => {
        const identity = (workflowTaskCompletedEventAttributes ?? activityTaskStartedEventAttributes)?.identity;
        return identity ? [identity] : [];
      });
      return [...new Set(identities)].map((identity) => Number.parseInt(identity, 10));
    },
  };
}

/** Resolves as soon as the check passes; what it throws counts as not yet. */
async function untilDone(what: string, passes: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + untilLimitMs;
  let failure: unknown;
  while (!(await passes().catch((error: unknown) => ((failure = error), false)))) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${untilLimitMs} ms in vain until ${what}`, { cause: failure });
    await wait(untilPauseMs);
  }
}
