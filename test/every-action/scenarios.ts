import type { JsonObject } from '../../domain/json.ts';
import type { ActionName } from '../../runbooks/actions/index.ts';
import type { BlueGreenDeployment } from '../../sandbox/rds/blue-green.ts';
import type { AutoScalingGroupSeed, Manifest, WorldSeed } from '../../sandbox/seed.ts';
import { budget, deployment, karpenter, nodePool } from '../sandbox/kubernetes-fixture.ts';
import { databaseNamed } from '../support/scenarios.ts';
import { region, worldWith, type TestCluster } from '../support/cluster.ts';

/** A world in which an action has something to do. Whoever adds an action adds one here; see docs/testing.md. */
export interface ActionScenario {
  action: ActionName;
  /** What is special about it, where an action has several. */
  title?: string;
  /** The kind of target that it works on, where that is not the EKS cluster. */
  kind?: 'rds';
  seed: () => WorldSeed;
  /** What is done before the action is planned, by the run itself. */
  before?: (cluster: TestCluster) => Promise<void>;
  input: (cluster: TestCluster) => Promise<JsonObject>;
  /** What the action says where there is no rollback from what it has begun. */
  noWayBack?: RegExp;
}

const release = '1.33.4-20260801';
const workloads = [deployment('web', 6), budget('web', { maxUnavailable: 2 })];

async function firstNodes(cluster: TestCluster, count: number): Promise<string[]> {
  return (await cluster.nodeNames()).sort().slice(0, count);
}

/** A world whose nodes are those of a self-managed Auto Scaling group `workers`. */
export function worldWithGroup(manifests: Manifest[], differences: Partial<AutoScalingGroupSeed> = {}): WorldSeed {
  const group: AutoScalingGroupSeed = {
    name: 'workers',
    size: 3,
    minSize: 1,
    maxSize: 4,
    instanceType: 'm6i.large',
    zones: [`${region}a`, `${region}b`, `${region}c`],
    labels: { pool: 'workers' },
    launchTemplate: { id: 'lt-0workers', version: '1', releases: ['1.33.3-20260415', release] },
    ...differences,
  };
  return { clusters: worldWith(manifests, { nodes: 0 }).clusters.map((cluster) => ({ ...cluster, autoScalingGroups: [group] })) };
}

const outgoingAuthority = 'ca-of-the-beginning';

function withAuthority({ clusters }: WorldSeed): WorldSeed {
  return { clusters: clusters.map((cluster) => ({ ...cluster, certificateAuthorityId: outgoingAuthority })) };
}

async function appendAuthority(cluster: TestCluster): Promise<void> {
  await cluster.perform('eks.createCertificateAuthority', await cluster.plan('eks.createCertificateAuthority', {}));
}

async function cordonFirst(cluster: TestCluster): Promise<void> {
  await cluster.perform('kubernetes.cordon', await cluster.plan('kubernetes.cordon', { nodes: await firstNodes(cluster, 2) }));
}

const blueGreen = { name: 'to-17', engineVersion: '17.4' };

function aurora(): WorldSeed {
  return { ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] };
}

/** Made by the run of these tests, without the time that it takes. */
async function withGreen({ sandbox }: TestCluster): Promise<BlueGreenDeployment> {
  const { name, engineVersion } = blueGreen;
  const deployment = sandbox.world.databases[0]!.deploy(name, engineVersion, { 'holdpoint.dev/run': 'r-1' });
  deployment.finish();
  return deployment;
}

