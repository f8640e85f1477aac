import { StorageV1Api, type V1VolumeAttachment } from '@kubernetes/client-node';
import { afterEach, describe, expect, test } from '@jest/globals';
import { dataClaims, eventually, startKubernetes, statefulSet, until, zonalVolume, type KubernetesFixture } from './kubernetes-fixture.ts';

let fixture: KubernetesFixture;
afterEach(() => fixture.stop());

const zone = 'eu-central-1a';

async function attachments(): Promise<V1VolumeAttachment[]> {
  return (await fixture.config.makeApiClient(StorageV1Api).listVolumeAttachment()).items;
}

async function nodeOf(pod: string): Promise<string | undefined> {
  return (await fixture.core.readNamespacedPod({ namespace: 'shop', name: pod })).spec?.nodeName;
}

describe('a StatefulSet with claims', () => {
  test('has its volumes bound, and attached to the nodes of its pods, which are in the zones of the volumes', async () => {
    fixture = await startKubernetes([
      zonalVolume('pv-0', 'data-db-0', 'eu-central-1b'),
      zonalVolume('pv-1', 'data-db-1', 'eu-central-1c'),
      statefulSet('db', 2, dataClaims),
    ]);
    const claims = (await fixture.core.listNamespacedPersistentVolumeClaim({ namespace: 'shop' })).items;
    expect(claims.map(({ metadata, spec, status }) => [metadata?.name, spec?.volumeName, status?.phase])).toEqual([
      ['data-db-0', 'pv-0', 'Bound'],
      ['data-db-1', 'pv-1', 'Bound'],
    ]);
    const volumes = (await fixture.core.listPersistentVolume()).items;
    expect(volumes.map(({ spec, status }) => [spec?.claimRef?.name, status?.phase])).toEqual([
      ['data-db-0', 'Bound'],
      ['data-db-1', 'Bound'],
    ]);
    expect(volumes[0]?.spec?.claimRef?.uid).toBe(claims[0]?.metadata?.uid);
    const nodes = [await nodeOf('db-0'), await nodeOf('db-1')];
    const zones = (await fixture.core.listNode()).items.map(({ metadata }) => [
      metadata?.name,
      metadata?.labels?.['topology.kubernetes.io/zone'],
    ]);
    expect(nodes.map((node) => zones.find(([name]) => name === node)?.[1])).toEqual(['eu-central-1b', 'eu-central-1c']);
    const found = (await attachments()).map(({ spec, status }) => [spec.source.persistentVolumeName, spec.nodeName, status?.attached]);
    expect(found.sort()).toEqual([
      ['pv-0', nodes[0], true],
      ['pv-1', nodes[1], true],
    ]);
  });

  test('waits for a node in the zone of its volume, and says so', async () => {
    fixture = await startKubernetes([zonalVolume('pv-0', 'data-db-0', 'eu-central-1x'), statefulSet('db', 1, dataClaims)]);
    const pod = await eventually('the pod to be found nowhere to go', async () => {
      const found = await fixture.core.readNamespacedPod({ namespace: 'shop', name: 'db-0' });
      return found.status?.conditions?.[0]?.message === undefined ? undefined : found;
    });
    const why = "0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity.";
    expect(pod.status?.conditions?.[0]?.message).toBe(why);
  });

  test('waits for a volume, and runs once there is one', async () => {
    fixture = await startKubernetes([statefulSet('db', 1, dataClaims)]);
    const pod = await fixture.core.readNamespacedPod({ namespace: 'shop', name: 'db-0' });
    expect(pod.status?.conditions?.[0]?.message).toContain('pod has unbound immediate PersistentVolumeClaims');
    const created = await fixture.send('POST', '/api/v1/persistentvolumes', zonalVolume('pv-0', 'data-db-0', zone));
    expect(created.status).toBe(201);
    await until('the pod to be on a node', async () => (await nodeOf('db-0')) !== undefined);
  });

  test('has a volume detached only some time after its pod is gone, and its successor elsewhere waits for that', async () => {
    fixture = await startKubernetes([zonalVolume('pv-0', 'data-db-0', zone, 60), statefulSet('db', 1, dataClaims)], { nodes: 6 });
    const before = await nodeOf('db-0');
    await fixture.core.patchNode({ name: before ?? '', body: [{ op: 'add', path: '/spec/unschedulable', value: true }] });
    const { metadata } = await fixture.core.readNamespacedPod({ namespace: 'shop', name: 'db-0' });
    await fixture.core.deleteNamespacedPod({ namespace: 'shop', name: 'db-0' });
    const waiting = await eventually('its successor to be on another node', async () => {
      const pod = await fixture.core.readNamespacedPod({ namespace: 'shop', name: 'db-0' }).catch(() => undefined);
      return pod?.metadata?.uid !== metadata?.uid && pod?.spec?.nodeName !== undefined ? pod : undefined;
    });
    expect(waiting.status?.phase).toBe('Pending');
    expect((await attachments()).map(({ spec }) => spec.nodeName)).toEqual([before]);
    await until('the volume to follow', async () => (await attachments()).every(({ spec }) => spec.nodeName === waiting.spec?.nodeName));
    await until('it to run', async () => {
      const pod = await fixture.core.readNamespacedPod({ namespace: 'shop', name: 'db-0' });
      return pod.status?.phase === 'Running';
    });
  });
});

test('A volume whose claim is gone is Released, and taken by no other claim', async () => {
  fixture = await startKubernetes([zonalVolume('pv-0', 'data-db-0', zone), statefulSet('db', 0, dataClaims)]);
  const claim = { kind: 'PersistentVolumeClaim', metadata: { name: 'data-db-0' }, spec: { accessModes: ['ReadWriteOnce'] } };
  const path = '/api/v1/namespaces/shop/persistentvolumeclaims';
  await fixture.send('POST', path, claim);
  const phase = async (): Promise<string | undefined> => (await fixture.core.readPersistentVolume({ name: 'pv-0' })).status?.phase;
  await until('the volume to be bound', async () => (await phase()) === 'Bound');
  await fixture.send('DELETE', `${path}/data-db-0`);
  await until('the volume to be released', async () => (await phase()) === 'Released');
  const again = await fixture.send('POST', path, claim);
  expect(again.body.status).toEqual({ phase: 'Pending' });
});
