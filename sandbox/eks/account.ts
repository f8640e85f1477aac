import type { Clock } from '../clock.ts';
import type { SandboxCluster } from '../cluster.ts';
import type { AcceptedChange } from '../double-effects.ts';
import type { Faults } from '../faults.ts';
import type { NodegroupView } from '../leftovers.ts';
import type { Random } from '../random.ts';
import { initialNodes, type ClusterSeed, type NodegroupSeed, type WorldSeed } from '../seed.ts';
import { firstAuthority } from './certificate-authorities.ts';
import { resourceNotFound } from './errors.ts';
import { addonsOf } from './addons.ts';
import { insightsOf } from './insights.ts';
import { accountId, limits, type Cluster, type Nodegroup, type NodegroupIssue, type Update } from './model.ts';
import { amiIdOf, amiReleases } from './releases.ts';
import { addUpdate } from './updates.ts';

/** What EKS needs of a world: its time, its chance and its clusters. */
export interface EksWorld {
  readonly clock: Clock;
  readonly random: Random;
  /** What the world held when it started. */
  readonly seed: WorldSeed;
  readonly faults: Faults;
  /** Hears of every change that is carried out. */
  readonly observer: { noteCloudChange(change: AcceptedChange): void };
  cluster(name: string): SandboxCluster | undefined;
  /** Lets the world see the node groups. */
  showNodegroups(view: () => NodegroupView[]): void;
}

/** The EKS objects of the simulated AWS account. Clusters and their first node groups come from the world's seed. */
export class Account {
  readonly world: EksWorld;
  /** By which it is told until when versions are supported. */
  madeAt: Date;
  private readonly clusters = new Map<string, Cluster>();
  private readonly injectedIssues = new Map<string, NodegroupIssue>();
  private readonly releasesAtStart = new Set<string>();
  private nodegroupsMade = 0;

  constructor(world: EksWorld, seeds: readonly ClusterSeed[]) {
    this.world = world;
    this.madeAt = world.clock.now();
    for (const seed of seeds) this.addCluster(seed);
  }

  /** The account as it is now, out of reach of later changes. It is good for reading only. */
  copy(): Account {
    const copy = new Account(this.world, []);
    copy.madeAt = this.madeAt;
    for (const [name, cluster] of this.clusters) copy.clusters.set(name, copyOf(cluster));
    for (const [key, issue] of this.injectedIssues) copy.injectedIssues.set(key, issue);
    return copy;
  }

  allClusters(): Cluster[] {
    return [...this.clusters.values()];
  }

  clustersIn(region: string): Cluster[] {
    return [...this.clusters.values()].filter((cluster) => cluster.region === region && this.stands(cluster));
  }

  /** @throws EksError ResourceNotFoundException. */
  cluster(region: string, name: string): Cluster {
    const cluster = this.clusters.get(name);
    if (cluster?.region === region && this.stands(cluster)) return cluster;
    throw resourceNotFound(`No cluster found for name: ${name}.`, { clusterName: name });
  }

  /** @throws EksError ResourceNotFoundException. */
  nodegroup(region: string, clusterName: string, name: string): Nodegroup {
    const nodegroup = this.cluster(region, clusterName).nodegroups.get(name);
    if (nodegroup !== undefined) return nodegroup;
    throw resourceNotFound(`No node group found for name: ${name}.`, { clusterName, nodegroupName: name });
  }

  /** The cluster or node group that an ARN names. */
  resource(arn: string): Cluster | Nodegroup | undefined {
    for (const cluster of [...this.clusters.values()].filter((candidate) => this.stands(candidate))) {
      if (cluster.arn === arn) return cluster;
      for (const nodegroup of cluster.nodegroups.values()) if (nodegroup.arn === arn) return nodegroup;
    }
    return undefined;
  }

