import { UpdateNodegroupVersionCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Progress, Undo } from '../../domain/action.ts';
import type { Blocker } from '../../domain/plan.ts';
import { minorVersionOf, skewProblem } from '../../domain/version.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { nodeIsReady } from '../kubernetes/read.ts';
import { findNodegroup, nodesOfNodegroup, readNodegroup } from './nodegroup.ts';
import { readCluster } from './preflight.ts';
import { requestToken } from './request-token.ts';
import { explainUpdateErrors } from './update-error.ts';
import { readUpdates } from './updates.ts';

/** A managed update takes about five minutes a node: boot, drain, a fixed wait of one minute, termination. */
const estimateMsPerNode = 5 * 60_000;

type UpdateInput = ActionInput<'eks.updateNodegroupVersion'>;
type UpdateFacts = {
  nodegroup: string;
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
      const command = new UpdateNodegroupVersionCommand({
        clusterName: context.target.name,
        nodegroupName: facts.nodegroup,
        version: facts.to.version ?? undefined,
        releaseVersion: facts.to.releaseVersion ?? undefined,
        force: facts.force,
        clientRequestToken: requestToken(context),
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
  const wanted = to.releaseVersion ?? to.version;
  if (wanted === null) {
    const remedy = 'Set `version` or `releaseVersion` on the step: people sign what is named.';
    return [{ object, reason: 'Neither a version nor a release to go to is given.', remedy }];
  }
  const skew = skewProblem(wanted, clusterVersion);
  if (skew) blockers.push({ object, reason: `Version skew: ${skew}.`, remedy: 'Upgrade the control plane first, or choose an older release.' });
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
  const progress = replacementProgress(facts, await nodesOfNodegroup(clients, context.target, facts.nodegroup));
  if (nodegroup.status === 'UPDATING') return { state: 'moving', progress };
  if (nodegroup.status === 'ACTIVE' && isAt(nodegroup, facts)) {
    return { state: 'done', outputs: { nodegroup: facts.nodegroup, releaseVersion: nodegroup.releaseVersion ?? '' }, progress };
  }
  // Before this attempt has asked, a failed update is an earlier one's; the request token makes asking again harmless.
  if (!context.acted) return { state: 'todo', progress };
  const updates = await readUpdates(clients, context.target, facts.nodegroup);
  const update = updates.find(({ type }) => type === 'VersionUpdate');
  if (update?.status !== 'Failed' && update?.status !== 'Cancelled') return { state: 'todo', progress };
  const { reason, remedy } = explainUpdateErrors(update.errors ?? []);
  return { state: 'stuck', reason: `The update ${update.id ?? ''} of ${facts.nodegroup} ended as ${update.status}: ${reason}.`, remedy, progress };
}

function replacementProgress(facts: UpdateFacts, nodes: readonly V1Node[]): Progress {
  const present = new Map(nodes.map((node) => [node.metadata?.name ?? '', node]));
  const old = facts.nodes.map((name) => {
    const node = present.get(name);
    if (!node) return { name, state: 'done' as const, done: 1, total: 1, detail: 'replaced' };
    const cordoned = node.spec?.unschedulable === true;
    return { name, state: cordoned ? ('moving' as const) : ('waiting' as const), done: 0, total: 1, detail: cordoned ? 'cordoned by EKS' : undefined };
  });
  const fresh = nodes.filter((node) => !facts.nodes.includes(node.metadata?.name ?? '') && nodeIsReady(node)).length;
  const done = old.filter(({ state }) => state === 'done').length;
  return { summary: `${done} of ${old.length} old nodes replaced, ${fresh} new nodes Ready`, done, total: old.length, unit: 'nodes', items: old };
}

/** EKS lets a group go back to an older release of the same minor version, never to an older minor version. */
function undoUpdate({ nodegroup, from, to }: UpdateFacts): Undo {
  const before = minorVersionOf(from.version);
  const after = minorVersionOf(to.releaseVersion ?? to.version ?? '');
  if (before?.minor !== after?.minor || before?.major !== after?.major) {
    return { noUndo: `EKS does not take the nodes of ${nodegroup} back from ${to.version ?? to.releaseVersion ?? ''} to ${from.version}.` };
  }
  return { uses: 'eks.updateNodegroupVersion', with: { nodegroup, releaseVersion: from.releaseVersion } };
}
