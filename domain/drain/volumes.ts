/** A VolumeAttachment: a volume that is tied to a node (storage/v1). */
export interface AttachmentView {
  name: string;
  node: string;
  /** Name of the PersistentVolume; undefined for a volume that stands inline in a pod. */
  volume?: string;
  /** Whether the driver says that it is attached; false while it comes and goes. */
  attached: boolean;
}

/** A volume that still holds a drained node. */
export interface AttachmentLeft {
  attachment: string;
  node: string;
  volume: string;
  /** `namespace/name` of its claim. */
  claim: string;
  attached: boolean;
}

/**
 * The attachments that hold volumes of pods which have moved away from nodes: a node is drained only when there are none, or its
 * volumes could not be attached elsewhere for minutes. An attachment counts until it is gone, attached or not: one that is being
 * made for a pod that was evicted in the same moment is taken back only then. Volumes of pods that stay (daemon and static pods)
 * do not count, nor do those that no claim is bound to (no pod can wait for them elsewhere), nor inline ones, which name no volume that
 * could be told apart. As Karpenter's node termination controller.
 * @param nodes names of the drained nodes
 * @param claimOf the claim, `namespace/name`, that a PersistentVolume is bound to, by its name
 * @param claimsThatStay claims, `namespace/name`, of the pods that stay on these nodes
 */
export function attachmentsLeft(
  nodes: readonly string[],
  attachments: readonly AttachmentView[],
  claimOf: ReadonlyMap<string, string>,
  claimsThatStay: ReadonlySet<string>,
): AttachmentLeft[] {
  const drained = new Set(nodes);
  return attachments.flatMap(({ name, node, volume, attached }) => {
    const claim = volume === undefined ? undefined : claimOf.get(volume);
    if (!drained.has(node) || volume === undefined || claim === undefined || claimsThatStay.has(claim)) return [];
    return [{ attachment: name, node, volume, claim, attached }];
  });
}
