import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation } from '../../../domain/action.ts';
import { budgetName, type BudgetView } from '../../../domain/drain/budget.ts';
import { waitedFor } from '../../../domain/drain/drain.ts';
import { forecastDrain, type DrainForecast, type DrainWave } from '../../../domain/drain/forecast.ts';
import { nodeKindNotes } from '../../../domain/drain/node-kinds.ts';
import { claimsOf, isDaemon, podName, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import type { WorkloadView } from '../../../domain/drain/workload.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { comesBackForSure, whyItComesBack } from '../../../domain/drain/returning-pods.ts';
import { getOrAdd, groupBy } from '../../../domain/map.ts';
import { durationText } from '../../../domain/time.ts';
import type { Effect } from '../../../domain/plan/plan.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import type { KubernetesApis } from '../client/connect.ts';
import { deletionAsks, drainAsks, mayI, rolloutAsks, volumeAsks, type Ask } from '../client/permissions.ts';
import { nodesUnknown } from '../client/read.ts';
import { cordonEffect, cordonFacts, foreignCordonWarnings, undoCordons } from '../cordon/cordon.ts';
import { cordonState, turnBegan } from '../cordon/owner-annotation.ts';
import { readCluster, type ClusterReading } from './cluster-state.ts';
import { drainBlockers } from './drain-blockers.ts';
import { isAccepted } from './eviction-blockers.ts';
import { expectedReading, type ExpectedReading } from './expected-reading.ts';
import { drainSettings, type DrainFacts, type DrainInput, type SignedSettings } from './facts.ts';
import { leaves, podsOfDrain, type PodsOfDrain } from './pods-of-drain.ts';
import { reviewDrain, type DrainReview } from './review.ts';
import { drainRisks } from './risks.ts';
import { DrainSession } from './session.ts';
import { orphanedAttachments, type OrphanedAttachment } from './volumes.ts';

/** What is told of the order in which pods are expected to go. */
const wavesShownMax = 20;
const podsOfWaveShownMax = 10;
/** A grace period that is told of. */
const longGraceMs = 3_600_000;
const orphansShownMax = 3;
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
  const known = reading.nodes.map(({ metadata }) => metadata?.name ?? '');
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw nodesUnknown(target.name, unknown, known);
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
  { run, target, expected = [] }: ActionContext,
): Promise<PlanOf<DrainFacts>> {
  const place = { apis: await clients.kubernetes(target), cluster: target.name, run };
  return planDrainIn(place, expectedReading(reading, expected, run), wanted, input);
}

/** Where a drain is planned, and for which run; its id is empty where there is none yet. */
interface PlaceOfDrain {
  apis: KubernetesApis;
  cluster: string;
  run: string;
}

/** The same for whoever has no target: from a cluster as it will be when the drain begins. Reads only. Throws `kubernetes-…` errors. */
export async function planDrainIn(
  { apis, cluster, run }: PlaceOfDrain,
  reading: ExpectedReading,
  wanted: readonly string[],
  input: DrainInput,
): Promise<PlanOf<DrainFacts>> {
  const pods = podsOfDrain(reading, wanted, input, run);
  const { settings, nodes, names, budgets, zero, moved, running } = pods;
  const [forbidden, orphaned, review] = await Promise.all([
    mayI(apis, cluster, asksFor(settings, running)),
    haveVolumes(running) ? orphanedAttachments(apis, cluster, pods.drained, pods.onNodes) : [],
    reviewDrain(apis, cluster, reading, names, budgets, (pod) => leaves(pod, settings) && !isDaemon(pod)),
  ]);
  const facts = factsOf(pods, review);
  const forecast = forecastOf(pods, reading, facts);
  // Of budgets that are waited for a risk tells.
  const acceptedPods = new Set(zero.filter((found) => isAccepted(found, settings)).flatMap((found) => found.pods));
  const held = heldOf(forecast.left.filter(({ pod }) => !acceptedPods.has(pod)));
  const blockers = [...forbidden, ...drainBlockers(pods, review, input, run)];
  return {
    ...emptyPlan(facts),
    effects: effectsOf(pods, run, reading.drainedBefore),
    risks: drainRisks(pods, review, input),
    blockers,
    notes: [...notesOf(pods, review, input, run), ...orphanNotes(orphaned), ...(blockers.length > 0 ? [] : heldNotes(held))],
    details: { ...detailsOf(pods, forecast.waves, held), orphanedAttachments: orphaned.map(({ name }) => name) },
    outputs: { nodes: names, podsMoved: moved.length },
    expects: [
      { change: 'nodes-cordoned', nodes: names },
      { change: 'nodes-drained', nodes: names },
    ],
    estimateMs: nodes.length * estimateMsPerNode + forecast.lastsMs,
    undoEstimateMs: nodes.length * estimateMsPerNode,
  };
}

