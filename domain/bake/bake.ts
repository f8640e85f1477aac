import { getOrAdd } from '../map.ts';

/** A workload that asks for pods: a Deployment, a StatefulSet or a DaemonSet. */
export interface WorkloadOfBake {
  /** e.g. `Deployment/shop/web`. */
  object: string;
  wanted: number;
  ready: number;
}

/** A pod, as far as a bake looks at it. */
export interface PodOfBake {
  /** What it belongs to, e.g. `Deployment/shop/web`; itself where nothing brings it back. */
  owner: string;
  ready: boolean;
  /** Why containers of it do not run, e.g. `CrashLoopBackOff`. */
  waiting: string[];
  /** When each container that has restarted did so last, and why. */
  restarts: { atMs: number; reason: string }[];
}

/** What one look at a cluster shows. */
export interface Health {
  /** `Node/NAME`, `APIService/NAME` and `APIServer/readyz`, with what is wrong with each. */
  unwell: { object: string; reason: string }[];
  workloads: WorkloadOfBake[];
  /** Pods that are to run: neither ended nor about to end. */
  pods: PodOfBake[];
}

/** How much was wrong with an object before: 1, or how many pods it lacked. What was well is not in it. */
export type Baseline = Record<string, number>;

/** Something that is not well. */
export interface Unwell {
  object: string;
  reason: string;
  count: number;
}

/** Reasons of waiting containers that are named. */
const reasonsShownMax = 3;

/** All that is not well: nodes, aggregated APIs, workloads that lack pods, and pods that nothing else counts. */
export function unwellOf({ unwell, workloads, pods }: Health): Unwell[] {
  const byOwner = new Map<string, PodOfBake[]>();
  for (const pod of pods) getOrAdd(byOwner, pod.owner, () => []).push(pod);
  const counted = new Set(workloads.map(({ object }) => object));
  const lacking = workloads.flatMap(({ object, wanted, ready }) =>
    ready >= wanted ? [] : [lack(object, wanted - ready, wanted, byOwner.get(object) ?? [])],
  );
  const others = [...byOwner].flatMap(([owner, own]) => {
    const missing = counted.has(owner) ? 0 : own.filter(({ ready }) => !ready).length;
    return missing === 0 ? [] : [lack(owner, missing, own.length, own)];
  });
  return [...unwell.map((each) => ({ ...each, count: 1 })), ...lacking, ...others];
}

function lack(object: string, count: number, wanted: number, pods: readonly PodOfBake[]): Unwell {
  const waiting = [...new Set(pods.filter(({ ready }) => !ready).flatMap((pod) => pod.waiting))].slice(0, reasonsShownMax);
  const why = waiting.length === 0 ? '' : ` (${waiting.join(', ')})`;
  return { object, count, reason: `${count} of ${wanted} pods are not Ready${why}` };
}

/** What a bake compares with. */
export function baselineOf(health: Health): Baseline {
  return Object.fromEntries(unwellOf(health).map(({ object, count }) => [object, count]));
}

/**
 * What is worse than it was before: an object that was well, a workload that lacks more pods than it did, and workloads of which more
 * than `restartsMax` containers have restarted since the bake began. A container counts once, however often it has restarted.
 */
export function worseThan(
  baseline: Baseline,
  health: Health,
  { sinceMs, restartsMax }: { sinceMs: number; restartsMax: number },
): Unwell[] {
  const worse = unwellOf(health).filter(({ object, count }) => count > (baseline[object] ?? 0));
  const restarts = new Map<string, { atMs: number; reason: string }[]>();
  for (const { owner, restarts: own } of health.pods) {
    getOrAdd(restarts, owner, () => []).push(...own.filter(({ atMs }) => atMs > sinceMs));
  }
  const restarted = [...restarts].flatMap(([object, own]): Unwell[] => {
    if (own.length <= restartsMax) return [];
    const last = own.reduce((one, other) => (other.atMs > one.atMs ? other : one));
    const reason = `${own.length} containers have restarted since the bake began, more than ${restartsMax} (the last one: ${last.reason})`;
    return [{ object, count: own.length, reason }];
  });
  return [...worse, ...restarted];
}
