import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, Progress, ProgressItem } from '../../domain/action.ts';
import { budgetName, type BudgetView } from '../../domain/budget.ts';
import { nextDrainMoves, type DrainMoves } from '../../domain/drain.ts';
import type { Blocker, Effect } from '../../domain/plan.ts';
import { hasEnded, podName, staysOnNode, workloadOf, type PodView } from '../../domain/pod.ts';
import { actions, type ActionInput } from '../../runbooks/actions.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { cordonEffect, foreignCordonWarnings, nodeFacts, undoCordons } from './cordon.ts';
import { cordonNode, cordonState } from './cordon-mark.ts';
import { evictPod } from './evict.ts';
import { budgetsOver, shutBudgetBlockers, twoBudgetsBlockers } from './eviction-blockers.ts';
import { inParallel, listBudgets, podsOnNodes, readNode, readNodes } from './read.ts';

const estimateMsPerPod = 8_000;
const blockedShownMax = 3;

type DrainInput = ActionInput<'kubernetes.drain'>;
/** How nodes are drained, whichever they are. */
type DrainSettings = Omit<DrainInput, 'nodes'>;

/** Pod names change by themselves and are no facts; the workloads that will be disturbed, and their budgets, are. */
export type DrainFacts = {
  nodes: { name: string; uid: string }[];
  nodesAtOnce: number;
  workloads: string[];
  budgets: { name: string; minAvailable: string | null; maxUnavailable: string | null }[];
  /** Pods that are lost for good or lose data: they go only because the signed plan names them. */
  named: { name: string; uid: string }[];
};

/** `kubernetes.drain`: cordons nodes and evicts their pods within every PodDisruptionBudget. */
export function drainAction(clients: Clients): AnyAction {
  return defineAction<DrainInput, DrainFacts>({
    declaration: actions['kubernetes.drain'],
    plan: (input, context) => planDrain(clients, input, context),
    observe: (plan, context) => observeDrain(clients, plan, context),
    act: (plan, context) => pushDrain(clients, plan, context),
    // The pods stay where they are by then: moving them back would only disturb them again.
    undo: ({ effects }) => undoCordons(effects),
  });
}

async function planDrain(clients: Clients, input: DrainInput, context: ActionContext): Promise<PlanOf<DrainFacts>> {
  const apis = await clients.kubernetes(context.target);
  const nodes = await readNodes(apis, context.target.name, [...new Set(input.nodes)]);
  return planDrainOf(clients, nodes, input, context);
}

/**
 * The plan of a drain of nodes that have just been read: `kubernetes.drain` and whatever else empties nodes share it, with
 * `observeDrain` and `pushDrain`. Reads only. Throws `kubernetes-…` errors.
 */
export async function planDrainOf(
  clients: Clients,
  nodes: readonly V1Node[],
  settings: DrainSettings,
  { run, target }: ActionContext,
): Promise<PlanOf<DrainFacts>> {
  const apis = await clients.kubernetes(target);
  const names = nodes.map((node) => node.metadata?.name ?? '');
  const pods = (await podsOnNodes(apis, target.name, names)).filter((pod) => !staysOnNode(pod));
  const budgets = budgetsOver(pods, await listBudgets(apis, target.name));
  const workloads = [...new Set(pods.map(workloadOf))].sort();
  const running = pods.filter((pod) => !hasEnded(pod));
  const named = running.filter(isLost).sort((a, b) => podName(a).localeCompare(podName(b), 'en'));
  return {
    ...emptyPlan({
      nodes: nodeFacts(nodes),
      nodesAtOnce: settings.nodesAtOnce,
      workloads,
      budgets: budgets.map(budgetFact).sort((a, b) => a.name.localeCompare(b.name, 'en')),
      named: named.map((pod) => ({ name: podName(pod), uid: pod.uid })),
    }),
    effects: [
      ...nodes.filter((node) => cordonState(node, run) === 'none').map(cordonEffect),
      ...workloads.map((workload) => ({ object: workload, change: 'evict its pods from these nodes, within its budget' })),
      ...named.map(lossEffect),
    ],
    blockers: [...shutBudgetBlockers(budgets), ...twoBudgetsBlockers(running, budgets), ...lossBlockers(running, settings)],
    warnings: foreignCordonWarnings(nodes, run),
    notes: {
      pods: running.length,
      nodes: names,
      podsByWorkload: countBy(running, workloadOf),
      podsByNode: countBy(running, ({ node }) => node),
    },
    outputs: { nodes: names, podsMoved: running.length },
    estimateMs: running.length * estimateMsPerPod,
  };
}

