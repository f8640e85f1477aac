import type { BudgetView } from '../../../domain/drain/budget.ts';
import type { DrainNode, DrainSnapshot, DrainSettings } from '../../../domain/drain/drain.ts';
import type { PodView } from '../../../domain/drain/pod.ts';

/** A running, ready pod of Deployment shop/web on node a, as far as nothing else is said. */
export function podOf(differences: Partial<PodView> = {}): PodView {
  return {
    namespace: 'shop',
    name: 'web-1',
    uid: `uid of ${differences.name ?? 'web-1'}`,
    version: '1',
    node: 'a',
    labels: { app: 'web' },
    annotations: {},
    phase: 'Running',
    ready: true,
    terminating: false,
    owner: { kind: 'Deployment', name: 'web' },
    mirror: false,
    emptyDir: false,
    createdAtMs: 0,
    graceMs: 30_000,
    claims: [],
    completes: false,
    ...differences,
  };
}

/** A PDB shop/web for the pods with `app: web` that allows one disruption of four pods, as far as nothing else is said. */
export function budgetOf(differences: Partial<BudgetView> = {}): BudgetView {
  return {
    namespace: 'shop',
    name: 'web',
    selector: { matchLabels: { app: 'web' } },
    unhealthyPodEvictionPolicy: 'IfHealthyBudget',
    statusIsCurrent: true,
    disruptionsAllowed: 1,
    currentHealthy: 4,
    desiredHealthy: 3,
    expectedPods: 4,
    disrupted: [],
    ...differences,
  };
}

/** A node that is Ready and whose turn has not come, as far as nothing else is said. */
export function nodeOf(differences: Partial<DrainNode> = {}): DrainNode {
  return { name: 'a', zone: 'zone-a', ready: true, ...differences };
}

/** Ready pods of Deployment shop/web on a node that is not drained. */
export function podsElsewhere(count: number, differences: Partial<PodView> = {}): PodView[] {
  return Array.from({ length: count }, (_, index) => podOf({ node: 'elsewhere', ...differences, name: `elsewhere-${index}` }));
}

/** Node a, with nothing on it and nothing asked, at a moment long after everything was created, as far as nothing else is said. */
export function sceneOf(differences: Partial<DrainSnapshot> = {}): DrainSnapshot {
  const empty = { pods: [], budgets: [], workloads: [], asked: new Set<string>(), refused: new Map<string, never>() };
  return { nodes: [nodeOf()], ...empty, hasDestination: true, nowMs: 10_000_000, ...differences };
}

/** One node at a time, nothing signed away, no deadlines, as far as nothing else is said. */
export function settingsOf(differences: Partial<DrainSettings> = {}): DrainSettings {
  return {
    nodesAtOnce: 1,
    perZone: false,
    daemonSets: 'leave',
    jobs: 'wait',
    singletons: 'evict',
    statefulSets: 'oneAtATime',
    onDeadline: 'stuck',
    unschedulableLimitMs: 600_000,
    workloads: new Set(['Deployment shop/web']),
    hasDestinations: true,
    named: new Set(),
    dataLossNamed: new Set(),
    singletonsNamed: new Set(),
    ...differences,
  };
}
