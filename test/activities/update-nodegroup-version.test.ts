import { afterEach, describe, expect, test } from '@jest/globals';
import { CreateNodegroupCommand, DeleteNodegroupCommand, ListUpdatesCommand, UpdateNodegroupVersionCommand } from '@aws-sdk/client-eks';
import { findNodegroup, readNodegroup } from '../../activities/eks/nodegroup.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { WorldSeed } from '../../sandbox/seed.ts';
import { budget, deployment, eventually } from '../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../support/proxy.ts';

const update = 'eks.updateNodegroupVersion';
const release = '1.33.4-20260801';
const input = { nodegroup: 'blue', releaseVersion: release };
const blue = { clusterName: 'demo', nodegroupName: 'blue' };
let demo: TestCluster;

async function start(seed: WorldSeed = worldWith([deployment('web', 3), budget('web', { maxUnavailable: 1 })])): Promise<void> {
  demo = await startCluster(seed, { speed: 600 });
}

afterEach(() => demo.stop());

const isUpdate = ({ path }: ProxiedRequest): boolean => path.endsWith('/update-version');

async function updateIds(): Promise<string[]> {
  const { updateIds: ids = [] } = await demo.clients.eks(region).send(new ListUpdatesCommand({ name: 'demo', nodegroupName: 'blue' }));
  return ids;
}

const eks = (): ReturnType<TestCluster['clients']['eks']> => demo.clients.eks(region);

async function waitUntilAtRest(): Promise<void> {
  await eventually('the update to end', async () => {
    const { status } = await readNodegroup(demo.clients, demo.target, 'blue');
    return status === 'UPDATING' ? undefined : true;
  });
}

describe('the plan', () => {
  test('names the group, the releases and each node that is replaced, and reads only.', async () => {
    await start();
    const names = await demo.nodeNames();
    const { nodegroupArn } = await readNodegroup(demo.clients, demo.target, 'blue');
    expect(await demo.plan(update, input)).toEqual({
      effects: [
        { object: 'Nodegroup/demo/blue', change: 'update its version', before: '1.33.3-20260415', after: release },
        ...names.map((name) => ({ object: `Node/${name}`, change: 'replace by a new node (EKS cordons, drains and terminates it)' })),
      ],
      facts: {
        nodegroup: 'blue',
        nodegroupArn,
        from: { version: '1.33', releaseVersion: '1.33.3-20260415' },
        to: { version: null, releaseVersion: release },
        nodes: names,
        force: false,
      },
      blockers: [],
      warnings: [],
      notes: { nodes: names },
      outputs: { nodegroup: 'blue', releaseVersion: release },
      estimateMs: 900_000,
    });
    expect(demo.proxy.requests.filter((made) => !made.startsWith('GET '))).toEqual([]);
  });

  test('warns where force would break budgets.', async () => {
    await start();
    expect((await demo.plan(update, { ...input, force: true })).warnings).toEqual([
      'force: EKS terminates nodes whose pods it cannot evict within 15 minutes, budgets or not.',
    ]);
  });

  const neither = {
    reason: 'Neither a version nor a release to go to is given.',
    remedy: 'Set `version` or `releaseVersion` on the step: people sign what is named.',
  };
  const newer = {
    reason: 'Version skew: kubelet 1.34 is newer than the control plane 1.33.',
    remedy: 'Upgrade the control plane first, or choose an older release.',
  };
  const older = {
    reason: 'EKS takes it from 1.33 to the version of the cluster, 1.33, only; 1.32.9-20260801 is asked for.',
    remedy: 'Ask for a release of 1.33 or 1.33.',
  };
  const refused: { title: string; wanted: JsonObject; blocker: { reason: string; remedy: string } }[] = [
    { title: 'where neither version nor release is given', wanted: {}, blocker: neither },
    { title: 'a version newer than the control plane', wanted: { version: '1.34' }, blocker: newer },
    { title: 'a version that is too new beside a release that fits', wanted: { version: '1.34', releaseVersion: release }, blocker: newer },
    { title: 'the way back to an older minor version', wanted: { releaseVersion: '1.32.9-20260801' }, blocker: older },
  ];
  test.each(refused)('refuses $title.', async ({ wanted, blocker }) => {
    await start();
    expect((await demo.plan(update, { nodegroup: 'blue', ...wanted })).blockers).toEqual([{ object: 'Nodegroup/demo/blue', ...blocker }]);
  });

  test('refuses a node group that does not exist.', async () => {
    await start();
    expect(await failureOf(demo.plan(update, { ...input, nodegroup: 'bleu' }))).toMatchObject({
      code: 'nodegroup-unknown',
      message: 'The cluster demo has no node group bleu.',
    });
  });
});

