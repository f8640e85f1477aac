import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, ProgressItem } from '../../domain/action.ts';
import type { ActionPlan } from '../../domain/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { cordonNode, cordonOwner, cordonState, type CordonState } from './cordon-mark.ts';
import { inParallel, readNode, readNodes } from './read.ts';

const estimateMsPerNode = 200;

/** The nodes by name and UID, so that a node which has been replaced since is left alone. */
export type NodeFacts = { nodes: { name: string; uid: string }[] };

/** `kubernetes.cordon`: no new pods come to the nodes. A cordon that is there already is somebody else's and stays theirs. */
export function cordonAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.cordon'>, NodeFacts>({
    declaration: actions['kubernetes.cordon'],
    plan: async (input, { run, target }) => {
      const names = [...new Set(input.nodes)];
      const nodes = await readNodes(await clients.kubernetes(target), target.name, names);
      return {
        ...emptyPlan({ nodes: nodeFacts(nodes) }),
        effects: nodes.filter((node) => cordonState(node, run) === 'none').map(cordonEffect),
        warnings: foreignCordonWarnings(nodes, run),
        notes: { nodes: names },
        outputs: { nodes: names },
        estimateMs: nodes.length * estimateMsPerNode,
      };
    },
    observe: (plan, context) => observeNodes(clients, plan, context, 'cordoned', (state) => state !== 'none'),
    act: async (plan, { run, target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(plan.facts.nodes, (node) => cordonNode(apis, target.name, node, run));
    },
    undo: (plan) => ({ uses: 'kubernetes.uncordon', with: { nodes: plan.facts.nodes.map(({ name }) => name) } }),
  });
}

/** How many of the planned nodes are as they should be; a node that is gone needs nothing any more. */
export async function observeNodes(
  clients: Clients,
  plan: PlanOf<NodeFacts>,
  { run, target }: ActionContext,
  participle: string,
  isDone: (state: CordonState) => boolean,
): Promise<Observation> {
  const apis = await clients.kubernetes(target);
  const items = await inParallel(plan.facts.nodes, async ({ name, uid }): Promise<ProgressItem> => {
    const node = await readNode(apis, target.name, name);
    if (!node || node.metadata?.uid !== uid) return { name, state: 'done', done: 1, total: 1, detail: 'gone' };
    const done = isDone(cordonState(node, run));
    return { name, state: done ? 'done' : 'waiting', done: done ? 1 : 0, total: 1 };
  });
  const done = items.filter(({ state }) => state === 'done').length;
  const progress = { summary: `${done} of ${items.length} nodes ${participle}`, done, total: items.length, unit: 'nodes', items };
  if (done < items.length) return { state: 'todo', progress };
  return { state: 'done', outputs: { nodes: plan.facts.nodes.map(({ name }) => name) }, progress };
}

/** Names and UIDs of nodes, for the facts of a plan. */
export function nodeFacts(nodes: readonly V1Node[]): NodeFacts['nodes'] {
  return nodes.map(({ metadata }) => ({ name: metadata?.name ?? '', uid: metadata?.uid ?? '' }));
}

/** What a plan says of a node that it cordons. */
export function cordonEffect(node: V1Node): ActionPlan['effects'][number] {
  const object = `Node/${node.metadata?.name ?? ''}`;
  return { object, change: 'cordon until the run ends: no new pods come to it', before: 'schedulable', after: 'unschedulable' };
}

/** A warning for each node that is cordoned by somebody else: this run will neither set nor lift that cordon. */
export function foreignCordonWarnings(nodes: readonly V1Node[], run: string): string[] {
  return nodes
    .filter((node) => cordonState(node, run) === 'foreign')
    .map((node) => {
      const owner = cordonOwner(node);
      const whose = owner === undefined ? 'by hand or another tool' : `by run ${owner}`;
      return `Node ${node.metadata?.name ?? ''} is cordoned already, ${whose}; this run leaves that cordon as it is.`;
    });
}
