import type { V1PersistentVolume, V1Pod } from '@kubernetes/client-node';
import { attachmentsLeft, type AttachmentLeft, type AttachmentView } from '../../domain/volumes.ts';
import { kubernetesCode, kubernetesError } from '../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { claimsOf, type BoundVolumes } from './placement-view.ts';
import { inParallel, listAll, readPatiently } from './read.ts';

/**
 * The PersistentVolumes that are bound to claims, as far as they concern some pods: where none of them uses a claim, nothing is read,
 * and no permission is needed. Throws `kubernetes-…` errors.
 */
export async function readVolumes({ core }: KubernetesApis, cluster: string, pods: readonly V1Pod[]): Promise<BoundVolumes> {
  const used = new Set(pods.flatMap(claimsOf));
  if (used.size === 0) return new Map();
  const all = await listAll('list persistent volumes', cluster, (limit, _continue) => core.listPersistentVolume({ limit, _continue }));
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

/**
 * The attachments that hold volumes of pods which have moved away from nodes. Reads all VolumeAttachments and the few
 * PersistentVolumes concerned.
 * @param nodes names of the drained nodes
 * @param staying the pods that stay on them
 * Throws `kubernetes-…` errors.
 */
export async function readAttachmentsLeft(
  apis: KubernetesApis,
  cluster: string,
  nodes: readonly string[],
  staying: readonly V1Pod[],
): Promise<AttachmentLeft[]> {
  const drained = new Set(nodes);
  const attachments = (await listAttachments(apis, cluster)).filter(({ node }) => drained.has(node));
  const names = [...new Set(attachments.flatMap(({ volume }) => volume ?? []))];
  const claims = await inParallel(names, async (name) => [name, await readClaimOf(apis, cluster, name)] as const);
  const claimOf = new Map(claims.flatMap(([name, claim]) => (claim === undefined ? [] : [[name, claim] as const])));
  return attachmentsLeft(nodes, attachments, claimOf, new Set(staying.flatMap(claimsOf)));
}

/** All VolumeAttachments of the cluster. Throws `kubernetes-…` errors. */
async function listAttachments({ storage }: KubernetesApis, cluster: string): Promise<AttachmentView[]> {
  const all = await listAll('list volume attachments', cluster, (limit, _continue) => storage.listVolumeAttachment({ limit, _continue }));
  return all.map(({ metadata, spec, status }) => ({
    name: metadata?.name ?? '',
    node: spec.nodeName,
    volume: spec.source.persistentVolumeName,
    attached: status?.attached === true,
  }));
}

/** The claim of a volume, `namespace/name`; undefined where it has none or is gone. */
async function readClaimOf({ core }: KubernetesApis, cluster: string, name: string): Promise<string | undefined> {
  try {
    return claimName(await readPatiently(() => core.readPersistentVolume({ name })));
  } catch (error) {
    if (kubernetesCode(error) === 404) return undefined;
    throw kubernetesError(error, `read persistent volume ${name}`, cluster);
  }
}
