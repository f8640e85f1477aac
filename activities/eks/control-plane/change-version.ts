import { UpdateClusterVersionCommand, type Cluster, type Update } from '@aws-sdk/client-eks';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import { expectedOfNodes, expectedVersion, isRemoved, type ExpectedChange } from '../../../domain/plan/expected.ts';
import type { Blocker, Risk } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { minorsBetween, rollbackProblem, rollbackWithinMs, upgradeProblem } from '../../../domain/version/hop.ts';
import { sameMinorVersion, skewProblem } from '../../../domain/version/version.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { inParallel, listNodes } from '../../kubernetes/client/read.ts';
import { findNodegroup } from '../nodegroup/nodegroup.ts';
import { clusterBlockers, clusterFacts, listNodegroups, readCluster } from '../cluster.ts';
import { askForUpdate } from '../update/ask-for-update.ts';
import { describeUpdate } from '../update/planned-change.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import { cancelRollback, isAutoMode } from './cancel.ts';
import { isPlanned, rollbackEndOf, type VersionChange, type VersionFacts } from './facts.ts';
import { insightBlocker, insightName, insightRisk, findingOf, readInsights } from './insights.ts';
import { foreignVersionUpdate, observeVersion } from './watch-version.ts';

/** A control plane takes about ten minutes for a minor version. */
const estimateMs = 10 * 60_000;
const nodesShownMax = 5;
const computeTypeLabel = 'eks.amazonaws.com/compute-type';
const warningsShownMax = 10;

type Input = ActionInput<'eks.updateControlPlane'> & { nodesTimeout?: string };

/** The cluster that a plan is made for, with what the steps before will have done to it. */
interface ClusterInHand {
  clients: Clients;
  target: Target;
  expected: readonly ExpectedChange[];
}

/** What the two ways differ in. */
interface Way {
  change: VersionChange;
  category: 'UPGRADE_READINESS' | 'ROLLBACK_READINESS';
  effect: string;
  /** What stands in the way besides what EKS finds. Reads only. */
  blockers: (cluster: ClusterInHand, facts: VersionFacts, updates: readonly Update[]) => Promise<Blocker[]>;
  notes(facts: VersionFacts): string[];
}

const up: Way = {
  change: 'VersionUpdate',
  category: 'UPGRADE_READINESS',
  effect: 'upgrade the control plane',
  blockers: upgradeBlockers,
  notes: ({ from }) => [
    `EKS takes the control plane back to ${from} within 7 days of the upgrade, as long as no node is newer than ${from}.`,
    'Add-ons and nodes keep their versions.',
  ],
};

const back: Way = {
  change: 'VersionRollback',
  category: 'ROLLBACK_READINESS',
  effect: 'roll the control plane back',
  blockers: rollbackBlockers,
  notes: ({ nodesTimeoutMinutes: minutes }) => [
    minutes === undefined
      ? 'What is in etcd stays as it is. Add-ons and nodes keep their versions.'
      : `What is in etcd stays as it is, and so do add-ons. EKS takes its nodes (Auto Mode) back first, for ${minutes} minutes at most.`,
  ],
};

/** `eks.updateControlPlane`: EKS takes the control plane one minor version up. */
export function updateControlPlaneAction(clients: Clients): AnyAction {
  return defineAction<Input, VersionFacts>({
    declaration: actions['eks.updateControlPlane'],
    plan: (input, context) => planChange(clients, up, input, context),
    observe: ({ facts }, context) => observeVersion(clients, facts, up.change, context),
    act: ({ facts }, context) => change(clients, up, facts, context),
    undo: async ({ facts }, { target }, seen) => undoBy('eks.rollbackControlPlane', facts, target, seen),
  });
}

/** `eks.rollbackControlPlane`: EKS takes the control plane back to the minor version that it was upgraded from. */
export function rollbackControlPlaneAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'eks.rollbackControlPlane'>, VersionFacts>({
    declaration: actions['eks.rollbackControlPlane'],
    plan: (input, context) => planChange(clients, back, input, context),
    observe: ({ facts }, context) => observeVersion(clients, facts, back.change, context),
    act: ({ facts }, context) => change(clients, back, facts, context),
    undo: async ({ facts }, { target }, seen) => undoBy('eks.updateControlPlane', facts, target, seen),
  });
}

/** Each way is undone by the other one, which waits for what is in progress. */
function undoBy(uses: string, { from }: VersionFacts, target: Target, seen?: Observation): Undo {
  if (isUntouched(seen)) {
    return { nothing: `No update of the control plane of ${target.name} has been begun, which is at ${from} as before.` };
  }
  return [{ uses, with: { version: from, waitForUpdate: true } }];
}

