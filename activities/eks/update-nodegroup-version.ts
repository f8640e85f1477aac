import { UpdateNodegroupVersionCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Progress, Undo } from '../../domain/action.ts';
import type { Blocker } from '../../domain/plan.ts';
import { sameMinorVersion, skewProblem } from '../../domain/version.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { nodeIsReady } from '../kubernetes/read.ts';
import { findNodegroup, healthProblem, nodesOfNodegroup, readNodegroup } from './nodegroup.ts';
import { readCluster } from './preflight.ts';
import { requestToken } from './request-token.ts';
import { explainUpdateErrors } from './update-error.ts';
import { readUpdates } from './updates.ts';

/** A managed update takes about five minutes a node: boot, drain, a fixed wait of one minute, termination. */
const estimateMsPerNode = 5 * 60_000;

type UpdateInput = ActionInput<'eks.updateNodegroupVersion'>;
type UpdateFacts = {
  nodegroup: string;
  /** So that another group which has taken the name since is left alone. */
  nodegroupArn: string | null;
  from: { version: string; releaseVersion: string };
  to: { version: string | null; releaseVersion: string | null };
  nodes: string[];
  force: boolean;
};

/** `eks.updateNodegroupVersion`: EKS replaces the nodes by its own algorithm; this asks for it and watches. */
export function updateNodegroupVersionAction(clients: Clients): AnyAction {
  return defineAction<UpdateInput, UpdateFacts>({
    declaration: actions['eks.updateNodegroupVersion'],
    plan: (input, context) => planUpdate(clients, input, context),
    observe: (plan, context) => observeUpdate(clients, plan, context),
    act: async ({ facts }, context) => {
      const { nodegroup: nodegroupName, to, force } = facts;
      const command = new UpdateNodegroupVersionCommand({
        clusterName: context.target.name,
        nodegroupName,
        version: to.version ?? undefined,
        releaseVersion: to.releaseVersion ?? undefined,
        force,
        clientRequestToken: requestToken(context, { nodegroupName, to, force }),
      });
      await clients
        .eks(context.target.region)
        .send(command)
        .catch((error: unknown) => Promise.reject(awsError(error, `UpdateNodegroupVersion ${facts.nodegroup}`, context.target)));
    },
    undo: ({ facts }) => undoUpdate(facts),
  });
}

async function planUpdate(clients: Clients, input: UpdateInput, { target }: ActionContext): Promise<PlanOf<UpdateFacts>> {
  const nodegroup = await readNodegroup(clients, target, input.nodegroup);
  const cluster = await readCluster(clients, target);
  const nodes = (await nodesOfNodegroup(clients, target, input.nodegroup)).map((node) => node.metadata?.name ?? '');
  const facts: UpdateFacts = {
    nodegroup: input.nodegroup,
    nodegroupArn: nodegroup.nodegroupArn ?? null,
    from: { version: nodegroup.version ?? '', releaseVersion: nodegroup.releaseVersion ?? '' },
    to: { version: input.version ?? null, releaseVersion: input.releaseVersion ?? null },
    nodes,
    force: input.force,
  };
  const there = isAt(nodegroup, facts);
  const after = facts.to.releaseVersion ?? `${facts.to.version ?? ''} (newest release)`;
  const object = `Nodegroup/${target.name}/${input.nodegroup}`;
  return {
    ...emptyPlan(facts),
    effects: there
      ? []
      : [
          { object, change: 'update its version', before: facts.from.releaseVersion || facts.from.version, after },
          ...nodes.map((node) => ({ object: `Node/${node}`, change: 'replace by a new node (EKS cordons, drains and terminates it)' })),
        ],
    blockers: updateBlockers(object, nodegroup, facts, cluster.version ?? ''),
    warnings: input.force ? ['force: EKS terminates nodes whose pods it cannot evict within 15 minutes, budgets or not.'] : [],
    notes: { nodes },
    outputs: { nodegroup: input.nodegroup, releaseVersion: facts.to.releaseVersion ?? facts.from.releaseVersion },
    estimateMs: there ? 0 : nodes.length * estimateMsPerNode,
  };
}

