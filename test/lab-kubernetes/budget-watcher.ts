import { follow, type Door, type Follow } from './raw.ts';
import { isReady, type PodSeen } from './world.ts';

/** What somebody who only looks has seen of the pods of a namespace. */
export interface Sighting {
  /** Moments, of those in which anything changed, in which a workload had fewer Ready pods than it must. */
  moments: number;
  below: number;
  /** The fewest Ready pods that each workload ever had. */
  fewest: Record<string, number>;
}

/** A watcher with a connection of its own that shares no code with the product: it counts Ready pods after every single event. */
export class BudgetWatcher {
  private readonly seen = new Map<string, PodSeen>();
  private readonly needed: Readonly<Record<string, number>>;
  private pods: Follow | undefined;
  readonly sighting: Sighting = { moments: 0, below: 0, fewest: {} };

  private constructor(needed: Readonly<Record<string, number>>) {
    this.needed = needed;
  }

  /** Begins to watch; `needed` says how many pods of each workload (by their label `app`) must be Ready at any moment. */
  static async start(door: Door, namespace: string, needed: Readonly<Record<string, number>>): Promise<BudgetWatcher> {
    const watcher = new BudgetWatcher(needed);
    watcher.pods = await follow(door, `/api/v1/namespaces/${namespace}/pods`, ({ type, object }) => {
      const pod = object as unknown as PodSeen;
      if (type === 'DELETED') watcher.seen.delete(pod.metadata.uid);
      else watcher.seen.set(pod.metadata.uid, pod);
      // Before the first list was whole, everything was short of pods.
      if (watcher.pods) watcher.count();
    });
    watcher.count();
    return watcher;
  }

  /** Throws where it has missed anything. */
  stop(): void {
    this.pods?.stop();
    const broken = this.pods?.broken();
    if (broken !== undefined) throw new Error(`the watcher has missed something: ${broken}`);
  }

  private count(): void {
    this.sighting.moments += 1;
    const serving = [...this.seen.values()].filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined);
    let isBelow = false;
    for (const [app, needed] of Object.entries(this.needed)) {
      const ready = serving.filter(({ metadata }) => metadata.labels?.app === app).length;
      this.sighting.fewest[app] = Math.min(this.sighting.fewest[app] ?? Infinity, ready);
      isBelow ||= ready < needed;
    }
    if (isBelow) this.sighting.below += 1;
  }
}