async function planChange(
  clients: Clients,
  way: Way,
  { version: to, waive, waitForUpdate, nodesTimeout }: Input,
  { target, expected = [] }: ActionContext,
): Promise<PlanOf<VersionFacts>> {
  const cluster = await readCluster(clients, target);
  const updates = await readUpdates(clients, target);
  const inFlight = updateInProgress(updates);
  const awaited = waitForUpdate && inFlight ? versionOfOther(way, inFlight) : undefined;
  const object = `Cluster/${target.name}`;
  const from = expectedVersion(expected, object) ?? awaited ?? cluster.version ?? '';
  const { errors, warnings } = await readInsights(clients, target, way.category, to);
  const waivers = new Map(waive.filter(isInForce).map(({ insight, reason }) => [insight, reason]));
  const waived = errors.filter((insight) => waivers.has(insightName(insight)));
  const facts: VersionFacts = {
    ...clusterFacts(cluster),
    from,
    to,
    waived: waived.map(insightName).sort(),
    waitForUpdate,
    ...autoModeFacts(cluster, awaited === undefined ? undefined : inFlight, nodesTimeout),
  };
  const rollbackUntil = way === up ? rollbackEndOf(updates, to) : undefined;
  const plan = { ...emptyPlan(facts), outputs: { version: to, ...(rollbackUntil !== undefined && { rollbackUntil }) } };
  if (cluster.status !== 'UPDATING' && sameMinorVersion(from, to)) {
    return { ...plan, facts: { ...facts, waived: [] }, notes: [`The control plane is at ${from} already.`] };
  }
  return {
    ...plan,
    effects: [
      ...(facts.cancels === undefined ? [] : [{ object, change: `cancel the rollback in progress (${facts.cancels})` }]),
      { object, change: way.effect, before: from, after: to },
    ],
    risks: waived.map((insight): Risk => insightRisk(insight, waivers.get(insightName(insight)) ?? '')),
    blockers: [
      ...clusterBlockers(cluster),
      ...(inFlight && awaited === undefined ? [inFlightBlocker(way, facts, target, inFlight)] : []),
      ...(await way.blockers({ clients, target, expected }, facts, updates)),
      ...errors.filter((insight) => !waived.includes(insight)).map(insightBlocker),
    ],
    notes: [
      ...(awaited === undefined ? [] : [awaitedNote(awaited, facts)]),
      ...warnings.slice(0, warningsShownMax).map((insight) => `EKS warns: ${insightName(insight)}: ${findingOf(insight)}`),
      ...(warnings.length > warningsShownMax ? [`EKS gives ${warnings.length - warningsShownMax} more warnings.`] : []),
      ...waive.filter((one) => !isInForce(one)).map(({ insight, until }) => `The waiver of ${insight} ended at ${until ?? ''}.`),
      ...way.notes(facts),
    ],
    expects: [{ change: 'version', object, version: to }],
    estimateMs,
  };
}

/** What EKS does besides where it runs the nodes itself. */
function autoModeFacts(cluster: Cluster, awaited: Update | undefined, nodesTimeout?: string): Partial<VersionFacts> {
  if (!isAutoMode(cluster)) return {};
  const timeoutMs = nodesTimeout === undefined ? undefined : parseDurationMs(nodesTimeout);
  return {
    ...(timeoutMs !== undefined && { nodesTimeoutMinutes: Math.ceil(timeoutMs / 60_000) }),
    ...(awaited?.type === 'VersionRollback' && { cancels: awaited.id ?? '' }),
  };
}

function awaitedNote(version: string, { cancels }: VersionFacts): string {
  if (cancels === undefined) return `The update to ${version} is in progress, and cannot be stopped: this step waits until it has ended.`;
  return `The rollback to ${version} is cancelled if EKS has only come to the nodes; else this step waits until it has ended.`;
}

function isInForce({ until }: Input['waive'][number]): boolean {
  return until === undefined || Date.parse(until) > Date.now();
}

/** EKS is told to go past what it finds only where people have signed for each finding: of others it may not be told so. */
async function change(clients: Clients, way: Way, facts: VersionFacts, context: ActionContext): Promise<void> {
  const { target } = context;
  const { to, waived, nodesTimeoutMinutes: timeoutMinutes } = facts;
  if (await cancelRollback(clients, facts, context)) return;
  const { errors } = await readInsights(clients, target, way.category, to);
  const unsigned = errors.find((insight) => !waived.includes(insightName(insight)));
  // What is in progress already may be this step's own, and is not begun by asking for it again.
  if (unsigned && (await readCluster(clients, target)).status !== 'UPDATING') {
    const { object, reason, remedy } = insightBlocker(unsigned);
    throw stuckError({ state: 'stuck', reason: `EKS was not asked for ${to}: ${object}: ${reason}`, remedy });
  }
  const force = waived.length > 0;
  const wanted = {
    call: `UpdateClusterVersion ${target.name}`,
    request: { cluster: target.name, version: to, force, ...(timeoutMinutes !== undefined && { timeoutMinutes }) },
    waitForUpdate: facts.waitForUpdate,
    send: async (clientRequestToken: string) => {
      const rollbackConfig = timeoutMinutes === undefined ? undefined : { timeoutMinutes };
      const request = { name: target.name, version: to, force, rollbackConfig, clientRequestToken };
      const { update } = await clients.eks(target.region).send(new UpdateClusterVersionCommand(request));
      return update;
    },
    foreign: (update: Parameters<typeof foreignVersionUpdate>[3]) => foreignVersionUpdate(facts, way.change, target.name, update),
  };
  await askForUpdate(clients, wanted, context);
}

