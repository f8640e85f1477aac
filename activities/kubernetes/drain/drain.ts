import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation } from '../../../domain/action.ts';
import { budgetName, type BudgetView } from '../../../domain/drain/budget.ts';
import { waitedFor } from '../../../domain/drain/drain.ts';
import { forecastDrain, type DrainWave } from '../../../domain/drain/forecast.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Blocker, Effect } from '../../../domain/plan/plan.ts';
import { hasEnded, isDaemon, isLost, optOutOf, podName, staysOnNode, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { isSurged, workloadsByName, type WorkloadView } from '../../../domain/drain/workload.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { nodeView, readCluster, type ClusterReading } from './cluster-state.ts';
import { cordonEffect, cordonFacts, foreignCordonWarnings, undoCordons } from '../cordon/cordon.ts';
import { cordonOwner, cordonState } from '../cordon/owner-annotation.ts';
import { drainSettings, signedSettings, type DrainFacts, type DrainInput, type SignedSettings } from './facts.ts';
import { reviewDrain, reviewWarnings, type DrainReview } from './review.ts';
import { DrainSession } from './session.ts';
import { budgetsOver, shutBudgetBlockers, twoBudgetsBlockers } from './eviction-blockers.ts';
import { deletionAsks, drainAsks, mayI, rolloutAsks, volumeAsks, type Ask } from '../client/permissions.ts';
import { podView } from './view.ts';

/** Workloads whose several pods are told one by one. */
const objectsShownMax = 3;
/** What is told of the order in which pods are expected to go. */
const wavesShownMax = 20;
const podsOfWaveShownMax = 10;
/** For its cordon, and the beginning of its drain. */
const estimateMsPerNode = 200;

/** `kubernetes.drain`: cordons nodes and evicts their pods within every PodDisruptionBudget. */
export function drainAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'kubernetes.drain'>, DrainFacts>({
    declaration: actions['kubernetes.drain'],
    plan: (input, context) => planDrain(clients, input, context),
    observe: (plan, context) => observeDrain(clients, plan, context),
    act: (plan, context) => pushDrain(clients, plan, context),
    follow: (plan, context) => DrainSession.open(clients, plan, context, true),
    // The pods stay where they are by then: moving them back would only disturb them again.
    undo: async ({ facts }) => undoCordons(facts),
  });
}

