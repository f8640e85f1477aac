import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  DescribeClusterCommand,
  DescribeNodegroupCommand,
  DescribeUpdateCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  UpdateAddonCommand,
  UpdateClusterVersionCommand,
  UpdateNodegroupConfigCommand,
  UpdateNodegroupVersionCommand,
  waitUntilNodegroupActive,
  waitUntilNodegroupDeleted,
  type Cluster,
  type Nodegroup,
  type Update,
  type UpdateAddonCommandInput,
  type UpdateAddonCommandOutput,
} from '@aws-sdk/client-eks';
import { clusterSeed, eventually, startEks, type EksFixture } from './eks-fixture.ts';

const blue = { clusterName: 'demo', nodegroupName: 'blue' };
const newRelease = '1.33.4-20260801';
const excluded = 'node.kubernetes.io/exclude-from-external-load-balancers';
let fixture: EksFixture;

beforeEach(async () => {
  fixture = await startEks();
});

afterEach(() => fixture.stop());

async function describeDemo(): Promise<Cluster | undefined> {
  return (await fixture.client.send(new DescribeClusterCommand({ name: 'demo' }))).cluster;
}

async function describeGroup(nodegroupName = 'blue'): Promise<Nodegroup> {
  const { nodegroup } = await fixture.client.send(new DescribeNodegroupCommand({ clusterName: 'demo', nodegroupName }));
  if (nodegroup === undefined) throw new Error(`DescribeNodegroup of ${nodegroupName} came back empty`);
  return nodegroup;
}

function ended(update: Update | undefined, nodegroupName?: string): Promise<Update> {
  const question = new DescribeUpdateCommand({ name: 'demo', updateId: update?.id, nodegroupName });
  return eventually('the update to end', async () => {
    const answer = await fixture.client.send(question);
    return answer.update?.status === 'InProgress' ? undefined : answer.update;
  });
}

async function createGreen(change: object = {}): Promise<Nodegroup | undefined> {
  const { subnets, nodeRole } = await describeGroup();
  const scalingConfig = { minSize: 1, maxSize: 6, desiredSize: 3 };
  const input = { clusterName: 'demo', nodegroupName: 'green', subnets, nodeRole, scalingConfig, instanceTypes: ['m6i.large'], ...change };
  return (await fixture.client.send(new CreateNodegroupCommand(input))).nodegroup;
}

function nodesOf(nodegroup: string): string[] {
  const nodes = [...fixture.demo.nodes.values()].filter((node) => node.spec.labels['eks.amazonaws.com/nodegroup'] === nodegroup);
  return nodes.map((node) => node.spec.name);
}

function journal(verb: string): string[] {
  return fixture.demo.journal.filter((line) => line.startsWith(`${verb} `)).map((line) => line.slice(verb.length + 1));
}

