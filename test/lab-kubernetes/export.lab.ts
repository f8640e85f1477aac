import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Holdpoint } from '../../client/holdpoint.ts';
import { differenceOfObjects } from '../../domain/backup/desired.ts';
import { isEndingNamespace } from '../../activities/kubernetes/restore/compare.ts';
import { whyNotRestored } from '../../domain/backup/restorable.ts';
import type { JsonObject } from '../../domain/json.ts';
import { endPhases } from '../../domain/run/state.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { findTemporal, startTemporal, type TemporalServer } from '../../lab/temporal.ts';
import { startControlPlane, type ControlPlane } from '../../lab/kubernetes.ts';
import { findKubernetes } from '../../lab/kubernetes-binaries.ts';
import { readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { exportWorld, registryAt, sendAll, type ExportWorld } from './export-world.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { labEtcd, labEtcdctl, labKubeconfig } from './real-world.ts';
import { until } from './world.ts';

/** 20,000 takes a minute and more; the rules are the same. */
const objectsCount = Number(process.env.HOLDPOINT_LAB_OBJECTS ?? 1_000);
const namespace = 'exported';
const secret = 'hunter2-of-the-cluster';
const labels = { exported: 'yes' };

let world: ExportWorld;
let request: KubernetesRequest;
/** An empty cluster. */
let other: ControlPlane;

beforeAll(async () => {
  request = requester(await readKubeconfig(labKubeconfig()));
  other = await startControlPlane({ binaries: await findKubernetes(() => undefined) });
  world = await exportWorld({ lab: labKubeconfig(), other: other.kubeconfig, renamed: other.kubeconfig }, { renamed: 'lab' });
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
          schema: {
            openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } },
          },
        },
      ],
    },
  };
  await sendAll(request, [{ path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body: definition }]);
  const lamps = `/apis/example.com/v1/namespaces/${namespace}/lamps`;
  await until('the lamps to be served', async () => (await request('GET', lamps)).status === 200);
  const lamp = {
    apiVersion: 'example.com/v1',
    kind: 'Lamp',
    metadata: { name: 'lamp' },
    spec: { lit: 9_007_199_254_740_991, note: 'a "quoted" \n line' },
  };
  const web = {
    metadata: { name: 'web', labels },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'registry.example.com/web:1' }] } },
    },
  };
  const service = { metadata: { name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } };
  const volume = {
    metadata: { name: 'exported-volume' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'by-hand',
      claimRef: { namespace, name: 'data' },
      csi: { driver: 'csi.example.com', volumeHandle: 'volume-1' },
    },
  };
  const claim = {
    metadata: { name: 'data' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'by-hand',
      volumeName: 'exported-volume',
      resources: { requests: { storage: '1Gi' } },
    },
  };
  const password = { metadata: { name: 'password' }, stringData: { password: secret } };
  await sendAll(request, [
    { path: lamps, body: lamp },
    { path: `/apis/apps/v1/namespaces/${namespace}/deployments`, body: web },
    { path: `/api/v1/namespaces/${namespace}/services`, body: service },
    { path: '/api/v1/persistentvolumes', body: volume },
    { path: `/api/v1/namespaces/${namespace}/persistentvolumeclaims`, body: claim },
    { path: `/api/v1/namespaces/${namespace}/secrets`, body: password },
    ...Array.from({ length: objectsCount }, (_, index) => ({
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      body: { metadata: { name: `object-${index}`, labels }, data: { value: `${index} `.repeat(20) } },
    })),
  ]);
  const claimPath = `/api/v1/namespaces/${namespace}/persistentvolumeclaims/data`;
  await until('the claim to be bound', async () => (await request('GET', claimPath)).text.includes('"phase":"Bound"'));
  const owner = (await request('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/web`)).body as { metadata: { uid: string } };
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: owner.metadata.uid }];
  await sendAll(request, [{ path: `/api/v1/namespaces/${namespace}/configmaps`, body: { metadata: { name: 'owned', ownerReferences } } }]);
});
afterAll(async () => {
  await request('DELETE', `/api/v1/namespaces/${namespace}`);
  await request('DELETE', '/api/v1/persistentvolumes/exported-volume');
  await request('DELETE', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.example.com');
  await world.stop();
  await other.stop();
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

function placeOf(object: JsonObject): string {
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
  const missing = [...exported].filter(([, object]) => {
    const [path = '', version = ''] = placeOf(object).split('@');
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

/** The newest backup of each cluster, and what is different in the second one apart from what servers set. */
async function differences(one: string, two: string): Promise<Record<string, unknown>> {
  const [stored] = await world.store(one).list();
  const [before, after] = [await world.objectsOf(one, stored!.name), await world.objectsOf(two)];
  const found: Record<string, unknown> = {};
  const ending = new Set<unknown>();
  for (const [key, object] of before) {
    const type = stored!.manifest.statement.types.find(({ group, resource }) => key.startsWith(`${resource}${group && `.${group}`} `))!;
    const { name, namespace: place } = object.metadata as Record<string, string>;
    if (isEndingNamespace({ type, object })) ending.add(name);
    if (ending.has(place) || whyNotRestored(object, type) !== undefined) continue;
    const live = after.get(key);
    const difference = live ? differenceOfObjects(object, live, type) : { fields: ['is not there'], beyond: [] };
    if (difference.fields.length + difference.beyond.length > 0) found[key] = difference;
  }
  return found;
}

test('a restore into an empty cluster is refused without a word on where it comes from, then compares equal', async () => {
  const input = { whole: true, backup: '000001', from: 'kubernetes/lab' };
  const refused = await world.plan('kubernetes.restore', 'other', { ...input, namespaces: ['x'] }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'action-input-invalid', message: expect.stringContaining('`whole`') });
  // The cluster was made anew under its name: its place has the backups of the one before it.
  const foreign = await world.plan('kubernetes.restore', 'renamed', { namespaces: [namespace] });
  expect(foreign.blockers).toEqual([expect.objectContaining({ remedy: expect.stringContaining('from: kubernetes/renamed') })]);
  expect((await world.plan('kubernetes.backup', 'renamed', {}, 'r-9')).blockers).toHaveLength(1);
  const plan = await world.plan('kubernetes.restore', 'other', input);
  expect(plan.blockers).toEqual([]);
  expect(plan.effects).toContainEqual({ object: `configmaps in ${namespace}`, change: expect.stringMatching(/^create \d{3,}$/) });
  expect(plan.risks).toContainEqual(expect.objectContaining({ object: 'PersistentVolume/exported-volume' }));
  expect(plan.risks).toContainEqual(
    expect.objectContaining({ object: 'kubernetes/lab', risk: expect.stringContaining('another cluster') }),
  );
  expect(JSON.stringify(plan)).not.toContain(secret);
  // Ended in the middle, by whatever kills a worker: whoever goes on looks at the cluster.
  const killed = world.perform('kubernetes.restore', 'other', plan, 'r-1', (progress) => {
    if (progress?.summary.includes('applied') && progress.done > 100) throw new Error('killed');
  });
  await expect(killed).rejects.toThrow('killed');
  const { outputs } = await world.perform('kubernetes.restore', 'other', plan);
  expect(outputs).toMatchObject({ backup: '000001', kept: 0, different: 0 });
  expect((await world.plan('kubernetes.restore', 'other', input)).effects).toEqual([]);
  const backup = await world.plan('kubernetes.backup', 'other');
  await world.perform('kubernetes.backup', 'other', backup);
  expect(await differences('lab', 'other')).toEqual({});
  // The owner is another object of the same name: by the UID that it had, the object would be deleted.
  const textOf = async (path: string): Promise<string> => JSON.stringify((await other.request('GET', path)).body);
  const { metadata } = JSON.parse(await textOf(`/apis/apps/v1/namespaces/${namespace}/deployments/web`)) as { metadata: { uid: string } };
  expect(await textOf(`/api/v1/namespaces/${namespace}/configmaps/owned`)).toContain(`"uid":"${metadata.uid}"`);
});

test('what was changed and deleted comes back; what has changed since the signature is not touched', async () => {
  const configmaps = `/api/v1/namespaces/${namespace}/configmaps`;
  const changed = { data: { value: 'of somebody else' } };
  const { items } = (await other.request('GET', `${configmaps}?limit=2&labelSelector=exported%3Dyes`)).body as {
    items: { metadata: { name: string } }[];
  };
  const [first = '', second = ''] = items.map(({ metadata }) => metadata.name);
  await other.request('PATCH', `${configmaps}/${first}`, changed, 'application/merge-patch+json');
  await other.request('DELETE', `${configmaps}/${second}`);
  const objects = [`configmaps/${first}`, `configmaps/${second}`];
  const kept = await world.plan('kubernetes.restore', 'other', { namespaces: [namespace], objects }, 'r-2');
  expect(kept.effects).toEqual([{ object: `configmaps/${namespace}/${second}`, change: 'create' }]);
  expect(kept.notes).toContainEqual(expect.stringContaining(first));
  const plan = await world.plan('kubernetes.restore', 'other', { namespaces: [namespace], objects, existing: 'update' }, 'r-3');
  expect(plan.effects).toContainEqual({
    object: `configmaps/${namespace}/${first}`,
    change: 'change back',
    before: { 'data.value': 'of somebody else' },
    after: { 'data.value': expect.any(String) },
  });
  const { outputs } = await world.perform('kubernetes.restore', 'other', plan, 'r-3');
  expect(outputs).toMatchObject({ restored: 2, kept: 0, different: 0 });
  // Another object of that name, which nobody has signed.
  await other.request('DELETE', `${configmaps}/${first}`);
  await other.request('POST', configmaps, { metadata: { name: first }, ...changed });
  await expect(world.perform('kubernetes.restore', 'other', plan, 'r-4')).rejects.toMatchObject({
    code: 'action-stuck',
    message: expect.stringContaining(first),
  });
  expect((await other.request('GET', `${configmaps}/${first}`)).text).toContain('of somebody else');
});

test('a webhook that keeps objects out, pods that run and a field that cannot be changed are told in the plan', async () => {
  const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['secrets'] };
  const hook = {
    metadata: { name: 'guard' },
    webhooks: [
      {
        name: 'guard.example.com',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        timeoutSeconds: 1,
        clientConfig: { url: 'https://127.0.0.1:9/' },
        rules: [rule],
      },
    ],
  };
  const hooks = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
  expect(await other.request('DELETE', `/api/v1/namespaces/${namespace}/secrets/password`)).toMatchObject({ status: 200 });
  await sendAll(other.request, [{ path: hooks, body: hook }]);
  const objects = ['secrets/password'];
  await until('the webhook to be called', async () => {
    const { blockers } = await world.plan('kubernetes.restore', 'other', { namespaces: [namespace], objects, backup: '000001' }, 'r-5');
    return blockers.some(({ reason }) => reason.includes('guard.example.com'));
  });
  await other.request('DELETE', `${hooks}/guard`);
  const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
  await other.request('DELETE', `${deployments}/web`);
  const selector = { app: 'another' };
  const spec = { containers: [{ name: 'main', image: 'registry.example.com/web:1' }] };
  const web = {
    metadata: { name: 'web' },
    spec: { replicas: 0, selector: { matchLabels: selector }, template: { metadata: { labels: selector }, spec } },
  };
  await sendAll(other.request, [{ path: deployments, body: web }]);
  const pod = { metadata: { name: 'running' }, spec: { ...spec, nodeName: 'nowhere' } };
  await sendAll(other.request, [{ path: `/api/v1/namespaces/${namespace}/pods`, body: pod }]);
  const input = { namespaces: [namespace], objects: ['deployments.apps/web', 'secrets/password'], existing: 'update', backup: '000001' };
  const plan = await world.plan('kubernetes.restore', 'other', input, 'r-6');
  expect(plan.blockers).toEqual([expect.objectContaining({ object: `Namespace/${namespace}` })]);
  expect(plan.risks).toContainEqual(expect.objectContaining({ object: 'deployments.apps', risk: expect.stringContaining('in place') }));
  const signed = await world.plan('kubernetes.restore', 'other', { ...input, intoRunning: true }, 'r-6');
  expect(signed).toMatchObject({ blockers: [], effects: [{ object: `secrets/${namespace}/password`, change: 'create' }] });
  await world.perform('kubernetes.restore', 'other', signed, 'r-6');
});

describe('runs of eks-backup and eks-restore', () => {
  let temporal: TemporalServer;
  let environment: Environment;
  let worker: RunningProcess;
  beforeAll(async () => {
    temporal = await startTemporal({ source: await findTemporal(() => undefined) });
    environment = await startEnvironment('lab-export', temporal.address);
    const clusters = { own: { kubeconfig: other.kubeconfig, context: 'holdpoint-lab' } };
    const place = { directory: join(world.directory, 'of-the-run'), keyFile: join(world.directory, 'backup.key') };
    await appendFile(
      environment.configuration,
      `clusters: ${JSON.stringify(clusters)}\nbackups: ${JSON.stringify({ 'kubernetes/own': place })}\n`,
    );
    worker = await startWorkerProgram(environment);
  });
  afterAll(async () => {
    await worker.kill();
    await environment.stop();
    await temporal.stop();
  });

  /** Runs a runbook to its end, and signs what is put up for signature. */
  async function run(runbook: string, inputs: JsonObject): Promise<string> {
    const server = { address: environment.address, namespace: 'default', taskQueue: environment.name };
    const holdpoint = new Holdpoint(environment.client, server);
    const document = readRunbook(runbook);
    const forecast = await holdpoint.plan(document, inputs);
    const { admission } = await holdpoint.start(document, forecast, environment.keys.dana);
    expect(admission).toMatchObject({ admitted: true });
    await until(`${runbook} to end`, async () => {
      const state = await holdpoint.state('kubernetes/own');
      const open = state.hold && !state.hold.request.closed ? state.hold : undefined;
      const signer = open && (['ada', 'grace'] as const).find((person) => !open.decisions.some((decision) => decision.person === person));
      if (open && signer)
        await holdpoint.decide(state, open.request, 'approve', 'looks right', environment.keys[signer]).catch(() => undefined);
      return endPhases.includes(state.phase) || state.phase === 'stuck';
    });
    return (await holdpoint.state('kubernetes/own')).phase;
  }

  test('an object that was deleted after the backup is there again once the restore is signed; no history holds a Secret', async () => {
    expect(await run('eks-backup', { target: 'kubernetes/own' })).toBe('done');
    const path = `/api/v1/namespaces/${namespace}/secrets/password`;
    await other.request('DELETE', path);
    const histories = [payloadsOf(await environment.client.workflow.getHandle('kubernetes/own').fetchHistory())];
    const inputs = { target: 'kubernetes/own', namespaces: [namespace], objects: ['secrets/password'], intoRunning: true };
    expect(await run('eks-restore', inputs)).toBe('done');
    expect((await other.request('GET', path)).text).toContain(Buffer.from(secret).toString('base64'));
    histories.push(payloadsOf(await environment.client.workflow.getHandle('kubernetes/own').fetchHistory()));
    for (const history of histories) {
      expect(history).toContain('kubernetes/own');
      for (const text of [secret, Buffer.from(secret).toString('base64')]) expect(history).not.toContain(text);
    }
  });

  /** All bytes that a history holds. */
  function payloadsOf(value: unknown): string {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
    if (typeof value === 'string') return value;
    return typeof value === 'object' && value !== null ? Object.values(value).map(payloadsOf).join('\n') : '';
  }
});
