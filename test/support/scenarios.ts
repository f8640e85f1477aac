import type { JsonObject } from '../../domain/json.ts';
import { shippedRunbooks } from '../../runbooks/library.ts';
import type { KubernetesCluster } from '../../sandbox/kubernetes/cluster.ts';
import type { DatabaseSeed } from '../../sandbox/rds/model.ts';
import { initialNodes, initialSelfManagedNodes, type AutoScalingGroupSeed, type ClusterSeed, type WorldSeed } from '../../sandbox/seed.ts';
import { demoRegion, demoWorld } from '../../sandbox/worlds/demo.ts';
import { karpenter, nodePool } from '../sandbox/kubernetes-fixture.ts';

/** What the inputs of a runbook can name: what there is in the world of every scenario. */
export interface Place {
  region: string;
  /** It has a name of its own in each scenario. */
  cluster: string;
  /** Two node groups: `blue` is that of the demo, `teal` a small one that not every runbook has to do with. */
  nodegroups: { blue: string; teal: string };
  /** The self-managed Auto Scaling group, where the runbook works on one. */
  group: { name: string; nodes: string[] };
  /** Names of the nodes of `blue`. */
  nodes: string[];
  /** How many nodes are worked on at the same time. */
  nodesAtOnce: number;
  /** A release that is newer than the one of the node groups. */
  releaseVersion: string;
}

/** How long an empty node waits for whoever reboots it, in simulated milliseconds. */
const timeToWalkMs = 20_000;

/** The certificate authority that the cluster of its rotation begins with. */
const outgoingAuthority = 'ca-of-the-beginning';

/** It follows the nodes, and has to be taken back before the control plane is. */
const addons = ['kube-proxy'] as const;

/**
 * What each shipped runbook is started with. Whoever ships a runbook adds it here; everything else about it (its steps, what they
 * change, what can be undone) the tests find out by themselves.
 */
const inputsOf: Readonly<Record<string, (place: Place) => JsonObject>> = {
  'asg-batch-rotation': ({ region, cluster, group }) => {
    return { region, cluster, group: group.name, nodes: group.nodes.slice(0, 1), sizeDuring: group.nodes.length + 1 };
  },
  'asg-rotation': ({ region, cluster, group, nodesAtOnce }) => {
    return { region, cluster, group: group.name, launchTemplateVersion: '2', nodesAtOnce };
  },
  'aurora-blue-green': ({ region, cluster }) => ({ region, cluster, name: `${cluster}-to-17`, engineVersion: '17.4' }),
  'aurora-failover': ({ region, cluster }) => ({ region, cluster, writer: `${cluster}-a`, to: `${cluster}-b` }),
  'aurora-minor-upgrade': ({ region, cluster }) => ({ region, cluster, from: '16.4', to: '16.6' }),
  'aurora-snapshot': ({ region, cluster }) => ({ region, cluster, clone: `${cluster}-drill` }),
  'aurora-rolling-class': ({ region, cluster }) => {
    const readers = [`${cluster}-b`, `${cluster}-c`];
    return { region, cluster, writer: `${cluster}-a`, readers, to: readers[0] ?? '', instanceClass: 'db.r6g.xlarge' };
  },
  'rds-certificate-rotation': ({ region, cluster }) => {
    const readers = [`${cluster}-b`, `${cluster}-c`];
    return { region, cluster, readers, writer: `${cluster}-a`, certificateAuthority: 'rds-ca-rsa2048-g1' };
  },
  'certificate-authority-rotation': ({ region, cluster }) => {
    return { region, cluster, outgoing: outgoingAuthority, olderNodes: 'accept', bake: '1s' };
  },
  'cluster-rollback': ({ region, cluster }) => ({ region, cluster, version: '1.33', addons: [...addons], bake: '1s' }),
  // The nodes stay, so that all of it can be undone; with nodes it is carried out in test/end-to-end/.
  'cluster-upgrade': ({ region, cluster }) => ({ region, cluster, version: '1.34', addons: [...addons], bake: '1s' }),
  'cluster-upgrades': ({ region, cluster }) => {
    return { region, cluster, hops: [{ version: '1.34' }, { version: '1.35' }], addons: [...addons], bake: '1s' };
  },
  'node-group-rotation': ({ region, cluster, nodegroups, releaseVersion, nodesAtOnce }) => {
    return { region, cluster, nodegroup: nodegroups.blue, newNodegroup: 'green', releaseVersion, nodesAtOnce };
  },
  'node-group-update': ({ region, cluster, nodegroups, releaseVersion }) => {
    return { region, cluster, nodegroup: nodegroups.blue, releaseVersion };
  },
  'node-group-upgrade': ({ region, cluster, nodegroups, nodesAtOnce }) => {
    return { region, cluster, nodegroup: nodegroups.teal, newNodegroup: 'jade', version: '1.33', nodesAtOnce };
  },
  'node-groups-update': ({ region, cluster, nodegroups, releaseVersion }) => {
    return { region, cluster, nodegroups: [nodegroups.teal, nodegroups.blue], releaseVersion };
  },
  'node-maintenance': ({ region, cluster, nodes, nodesAtOnce }) => {
    return { target: `eks/${region}/${cluster}`, nodes: nodes.slice(0, 2), nodesAtOnce };
  },
  'node-reboot': ({ region, cluster, nodes, nodesAtOnce }) => {
    return { target: `eks/${region}/${cluster}`, nodes: nodes.slice(0, 2), nodesAtOnce };
  },
  'node-replace': ({ region, cluster, group }) => ({ region, cluster, node: group.nodes[0] ?? '' }),
  'zone-evacuation': ({ region, cluster, nodesAtOnce }) => {
    return { target: `eks/${region}/${cluster}`, zone: `${region}a`, nodesAtOnce };
  },
};