function updateBlockers(object: string, nodegroup: Nodegroup, { to }: UpdateFacts, clusterVersion: string): Blocker[] {
  const blockers: Blocker[] = [];
  const wanted = [to.version, to.releaseVersion].filter((text) => text !== null);
  if (wanted.length === 0) {
    const remedy = 'Set `version` or `releaseVersion` on the step: people sign what is named.';
    return [{ object, reason: 'Neither a version nor a release to go to is given.', remedy }];
  }
  const { version: present = '' } = nodegroup;
  for (const text of wanted) {
    const skew = skewProblem(text, clusterVersion);
    if (skew) {
      const remedy = 'Upgrade the control plane first, or choose an older release.';
      blockers.push({ object, reason: `Version skew: ${skew}.`, remedy });
    } else if (!sameMinorVersion(text, clusterVersion) && !sameMinorVersion(text, present)) {
      const reason = `EKS takes it from ${present} to the version of the cluster, ${clusterVersion}, only; ${text} is asked for.`;
      blockers.push({ object, reason, remedy: `Ask for a release of ${clusterVersion} or ${present}.` });
    }
  }
  if (nodegroup.amiType === 'CUSTOM') {
    const remedy = 'Update the launch template instead: EKS does not choose the image of this group.';
    blockers.push({ object, reason: 'It runs a custom image, which has no EKS release.', remedy });
  }
  return blockers;
}

function isAt(nodegroup: Nodegroup, { to }: UpdateFacts): boolean {
  if (to.releaseVersion !== null && nodegroup.releaseVersion !== to.releaseVersion) return false;
  return to.version === null || nodegroup.version === to.version;
}

async function observeUpdate(clients: Clients, plan: PlanOf<UpdateFacts>, context: ActionContext): Promise<Observation> {
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
  const progress = replacementProgress(facts, await nodesOfNodegroup(clients, context.target, facts.nodegroup));
  if (nodegroup.status === 'UPDATING') return { state: 'moving', progress };
  if (nodegroup.status === 'ACTIVE' && isAt(nodegroup, facts)) {
    return { state: 'done', outputs: { nodegroup: facts.nodegroup, releaseVersion: nodegroup.releaseVersion ?? '' }, progress };
  }
  if (isAt(nodegroup, facts) && nodegroup.status === 'DEGRADED') {
    const reason = `Node group ${facts.nodegroup} is updated but DEGRADED: ${healthProblem(nodegroup) ?? 'EKS gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS reports, then try again.', progress };
  }
  // Before this attempt has asked, a failed update is an earlier one's; the request token makes asking again harmless.
  if (!context.acted) return { state: 'todo', progress };
  const updates = await readUpdates(clients, context.target, facts.nodegroup);
  const update = updates.find(({ type }) => type === 'VersionUpdate');
  if (update?.status !== 'Failed' && update?.status !== 'Cancelled') return { state: 'todo', progress };
  const { reason: cause, remedy } = explainUpdateErrors(update.errors ?? []);
  const reason = `The update ${update.id ?? ''} of ${facts.nodegroup} ended as ${update.status}: ${cause}.`;
  return { state: 'stuck', reason, remedy, progress };
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

/** EKS lets a group go back to an older release of the same minor version, never to an older minor version. */
function undoUpdate({ nodegroup, from, to }: UpdateFacts): Undo {
  if (!sameMinorVersion(from.version, to.releaseVersion ?? to.version ?? '')) {
    return { noUndo: `EKS does not take the nodes of ${nodegroup} back from ${to.version ?? to.releaseVersion ?? ''} to ${from.version}.` };
  }
  return { uses: 'eks.updateNodegroupVersion', with: { nodegroup, releaseVersion: from.releaseVersion } };
}
