import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CreateNodegroupCommand, DescribeNodegroupCommand, EKSClient, TagResourceCommand } from '@aws-sdk/client-eks';
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import { createCloud } from '../../sandbox/cloud.ts';
import type { Leftover, LeftoverReport } from '../../sandbox/leftovers.ts';
import type { Manifest } from '../../sandbox/seed.ts';
import { createWorld } from '../../sandbox/world.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { deployment, startKubernetes, statefulSet, template, until, worldOf } from './kubernetes-fixture.ts';
import type { KubernetesFixture } from './kubernetes-fixture.ts';

const namespace = 'shop';
const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
const tester = { part: 'client', name: 'tester' } as const;
const lonely = { name: 'lonely', namespace, labels: { app: 'lonely' } };
const bare: Manifest = { ...template('lonely'), apiVersion: 'v1', kind: 'Pod', metadata: lonely };

async function leftoversAt(url: string): Promise<Leftover[]> {
  const report = (await (await fetch(`${url}/sandbox/leftovers`)).json()) as LeftoverReport;
  expect(report.leftOut).toBe(0);
  return report.leftovers;
}

describe('in a cluster', () => {
  let fixture: KubernetesFixture;
  let nodes: string[];

  beforeEach(async () => {
    fixture = await startKubernetes([deployment('web', 3), statefulSet('db', 2), bare]);
    nodes = (await fixture.core.listNode()).items.map(({ metadata }) => metadata?.name ?? '');
  });

  afterEach(() => fixture.stop());

  const leftovers = () => leftoversAt(fixture.sandbox.url);
  const baseline = () => fetch(`${fixture.sandbox.url}/sandbox/baseline`, { method: 'POST' });
  const patchNode = (name: string, body: object) => fixture.core.patchNode({ name, body }, merge);

  test('nothing is left over of a run that cleans up behind itself', async () => {
    expect(await leftovers()).toEqual([]);
    const [node = ''] = nodes;
    await patchNode(node, { metadata: { annotations: { 'holdpoint.dev/cordon': 'r-1' } }, spec: { unschedulable: true } });
    const selectors = { fieldSelector: `spec.nodeName=${node}`, labelSelector: 'app!=lonely' };
    const { items } = await fixture.core.listNamespacedPod({ namespace, ...selectors });
    expect(items.length).toBeGreaterThan(0);
    for (const { metadata } of items) await fixture.core.deleteNamespacedPod({ name: metadata?.name ?? '', namespace });
    await patchNode(node, { metadata: { annotations: { 'holdpoint.dev/cordon': null } }, spec: { unschedulable: null } });
    await until('the pods to be back', async () => (await leftovers()).length === 0);
  });

  test('a cordon that was not there is left over; one that was there is not', async () => {
    const [first = '', second = ''] = nodes;
    await patchNode(first, { spec: { unschedulable: true } });
    await baseline();
    await patchNode(second, { spec: { unschedulable: true } });
    expect(await leftovers()).toEqual([{ kind: 'cordon', object: `test: Node ${second}`, sentence: 'This node is cordoned.' }]);
    await patchNode(second, { spec: { unschedulable: null } });
    expect(await leftovers()).toEqual([]);
  });

  test('a mark is left over wherever it is, unless it was there with the same value', async () => {
    const [first = '', second = ''] = nodes;
    const annotations = { 'holdpoint.dev/cordon': 'r-1', 'sandbox.holdpoint.dev/x': 'no mark', 'example.com/holdpoint.dev': 'nor this' };
    await patchNode(first, { metadata: { annotations } });
    await baseline();
    expect(await leftovers()).toEqual([]);
    await patchNode(second, { metadata: { annotations } });
    await patchNode(first, { metadata: { annotations: { 'holdpoint.dev/cordon': 'r-2' } } });
    const labelled = { metadata: { labels: { 'holdpoint.dev/run': 'r-1' } } };
    await fixture.apps.patchNamespacedDeployment({ name: 'web', namespace, body: labelled }, merge);
    expect((await leftovers()).map(({ kind, object, sentence }) => `${kind} ${object} ${sentence}`).sort()).toEqual([
      'mark test: Deployment shop/web It carries the label holdpoint.dev/run=r-1.',
      `mark test: Node ${first} It carries the annotation holdpoint.dev/cordon=r-2.`,
      `mark test: Node ${second} It carries the annotation holdpoint.dev/cordon=r-1.`,
    ]);
  });

  test('a pod that finds no place is left over', async () => {
    for (const node of nodes) await patchNode(node, { spec: { unschedulable: true } });
    await baseline();
    await fixture.core.deleteNamespacedPod({ name: 'db-1', namespace });
    const pending = { kind: 'pod-pending', object: 'test: Pod shop/db-1', sentence: 'This pod is Pending: it has no node.' };
    await until('db-1 to be made anew', async () => (await leftovers()).some(({ kind }) => kind === 'pod-pending'));
    expect(await leftovers()).toEqual([pending]);
    await baseline();
    expect(await leftovers()).toEqual([]);
  });

  test('a pod without an owner does not come back', async () => {
    await fixture.core.deleteNamespacedPod({ name: 'lonely', namespace });
    await until('the pod to be gone', async () => (await leftovers()).length > 0);
    expect(await leftovers()).toEqual([
      { kind: 'pod-gone', object: 'test: Pod shop/lonely', sentence: 'This pod had no owner to bring it back, and is gone.' },
    ]);
  });
});

