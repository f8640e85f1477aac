import type { JsonObject } from '../../domain/json.ts';
import { Random } from '../../sandbox/random.ts';
import {
  initialNodes,
  initialSelfManagedNodes,
  type AutoScalingGroupSeed,
  type ClusterSeed,
  type Manifest,
  type NodegroupSeed,
  type WorldSeed,
} from '../../sandbox/seed.ts';
import { circumstancesOf, isForDatabases, type Circumstances } from './circumstances.ts';

export const region = 'eu-central-1';
const cpuPerNodeMillis = 4_000;
/** How much of the nodes is asked for at most, so that pods find room while a node is away. */
const fillMax = 0.45;
/** How many nodes are taken out of service for a while at most, and which share of all. */
const nodesServicedMax = 2;
const shareServicedMax = 0.5;
const secondGroupSize = 2;

/** Everything that a seed decides: the world, and what happens to a run in it. */
export interface SimulatedTarget {
  cluster: string;
  target: string;
  world: WorldSeed;
  /** What runbooks may ask for by name. */
  inputs: JsonObject;
  /** The node groups that there are or may be. */
  groupNames: string[];
  /** The release that runs bring node groups to, and one in between. */
  newRelease: string;
  otherRelease: string;
  circumstances: Circumstances;
}

type Size = { replicas: number; cpuMillis: number };
type Budget = { minAvailable: number | string } | { maxUnavailable: number | string };

interface Wanted {
  seed: number;
  runbook: string;
  faultRate: number;
  name: string;
}

/** Makes the simulated target of a seed and a runbook, always the same. `name` makes the cluster's name unique on a server. */
export function simulatedTargetOf(wanted: Wanted): SimulatedTarget {
  return isForDatabases(wanted.runbook) ? simulatedDatabaseOf(wanted) : simulatedClusterOf(wanted);
}

/** An Aurora cluster of a writer and two to four readers. */
function simulatedDatabaseOf({ seed, runbook, faultRate, name }: Wanted): SimulatedTarget {
  const random = new Random(seed).stream('database');
  const [instanceClass, nextClass] = pick(random, [
    ['db.r6g.large', 'db.r6g.xlarge'],
    ['db.r6g.xlarge', 'db.r6g.2xlarge'],
    ['db.t4g.large', 'db.r6g.large'],
  ] as const);
  const names = ['a', 'b', 'c', 'd', 'e'].slice(0, 3 + random.below(3)).map((letter) => `${name}-${letter}`);
  const instances = names.map((instance, index) => {
    const zone = `${region}${['a', 'b', 'c'][index % 3] ?? 'a'}`;
    return { name: instance, instanceClass, zone, promotionTier: random.below(3), lagMs: 5 + random.below(40) };
  });
  const engine = pick(random, ['aurora-postgresql', 'aurora-mysql'] as const);
  const engineVersion = engine === 'aurora-mysql' ? '8.0.mysql_aurora.3.08.0' : '16.4';
  const [writer = '', ...readers] = names;
  const versions = { from: engineVersion, to: engine === 'aurora-mysql' ? '8.0.mysql_aurora.3.08.2' : '16.6' };
  const to = runbook === 'aurora-minor-upgrade' ? versions.to : pick(random, readers);
  // What a runbook deletes in the end, somebody has taken the protection from.
  const isProtected = runbook !== 'aurora-blue-green';
  const inputs = {
    ...versions,
    region,
    cluster: name,
    clone: `${name}-drill`,
    name: `${name}-next`,
    engineVersion: versions.to,
    certificateAuthority: 'rds-ca-rsa2048-g1',
    writer,
    readers,
    to,
    instanceClass: nextClass,
    smallerReader: 'accept',
  };
  const world: WorldSeed = { clusters: [], databases: [{ name, region, engine, engineVersion, instances, isProtected }] };
  const circumstances = circumstancesOf(seed, runbook, faultRate);
  return { cluster: name, target: `rds/${region}/${name}`, world, inputs, groupNames: [], newRelease: '', otherRelease: '', circumstances };
}