describe('creating a node group', () => {
  test('its nodes join one after another', async () => {
    await fixture.stop();
    fixture = await startEks({ speed: 100 });
    await createGreen();
    await eventually('three nodes', () => (fixture.demo.nodes.size === 6 ? true : undefined));
    const readyTimes = nodesOf('green').map((name) => fixture.demo.nodes.get(name)?.readyAt ?? 0);
    expect(new Set(readyTimes).size).toBe(3);
  });

  test('it is ACTIVE when all its nodes are Ready, one in each zone', async () => {
    expect((await createGreen())?.status).toBe('CREATING');
    const nodegroup = await eventually('green to be ACTIVE', async () => {
      const now = await describeGroup('green');
      return now.status === 'ACTIVE' ? now : undefined;
    });
    expect(nodegroup).toMatchObject({ version: '1.33', releaseVersion: newRelease });
    const nodes = nodesOf('green');
    expect(nodes.every((name) => fixture.demo.nodeReady(name))).toBe(true);
    const specs = nodes.map((name) => fixture.demo.nodes.get(name)?.spec);
    expect(specs.map((spec) => spec?.zone).sort()).toEqual(['eu-central-1a', 'eu-central-1b', 'eu-central-1c']);
    expect(specs[0]).toMatchObject({
      name: expect.stringMatching(/^ip-10-\d+-\d+-\d+\.eu-central-1\.compute\.internal$/),
      kubeletVersion: expect.stringMatching(/^v1\.33\.4-eks-/),
      instanceType: 'm6i.large',
      providerID: expect.stringMatching(/^aws:\/\/\/eu-central-1[abc]\/i-0[0-9a-f]{16}$/),
      labels: {
        'eks.amazonaws.com/nodegroup': 'green',
        'eks.amazonaws.com/nodegroup-image': expect.stringMatching(/^ami-0/),
        'topology.kubernetes.io/zone': expect.stringMatching(/^eu-central-1/),
        'node.kubernetes.io/instance-type': 'm6i.large',
      },
    });
  });

  test('takes a minute at least, even when its nodes are Ready sooner', async () => {
    await fixture.stop();
    fixture = await startEks({ speed: 100 });
    const begun = Date.now();
    await createGreen();
    await eventually('green to be ACTIVE', async () => ((await describeGroup('green')).status === 'ACTIVE' ? true : undefined));
    expect(Date.now() - begun).toBeGreaterThanOrEqual(600);
  });

  test('the waiters of the SDK see it come and go', async () => {
    await createGreen();
    const wait = { client: fixture.client, maxWaitTime: 20, minDelay: 1, maxDelay: 1 };
    const green = { clusterName: 'demo', nodegroupName: 'green' };
    expect((await waitUntilNodegroupActive(wait, green)).state).toBe('SUCCESS');
    await fixture.client.send(new DeleteNodegroupCommand(green));
    expect((await waitUntilNodegroupDeleted(wait, green)).state).toBe('SUCCESS');
  });

  test('fails with the reason when its instances cannot start', async () => {
    const issue = { code: 'AsgInstanceLaunchFailures', message: 'Could not launch On-Demand Instances.', resourceIds: ['eks-green'] };
    fixture.eks.setNodegroupIssue('demo', 'green', issue);
    await createGreen();
    const nodegroup = await eventually('green to fail', async () => {
      const now = await describeGroup('green');
      return now.status === 'CREATING' ? undefined : now;
    });
    expect(nodegroup.status).toBe('CREATE_FAILED');
    expect(nodegroup.health?.issues).toContainEqual(issue);
    expect(nodesOf('green')).toEqual([]);
  });

  test('goes on once its instances can start again', async () => {
    fixture.eks.setNodegroupIssue('demo', 'green', { code: 'InsufficientFreeAddresses', message: 'No address.', resourceIds: [] });
    await createGreen();
    expect((await describeGroup('green')).health?.issues).toHaveLength(1);
    fixture.eks.setNodegroupIssue('demo', 'green', undefined);
    await eventually('green to be ACTIVE', async () => ((await describeGroup('green')).status === 'ACTIVE' ? true : undefined));
    expect(nodesOf('green')).toHaveLength(3);
  });

  test('the same seed makes the same nodes', async () => {
    const other = await startEks();
    try {
      await createGreen();
      const { subnets, nodeRole } = await describeGroup();
      const scalingConfig = { minSize: 1, maxSize: 6, desiredSize: 3 };
      const input = { clusterName: 'demo', nodegroupName: 'green', subnets, nodeRole, scalingConfig };
      await other.client.send(new CreateNodegroupCommand(input));
      await eventually('both to have nodes', () => (nodesOf('green').length === 3 && other.demo.nodes.size === 6 ? true : undefined));
      expect(other.demo.journal).toEqual(fixture.demo.journal);
    } finally {
      await other.stop();
    }
  });
});

describe('health', () => {
  test('a node group with an issue is DEGRADED until the issue is lifted', async () => {
    fixture.eks.setNodegroupIssue('demo', 'blue', { code: 'AccessDenied', message: 'The node role is gone.', resourceIds: [] });
    expect(await describeGroup()).toMatchObject({ status: 'DEGRADED', health: { issues: [{ code: 'AccessDenied' }] } });
    fixture.eks.setNodegroupIssue('demo', 'blue', undefined);
    expect(await describeGroup()).toMatchObject({ status: 'ACTIVE', health: { issues: [] } });
  });
});

