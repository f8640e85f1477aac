import type { V1PersistentVolume, V1VolumeAttachment } from '@kubernetes/client-node';
import { claimsOf, type PodView } from '../../../domain/drain/pod.ts';
import type { AttachmentView } from '../../../domain/drain/volumes.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { KubernetesApis } from '../client/connect.ts';
import type { BoundVolumes, PlacementNeeds } from './placement-view.ts';
import { kinds } from '../client/kinds.ts';
import { listAll } from '../client/read.ts';

/** Attachments of nobody that a plan names; of more, the rest is waited for. */
const orphansMax = 200;

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

/**
 * The claims, `namespace/name`, of those volumes that are on one node at a time: a second pod elsewhere waits until the first has ended.
 */
export function exclusiveClaims(volumes: BoundVolumes): Set<string> {
  const isExclusive = ({ spec }: V1PersistentVolume): boolean =>
    (spec?.accessModes ?? []).every((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod');
  return new Set([...volumes].flatMap(([claim, volume]) => (isExclusive(volume) ? [claim] : [])));
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

/** What tells whose a volume is. A volume that its claim has left still names it. */
export function claimedVolume(volume: V1PersistentVolume): ClaimedVolume {
  return { name: volume.metadata?.name ?? '', claim: volume.status?.phase === 'Bound' ? claimName(volume) : undefined };
}

/** An attachment of no pod, and the volume by its claim where it is bound to one. */
export interface OrphanedAttachment {
  name: string;
  node: string;
  volume: string;
}

/**
 * The attachments that hold volumes of no pod on these nodes, before anything is moved: whatever keeps them, a drain does not bring it
 * about
 * and nobody waits for the volume. On a node whose turn has begun they cannot be told from those of moved pods any more.
 * Empty where they may not be read. Throws `kubernetes-…` errors.
 */
export async function orphanedAttachments(
  apis: KubernetesApis,
  cluster: string,
  nodes: readonly { name: string; turnBeganMs?: number }[],
  pods: readonly PodView[],
): Promise<OrphanedAttachment[]> {
  const untouched = nodes.filter(({ turnBeganMs }) => turnBeganMs === undefined).map(({ name }) => name);
  try {
    const [attachments, volumes] = await Promise.all([listAll(apis, cluster, kinds.attachments), listAll(apis, cluster, kinds.volumes)]);
    const claimOf = new Map(volumes.map(claimedVolume).map(({ name, claim }) => [name, claim] as const));
    const used = new Set(pods.flatMap((pod) => claimsOf(pod).map((claim) => `${pod.namespace}/${claim}`)));
    const orphaned = attachments.map(attachmentView).flatMap(({ name, node, volume }): OrphanedAttachment[] => {
      const claim = volume === undefined ? undefined : claimOf.get(volume);
      const isOfPod = volume === undefined || (claim !== undefined && used.has(claim));
      return isOfPod || !untouched.includes(node) ? [] : [{ name, node, volume: claim ?? volume }];
    });
    return orphaned.slice(0, orphansMax);
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'kubernetes-denied') return [];
    throw error;
  }
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
