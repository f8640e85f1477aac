import { getOrAdd } from '../map.ts';
import { recounted, type BudgetView } from './budget.ts';
import { nextDrainMoves, type BlockedPod, type DrainNode, type DrainSnapshot, type DrainSettings } from './drain.ts';
import { doesWork, hasEnded, mayLoseWork, ordinalOf, workloadOf, type PodView } from './pod.ts';
import { PodsThatMatter } from './pods-that-matter.ts';
import { isSurged, workloadsByName, type WorkloadView } from './workload.ts';

/** How long a pod takes to be Ready where none of its workload tells. */
const startupDefaultMs = 10_000;
/** A pod that was long unready after its start tells nothing of how long a start takes. */
const startupMaxMs = 600_000;
/** How long a pod takes to end, if its grace period is not shorter: most end soon after they are asked to. */
const shutdownMaxMs = 5_000;
/** Looks at pods, after which the rest of a large drain is reckoned from what has been seen of it: planning must not take long. */
const looksMax = 1_000_000;

/** Pods that go at the same time. */
export interface DrainWave {
  /** Milliseconds after the beginning. */
  afterMs: number;
  pods: PodView[];
}

/** What a drain is expected to do. */
export interface DrainForecast {
  waves: DrainWave[];
  lastsMs: number;
  /** Pods that do not go by themselves, as far as can be seen, and why. */
  left: Omit<BlockedPod, 'overdue'>[];
}

interface Happening {
  atMs: number;
  pod: PodView;
  happens: 'ends' | 'is ready';
}

/**
 * Plays a drain through by the same rules that carry it out: evicted pods end, come back elsewhere, get Ready as their like have, and
 * free their budgets. Assumes that there is room for all of them, and that nobody else does anything.
 */
export function forecastDrain(snapshot: DrainSnapshot, settings: DrainSettings): DrainForecast {
  return new Play(snapshot, settings).run();
}

class Play {
  private readonly snapshot: DrainSnapshot;
  private readonly settings: DrainSettings;
  private readonly workloads: ReadonlyMap<string, WorkloadView>;
  private readonly startupMs: ReadonlyMap<string, number>;
  private readonly began = new Map<string, number>();
  /** UIDs of the pods that are there now: none of them comes later. */
  private readonly there: ReadonlySet<string>;
  private readonly happenings: Happening[] = [];
  private readonly waves: DrainWave[] = [];
  /** UIDs of the pods that are there at the moment of the play. */
  private readonly present: Set<string>;
  /** These pods. To sort them anew at every moment would take longer than all else that is planned. */
  private readonly matter: PodsThatMatter;
  private budgets: readonly BudgetView[];
  private nowMs: number;
  private looks = 0;

  constructor(snapshot: DrainSnapshot, settings: DrainSettings) {
    const { pods, nodes, budgets, nowMs } = snapshot;
    const drained = new Set(nodes.map(({ name }) => name));
    this.matter = new PodsThatMatter(drained, pods, budgets);
    const there = this.matter.pods();
    this.there = new Set(there.map(({ uid }) => uid));
    this.present = new Set(this.there);
    this.budgets = this.matter.budgets(budgets);
    this.startupMs = startupTimes(pods, new Set(pods.filter(({ node }) => drained.has(node)).map(workloadOf)));
    this.workloads = workloadsByName(snapshot.workloads);
    this.snapshot = snapshot;
    this.settings = settings;
    this.nowMs = nowMs;
    for (const pod of there) if (pod.terminating) this.expect('ends', pod, Math.max(0, (pod.graceEndsAtMs ?? nowMs) - nowMs));
  }

  run(): DrainForecast {
    const beganAtMs = this.nowMs;
    const lastsMs = (): number => this.nowMs - beganAtMs;
    for (;;) {
      const scene = this.sceneNow();
      this.looks += scene.pods.length;
      const { begin, evict, surge, remove, blocked, later } = nextDrainMoves(scene, this.settings);
      for (const name of begin) this.began.set(name, this.nowMs);
      const going = [...evict, ...surge, ...remove.map(({ pod }) => pod)];
      if (going.length > 0) this.waves.push({ afterMs: lastsMs(), pods: going });
      for (const pod of going) this.send(pod);
      const left = blocked.map(({ overdue: _overdue, ...rest }) => rest);
      if (going.length === 0 && !this.goOn()) return { waves: this.waves, lastsMs: lastsMs(), left };
      if (this.looks > looksMax) return { waves: this.waves, lastsMs: this.reckon(lastsMs(), blocked.length + later.length), left: [] };
    }
  }

