import { createHash } from 'node:crypto';
import type { Controller, ControllerContext } from '../controller.ts';
import { claimKeysOf, hasEnded, keyOf } from '../objects.ts';
import type { PersistentVolume, Pod, VolumeAttachment } from '../objects.ts';
import type { Actor, Change, Store } from '../store.ts';

const detachAnnotation = 'sandbox.holdpoint.dev/detach-seconds';
const detachSecondsDefault = 2;
const manyNodesModes = ['ReadWriteMany', 'ReadOnlyMany'];
const actor: Actor = { part: 'controller', name: 'attachdetach-controller', verb: 'update' };

/**
 * Attaches volumes of CSI drivers to the nodes of the pods that use them, and detaches them some time after the last such pod is gone.
 * The time is what a driver takes; `sandbox.holdpoint.dev/detach-seconds` on the volume says another one.
 */
export function createAttachDetachController(context: ControllerContext): Controller {
  const { store, clock } = context;
  /** From when on an attachment was seen without a pod that uses it. */
  const idleSince = new Map<string, number>();
  return {
    name: 'attach-detach',
    onChange: (change) => volumesOfChange(store, change),
    reconcile: (name) => {
      const volume = store.get('persistentvolumes', '', name);
      const wanted = volume ? nodesThatUse(store, volume) : new Set<string>();
      const attachments = attachmentsOf(store, name);
      for (const attachment of attachments) {
        const key = keyOf(attachment);
        if (wanted.has(attachment.spec.nodeName)) {
          idleSince.delete(key);
          continue;
        }
        const since = idleSince.get(key) ?? clock.now().getTime();
        idleSince.set(key, since);
        const restMs = since + detachMs(volume) - clock.now().getTime();
        if (restMs > 0) {
          context.wakeAfter('attach-detach', name, restMs);
        } else {
          idleSince.delete(key);
          store.remove('volumeattachments', key, { ...actor, verb: 'delete' });
        }
      }
      if (volume?.spec.csi) attach(store, volume, wanted);
    },
  };
}

function volumesOfChange(store: Store, { resource, object }: Change): string[] {
  if (resource === 'persistentvolumes') return [object.metadata.name];
  if (resource === 'volumeattachments') return [(object as VolumeAttachment).spec.source.persistentVolumeName ?? ''];
  if (resource === 'persistentvolumeclaims') return [store.getByKey('persistentvolumeclaims', keyOf(object))?.spec.volumeName ?? ''];
  if (resource !== 'pods') return [];
  return claimKeysOf(object as Pod).flatMap((key) => store.getByKey('persistentvolumeclaims', key)?.spec.volumeName ?? []);
}

function attachmentsOf(store: Store, volume: string): VolumeAttachment[] {
  return store.list('volumeattachments').filter(({ spec }) => spec.source.persistentVolumeName === volume);
}

function nodesThatUse(store: Store, { spec: { claimRef }, status }: PersistentVolume): Set<string> {
  if (!claimRef || status.phase !== 'Bound') return new Set();
  const key = `${claimRef.namespace ?? ''}/${claimRef.name ?? ''}`;
  const pods = store.inNamespace('pods', claimRef.namespace ?? '');
  const using = pods.filter((pod) => !hasEnded(pod) && claimKeysOf(pod).includes(key));
  return new Set(using.flatMap(({ spec }) => spec.nodeName ?? []));
}

function detachMs(volume: PersistentVolume | undefined): number {
  const seconds = Number(volume?.metadata.annotations?.[detachAnnotation] ?? detachSecondsDefault);
  return seconds >= 0 ? seconds * 1000 : detachSecondsDefault * 1000;
}

/** A volume for one node only waits until it is detached from the node before. */
function attach(store: Store, volume: PersistentVolume, wanted: ReadonlySet<string>): void {
  const forMany = (volume.spec.accessModes ?? []).some((mode) => manyNodesModes.includes(mode));
  for (const node of wanted) {
    const attached = attachmentsOf(store, volume.metadata.name).map(({ spec }) => spec.nodeName);
    if (attached.includes(node) || (attached.length > 0 && !forMany)) continue;
    store.create('volumeattachments', newAttachment(volume, node), { ...actor, verb: 'create' });
  }
}

/** Named as the CSI part of the kubelet names it: after volume, driver and node. */
function newAttachment({ metadata, spec }: PersistentVolume, node: string) {
  const { driver = '', volumeHandle = '' } = spec.csi ?? {};
  const digest = createHash('sha256').update(`${volumeHandle}${driver}${node}`).digest('hex');
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: { name: `csi-${digest}` },
    spec: { attacher: driver, nodeName: node, source: { persistentVolumeName: metadata.name } },
    status: { attached: true },
  };
}

/** Whether all volumes that a pod needs attached are attached to its node. */
export function hasItsVolumes(store: Store, pod: Pod): boolean {
  return claimKeysOf(pod).every((key) => {
    const name = store.getByKey('persistentvolumeclaims', key)?.spec.volumeName;
    const volume = name === undefined ? undefined : store.get('persistentvolumes', '', name);
    if (!volume?.spec.csi) return true;
    return attachmentsOf(store, volume.metadata.name).some(({ spec }) => spec.nodeName === pod.spec.nodeName);
  });
}
