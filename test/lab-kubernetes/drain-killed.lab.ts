import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests, type Manifest, type WorkloadOptions } from '../../lab/workloads.ts';
import { BudgetWatcher } from './budget-watcher.ts';
import { send, watch, type Door, type RawWatch } from './raw.ts';
import { fromSetup, realWorld } from './real-world.ts';
import { leaveNothing, until, type PodSeen } from './world.ts';

const namespace = 'killed';
const pool = { pool: 'killed' };
const nodes = Array.from({ length: 6 }, (_, index) => `killed-${index}`);
const drained = nodes.slice(0, 3);
/** The process is killed each time so many more pods have been granted their eviction. */
const evictionsBetweenKills = 3;
const kills = 3;

const workloads: WorkloadOptions[] = [
  { name: 'web', namespace, replicas: 12, budget: { maxUnavailable: 1 } },
  { name: 'cart', namespace, replicas: 6, budget: { minAvailable: '80%' } },
  { name: 'db', namespace, replicas: 4, kind: 'StatefulSet', budget: { maxUnavailable: 1 } },
  { name: 'batch', namespace, replicas: 4 },
];
/** What the budgets come to, worked out by hand: 12 - 1, 80 % of 6 rounded up, 4 - 1. */
const needed = { web: 11, cart: 5, db: 3 };

let door: Door;
let request: KubernetesRequest;

function inPool(manifest: Manifest): Manifest {
  const spec = manifest.spec as { template?: { spec: object } } | undefined;
  if (spec?.template) Object.assign(spec.template.spec, { nodeSelector: pool });
  return manifest;
}

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(fromSetup('HOLDPOINT_LAB_KUBECONFIG')));
  const manifests = workloads.flatMap((workload) => workloadManifests({ ...workload, readinessSeconds: 0.5, shutdownSeconds: 0.5 }));
  const space: Manifest = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  await createAll(request, [...nodeManifests({ count: nodes.length, prefix: 'killed', labels: pool }), space, ...manifests.map(inPool)]);
  await untilSettled(request, { namespace });
});

// Other tests share the cluster, and count its nodes.
afterAll(() => leaveNothing(door, namespace, nodes));

async function podsOnDrained(): Promise<PodSeen[]> {
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  return (body.items as PodSeen[]).filter(({ spec }) => drained.includes(spec.nodeName ?? ''));
}

function startDrain(): Promise<RunningProcess> {
  const program = fileURLToPath(new URL('../../bench/drain/holdpoint-main.ts', import.meta.url));
  const args = ['--import', 'tsx', program, '--kubeconfig', fromSetup('HOLDPOINT_LAB_KUBECONFIG'), ...drained];
  return startProcess({ name: 'the drain', command: process.execPath, args, ready: async () => undefined });
}

/** Counts how often each pod is asked to go: its deletion timestamp is set once, whoever asks again. */
async function followEvictions(): Promise<{ granted: () => number; stream: RawWatch }> {
  const going = new Set<string>();
  const stream = await watch(door, `/api/v1/namespaces/${namespace}/pods?watch=true`, ({ object }) => {
    const { metadata, spec } = object as unknown as PodSeen;
    if (metadata.deletionTimestamp !== undefined && drained.includes(spec.nodeName ?? '')) going.add(metadata.uid);
  });
  return { granted: () => going.size, stream };
}

test('a drain that is killed again and again ends, and somebody who watches never sees a budget broken', async () => {
  const before = await podsOnDrained();
  const watcher = await BudgetWatcher.start(door, namespace, needed);
  const { granted, stream } = await followEvictions();
  for (let kill = 1; kill <= kills; kill += 1) {
    const wanted = kill * evictionsBetweenKills;
    const drain = await startDrain();
    await until(`${wanted} evictions`, async () => granted() >= wanted);
    await drain.kill();
  }
  const last = await startDrain();
  expect(await last.ended).toBe('ended with exit code 0');
  stream.close();
  watcher.stop();
  expect(await podsOnDrained()).toEqual([]);
  const { below, fewest, moments } = watcher.sighting;
  expect({ below, fewest }).toEqual({ below: 0, fewest: needed });
  expect(moments).toBeGreaterThan(before.length);
  expect(granted()).toBeGreaterThanOrEqual(before.length);
  const { body } = await send(door, 'GET', `/api/v1/nodes/${drained[0]}`);
  expect(body.spec).toMatchObject({ unschedulable: true });
}, 180_000);