  /** The time of the whole, from the share that has gone by now. */
  private reckon(elapsedMs: number, left: number): number {
    const gone = this.waves.reduce((sum, { pods }) => sum + pods.length, 0);
    return Math.round((elapsedMs * (gone + left)) / Math.max(1, gone));
  }

  private sceneNow(): DrainSnapshot {
    const nodes = this.snapshot.nodes.map((node): DrainNode =>
      node.turnBeganMs === undefined ? { ...node, turnBeganMs: this.began.get(node.name), seenAtTurn: this.there } : node,
    );
    const quiet = { asked: new Set<string>(), refused: new Map<string, never>(), hasDestination: true };
    const pods = { pods: this.matter.singlePods(), under: (budget: BudgetView) => this.matter.under(budget) };
    return { ...this.snapshot, ...quiet, ...pods, nodes, budgets: this.budgets, nowMs: this.nowMs };
  }

  private send(pod: PodView): void {
    const shutdownMs = Math.min(pod.graceMs, shutdownMaxMs);
    const comesFirst = isSurged(this.workloads.get(workloadOf(pod)), this.settings.singletons);
    const going = { ...pod, terminating: true, graceEndsAtMs: this.nowMs + shutdownMs };
    this.put(pod, going);
    this.expect('ends', going, shutdownMs + (comesFirst ? this.startupOf(pod) : 0));
    // A ReplicaSet makes up for a pod that is on its way out at once, a StatefulSet when it is gone.
    if (pod.owner && pod.owner.kind !== 'StatefulSet' && !hasEnded(pod)) this.come(pod);
  }

  private come(gone: PodView): void {
    if (gone.owner === undefined || gone.owner.kind === 'DaemonSet' || doesWork(gone) || mayLoseWork(gone)) return;
    // Those of a StatefulSet take the name of the one that is gone, others come while it is still there.
    const name = ordinalOf(gone) === undefined ? `${gone.name}'` : gone.name;
    const uid = `${gone.uid}'`;
    const pod = { ...gone, name, uid, node: '', ready: false, terminating: false, graceEndsAtMs: undefined, createdAtMs: this.nowMs };
    this.put(undefined, pod);
    this.expect('is ready', pod, this.startupOf(pod));
  }

  /** Goes on to the next moment at which something happens; false where nothing does any more. */
  private goOn(): boolean {
    const next = this.happenings.reduce((least, { atMs }) => Math.min(least, atMs), Infinity);
    if (next === Infinity) return false;
    this.nowMs = next;
    const due = this.happenings.filter(({ atMs }) => atMs <= next);
    this.happenings.splice(0, this.happenings.length, ...this.happenings.filter(({ atMs }) => atMs > next));
    for (const { pod, happens } of due) {
      if (!this.present.has(pod.uid)) continue;
      if (happens === 'is ready') this.put(pod, { ...pod, ready: true, phase: 'Running' });
      else this.end(pod);
    }
    this.recount(new Set(due.map(({ pod }) => pod.namespace)));
    return true;
  }

  private recount(namespaces: ReadonlySet<string>): void {
    this.budgets = this.budgets.map((budget) =>
      namespaces.has(budget.namespace) ? recounted(budget, this.matter.under(budget)?.serving ?? 0) : budget,
    );
  }

  private end(pod: PodView): void {
    this.put(pod, undefined);
    if (pod.owner?.kind === 'StatefulSet' && !hasEnded(pod)) this.come(pod);
  }

  private put(before: PodView | undefined, after: PodView | undefined): void {
    if (before) this.present.delete(before.uid);
    if (after) this.present.add(after.uid);
    this.matter.see(before, after);
  }

  private expect(happens: Happening['happens'], pod: PodView, inMs: number): void {
    this.happenings.push({ atMs: this.nowMs + inMs, pod, happens });
  }

  private startupOf(pod: PodView): number {
    return this.startupMs.get(workloadOf(pod)) ?? startupDefaultMs;
  }
}

/** The median of what the pods of each of these workloads have taken. */
function startupTimes(pods: readonly PodView[], workloads: ReadonlySet<string>): Map<string, number> {
  const times = new Map<string, number[]>();
  for (const pod of pods) {
    if (pod.startupMs === undefined || pod.startupMs > startupMaxMs) continue;
    const workload = workloadOf(pod);
    if (workloads.has(workload)) getOrAdd(times, workload, () => []).push(pod.startupMs);
  }
  return new Map([...times].map(([workload, all]) => [workload, all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0]));
}
