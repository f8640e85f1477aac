import { afterEach, describe, expect, test } from '@jest/globals';
import type { KubernetesCluster } from '../../sandbox/kubernetes/cluster.ts';
import { isReady } from '../../sandbox/kubernetes/objects.ts';
import type { Pod } from '../../sandbox/kubernetes/objects.ts';
import { initialNodes, nodeSpecOf } from '../../sandbox/seed.ts';
import type { Manifest } from '../../sandbox/seed.ts';
import { createWorld } from '../../sandbox/world.ts';
import type { SimulatedWorld } from '../../sandbox/world.ts';
import { demoWorld } from '../../sandbox/worlds/demo.ts';
import { budget, deployment, eventually, statefulSet, template, until, worldOf } from './kubernetes-fixture.ts';

let world: SimulatedWorld;

afterEach(() => world.stop());

function start(manifests: Manifest[], nodes = 3): KubernetesCluster {
  world = createWorld({ seed: worldOf(manifests, nodes), speed: 200, randomSeed: 3 });
  const cluster = world.cluster('test');
  if (!cluster) throw new Error('the world has no cluster called test');
  return cluster;
}

function pods(cluster: KubernetesCluster, app: string): Pod[] {
  return cluster.store.inNamespace('pods', 'shop').filter(({ metadata }) => metadata.labels?.app === app);
}

const client = { part: 'client', name: 'tester', verb: 'update' } as const;

