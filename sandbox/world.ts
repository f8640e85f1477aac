import { Clock } from './clock.ts';
import type { Alarm } from './cloudwatch/handler.ts';
import type { SandboxCluster } from './cluster.ts';
import { Faults } from './faults.ts';
import type { FaultSettings } from './faults.ts';
import { KubernetesCluster } from './kubernetes/cluster.ts';
import { Baseline } from './leftovers.ts';
import type { AutoScalingGroupMarks, LeftoverReport, NodegroupView, Premises } from './leftovers.ts';
import { Observer } from './observer.ts';
import type { QueryResult } from './prometheus/handler.ts';
import { DatabaseCluster } from './rds/cluster.ts';
import { Random } from './random.ts';
import { initialNodes, initialSelfManagedNodes } from './seed.ts';
import type { ClusterSeed, WorldSeed } from './seed.ts';

/** One simulated world: its time, its chance, its clusters. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  /** What the world held when it started. */
  readonly seed: WorldSeed;
  cluster(name: string): SandboxCluster | undefined;
  addCluster(seed: ClusterSeed): SandboxCluster;
  removeCluster(name: string): void;
}

export interface WorldOptions {
  /** What the world holds when it starts. */
  seed: WorldSeed;
  /** The same number gives the same names, UIDs and delays. */
  randomSeed?: number;
  /** How many times as fast as the wall clock its time runs. */
  speed?: number;
  /** What goes wrong with requests; nothing unless given. */
  faults?: FaultSettings;
}

/** How many clusters a world may have. */
const clustersMax = 100;

/** A world with its Kubernetes clusters and the observer who watches over them. */
export class SimulatedWorld implements World {
  readonly clock: Clock;
  readonly random: Random;
  readonly seed: WorldSeed;
  readonly observer: Observer;
  readonly faults: Faults;
  readonly clusters = new Map<string, KubernetesCluster>();
  /** Alarms of CloudWatch by name, and what Prometheus answers by query. */
  readonly alarms = new Map<string, Alarm>();
  readonly queries = new Map<string, QueryResult>();
  /** Aurora clusters of RDS. */
  readonly databases: DatabaseCluster[];
  /** Where the world is served; known once the server listens. */
  baseUrl = '';
  private nodegroups: () => NodegroupView[] = () => [];
  /** The self-managed Auto Scaling groups of the cloud in front of it. */
  autoScalingGroups: () => AutoScalingGroupMarks[] = () => [];
  private baseline: Baseline;

  constructor({ seed, randomSeed = 1, speed = 1, faults }: WorldOptions) {
    this.clock = new Clock(speed);
    this.random = new Random(randomSeed);
    this.seed = seed;
    this.observer = new Observer(this.clock);
    this.faults = new Faults(randomSeed, (kind) => this.observer.countFault(kind), faults);
    for (const cluster of seed.clusters) this.addCluster(cluster);
    this.databases = (seed.databases ?? []).map((database) => {
      return new DatabaseCluster(database, { clock: this.clock, random: this.random.stream(`database ${database.name}`) });
    });
    this.baseline = new Baseline(this.premises());
  }

  /** Lets the world see the node groups of the cloud in front of it; they belong to the baseline. */
  showNodegroups(view: () => NodegroupView[]): void {
    this.nodegroups = view;
    this.takeBaseline();
  }

  /** The same for the self-managed Auto Scaling groups. */
  showAutoScalingGroups(view: () => AutoScalingGroupMarks[]): void {
    this.autoScalingGroups = view;
    this.takeBaseline();
  }

  /** Whatever is there now is no leftover from here on. */
  takeBaseline(): void {
    this.baseline = new Baseline(this.premises());
  }

  /** What a maintenance run has left behind since the baseline was taken (at the start, unless taken anew). */
  leftovers(): LeftoverReport {
    return this.baseline.leftovers(this.premises());
  }

  cluster(name: string): KubernetesCluster | undefined {
    return this.clusters.get(name);
  }

  /** Adds a cluster whose nodes are up and whose pods are all running at once. Throws if there is one of that name. */
  addCluster(seed: ClusterSeed): KubernetesCluster {
    if (this.clusters.has(seed.name)) throw new Error(`the world already has a cluster called ${seed.name}`);
    if (this.clusters.size >= clustersMax) throw new Error(`a world can have ${clustersMax} clusters, not more`);
    const cluster = new KubernetesCluster({
      name: seed.name,
      version: seed.version,
      clock: this.clock,
      random: this.random.stream(`cluster ${seed.name}`),
      witness: this.observer,
      url: () => this.baseUrl,
    });
    for (const group of seed.nodegroups) for (const node of initialNodes(seed, group)) cluster.joinNode(node);
    for (const group of seed.autoScalingGroups ?? []) for (const node of initialSelfManagedNodes(seed, group)) cluster.joinNode(node);
    for (const manifest of seed.manifests) cluster.apply(manifest);
    cluster.settle();
    this.clusters.set(seed.name, cluster);
    return cluster;
  }

  removeCluster(name: string): void {
    this.clusters.get(name)?.stop();
    this.clusters.delete(name);
  }

  private premises(): Premises {
    const stores = new Map([...this.clusters].map(([name, { store }]) => [name, store]));
    return { stores, nodegroups: this.nodegroups(), autoScalingGroups: this.autoScalingGroups() };
  }

  /** Time stands still and every watch ends. */
  stop(): void {
    this.clock.stop();
    for (const cluster of this.clusters.values()) cluster.stop();
  }
}

/** Makes a world as its seed describes it, settled: everything that was applied runs. */
export function createWorld(options: WorldOptions): SimulatedWorld {
  return new SimulatedWorld(options);
}