/** The version that an update the other way brings, which is in progress; undefined where the update is another one. */
function versionOfOther(way: Way, { type, params = [] }: Update): string | undefined {
  const isOther = type === (way.change === 'VersionUpdate' ? 'VersionRollback' : 'VersionUpdate');
  return isOther ? params.find((param) => param.type === 'Version')?.value : undefined;
}

function inFlightBlocker(way: Way, facts: VersionFacts, target: Target, update: Update): Blocker {
  const remedy = 'Wait until it has ended, then plan again.';
  const same = isPlanned(update, way.change, facts) ? ' It is the very change that is asked for.' : '';
  return { object: `Cluster/${target.name}`, reason: `The ${describeUpdate(update)} is in progress.${same}`, remedy };
}

async function upgradeBlockers(cluster: ClusterInHand, { from, to }: VersionFacts): Promise<Blocker[]> {
  const problem = upgradeProblem(from, to);
  if (problem !== undefined) {
    const remedy = 'Ask for the next minor version; several of them are several steps, each with its own plan.';
    return [{ object: `Cluster/${cluster.target.name}`, reason: sentence(problem), remedy }];
  }
  return laggards(cluster, (version) => skewProblem(version, to), 'Bring the older side up first.');
}

async function rollbackBlockers(cluster: ClusterInHand, { from, to }: VersionFacts, updates: readonly Update[]): Promise<Blocker[]> {
  const object = `Cluster/${cluster.target.name}`;
  const problem = rollbackProblem(from, to);
  if (problem !== undefined) return [{ object, reason: sentence(problem), remedy: 'Ask for the version that it was upgraded from.' }];
  const newer = async (): Promise<Blocker[]> =>
    laggards(
      cluster,
      (version) => ((minorsBetween(to, version) ?? 0) > 0 ? `kubelet ${version} would be newer than the control plane ${to}` : undefined),
      `Bring its nodes back to ${to} first, by new nodes of that version.`,
    );
  // One in progress is waited for.
  const hasWorked = ({ status }: Update): boolean => status === 'Successful' || status === 'InProgress';
  const upgrade = updates.find((update) => hasWorked(update) && isPlanned(update, 'VersionUpdate', { to: from }));
  const stay = 'It stays at its version; a cluster of the older version has to be made anew.';
  if (!upgrade) {
    const reason = `EKS knows no upgrade of it to ${from}: it was created at that version, or the upgrade is too long ago.`;
    return [{ object, reason, remedy: stay }];
  }
  const ageMs = Date.now() - (upgrade.createdAt?.getTime() ?? 0);
  if (ageMs > rollbackWithinMs) {
    const reason = `It was upgraded at ${upgrade.createdAt?.toISOString() ?? ''}; EKS takes it back within 7 days only.`;
    return [{ object, reason, remedy: stay }];
  }
  return newer();
}

/** Node groups and nodes that could not run under the version, as they will be by then. */
async function laggards(
  { clients, target, expected }: ClusterInHand,
  problem: (version: string) => string | undefined,
  remedy: string,
): Promise<Blocker[]> {
  const names = await listNodegroups(clients, target);
  const groups = await inParallel(names, (name) => findNodegroup(clients, target, name));
  const blockers: Blocker[] = [];
  for (const group of groups) {
    const object = `Nodegroup/${target.name}/${group?.nodegroupName ?? ''}`;
    if (!group || isRemoved(expected, object)) continue;
    const why = problem(expectedVersion(expected, object) ?? group.version ?? '');
    if (why !== undefined) blockers.push({ object, reason: `Version skew: ${why}.`, remedy });
  }
  const nodes = await listNodes(await clients.kubernetes(target), target.name);
  const { removed } = expectedOfNodes(expected);
  const wrong = nodes.flatMap(({ metadata, status }) => {
    // EKS takes its own nodes along, whichever way the version goes.
    if (removed.has(metadata?.name ?? '') || metadata?.labels?.[computeTypeLabel] === 'auto') return [];
    const why = problem(status?.nodeInfo?.kubeletVersion ?? '');
    return why === undefined ? [] : [{ object: `Node/${metadata?.name ?? ''}`, reason: `Version skew: ${why}.`, remedy }];
  });
  blockers.push(...wrong.slice(0, nodesShownMax));
  if (wrong.length > nodesShownMax) {
    const reason = `${wrong.length - nodesShownMax} more nodes have the same problem.`;
    blockers.push({ object: `Cluster/${target.name}`, reason, remedy });
  }
  return blockers;
}

function sentence(problem: string): string {
  return `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`;
}
