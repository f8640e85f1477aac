import type { Cluster, Update } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Progress, Stuck } from '../../../domain/action.ts';
import { sameMinorVersion } from '../../../domain/version/version.ts';
import type { Clients } from '../../clients.ts';
import { readCluster, replacedCluster } from '../cluster.ts';
import { describeUpdate, foreignUpdateOf, hasFailed } from '../update/planned-change.ts';
import { goesOnIn, readUpdates, updateInProgress } from '../update/read-updates.ts';
import { explainUpdateErrors } from '../update/update-error.ts';
import { canBeCancelled } from './cancel.ts';
import { isPlanned, rollbackEndOf, type VersionChange, type VersionFacts } from './facts.ts';

/** How far EKS is with taking a control plane to the version of a plan. Reads only. Throws `cluster-unknown` and `aws-…` errors. */
export async function observeVersion(
  clients: Clients,
  facts: VersionFacts,
  change: VersionChange,
  context: ActionContext,
): Promise<Observation> {
  const cluster = await readCluster(clients, context.target);
  const { name } = context.target;
  const replaced = replacedCluster(cluster, facts);
  if (replaced) return replaced;
  const version = cluster.version ?? '';
  const progress = progressOf(facts, cluster);
  if (cluster.status === 'UPDATING') return observeUpdating(clients, facts, change, context, version, progress);
  if (cluster.status !== 'ACTIVE') {
    const reason = `Cluster ${name} is ${cluster.status ?? 'of unknown status'}, at ${version}.`;
    return { state: 'stuck', reason, remedy: 'Look at its health in EKS; try again when it is ACTIVE.', progress };
  }
  if (sameMinorVersion(version, facts.to)) {
    const rollbackUntil = change === 'VersionUpdate' ? rollbackEndOf(await readUpdates(clients, context.target), facts.to) : undefined;
    return { state: 'done', outputs: { version, ...(rollbackUntil !== undefined && { rollbackUntil }) }, progress };
  }
  if (!sameMinorVersion(version, facts.from)) {
    const reason = `Cluster ${name} is at ${version} now, neither at ${facts.from} as it was planned nor at ${facts.to}.`;
    return { state: 'stuck', reason, remedy: 'Find out who has changed it; abort the run and plan again.', progress };
  }
  return observeAtRest(clients, facts, change, context, progress);
}

/** What to say of an update of the control plane in progress that this step has not begun. The planned one can be adopted. */
export function foreignVersionUpdate(facts: VersionFacts, change: VersionChange, cluster: string, update: Update): Stuck {
  return foreignUpdateOf(`cluster ${cluster}`, describeUpdate(update), isPlanned(update, change, facts));
}

/** Whose an update in progress is, only EKS can say, when it is asked under the token of this step. */
async function observeUpdating(
  clients: Clients,
  facts: VersionFacts,
  change: VersionChange,
  context: ActionContext,
  version: string,
  progress: Progress,
): Promise<Observation> {
  const { target, acted, adopt } = context;
  if (acted) return { state: 'moving', progress };
  const updates = await readUpdates(clients, target);
  const inProgress = updateInProgress(updates);
  if (inProgress && canBeCancelled(facts, inProgress, context)) return { state: 'todo', progress };
  if (facts.waitForUpdate && inProgress && !isPlanned(inProgress, change, facts)) return { state: 'moving', progress };
  // One that is not listed yet may be this step's.
  const untouched = inProgress !== undefined && isUntouched(facts, change, version, updates);
  if (!adopt) return { state: 'todo', progress, untouched, ...goesOnIn(inProgress, target) };
  if (!inProgress || isPlanned(inProgress, change, facts)) return { state: 'moving', progress };
  return { ...foreignVersionUpdate(facts, change, target.name, inProgress), progress, untouched };
}

/** A control plane at rest at the version that it had: whether something is to be done, or an update has failed. */
async function observeAtRest(
  clients: Clients,
  facts: VersionFacts,
  change: VersionChange,
  { target, acted, adopt }: ActionContext,
  progress: Progress,
): Promise<Observation> {
  const updates = await readUpdates(clients, target);
  const latest = updates.find((update) => isPlanned(update, change, facts));
  // Before this try has asked, a failed update is an earlier one's; the request token makes asking again harmless.
  if (hasFailed(latest) && (acted || adopt)) {
    const { reason: cause, remedy } = explainUpdateErrors(latest.errors ?? []);
    const reason =
      `The update ${latest.id ?? ''} of cluster ${target.name} ended as ${latest.status ?? ''}, and EKS has taken it back to ` +
      `${facts.from}: ${cause}.`;
    return { state: 'stuck', reason, remedy, progress };
  }
  return { state: 'todo', progress, untouched: !acted && isUntouched(facts, change, facts.from, updates) };
}

/** Whether this step has begun no update: the control plane has its version, and no update is known that can be the planned one. */
function isUntouched({ from, to }: VersionFacts, change: VersionChange, version: string, updates: readonly Update[]): boolean {
  // An earlier upgrade to the version, which was rolled back since, is told apart by what has followed it.
  const [latest] = updates.filter(({ type }) => type === 'VersionUpdate' || type === 'VersionRollback');
  return sameMinorVersion(version, from) && (latest === undefined || !isPlanned(latest, change, { to }));
}

function progressOf({ from, to }: VersionFacts, { name, version = '', status }: Cluster): Progress {
  const isThere = status === 'ACTIVE' && sameMinorVersion(version, to);
  const summary = isThere
    ? `control plane at ${to}`
    : `control plane ${status === 'UPDATING' ? `going from ${from} to ${to}` : `at ${version}`}`;
  const state = isThere ? 'done' : status === 'UPDATING' ? 'moving' : 'waiting';
  const item = { name: name ?? '', state, done: isThere ? 1 : 0, total: 1, detail: isThere ? undefined : (status ?? 'unknown') } as const;
  return { summary, done: item.done, total: 1, unit: 'control planes', items: [item] };
}