export const scenarios: readonly ActionScenario[] = [
  {
    action: 'gate.http',
    seed: () => worldWith([]),
    input: async () => ({ endpoint: 'sandbox', path: '/sandbox/clusters', field: 'clusters.0.name', equals: 'demo' }),
  },
  {
    action: 'gate.prometheus',
    seed: () => worldWith([]),
    before: async ({ sandbox }) => void sandbox.world.queries.set('up', { vector: [{ metric: { job: 'web' }, value: '1' }] }),
    input: async () => ({ endpoint: 'metrics', query: 'up', equals: 1 }),
  },
  {
    action: 'gate.cloudwatchAlarms',
    seed: () => worldWith([]),
    before: async ({ sandbox }) => void sandbox.world.alarms.set('latency', { name: 'latency', kind: 'metric', state: 'OK' }),
    input: async () => ({ names: ['latency'] }),
  },
  {
    action: 'eks.preflight',
    seed: () => worldWith(workloads),
    input: async () => ({ nodegroup: 'blue' }),
  },
  {
    action: 'eks.createNodegroup',
    seed: () => worldWith(workloads),
    input: async () => ({ name: 'green', like: 'blue', releaseVersion: release }),
  },
  {
    action: 'eks.deleteNodegroup',
    seed: () => worldWith([]),
    input: async () => ({ nodegroup: 'blue' }),
    noWayBack: /blue/,
  },
  {
    action: 'eks.updateNodegroupVersion',
    seed: () => worldWith(workloads),
    input: async () => ({ nodegroup: 'blue', releaseVersion: release }),
    noWayBack: /blue/,
  },
  {
    action: 'eks.refreshInsights',
    seed: () => worldWith([]),
    input: async () => ({}),
  },
  {
    action: 'eks.updateControlPlane',
    seed: () => worldWith([]),
    input: async () => ({ version: '1.34' }),
  },
  {
    action: 'eks.rollbackControlPlane',
    seed: () => ({ clusters: worldWith([]).clusters.map((cluster) => ({ ...cluster, version: '1.34', upgradedMsAgo: 86_400_000 })) }),
    input: async () => ({ version: '1.33' }),
  },
  {
    action: 'eks.createCertificateAuthority',
    seed: () => withAuthority(worldWith([])),
    input: async () => ({ outgoing: outgoingAuthority }),
  },
  {
    action: 'eks.activateCertificateAuthority',
    seed: () => withAuthority(worldWith([], { nodes: 1 })),
    before: appendAuthority,
    input: async () => ({ outgoing: outgoingAuthority, olderNodes: 'accept' }),
  },
  {
    action: 'eks.deleteCertificateAuthority',
    seed: () => withAuthority(worldWith([], { nodes: 0 })),
    before: async (cluster) => {
      await appendAuthority(cluster);
      const activation = await cluster.plan('eks.activateCertificateAuthority', {});
      await cluster.perform('eks.activateCertificateAuthority', activation);
    },
    input: async () => ({ certificateAuthority: outgoingAuthority }),
    noWayBack: new RegExp(outgoingAuthority),
  },
  {
    action: 'eks.updateAddon',
    seed: () => ({
      clusters: worldWith([]).clusters.map((cluster) => ({ ...cluster, addons: [{ name: 'vpc-cni', version: 'v1.19.0-eksbuild.1' }] })),
    }),
    input: async () => ({ addon: 'vpc-cni', kubernetesVersion: '1.34', slot: 'before-control-plane' }),
  },
  {
    action: 'eks.bake',
    seed: () => worldWith(workloads),
    input: async () => ({ lasts: '0s', version: '1.33' }),
  },
  {
    action: 'kubernetes.cordon',
    seed: () => worldWith(workloads),
    input: async (cluster) => ({ nodes: await firstNodes(cluster, 2) }),
  },
  {
    action: 'kubernetes.uncordon',
    seed: () => worldWith(workloads),
    before: cordonFirst,
    input: async (cluster) => ({ nodes: await firstNodes(cluster, 2) }),
  },
  {
    action: 'kubernetes.findNodes',
    seed: () => worldWith([]),
    input: async () => ({ zone: `${region}a` }),
  },
  {
    action: 'kubernetes.checkDrain',
    seed: () => worldWith(workloads),
    input: async (cluster) => ({ nodes: await firstNodes(cluster, 2), nodesAtOnce: 2 }),
  },
  {
    action: 'kubernetes.holdKarpenter',
    seed: () => worldWith([...karpenter, nodePool('general'), nodePool('batch', [{ nodes: '20%' }, { nodes: '0', reasons: ['Drifted'] }])]),
    input: async () => ({}),
  },
  {
    action: 'kubernetes.releaseKarpenter',
    seed: () => worldWith([...karpenter, nodePool('general'), nodePool('batch')]),
    before: async (cluster) => {
      await cluster.perform('kubernetes.holdKarpenter', await cluster.plan('kubernetes.holdKarpenter', {}));
    },
    input: async () => ({}),
  },
  {
    action: 'kubernetes.drain',
    title: 'two nodes at a time',
    seed: () => worldWith(workloads, { nodes: 4 }),
    input: async (cluster) => ({ nodes: await firstNodes(cluster, 2), nodesAtOnce: 2 }),
  },
  {
    action: 'autoscaling.findNodes',
    seed: () => worldWithGroup([]),
    input: async () => ({ group: 'workers', launchTemplateVersion: '2', surge: 2 }),
  },
  {
    action: 'autoscaling.hold',
    seed: () => worldWithGroup([]),
    before: async ({ groups: [group] }) => group?.suspend(['ScheduledActions']),
    input: async () => ({ group: 'workers', sizeMax: 6 }),
  },
  {
    action: 'autoscaling.release',
    seed: () => worldWithGroup([]),
    before: async (cluster) => {
      await cluster.perform('autoscaling.hold', await cluster.plan('autoscaling.hold', { group: 'workers', sizeMax: 6 }));
    },
    input: async () => ({ group: 'workers' }),
  },
  {
    action: 'autoscaling.setLaunchTemplate',
    seed: () => worldWithGroup([]),
    input: async () => ({ group: 'workers', version: '2' }),
  },
  {
    action: 'autoscaling.scaleUp',
    seed: () => worldWithGroup([]),
    input: async () => ({ group: 'workers', to: 4 }),
  },
  {
    action: 'autoscaling.terminate',
    seed: () => worldWithGroup([]),
    input: async () => ({ group: 'workers', nodes: ['100', '101'].map((zone) => `ip-10-${zone}-0-4.eu-central-1.compute.internal`) }),
    noWayBack: /workers/,
  },
  {
    action: 'autoscaling.replace',
    seed: () => worldWithGroup([]),
    input: async () => ({ node: 'ip-10-100-0-4.eu-central-1.compute.internal' }),
    noWayBack: /does not come back/,
  },
  {
    action: 'rds.failover',
    kind: 'rds',
    seed: aurora,
    input: async () => ({ writer: 'demo-a', to: 'demo-b' }),
  },
  {
    action: 'rds.modifyInstance',
    kind: 'rds',
    seed: aurora,
    input: async () => ({ instance: 'demo-b', instanceClass: 'db.r6g.xlarge' }),
  },
  {
    action: 'rds.rotateCertificate',
    kind: 'rds',
    seed: aurora,
    input: async () => ({ instance: 'demo-a', certificateAuthority: 'rds-ca-rsa2048-g1' }),
  },
  {
    action: 'rds.takeSnapshot',
    kind: 'rds',
    seed: aurora,
    input: async () => ({}),
  },
  {
    action: 'rds.clone',
    kind: 'rds',
    seed: aurora,
    input: async () => ({ name: 'demo-drill' }),
  },
  {
    action: 'rds.deleteClone',
    kind: 'rds',
    seed: aurora,
    before: async (cluster) => {
      await cluster.perform('rds.clone', await cluster.plan('rds.clone', { name: 'demo-drill' }));
    },
    input: async () => ({ name: 'demo-drill' }),
    noWayBack: /demo-drill is gone/,
  },
  {
    action: 'rds.upgradeEngine',
    kind: 'rds',
    seed: aurora,
    input: async () => ({ from: '16.4', to: '16.6' }),
    noWayBack: /no engine back/,
  },
  {
    action: 'rds.createBlueGreen',
    kind: 'rds',
    seed: aurora,
    input: async () => blueGreen,
  },
  {
    action: 'rds.switchoverBlueGreen',
    kind: 'rds',
    seed: aurora,
    before: async (cluster) => void (await withGreen(cluster)),
    input: async () => ({ name: blueGreen.name }),
    noWayBack: /loses what was written since/,
  },
  {
    action: 'rds.deleteBlueGreen',
    kind: 'rds',
    seed: aurora,
    before: async (cluster) => {
      const deployment = await withGreen(cluster);
      deployment.finishSwitchover();
      deployment.blue.isProtected = false;
    },
    input: async () => ({ name: blueGreen.name }),
    noWayBack: /is gone, or going/,
  },
];

