import { afterEach, expect, test } from '@jest/globals';
import { EKSClient, UpdateNodegroupVersionCommand } from '@aws-sdk/client-eks';
import { Others } from '../../bench/simulation/others.ts';
import type { SimulatedCloud } from '../../bench/simulation/environment.ts';
import { simulatedTargetOf } from '../../bench/simulation/world.ts';
import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { budget, deployment, eventually } from '../sandbox/kubernetes-fixture.ts';
import { region, worldWith } from '../support/cluster.ts';

const minuteMs = 60_000;

let sandbox: Sandbox;
let eks: EKSClient;
let others: Others;
afterEach(async () => {
  others.stop();
  eks.destroy();
  await sandbox.stop();
});

test('EKS breaks a budget that somebody else shuts in mid-update, and that is no violation of the run; any other one is', async () => {
  const seed = worldWith([deployment('web', 3), budget('web', { maxUnavailable: 1 })]);
  sandbox = await startSandbox({ seed, speed: 2_000, randomSeed: 7, cloud: (world) => createCloud(world).handle });
  eks = new EKSClient({ region, endpoint: sandbox.url, credentials: { accessKeyId: 'tester', secretAccessKey: 'tester' } });
  const simulated = simulatedTargetOf({ seed: 1, runbook: 'node-group-update', faultRate: 0, name: 'demo' });
  others = new Others(sandbox as SimulatedCloud, simulated, eks);
  await eks.send(new UpdateNodegroupVersionCommand({ clusterName: 'demo', nodegroupName: 'blue', releaseVersion: '1.33.4-20260801' }));
  const { store } = sandbox.world.cluster('demo')!;
  await eventually('a pod to be on a new node', async () =>
    store.list('pods').some(({ spec }) => /-(12[89]|1[3-9]\d|2\d\d)-/.test(spec.nodeName ?? '')) ? true : undefined,
  );
  await others.act({ kind: 'tighten', choice: 0, forMs: minuteMs, at: { step: 0, afterMs: 0 } });
  const [violation] = await eventually('the Auto Scaling group to end a node with its pods', async () => {
    const { violations } = sandbox.world.observer.summary();
    return violations.length > 0 ? violations : undefined;
  });
  expect(violation).toMatchObject({ kind: 'budget-broken', budget: { name: 'shop/web', by: 'auto-scaling' } });
  expect(violation && others.haveCaused(violation)).toBe(true);
  expect(others.haveCaused({ budget: { name: 'shop/web', by: 'holdpoint' } })).toBe(false);
  expect(others.haveCaused({ budget: { name: 'shop/web', by: 'eks' } })).toBe(false);
  expect(others.haveCaused({ budget: { name: 'shop/api', by: 'auto-scaling' } })).toBe(false);
  expect(others.haveCaused({})).toBe(false);
});