describe('deleting a node group', () => {
  test('drains all its nodes, ends them and is gone', async () => {
    const nodes = nodesOf('blue');
    const { nodegroup } = await fixture.client.send(new DeleteNodegroupCommand(blue));
    expect(nodegroup?.status).toBe('DELETING');
    await eventually('blue to be gone', () =>
      fixture.client.send(new DescribeNodegroupCommand(blue)).then(
        () => undefined,
        (error: unknown) => error instanceof ResourceNotFoundException || undefined,
      ),
    );
    expect(journal('cordon').sort()).toEqual(nodes);
    expect(fixture.demo.nodes.size).toBe(0);
  });

  test('gives budgets five minutes, then ends the nodes all the same', async () => {
    fixture.demo.blocked.add('web-0');
    const begun = Date.now();
    await fixture.client.send(new DeleteNodegroupCommand(blue));
    await eventually('the last node to be ended', () => (fixture.demo.nodes.size === 0 ? true : undefined));
    expect(Date.now() - begun).toBeGreaterThanOrEqual(300);
  });

  test('is refused while it is being created or deleted', async () => {
    await createGreen();
    const green = { clusterName: 'demo', nodegroupName: 'green' };
    await expect(fixture.client.send(new DeleteNodegroupCommand(green))).rejects.toThrow(ResourceInUseException);
  });
});