describe('carrying it out', () => {
  test('replaces every node once; done or planned again there is nothing to do.', async () => {
    await start();
    const before = await demo.nodeNames();
    const plan = await demo.plan(update, input);
    const summaries: string[] = [];
    const performed = await demo.perform(update, plan, { onProgress: (progress) => void summaries.push(progress?.summary ?? '') });
    expect(performed).toMatchObject({ before: 'todo', acts: 1, outputs: { nodegroup: 'blue', releaseVersion: release } });
    expect(summaries[0]).toBe('0 of 3 old nodes replaced, 0 new nodes Ready');
    expect(summaries.at(-1)).toBe('3 of 3 old nodes replaced, 3 new nodes Ready');
    const after = await demo.nodeNames();
    expect(after.filter((name) => before.includes(name))).toEqual([]);
    expect(demo.report().violations).toEqual([]);
    expect(await demo.perform(update, plan)).toMatchObject({ before: 'done', acts: 0 });
    await demo.act(update, plan);
    const again = await demo.plan(update, input);
    expect(again).toMatchObject({ effects: [], blockers: [], estimateMs: 0 });
    expect(await demo.perform(update, again)).toMatchObject({ before: 'done', acts: 0 });
    expect(await updateIds()).toHaveLength(1);
    expect(await demo.nodeNames()).toEqual(after);
  });

  test('is taken back by going to the release before; to an older minor version there is no way back.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    await demo.perform(update, plan);
    expect(demo.undo(update, plan)).toEqual({ uses: update, with: { nodegroup: 'blue', releaseVersion: '1.33.3-20260415' } });
    await demo.perform(update, await demo.plan(update, { nodegroup: 'blue', releaseVersion: '1.33.3-20260415' }));
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ status: 'ACTIVE', releaseVersion: '1.33.3-20260415' });
    await demo.stop();
    await start(worldWith([], { version: '1.32', releaseVersion: '1.32.8-20260415' }));
    const minor = await demo.plan(update, { nodegroup: 'blue', version: '1.33' });
    expect(minor).toMatchObject({ blockers: [], effects: [{ before: '1.32.8-20260415', after: '1.33 (newest release)' }, {}, {}, {}] });
    expect(demo.undo(update, minor)).toEqual({ noUndo: 'EKS does not take the nodes of blue back from 1.33 to 1.32.' });
  });

  test('explains why EKS could not evict pods, and asks anew only when it is told to.', async () => {
    await start(worldWith([deployment('web', 3), budget('web', { maxUnavailable: 0 })]));
    const plan = await demo.plan(update, input);
    const failure = await failureOf(demo.perform(update, plan));
    const [id = ''] = await updateIds();
    expect(failure).toEqual({
      code: 'action-stuck',
      message: expect.stringMatching(
        new RegExp(
          `^The update ${id} of blue ended as Failed: PodEvictionFailure: pods could not be evicted within 15 minutes a node: ` +
            'a budget is too tight, or a pod tolerates every taint; EKS says "Reached max retries while trying to evict pods from nodes ' +
            'in node group blue" \\(ip-[-0-9]+\\.eu-central-1\\.compute\\.internal\\)\\.$',
        ),
      ),
      remedy:
        'Find the budget with `kubectl get pdb -A` (ALLOWED DISRUPTIONS 0), give it room, then try again; `force: true` would override it.',
    });
    expect(await failureOf(demo.perform(update, plan))).toEqual(failure);
    expect(await updateIds()).toHaveLength(1);
    await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
    await demo.perform(update, plan, { context: { retry: 1 } });
    expect(await updateIds()).toHaveLength(2);
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ status: 'ACTIVE', releaseVersion: release });
  });

  test.each(['lose-answer', 'lose-request'] as const)('starts one update though a connection breaks (%s).', async (treatment) => {
    await start();
    const plan = await demo.plan(update, input);
    demo.proxy.treat = once(isUpdate, treatment);
    await demo.perform(update, plan);
    expect(await updateIds()).toHaveLength(1);
  });

  test('survives that no answer ever comes back: the next look finds the update.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    demo.proxy.treat = (request) => (isUpdate(request) ? 'lose-answer' : 'pass');
    const performance = await demo.perform(update, plan);
    expect(performance.passed).toEqual({ 'aws-unreachable': 1 });
    expect(performance).toMatchObject({ before: 'todo', acts: 1 });
    expect(await updateIds()).toHaveLength(1);
  });
});

