import type { Controller, ControllerContext } from '../controller.ts';
import { keyOf } from '../objects.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../objects.ts';
import { parseQuantity } from '../quantity.ts';
import type { Actor, Change } from '../store.ts';

const actor: Actor = { part: 'controller', name: 'persistentvolume-binder', verb: 'update' };

/** Binds claims to volumes that are there, and releases volumes whose claims are gone. None are provisioned. */
export function createVolumeBinder({ store }: ControllerContext): Controller {
  return {
    name: 'volume-binder',
    onChange: ({ resource, object, type }: Change) => {
      if (resource === 'persistentvolumeclaims') return [`claim ${keyOf(object)}`, `volume /${volumeOf(object as PersistentVolumeClaim)}`];
      if (resource !== 'persistentvolumes') return [];
      const pending = store.list('persistentvolumeclaims').filter(({ status }) => status.phase === 'Pending');
      return [...(type === 'DELETED' ? [] : [`volume ${keyOf(object)}`]), ...pending.map((claim) => `claim ${keyOf(claim)}`)];
    },
    reconcile: (key) => {
      const [kind, name = ''] = key.split(' ');
      if (kind === 'claim') bind({ store }, name);
      else release({ store }, name);
    },
  };
}

function volumeOf({ spec }: PersistentVolumeClaim): string {
  return spec.volumeName ?? '';
}

function bind({ store }: Pick<ControllerContext, 'store'>, key: string): void {
  const claim = store.getByKey('persistentvolumeclaims', key);
  if (claim?.status.phase !== 'Pending') return;
  const fitting = store.list('persistentvolumes').filter((volume) => fits(volume, claim));
  // A volume that is kept for the claim goes before the smallest of those that anybody may have.
  const [chosen] = fitting.sort((a, b) => Number(isKept(b)) - Number(isKept(a)) || sizeOf(a) - sizeOf(b));
  if (!chosen) return;
  const { namespace, name, uid } = claim.metadata;
  store.update('persistentvolumes', keyOf(chosen), actor, (draft) => {
    draft.spec.claimRef = { ...draft.spec.claimRef, kind: 'PersistentVolumeClaim', namespace, name, uid };
    draft.status.phase = 'Bound';
  });
  store.update('persistentvolumeclaims', key, actor, (draft) => {
    draft.spec.volumeName = chosen.metadata.name;
    draft.status.phase = 'Bound';
  });
}

function isKept({ spec }: PersistentVolume): boolean {
  return spec.claimRef !== undefined;
}

function sizeOf({ spec }: PersistentVolume): number {
  return parseQuantity(spec.capacity?.storage);
}

function fits(volume: PersistentVolume, { metadata, spec }: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec;
  const isFor = claimRef?.namespace === metadata.namespace && claimRef?.name === metadata.name;
  if (claimRef && (!isFor || (claimRef.uid !== undefined && claimRef.uid !== metadata.uid))) return false;
  if (spec.volumeName !== undefined && spec.volumeName !== volume.metadata.name) return false;
  const modesFit = (spec.accessModes ?? []).every((mode) => (volume.spec.accessModes ?? []).includes(mode));
  const isOfClass = (volume.spec.storageClassName ?? '') === (spec.storageClassName ?? '');
  return modesFit && isOfClass && sizeOf(volume) >= parseQuantity(spec.resources?.requests?.storage);
}

function release({ store }: Pick<ControllerContext, 'store'>, key: string): void {
  const volume = store.getByKey('persistentvolumes', key);
  const { namespace = '', name = '', uid } = volume?.spec.claimRef ?? {};
  if (volume?.status.phase !== 'Bound') return;
  if (store.get('persistentvolumeclaims', namespace, name)?.metadata.uid === uid) return;
  store.update('persistentvolumes', key, actor, (draft) => {
    draft.status.phase = 'Released';
  });
}
