import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  DeleteNodegroupCommand,
  ListNodegroupsCommand,
  UpdateNodegroupConfigCommand,
  UpdateClusterVersionCommand,
} from '@aws-sdk/client-eks';
import { findNodegroup, readNodegroup } from '../../../activities/eks/nodegroup/nodegroup.ts';
import { actions } from '../../../runbooks/actions/index.ts';
import { eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const preflight = 'eks.preflight';
let demo: TestCluster;

beforeEach(async () => {
  demo = await startCluster(worldWith([]));
});

afterEach(() => demo.stop());

test('Where all is well there is nothing in the way; versions and nodes are given to later steps.', async () => {
  const names = await demo.nodeNames();
  const plan = await demo.plan(preflight, { nodegroup: 'blue' });
  expect(plan).toEqual({
    effects: [],
    facts: { version: '1.33', nodegroup: 'blue', nodegroupVersion: '1.33', minFreeAddresses: null },
    risks: [],
    blockers: [],
    notes: [],
    details: { nodes: names },
    outputs: { version: '1.33', nodegroupVersion: '1.33', nodes: names },
    estimateMs: 2_000,
  });
  expect(await demo.perform(preflight, plan)).toMatchObject({ before: 'done', acts: 0, outputs: { version: '1.33', nodes: names } });
  expect(await demo.undo(preflight, plan)).toEqual({ nothing: 'It changes nothing.' });
  expect(demo.proxy.requests.filter((made) => !made.startsWith('GET '))).toEqual([]);
});

test('Without a node group only the cluster is looked at.', async () => {
  expect(await demo.plan(preflight, {})).toMatchObject({ risks: [], blockers: [], outputs: { version: '1.33', nodes: [] } });
});

test('A cluster that does not exist is refused.', async () => {
  expect(await failureOf(demo.plan(preflight, {}, { target: { ...demo.target, name: 'nope' } }))).toEqual({
    code: 'cluster-unknown',
    message: `There is no EKS cluster nope in ${region}.`,
    remedy: `Check the name and the region of the target; \`aws eks list-clusters --region ${region}\` shows what is there.`,
  });
  expect(await failureOf(demo.plan(preflight, {}, { target: { ...demo.target, region: 'eu-west-1' } }))).toMatchObject({
    message: 'There is no EKS cluster demo in eu-west-1.',
  });
});

test('A node group that does not exist (any more) has no nodes, which is said: nothing may be left to do.', async () => {
  const warning = 'The cluster demo has no node group bleu (any more): nothing of it is checked, and no nodes are listed.';
  const plan = await demo.plan(preflight, { nodegroup: 'bleu', minFreeAddresses: 8 });
  expect(plan).toMatchObject({
    effects: [],
    risks: [],
    blockers: [],
    notes: [warning],
    facts: { nodegroup: 'bleu', nodegroupVersion: null },
  });
  expect(plan.outputs).toEqual({ version: '1.33', nodes: [] });
  expect(await demo.perform(preflight, plan)).toMatchObject({ acts: 0, outputs: { nodes: [] }, summary: 'cluster ACTIVE at 1.33' });
});

test('A node group that is deleted after the plan was made is missed.', async () => {
  const plan = await demo.plan(preflight, { nodegroup: 'blue' });
  await demo.clients.eks(region).send(new DeleteNodegroupCommand({ clusterName: 'demo', nodegroupName: 'blue' }));
  await eventually('the group to be gone', async () => ((await findNodegroup(demo.clients, demo.target, 'blue')) ? undefined : true));
  expect(await failureOf(demo.perform(preflight, plan))).toMatchObject({
    code: 'action-stuck',
    message: 'Node group blue has been deleted since the plan was made.',
  });
});

describe('what stands in the way', () => {
  test('is a node that is not Ready.', async () => {
    const [name = ''] = await demo.nodeNames();
    demo.cluster.store.update('nodes', `/${name}`, { part: 'controller', name: 'kubelet', verb: 'update' }, ({ status }) => {
      for (const condition of status.conditions ?? []) if (condition.type === 'Ready') condition.status = 'Unknown';
    });
    const plan = await demo.plan(preflight, { nodegroup: 'blue' });
    const blocker = { object: `Node/${name}`, reason: 'It is not Ready.', remedy: 'Repair or remove the node first, then plan again.' };
    expect(plan.blockers).toEqual([blocker]);
    expect(await failureOf(demo.perform(preflight, plan))).toEqual({
      code: 'action-stuck',
      message: `Node/${name}: It is not Ready.`,
      remedy: blocker.remedy,
    });
  });

  test('is what EKS reports of the health of the group.', async () => {
    demo.eks.setNodegroupIssue('demo', 'blue', { code: 'AsgInstanceLaunchFailures', message: 'No capacity', resourceIds: [] });
    const plan = await demo.plan(preflight, { nodegroup: 'blue' });
    expect(plan.blockers.map(({ object, reason }) => `${object}: ${reason}`)).toEqual([
      'Nodegroup/demo/blue: Its status is DEGRADED, not ACTIVE.',
      'Nodegroup/demo/blue: EKS reports AsgInstanceLaunchFailures: No capacity.',
    ]);
    // Field case more/25: it is rotated because of that.
    const accepted = await demo.plan(preflight, { nodegroup: 'blue', acceptBroken: true });
    expect(accepted.blockers).toEqual([]);
    expect(accepted.risks).toEqual([
      { object: 'Nodegroup/demo/blue', risk: 'its status is DEGRADED, not ACTIVE' },
      { object: 'Nodegroup/demo/blue', risk: 'EKS reports AsgInstanceLaunchFailures: No capacity' },
    ]);
    expect(await demo.perform(preflight, accepted)).toMatchObject({ before: 'done' });
  });

  test('is an update of a node group that is in progress, by its id.', async () => {
    const change = { clusterName: 'demo', nodegroupName: 'blue', scalingConfig: { desiredSize: 4 } };
    const { update } = await demo.clients.eks(region).send(new UpdateNodegroupConfigCommand(change));
    const { blockers } = await demo.plan(preflight, {});
    expect(blockers).toEqual([
      {
        object: 'Nodegroup/demo/blue',
        reason: `The update ${update?.id ?? ''} (ConfigUpdate) is in progress.`,
        remedy: 'Wait until it has ended, then plan again.',
      },
    ]);
  });

  test('is an update of a node group that stands on the second page of the list.', async () => {
    await demo.stop();
    const seed = worldWith([], { nodes: 1 });
    const [{ nodegroups }] = seed.clusters as [(typeof seed.clusters)[number]];
    const [like] = nodegroups as [(typeof nodegroups)[number]];
    nodegroups.push(...Array.from({ length: 100 }, (_, index) => ({ ...like, name: `more-${index}`, size: 0 })));
    demo = await startCluster(seed, { speed: 1 });
    const { nodegroups: listed = [] } = await demo.clients.eks(region).send(new ListNodegroupsCommand({ clusterName: 'demo' }));
    const nodegroupName = nodegroups.map(({ name }) => name).find((name) => !listed.includes(name)) ?? '';
    const change = { clusterName: 'demo', nodegroupName, scalingConfig: { minSize: 0, maxSize: 5, desiredSize: 0 } };
    await demo.clients.eks(region).send(new UpdateNodegroupConfigCommand(change));
    expect((await demo.plan(preflight, {})).blockers).toMatchObject([{ object: `Nodegroup/demo/${nodegroupName}` }]);
  });

  test('is an update of the control plane that is in progress.', async () => {
    const { update } = await demo.clients.eks(region).send(new UpdateClusterVersionCommand({ name: 'demo', version: '1.34' }));
    const { blockers } = await demo.plan(preflight, {});
    expect(blockers).toEqual([
      {
        object: 'Cluster/demo',
        reason: `The update ${update?.id ?? ''} (VersionUpdate) is in progress.`,
        remedy: 'Wait until it has ended, then plan again.',
      },
    ]);
  });

  test('is a version skew between nodes and control plane.', async () => {
    await demo.stop();
    demo = await startCluster(worldWith([], { nodes: 1, version: '1.29', releaseVersion: '1.29.9-20260415' }));
    const [name = ''] = await demo.nodeNames();
    const { blockers } = await demo.plan(preflight, { nodegroup: 'blue' });
    expect(blockers.map(({ object, reason }) => `${object}: ${reason}`)).toEqual([
      'Nodegroup/demo/blue: Version skew: kubelet 1.29 is 4 minor versions behind the control plane 1.33, 3 are allowed.',
      `Node/${name}: Version skew: kubelet v1.29.9-eks-99bf8d4 is 4 minor versions behind the control plane 1.33, 3 are allowed.`,
    ]);
  });

  test('is a subnet with fewer free addresses than asked for.', async () => {
    const { subnets = [] } = await readNodegroup(demo.clients, demo.target, 'blue');
    const item = (id: string, free: number): string =>
      `<item><subnetId>${id}</subnetId><availabilityZone>eu-central-1a</availabilityZone>` +
      `<availableIpAddressCount>${free}</availableIpAddressCount></item>`;
    const items = subnets.map((id, index) => item(id, index === 1 ? 7 : 200)).join('');
    const namespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';
    const body = `<DescribeSubnetsResponse xmlns="${namespace}"><subnetSet>${items}</subnetSet></DescribeSubnetsResponse>`;
    let asked = '';
    demo.proxy.treat = (request) => {
      if (!request.body.includes('Action=DescribeSubnets')) return 'pass';
      asked = request.body;
      return { status: 200, headers: { 'content-type': 'text/xml' }, body };
    };
    const plan = await demo.plan(preflight, { nodegroup: 'blue', minFreeAddresses: 8 });
    expect(new URLSearchParams(asked).get('SubnetId.2')).toBe(subnets[1]);
    expect(plan.facts.minFreeAddresses).toBe(8);
    expect(plan.blockers).toEqual([
      {
        object: `Subnet/${subnets[1] ?? ''}`,
        reason: 'It has 7 free IP addresses in eu-central-1a; at least 8 are asked for.',
        remedy: 'Free addresses or add a subnet to the node group, then plan again.',
      },
    ]);
    expect(await demo.plan(preflight, { nodegroup: 'blue', minFreeAddresses: 7 })).toMatchObject({ blockers: [] });
  });
});

describe('with a version to go to, every check is made:', () => {
  const input = { toVersion: '1.34' };
  const budget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'shut', namespace: 'shop' },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'alone' } } },
  };
  const container = { name: 'main', image: 'main:1', resources: { requests: { cpu: '10m', memory: '16Mi' } } };
  const alone = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'alone', namespace: 'shop' },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'alone' } },
      template: { metadata: { labels: { app: 'alone' } }, spec: { containers: [container] } },
    },
  };
  const finding = 'budget-blocks:PodDisruptionBudget/shop/shut';
  const reason = 'Its owner takes it away in the window.';

  beforeEach(async () => {
    await demo.stop();
    demo = await startCluster(worldWith([alone, budget]));
    await eventually('the pod to be Ready', async () => {
      const [pod] = await demo.pods();
      return pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') || undefined;
    });
  });

  test('errors block the plan, by a name by which people can go past them, and warnings are counted', async () => {
    const plan = await demo.plan(preflight, input);
    expect(plan.blockers).toEqual([
      {
        object: 'PodDisruptionBudget/shop/shut',
        reason: expect.stringMatching(/\S/),
        remedy: expect.stringContaining(`People can sign to go past it until a time: waive "${finding}".`),
      },
    ]);
    expect(plan.notes).toEqual([
      expect.stringMatching(/^The checks find \d+ warnings and \d+ notes \(.*single-replica.*\): `holdpoint check/),
    ]);
    expect(plan.facts.checks).toEqual({ toVersion: '1.34', waive: [] });
    expect(demo.proxy.requests.filter((made) => !/^GET |insights$/.test(made) && made !== 'POST /')).toEqual([]);
  });

  test('what is waived is a risk with its reason and its end, and is waived still when the step is carried out', async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const plan = await demo.plan(preflight, { ...input, waive: [{ finding, reason, until }] });
    expect(plan.blockers).toEqual([]);
    expect(plan.risks).toEqual([
      {
        object: 'PodDisruptionBudget/shop/shut',
        risk: `A check finds a problem (error, ${finding}). It is waived until ${until}: ${reason}`,
        detail: expect.stringMatching(/\S/),
        remedy: expect.stringMatching(/\S/),
      },
    ]);
    expect(await demo.perform(preflight, plan)).toMatchObject({ before: 'done', acts: 0 });
  });

  test('a waiver that is over when the step is carried out counts for nothing, and says so', async () => {
    const until = '2026-01-01T00:00:00Z';
    const plan = await demo.plan(preflight, { ...input, waive: [{ finding, reason, until }] });
    expect(plan.risks).toEqual([]);
    expect(plan.blockers).toEqual([expect.objectContaining({ reason: expect.stringContaining(`Its waiver ended at ${until}.`) })]);
    expect(await failureOf(demo.perform(preflight, plan))).toMatchObject({ code: 'action-stuck' });
  });

  test('a waiver of another object counts for nothing here; one of no check at all, or without a version, is refused', async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const plan = await demo.plan(preflight, {
      ...input,
      waive: [{ finding: 'budget-blocks:PodDisruptionBudget/shop/other', reason, until }],
    });
    expect([plan.risks.length, plan.blockers.length]).toEqual([0, 1]);
    const unknown = { ...input, waive: [{ finding: 'budget-block', reason, until }] };
    expect(actions[preflight].input.safeParse(unknown).error?.issues).toMatchObject([
      { path: ['waive', 0, 'finding'], message: expect.stringMatching(/^there is no check "budget-block"/) },
    ]);
    const lost = { waive: [{ finding, reason, until }] };
    expect(await failureOf(demo.plan(preflight, lost))).toMatchObject({ code: 'action-input-invalid' });
  });

  test('what may not be read is a note of the plan', async () => {
    demo.proxy.treat = ({ path }) => {
      const body = JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'secrets is forbidden', code: 403 });
      return path.includes('/secrets') ? { status: 403, headers: { 'content-type': 'application/json' }, body } : 'pass';
    };
    const { notes } = await demo.plan(preflight, input);
    expect(notes).toContainEqual(expect.stringMatching(/^helm-release-api was not checked, because: .*secrets is forbidden\.$/));
  });
});
