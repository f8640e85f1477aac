import type { Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import { taintText, type Taint } from '../../../domain/drain/node-selection.ts';
import type { Json } from '../../../domain/json.ts';
import type { Target } from '../../../domain/target.ts';
import type { Clients } from '../../clients.ts';
import { nodeIsReady } from '../../kubernetes/client/read.ts';
import { taintsOf } from './expected-nodes.ts';
import { nodesOfNodegroup } from './nodegroup.ts';

/** What a cordon is shown as; whoever has set it has a reason of his own. */
const cordonKey = 'node.kubernetes.io/unschedulable';
/** Taints that an agent of the node takes off when it is at work, by the end of their key (CSI drivers, Cilium). */
const agentSuffix = '/agent-not-ready';

/**
 * The taints that nodes of a group keep: those that Ready nodes of the group which it is like carry, too. A group may declare a taint
 * that an
 * agent takes off each node when it is at work, so what is declared tells less; it counts where there is no node to go by.
 */
export async function lastingTaints(
  clients: Clients,
  target: Target,
  nodegroup: Nodegroup,
  like: Json | undefined,
): Promise<ReadonlySet<string>> {
  const models = typeof like === 'string' ? (await nodesOfNodegroup(clients, target, like)).filter(nodeIsReady) : [];
  const declared = taintsOf(nodegroup.taints ?? []).filter(({ key }) => !key.endsWith(agentSuffix));
  return new Set((models.length > 0 ? models.flatMap(({ spec }) => spec?.taints ?? []) : declared).map(identityOf));
}

/** The taint of a node that keeps pods off it until an agent has taken it off; undefined where there is none. */
export function startupTaint({ spec }: V1Node, lasting: ReadonlySet<string>): string | undefined {
  const found = (spec?.taints ?? []).find(
    (taint) => taint.effect !== 'PreferNoSchedule' && taint.key !== cordonKey && !lasting.has(identityOf(taint)),
  );
  return found && taintText(found);
}

function identityOf({ key, effect }: Taint): string {
  return `${key}:${effect}`;
}
