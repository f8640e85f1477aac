import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests } from '../../lab/workloads.ts';
import { failureOf } from '../support/cluster.ts';
import { drainOf } from './drain-of.ts';
import { followEvictions } from './evictions.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { inPool, isReady, leaveNothing, until, type PodSeen } from './world.ts';

const namespace = 'lost-nodes';
const pool = { pool: namespace };
const drained = nodeManifests({ count: 4, prefix: `${namespace}-full`, labels: pool });
const spare = nodeManifests({ count: 2, prefix: `${namespace}-spare`, labels: pool });
const namesOf = (nodes: typeof drained): string[] => nodes.map(({ metadata }) => metadata.name);

let door: Door;
let request: KubernetesRequest;

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(labKubeconfig()));
  const options = { namespace, readinessSeconds: 0.5, shutdownSeconds: 0.3 };
  const manifests = [
    ...workloadManifests({ ...options, name: 'free', replicas: 16 }),
    ...workloadManifests({ ...options, name: 'kept', replicas: 8, budget: { maxUnavailable: 1 } }),
  ];
  await createAll(request, [
    ...drained,
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    ...inPool(manifests, pool),
  ]);
  await untilSettled(request, { namespace });
  await createAll(request, spare);
  // The API server taints every new node as not ready, until a controller has looked at it.
  for (const name of namesOf(spare)) await until(`${name} takes pods`, () => takesPods(name));
});

async function takesPods(name: string): Promise<boolean> {
  const { body } = await send(door, 'GET', `/api/v1/nodes/${name}`);
  const { spec, status } = body as unknown as { spec?: { taints?: object[] } } & PodSeen;
  return (spec?.taints ?? []).length === 0 && isReady({ status } as PodSeen);
}

afterAll(async () => {
  await send(door, 'DELETE', `/api/v1/namespaces/${namespace}`);
  // Nobody ends pods whose node is gone.
  await send(door, 'DELETE', `/api/v1/namespaces/${namespace}/pods`, { gracePeriodSeconds: 0 });
  await leaveNothing(door, namespace, [...namesOf(drained), ...namesOf(spare)]);
});

test('a drain whose destination goes in the middle sends no more pods, and is stuck with the words of the scheduler', async () => {
  const evictions = await followEvictions(door, namespace, namesOf(drained));
  const drain = drainOf(namesOf(drained));
  const plan = await drain.plan({ unschedulableLimit: '8s' });
  expect([plan.blockers, plan.facts.destinations]).toEqual([[], ['other nodes']]);
  const failure = failureOf(drain.carryOut(plan));
  await until('some evictions', async () => evictions.granted() >= 3);
  for (const name of namesOf(spare)) await send(door, 'DELETE', `/api/v1/nodes/${name}`);
  const { code, message } = await failure;
  evictions.stop();
  expect(code).toBe('action-stuck');
  expect(message).toMatch(/For more than 8 s, \d+ new pods? found no node: lost-nodes\/\S+ \(0\/\d+ nodes are available: /);
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  const pods = body.items as PodSeen[];
  // The node after the one in hand has lost nothing, and each pod that went was sent once.
  expect(evictions.granted()).toBeLessThan(16);
  expect(pods.filter(({ spec }) => namesOf(drained).includes(spec.nodeName ?? '')).length).toBeGreaterThan(8);
});
