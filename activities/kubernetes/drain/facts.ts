import type { DrainSettings } from '../../../domain/drain/drain.ts';
import { parseDurationMs } from '../../../runbooks/configuration/duration.ts';
import type { ActionInput } from '../../../runbooks/actions/index.ts';

/** How nodes are drained, whichever they are: the input of `kubernetes.drain` without the nodes. */
export type DrainInput = Omit<ActionInput<'kubernetes.drain'>, 'nodes'>;

/** How nodes are drained, as it is signed. */
export type SignedSettings = {
  nodesAtOnce: number;
  perZone: boolean;
  singletons: 'evict' | 'surge';
  statefulSets: 'oneAtATime' | 'budget';
  jobs: 'wait' | 'evict';
  daemonSets: 'leave' | 'evict';
  zeroBudgets: 'block' | 'wait';
  gracePeriodSeconds: number | null;
  podDeadlineMs: number | null;
  nodeDeadlineMs: number | null;
  unschedulableLimitMs: number;
  onDeadline: 'stuck' | 'delete';
};

/** Pod names change by themselves and are no facts; the workloads that will be disturbed, and their budgets, are. */
export type DrainFacts = {
  /** With whether they are schedulable, so that the drain cordons them. */
  nodes: { name: string; uid: string; schedulable: boolean }[];
  settings: SignedSettings;
  workloads: string[];
  budgets: { name: string; minAvailable: string | null; maxUnavailable: string | null }[];
  /** Pods that nothing brings back: they go only because the signed plan names them. */
  named: { name: string; uid: string }[];
  /** Workloads whose pods lose data: a rollout in between makes other pods of them, and nothing else is lost. */
  dataLost: string[];
  /** Workloads of one pod, which are down until it is back. */
  singletons: string[];
  /** The groups of nodes that are to take the pods, as `placementOf` names them: one that goes meanwhile makes another plan. */
  destinations: string[];
  /** Whether pods with persistent volumes move, so that a node is done only when those are detached from it. */
  volumes: boolean;
};

/**
 * The settings of an input for these nodes. A share is rounded down, to one node at least; where zones are counted by themselves
 * it is a share of the zone with the fewest nodes.
 */
export function signedSettings(input: DrainInput, drained: readonly { zone: string }[]): SignedSettings {
  const { nodesAtOnce, perZone, singletons, statefulSets, jobs, daemonSets, zeroBudgets, gracePeriodSeconds, onDeadline } = input;
  const zones = new Set(drained.map(({ zone }) => zone));
  const nodes = perZone
    ? Math.min(drained.length, ...[...zones].map((zone) => drained.filter((node) => node.zone === zone).length))
    : drained.length;
  const share = typeof nodesAtOnce === 'string' ? Math.floor((Number(nodesAtOnce.slice(0, -1)) * nodes) / 100) : nodesAtOnce;
  return {
    nodesAtOnce: Math.max(1, share),
    perZone,
    singletons,
    statefulSets,
    jobs,
    daemonSets,
    zeroBudgets,
    gracePeriodSeconds: gracePeriodSeconds ?? null,
    podDeadlineMs: durationMs(input.podDeadline) ?? null,
    nodeDeadlineMs: durationMs(input.nodeDeadline) ?? null,
    unschedulableLimitMs: durationMs(input.unschedulableLimit) ?? 0,
    onDeadline,
  };
}

function durationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text);
}

/** The facts of a plan that may have been made and signed before pods that lose data were named by their workloads. */
type PlannedDrainFacts = Omit<DrainFacts, 'dataLost'> & Partial<Pick<DrainFacts, 'dataLost'>>;

/** What the rules of a drain read of a signed plan. */
export function drainSettings({ settings, workloads, destinations, named, dataLost = [], singletons }: PlannedDrainFacts): DrainSettings {
  return {
    ...settings,
    podDeadlineMs: settings.podDeadlineMs ?? undefined,
    nodeDeadlineMs: settings.nodeDeadlineMs ?? undefined,
    workloads: new Set(workloads),
    hasDestinations: destinations.length > 0,
    named: new Set(named.map(({ uid }) => uid)),
    dataLossNamed: new Set(dataLost),
    singletonsNamed: new Set(singletons),
  };
}
