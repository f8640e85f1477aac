import type { Nodegroup, Update } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Progress } from '../../../domain/action.ts';
import type { PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { nodeIsReady } from '../../kubernetes/client/read.ts';
import { findNodegroup, healthProblem, nodesOfNodegroup } from '../nodegroup/nodegroup.ts';
import { foreignUpdate, hasFailed, isAt, isSameChange, isUniform, latestOf, mayBePlanned, type UpdateFacts } from './planned-change.ts';
import { goesOnIn, readUpdates, updateInProgress } from './read-updates.ts';
import { explainUpdateErrors } from './update-error.ts';

/** How far EKS is with the version update of a node group that a plan asks for. Reads only. Throws `aws-…` and `kubernetes-…` errors. */
export async function observeUpdate(clients: Clients, plan: PlanOf<UpdateFacts>, context: ActionContext): Promise<Observation> {
  const { facts } = plan;
  const nodegroup = await findNodegroup(clients, context.target, facts.nodegroup);
  if (!nodegroup) {
    const reason = `Node group ${facts.nodegroup} no longer exists.`;
    return { state: 'stuck', reason, remedy: 'Find out who deleted it; then abort the run.' };
  }
  if ((nodegroup.nodegroupArn ?? null) !== facts.nodegroupArn) {
    const reason = `Node group ${facts.nodegroup} has been replaced by another one of its name.`;
    return { state: 'stuck', reason, remedy: 'Find out who replaced it; abort the run and plan again.' };
  }
  const nodes = await nodesOfNodegroup(clients, context.target, facts.nodegroup);
  const progress = replacementProgress(facts, nodes);
  if (nodegroup.status === 'UPDATING') return observeUpdating(clients, facts, nodegroup, context, progress);
  const { status } = nodegroup;
  const there = isAt(nodegroup, facts) && (await isUniform(clients, context.target, facts.nodegroup, nodes));
  if (there && status === 'DEGRADED') {
    const reason = `Node group ${facts.nodegroup} is updated but DEGRADED: ${healthProblem(nodegroup) ?? 'EKS gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS reports, then try again.', progress };
  }
  if (there && status === 'ACTIVE') {
    return { state: 'done', outputs: { nodegroup: facts.nodegroup, releaseVersion: nodegroup.releaseVersion ?? '' }, progress };
  }
  return observeAtRest(clients, facts, nodegroup, context, progress);
}

/**
 * Whose an update in progress is, only EKS can say: asked under the token of this step it answers with its own update, and
 * refuses where it is somebody else's. So there is something to do until this try has asked.
 */
async function observeUpdating(
  clients: Clients,
  facts: UpdateFacts,
  nodegroup: Nodegroup,
  { target, acted, adopt }: ActionContext,
  progress: Progress,
): Promise<Observation> {
  if (acted || facts.waitForUpdate) return { state: 'moving', progress };
  const updates = await readUpdates(clients, target, { nodegroupName: facts.nodegroup });
  const inProgress = updateInProgress(updates);
  // One that is not listed yet may be this step's.
  const untouched = inProgress !== undefined && isUntouched(nodegroup, facts, updates);
  if (!adopt) return { state: 'todo', progress, untouched, ...goesOnIn(inProgress, target, { nodegroupName: facts.nodegroup }) };
  if (!inProgress || isSameChange(inProgress, facts)) return { state: 'moving', progress };
  return { ...foreignUpdate(facts, inProgress), progress, untouched };
}

/** Whether this step has begun no update: the group is as it was planned, and no update is known that can be the planned one. */
function isUntouched({ version, releaseVersion }: Nodegroup, facts: UpdateFacts, updates: readonly Update[]): boolean {
  const asBefore = version === facts.from.version && releaseVersion === facts.from.releaseVersion;
  return asBefore && !updates.some((update) => mayBePlanned(update, facts));
}

/** A node group at rest that is not what was planned: whether something is to be done, or an update has failed. */
async function observeAtRest(
  clients: Clients,
  facts: UpdateFacts,
  nodegroup: Nodegroup,
  { target, acted, adopt }: ActionContext,
  progress: Progress,
): Promise<Observation> {
  const updates = await readUpdates(clients, target, { nodegroupName: facts.nodegroup });
  const latest = latestOf(updates);
  // Before this try has asked, a failed update is an earlier one's; the request token makes asking again harmless.
  if (hasFailed(latest) && (acted || (adopt && isSameChange(latest, facts)))) {
    const { reason: cause, remedy } = explainUpdateErrors(latest.errors ?? []);
    const reason = `The update ${latest.id ?? ''} of ${facts.nodegroup} ended as ${latest.status ?? ''}: ${cause}.`;
    return { state: 'stuck', reason, remedy, progress };
  }
  return { state: 'todo', progress, untouched: !acted && isUntouched(nodegroup, facts, updates) };
}

function replacementProgress(facts: UpdateFacts, nodes: readonly V1Node[]): Progress {
  const present = new Map(nodes.map((node) => [node.metadata?.name ?? '', node]));
  const old = facts.nodes.map((name) => {
    const node = present.get(name);
    if (!node) return { name, state: 'done' as const, done: 1, total: 1, detail: 'replaced' };
    const cordoned = node.spec?.unschedulable === true;
    const state = cordoned ? ('moving' as const) : ('waiting' as const);
    return { name, state, done: 0, total: 1, detail: cordoned ? 'cordoned by EKS' : undefined };
  });
  const fresh = nodes.filter((node) => !facts.nodes.includes(node.metadata?.name ?? '') && nodeIsReady(node)).length;
  const done = old.filter(({ state }) => state === 'done').length;
  const summary = `${done} of ${old.length} old nodes replaced, ${fresh} new nodes Ready`;
  return { summary, done, total: old.length, unit: 'nodes', items: old };
}
