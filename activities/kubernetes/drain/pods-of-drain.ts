import type { V1Node } from '@kubernetes/client-node';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { hasEnded, isDaemon, isLost, podName, staysOnNode, workloadOf, type PodView } from '../../../domain/drain/pod.ts';
import { isSurged, workloadsByName, type WorkloadView } from '../../../domain/drain/workload.ts';
import { zeroBudgets, type ZeroBudget } from '../../../domain/drain/zero-budgets.ts';
import { nodeView, type NodeView } from './cluster-state.ts';
import { budgetsOver } from './eviction-blockers.ts';
import type { ExpectedReading } from './expected-reading.ts';
import { signedSettings, type DrainInput, type SignedSettings } from './facts.ts';

/** What a drain has to do with, sorted out of everything that has been read. */
export interface PodsOfDrain {
  settings: SignedSettings;
  /** Those of the wanted nodes that are there. */
  nodes: V1Node[];
  /** The same nodes, seen from the run. */
  drained: NodeView[];
  names: string[];
  /** Every pod of the cluster. */
  all: PodView[];
  /** The pods that leave these nodes, without those that have ended. */
  running: PodView[];
  /** Those of them that must find a place elsewhere: without the pods of DaemonSets. */
  moved: PodView[];
  /** Those of them that are lost, or lose data. */
  lost: PodView[];
  /** Whose pods leave, sorted. */
  workloads: string[];
  /** Those of them that ask for one pod only. */
  singletons: string[];
  /** Deployments and StatefulSets of the cluster by name. */
  known: ReadonlyMap<string, WorkloadView>;
  /** Those that protect pods which leave. */
  budgets: BudgetView[];
  /** Those of them that allow 0 disruptions for good, as far as numbers tell. */
  zero: ZeroBudget[];
}

/** Finds what a drain of the wanted nodes has to do with. */
export function podsOfDrain(reading: ExpectedReading, wanted: readonly string[], input: DrainInput, run: string): PodsOfDrain {
  const byName = new Map(reading.nodes.map((node) => [node.metadata?.name ?? '', node]));
  const nodes = [...new Set(wanted)].flatMap((name) => byName.get(name) ?? []);
  const drained = nodes.map((node) => nodeView(node, run));
  const names = drained.map(({ name }) => name);
  const settings = signedSettings(input, drained);
  const all = reading.pods.map(({ view }) => view);
  const known = workloadsByName(reading.workloads);
  const onNodes = new Set(names);
  const leaving = all.filter((pod) => onNodes.has(pod.node) && leaves(pod, settings));
  const running = leaving.filter((pod) => !hasEnded(pod));
  const moved = running.filter((pod) => !isDaemon(pod));
  const workloads = [...new Set(leaving.map(workloadOf))].sort();
  const budgets = budgetsOver(leaving, reading.budgets);
  return {
    settings,
    nodes,
    drained,
    names,
    all,
    running,
    moved,
    lost: moved.filter(isLost).sort((a, b) => podName(a).localeCompare(podName(b), 'en')),
    workloads,
    singletons: workloads.filter((workload) => known.get(workload)?.replicas === 1),
    known,
    budgets,
    zero: zeroBudgets(budgets, withoutSurged(moved, known, settings)),
  };
}

/** A rollout asks no budget. */
export function withoutSurged(
  pods: readonly PodView[],
  known: ReadonlyMap<string, WorkloadView>,
  { singletons }: SignedSettings,
): PodView[] {
  return pods.filter((pod) => !isSurged(known.get(workloadOf(pod)), singletons));
}

/** Whether a drain with these settings moves the pod. */
export function leaves(pod: PodView, { daemonSets }: SignedSettings): boolean {
  return !staysOnNode(pod) || (daemonSets === 'evict' && isDaemon(pod) && !pod.mirror);
}