describe('workloads', () => {
  test('the pods of a deployment are spread over the zones and moved off a cordoned node', async () => {
    const cluster = start([deployment('web', 6), budget('web', { maxUnavailable: 1 })]);
    const nodes = cluster.store.list('nodes').map(({ metadata }) => metadata.name);
    expect(nodes.map((node) => pods(cluster, 'web').filter(({ spec }) => spec.nodeName === node).length)).toEqual([2, 2, 2]);
    const [node = ''] = nodes;
    cluster.setUnschedulable(node, true);
    await until('the node to be empty', () => {
      for (const pod of cluster.podsOn(node)) cluster.evictPod(pod.namespace, pod.name);
      return cluster.podsOn(node).length === 0;
    });
    const elsewhere = (pod: Pod): boolean => isReady(pod) && pod.spec.nodeName !== node;
    await until('six ready pods elsewhere', () => pods(cluster, 'web').filter(elsewhere).length === 6);
    expect(world.observer.summary().violations).toEqual([]);
  });

  test('a pod of a stateful set comes back under its name with another UID', async () => {
    const cluster = start([statefulSet('db', 3)]);
    expect(
      pods(cluster, 'db')
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(['db-0', 'db-1', 'db-2']);
    const before = cluster.store.get('pods', 'shop', 'db-1')?.metadata.uid;
    expect(cluster.evictPod('shop', 'db-1')).toBe('evicted');
    const after = await eventually('another db-1', () => {
      const pod = cluster.store.get('pods', 'shop', 'db-1');
      return pod && pod.metadata.uid !== before && isReady(pod) ? pod : undefined;
    });
    expect(after.metadata.labels?.['statefulset.kubernetes.io/pod-name']).toBe('db-1');
  });

  test('an ordered stateful set starts each pod after the one before is ready, and ends with the last', async () => {
    const cluster = start([statefulSet('db', 1)]);
    const order: string[] = [];
    cluster.store.onChange(({ resource, type, object, previous }) => {
      if (resource !== 'pods') return;
      const ready = isReady(object as Pod) && !(previous && isReady(previous as Pod));
      if (type === 'ADDED' || ready) order.push(`${type === 'ADDED' ? 'made' : 'ready'} ${object.metadata.name}`);
      if (type === 'DELETED') order.push(`gone ${object.metadata.name}`);
    });
    const scale = (replicas: number) =>
      cluster.store.update('statefulsets', 'shop/db', client, ({ spec }) => {
        spec.replicas = replicas;
      });
    scale(3);
    await until('three ready', () => order.length === 4);
    scale(1);
    await until('two gone', () => order.length === 6);
    expect(order).toEqual(['made db-1', 'ready db-1', 'made db-2', 'ready db-2', 'gone db-2', 'gone db-1']);
  });

  test('a new template is rolled out without going below what must be available', async () => {
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
    const cluster = start([deployment('web', 4, { strategy })]);
    let least = 4;
    let most = 4;
    cluster.store.onChange(({ resource }) => {
      if (resource !== 'pods') return;
      const alive = pods(cluster, 'web').filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      least = Math.min(least, alive.filter(isReady).length);
      most = Math.max(most, alive.length);
    });
    cluster.store.update('deployments', 'shop/web', client, ({ spec }) => {
      spec.template.spec.containers.forEach((container) => {
        container.image = 'registry.example.com/main:2';
      });
    });
    const isNew = (pod: Pod): boolean => isReady(pod) && pod.spec.containers[0]?.image.endsWith(':2') === true;
    await until('four new pods and no old ones', () => pods(cluster, 'web').length === 4 && pods(cluster, 'web').every(isNew));
    expect([least, most]).toEqual([4, 5]);
  });

  test('a node that joins gets ready after its boot and then its daemon pods', async () => {
    const daemons: Manifest = { ...deployment('agent', 1), kind: 'DaemonSet' };
    const cluster = start([daemons]);
    expect(pods(cluster, 'agent')).toHaveLength(3);
    const [seed] = world.seed.clusters;
    const [group] = seed?.nodegroups ?? [];
    if (!seed || !group) throw new Error('the seed has no node group');
    const spec = nodeSpecOf(seed, group, { name: 'ip-10-9-9-9.internal', zone: 'eu-central-1a', instanceId: 'i-1' });
    const before = world.clock.now().getTime();
    cluster.joinNode(spec);
    expect(cluster.nodeReady(spec.name)).toBe(false);
    await until('the node to be ready', () => cluster.nodeReady(spec.name));
    const bootMs = world.clock.now().getTime() - before;
    expect(bootMs).toBeGreaterThanOrEqual(40_000);
    await until('its daemon pod', () => cluster.store.podsOnNode(spec.name).some(isReady));
    expect(cluster.podsOn(spec.name)).toEqual([expect.objectContaining({ namespace: 'shop', daemon: true })]);
    cluster.removeNode(spec.name);
    await until('the pod to go with the node', () => pods(cluster, 'agent').length === 3);
  });

  test('a pod for which there is no room says so, and is placed once there is', async () => {
    const cluster = start([deployment('big', 4, { template: template('big', { cpu: '1500m' }) })]);
    const waiting = await eventually('the pod left over', () => pods(cluster, 'big').find(({ spec }) => spec.nodeName === undefined));
    const message = '0/3 nodes are available: 3 Insufficient cpu.';
    expect(waiting.status.conditions).toEqual([
      expect.objectContaining({ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }),
    ]);
    const placed = pods(cluster, 'big').find(({ spec }) => spec.nodeName !== undefined);
    cluster.delete('pods', `shop/${placed?.metadata.name ?? ''}`, {}, { ...client, verb: 'delete' });
    const uid = waiting.metadata.uid;
    await until('it to be placed', () => pods(cluster, 'big').some((pod) => pod.metadata.uid === uid && isReady(pod)));
  });

  test('a node with a taint takes only pods that tolerate it', () => {
    const cluster = start([]);
    const nodes = cluster.store.list('nodes');
    const taint = { key: 'special', value: 'yes', effect: 'NoSchedule' } as const;
    for (const { metadata } of nodes.slice(1)) {
      cluster.store.update('nodes', `/${metadata.name}`, client, ({ spec }) => {
        spec.taints = [taint];
      });
    }
    const tolerant = template('tolerant') as { spec: object };
    const tolerations = [{ ...taint, operator: 'Equal' }];
    cluster.apply(deployment('plain', 3));
    cluster.apply(deployment('tolerant', 3, { template: { ...tolerant, spec: { ...tolerant.spec, tolerations } } }));
    cluster.settle();
    expect(new Set(pods(cluster, 'plain').map(({ spec }) => spec.nodeName))).toEqual(new Set([nodes[0]?.metadata.name]));
    expect(new Set(pods(cluster, 'tolerant').map(({ spec }) => spec.nodeName)).size).toBe(3);
  });
});

describe('the world as a whole', () => {
  test('the demo world is settled when it starts', () => {
    world = createWorld({ seed: demoWorld });
    const store = world.cluster('demo')?.store;
    const all = store?.list('pods') ?? [];
    expect(all.length).toBeGreaterThan(55);
    expect(all.filter((pod) => !isReady(pod)).map(({ metadata }) => metadata.name)).toEqual([]);
    expect(store?.list('poddisruptionbudgets').map(({ metadata, status }) => [metadata.name, status.disruptionsAllowed > 0])).toEqual(
      store?.list('poddisruptionbudgets').map(({ metadata }) => [metadata.name, true]),
    );
    expect(store?.list('nodes').map(({ spec }) => spec.taints)).toEqual(Array.from({ length: 6 }, () => undefined));
  });

  test('the same seed gives the same names and UIDs, another seed others', () => {
    const identities = (randomSeed: number): string[] => {
      world = createWorld({ seed: demoWorld, randomSeed });
      const found = world.cluster('demo')?.store.list('pods') ?? [];
      world.stop();
      return found.map(({ metadata, spec }) => `${metadata.name} ${metadata.uid} ${spec.nodeName ?? ''}`);
    };
    expect(identities(5)).toEqual(identities(5));
    expect(identities(5)).not.toEqual(identities(6));
  });

  test('the nodes that a seed names are those that the cluster has', () => {
    world = createWorld({ seed: demoWorld });
    const [seed] = demoWorld.clusters;
    const [group] = seed?.nodegroups ?? [];
    const named = seed && group ? initialNodes(seed, group).map(({ name, providerID }) => [name, providerID]) : [];
    expect(
      world
        .cluster('demo')
        ?.store.list('nodes')
        .map(({ metadata, spec }) => [metadata.name, spec.providerID]),
    ).toEqual(named.sort());
  });
});
