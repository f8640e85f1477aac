import { compareHashes, problemsOfMembers, type EtcdMember, type EtcdProblem, type HashKv } from '../../domain/etcd/members.ts';
import { waitOrStop } from '../action.ts';
import type { EtcdClient } from './client.ts';

/** How often hashes are asked for anew where a member has compacted, or was behind, in between. */
const hashAttemptsMax = 5;
const hashPauseMs = 500;

/** A cluster as one look has shown it. */
export interface EtcdHealth {
  members: EtcdMember[];
  problems: EtcdProblem[];
  /** At which the keys of all members were compared. */
  revision: number;
  clusterId: string;
}

/** Looks at every member, and compares the keys of all of them at one revision. Throws what the client throws. */
export async function lookAtHealth(client: EtcdClient, lagMax: number, signal: AbortSignal): Promise<EtcdHealth> {
  const members = await client.members(signal);
  const problems = problemsOfMembers(members, lagMax);
  const answering = members.filter(({ status, endpoint }) => status !== undefined && endpoint !== undefined);
  const revision = Math.min(...answering.map(({ status }) => status?.revision ?? 0));
  const clusterId = answering[0]?.status?.clusterId ?? '';
  const comparison = await hashesAt(client, answering, revision, signal);
  return { members, problems: [...problems, ...problemsOfHashes(comparison, revision)], revision, clusterId };
}

/** The hashes of members at one revision, asked for again until they can be compared; undefined where they cannot. */
export async function hashesAt(
  client: EtcdClient,
  members: readonly EtcdMember[],
  revision: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, HashKv> | undefined> {
  for (let attempt = 1; attempt <= hashAttemptsMax; attempt++) {
    const answers = await Promise.all(members.map(async (member) => [member.name, await client.hashKv(member, revision, signal)] as const));
    const known = new Map(answers.flatMap(([name, answer]) => (answer ? [[name, answer] as const] : [])));
    if (known.size === members.length && compareHashes(known) !== 'compacted-meanwhile') return known;
    await waitOrStop(hashPauseMs, signal);
    signal.throwIfAborted();
  }
  return undefined;
}

function problemsOfHashes(hashes: ReadonlyMap<string, HashKv> | undefined, revision: number): EtcdProblem[] {
  const comparison = hashes && compareHashes(hashes);
  if (comparison === 'equal') return [];
  if (comparison === undefined || comparison === 'compacted-meanwhile') {
    const reason = `The keys of the members could not be compared at revision ${revision}: they compact, or are behind.`;
    return [{ member: 'cluster', reason, remedy: 'Try again; if it stays so, look at the members that are behind.' }];
  }
  return comparison.different.map((member) => ({
    member,
    reason: `Its keys at revision ${revision} are not those of the other members (HashKV ${hashes?.get(member)?.hash}).`,
    remedy: 'Find out which data are right before anything else is done; then remove the wrong member, clear its data, and add it again.',
  }));
}