/** Actions that people finish; test/workflows/gates.test.ts and test/activities/kubernetes/await-reboot.test.ts have them. */
export const openedByPeople: readonly string[] = ['gate.manualCheck', 'kubernetes.awaitReboot'];

/** Actions that need real members of etcd or a real API server: test/lab-etcd/ and test/lab-kubernetes/export.lab.ts carry them out. */
export const shownInTheLab: readonly string[] = [
  'etcd.check',
  'etcd.backup',
  'etcd.deleteBackups',
  'etcd.drill',
  'kubernetes.backup',
  'kubernetes.restore',
  'kubernetes.deleteBackups',
  'etcd.defragment',
  'etcd.replaceMember',
  'etcd.chooseBackup',
  'etcd.prepareRestore',
  'etcd.stopMember',
  'etcd.exchangeData',
  'etcd.startMember',
  'etcd.checkRestored',
];

/** Actions that look at a place for backups, which is no part of a world; test/activities/backup/required.test.ts has them. */
export const shownWithBackups: readonly string[] = ['backup.required'];

/** What to tell whoever has added an action. */
export function missingScenario(action: string): string {
  const place = 'test/every-action/scenarios.ts';
  return `No test carries out ${action} by itself: say in ${place} in which world and with which input it has something to do.`;
}
