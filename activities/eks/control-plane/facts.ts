import type { Update } from '@aws-sdk/client-eks';
import { rollbackWithinMs } from '../../../domain/version/hop.ts';
import type { ClusterFacts } from '../cluster.ts';

/** What a plan rests on that takes the control plane to another version. */
export type VersionFacts = ClusterFacts & {
  from: string;
  to: string;
  /** Names of the insights that people go past by signing, sorted. */
  waived: string[];
  /** Whether an update the other way is waited for that is in progress, to be taken back then. */
  waitForUpdate: boolean;
  /** Only of the rollback of a cluster in Auto Mode: how long EKS has for its nodes until it gives the rollback up. */
  nodesTimeoutMinutes?: number;
  /** Id of a rollback in progress that is cancelled, where EKS has not come to the control plane yet; else it is waited for. */
  cancels?: string;
};

/** The type of the updates that such a plan brings about. */
export type VersionChange = 'VersionUpdate' | 'VersionRollback';

/** Whether an update is the planned one, as far as EKS tells. */
export function isPlanned({ type, params = [] }: Update, change: VersionChange, { to }: Pick<VersionFacts, 'to'>): boolean {
  return type === change && params.some((param) => param.type === 'Version' && param.value === to);
}

/** Until when EKS takes an upgrade back, ISO 8601; undefined where it knows of no upgrade to the version. The newest update comes first. */
export function rollbackEndOf(updates: readonly Update[], to: string): string | undefined {
  const upgrade = updates.find((update) => update.status === 'Successful' && isPlanned(update, 'VersionUpdate', { to }));
  return upgrade?.createdAt && new Date(upgrade.createdAt.getTime() + rollbackWithinMs).toISOString();
}
