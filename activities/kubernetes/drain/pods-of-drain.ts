import type { V1Node } from '@kubernetes/client-node';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { waitedFor } from '../../../domain/drain/drain.ts';
import {
  doesWork,
  hasEnded,
  isDaemon,
  losesData,
  mayLoseWork,
  podName,
  staysOnNode,
  workloadOf,
  type PodView,
} from '../../../domain/drain/pod.ts';
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
  /** Every pod of these nodes, whatever becomes of it. */
  onNodes: PodView[];
  /** The pods that leave these nodes, without those that have ended. */
  running: PodView[];
  /**
   * Those of them that must find a place elsewhere: without the pods of DaemonSets, and without those that are on their way out already.
   */
  moved: PodView[];
  /** Those of them that nothing brings back, by name. */
  lost: PodView[];
  /** Workloads whose pods lose the data of their emptyDir volumes, sorted. */
  dataLost: string[];
  /** Whose pods leave, sorted. */
  workloads: string[];
  /** Those of them that ask for one pod only, or have no other one where what they ask for is not known. */
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
  const drains = new Set(names);
  const onNodes = all.filter(({ node }) => drains.has(node));
  const leaving = onNodes.filter((pod) => leaves(pod, settings));
  const running = leaving.filter((pod) => !hasEnded(pod));
  // One that is on its way out has been replaced, or will not be: nothing is done to it.
  const moved = running.filter((pod) => !isDaemon(pod) && !pod.terminating);
  const workloads = [...new Set(leaving.filter(({ terminating }) => !terminating).map(workloadOf))].sort();
  const budgets = budgetsOver(leaving, reading.budgets);
  return {
    settings,
    nodes,
    drained,
    names,
    all,
    onNodes,
    running,
    moved,
    lost: moved.filter(({ owner }) => owner === undefined).sort((a, b) => podName(a).localeCompare(podName(b), 'en')),
    dataLost: [...new Set(moved.filter(losesData).map(workloadOf))].sort(),
    workloads,
    singletons: singletonsOf(moved, all, known),
    known,
    budgets,
    zero: zeroBudgets(budgets, asked(moved, known, settings), all),
  };
}

/** Those whose eviction is asked for: a rollout asks no budget, and nobody asks for a pod that is waited for until its work is done. */
export function asked(
  pods: readonly PodView[],
  known: ReadonlyMap<string, WorkloadView>,
  { singletons, jobs }: Pick<SignedSettings, 'singletons' | 'jobs'>,
): PodView[] {
  const nowMs = Date.now();
  const isWaitedFor = (pod: PodView): boolean => pod.completes && waitedFor(pod, nowMs, jobs) !== undefined;
  return pods.filter((pod) => !isWaitedFor(pod) && !isSurged(known.get(workloadOf(pod)), singletons));
}

/** Workloads that are down while their pod moves. */
function singletonsOf(moved: readonly PodView[], all: readonly PodView[], known: ReadonlyMap<string, WorkloadView>): string[] {
  const counts = new Map<string, number>();
  for (const pod of all) {
    if (hasEnded(pod) || pod.terminating) continue;
    const workload = workloadOf(pod);
    counts.set(workload, (counts.get(workload) ?? 0) + 1);
  }
  const isOnly = (pod: PodView): boolean => {
    const workload = workloadOf(pod);
    const replicas = known.get(workload)?.replicas;
    if (replicas !== undefined) return replicas === 1;
    return pod.owner !== undefined && !doesWork(pod) && !mayLoseWork(pod) && counts.get(workload) === 1;
  };
  return [...new Set(moved.filter(isOnly).map(workloadOf))].sort();
}

/** Whether a drain with these settings moves the pod. */
export function leaves(pod: PodView, { daemonSets }: SignedSettings): boolean {
  return !staysOnNode(pod) || (daemonSets === 'evict' && isDaemon(pod) && !pod.mirror);
}