test('an owner that nobody gives its pods back to is short of them', () => {
  const world = createWorld({ seed: worldOf([deployment('web', 3)]) });
  const store = world.cluster('test')?.store;
  // Time and controllers stand still from here on, as if the controller manager were down.
  world.stop();
  const [first, second] = store?.list('pods') ?? [];
  for (const pod of [first, second]) store?.remove('pods', `shop/${pod?.metadata.name}`, { ...tester, verb: 'delete' });
  expect(world.leftovers().leftovers).toEqual([
    { kind: 'pod-gone', object: expect.stringMatching(/^test: ReplicaSet shop\/web-/), sentence: 'It asks for 3 pods and has 1.' },
  ]);
  world.takeBaseline();
  expect(world.leftovers().leftovers).toEqual([]);
});

test('no more are listed than the limit, and the rest is counted', () => {
  const world = createWorld({ seed: worldOf([], 1) });
  const store = world.cluster('test')?.store;
  const annotations = Object.fromEntries(Array.from({ length: 1002 }, (_, index) => [`holdpoint.dev/${index}`, 'x']));
  store?.update('namespaces', '/shop', { ...tester, verb: 'update' }, (draft) => {
    draft.metadata.annotations = annotations;
  });
  expect(world.leftovers()).toMatchObject({ leftovers: { length: 1000 }, leftOut: 2 });
  world.stop();
});

describe('in the cloud', () => {
  let sandbox: Sandbox;
  let eks: EKSClient;
  const blue = { clusterName: 'test', nodegroupName: 'blue' };

  beforeEach(async () => {
    sandbox = await startSandbox({ seed: worldOf([]), speed: 200, cloud: (world) => createCloud(world).handle });
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    eks = new EKSClient({ region: 'eu-central-1', endpoint: sandbox.url, credentials });
  });

  afterEach(async () => {
    eks.destroy();
    await sandbox.stop();
  });

  test('a node group that was not there is left over, until it belongs to the baseline', async () => {
    expect(await leftoversAt(sandbox.url)).toEqual([]);
    const { nodegroup } = await eks.send(new DescribeNodegroupCommand(blue));
    const { subnets, nodeRole } = nodegroup ?? {};
    // The tags that it was made with are part of it.
    const tags = { 'holdpoint.dev/run': 'r-1' };
    await eks.send(new CreateNodegroupCommand({ ...blue, nodegroupName: 'green', subnets, nodeRole, tags }));
    expect(await leftoversAt(sandbox.url)).toEqual([
      { kind: 'nodegroup', object: 'test: node group green', sentence: 'This node group was not there.' },
    ]);
    sandbox.world.takeBaseline();
    expect(await leftoversAt(sandbox.url)).toEqual([]);
  });

  test('a tag of a node group can be a mark', async () => {
    const { nodegroup } = await eks.send(new DescribeNodegroupCommand(blue));
    await eks.send(new TagResourceCommand({ resourceArn: nodegroup?.nodegroupArn, tags: { 'holdpoint.dev/run': 'r-1', owner: 'sre' } }));
    expect(await leftoversAt(sandbox.url)).toEqual([
      { kind: 'mark', object: 'test: node group blue', sentence: 'It carries the tag holdpoint.dev/run=r-1.' },
    ]);
  });
});
