import type { EtcdMember, EtcdStatus } from './members.ts';

/** From when on it is worth it to defragment a member, which serves nobody meanwhile. */
export interface FragmentationRule {
  /** Share of its file that no key uses, in percent. */
  unusedPercentMin: number;
  /** Smaller files are left alone. */
  sizeBytesMin: number;
}

/** Whether the file of a member is large, and much of it is unused: what compactions have freed stays in the file. */
export function isFragmented({ sizeBytes, usedBytes }: EtcdStatus, { unusedPercentMin, sizeBytesMin }: FragmentationRule): boolean {
  return sizeBytes >= sizeBytesMin && sizeBytes > 0 && unusedPercentOf({ sizeBytes, usedBytes }) >= unusedPercentMin;
}

/** The share of a file that no key uses, in percent. */
export function unusedPercentOf({ sizeBytes, usedBytes }: Pick<EtcdStatus, 'sizeBytes' | 'usedBytes'>): number {
  return sizeBytes === 0 ? 0 : ((sizeBytes - usedBytes) * 100) / sizeBytes;
}

/** What is done next: a member is defragmented, or its leadership is handed to another one before its turn. */
export type DefragmentationTurn = { defragment: EtcdMember } | { leader: EtcdMember; handTo: EtcdMember };

/**
 * The next turn among the members that are left, by their ids; undefined where none is left. Followers come first. The leader has its turn
 * when it has become a follower: a leader that does not answer has the cluster elect another one, and writes wait for that. The only
 * member of a cluster has nobody to hand over to.
 */
export function nextTurn(members: readonly EtcdMember[], leftIds: readonly string[]): DefragmentationTurn | undefined {
  const left = members.filter(({ id }) => leftIds.includes(id));
  const follower = left.find((member) => !isLeader(member));
  if (follower) return { defragment: follower };
  const [leader] = left;
  if (!leader) return undefined;
  const [other] = members.filter(({ id, isLearner }) => id !== leader.id && !isLearner);
  return other ? { leader, handTo: other } : { defragment: leader };
}

function isLeader({ id, status }: EtcdMember): boolean {
  return status?.leader === id;
}

/** Members without the alarm for a full store, which defragmenting them is the cure for. */
export function withoutNoSpace(members: readonly EtcdMember[]): EtcdMember[] {
  return members.map((member) => {
    const errors = member.status?.errors.filter((error) => !error.includes('NOSPACE')) ?? [];
    return {
      ...member,
      alarms: member.alarms.filter((alarm) => alarm !== 'NOSPACE'),
      ...(member.status && { status: { ...member.status, errors } }),
    };
  });
}
