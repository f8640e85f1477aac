import { afterEach, describe, expect, test } from '@jest/globals';
import type { V1VolumeAttachmentList } from '@kubernetes/client-node';
import { readCluster } from '../../../../activities/kubernetes/drain/cluster-state.ts';
import { reviewDrain, type DrainReview } from '../../../../activities/kubernetes/drain/review.ts';
import type { Progress } from '../../../../domain/action.ts';
import { staysOnNode } from '../../../../domain/drain/pod.ts';
import type { Manifest } from '../../../../sandbox/seed.ts';
import { dataClaims, deployment, localVolume, statefulSet, until, zonalVolume } from '../../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../../support/cluster.ts';

/** What the first node of every world is called. */
const firstNode = 'ip-10-0-0-4.eu-central-1.compute.internal';
let demo: TestCluster;
afterEach(() => demo.stop());

async function start(manifests: Manifest[], nodes = 3): Promise<void> {
  demo = await startCluster(worldWith(manifests, { nodes }));
}

async function review(...nodes: string[]): Promise<DrainReview> {
  const apis = await demo.clients.kubernetes(demo.target);
  const reading = await readCluster(() => demo.clients.kubernetes(demo.target), demo.target.name);
  return reviewDrain(apis, demo.target.name, { ...reading, coming: [], moved: [] }, nodes, [], (pod) => !staysOnNode(pod));
}

async function nodeOf(pod: string): Promise<string> {
  return (await demo.others.core.readNamespacedPod({ namespace: 'shop', name: pod })).spec?.nodeName ?? '';
}

describe('a review', () => {
  test('finds nothing to say where pods have a place and nothing is lost', async () => {
    await start([deployment('web', 3)]);
    const [node = ''] = await demo.nodeNames();
    expect(await review(node)).toEqual({ destinations: ['node group blue'], problems: [], traffic: [], exclusiveClaims: new Set() });
  });

  test('counts what the pods of the nodes that stay take, and finds the lack of room that the scheduler finds', async () => {
    const resources = { requests: { cpu: '1800m' } };
    const spec = { containers: [{ name: 'main', image: 'registry.example.com/main:1', resources }] };
    await start([deployment('big', 3, { template: { metadata: { labels: { app: 'big' } }, spec } })]);
    const [node = ''] = await demo.nodeNames();
    const { problems } = await review(node);
    expect(problems.map(({ kind, workload, detail }) => `${kind} | ${workload}: ${detail}`)).toEqual([
      'no-room | Deployment shop/big: as far as can be seen, there is no room now for 1 pod on the 2 nodes that take them: 1.56 cpu short.',
    ]);
    const [pod] = (await demo.pods()).filter(({ spec: placed }) => placed?.nodeName === node);
    await demo.others.core.patchNode({ name: node, body: [{ op: 'add', path: '/spec/unschedulable', value: true }] });
    await demo.others.core.deleteNamespacedPod({ namespace: 'shop', name: pod?.metadata?.name ?? '' });
    await until('the scheduler to say the same', async () =>
      (await demo.pods()).some(({ status }) => status?.conditions?.[0]?.message?.includes('2 Insufficient cpu') === true),
    );
  });

  test('finds the pods whose volumes leave no node, and needs to read volumes only for pods that use them', async () => {
    await start([zonalVolume('pv-0', 'data-db-0', `${region}b`), statefulSet('db', 1, dataClaims), deployment('web', 3)]);
    const node = await nodeOf('db-0');
    const { problems } = await review(node);
    expect(problems).toMatchObject([{ kind: 'no-node-for-volume', workload: 'StatefulSet shop/db', pods: ['shop/db-0'] }]);
    demo.cluster.access.forbid('', 'persistentvolumes', 'list');
    expect(await failureOf(review(node))).toMatchObject({ code: 'kubernetes-denied' });
    const [other = ''] = (await demo.nodeNames()).filter((name) => name !== node);
    expect((await review(other)).problems).toEqual([]);
  });

  test('heeds the volume that a claim is bound to, not one that an earlier claim of the same name has left', async () => {
    const left = zonalVolume('pv-9', 'data-db-0', `${region}x`);
    const claimRef = { namespace: 'shop', name: 'data-db-0', uid: 'of an earlier claim' };
    const manifests = [zonalVolume('pv-0', 'data-db-0', `${region}a`), { ...left, spec: { ...(left.spec as object), claimRef } }];
    await start([...manifests, statefulSet('db', 1, dataClaims)], 6);
    expect((await review(await nodeOf('db-0'))).problems).toEqual([]);
  });
});

test('A drain is over only when the volumes of the pods that moved are detached from the node, and says so meanwhile.', async () => {
  await start([zonalVolume('pv-0', 'data-db-0', `${region}a`, 60), statefulSet('db', 1, dataClaims)], 6);
  const node = await nodeOf('db-0');
  const plan = await demo.plan('kubernetes.drain', { nodes: [node] });
  expect(plan).toMatchObject({ blockers: [], facts: { volumes: true } });
  const told: string[] = [];
  const onProgress = (progress?: Progress): void => void (progress && told.push(progress.summary));
  await demo.perform('kubernetes.drain', plan, { onProgress });
  expect(told).toContain('1 of 1 pods gone, 1 volumes still attached');
  const apis = await demo.clients.kubernetes(demo.target);
  const { items } = await apis.request<V1VolumeAttachmentList>('GET', '/apis/storage.k8s.io/v1/volumeattachments');
  expect(items.filter(({ spec }) => spec.nodeName === node)).toEqual([]);
});

test('A pod whose local volume stays behind goes only where the step says so.', async () => {
  await start([localVolume('pv-0', 'data-db-0', firstNode), statefulSet('db', 1, dataClaims)]);
  expect(await nodeOf('db-0')).toBe(firstNode);
  const { blockers } = await demo.plan('kubernetes.drain', { nodes: [firstNode] });
  expect(blockers).toMatchObject([{ object: 'StatefulSet shop/db', reason: expect.stringContaining('StatefulSet shop/db') }]);
  const allowed = await demo.plan('kubernetes.drain', { nodes: [firstNode], deleteEmptyDirData: true });
  expect(allowed.blockers).toEqual([]);
  expect(allowed.risks).toContainEqual(
    expect.objectContaining({ object: 'StatefulSet shop/db', risk: 'the data of its local volumes stays behind' }),
  );
});
