import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ApiException, PatchStrategy, Watch, makeInformer, setHeaderOptions } from '@kubernetes/client-node';
import type { V1Pod } from '@kubernetes/client-node';
import { applyPatch } from '../../sandbox/kubernetes/writes.ts';
import { deployment, eventually, startKubernetes, until } from './kubernetes-fixture.ts';
import type { KubernetesFixture } from './kubernetes-fixture.ts';

let fixture: KubernetesFixture;

beforeEach(async () => {
  fixture = await startKubernetes([deployment('web', 4), deployment('cart', 2)]);
});

afterEach(() => fixture.stop());

const namespace = 'shop';

async function firstNode(): Promise<string> {
  const { items } = await fixture.core.listNode();
  return items[0]?.metadata?.name ?? '';
}

async function failure(attempt: Promise<unknown>): Promise<{ code: number; body: Record<string, unknown> }> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ApiException)) throw new Error(`expected an error of the API, not ${String(error)}`);
  const body: unknown = error.body;
  return { code: error.code, body: (typeof body === 'string' ? JSON.parse(body) : body) as Record<string, unknown> };
}

const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
const strategic = setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch);

describe('reading', () => {
  test('a settled world shows ready nodes and running pods at once', async () => {
    const nodes = await fixture.core.listNode();
    const ready = nodes.items.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status);
    expect(ready).toEqual(['True', 'True', 'True']);
    expect(nodes.items.map(({ metadata }) => metadata?.labels?.['topology.kubernetes.io/zone']).sort()).toEqual([
      'eu-central-1a',
      'eu-central-1b',
      'eu-central-1c',
    ]);
    const pods = await fixture.core.listNamespacedPod({ namespace });
    expect(pods.items).toHaveLength(6);
    expect(new Set(pods.items.map(({ status }) => status?.phase))).toEqual(new Set(['Running']));
  });

  test.each([
    ['app=web', 4],
    ['app!=web', 2],
    ['app in (web, cart)', 6],
    ['app notin (web)', 2],
    ['!app', 0],
    ['app,pod-template-hash', 6],
  ])('the label selector %s finds %i pods', async (labelSelector, count) => {
    expect((await fixture.core.listPodForAllNamespaces({ labelSelector })).items).toHaveLength(count);
  });

  test('objects are read as protobuf, and told as JSON; whoever takes no JSON is told so', async () => {
    const text = (number: number, value: string | Buffer): Buffer => Buffer.from([(number << 3) | 2, value.length, ...Buffer.from(value)]);
    const metadata = text(1, Buffer.concat([text(1, 'notes'), text(2, ''), text(11, Buffer.concat([text(1, 'team'), text(2, 'shop')]))]));
    const object = Buffer.concat([metadata, text(2, Buffer.concat([text(1, 'colour'), text(2, 'red')]))]);
    const type = text(1, Buffer.concat([text(1, 'v1'), text(2, 'ConfigMap')]));
    const whole = Buffer.concat([Buffer.from('k8s\0'), type, text(2, object)]);
    const url = `${fixture.url}/api/v1/namespaces/shop/configmaps`;
    const post = async (body: Buffer, accept = 'application/vnd.kubernetes.protobuf,application/json') => {
      const headers = { 'content-type': 'application/vnd.kubernetes.protobuf', accept };
      const response = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) });
      return { status: response.status, body: (await response.json()) as object };
    };
    expect(await post(whole.subarray(0, -3))).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    expect(await post(whole, 'application/vnd.kubernetes.protobuf')).toMatchObject({ status: 406, body: { reason: 'NotAcceptable' } });
    expect(await post(whole)).toMatchObject({
      status: 201,
      body: { kind: 'ConfigMap', metadata: { name: 'notes', labels: { team: 'shop' } }, data: { colour: 'red' } },
    });
  });

  test('field selectors find pods by node and phase, and unknown fields are refused', async () => {
    const node = await firstNode();
    const here = await fixture.core.listPodForAllNamespaces({ fieldSelector: `spec.nodeName=${node},status.phase=Running` });
    expect(new Set(here.items.map(({ spec }) => spec?.nodeName))).toEqual(new Set([node]));
    const { code, body } = await failure(fixture.core.listNode({ fieldSelector: 'spec.colour=red' }));
    expect([code, body.message]).toEqual([400, 'field label not supported: spec.colour']);
  });

  test('the pages of a list show the world as it was at the first page', async () => {
    const first = await fixture.core.listNamespacedPod({ namespace, limit: 4 });
    expect(first.metadata?.remainingItemCount).toBe(2);
    const doomed = (await fixture.core.listNamespacedPod({ namespace })).items[5]?.metadata?.name ?? '';
    await fixture.core.deleteNamespacedPod({ name: doomed, namespace, gracePeriodSeconds: 0 });
    const second = await fixture.core.listNamespacedPod({ namespace, limit: 4, _continue: first.metadata?._continue });
    expect(second.items.map(({ metadata }) => metadata?.name)).toContain(doomed);
    expect(second.items).toHaveLength(2);
    expect(second.metadata?._continue).toBeUndefined();
    expect(second.metadata?.resourceVersion).toBe(first.metadata?.resourceVersion);
  });

  test('a page that comes too late is answered with 410', async () => {
    const first = await fixture.core.listNode({ limit: 1 });
    await fixture.core.createNamespace({ body: { metadata: { name: 'later' } } });
    await fetch(`${fixture.sandbox.url}/sandbox/clusters/test/compact`, { method: 'POST' });
    const { code, body } = await failure(fixture.core.listNode({ limit: 1, _continue: first.metadata?._continue }));
    expect([code, body.reason]).toEqual([410, 'Expired']);
    const exact = { resourceVersion: first.metadata?.resourceVersion, resourceVersionMatch: 'Exact' };
    expect((await failure(fixture.core.listNode(exact))).code).toBe(410);
  });

  test('what is not there is answered with the Status of the real server', async () => {
    const { code, body } = await failure(fixture.core.readNode({ name: 'nowhere' }));
    expect(code).toBe(404);
    expect(body).toMatchObject({
      kind: 'Status',
      status: 'Failure',
      reason: 'NotFound',
      message: 'nodes "nowhere" not found',
      details: { name: 'nowhere', kind: 'nodes' },
      code: 404,
    });
    const other = await failure(fixture.policy.readNamespacedPodDisruptionBudget({ name: 'x', namespace }));
    expect(other.body.message).toBe('poddisruptionbudgets.policy "x" not found');
  });
});