function simulatedClusterOf({ seed, runbook, faultRate, name }: Wanted): SimulatedTarget {
  const random = new Random(seed).stream('world');
  const nodes = 3 + random.below(7);
  // Of the newest version the sandbox has no release two minors further.
  const version =
    runbook === 'cluster-upgrades' ? pick(random, ['1.32', '1.33'] as const) : pick(random, ['1.32', '1.33', '1.34'] as const);
  const releaseVersion = { '1.32': '1.32.8-20260415', '1.33': '1.33.3-20260415', '1.34': '1.34.1-20260415' }[version];
  const newRelease = { '1.32': '1.32.9-20260801', '1.33': '1.33.4-20260801', '1.34': '1.34.2-20260801' }[version];
  const otherRelease = { '1.32': '1.32.9-20260601', '1.33': '1.33.4-20260601', '1.34': '1.34.2-20260601' }[version];
  // EKS takes no cluster with subnets in one zone only; checks before an upgrade say so.
  const zonesMin = runbook.startsWith('cluster-upgrade') ? 2 : 1;
  const zones = ['a', 'b', 'c'].slice(0, Math.max(zonesMin, 1 + random.below(3))).map((zone) => `${region}${zone}`);
  const blue = { ...groupSettings, name: 'blue', size: nodes, maxSize: 2 * nodes, version, releaseVersion, zones };
  const amber = { ...blue, name: 'amber', size: secondGroupSize, labels: { pool: 'special' } };
  // A rollback is of an upgrade that the nodes have not followed yet.
  const minor = Number(version.slice('1.'.length));
  const upgraded = runbook === 'cluster-rollback' ? { version: `1.${minor + 1}`, upgradedMsAgo: 86_400_000 } : { version };
  const versionOfRunbook: Record<string, string> = {
    'cluster-upgrade': `1.${minor + 1}`,
    'cluster-rollback': version,
    'node-group-upgrade': version,
  };
  const cluster: ClusterSeed = {
    name,
    region,
    ...upgraded,
    certificateAuthorityId: outgoing,
    nodegroups: runbook === 'node-groups-update' ? [blue, amber] : [blue],
    ...(isForGroups(runbook) && { autoScalingGroups: [groupOf(random, name, { zones, releases: [releaseVersion, newRelease] })] }),
    manifests: manifestsFor(random, nodes),
  };
  const [group] = cluster.autoScalingGroups ?? [];
  const scaled = group ? initialSelfManagedNodes(cluster, group).map((node) => node.name) : [];
  const serviced = Math.min(nodesServicedMax, Math.floor(nodes * shareServicedMax));
  const [nodegroups, newNodegroup] = [cluster.nodegroups.map((group) => group.name), 'green'];
  const isUpgrade = runbook.startsWith('cluster-upgrade');
  const isRotated = isRotatedBy(runbook, seed);
  const inTheirWays = nodegroups.map((nodegroup) => ({ nodegroup, ...(isRotated && { newNodegroup }) }));
  const hops: JsonObject[] = [{ version: `1.${minor + 1}` }, { version: `1.${minor + 2}`, nodegroups: inTheirWays }];
  const inputs = {
    target: `eks/${region}/${name}`,
    region,
    cluster: name,
    nodegroup: 'blue',
    nodegroups: isUpgrade ? inTheirWays : nodegroups,
    newNodegroup,
    outgoing,
    rotations: [{ nodegroup: 'blue', newNodegroup }],
    releaseVersion: newRelease,
    // Bakes go by the clock of the wall.
    bake: '1s',
    recoverWithin: '30s',
    hops,
    nodes: (group ? scaled : initialNodes(cluster, blue).map((node) => node.name)).slice(0, serviced),
    group: group?.name ?? '',
    node: scaled[0] ?? '',
    sizeDuring: scaled.length + serviced,
    ...(group && { launchTemplateVersion: '2', surge: 1 + random.below(scaled.length), canary: 1 }),
    nodesAtOnce: 1 + random.below(3),
    ...(versionOfRunbook[runbook] !== undefined && { version: versionOfRunbook[runbook] }),
  };
  const circumstances = circumstancesOf(seed, runbook, faultRate);
  const groupNames = group ? [group.name] : [...nodegroups, ...(isRotated ? [newNodegroup] : [])];
  const target = `eks/${region}/${name}`;
  return { cluster: name, target, world: { clusters: [cluster] }, inputs, groupNames, newRelease, otherRelease, circumstances };
}

