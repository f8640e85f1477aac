import type { Nodegroup, Update } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { Target } from '../../../domain/target.ts';
import type { Stuck } from '../../../domain/action.ts';
import type { Clients } from '../../clients.ts';
import { readUpdates } from './read-updates.ts';

/** The label by which EKS says what image a node was made from. */
const imageLabel = 'eks.amazonaws.com/nodegroup-image';
const paramsShownMax = 5;

/** What a plan of `eks.updateNodegroupVersion` rests on. */
export type UpdateFacts = {
  nodegroup: string;
  /** So that another group which has taken the name since is left alone. */
  nodegroupArn: string | null;
  from: { version: string; releaseVersion: string };
  to: { version: string | null; releaseVersion: string | null };
  /** Names of the nodes that are replaced; none where an update in progress replaces them until this one can begin. */
  nodes: string[];
  force: boolean;
  waitForUpdate: boolean;
};

/** Whether EKS says that a node group has the versions that are asked for. Of one that is UPDATING it says what it had before. */
export function isAt(nodegroup: Nodegroup, { to }: Pick<UpdateFacts, 'to'>): boolean {
  if (to.releaseVersion !== null && nodegroup.releaseVersion !== to.releaseVersion) return false;
  return to.version === null || nodegroup.version === to.version;
}

/**
 * Whether the nodes of a group at rest are what EKS says of the group: after an update that has failed, some of them may be of
 * the version that it was to bring. Reads only. Throws `aws-…` errors.
 */
export async function isUniform(clients: Clients, target: Target, nodegroup: string, nodes: readonly V1Node[]): Promise<boolean> {
  const images = new Set(nodes.flatMap((node) => node.metadata?.labels?.[imageLabel] ?? []));
  // Ended nodes may be listed for some time after an update: several images alone prove nothing.
  return images.size <= 1 || !hasFailed(latestOf(await readUpdates(clients, target, { nodegroupName: nodegroup })));
}

/** The version update that was begun last, of updates with the newest first. */
export function latestOf(updates: readonly Update[]): Update | undefined {
  return updates.find(({ type }) => type === 'VersionUpdate');
}

/** Whether an update has ended without having brought what it was to bring. */
export function hasFailed(update: Update | undefined): update is Update {
  return update?.status === 'Failed' || update?.status === 'Cancelled';
}

/** Whether an update is the very change that is planned: the versions that are asked for, and nothing besides. */
export function isSameChange(update: Update, facts: Pick<UpdateFacts, 'to'>): boolean {
  const { version, releaseVersion, others } = readParams(update);
  // The Kubernetes version may go unsaid where the release implies it.
  const told = facts.to.releaseVersion === null ? version : releaseVersion;
  return others === 0 && told !== undefined && mayBePlanned(update, facts);
}

/** Whether an update can be the planned one, as far as EKS tells: of what it leaves unsaid, or says besides, nothing is concluded. */
export function mayBePlanned(update: Update, { to }: Pick<UpdateFacts, 'to'>): boolean {
  const { version, releaseVersion } = readParams(update);
  const differs = (asked: string | null, told: string | undefined): boolean => asked !== null && told !== undefined && asked !== told;
  return update.type === 'VersionUpdate' && !differs(to.version, version) && !differs(to.releaseVersion, releaseVersion);
}

function readParams({ params = [] }: Update): { version?: string; releaseVersion?: string; others: number } {
  const values = new Map(params.map((param): [string, string | undefined] => [param.type ?? '', param.value]));
  const [version, releaseVersion] = [values.get('Version'), values.get('ReleaseVersion')];
  return { version, releaseVersion, others: [...values.keys()].filter((type) => type !== 'Version' && type !== 'ReleaseVersion').length };
}

/** An update as people are told of it: its id, its type and what it changes. */
export function describeUpdate({ id, type, params = [] }: Update): string {
  const shown = params.slice(0, paramsShownMax).map((param) => `${param.type ?? ''} ${param.value ?? ''}`);
  const changes = [...shown, ...(params.length > paramsShownMax ? ['…'] : [])].join(', ');
  return `update ${id ?? ''} (${type ?? 'of unknown type'}${changes === '' ? '' : `: ${changes}`})`;
}

/** What to say of an update in progress that this step has not begun. Where it is the planned change, it can be adopted. */
export function foreignUpdate(facts: UpdateFacts, update: Update): Stuck {
  return foreignUpdateOf(`node group ${facts.nodegroup}`, describeUpdate(update), isSameChange(update, facts));
}

/**
 * What to say of an update in progress that a step has not begun. `whose` is what it changes, such as `cluster demo`; `described` the
 * update, see `describeUpdate`. Where it is the very change that is planned, it can be adopted.
 */
export function foreignUpdateOf(whose: string, described: string, isPlanned: boolean): Stuck {
  if (isPlanned) {
    const reason = `Somebody else has begun the same change of ${whose}: ${described} is in progress.`;
    const remedy = 'Have this step adopt it (`holdpoint adopt`), or wait until it has ended and try again (`holdpoint retry`).';
    return { state: 'stuck', reason, remedy, adoptable: true };
  }
  const reason = `Somebody else changes ${whose}: ${described} is in progress.`;
  return { state: 'stuck', reason, remedy: 'Wait until it has ended, then try again (`holdpoint retry`).' };
}