describe('updating the version of a node group', () => {
  const toNewRelease = new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: newRelease });

  test('brings new nodes up first, cordons all old ones, replaces them one by one and scales down again', async () => {
    const old = nodesOf('blue');
    const { update } = await fixture.client.send(toNewRelease);
    expect(update).toMatchObject({
      status: 'InProgress',
      type: 'VersionUpdate',
      params: [
        { type: 'Version', value: '1.33' },
        { type: 'ReleaseVersion', value: newRelease },
      ],
    });
    expect((await describeGroup()).status).toBe('UPDATING');
    expect(await ended(update, 'blue')).toMatchObject({ status: 'Successful', errors: [] });
    expect(await describeGroup()).toMatchObject({ status: 'ACTIVE', releaseVersion: newRelease, scalingConfig: { desiredSize: 3 } });

    const lines = fixture.demo.journal.filter((line) => !line.startsWith('evict '));
    const firstCordon = lines.findIndex((line) => line.startsWith('cordon '));
    expect(lines.slice(0, firstCordon).every((line) => line.startsWith('join '))).toBe(true);
    // Twice as many as there are zones, before any old node is touched.
    expect(firstCordon).toBe(6);
    expect(
      lines
        .slice(firstCordon, firstCordon + 3)
        .map((line) => line.slice('cordon '.length))
        .sort(),
    ).toEqual(old);
    expect(journal('evict').sort()).toEqual(['web-0', 'web-2', 'web-4']);
    // One is ended and its successor joins before the next one is ended.
    const replacing = lines.slice(firstCordon + 3, firstCordon + 9).map((line) => line.split(' ')[0]);
    expect(replacing).toEqual(Array(3).fill(['remove', 'join']).flat());
    const left = nodesOf('blue').map((name) => fixture.demo.nodes.get(name)?.spec);
    expect(left.map((spec) => spec?.kubeletVersion.slice(0, 7))).toEqual(['v1.33.4', 'v1.33.4', 'v1.33.4']);
    expect(left.map((spec) => spec?.zone).sort()).toEqual(['eu-central-1a', 'eu-central-1b', 'eu-central-1c']);
  });

  test('fails after fifteen minutes when a budget keeps a pod, and lets the old nodes be used again', async () => {
    for (const name of ['web-0', 'web-2', 'web-4']) fixture.demo.blocked.add(name);
    const old = nodesOf('blue');
    const begun = Date.now();
    const update = await ended((await fixture.client.send(toNewRelease)).update, 'blue');
    expect(Date.now() - begun).toBeGreaterThanOrEqual(900);
    expect(update.status).toBe('Failed');
    expect(update.errors).toEqual([
      {
        errorCode: 'PodEvictionFailure',
        errorMessage: 'Reached max retries while trying to evict pods from nodes in node group blue',
        resourceIds: [expect.stringMatching(/^ip-10-/)],
      },
    ]);
    expect(await describeGroup()).toMatchObject({ status: 'ACTIVE', releaseVersion: '1.33.3-20260415' });
    expect(nodesOf('blue').sort()).toEqual(old.sort());
    expect([...fixture.demo.nodes.values()].some((node) => node.unschedulable || excluded in node.spec.labels)).toBe(false);
  });

  test('ends the node all the same when it is forced', async () => {
    for (const name of ['web-0', 'web-2', 'web-4']) fixture.demo.blocked.add(name);
    const forced = new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: newRelease, force: true });
    expect((await ended((await fixture.client.send(forced)).update, 'blue')).status).toBe('Successful');
  });

  test('fails when the new nodes do not come, without touching the old ones', async () => {
    fixture.eks.setNodegroupIssue('demo', 'blue', { code: 'AsgInstanceLaunchFailures', message: 'No capacity.', resourceIds: [] });
    const update = await ended((await fixture.client.send(toNewRelease)).update, 'blue');
    expect(update).toMatchObject({ status: 'Failed', errors: [{ errorCode: 'NodeCreationFailure' }] });
    expect(fixture.demo.journal).toEqual([]);
    expect((await describeGroup()).status).toBe('DEGRADED');
  });

  test('with the minimal strategy old nodes go before new ones come', async () => {
    const minimal = { maxUnavailable: 1, updateStrategy: 'MINIMAL' as const };
    await ended((await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, updateConfig: minimal }))).update, 'blue');
    const update = await ended((await fixture.client.send(toNewRelease)).update, 'blue');
    expect(update.status).toBe('Successful');
    expect(fixture.demo.journal.map((line) => line.split(' ')[0])).toEqual(Array(3).fill(['cordon', 'evict', 'remove', 'join']).flat());
  });

  test('drains as many nodes at once as may be unavailable', async () => {
    const updateConfig = { maxUnavailablePercentage: 100 };
    await ended((await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, updateConfig }))).update, 'blue');
    await ended((await fixture.client.send(toNewRelease)).update, 'blue');
    const verbs = fixture.demo.journal.map((line) => line.split(' ')[0]);
    expect(verbs.slice(9, 12)).toEqual(['evict', 'evict', 'evict']);
    expect(verbs.slice(12, 18)).toEqual(['remove', 'join', 'remove', 'join', 'remove', 'join']);
    expect(journal('remove').length - 3).toBe(6);
  });

  test('an update in flight is named to whoever wants another; the same token gets the first one back', async () => {
    const input = { ...blue, releaseVersion: newRelease, clientRequestToken: 'run-1/update' };
    const { update } = await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    await expect(fixture.client.send(toNewRelease)).rejects.toMatchObject({
      name: 'ResourceInUseException',
      message: `Cannot VersionUpdate because nodegroup blue currently has update ${update?.id} in progress`,
      ...blue,
      $metadata: { httpStatusCode: 409 },
    });
    await expect(fixture.client.send(new DeleteNodegroupCommand(blue))).rejects.toThrow(`has update ${update?.id} in progress`);
    expect((await fixture.client.send(new UpdateNodegroupVersionCommand(input))).update?.id).toBe(update?.id);
  });

  test('cannot go above the version of the cluster', async () => {
    await expect(fixture.client.send(new UpdateNodegroupVersionCommand({ ...blue, version: '1.34' }))).rejects.toMatchObject({
      name: 'InvalidParameterException',
      message: 'Nodegroup Kubernetes version should be equal to Cluster kubernetes version 1.33 or NodeGroup kubernetes version 1.33',
    });
  });

  test('a second update to the release that is there replaces nothing', async () => {
    const same = new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: '1.33.3-20260415' });
    expect((await ended((await fixture.client.send(same)).update, 'blue')).status).toBe('Successful');
    expect(fixture.demo.journal).toEqual([]);
  });
});

