import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { inputOf, nodeFacts, nodesOfInput, observeNodes, type NodeFacts } from './cordon.ts';
import { cordonState, liftCordon } from './owner-annotation.ts';
import { inParallel } from '../client/read.ts';

const estimateMsPerNode = 200;

/** `kubernetes.uncordon`: lifts the cordons of this run, so that pods come to the nodes again. Those of others stay. */
export function uncordonAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.uncordon'>, NodeFacts>({
    declaration: actions['kubernetes.uncordon'],
    plan: async (input, context) => {
      const { names, nodes, notes } = await nodesOfInput(clients, input, context);
      const ours = nodes.filter((node) => cordonState(node, context.run) === 'ours');
      const change = { change: 'uncordon: pods may come to it again', before: 'unschedulable', after: 'schedulable' };
      return {
        ...emptyPlan({ nodes: nodeFacts(ours) }),
        effects: ours.map((node) => ({ object: `Node/${node.metadata?.name ?? ''}`, ...change })),
        notes,
        details: { nodes: names },
        outputs: { nodes: names },
        expects: [{ change: 'nodes-uncordoned', nodes: ours.map((node) => node.metadata?.name ?? '') }],
        estimateMs: ours.length * estimateMsPerNode,
      };
    },
    observe: (plan, context) => observeNodes(clients, plan, context, 'uncordoned', (state) => state !== 'ours'),
    act: async (plan, { run, target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(plan.facts.nodes, (node) => liftCordon(apis, target.name, node, run));
    },
    undo: async ({ facts: { nodes } }) => {
      if (nodes.length === 0) return { nothing: 'It lifts no cordon.' };
      return [{ uses: 'kubernetes.cordon', with: inputOf(nodes) }];
    },
  });
}