describe('while somebody else changes the world', () => {
  test('an equal update of somebody else is waited for, and no other is started.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    await eks().send(new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: release }));
    expect(await demo.perform(update, plan)).toMatchObject({ before: 'moving', acts: 0 });
    expect(await updateIds()).toHaveLength(1);
  });

  test('another update of somebody else is waited for, then the signed one is made.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    await eks().send(new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: '1.33.4-20260601' }));
    expect(await demo.perform(update, plan)).toMatchObject({ before: 'moving', acts: 1 });
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ releaseVersion: release });
  });

  test('an update that somebody else starts between the look and the act is a conflict that passes by itself.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    let started = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (isUpdate(request) && !started) {
        started = true;
        await eks().send(new UpdateNodegroupVersionCommand({ ...blue, releaseVersion: '1.33.4-20260601' }));
      }
      return 'pass';
    };
    const performance = await demo.perform(update, plan);
    expect(performance.passed).toEqual({ 'aws-busy': 1 });
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ releaseVersion: release });
  });

  test('a group that is gone, or is another one by now, is left alone.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    const { subnets, nodeRole } = await readNodegroup(demo.clients, demo.target, 'blue');
    await eks().send(new DeleteNodegroupCommand(blue));
    await eventually('the group to be gone', async () => ((await findNodegroup(demo.clients, demo.target, 'blue')) ? undefined : true));
    expect(await failureOf(demo.perform(update, plan))).toMatchObject({ message: 'Node group blue no longer exists.' });
    await eks().send(new CreateNodegroupCommand({ ...blue, subnets, nodeRole, releaseVersion: '1.33.3-20260415' }));
    await eventually('the group to be up', async () => {
      const found = await findNodegroup(demo.clients, demo.target, 'blue');
      return found?.status === 'ACTIVE' ? true : undefined;
    });
    expect(await failureOf(demo.perform(update, plan))).toEqual({
      code: 'action-stuck',
      message: 'Node group blue has been replaced by another one of its name.',
      remedy: 'Find out who replaced it; abort the run and plan again.',
    });
    expect(await updateIds()).toEqual([]);
  });

  test('a group that is updated but unwell is told, not updated again and again.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    await demo.perform(update, plan);
    await waitUntilAtRest();
    demo.eks.setNodegroupIssue('demo', 'blue', { code: 'Ec2SubnetNotFound', message: 'A subnet is missing', resourceIds: [] });
    expect(await failureOf(demo.perform(update, plan))).toEqual({
      code: 'action-stuck',
      message: 'Node group blue is updated but DEGRADED: Ec2SubnetNotFound: A subnet is missing.',
      remedy: 'Put right what EKS reports, then try again.',
    });
  });
});