test('a node that EKS cordons leaves the load balancers with it', async () => {
  await fixture.stop();
  fixture = await startEks({ speed: 200 });
  for (const name of ['web-0', 'web-2', 'web-4']) fixture.demo.blocked.add(name);
  await fixture.client.send(new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: newRelease }));
  const cordoned = await eventually('three cordoned nodes', () => {
    const nodes = [...fixture.demo.nodes.values()].filter((node) => node.unschedulable);
    return nodes.length === 3 ? nodes : undefined;
  });
  expect(cordoned.map(({ spec }) => spec.labels[excluded])).toEqual(['true', 'true', 'true']);
});

describe('changing the configuration of a node group', () => {
  test('the size follows, and nodes that leave are drained first', async () => {
    const grow = new UpdateNodegroupConfigCommand({ ...blue, scalingConfig: { desiredSize: 5 } });
    expect((await ended((await fixture.client.send(grow)).update, 'blue')).params).toEqual([{ type: 'DesiredSize', value: '5' }]);
    expect(nodesOf('blue')).toHaveLength(5);
    const shrink = new UpdateNodegroupConfigCommand({ ...blue, scalingConfig: { desiredSize: 2 } });
    await ended((await fixture.client.send(shrink)).update, 'blue');
    expect(nodesOf('blue')).toHaveLength(2);
    expect(journal('cordon')).toEqual(journal('remove'));
  });

  test('labels reach the nodes that run', async () => {
    const labels = { addOrUpdateLabels: { color: 'blue' } };
    await ended((await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, labels }))).update, 'blue');
    expect([...fixture.demo.nodes.values()].map((node) => node.spec.labels['color'])).toEqual(['blue', 'blue', 'blue']);
    expect((await describeGroup()).labels).toEqual({ tier: 'general', color: 'blue' });
  });

  test('labels that are removed leave the nodes that run', async () => {
    const labels = { addOrUpdateLabels: { color: 'blue' }, removeLabels: ['tier'] };
    await ended((await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, labels }))).update, 'blue');
    const onNodes = [...fixture.demo.nodes.values()].map(({ spec }) => [spec.labels['color'], spec.labels['tier']]);
    expect(onNodes).toEqual(Array(3).fill(['blue', undefined]));
  });

  test('taints reach the nodes that run and leave them again', async () => {
    const taint = { key: 'dedicated', value: 'batch', effect: 'NO_SCHEDULE' as const };
    const change = (taints: object) => fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, taints }));
    await ended((await change({ addOrUpdateTaints: [taint] })).update, 'blue');
    const onNodes = () => [...fixture.demo.nodes.values()].map(({ spec }) => spec.taints);
    expect(onNodes()).toEqual(Array(3).fill([{ key: 'dedicated', value: 'batch', effect: 'NoSchedule' }]));
    await ended((await change({ removeTaints: [taint] })).update, 'blue');
    expect(onNodes()).toEqual([[], [], []]);
  });
});

