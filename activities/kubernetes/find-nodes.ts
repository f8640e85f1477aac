import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext } from '../../domain/action.ts';
import { firstNames } from '../../domain/text.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { nodesMax } from '../../runbooks/actions/kubernetes.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { listNodes } from './client/read.ts';

const zoneLabel = 'topology.kubernetes.io/zone';

type Input = ActionInput<'kubernetes.findNodes'>;
type Facts = { zone: string; nodes: string[] };

/** `kubernetes.findNodes`: the nodes of an availability zone by name, as they are when the step is planned. It changes nothing. */
export function findNodesAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['kubernetes.findNodes'],
    plan: (input, context) => planFinding(clients, input, context),
    observe: async ({ facts: { nodes } }) => ({ state: 'done', outputs: { nodes } }),
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planFinding(clients: Clients, { zone }: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const all = await listNodes(await clients.kubernetes(target), target.name);
  const nodes = all
    .filter((node) => zoneOf(node) === zone)
    .map(({ metadata }) => metadata?.name ?? '')
    .sort();
  return {
    ...emptyPlan<Facts>({ zone, nodes }),
    blockers: blockersOf(zone, nodes, all),
    outputs: { nodes },
  };
}

function blockersOf(zone: string, nodes: readonly string[], all: readonly V1Node[]): Blocker[] {
  const object = `Zone/${zone}`;
  if (nodes.length === 0) {
    const zones = [...new Set(all.map(zoneOf))].filter((name) => name !== '').sort();
    const there = zones.length === 0 ? `No node carries the label ${zoneLabel}.` : `There are: ${firstNames(zones)}.`;
    return [{ object, reason: 'No node is in this availability zone.', remedy: `Check its name. ${there}` }];
  }
  if (nodes.length <= nodesMax) return [];
  const reason = `${nodes.length} nodes are in this availability zone; one step may name ${nodesMax}.`;
  return [{ object, reason, remedy: 'Drain its node groups one after another, or some nodes at a time (node-maintenance).' }];
}

function zoneOf({ metadata }: V1Node): string {
  return metadata?.labels?.[zoneLabel] ?? '';
}