/** Runbooks that replace the node group by another one. */
const rotations = ['node-group-rotation', 'node-group-upgrade', 'certificate-authority-rotation'];
/** Every other upgrade rotates the node group; EKS updates it in the others. */
function isRotatedBy(runbook: string, seed: number): boolean {
  if (rotations.includes(runbook)) return true;
  return runbook.startsWith('cluster-upgrade') && new Random(seed).stream('ways').next() < 0.5;
}

/** Runbooks that work on a self-managed Auto Scaling group. */
function isForGroups(runbook: string): boolean {
  return runbook.startsWith('asg-') || runbook === 'node-replace';
}

function groupOf(random: Random, cluster: string, { zones, releases }: { zones: string[]; releases: string[] }): AutoScalingGroupSeed {
  const size = 2 + random.below(4);
  const launchTemplate = { id: `lt-0${cluster}`, version: '1', releases };
  // Only the rotation raises the largest size; what it carries out by itself does not.
  const sizes = { size, minSize: 1, maxSize: size + nodesServicedMax };
  return { ...sizes, name: `${cluster}-workers`, instanceType: 'm6i.xlarge', zones, labels: { pool: 'general' }, launchTemplate };
}

/** The certificate authority that the cluster begins with. */
const outgoing = 'ca-of-the-beginning';

const groupSettings: Pick<NodegroupSeed, 'minSize' | 'instanceType' | 'amiType' | 'labels'> = {
  minSize: 1,
  instanceType: 'm6i.xlarge',
  amiType: 'AL2023_x86_64_STANDARD',
  labels: { pool: 'general' },
};

function manifestsFor(random: Random, nodes: number): Manifest[] {
  const manifests: Manifest[] = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }];
  let roomMillis = nodes * cpuPerNodeMillis * fillMax;
  const place = (size: Size): boolean => {
    const takes = size.replicas * size.cpuMillis;
    if (takes > roomMillis) return false;
    roomMillis -= takes;
    return true;
  };
  manifests.push(...workload('DaemonSet', 'agent', { replicas: 0, cpuMillis: 50 }));
  const database = { replicas: 2 + random.below(2), cpuMillis: 400 };
  place(database);
  manifests.push(...workload('StatefulSet', 'database', database, openBudget(random, database.replicas)));
  const count = 2 + random.below(5);
  // Now and then a budget never opens: the run has to say so and to leave nothing behind.
  const shut = random.next() < 0.06 ? 0 : -1;
  for (let index = 0; index < count; index++) {
    const size = { replicas: 2 + random.below(6), cpuMillis: 100 + 50 * random.below(6) };
    const budget = index === shut ? { minAvailable: '100%' } : random.next() < 0.75 ? openBudget(random, size.replicas) : undefined;
    if (place(size)) manifests.push(...workload('Deployment', `web-${index}`, size, budget));
  }
  return manifests;
}

/** A budget that lets at least one pod go while all are healthy. */
function openBudget(random: Random, replicas: number): Budget {
  const choices: Budget[] = [
    { maxUnavailable: 1 },
    { maxUnavailable: '25%' },
    { maxUnavailable: '50%' },
    { minAvailable: replicas - 1 },
    { minAvailable: '50%' },
    ...(replicas >= 4 ? [{ minAvailable: '75%' }] : []),
  ];
  return pick(random, choices);
}

function workload(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet', name: string, size: Size, budget?: Budget): Manifest[] {
  const selector = { matchLabels: { app: name } };
  const metadata = { name, namespace: 'shop', labels: { app: name } };
  const container = {
    name,
    image: `registry.example.com/${name}:1.0.0`,
    resources: { requests: { cpu: `${size.cpuMillis}m`, memory: '256Mi' } },
  };
  const template = { metadata: { labels: { app: name } }, spec: { containers: [container] } };
  const replicas = kind === 'DaemonSet' ? {} : { replicas: size.replicas };
  const service = kind === 'StatefulSet' ? { serviceName: name } : {};
  const owner: Manifest = { apiVersion: 'apps/v1', kind, metadata, spec: { ...replicas, ...service, selector, template } };
  return budget ? [owner, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { ...budget, selector } }] : [owner];
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new RangeError('there is nothing to choose from');
  return item;
}
