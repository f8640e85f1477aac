import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  DescribeClusterCommand,
  DescribeNodegroupCommand,
  DescribeUpdateCommand,
  EKSClient,
  UpdateClusterVersionCommand,
  UpdateNodegroupConfigCommand,
  UpdateNodegroupVersionCommand,
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

interface ShownNode {
  metadata: { name: string; labels: Record<string, string> };
  spec: { unschedulable?: boolean; taints?: { key: string; value?: string; effect: string }[] };
}

async function nodes(): Promise<ShownNode[]> {
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

test('the Kubernetes API tells the new version once the control plane is updated, not before', async () => {
  const { cluster } = await client.send(new DescribeClusterCommand({ name: 'demo' }));
  const served = async () => ((await (await fetch(`${cluster?.endpoint}/version`)).json()) as { minor: string }).minor;
  await client.send(new UpdateClusterVersionCommand({ name: 'demo', version: '1.34' }));
  expect(await served()).toBe('33');
  await eventually(
    'the control plane to be updated',
    async () => ((await client.send(new DescribeClusterCommand({ name: 'demo' }))).cluster?.status === 'ACTIVE' ? true : undefined),
    20_000,
  );
  expect(await served()).toBe('34');
});

test('the taints of a node group keep pods off its nodes, from their first moment, until they are removed', async () => {
  const { nodegroup } = await client.send(new DescribeNodegroupCommand(blue));
  const taint = { key: 'dedicated', value: 'batch', effect: 'NO_SCHEDULE' as const };
  const scalingConfig = { minSize: 1, maxSize: 2, desiredSize: 1 };
  const green = { clusterName: 'demo', nodegroupName: 'green' };
  const { subnets, nodeRole } = nodegroup ?? {};
  await client.send(new CreateNodegroupCommand({ ...green, subnets, nodeRole, scalingConfig, taints: [taint] }));
  const node = await eventually('a node of the new group', async () =>
    (await nodes()).find(({ metadata }) => metadata.labels['eks.amazonaws.com/nodegroup'] === 'green'),
  );
  expect(node.spec.taints).toContainEqual({ key: 'dedicated', value: 'batch', effect: 'NoSchedule' });
  await eventually('the group to be up', async () =>
    (await client.send(new DescribeNodegroupCommand(green))).nodegroup?.status === 'ACTIVE' ? true : undefined,
  );
  const cluster = sandbox.world.cluster('demo');
  const podsThere = () => cluster?.podsOn(node.metadata.name) ?? [];
  for (const { metadata } of await nodes()) if (metadata.name !== node.metadata.name) cluster?.setUnschedulable(metadata.name, true);
  const job = cluster?.store.inNamespace('pods', 'platform').find(({ metadata }) => metadata.name.startsWith('jobs-'));
  cluster?.evictPod('platform', job?.metadata.name ?? '');
  await eventually('a pod without a place', () => sandbox.world.leftovers().leftovers.find(({ kind }) => kind === 'pod-pending'));
  expect(podsThere()).toEqual([]);
  await client.send(new UpdateNodegroupConfigCommand({ ...green, taints: { removeTaints: [taint] } }));
  await eventually('the pod to be placed', () => podsThere().find(({ name }) => name.startsWith('jobs-')));
});
