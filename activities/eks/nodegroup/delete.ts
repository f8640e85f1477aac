import { DeleteNodegroupCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { Target } from '../../../domain/target.ts';
import type { ActionContext, Observation, Progress, Undo } from '../../../domain/action.ts';
import type { Blocker, Effect, Risk } from '../../../domain/plan/plan.ts';
import { countedPods, hasEnded, podName, staysOnNode } from '../../../domain/drain/pod.ts';
import { expectedOfNodes } from '../../../domain/plan/expected.ts';
import { counted } from '../../../domain/text.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { podsOnNodes } from '../../kubernetes/client/read.ts';
import { findNodegroup, findPatiently, healthProblem, isMissing, nodesOfNodegroup, strangerReason } from './nodegroup.ts';
import { groupsBeside, podsThatNeed } from './places-beside.ts';

const estimateMs = 2 * 60_000;
const podsShownMax = 5;
/** EKS refuses to delete a group in the middle of these. */
const busyStatuses = new Set(['CREATING', 'UPDATING']);

type DeleteInput = ActionInput<'eks.deleteNodegroup'>;
type DeleteFacts = {
  nodegroup: string;
  exists: boolean;
  nodegroupArn: string | null;
  nodes: string[];
  /** The groups of nodes that take pods when this one is gone, as `groupsBeside` names them: one that goes meanwhile makes another plan. */
  destinations: string[];
  /** Why the group is not deleted, although it is there. */
  kept?: string;
};

/** `eks.deleteNodegroup`: deletes a node group that carries no workload (any more); done when EKS no longer knows it. */
export function deleteNodegroupAction(clients: Clients): AnyAction {
  return defineAction<DeleteInput, DeleteFacts>({
    declaration: actions['eks.deleteNodegroup'],
    plan: (input, context) => planDelete(clients, input, context),
    observe: (plan, context) => observeDelete(clients, plan, context),
    act: (plan, context) => requestDeletion(clients, plan, context),
    undo: async ({ facts }, _context, seen) => undoDelete(facts, seen),
  });
}

async function planDelete(
  clients: Clients,
  { nodegroup: name, createdBy }: DeleteInput,
  context: ActionContext,
): Promise<PlanOf<DeleteFacts>> {
  const { target, expected = [] } = context;
  // What this run has only just asked for must not be missed.
  const nodegroup = await (createdBy === undefined ? findNodegroup(clients, target, name) : findPatiently(clients, context, name));
  const identity = { nodegroup: name, exists: nodegroup !== undefined, nodegroupArn: nodegroup?.nodegroupArn ?? null };
  const kept = nodegroup && createdBy !== undefined ? strangerReason(nodegroup, name, createdBy) : undefined;
  if (kept !== undefined)
    return { ...emptyPlan({ ...identity, nodes: [], destinations: [], kept }), notes: [kept], outputs: { nodegroup: name } };
  const present = nodegroup ? await nodesOfNodegroup(clients, target, name) : [];
  const nodes = present.map(nameOf);
  const { drained } = expectedOfNodes(expected);
  const left = await podsLeft(
    clients,
    target,
    nodes.filter((node) => !drained.has(node)),
  );
  const destinations = nodes.length > 0 ? await groupsBeside(clients, target, nodes, expected) : [];
  // Earlier steps may bring nodes for them.
  const needing = expected.length > 0 ? [] : await podsThatNeed(clients, target, present);
  return {
    ...emptyPlan({ ...identity, nodes, destinations }),
    effects: nodegroup ? deleteEffects(target.name, name, nodes) : [],
    risks: nodes.length > 0 && destinations.length === 0 ? [lastNodesRisk(target.name, name)] : [],
    blockers: [
      ...(left.length > 0 ? [podsLeftBlocker(target.name, name, left)] : []),
      ...(needing.length > 0 ? [neededBlocker(target.name, name, needing)] : []),
    ],
    notes: busyNotes(nodegroup, name),
    details: { podsLeft: left.length },
    outputs: { nodegroup: name },
    expects: [
      { change: 'nodes-removed', nodes },
      ...(nodegroup ? [{ change: 'removed' as const, object: `Nodegroup/${target.name}/${name}` }] : []),
    ],
    estimateMs: nodegroup ? estimateMs : 0,
  };
}

function busyNotes(nodegroup: Nodegroup | undefined, name: string): string[] {
  if (!busyStatuses.has(nodegroup?.status ?? '')) return [];
  return [`Node group ${name} is ${nodegroup?.status ?? ''}: EKS deletes it only after that, so that is waited for first.`];
}

function deleteEffects(cluster: string, name: string, nodes: readonly string[]): Effect[] {
  return [
    { object: `Nodegroup/${cluster}/${name}`, change: 'delete' },
    ...nodes.map((node) => ({ object: `Node/${node}`, change: 'terminate its instance' })),
  ];
}

function podsLeftBlocker(cluster: string, name: string, left: readonly string[]): Blocker {
  return {
    object: `Nodegroup/${cluster}/${name}`,
    reason: `${counted(left.length, 'pod still runs', 'pods still run')} on its nodes: ${shortened(left)}.`,
    remedy: 'Drain the nodes first (kubernetes.drain), or find out who let new pods onto them.',
  };
}

function neededBlocker(cluster: string, name: string, needing: readonly string[]): Blocker {
  return {
    object: `Nodegroup/${cluster}/${name}`,
    reason:
      `${countedPods(needing.length)} ${needing.length === 1 ? 'finds' : 'find'} no node, ` +
      `and would find one among these: ${shortened(needing)}.`,
    remedy: 'See what has become of the nodes that they were moved to; give them nodes, or uncordon these, then plan again.',
  };
}

function lastNodesRisk(cluster: string, name: string): Risk {
  return {
    object: `Nodegroup/${cluster}/${name}`,
    risk: 'these are the last nodes that could take pods: no other one is Ready, not cordoned, and not being deleted',
    remedy: 'Unless the cluster is given up, bring other nodes first.',
  };
}

function shortened(names: readonly string[]): string {
  return names.slice(0, podsShownMax).join(', ') + (names.length > podsShownMax ? ', …' : '');
}

async function podsLeft(clients: Clients, target: Target, nodes: readonly string[]): Promise<string[]> {
  if (nodes.length === 0) return [];
  const pods = await podsOnNodes(await clients.kubernetes(target), target.name, nodes);
  return pods.filter((pod) => !staysOnNode(pod) && !hasEnded(pod)).map(podName);
}

async function observeDelete(clients: Clients, plan: PlanOf<DeleteFacts>, { target, acted }: ActionContext): Promise<Observation> {
  const { nodegroup: name, nodegroupArn, nodes: planned, kept } = plan.facts;
  const outputs = { nodegroup: name };
  if (kept !== undefined) return { state: 'done', outputs, progress: progressOf(kept, plan, []) };
  const nodegroup = await findNodegroup(clients, target, name);
  // Another group that has taken the name since is not the one that was signed away.
  if (!nodegroup || nodegroup.nodegroupArn !== nodegroupArn) {
    return {
      state: 'done',
      outputs,
      progress: progressOf(`${name} and its ${counted(planned.length, 'node is', 'nodes are')} gone`, plan, []),
    };
  }
  const nodes = await nodesOfNodegroup(clients, target, name);
  const total = Math.max(planned.length, nodes.length);
  const progress = progressOf(`${nodes.length} of ${total} nodes of ${name} left`, plan, nodes);
  const { status = '' } = nodegroup;
  if (status === 'DELETING') return { state: 'moving', progress };
  // What EKS could not delete has been begun, by whomever.
  const untouched = status !== 'DELETE_FAILED';
  if (busyStatuses.has(status)) {
    return { state: 'moving', progress: { ...progress, summary: `waiting until ${name} is no longer ${status}` }, untouched };
  }
  const left = await podsLeft(clients, target, nodes.map(nameOf));
  if (left.length > 0) {
    const { reason, remedy } = podsLeftBlocker(target.name, name, left);
    return { state: 'stuck', reason, remedy, progress, untouched };
  }
  const needing = await podsThatNeed(clients, target, nodes);
  if (needing.length > 0) {
    const { reason, remedy } = neededBlocker(target.name, name, needing);
    return { state: 'stuck', reason, remedy, progress, untouched };
  }
  if (status === 'DELETE_FAILED' && acted) {
    const reason = `EKS could not delete node group ${name}: ${healthProblem(nodegroup) ?? 'it gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS reports, then try again.' };
  }
  return { state: 'todo', progress, untouched };
}

function progressOf(summary: string, { facts: { nodes: planned } }: PlanOf<DeleteFacts>, left: readonly V1Node[]): Progress {
  const names = left.map(nameOf);
  const total = Math.max(planned.length, names.length);
  const items = planned.map((name) => {
    const there = names.includes(name);
    return { name, state: there ? ('moving' as const) : ('done' as const), done: there ? 0 : 1, total: 1 };
  });
  return { summary, done: total - names.length, total, unit: 'nodes', items };
}

async function requestDeletion(clients: Clients, { facts }: PlanOf<DeleteFacts>, { target }: ActionContext): Promise<void> {
  const { nodegroup: name, kept } = facts;
  if (kept !== undefined) return;
  await clients
    .eks(target.region)
    .send(new DeleteNodegroupCommand({ clusterName: target.name, nodegroupName: name }))
    .catch((error: unknown) => {
      const known = awsError(error, `DeleteNodegroup ${name}`, target);
      // It is gone: an earlier request whose answer was lost has done it, or somebody else.
      if (isMissing(error, known)) return;
      throw known;
    });
}

/** Before its deletion has begun, a group can be kept. */
function undoDelete({ nodegroup }: DeleteFacts, seen?: Observation): Undo {
  if (!isUntouched(seen)) {
    return { noUndo: `Node group ${nodegroup} is deleted: it can be created anew, but its nodes do not come back.` };
  }
  return { nothing: `The deletion of node group ${nodegroup} has not been begun.` };
}

function nameOf({ metadata }: V1Node): string {
  return metadata?.name ?? '';
}