/** What people do besides signing: where a run waits for a reboot, somebody reboots each node once it is empty. */
export function attend(runbook: string, cluster: KubernetesCluster): void {
  if (runbook !== 'node-reboot') return;
  const rebooted = new Set<string>();
  const isEmpty = (node: string): boolean => cluster.podsOn(node).every(({ daemon }) => daemon);
  cluster.store.onChange(() => {
    for (const { metadata, spec } of cluster.store.list('nodes')) {
      const { name } = metadata;
      if (spec.unschedulable !== true || rebooted.has(name) || !isEmpty(name)) continue;
      rebooted.add(name);
      cluster.clock.after(timeToWalkMs, () => cluster.rebootNode(name));
    }
  });
}

const upgraded: Partial<ClusterSeed> = {
  addons: [{ name: addons[0], version: 'v1.33.3-eksbuild.2' }],
  manifests: [...(demoWorld.clusters[0]?.manifests ?? []), ...karpenter, nodePool('general')],
};

/** How the cluster of a runbook differs from that of the demo. */
const clusterOf: Readonly<Record<string, Partial<ClusterSeed>>> = {
  'certificate-authority-rotation': { certificateAuthorityId: outgoingAuthority },
  'cluster-rollback': { version: '1.34', upgradedMsAgo: 86_400_000, addons: [{ name: addons[0], version: 'v1.34.3-eksbuild.2' }] },
  'cluster-upgrade': upgraded,
  'cluster-upgrades': upgraded,
};

/** Runbooks for nodes of a self-managed Auto Scaling group. */
const forGroups: readonly string[] = ['asg-batch-rotation', 'asg-rotation', 'node-replace'];

/** A self-managed group of three nodes with two versions of its launch template, called after its cluster. */
function groupOf(cluster: string): AutoScalingGroupSeed {
  return {
    name: `${cluster}-workers`,
    size: 3,
    minSize: 1,
    maxSize: 4,
    instanceType: 'm6i.xlarge',
    zones: ['a', 'b', 'c'].map((zone) => `${demoRegion}${zone}`),
    labels: { pool: 'general' },
    launchTemplate: { id: `lt-0${cluster}`, version: '1', releases: ['1.33.3-20260415', '1.33.4-20260801'] },
  };
}