function budgetFact(budget: BudgetView): DrainFacts['budgets'][number] {
  const { minAvailable = null, maxUnavailable = null } = budget;
  return { name: budgetName(budget), minAvailable, maxUnavailable };
}

/** Whether evicting the pod loses it for good, or its data. */
function isLost(pod: PodView): boolean {
  return pod.owner === undefined || pod.emptyDir;
}

function lossEffect(pod: PodView): Effect {
  const loss = pod.owner === undefined ? 'no controller brings it back' : 'the data in its emptyDir volume is lost';
  return { object: `Pod/${podName(pod)}`, change: `evict: ${loss}` };
}

function lossBlockers(pods: readonly PodView[], { force, deleteEmptyDirData }: DrainSettings): Blocker[] {
  const blockers: Blocker[] = [];
  for (const pod of pods) {
    const object = `Pod/${podName(pod)}`;
    if (pod.owner === undefined && !force) {
      const remedy = 'Move it by hand, or drain with `kubernetes.drain` and `force: true`, so that it is named in the plan.';
      blockers.push({ object, reason: 'No controller brings it back once it is evicted.', remedy });
    }
    if (pod.emptyDir && !deleteEmptyDirData) {
      const remedy = 'Save the data, or drain with `kubernetes.drain` and `deleteEmptyDirData: true`, so that it is named in the plan.';
      blockers.push({ object, reason: 'The data in its emptyDir volume is lost with it.', remedy });
    }
  }
  return blockers;
}

interface DrainView {
  /** The moves of the pods that may go. */
  moves: DrainMoves;
  /** All pods that have to leave the nodes. */
  pods: PodView[];
  /** Those of them that would be lost and that the signed plan does not name. */
  unnamed: PodView[];
  uncordoned: string[];
  /** Names of the planned nodes that still exist under the planned UID. */
  present: string[];
}

async function lookAtDrain(clients: Clients, plan: PlanOf<DrainFacts>, { run, target }: ActionContext): Promise<DrainView> {
  const apis = await clients.kubernetes(target);
  const nodes = await inParallel(plan.facts.nodes, async ({ name, uid }) => {
    const node = await readNode(apis, target.name, name);
    return node?.metadata?.uid === uid ? node : undefined;
  });
  const present = nodes.flatMap((node) => node?.metadata?.name ?? []);
  const pods = (await podsOnNodes(apis, target.name, present)).filter((pod) => !staysOnNode(pod));
  const budgets = await listBudgets(apis, target.name);
  const uncordoned = nodes.flatMap((node) => (node && cordonState(node, run) === 'none' ? (node.metadata?.name ?? []) : []));
  // Pods that may not go must neither spend a budget nor keep the next node waiting.
  const unnamed = pods.filter((pod) => !pod.terminating && !mayGo(pod, plan.facts));
  const moving = pods.filter((pod) => !unnamed.includes(pod));
  return { moves: nextDrainMoves(present, moving, budgets, plan.facts.nodesAtOnce), pods, unnamed, uncordoned, present };
}

