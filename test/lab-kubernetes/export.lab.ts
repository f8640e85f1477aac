import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JsonObject } from '../../domain/json.ts';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { exportWorld, registryAt, sendAll, type ExportWorld } from './export-world.ts';
import { labEtcd, labEtcdctl, labKubeconfig } from './real-world.ts';
import { until } from './world.ts';

/** 20,000 takes a minute and more; the rules are the same. */
const objectsCount = Number(process.env.HOLDPOINT_LAB_OBJECTS ?? 1_500);
const namespace = 'exported';
const secret = 'hunter2-of-the-cluster';
const labels = { exported: 'yes' };

let world: ExportWorld;
let request: KubernetesRequest;

beforeAll(async () => {
  request = requester(await readKubeconfig(labKubeconfig()));
  world = await exportWorld({ lab: labKubeconfig() });
  await sendAll(request, [{ path: '/api/v1/namespaces', body: { metadata: { name: namespace } } }]);
  const definition = {
    metadata: { name: 'lamps.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'lamps', singular: 'lamp', kind: 'Lamp' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } } },
        },
      ],
    },
  };
  await sendAll(request, [{ path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body: definition }]);
  const lamps = `/apis/example.com/v1/namespaces/${namespace}/lamps`;
  await until('the lamps to be served', async () => (await request('GET', lamps)).status === 200);
  const lamp = { apiVersion: 'example.com/v1', kind: 'Lamp', metadata: { name: 'lamp' }, spec: { lit: 9_007_199_254_740_991, note: 'a "quoted" \n line' } };
  const password = { metadata: { name: 'password' }, stringData: { password: secret } };
  await sendAll(request, [
    { path: lamps, body: lamp },
    { path: `/api/v1/namespaces/${namespace}/secrets`, body: password },
    ...Array.from({ length: objectsCount }, (_, index) => ({
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      body: { metadata: { name: `object-${index}`, labels }, data: { value: `${index} `.repeat(20) } },
    })),
  ]);
});
afterAll(async () => {
  await request('DELETE', `/api/v1/namespaces/${namespace}`);
  await request('DELETE', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.example.com');
  await world.stop();
});

/** Writes, creates and deletes without a pause until it is told to stop; says how often. */
function writeMeanwhile(): { stop(): Promise<number> } {
  let [isOver, writes] = [false, 0];
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const work = async (worker: number): Promise<void> => {
    for (let index = worker; !isOver; index = (index + 4) % objectsCount) {
      await request('PATCH', `${path}/object-${index}`, { data: { value: `written ${writes}` } }, 'application/merge-patch+json');
      await request('POST', path, { metadata: { name: `new-${worker}-${writes}` } });
      await request('DELETE', `${path}/object-${(index + 2) % objectsCount}`);
      writes += 3;
    }
  };
  const workers = [0, 1, 2, 3].map(work);
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(workers);
      return writes;
    },
  };
}

function placeOf(key: string, object: JsonObject): string {
  const { namespace = '', name, resourceVersion } = object.metadata as Record<string, string>;
  return `${namespace === '' ? '' : `${namespace}/`}${name}@${resourceVersion}`;
}

/** What the API server keeps beside objects. */
const notObjects = /^\/registry\/(ranges|masterleases|peerserverleases)\/|^\/registry\/health$/;

test('an export under writes is what etcd holds at its one revision: no object more, none less, each in that version', async () => {
  const plan = await world.plan('kubernetes.backup', 'lab');
  expect(plan).toMatchObject({ blockers: [], effects: [{ object: 'Backup/kubernetes/lab' }] });
  const writing = writeMeanwhile();
  const { outputs, acts } = await world.perform('kubernetes.backup', 'lab', plan);
  expect(await writing.stop()).toBeGreaterThan(10);
  expect({ acts, outputs }).toMatchObject({ acts: 1, outputs: { backup: '000001', consistency: 'revision' } });
  const [stored] = await world.store('lab').list();
  const { revision, objects, types } = stored!.manifest.statement;
  expect(types.filter((type) => type.consistency !== 'revision' || type.revision !== String(revision))).toEqual([]);
  // Events are served in two groups, and stored once.
  expect(types.filter(({ resource }) => resource === 'events')).toHaveLength(1);
  const exported = await world.objectsOf('lab');
  expect(exported.size).toBe(objects);
  const registry = await registryAt(labEtcdctl(), labEtcd(), revision);
  const held = [...registry].filter(([key]) => !notObjects.test(key));
  // The last parts of a key are the namespace, where there is one, and the name.
  const atEnd = new Map(held.map(([key, version]) => [version, key]));
  const missing = [...exported].filter(([key, object]) => {
    const [path = '', version = ''] = placeOf(key, object).split('@');
    return atEnd.get(version)?.endsWith(`/${path}`) !== true;
  });
  expect(missing).toEqual([]);
  expect(exported.size).toBe(held.length);
});

test('done a second time it stores nothing, and the next run stores the next backup', async () => {
  const again = await world.plan('kubernetes.backup', 'lab');
  expect(again.effects).toEqual([]);
  const { outputs, acts } = await world.perform('kubernetes.backup', 'lab', again);
  expect({ acts, backup: outputs.backup }).toEqual({ acts: 0, backup: '000001' });
  const next = await world.plan('kubernetes.backup', 'lab', { leaveOut: ['events'] }, 'r-2');
  await world.perform('kubernetes.backup', 'lab', next, 'r-2');
  const [, second] = await world.store('lab').list();
  expect(second!.manifest.statement).toMatchObject({ run: 'r-2', leftOut: [{ type: 'events', reason: expect.stringContaining('asked') }] });
  expect(second!.manifest.statement.types.map(({ resource }) => resource)).not.toContain('events');
});
