/** A member of a cluster of etcd as one look has shown it. */
export interface EtcdMember {
  /** Decimal: it does not fit into a number of JavaScript. */
  id: string;
  name: string;
  /** The address at which it was asked; absent where the configuration names none for it. */
  endpoint?: string;
  /** Its addresses for the other members. */
  peerUrls?: string[];
  isLearner: boolean;
  /** What it says of itself; absent where it did not answer. */
  status?: EtcdStatus;
  /** Why it did not answer. */
  silence?: string;
  /** Alarms that are raised for it, such as NOSPACE and CORRUPT. */
  alarms: string[];
}

/** What a member says of itself. */
export interface EtcdStatus {
  clusterId: string;
  version: string;
  revision: number;
  raftIndex: number;
  raftAppliedIndex: number;
  /** Id of the member that it takes for the leader; `0` where it knows none. */
  leader: string;
  sizeBytes: number;
  usedBytes: number;
  errors: string[];
}

/** Something about a member, or about all of them, that has to be put right before anything is done to the cluster. */
export interface EtcdProblem {
  /** Name of the member, or `cluster`. */
  member: string;
  reason: string;
  remedy: string;
}

/** How many entries a member may be behind the leader: what a busy cluster has in flight. */
export const lagEntriesMax = 100;

/** Whatever stands in the way of working on a cluster; empty where all members are well. */
export function problemsOfMembers(members: readonly EtcdMember[], lagMax = lagEntriesMax): EtcdProblem[] {
  const problems = members.flatMap((member) => problemsOfMember(member, members, lagMax));
  const statuses = members.flatMap(({ status }) => status ?? []);
  const clusterIds = distinct(statuses.map(({ clusterId }) => clusterId));
  if (clusterIds.length > 1) {
    problems.push({
      member: 'cluster',
      reason: `The endpoints lead to ${clusterIds.length} clusters: ${clusterIds.join(', ')}.`,
      remedy: 'Correct `endpoints` in holdpoint.yaml.',
    });
  }
  const leaders = distinct(statuses.map(({ leader }) => leader));
  if (leaders.length > 1 || leaders[0] === '0') {
    problems.push({
      member: 'cluster',
      reason: leaders.length > 1 ? 'The members do not agree on who is the leader.' : 'The cluster has no leader.',
      remedy: 'Wait until a leader is elected; if that takes long, look at the logs of the members and at the network between them.',
    });
  }
  return problems;
}

function problemsOfMember(
  { name, endpoint, isLearner, status, silence, alarms }: EtcdMember,
  members: readonly EtcdMember[],
  lagMax: number,
): EtcdProblem[] {
  const problems: EtcdProblem[] = [];
  const tell = (reason: string, remedy: string): void => void problems.push({ member: name, reason, remedy });
  for (const alarm of alarms) tell(`It has the alarm ${alarm}.`, remedyOfAlarm(alarm));
  if (endpoint === undefined) {
    tell('`endpoints` in holdpoint.yaml has no address of it.', 'Add its client address: every member is looked at.');
    return problems;
  }
  if (!status) {
    tell(
      `It did not answer: ${silence ?? 'no reason was given'}.`,
      'Bring the member back, or remove it from the cluster if it is gone for good.',
    );
    return problems;
  }
  // Every member reports the alarms of all, which are told of the members that have them.
  const raised = members.flatMap(({ id, alarms: own }) => own.map((alarm) => ({ id, alarm })));
  const errors = status.errors.filter((error) => !raised.some(({ id, alarm }) => error.includes(id) && error.includes(alarm)));
  for (const error of errors) tell(`It reports: ${error}.`, 'Look at its log, and put that right.');
  if (isLearner) tell('It is a learner.', 'Promote it (`etcdctl member promote`) once it has caught up, or remove it.');
  const lag = lagOf(status, members);
  if (lag > lagMax)
    tell(`It is ${lag} entries behind the leader.`, `Wait until it is at most ${lagMax} behind; look at its disk if it does not catch up.`);
  return problems;
}

function remedyOfAlarm(alarm: string): string {
  if (alarm === 'CORRUPT') return 'Its data differ from the others: remove the member, clear its data directory, and add it again.';
  if (alarm === 'NOSPACE') return 'Compact and defragment, or raise the quota; then disarm the alarm (`etcdctl alarm disarm`).';
  return 'Read what the alarm means, put it right, and disarm it (`etcdctl alarm disarm`).';
}

/** How many entries a member is behind the leader, as one look has shown both. */
export function lagOf({ raftAppliedIndex }: EtcdStatus, members: readonly EtcdMember[]): number {
  const leader = members.find(({ id, status }) => status?.leader === id);
  return Math.max(0, (leader?.status?.raftIndex ?? raftAppliedIndex) - raftAppliedIndex);
}

/**
 * The member of which a snapshot is taken: the follower that is least behind, as a snapshot slows its member down; the leader where it is
 * the only one. Undefined where no member is fit: learners refuse snapshots, and one with an alarm is not to be trusted.
 */
export function chooseSource(members: readonly EtcdMember[], lagMax = lagEntriesMax): EtcdMember | undefined {
  const fit = members.filter(({ isLearner, status, alarms }) => {
    return !isLearner && status !== undefined && alarms.length === 0 && status.errors.length === 0 && lagOf(status, members) <= lagMax;
  });
  const followers = fit.filter(({ id, status }) => status?.leader !== id);
  const candidates = followers.length > 0 ? followers : fit;
  const lag = ({ status }: EtcdMember): number => (status ? lagOf(status, members) : Infinity);
  return [...candidates].sort((one, other) => lag(one) - lag(other) || compareText(one.name, other.name))[0];
}

/** The hash of the keys of one member (or file) up to a revision. */
export interface HashKv {
  hash: number;
  hashRevision: number;
  /** The last compaction, which the hash depends on; -1 before the first one. */
  compactRevision: number;
}

/** What the hashes of members at one revision say together. */
export type HashComparison = 'equal' | 'compacted-meanwhile' | { different: string[] };

/**
 * Compares the hashes of members at one revision. Members that have compacted between two answers cannot be compared, and are asked again.
 * Otherwise every member whose hash is not that of most of them is named; all of them where no hash has a majority.
 */
export function compareHashes(hashes: ReadonlyMap<string, HashKv>): HashComparison {
  const values = [...hashes.values()];
  if (distinct(values.map(({ compactRevision }) => String(compactRevision))).length > 1) return 'compacted-meanwhile';
  const kinds = distinct(values.map(({ hash }) => String(hash)));
  if (kinds.length <= 1) return 'equal';
  const most = kinds.find((kind) => values.filter(({ hash }) => String(hash) === kind).length * 2 > values.length);
  return { different: [...hashes].filter(([, { hash }]) => String(hash) !== most).map(([name]) => name) };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