interface WatchLine {
  type: string;
  object: { metadata: { name?: string; resourceVersion: string } };
}

describe('watching', () => {
  test('an informer hears of every change and goes on after its watch was cut', async () => {
    const seen: string[] = [];
    const list = () => fixture.core.listNamespacedPod({ namespace, labelSelector: 'app=web' });
    const informer = makeInformer<V1Pod>(fixture.config, `/api/v1/namespaces/${namespace}/pods`, list, 'app=web');
    informer.on('add', () => seen.push('add'));
    informer.on('delete', () => seen.push('delete'));
    let wanted = true;
    informer.on('error', () => {
      if (wanted) void informer.start();
    });
    await informer.start();
    await until('four pods', () => seen.length === 4);
    const name = informer.list()[0]?.metadata?.name ?? '';
    await fixture.core.deleteNamespacedPod({ name, namespace });
    await until('the pod to go and another to come', () => seen.filter((event) => event === 'delete').length === 1 && seen.length === 6);
    await fetch(`${fixture.sandbox.url}/sandbox/clusters/test/cut-watches`, { method: 'POST' });
    const next = informer.list()[0]?.metadata?.name ?? '';
    await fixture.core.deleteNamespacedPod({ name: next, namespace });
    await until('the informer to hear of it', () => informer.get(next, namespace) === undefined && informer.list().length === 4);
    wanted = false;
    await informer.stop();
  });

  test('a watch that starts from a forgotten version is told 410 as an event', async () => {
    const { metadata } = await fixture.core.listNode();
    await fixture.core.createNamespace({ body: { metadata: { name: 'later' } } });
    fixture.sandbox.world.cluster('test')?.store.compact();
    const response = await fetch(`${fixture.url}/api/v1/nodes?watch=1&resourceVersion=${metadata?.resourceVersion ?? ''}`);
    expect(response.status).toBe(200);
    expect(JSON.parse(await response.text())).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
  });

  test('a watch goes on where a list ended, sends bookmarks and ends at its time', async () => {
    const { metadata } = await fixture.core.listNode();
    const name = await firstNode();
    await fixture.core.patchNode({ name, body: { spec: { unschedulable: true } } }, merge);
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=${metadata?.resourceVersion ?? ''}`;
    const lines = (await (await fetch(`${fixture.url}/api/v1/nodes?${query}`)).text()).trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as WatchLine);
    expect(events[0]).toMatchObject({ type: 'MODIFIED', object: { metadata: { name }, spec: { unschedulable: true } } });
    expect(events.at(-1)?.type).toBe('BOOKMARK');
    expect(Number(events.at(-1)?.object.metadata.resourceVersion)).toBeGreaterThan(Number(metadata?.resourceVersion));
  });

  test('an object that leaves the selector is told as deleted', async () => {
    const events: string[] = [];
    const name = await firstNode();
    const query = { fieldSelector: 'spec.unschedulable=false' };
    const hear = (type: string, node: { metadata: { name: string } }): void => {
      if (node.metadata.name === name) events.push(type);
    };
    const watch = await new Watch(fixture.config).watch('/api/v1/nodes', query, hear, () => undefined);
    await until('the node', () => events.length === 1);
    await fixture.core.patchNode({ name, body: { spec: { unschedulable: true } } }, merge);
    await until('the node to leave', () => events.length === 2);
    await fixture.core.patchNode({ name, body: { spec: { unschedulable: null } } }, merge);
    await until('the node to come back', () => events.length >= 3);
    expect(events.slice(0, 3)).toEqual(['ADDED', 'DELETED', 'ADDED']);
    watch.abort();
  });
});

describe('writing', () => {
  test('a cordon is followed by its taint, and lifting it by the end of the taint', async () => {
    const name = await firstNode();
    const taints = async () => (await fixture.core.readNode({ name })).spec?.taints?.map(({ key }) => key) ?? [];
    await fixture.core.patchNode({ name, body: { spec: { unschedulable: true } } }, strategic);
    await until('the taint', async () => (await taints()).includes('node.kubernetes.io/unschedulable'));
    await fixture.core.patchNode({ name, body: { spec: { unschedulable: false } } }, strategic);
    await until('no taint', async () => (await taints()).length === 0);
  });

  test('a replacement that rests on an older version is refused with 409 and changes nothing', async () => {
    const name = await firstNode();
    const read = await fixture.core.readNode({ name });
    await fixture.core.patchNode({ name, body: { metadata: { labels: { first: 'yes' } } } }, merge);
    const second = { ...read, metadata: { ...read.metadata, labels: { second: 'yes' } } };
    const { code, body } = await failure(fixture.core.replaceNode({ name, body: second }));
    expect(code).toBe(409);
    expect(body).toMatchObject({
      reason: 'Conflict',
      message:
        `Operation cannot be fulfilled on nodes "${name}": the object has been modified; ` +
        'please apply your changes to the latest version and try again',
    });
    const labels = (await fixture.core.readNode({ name })).metadata?.labels;
    expect([labels?.first, labels?.second]).toEqual(['yes', undefined]);
  });

  test('a JSON patch whose test fails changes nothing', async () => {
    const name = await firstNode();
    const body = [
      { op: 'add', path: '/metadata/labels/holdpoint.dev~1x', value: 'y' },
      { op: 'test', path: '/spec/providerID', value: 'another' },
    ];
    const { code } = await failure(fixture.core.patchNode({ name, body }, setHeaderOptions('Content-Type', PatchStrategy.JsonPatch)));
    expect(code).toBe(422);
    expect((await fixture.core.readNode({ name })).metadata?.labels?.['holdpoint.dev/x']).toBeUndefined();
  });

  test('a deletion whose preconditions do not hold is refused with 409', async () => {
    const { items } = await fixture.core.listNamespacedPod({ namespace });
    const name = items[0]?.metadata?.name ?? '';
    const options = { preconditions: { uid: 'another' } };
    const { code, body } = await failure(fixture.core.deleteNamespacedPod({ name, namespace, body: options }));
    expect(code).toBe(409);
    expect(body.message).toContain('the UID in the precondition (another) does not match the UID in record');
    expect((await fixture.core.readNamespacedPod({ name, namespace })).metadata?.deletionTimestamp).toBeUndefined();
  });

  test('a dry run changes nothing', async () => {
    const name = await firstNode();
    await fixture.core.deleteNode({ name, dryRun: 'All' });
    await fixture.core.patchNode({ name, dryRun: 'All', body: { spec: { unschedulable: true } } }, merge);
    await fixture.core.createNamespace({ dryRun: 'All', body: { metadata: { name: 'ghost' } } });
    expect((await fixture.core.readNode({ name })).spec?.unschedulable).toBeUndefined();
    expect((await failure(fixture.core.readNamespace({ name: 'ghost' }))).code).toBe(404);
  });

  test('a deleted deployment takes its replica sets and pods with it, a deleted namespace all that it holds', async () => {
    await fixture.apps.deleteNamespacedDeployment({ name: 'cart', namespace });
    const carts = () => fixture.core.listNamespacedPod({ namespace, labelSelector: 'app=cart' });
    await until('the pods to go', async () => (await carts()).items.length === 0);
    await fixture.core.deleteNamespace({ name: namespace });
    const late = { metadata: { name: 'late' }, spec: { containers: [{ name: 'a', image: 'b' }] } };
    const made = await failure(fixture.core.createNamespacedPod({ namespace, body: late }));
    expect([made.code, made.body.reason]).toEqual([403, 'Forbidden']);
    const names = async () => (await fixture.core.listNamespace()).items.map(({ metadata }) => metadata?.name);
    await until('the namespace to go', async () => !(await names()).includes(namespace));
  });

  test('the scale of a deployment is read and written by itself', async () => {
    await fixture.apps.patchNamespacedDeploymentScale({ name: 'cart', namespace, body: { spec: { replicas: 5 } } }, merge);
    expect((await fixture.apps.readNamespacedDeploymentScale({ name: 'cart', namespace })).spec?.replicas).toBe(5);
    const ready = await eventually('five ready pods', async () => {
      const { status } = await fixture.apps.readNamespacedDeployment({ name: 'cart', namespace });
      return status?.readyReplicas === 5 ? status : undefined;
    });
    expect(ready.observedGeneration).toBe(2);
  });
});

describe('strategic merge patch', () => {
  const type = PatchStrategy.StrategicMergePatch;

  test.each([
    [
      'merges conditions by type',
      {
        status: {
          conditions: [
            { type: 'A', status: 'True' },
            { type: 'B', status: 'True' },
          ],
        },
      },
      {
        status: {
          conditions: [
            { type: 'B', status: 'False' },
            { type: 'C', status: 'True' },
          ],
        },
      },
      {
        status: {
          conditions: [
            { type: 'A', status: 'True' },
            { type: 'B', status: 'False' },
            { type: 'C', status: 'True' },
          ],
        },
      },
    ],
    [
      'merges containers by name and deletes where told',
      {
        containers: [
          { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
          { name: 'b', image: '1' },
        ],
      },
      {
        containers: [
          { name: 'a', image: '2' },
          { name: 'b', $patch: 'delete' },
        ],
      },
      { containers: [{ name: 'a', image: '2', env: [{ name: 'X', value: '1' }] }] },
    ],
    [
      'replaces taints as a whole',
      { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } },
      { spec: { taints: [{ key: 'b', effect: 'NoSchedule' }] } },
      { spec: { taints: [{ key: 'b', effect: 'NoSchedule' }] } },
    ],
    ['takes away what is null', { labels: { a: '1', b: '2' } }, { labels: { a: null } }, { labels: { b: '2' } }],
    [
      'adds to finalizers',
      { finalizers: ['a'] },
      { finalizers: ['b'], '$setElementOrder/finalizers': ['a', 'b'] },
      { finalizers: ['a', 'b'] },
    ],
    [
      'removes from lists of plain values',
      { finalizers: ['a', 'b'] },
      { '$deleteFromPrimitiveList/finalizers': ['a'] },
      { finalizers: ['b'] },
    ],
    ['replaces where told', { labels: { a: '1' } }, { labels: { $patch: 'replace', b: '2' } }, { labels: { b: '2' } }],
    [
      'keeps only the keys it is told to',
      { strategy: { type: 'A', rollingUpdate: {} } },
      { strategy: { $retainKeys: ['type'], type: 'B' } },
      { strategy: { type: 'B' } },
    ],
  ])('%s', (_title, target, patch, expected) => {
    expect(applyPatch(target as never, patch as never, type)).toEqual(expected);
  });
});