function factsOf(
  { nodes, settings, workloads, budgets, lost, dataLost, singletons, running }: PodsOfDrain,
  review: DrainReview,
): DrainFacts {
  return {
    nodes: cordonFacts(nodes),
    settings,
    workloads,
    budgets: budgets.map(budgetFact).sort((a, b) => a.name.localeCompare(b.name, 'en')),
    named: lost.map((pod) => ({ name: podName(pod), uid: pod.uid })),
    dataLost,
    singletons,
    destinations: review.destinations,
    volumes: haveVolumes(running),
  };
}

function haveVolumes(pods: readonly PodView[]): boolean {
  return pods.some((pod) => !isDaemon(pod) && claimsOf(pod).length > 0);
}

function asksFor(settings: SignedSettings, running: readonly PodView[]): Ask[] {
  const deletes = settings.onDeadline === 'delete';
  return [
    ...drainAsks,
    ...(haveVolumes(running) ? volumeAsks : []),
    ...(settings.singletons === 'surge' ? rolloutAsks : []),
    ...(deletes ? deletionAsks : []),
  ];
}

function forecastOf({ drained, all }: PodsOfDrain, { budgets, workloads }: ExpectedReading, facts: DrainFacts): DrainForecast {
  const nothingAsked = { asked: new Set<string>(), refused: new Map<string, never>() };
  const snapshot = { nodes: drained, pods: all, budgets, workloads, ...nothingAsked, hasDestination: true, nowMs: Date.now() };
  return forecastDrain(snapshot, drainSettings(facts));
}

function effectsOf(pods: PodsOfDrain, run: string, drainedBefore: ReadonlySet<string>): Effect[] {
  const { nodes, workloads, known, settings } = pods;
  const unmanaged = new Set(pods.lost.map(workloadOf));
  const singletons = new Set(pods.singletons);
  const has = (workload: string): WorkloadTraits => ({ isUnmanaged: unmanaged.has(workload), isOnly: singletons.has(workload) });
  return [
    ...nodes.filter(({ metadata }) => !drainedBefore.has(metadata?.name ?? '')).flatMap((node) => nodeEffects(node, run)),
    ...workloads.map((workload) => workloadEffect(workload, known.get(workload), has(workload), settings)),
  ];
}

/** The node is taken out of load balancers when its turn comes, whoever has cordoned it. */
function nodeEffects(node: V1Node, run: string): Effect[] {
  const unreached = 'load balancers send nothing to it once its turn comes';
  const { change, ...cordon } = cordonEffect(node);
  if (cordonState(node, run) === 'none') return [{ ...cordon, change: `${change}, and ${unreached}` }];
  return turnBegan(node, run) === undefined ? [{ object: cordon.object, change: unreached }] : [];
}

/** What the effect on a workload depends on, beside the settings. */
interface WorkloadTraits {
  isUnmanaged: boolean;
  isOnly: boolean;
}

function workloadEffect(
  workload: string,
  view: WorkloadView | undefined,
  { isUnmanaged, isOnly }: WorkloadTraits,
  settings: SignedSettings,
): Effect {
  const late =
    settings.onDeadline === 'delete'
      ? '; after the deadline delete what is left, whatever keeps it (budget, mark, Job), with 30 s to end for what asks for longer, ' +
        'and by force where a node is not Ready'
      : '';
  if (isUnmanaged) return { object: workload, change: `evict it, within its budget${late}` };
  if (!isOnly) return { object: workload, change: `evict its pods from these nodes, within its budget${late}` };
  const isToSurge = settings.singletons === 'surge' && view?.kind === 'Deployment';
  if (isToSurge) return { object: workload, change: 'roll it out anew, so that its only pod is replaced before it ends' };
  return { object: workload, change: `evict its only pod, within its budget${late}` };
}

function notesOf({ nodes, moved, settings }: PodsOfDrain, { traffic }: DrainReview, { alsoCordoned }: DrainInput, run: string): string[] {
  return [
    ...(alsoCordoned ? foreignCordonWarnings(nodes, run) : []),
    ...waitNotes(moved, settings),
    ...graceNotes(moved, settings),
    ...returnNotes(moved),
    ...nodeKindNotes(nodes.map(({ metadata }) => ({ name: metadata?.name ?? '', labels: metadata?.labels }))),
    ...traffic.map(({ sentence, remedy }) => `${sentence} ${remedy}`),
  ];
}