/** Runbooks for an Aurora cluster, which is called as the EKS cluster of its world is. */
const forDatabases: readonly string[] = [
  'aurora-blue-green',
  'aurora-failover',
  'aurora-minor-upgrade',
  'aurora-rolling-class',
  'aurora-snapshot',
  'rds-certificate-rotation',
];

/** The step up to which a runbook can be undone, where that is not its last one. */
export const lastToUndo: Readonly<Record<string, string>> = { 'aurora-blue-green': 'switchover' };

/** The kind of target that a shipped runbook works on in its scenario. */
export function targetKindOf(runbook: string): 'eks' | 'rds' {
  return forDatabases.includes(runbook) ? 'rds' : 'eks';
}

/** An Aurora cluster with a writer `NAME-a` and two readers, `NAME-b` and `NAME-c`. */
export function databaseNamed(name: string): DatabaseSeed {
  const instances = ['a', 'b', 'c'].map((zone) => {
    return { name: `${name}-${zone}`, instanceClass: 'db.r6g.large', zone: `${demoRegion}${zone}` };
  });
  return { name, region: demoRegion, engine: 'aurora-postgresql', engineVersion: '16.4', instances };
}

/** Runbooks that need real members of etcd or a real API server: test/lab-etcd/ and test/lab-kubernetes/export.lab.ts have their steps. */
const shownInTheLab: readonly string[] = [
  'eks-backup',
  'eks-backup-retention',
  'eks-restore',
  'etcd-backup',
  'etcd-backup-retention',
  'etcd-defrag',
  'etcd-member-replace',
  'etcd-restore',
  'etcd-restore-drill',
];

/** The runbooks that are shipped and those that have a scenario, by name; they are the same. */
export const shipped = shippedRunbooks().filter((name) => !shownInTheLab.includes(name));
export const withScenario = Object.keys(inputsOf).sort();

/** The demo's world under another name of its cluster, with a second node group, as a runbook needs it. */
export function worldNamed(cluster: string, runbook: string): WorldSeed {
  const [demo] = demoWorld.clusters;
  const [blue] = demo?.nodegroups ?? [];
  if (!demo || !blue) throw new RangeError('the world of the demo has no node group');
  const teal = { ...blue, name: 'teal', size: 2, minSize: 1, maxSize: 4 };
  // What a runbook deletes in the end, somebody has taken the protection from.
  const databases = forDatabases.includes(runbook) ? [{ ...databaseNamed(cluster), isProtected: runbook !== 'aurora-blue-green' }] : [];
  const autoScalingGroups = forGroups.includes(runbook) ? [groupOf(cluster)] : [];
  return { clusters: [{ ...demo, ...clusterOf[runbook], name: cluster, nodegroups: [blue, teal], autoScalingGroups }], databases };
}

/** The inputs of a shipped runbook on the cluster of such a world. Throws where the runbook has no scenario. */
export function inputsFor(runbook: string, world: WorldSeed, nodesAtOnce: number): JsonObject {
  const inputs = inputsOf[runbook];
  if (!inputs) throw new Error(missingScenario(runbook));
  const [cluster] = world.clusters;
  const [blue, teal] = cluster?.nodegroups ?? [];
  if (!cluster || !blue || !teal) throw new RangeError('the world of a scenario has two node groups');
  const nodes = initialNodes(cluster, blue).map(({ name }) => name);
  const nodegroups = { blue: blue.name, teal: teal.name };
  const [workers] = cluster.autoScalingGroups ?? [];
  const group = { name: workers?.name ?? '', nodes: workers ? initialSelfManagedNodes(cluster, workers).map(({ name }) => name) : [] };
  const releaseVersion = '1.33.4-20260801';
  return inputs({ region: demoRegion, cluster: cluster.name, nodegroups, group, nodes, nodesAtOnce, releaseVersion });
}

/** What to tell whoever has added a runbook. */
export function missingScenario(runbook: string): string {
  return (
    `runbooks/${runbook}.yaml has no scenario, so no test carries it out: say in test/support/scenarios.ts what it is started with ` +
    'in the world of the demo.'
  );
}