  /** Completes a node group with what EKS gives it (ARN, Auto Scaling group, times) and enters it in its cluster. */
  addNodegroup(settings: NodegroupSettings): Nodegroup {
    this.nodegroupsMade += 1;
    const { cluster, name } = settings;
    const random = this.world.random.stream(`eks/nodegroup/${cluster.name}/${name}/${this.nodegroupsMade}`);
    const uuid = random.uuid();
    const now = this.world.clock.now();
    const nodegroup: Nodegroup = {
      ...settings,
      arn: `arn:aws:eks:${cluster.region}:${accountId}:nodegroup/${cluster.name}/${name}/${uuid}`,
      autoScalingGroup: `eks-${name}-${uuid}`,
      createdAt: now,
      modifiedAt: now,
      firstTags: settings.tags,
      issues: [],
      updates: [],
      instances: [],
      random,
    };
    cluster.nodegroups.set(name, nodegroup);
    return nodegroup;
  }

  /** True for a release of the catalogue, and for any that the world started with, if it is of this minor version. */
  releaseFits(releaseVersion: string, version: string): boolean {
    if (!releaseVersion.startsWith(`${version}.`)) return false;
    return (amiReleases[version] ?? []).includes(releaseVersion) || this.releasesAtStart.has(releaseVersion);
  }

  /** What is wrong with a node group from outside: while this is set none of its instances start. */
  injectedIssue(clusterName: string, nodegroupName: string): NodegroupIssue | undefined {
    return this.injectedIssues.get(`${clusterName}/${nodegroupName}`);
  }

  /** Sets (or, without an issue, lifts) what is wrong with a node group, whether it exists yet or not. */
  injectIssue(clusterName: string, nodegroupName: string, issue: NodegroupIssue | undefined): void {
    const key = `${clusterName}/${nodegroupName}`;
    if (issue === undefined) this.injectedIssues.delete(key);
    else if (this.injectedIssues.size < limits.issuesInjected) this.injectedIssues.set(key, issue);
    else throw new RangeError(`issues of ${limits.issuesInjected} node groups are injected, which is the limit; lift one first`);
    const nodegroup = this.clusters.get(clusterName)?.nodegroups.get(nodegroupName);
    if (nodegroup?.status === 'ACTIVE' || nodegroup?.status === 'DEGRADED') this.settle(nodegroup);
  }

  /** The state that a node group comes to rest in. */
  settle(nodegroup: Nodegroup): void {
    nodegroup.status = this.injectedIssue(nodegroup.cluster.name, nodegroup.name) === undefined ? 'ACTIVE' : 'DEGRADED';
    nodegroup.modifiedAt = this.world.clock.now();
  }

  issuesOf(nodegroup: Nodegroup): NodegroupIssue[] {
    const injected = this.injectedIssue(nodegroup.cluster.name, nodegroup.name);
    return injected === undefined ? nodegroup.issues : [injected, ...nodegroup.issues];
  }

  /**
   * Enters a cluster of the world and its node groups.
   * @throws Error if the world has no such cluster.
   */
  addCluster(seed: ClusterSeed): void {
    const nodes = this.world.cluster(seed.name);
    if (nodes === undefined) throw new Error(`the world has no cluster ${seed.name}, so EKS cannot show it; add it to the world first`);
    const random = this.world.random.stream(`eks/cluster/${seed.name}`);
    const zones = [...new Set(seed.nodegroups.flatMap((nodegroup) => nodegroup.zones))].sort();
    const cluster: Cluster = {
      name: seed.name,
      region: seed.region,
      arn: `arn:aws:eks:${seed.region}:${accountId}:cluster/${seed.name}`,
      nodes,
      status: 'ACTIVE',
      version: seed.version,
      platformVersion: `eks.${5 + random.below(15)}`,
      createdAt: this.world.clock.now(),
      vpcId: `vpc-0${random.text(16)}`,
      securityGroupId: `sg-0${random.text(16)}`,
      subnets: zones.map((zone) => ({ id: `subnet-0${random.text(16)}`, zone })),
      tags: {},
      updates: [],
      insights: insightsOf(seed.insights ?? [], () => random.uuid(), this.world.clock.now()),
      certificateAuthorities: [
        firstAuthority(this.world.random.stream(`eks/certificate-authority/${seed.name}`), this.world.clock.now(), seed),
      ],
      authoritiesMade: 0,
      autoMode: seed.autoMode ?? false,
      nodegroups: new Map(),
      addons: new Map(),
    };
    cluster.addons = addonsOf(seed.addons ?? [], cluster, () => random.uuid());
    if (seed.upgradedMsAgo !== undefined) this.addUpgrade(cluster, new Date(this.world.clock.now().getTime() - seed.upgradedMsAgo));
    this.clusters.set(seed.name, cluster);
    for (const nodegroup of seed.nodegroups) this.adoptNodegroup(cluster, seed, nodegroup);
  }

