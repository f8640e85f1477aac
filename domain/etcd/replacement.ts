import { lagOf, type EtcdMember } from './members.ts';

/** Which member goes, by its id, and at which peer address the one comes that takes its place. */
export interface Replacement {
  outgoingId: string;
  peerUrl: string;
}

/**
 * How far a replacement has come, read from the members alone, so that whoever goes on needs nothing else: the old member is still there,
 * the new one is not yet announced, not started, behind, fit to vote, or votes.
 */
export type ReplacementStage =
  { stage: 'remove'; outgoing: EtcdMember } | { stage: 'add' } | { stage: 'start' | 'catch-up' | 'promote' | 'done'; incoming: EtcdMember };

/** The stage at which a replacement is; a learner is fit to vote where it is at most `lagMax` entries behind the leader. */
export function stageOf(members: readonly EtcdMember[], { outgoingId, peerUrl }: Replacement, lagMax: number): ReplacementStage {
  const outgoing = members.find(({ id }) => id === outgoingId);
  if (outgoing) return { stage: 'remove', outgoing };
  const incoming = members.find(({ peerUrls = [] }) => peerUrls.includes(peerUrl));
  if (!incoming) return { stage: 'add' };
  // One that votes is done with once it serves.
  if (!incoming.status) return { stage: 'start', incoming };
  if (!incoming.isLearner) return { stage: 'done', incoming };
  return { stage: lagOf(incoming.status, members) > lagMax ? 'catch-up' : 'promote', incoming };
}

/** The id of a member as etcdctl takes and prints it, in hexadecimal digits. */
export function hexadecimal(id: string): string {
  return BigInt(id).toString(16);
}