/** How far the planned nodes are drained; what is `done` has no pod left on any of them that a drain moves. Reads only. */
export async function observeDrain(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext): Promise<Observation> {
  const view = await lookAtDrain(clients, plan, context);
  const progress = drainProgress(plan, view);
  if (view.uncordoned.length > 0 || view.moves.evict.length > 0) return { state: 'todo', progress };
  const { unnamed } = view;
  if (unnamed.length > 0 && unnamed.length === view.pods.length) return { ...stuckOnUnnamed(unnamed), progress };
  if (view.pods.length > 0) return { state: 'moving', progress };
  const planned = typeof plan.outputs.podsMoved === 'number' ? plan.outputs.podsMoved : 0;
  return { state: 'done', outputs: { nodes: plan.facts.nodes.map(({ name }) => name), podsMoved: planned }, progress };
}

/** Cordons what is not cordoned and asks for the evictions that the budgets allow now. Touches the planned nodes only. */
export async function pushDrain(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext): Promise<void> {
  const { moves, uncordoned } = await lookAtDrain(clients, plan, context);
  const apis = await clients.kubernetes(context.target);
  const cluster = context.target.name;
  // Cordoned first, or the evicted pods would come right back.
  await inParallel(
    plan.facts.nodes.filter(({ name }) => uncordoned.includes(name)),
    (node) => cordonNode(apis, cluster, node, context.run),
  );
  await inParallel(moves.evict, (pod) => evictPod(apis, cluster, pod));
}

function stuckOnUnnamed(pods: readonly PodView[]): { state: 'stuck'; reason: string; remedy: string } {
  const names = pods.slice(0, blockedShownMax).map(podName).join(', ');
  return {
    state: 'stuck',
    reason: `${pods.length} pods came to the nodes after the plan was signed and would be lost or lose data: ${names}.`,
    remedy: 'Move or delete them by hand and try again, or abort and have a new plan signed that names them.',
  };
}

/** A pod that is lost for good, or whose data is, goes only if the signed plan names it. */
function mayGo(pod: PodView, facts: DrainFacts): boolean {
  return !isLost(pod) || hasEnded(pod) || facts.named.some(({ uid }) => uid === pod.uid);
}

function drainProgress(plan: PlanOf<DrainFacts>, { moves, pods, unnamed, present }: DrainView): Progress {
  const planned = (plan.notes.podsByNode ?? {}) as Record<string, number>;
  const items = plan.facts.nodes.map(({ name }): ProgressItem => {
    const left = pods.filter((pod) => pod.node === name).length;
    const total = Math.max(planned[name] ?? left, left);
    const blocked = moves.blocked.find(({ pod }) => pod.node === name)?.reason ?? unnamedOn(name, unnamed);
    const waiting = moves.later.some((pod) => pod.node === name);
    if (left === 0) return { name, state: 'done', done: total, total, detail: present.includes(name) ? undefined : 'gone' };
    if (waiting) return { name, state: 'waiting', done: total - left, total };
    return { name, state: blocked === undefined ? 'moving' : 'blocked', done: total - left, total, detail: blocked };
  });
  const total = items.reduce((sum, item) => sum + item.total, 0);
  const done = items.reduce((sum, item) => sum + item.done, 0);
  return { summary: drainSummary(moves, done, total), done, total, unit: 'pods', items };
}

function unnamedOn(node: string, unnamed: readonly PodView[]): string | undefined {
  const count = unnamed.filter((pod) => pod.node === node).length;
  return count === 0 ? undefined : `pods that the signed plan does not name: ${count}`;
}

function drainSummary(moves: DrainMoves, done: number, total: number): string {
  const parts = [`${done} of ${total} pods gone`];
  if (moves.terminating.length > 0) parts.push(`${moves.terminating.length} ending`);
  const reasons = [...new Set(moves.blocked.map(({ reason }) => reason))].slice(0, blockedShownMax);
  if (moves.blocked.length > 0) parts.push(`${moves.blocked.length} waiting: ${reasons.join('; ')}`);
  return parts.join(', ');
}

function countBy(pods: readonly PodView[], key: (pod: PodView) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const pod of pods) counts[key(pod)] = (counts[key(pod)] ?? 0) + 1;
  return counts;
}
