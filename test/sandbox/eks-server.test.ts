import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  DeleteNodegroupCommand, DescribeClusterCommand, DescribeNodegroupCommand, DescribeUpdateCommand, EKSClient, UpdateNodegroupVersionCommand,
} from '@aws-sdk/client-eks';
import { createEksHandler } from '../../sandbox/eks/handler.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoWorld } from '../../sandbox/worlds/demo.ts';
import { eventually } from './eks-fixture.ts';

const blue = { clusterName: 'demo', nodegroupName: 'blue' };
let sandbox: Sandbox;
let client: EKSClient;

beforeEach(async () => {
  sandbox = await startSandbox({ seed: demoWorld, speed: 200, cloud: (world) => createEksHandler(world).handle });
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'example' };
  client = new EKSClient({ endpoint: sandbox.url, region: 'eu-central-1', maxAttempts: 1, credentials });
});

afterEach(() => sandbox.stop());

async function nodes(): Promise<{ metadata: { name: string; labels: Record<string, string> }; spec: { unschedulable?: boolean } }[]> {
  const { cluster } = await client.send(new DescribeClusterCommand({ name: 'demo' }));
  const response = await fetch(`${cluster?.endpoint}/api/v1/nodes`);
  return ((await response.json()) as { items: Awaited<ReturnType<typeof nodes>> }).items;
}

test('a managed version update moves the pods of the demo world to new nodes without breaking a budget', async () => {
  const before = await nodes();
  const { update } = await client.send(new UpdateNodegroupVersionCommand(blue));
  const question = new DescribeUpdateCommand({ name: 'demo', nodegroupName: 'blue', updateId: update?.id });
  const ended = await eventually(
    'the update to end',
    async () => {
      const answer = await client.send(question);
      return answer.update?.status === 'InProgress' ? undefined : answer.update;
    },
    50_000,
  );
  expect(ended).toMatchObject({ status: 'Successful', errors: [] });
  const after = await nodes();
  expect(after).toHaveLength(before.length);
  const old = new Set(before.map((node) => node.metadata.name));
  expect(after.filter((node) => old.has(node.metadata.name) || node.spec.unschedulable === true)).toEqual([]);
  const { nodegroup } = await client.send(new DescribeNodegroupCommand(blue));
  expect(nodegroup).toMatchObject({ status: 'ACTIVE', version: '1.33', releaseVersion: '1.33.4-20260801' });
  const { violations, counters } = sandbox.world.observer.summary();
  expect(violations).toEqual([]);
  expect(counters.podsMoved).toBeGreaterThan(0);
});

test('deleting the only node group leaves the cluster without nodes', async () => {
  await client.send(new DeleteNodegroupCommand(blue));
  await eventually('the last node to go', async () => ((await nodes()).length === 0 ? true : undefined), 20_000);
});
