import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { createAll, nodeManifests } from '../../lab/workloads.ts';
import { failureOf } from '../support/cluster.ts';
import { drainOf } from './drain-of.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { eventually, leaveNothing, podTemplate, until, type PodSeen } from './world.ts';

/** So long a case from the field watches how many pods come and go. */
const watchedMs = 20_000;
const pausesMs = 100;

let door: Door;
let request: KubernetesRequest;
let after: () => Promise<void> = async () => undefined;

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(labKubeconfig()));
});

// Other tests share the cluster, and count its nodes.
afterEach(() => after());

/** Three nodes that no pods of others tolerate, and a namespace. Returns their names. */
async function setOut(namespace: string): Promise<[string, string, string]> {
  const nodes = nodeManifests({ count: 3, prefix: namespace, labels: { pool: namespace } });
  const names = nodes.map(({ metadata }) => metadata.name) as [string, string, string];
  for (const node of nodes) Object.assign(node.spec ?? {}, { taints: [{ key: 'only', value: namespace, effect: 'NoSchedule' }] });
  after = () => leaveNothing(door, namespace, names);
  await createAll(request, [...nodes, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
  return names;
}

async function create(path: string, body: object): Promise<{ metadata: { uid: string } }> {
  const answer = await send(door, 'POST', path, body);
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as { metadata: { uid: string } };
}

async function podsIn(namespace: string): Promise<PodSeen[]> {
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  return body.items as PodSeen[];
}

/** Two replicas of a template, by an owner of a kind. */
function workload(kind: 'Deployment' | 'ReplicaSet', name: string, spec: object): object {
  const { metadata, spec: common } = podTemplate(name);
  const template = { metadata, spec: { ...common, ...spec } };
  return { apiVersion: 'apps/v1', kind, metadata: { name }, spec: { replicas: 2, selector: { matchLabels: { app: name } }, template } };
}

describe('pods that come back to the node', () => {
  const toleratesAll = { tolerations: [{ operator: 'Exists' }] };
  const onlyOn = (node: string): object => {
    const term = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
    return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } } };
  };

  test('are told beforehand, whatever brings them back, and evicted twice at most where somebody drains all the same', async () => {
    const namespace = 'returning';
    const [node] = await setOut(namespace);
    const path = `/apis/apps/v1/namespaces/${namespace}`;
    await create(`${path}/deployments`, workload('Deployment', 'named', { nodeName: node, ...toleratesAll }));
    await create(`${path}/replicasets`, workload('ReplicaSet', 'bare', { nodeName: node, ...toleratesAll }));
    await create(`${path}/deployments`, workload('Deployment', 'bound', { affinity: onlyOn(node), ...toleratesAll }));
    await create(
      `${path}/deployments`,
      workload('Deployment', 'selected', { nodeSelector: { 'kubernetes.io/hostname': node }, ...toleratesAll }),
    );
    await until('all of them to run there', async () => {
      const pods = await podsIn(namespace);
      return pods.length === 8 && pods.every(({ spec, status }) => spec.nodeName === node && status.phase === 'Running');
    });
    const drain = drainOf([node]);
    const plan = await drain.plan();
    expect(plan.blockers.map(({ object, reason }) => `${object}: ${reason}`).toSorted()).toEqual(
      [
        ['Deployment returning/bound', 'only that node is allowed, and its cordon is tolerated'],
        ['Deployment returning/named', '`spec.nodeName` names that node, which no cordon stops'],
        ['Deployment returning/selected', 'only that node is allowed, and its cordon is tolerated'],
        ['ReplicaSet returning/bare', '`spec.nodeName` names that node, which no cordon stops'],
      ].map(([object, why]) => `${object}: 2 of its pods come back to the same node though it is cordoned: ${why}.`),
    );

    const seen = new Map<string, string>();
    const note = async (): Promise<void> => {
      for (const { metadata } of await podsIn(namespace)) seen.set(metadata.uid, metadata.labels?.app ?? '');
    };
    const counts = (): Record<string, number> => {
      const all: Record<string, number> = {};
      for (const app of seen.values()) all[app] = (all[app] ?? 0) + 1;
      return all;
    };
    const failure = failureOf(drain.carryOut(plan));
    const endMs = performance.now() + watchedMs;
    while (performance.now() < endMs) {
      await note();
      await new Promise((resolve) => setTimeout(resolve, pausesMs));
    }
    expect(Object.values(counts()).every((count) => count <= 4)).toBe(true);
    const { code, message } = await failure;
    await note();
    expect(code).toBe('action-stuck');
    expect(message).toMatch(/^\d pods came to nodes though those were cordoned\. Evicted, they would only come again/);
    expect(Object.values(counts()).every((count) => count <= 6)).toBe(true);
  }, 90_000);
});

describe('a PDB that its operator changes', () => {
  test('when it sees the cordon, it is a risk and no blocker, and the pod goes', async () => {
    const namespace = 'operated';
    const [node, other] = await setOut(namespace);
    const group = 'databases.example.com';
    await create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: `clusters.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'clusters', singular: 'cluster', kind: 'Cluster' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    });
    const clusters = `/apis/${group}/v1/namespaces/${namespace}/clusters`;
    const orders = { apiVersion: `${group}/v1`, kind: 'Cluster', metadata: { name: 'orders' } };
    // As long as the kind is not served there, the answer is no JSON.
    const owner = await eventually('the kind to be served', () => create(clusters, orders).catch(() => undefined));
    const ownerReferences = [{ apiVersion: `${group}/v1`, kind: 'Cluster', name: 'orders', uid: owner.metadata.uid, controller: true }];
    const podPath = `/api/v1/namespaces/${namespace}/pods`;
    for (const [name, role, nodeName] of [
      ['orders-1', 'primary', node],
      ['orders-2', 'replica', other],
    ] as const) {
      const { spec } = podTemplate(name);
      const metadata = { name, labels: { role }, ownerReferences };
      await create(podPath, { metadata, spec: { ...spec, nodeName, tolerations: [{ operator: 'Exists' }] } });
    }
    const selector = { matchLabels: { role: 'primary' } };
    const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    await create(budgets, { metadata: { name: 'primary' }, spec: { minAvailable: 1, selector } });
    await until('the budget to be counted', async () => {
      const { body } = await send(door, 'GET', `${budgets}/primary`);
      return (body.status as { currentHealthy?: number }).currentHealthy === 1;
    });
    const drain = drainOf([node]);
    const plan = await drain.plan();
    expect(plan.blockers).toEqual([]);
    expect(plan.risks).toContainEqual(
      expect.objectContaining({
        object: 'PodDisruptionBudget/operated/primary',
        risk: 'it allows 0 disruptions until Cluster operated/orders changes that',
      }),
    );
    const relabel = (name: string, role: string): Promise<unknown> =>
      send(door, 'PATCH', `${podPath}/${name}`, { metadata: { labels: { role } } }, 'application/merge-patch+json');
    const operator = (async () => {
      await until('the cordon', () => isCordoned(node));
      await relabel('orders-1', 'replica');
      await relabel('orders-2', 'primary');
    })();
    await drain.carryOut(plan);
    await operator;
    expect((await podsIn(namespace)).map(({ metadata }) => metadata.name)).toEqual(['orders-2']);
    await send(door, 'DELETE', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusters.${group}`);
  }, 90_000);
});

async function isCordoned(node: string): Promise<boolean> {
  const { body } = await send(door, 'GET', `/api/v1/nodes/${node}`);
  return (body.spec as { unschedulable?: boolean }).unschedulable === true;
}
