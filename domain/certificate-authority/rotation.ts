import { msOf } from '../time.ts';

/** A certificate authority of an EKS cluster, as DescribeCertificateAuthority tells of it; times are texts (ISO 8601). */
export interface CertificateAuthority {
  id: string;
  createdAt: string;
  createdBy: string;
  activatedAt?: string;
  signing: string;
  distribution: string;
  validUntil?: string;
  /** From when EKS may activate it by itself, and by when it does. */
  mayBeActivatedFrom?: string;
  isActivatedBy?: string;
  /** Undefined where EKS does not say. */
  rollbackAvailable?: boolean;
  /** Its certificate: PEM in Base64. */
  data: string;
}

/** Why something is not done, and what to do about it. */
export interface Problem {
  reason: string;
  remedy: string;
}

/** A node, as far as it matters which authorities its kubelet trusts. */
export interface NodeOfRotation {
  name: string;
  createdAt: string;
  labels: Readonly<Record<string, string>>;
}

/** Nodes that are brought up by the same thing and have to be replaced by it. */
export interface OlderNodes {
  /** `Nodegroup/demo/blue`, `NodePool/general`, or `Node/ip-…` where nothing is known that brings it up. */
  owner: string;
  nodes: string[];
}

/** A node reads the trust bundle when it boots, and joins within this time: one that joined earlier may have the old bundle. */
const bootMaxMs = 5 * 60_000;

/** EKS itself renews the trust bundle on these (`distributionStatus`): Fargate and the instances of Auto Mode. */
const computeTypesOfEks = ['fargate', 'auto'];

/** The one that signs certificates now. */
export function signerOf(authorities: readonly CertificateAuthority[]): CertificateAuthority | undefined {
  return authorities.find(({ signing }) => signing === 'IN_USE');
}

/** The one that is newer than the one that signs: it can be activated. */
export function successorOf(authorities: readonly CertificateAuthority[]): CertificateAuthority | undefined {
  const signer = signerOf(authorities);
  return signer && authorities.find(({ createdAt }) => msOf(createdAt) > msOf(signer.createdAt));
}

/** Why an authority cannot be activated; undefined where it can (API reference of EKS, ActivateCertificateAuthority). */
export function activationProblem(authority: CertificateAuthority, authorities: readonly CertificateAuthority[]): Problem | undefined {
  const { id, distribution } = authority;
  if (distribution === 'IN_PROGRESS') {
    return { reason: `EKS is still distributing ${id}.`, remedy: 'Wait until its distribution is COMPLETE, then plan again.' };
  }
  if (distribution !== 'COMPLETE') {
    const reason = `The distribution of ${id} is ${distribution}, not COMPLETE.`;
    return { reason, remedy: 'Delete it (`eks.deleteCertificateAuthority`), and append another one.' };
  }
  const signer = signerOf(authorities);
  const isBack = signer !== undefined && msOf(authority.createdAt) < msOf(signer.createdAt);
  return isBack ? rollbackProblem(authority, signer) : undefined;
}

/** Why EKS does not go back from one authority to the one before it. It does for a limited time; where it says nothing, it is asked. */
export function rollbackProblem(before: CertificateAuthority, signer: CertificateAuthority): Problem | undefined {
  const said = [before.rollbackAvailable, signer.rollbackAvailable];
  if (said.includes(true) || !said.includes(false)) return undefined;
  const reason = `EKS does not go back from ${signer.id} to ${before.id} any more: rollbackAvailable is false.`;
  return { reason, remedy: 'Replace the nodes and clients that do not trust the authority that signs now.' };
}

/** Why an authority cannot be deleted; undefined where it can (API reference of EKS, DeleteCertificateAuthority). */
export function deletionProblem(authority: CertificateAuthority, authorities: readonly CertificateAuthority[]): Problem | undefined {
  const { id, signing, createdBy, activatedAt, distribution } = authority;
  if (signing !== 'NOT_USED') {
    return { reason: `${id} signs certificates (${signing}).`, remedy: 'Activate its successor first.' };
  }
  if (distribution === 'IN_PROGRESS') {
    return { reason: `EKS is still distributing ${id}.`, remedy: 'Wait until its distribution has ended, then plan again.' };
  }
  const others = authorities.filter((other) => other.id !== id && other.signing === 'NOT_USED');
  if (createdBy !== 'EKS' || activatedAt !== undefined || others.length > 0) return undefined;
  const reason = `EKS has appended ${id} itself, and keeps it as the only successor.`;
  return { reason, remedy: 'Leave it: EKS activates it before the authority that signs now expires.' };
}

/**
 * The nodes that may trust the old bundle only, by what brings them up: they joined before the successor, or so soon after it that they
 * may have read the bundle before. Sorted.
 */
export function olderNodes(nodes: readonly NodeOfRotation[], successor: CertificateAuthority, cluster: string): OlderNodes[] {
  const sinceMs = msOf(successor.createdAt) + bootMaxMs;
  const byOwner = new Map<string, string[]>();
  for (const node of nodes) {
    if (computeTypesOfEks.includes(node.labels['eks.amazonaws.com/compute-type'] ?? '')) continue;
    // A time that cannot be read proves nothing.
    if (msOf(node.createdAt) >= sinceMs) continue;
    const owner = ownerOf(node, cluster);
    byOwner.set(owner, [...(byOwner.get(owner) ?? []), node.name]);
  }
  const groups = [...byOwner].map(([owner, names]) => ({ owner, nodes: names.sort() }));
  return groups.sort((one, other) => (one.owner < other.owner ? -1 : 1));
}

function ownerOf({ name, labels }: NodeOfRotation, cluster: string): string {
  const nodegroup = labels['eks.amazonaws.com/nodegroup'];
  if (nodegroup !== undefined) return `Nodegroup/${cluster}/${nodegroup}`;
  const nodePool = labels['karpenter.sh/nodepool'];
  return nodePool === undefined ? `Node/${name}` : `NodePool/${nodePool}`;
}

/** Until when things can wait, for people: when the authority that signs expires, and when EKS activates the successor by itself. */
export function datesOf(authorities: readonly CertificateAuthority[]): string[] {
  return authorities.flatMap(({ id, signing, validUntil, mayBeActivatedFrom, isActivatedBy }) => [
    ...(signing === 'IN_USE' && validUntil !== undefined ? [`${id}, which signs now, is valid until ${validUntil}.`] : []),
    ...(signing !== 'IN_USE' && isActivatedBy !== undefined
      ? [`EKS may activate ${id} by itself from ${mayBeActivatedFrom ?? 'an unknown time'}, and does so by ${isActivatedBy}.`]
      : []),
  ]);
}
