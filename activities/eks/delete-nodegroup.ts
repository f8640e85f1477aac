import { DeleteNodegroupCommand } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Target } from '../../domain/action.ts';
import type { Effect } from '../../domain/plan.ts';
import { hasEnded, podName, staysOnNode } from '../../domain/pod.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { podsOnNodes } from '../kubernetes/read.ts';
import { findNodegroup, healthProblem, isMissing, nodesOfNodegroup } from './nodegroup.ts';

const estimateMs = 2 * 60_000;
const podsShownMax = 5;

type DeleteFacts = { nodegroup: string; exists: boolean; nodegroupArn: string | null; nodes: string[] };

/** `eks.deleteNodegroup`: deletes a node group that carries no workload any more; done when EKS no longer knows it. */
export function deleteNodegroupAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'eks.deleteNodegroup'>, DeleteFacts>({
    declaration: actions['eks.deleteNodegroup'],
    plan: async ({ nodegroup: name }, { target }) => {
      const nodegroup = await findNodegroup(clients, target, name);
      const nodes = nodegroup ? (await nodesOfNodegroup(clients, target, name)).map((node) => node.metadata?.name ?? '') : [];
      const left = await podsLeft(clients, target, nodes);
      return {
        ...emptyPlan({ nodegroup: name, exists: nodegroup !== undefined, nodegroupArn: nodegroup?.nodegroupArn ?? null, nodes }),
        effects: nodegroup ? deleteEffects(target.name, name, nodes) : [],
        blockers: left.length > 0 ? [podsLeftBlocker(target.name, name, left)] : [],
        notes: { podsLeft: left.length },
        outputs: { nodegroup: name },
        estimateMs: nodegroup ? estimateMs : 0,
      };
    },
    observe: (plan, context) => observeDelete(clients, plan, context),
    act: async ({ facts }, { target }) => {
      const command = new DeleteNodegroupCommand({ clusterName: target.name, nodegroupName: facts.nodegroup });
      await clients
        .eks(target.region)
        .send(command)
        .catch((error: unknown) => {
          const known = awsError(error, `DeleteNodegroup ${facts.nodegroup}`, target);
          // It is gone: an earlier request whose answer was lost has done it, or somebody else.
          if (isMissing(error, known)) return;
          throw known;
        });
    },
    undo: () => ({ noUndo: 'A deleted node group can be created anew, but its nodes do not come back.' }),
  });
}

function deleteEffects(cluster: string, name: string, nodes: readonly string[]): Effect[] {
  return [
    { object: `Nodegroup/${cluster}/${name}`, change: 'delete' },
    ...nodes.map((node) => ({ object: `Node/${node}`, change: 'terminate its instance' })),
  ];
}

function podsLeftBlocker(cluster: string, name: string, left: readonly string[]) {
  const shown = left.slice(0, podsShownMax).join(', ') + (left.length > podsShownMax ? ', …' : '');
  return {
    object: `Nodegroup/${cluster}/${name}`,
    reason: `${left.length} pods still run on its nodes: ${shown}.`,
    remedy: 'Drain the nodes first (kubernetes.drain), or find out who let new pods onto them.',
  };
}

async function podsLeft(clients: Clients, target: Target, nodes: readonly string[]): Promise<string[]> {
  if (nodes.length === 0) return [];
  const pods = await podsOnNodes(await clients.kubernetes(target), target.name, nodes);
  return pods.filter((pod) => !staysOnNode(pod) && !hasEnded(pod)).map(podName);
}

async function observeDelete(clients: Clients, plan: PlanOf<DeleteFacts>, { target, acted }: ActionContext): Promise<Observation> {
  const { nodegroup: name, nodegroupArn } = plan.facts;
  const nodegroup = await findNodegroup(clients, target, name);
  // Another group that has taken the name since is not the one that was signed away.
  if (!nodegroup || nodegroup.nodegroupArn !== nodegroupArn) {
    const total = plan.facts.nodes.length;
    const progress = { summary: `${name} and its ${total} nodes are gone`, done: total, total, unit: 'nodes', items: [] };
    return { state: 'done', outputs: { nodegroup: name }, progress };
  }
  const nodes = (await nodesOfNodegroup(clients, target, name)).map((node) => node.metadata?.name ?? '');
  const total = Math.max(plan.facts.nodes.length, nodes.length);
  const progress = {
    summary: `${nodes.length} of ${total} nodes of ${name} left`,
    done: total - nodes.length,
    total,
    unit: 'nodes',
    items: plan.facts.nodes.map((node) => {
      const there = nodes.includes(node);
      return { name: node, state: there ? ('moving' as const) : ('done' as const), done: there ? 0 : 1, total: 1 };
    }),
  };
  if (nodegroup.status === 'DELETING') return { state: 'moving', progress };
  if (nodegroup.status === 'DELETE_FAILED' && acted) {
    const reason = `EKS could not delete node group ${name}: ${healthProblem(nodegroup) ?? 'it gives no reason'}.`;
    return { state: 'stuck', reason, remedy: 'Put right what EKS reports, then try again.' };
  }
  const left = await podsLeft(clients, target, nodes);
  if (left.length > 0) {
    const { reason, remedy } = podsLeftBlocker(target.name, name, left);
    return { state: 'stuck', reason, remedy, progress };
  }
  return { state: 'todo', progress };
}
