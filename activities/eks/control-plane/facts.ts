import type { Cluster, Update } from '@aws-sdk/client-eks';

/** What a plan rests on that takes the control plane to another version. */
export type VersionFacts = {
  /** So that another cluster which has taken the name since is left alone. */
  clusterArn: string;
  createdAt: string;
  from: string;
  to: string;
  /** Names of the insights that people go past by signing, sorted. */
  waived: string[];
  /** Whether an update the other way is waited for that is in progress, to be taken back then. */
  waitForUpdate: boolean;
};

/** The type of the updates that such a plan brings about. */
export type VersionChange = 'VersionUpdate' | 'VersionRollback';

/** Whether a cluster is the one that was planned for. */
export function isSameCluster({ arn, createdAt }: Cluster, facts: VersionFacts): boolean {
  return (arn ?? '') === facts.clusterArn && (createdAt?.toISOString() ?? '') === facts.createdAt;
}

/** Whether an update is the planned one, as far as EKS tells. */
export function isPlanned({ type, params = [] }: Update, change: VersionChange, { to }: Pick<VersionFacts, 'to'>): boolean {
  return type === change && params.some((param) => param.type === 'Version' && param.value === to);
}