  /** An upgrade to the version of the cluster that was over before the world started. */
  private addUpgrade(cluster: Cluster, at: Date): void {
    const id = this.world.random.stream(`eks/upgraded/${cluster.name}`).uuid();
    const params = { Version: cluster.version, PlatformVersion: cluster.platformVersion };
    addUpdate(cluster, { id, type: 'VersionUpdate', params, at }).status = 'Successful';
    cluster.createdAt = new Date(at.getTime() - 30 * 86_400_000);
  }

  /** A cluster that was removed from the world is gone here too. */
  private stands(cluster: Cluster): boolean {
    return this.world.cluster(cluster.name) === cluster.nodes;
  }

  private adoptNodegroup(cluster: Cluster, clusterSeed: ClusterSeed, seed: NodegroupSeed): void {
    const { name, version, releaseVersion, amiType } = seed;
    const nodegroup = this.addNodegroup({
      cluster,
      name,
      version,
      releaseVersion,
      amiType,
      status: 'ACTIVE',
      capacityType: 'ON_DEMAND',
      scalingConfig: { minSize: seed.minSize, maxSize: seed.maxSize, desiredSize: seed.size },
      instanceTypes: [seed.instanceType],
      subnets: cluster.subnets.filter((subnet) => seed.zones.includes(subnet.zone)),
      nodeRole: `arn:aws:iam::${accountId}:role/eks-node`,
      labels: { ...seed.labels },
      taints: [],
      diskSize: 20,
      updateConfig: { maxUnavailable: 1 },
      tags: {},
      ...(seed.launchTemplate && { launchTemplate: seed.launchTemplate }),
    });
    this.releasesAtStart.add(releaseVersion);
    for (const node of initialNodes(clusterSeed, seed)) {
      const id = node.providerID.split('/').at(-1) ?? node.name;
      nodegroup.instances.push({ id, nodeName: node.name, zone: node.zone, releaseVersion });
      cluster.nodes.setNodeLabel(node.name, 'eks.amazonaws.com/nodegroup-image', amiIdOf(releaseVersion, cluster.region));
    }
  }
}

/** Copies what is altered in place; everything else is only ever replaced. */
function copyOf(cluster: Cluster): Cluster {
  const copy: Cluster = {
    ...cluster,
    updates: cluster.updates.map(copyOfUpdate),
    insights: cluster.insights.map((insight) => ({ ...insight })),
    certificateAuthorities: cluster.certificateAuthorities.map((authority) => ({ ...authority })),
    ...(cluster.insightsRefresh && { insightsRefresh: { ...cluster.insightsRefresh } }),
    nodegroups: new Map(),
    addons: new Map([...cluster.addons].map(([name, addon]) => [name, { ...addon, updates: addon.updates.map(copyOfUpdate) }])),
  };
  for (const [name, nodegroup] of cluster.nodegroups) {
    const { issues, updates, instances } = nodegroup;
    const lists = { issues: [...issues], updates: updates.map(copyOfUpdate), instances: [...instances] };
    copy.nodegroups.set(name, { ...nodegroup, ...lists, cluster: copy });
  }
  return copy;
}

function copyOfUpdate(update: Update): Update {
  return { ...update, errors: [...update.errors] };
}

/** What a node group is made of before EKS adds its own. */
export type NodegroupSettings = Omit<
  Nodegroup,
  'arn' | 'autoScalingGroup' | 'createdAt' | 'modifiedAt' | 'firstTags' | 'issues' | 'updates' | 'instances' | 'random'
>;
