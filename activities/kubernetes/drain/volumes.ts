import type { V1PersistentVolume, V1VolumeAttachment } from '@kubernetes/client-node';
import type { AttachmentView } from '../../../domain/drain/volumes.ts';
import type { KubernetesApis } from '../client/connect.ts';
import type { BoundVolumes, PlacementNeeds } from './placement-view.ts';
import { kinds } from '../client/kinds.ts';
import { listAll } from '../client/read.ts';

/**
 * The PersistentVolumes that are bound to claims, as far as they concern some pods: where none of them uses a claim, nothing is read,
 * and no permission is needed. Throws `kubernetes-…` errors.
 */
export async function readVolumes(apis: KubernetesApis, cluster: string, pods: readonly PlacementNeeds[]): Promise<BoundVolumes> {
  const used = new Set(pods.flatMap(({ claims }) => claims));
  if (used.size === 0) return new Map();
  const all = await listAll(apis, cluster, kinds.volumes);
  // A volume that its claim has left still names it, and a new claim may have the same name.
  const bound = all.filter(({ status }) => status?.phase === 'Bound');
  return new Map(
    bound.flatMap((volume) => {
      const claim = claimName(volume);
      return claim !== undefined && used.has(claim) ? [[claim, volume] as const] : [];
    }),
  );
}

/** The claim of a volume, `namespace/name`; undefined where it has none. */
function claimName({ spec }: V1PersistentVolume): string | undefined {
  const claim = spec?.claimRef;
  return claim && `${claim.namespace ?? ''}/${claim.name ?? ''}`;
}

/** A PersistentVolume as far as it tells whose it is. */
export interface ClaimedVolume {
  name: string;
  claim?: string;
}

/** What tells whose a volume is. */
export function claimedVolume(volume: V1PersistentVolume): ClaimedVolume {
  return { name: volume.metadata?.name ?? '', claim: claimName(volume) };
}

/** What tells which volume is tied to which node. */
export function attachmentView({ metadata, spec, status }: V1VolumeAttachment): AttachmentView {
  return {
    name: metadata?.name ?? '',
    node: spec.nodeName,
    volume: spec.source.persistentVolumeName,
    attached: status?.attached === true,
  };
}