async function planDrain(
  clients: Clients,
  { nodes: names, ...input }: ActionInput<'kubernetes.drain'>,
  context: ActionContext,
): Promise<PlanOf<DrainFacts>> {
  const { target } = context;
  const reading = await readCluster(() => clients.kubernetes(target), target.name);
  const known = new Set(reading.nodes.map(({ metadata }) => metadata?.name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw new HoldpointError('node-unknown', { cluster: target.name, node: unknown });
  return planDrainOf(clients, reading, names, input, context);
}

/**
 * The plan of a drain of those of the named nodes that are there, from what has just been read: `kubernetes.drain` and whatever else
 * empties nodes share it, with `observeDrain` and `pushDrain`. Reads only. Throws `kubernetes-…` errors.
 */
export async function planDrainOf(
  clients: Clients,
  reading: ClusterReading,
  wanted: readonly string[],
  input: DrainInput,
  { run, target }: ActionContext,
): Promise<PlanOf<DrainFacts>> {
  const { budgets: allBudgets, workloads: workloadViews } = reading;
  const byName = new Map(reading.nodes.map((node) => [node.metadata?.name ?? '', node]));
  const nodes = [...new Set(wanted)].flatMap((name) => byName.get(name) ?? []);
  const names = nodes.map((node) => node.metadata?.name ?? '');
  const drained = nodes.map((node) => nodeView(node, run));
  const settings = signedSettings(input, drained);
  const apis = await clients.kubernetes(target);
  const all = reading.pods.map(podView);
  const known = workloadsByName(workloadViews);
  const pods = all.filter((pod) => names.includes(pod.node) && leaves(pod, settings));
  const budgets = budgetsOver(pods, allBudgets);
  const workloads = [...new Set(pods.map(workloadOf))].sort();
  const running = pods.filter((pod) => !hasEnded(pod));
  const moved = running.filter((pod) => !isDaemon(pod));
  const named = moved.filter(isLost).sort((a, b) => podName(a).localeCompare(podName(b), 'en'));
  const singletons = workloads.filter((workload) => known.get(workload)?.replicas === 1);
  const facts: DrainFacts = {
    nodes: cordonFacts(nodes),
    settings,
    workloads,
    budgets: budgets.map(budgetFact).sort((a, b) => a.name.localeCompare(b.name, 'en')),
    named: named.map((pod) => ({ name: podName(pod), uid: pod.uid })),
    singletons,
    volumes: moved.some(({ claims }) => claims.length > 0),
  };
  const [forbidden, review] = await Promise.all([
    mayI(apis, target.name, asksFor(facts)),
    reviewDrain(apis, target.name, reading, names, budgets, (pod) => leaves(pod, settings) && !isDaemon(pod)),
  ]);
  const { waves, lastsMs } = forecastDrain(
    { nodes: drained, pods: all, budgets: allBudgets, workloads: workloadViews, asked: new Set(), refused: new Map(), nowMs: Date.now() },
    drainSettings(facts),
  );
  return {
    ...emptyPlan(facts),
    effects: [
      ...nodes.filter((node) => cordonState(node, run) === 'none').map(cordonEffect),
      ...workloads.map((workload) => workloadEffect(workload, known.get(workload), settings)),
      ...named.map(lossEffect),
    ],
    blockers: [
      ...forbidden,
      ...foreignCordonBlockers(nodes, run, input),
      ...budgetBlockers(budgets, moved, known, settings),
      ...lossBlockers(moved, input),
      ...endlessBlockers(moved),
      ...surgeBlockers(singletons, known, settings),
      ...localVolumeBlockers(review, input),
    ],
    notes: [...alsoCordonedWarnings(nodes, run, input), ...waitWarnings(moved, settings), ...reviewWarnings(review)],
    details: {
      pods: moved.length,
      nodes: names,
      podsByWorkload: countBy(moved, workloadOf),
      podsByNode: countBy(running, ({ node }) => node),
      waves: waves.slice(0, wavesShownMax).map(waveNote),
      wavesLeftOut: Math.max(0, waves.length - wavesShownMax),
    },
    outputs: { nodes: names, podsMoved: moved.length },
    expects: (['nodes-cordoned', 'nodes-drained'] as const).map((change) => ({ change, nodes: names })),
    estimateMs: nodes.length * estimateMsPerNode + lastsMs,
  };
}

function asksFor({ settings, volumes }: DrainFacts): Ask[] {
  const deletes = settings.onDeadline === 'delete';
  return [
    ...drainAsks,
    ...(volumes ? volumeAsks : []),
    ...(settings.singletons === 'surge' ? rolloutAsks : []),
    ...(deletes ? deletionAsks : []),
  ];
}

/** Whether a drain with these settings moves the pod. */
function leaves(pod: PodView, { daemonSets }: SignedSettings): boolean {
  return !staysOnNode(pod) || (daemonSets === 'evict' && isDaemon(pod) && !pod.mirror);
}

function workloadEffect(workload: string, view: WorkloadView | undefined, settings: SignedSettings): Effect {
  const late =
    settings.onDeadline === 'delete'
      ? '; after the deadline delete what is left, whatever keeps it (budget, mark, Job), by force where a node is not Ready'
      : '';
  if (view?.replicas !== 1) return { object: workload, change: `evict its pods from these nodes, within its budget${late}` };
  const isToSurge = settings.singletons === 'surge' && view.kind === 'Deployment';
  if (isToSurge) return { object: workload, change: 'roll it out anew, so that its only pod is replaced before it ends' };
  return { object: workload, change: `evict its only pod: it is down until the pod is Ready elsewhere${late}` };
}

/** Those of budgets that stay shut, or of which there are two; a rollout asks none. */
function budgetBlockers(
  budgets: readonly BudgetView[],
  pods: readonly PodView[],
  known: ReadonlyMap<string, WorkloadView>,
  { singletons }: SignedSettings,
): Blocker[] {
  const evicted = pods.filter((pod) => !isSurged(known.get(workloadOf(pod)), singletons));
  return [...shutBudgetBlockers(budgets, evicted), ...twoBudgetsBlockers(evicted, budgets)];
}

/** Nobody can know how long they take, so the estimate is without them. */
function waitWarnings(pods: readonly PodView[], { jobs }: SignedSettings): string[] {
  const waited = pods.filter((pod) => pod.completes && waitedFor(pod, Date.now(), jobs) !== undefined);
  return Object.entries(countBy(waited, workloadOf)).map(
    ([workload, count]) =>
      `${workload}: ${count} of its pods are waited for until they end by themselves, and nobody knows how long that takes.`,
  );
}

function alsoCordonedWarnings(nodes: readonly V1Node[], run: string, { alsoCordoned }: DrainInput): string[] {
  return alsoCordoned ? foreignCordonWarnings(nodes, run) : [];
}

function foreignCordonBlockers(nodes: readonly V1Node[], run: string, { alsoCordoned }: DrainInput): Blocker[] {
  if (alsoCordoned) return [];
  return nodes
    .filter((node) => cordonState(node, run) === 'foreign')
    .map((node) => {
      const name = node.metadata?.name ?? '';
      const owner = cordonOwner(node);
      const whose = owner === undefined ? 'by hand or by another tool' : `by run ${owner}`;
      return {
        object: `Node/${name}`,
        reason: `It is cordoned already, ${whose}: somebody may be at work on it.`,
        remedy: `Ask who has cordoned it; then lift that cordon (\`kubectl uncordon ${name}\`), or plan with \`alsoCordoned: true\`.`,
      };
    });
}

/** Pods that their owner will not have disturbed, and that never end by themselves. */
function endlessBlockers(pods: readonly PodView[]): Blocker[] {
  const found = new Map<string, { mark: string; pods: PodView[] }>();
  for (const pod of pods) {
    const optOut = optOutOf(pod, Date.now());
    if (optOut?.treatment !== 'wait' || pod.completes) continue;
    const known = found.get(workloadOf(pod));
    if (known) known.pods.push(pod);
    else found.set(workloadOf(pod), { mark: optOut.mark, pods: [pod] });
  }
  return [...found].map(([object, { mark, pods: marked }]) => ({
    object,
    reason: `${marked.length} of its pods must not be disturbed (${mark}) and never end by themselves: ${shown(marked.map(podName))}.`,
    remedy: 'Have its owner take that mark away for the time of the maintenance, then plan again.',
  }));
}

function surgeBlockers(names: readonly string[], known: ReadonlyMap<string, WorkloadView>, { singletons }: SignedSettings): Blocker[] {
  if (singletons !== 'surge') return [];
  return names.flatMap((object) => {
    const { kind, noSurge } = known.get(object) ?? {};
    if (kind !== 'Deployment' || noSurge === undefined) return [];
    const reason = `A rollout cannot start its new pod before the old one ends: ${noSurge}.`;
    return [{ object, reason, remedy: 'Have its owner allow for it, or plan with `singletons: evict`, which takes it down for a while.' }];
  });
}

/** Data that stays behind on the node is as good as lost to its pod. */
function localVolumeBlockers({ placement }: DrainReview, { deleteEmptyDirData }: DrainInput): Blocker[] {
  if (deleteEmptyDirData) return [];
  return placement
    .filter(({ kind }) => kind === 'local-volume')
    .map(({ workload, sentence, remedy }) => ({
      object: workload,
      reason: sentence,
      remedy: `${remedy} Or plan with \`deleteEmptyDirData: true\`, which leaves that data behind.`,
    }));
}

function shown(names: readonly string[]): string {
  return names.slice(0, objectsShownMax).join(', ') + (names.length > objectsShownMax ? ', …' : '');
}

function waveNote({ afterMs, pods }: DrainWave): JsonObject {
  const names = pods.slice(0, podsOfWaveShownMax).map((pod) => `${podName(pod)} on ${pod.node}`);
  return { afterSeconds: Math.round(afterMs / 1000), pods: pods.length, names };
}

function budgetFact(budget: BudgetView): DrainFacts['budgets'][number] {
  const { minAvailable = null, maxUnavailable = null } = budget;
  return { name: budgetName(budget), minAvailable, maxUnavailable };
}

function lossEffect(pod: PodView): Effect {
  const loss = pod.owner === undefined ? 'no controller brings it back' : 'the data in its emptyDir volume is lost';
  return { object: `Pod/${podName(pod)}`, change: `evict: ${loss}` };
}

function lossBlockers(pods: readonly PodView[], { force, deleteEmptyDirData }: DrainInput): Blocker[] {
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

/** How far the planned nodes are drained; what is `done` has no pod left on any of them that a drain moves. Reads only. */
export async function observeDrain(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext): Promise<Observation> {
  return (await DrainSession.open(clients, plan, context, false)).observe();
}

/** Cordons what is not cordoned and asks for the evictions that the budgets allow now. Touches the planned nodes only. */
export async function pushDrain(clients: Clients, plan: PlanOf<DrainFacts>, context: ActionContext): Promise<void> {
  const session = await DrainSession.open(clients, plan, context, false);
  await session.act();
  await session.settle();
}

function countBy(pods: readonly PodView[], key: (pod: PodView) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const pod of pods) counts[key(pod)] = (counts[key(pod)] ?? 0) + 1;
  return counts;
}
