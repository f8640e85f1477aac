import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, isRunning, mergePatch, Place, podTemplate, until, type KubernetesWorld, type PodSeen } from './world.ts';

const volumesPath = '/api/v1/persistentvolumes';
const attachmentsPath = '/apis/storage.k8s.io/v1/volumeattachments';
const zoneLabel = 'topology.kubernetes.io/zone';
/** Without it the controller leaves the attaching of volumes to the kubelet of the node. */
const managedAnnotation = 'volumes.kubernetes.io/controller-managed-attach-detach';

interface NodeSeen {
  metadata: { name: string; labels: Record<string, string> };
}

interface AttachmentSeen {
  metadata: { name: string };
  spec: { nodeName: string; source: { persistentVolumeName?: string } };
}

/** How volumes bind pods to nodes and stay on them: the same at every control plane. */
export function describeVolumes(world: () => KubernetesWorld): void {
  let place: Place;
  let volume: string;

  beforeEach(async () => {
    place = await Place.create(world().door);
    volume = `${place.namespace}-volume`;
  });

  afterEach(async () => {
    await place.send('DELETE', `${place.podsPath}?gracePeriodSeconds=0`);
    await place.leave();
    await place.send('DELETE', `${volumesPath}/${volume}`);
  });

  /** A volume of a CSI driver that only nodes of the zone can reach, kept for a claim, and that claim. */
  async function createVolume(zone: string): Promise<void> {
    const matchExpressions = [{ key: zoneLabel, operator: 'In', values: [zone] }];
    const accessModes = ['ReadWriteOnce'];
    await place.create(volumesPath, {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volume },
      spec: {
        accessModes,
        capacity: { storage: '1Gi' },
        claimRef: { namespace: place.namespace, name: 'data' },
        csi: { driver: 'csi.example.com', volumeHandle: volume },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
        persistentVolumeReclaimPolicy: 'Retain',
      },
    });
    await place.create(`/api/v1/namespaces/${place.namespace}/persistentvolumeclaims`, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data' },
      spec: { accessModes, resources: { requests: { storage: '1Gi' } }, storageClassName: '' },
    });
  }

  async function createPod(): Promise<void> {
    const { metadata, spec } = podTemplate('db');
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
    await place.create(place.podsPath, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'db' },
      spec: { ...spec, volumes },
    });
  }

  async function nodes(): Promise<NodeSeen[]> {
    const { body } = await place.send('GET', '/api/v1/nodes');
    return body.items as NodeSeen[];
  }

  const zoneOf = (node: NodeSeen | undefined): string => node?.metadata.labels[zoneLabel] ?? '';

  async function attachment(): Promise<AttachmentSeen | undefined> {
    const { body } = await place.send('GET', attachmentsPath);
    return (body.items as AttachmentSeen[]).find(({ spec }) => spec.source.persistentVolumeName === volume);
  }

  const runningPod = (): Promise<PodSeen> =>
    eventually('the pod to run', async () => {
      const pod = await place.pod('db');
      return pod && isRunning(pod) ? pod : undefined;
    });

  describe('volumes', () => {
    test('a claim is bound to the volume that is kept for it', async () => {
      await createVolume('zone-of-no-node');
      const claim = await eventually('the claim to be bound', async () => {
        const { body } = await place.send('GET', `/api/v1/namespaces/${place.namespace}/persistentvolumeclaims/data`);
        return (body.status as { phase?: string }).phase === 'Bound' ? body : undefined;
      });
      expect(claim.spec).toMatchObject({ volumeName: volume });
      const { body } = await place.send('GET', `${volumesPath}/${volume}`);
      const { uid } = claim.metadata as { uid: string };
      expect(body).toMatchObject({ spec: { claimRef: { name: 'data', namespace: place.namespace, uid } }, status: { phase: 'Bound' } });
    });

    test('a pod goes only where its volume is', async () => {
      const [, wanted] = await nodes();
      await createVolume(zoneOf(wanted));
      await createPod();
      const pod = await runningPod();
      const node = (await nodes()).find(({ metadata }) => metadata.name === pod.spec.nodeName);
      expect(zoneOf(node)).toBe(zoneOf(wanted));
    });

    test('a pod whose volume no node can reach stays Pending, and its condition says why', async () => {
      await createVolume('zone-of-no-node');
      await createPod();
      // Until the claim is bound, the scheduler gives another reason.
      const condition = await eventually('the scheduler to say that no node can reach the volume', async () =>
        (await place.pod('db'))?.status.conditions?.find(({ message = '' }) =>
          message.includes("didn't match PersistentVolume's node affinity"),
        ),
      );
      expect(condition).toMatchObject({ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' });
    });

    test('a volume is attached to the node of its pod, and stays until that pod is gone', async () => {
      for (const { metadata } of await nodes()) {
        await place.send(
          'PATCH',
          `/api/v1/nodes/${metadata.name}`,
          { metadata: { annotations: { [managedAnnotation]: 'true' } } },
          mergePatch,
        );
      }
      await createVolume(zoneOf((await nodes())[0]));
      await createPod();
      const pod = await runningPod();
      const attached = await eventually('the volume to be attached', attachment);
      expect(attached.spec.nodeName).toBe(pod.spec.nodeName);
      // A driver says so where there is one.
      await place.send('PATCH', `${attachmentsPath}/${attached.metadata.name}/status`, { status: { attached: true } }, mergePatch);
      await place.send('DELETE', `${place.podsPath}/db`);
      await until('the pod to be gone', async () => (await place.pod('db')) === undefined);
      await until('the volume to be detached', async () => (await attachment()) === undefined);
    });
  });
}
