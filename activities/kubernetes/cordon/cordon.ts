import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, ProgressItem, Undo } from '../../../domain/action.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { Effect } from '../../../domain/plan/plan.ts';
import { counted } from '../../../domain/text.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { cordonNode, cordonOwner, cordonState, type CordonState } from './owner-annotation.ts';
import { asCordonedOrNot } from './expected-cordons.ts';
import { findNodes, inParallel, nodesUnknown, readNode } from '../client/read.ts';

const estimateMsPerNode = 200;
const missingShownMax = 5;

/** The nodes by name and UID, so that a node which has been replaced since is left alone. */
export type NodeFacts = { nodes: { name: string; uid: string }[] };

/** The same for a plan that cordons nodes, with whether it does: a cordon that is there already is not its own. */
export type CordonFacts = { nodes: { name: string; uid: string; schedulable: boolean }[] };

/** `kubernetes.cordon`: no new pods come to the nodes. A cordon that is there already is somebody else's and stays theirs. */
export function cordonAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.cordon'>, CordonFacts>({
    declaration: actions['kubernetes.cordon'],
    plan: async (input, context) => {
      const { names, nodes, notes } = await nodesOfInput(clients, input, context);
      return {
        ...emptyPlan({ nodes: cordonFacts(nodes) }),
        effects: nodes.filter((node) => cordonState(node, context.run) === 'none').map(cordonEffect),
        notes,
        details: { nodes: names },
        outputs: { nodes: names },
        expects: [{ change: 'nodes-cordoned', nodes: nodes.map(({ metadata }) => metadata?.name ?? '') }],
        estimateMs: nodes.length * estimateMsPerNode,
        undoEstimateMs: nodes.length * estimateMsPerNode,
      };
    },
    observe: (plan, context) => observeNodes(clients, plan, context, 'cordoned', (state) => state !== 'none'),
    act: async (plan, { run, target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(plan.facts.nodes, (node) => cordonNode(apis, target.name, node, run));
    },
    undo: async ({ facts }) => undoCordons(facts),
  });
}

/** Nodes as the input of an action names them: by name, and where it must be those very nodes by UID too. */
export interface NamedNodes {
  nodes: string[];
  uids?: { [node: string]: string };
  ignoreMissing: boolean;
}

/**
 * The nodes that an input names, once each, with what there is to say of them: those that are gone, where the input lets that pass,
 * and those that somebody else has cordoned. Another node that has taken the name since is not the one that is named. Throws
 * `node-unknown` where the input does not let nodes be gone.
 */
export async function nodesOfInput(
  clients: Clients,
  { nodes: named, uids = {}, ignoreMissing }: NamedNodes,
  { run, target, expected = [] }: ActionContext,
): Promise<{ names: string[]; nodes: V1Node[]; notes: string[] }> {
  const names = [...new Set(named)];
  const { nodes: found, missing } = await findNodes(await clients.kubernetes(target), target.name, names);
  const meant = found.filter(({ metadata: { name = '', uid } = {} }) => uids[name] === undefined || uids[name] === uid);
  const replaced = found.filter((node) => !meant.includes(node)).map(({ metadata }) => metadata?.name ?? '');
  if (!ignoreMissing) {
    if (missing.length > 0) throw nodesUnknown(target.name, missing, []);
    const [gone] = replaced;
    const hint = ' The one that has this name now is another node.';
    if (gone !== undefined) throw new HoldpointError('node-unknown', { cluster: target.name, node: gone }, { hint });
  }
  const nodes = asCordonedOrNot(meant, expected, run);
  return { names, nodes, notes: [...missingWarnings([...missing, ...replaced]), ...foreignCordonWarnings(nodes, run)] };
}

function missingWarnings(missing: readonly string[]): string[] {
  if (missing.length === 0) return [];
  const shown = missing.slice(0, missingShownMax).join(', ') + (missing.length > missingShownMax ? ', …' : '');
  return [`${counted(missing.length, 'node no longer exists and needs', 'nodes no longer exist and need')} nothing: ${shown}.`];
}

/**
 * The rollback from a plan that cordons nodes: the cordons that it was to set, as far as they are still this run's. One that was there
 * before the plan stays, whoever has set it.
 */
export function undoCordons({ nodes }: CordonFacts): Undo {
  const cordoned = nodes.filter(({ schedulable }) => schedulable);
  if (cordoned.length === 0) return { nothing: 'It cordons no node that was not cordoned before.' };
  return [{ uses: 'kubernetes.uncordon', with: inputOf(cordoned) }];
}

/** The input by which an action finds these very nodes again, as far as they are there. */
export function inputOf(nodes: NodeFacts['nodes']): { nodes: string[]; uids: { [node: string]: string }; ignoreMissing: boolean } {
  const uids = Object.fromEntries(nodes.map(({ name, uid }) => [name, uid]));
  return { nodes: nodes.map(({ name }) => name), uids, ignoreMissing: true };
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

/** The same for a plan that cordons those which are schedulable. */
export function cordonFacts(nodes: readonly V1Node[]): CordonFacts['nodes'] {
  return nodes.map(({ metadata, spec }) => ({
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    schedulable: spec?.unschedulable !== true,
  }));
}

/** What a plan says of a node that it cordons. */
export function cordonEffect(node: V1Node): Effect {
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