/** What was left attached before the drain is nothing that it waits for. */
function orphanNotes(orphaned: readonly OrphanedAttachment[]): string[] {
  if (orphaned.length === 0) return [];
  const shown = orphaned.slice(0, orphansShownMax).map(({ node, volume }) => `${volume} on ${node}`);
  return [
    `Volumes of no pod there are attached to these nodes, and are not waited for: ${shown.join(', ')}` +
      `${orphaned.length > orphansShownMax ? ', …' : ''}. See \`kubectl get volumeattachments\`.`,
  ];
}

/** Nobody can know how long they take, so the estimate is without them. */
function waitNotes(pods: readonly PodView[], { jobs }: SignedSettings): string[] {
  const waited = pods.filter((pod) => pod.completes && waitedFor(pod, Date.now(), jobs) !== undefined);
  return Object.entries(countBy(waited, workloadOf)).map(
    ([workload, count]) =>
      `${workload}: ${count} of its pods are waited for until they end by themselves, and nobody knows how long that takes.`,
  );
}

/** Pods that may take hours to end: the estimate is without them, too. */
function graceNotes(pods: readonly PodView[], { gracePeriodSeconds, nodeDeadlineMs, onDeadline }: SignedSettings): string[] {
  if (gracePeriodSeconds !== null) return [];
  return [...groupBy(pods, workloadOf)].flatMap(([workload, group]) => {
    const graceMs = group.reduce((most, pod) => Math.max(most, pod.graceMs), 0);
    const isCutShort = nodeDeadlineMs !== null && graceMs > nodeDeadlineMs;
    if (graceMs < longGraceMs && !isCutShort) return [];
    const after = onDeadline === 'delete' ? 'then they have 30 s more' : 'then the drain stops and asks';
    const deadline = isCutShort ? `, which is longer than the deadline of a node (${durationText(nodeDeadlineMs)}): ${after}` : '';
    return [`${workload}: its pods may take up to ${durationText(graceMs)} to end once they are asked to (their grace period)${deadline}.`];
  });
}

/** Pods that may come back or not: a scheduler may choose another node, and a controller of their own may know better. */
function returnNotes(pods: readonly PodView[]): string[] {
  const found = pods.filter((pod) => whyItComesBack(pod) !== undefined && !comesBackForSure(pod) && pod.owner !== undefined);
  return [...groupBy(found, workloadOf)].map(
    ([workload, group]) =>
      `${workload}: ${group.length} of its pods may come back to the same node (${group.map(whyItComesBack)[0] ?? ''}). ` +
      'What comes back is not evicted again; the drain is stuck then.',
  );
}

/** Pods that will not have gone when everything has come to rest, as things are: a person has to see to what holds them. */
function heldNotes(held: readonly HeldPods[]): string[] {
  return held
    .filter(({ waits }) => !waits)
    .map(({ workload, pods, reason, remedy }) => {
      const told = `${workload}: as things are, ${pods} of its pods do not go: ${reason}.`;
      return remedy === undefined ? told : `${told} ${remedy}`;
    });
}

/** Pods of a workload that stay for the same reason. */
type HeldPods = { workload: string; pods: number; names: string[]; reason: string; waits: boolean; remedy?: string };

function heldOf(left: DrainForecast['left']): HeldPods[] {
  const groups = new Map<string, HeldPods>();
  for (const { pod, reason, remedy } of left) {
    const workload = workloadOf(pod);
    const waits = pod.completes;
    const made = { workload, pods: 0, names: [], reason, waits, ...(remedy !== undefined && { remedy }) };
    const group = getOrAdd(groups, JSON.stringify([workload, reason]), (): HeldPods => made);
    group.pods += 1;
    if (group.names.length < podsOfWaveShownMax) group.names.push(`${podName(pod)} on ${pod.node}`);
  }
  return [...groups.values()];
}

function detailsOf({ moved, names, running }: PodsOfDrain, waves: readonly DrainWave[], held: readonly HeldPods[]): JsonObject {
  return {
    pods: moved.length,
    nodes: names,
    podsByWorkload: countBy(moved, workloadOf),
    podsByNode: countBy(running, ({ node }) => node),
    waves: waves.slice(0, wavesShownMax).map(waveNote),
    wavesLeftOut: Math.max(0, waves.length - wavesShownMax),
    held: held.slice(0, wavesShownMax),
  };
}

function waveNote({ afterMs, pods }: DrainWave): JsonObject {
  const names = pods.slice(0, podsOfWaveShownMax).map((pod) => `${podName(pod)} on ${pod.node}`);
  return { afterSeconds: Math.round(afterMs / 1000), pods: pods.length, names };
}

function budgetFact(budget: BudgetView): DrainFacts['budgets'][number] {
  const { minAvailable = null, maxUnavailable = null } = budget;
  return { name: budgetName(budget), minAvailable, maxUnavailable };
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