describe('updating the control plane', () => {
  const to134 = new UpdateClusterVersionCommand({ name: 'demo', version: '1.34' });

  test('takes eight minutes at least, in which the cluster is UPDATING and no node group can be made', async () => {
    const begun = Date.now();
    const { update } = await fixture.client.send(to134);
    expect(await describeDemo()).toMatchObject({ status: 'UPDATING', version: '1.33' });
    await expect(createGreen()).rejects.toMatchObject({
      name: 'InvalidRequestException',
      message: `Cluster 'demo' is not in ACTIVE status`,
    });
    await expect(fixture.client.send(to134)).rejects.toMatchObject({
      name: 'ResourceInUseException',
      message: `Cannot VersionUpdate because cluster demo currently has update ${update?.id} in progress`,
    });
    expect((await ended(update)).status).toBe('Successful');
    expect(Date.now() - begun).toBeGreaterThanOrEqual(480);
    expect(await describeDemo()).toMatchObject({ status: 'ACTIVE', version: '1.34' });
    expect((await createGreen())?.version).toBe('1.34');
    expect(fixture.demo.version).toBe('1.34');
  });

  test.each(['1.31', '1.33', '1.35'])('goes up by one minor version only: not to %s', async (version) => {
    await expect(fixture.client.send(new UpdateClusterVersionCommand({ name: 'demo', version }))).rejects.toMatchObject({
      name: 'InvalidParameterException',
      message: `Unsupported Kubernetes minor version update from 1.33 to ${version}`,
    });
  });

  test('is refused while an insight speaks against it, unless it is forced', async () => {
    const insight = { name: 'APIs', category: 'UPGRADE_READINESS' as const, kubernetesVersion: '1.34', status: 'ERROR' as const };
    const words = { reason: 'It is so.', description: 'Looks', recommendation: 'Mend it.', resources: [], deprecations: [] };
    fixture.eks.setInsights('demo', [{ ...insight, ...words }]);
    await expect(fixture.client.send(to134)).rejects.toMatchObject({ name: 'InvalidStateException' });
    const forced = new UpdateClusterVersionCommand({ name: 'demo', version: '1.34', force: true });
    expect((await ended((await fixture.client.send(forced)).update)).status).toBe('Successful');
  });

  test('is taken back by EKS itself where its health checks fail', async () => {
    fixture.eks.setUpdateFailure('demo', { errorCode: 'Unknown', errorMessage: 'health checks failed', resourceIds: [] });
    const { update } = await fixture.client.send(to134);
    expect(await ended(update)).toMatchObject({ status: 'Failed', errors: [{ errorCode: 'Unknown' }] });
    expect(await describeDemo()).toMatchObject({ status: 'ACTIVE', version: '1.33' });
  });

  test('is refused when a node group would fall more than three minor versions behind', async () => {
    const seed = clusterSeed();
    const nodegroups = seed.nodegroups.map((nodegroup) => ({ ...nodegroup, version: '1.30' }));
    const behind = await startEks({ seeds: [{ ...seed, nodegroups }] });
    try {
      await expect(behind.client.send(to134)).rejects.toThrow('Nodegroups blue must be updated to match cluster version 1.33');
    } finally {
      await behind.stop();
    }
  });
});

describe('updating an add-on', () => {
  const addonName = 'kube-proxy';
  const addons = [{ name: addonName, version: 'v1.33.3-eksbuild.2', editedByHand: true }];
  const update = (request: Partial<UpdateAddonCommandInput>): Promise<UpdateAddonCommandOutput> =>
    fixture.client.send(new UpdateAddonCommand({ clusterName: 'demo', addonName, ...request }));

  beforeEach(async () => {
    await fixture.stop();
    fixture = await startEks({ seeds: [{ ...clusterSeed(), addons }] });
  });

  test('is refused for a version that does not run under that of the control plane', async () => {
    for (const addonVersion of ['v1.34.3-eksbuild.2', 'v0.0.1-eksbuild.1']) {
      await expect(update({ addonVersion })).rejects.toMatchObject({ name: 'InvalidParameterException' });
    }
  });

  test('stops at what somebody has changed by hand, unless it is told what to do with that', async () => {
    const conflict = async (resolveConflicts: 'NONE' | 'PRESERVE'): Promise<string | undefined> => {
      const { update: begun } = await update({ resolveConflicts });
      const ask = new DescribeUpdateCommand({ name: 'demo', addonName, updateId: begun?.id });
      const over = await eventually('the update to end', async () => {
        const answer = await fixture.client.send(ask);
        return answer.update?.status === 'InProgress' ? undefined : answer.update;
      });
      return over.errors?.[0]?.errorCode;
    };
    expect([await conflict('NONE'), await conflict('PRESERVE')]).toEqual(['ConfigurationConflict', undefined]);
  });
});
