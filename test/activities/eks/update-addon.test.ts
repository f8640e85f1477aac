import { DescribeAddonCommand, ListUpdatesCommand, UpdateAddonCommand, UpdateClusterVersionCommand, type Addon } from '@aws-sdk/client-eks';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import type { AddonSeed } from '../../../sandbox/seed.ts';
import { eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';

const action = 'eks.updateAddon';
const old = 'v1.19.0-eksbuild.1';
const both = 'v1.20.4-eksbuild.1';
const before = { addon: 'vpc-cni', kubernetesVersion: '1.34', slot: 'before-control-plane' };
const role = 'arn:aws:iam::111122223333:role/vpc-cni';
let demo: TestCluster;

afterEach(() => demo.stop());

async function start(differences: Partial<AddonSeed> = {}, speed = 3_000): Promise<void> {
  const addons = [
    { name: 'vpc-cni', version: old, ...differences },
    { name: 'kube-proxy', version: 'v1.33.3-eksbuild.2' },
  ];
  const [cluster] = worldWith([]).clusters;
  demo = await startCluster({ clusters: [{ ...cluster!, addons }] }, { speed });
}

async function addonNow(): Promise<Addon | undefined> {
  const command = new DescribeAddonCommand({ clusterName: 'demo', addonName: 'vpc-cni' });
  return (await demo.clients.eks(region).send(command)).addon;
}

async function updateCount(): Promise<number> {
  const { updateIds = [] } = await demo.clients.eks(region).send(new ListUpdatesCommand({ name: 'demo', addonName: 'vpc-cni' }));
  return updateIds.length;
}

async function updateAsSomebodyElse(addonVersion: string, resolveConflicts: 'PRESERVE' | 'NONE' = 'PRESERVE'): Promise<void> {
  const request = { clusterName: 'demo', addonName: 'vpc-cni', addonVersion, resolveConflicts };
  await demo.clients.eks(region).send(new UpdateAddonCommand(request));
}

const isUpdate = ({ method, path }: ProxiedRequest): boolean => method === 'POST' && path.endsWith('/update');

describe('the plan of an update of an add-on', () => {
  test('says what changes, and names settings without their values', async () => {
    await start({ configurationValues: '{"env":{"SECRET":"hunter2"}}' });
    const plan = await demo.plan(action, before);
    expect(plan).toMatchObject({
      effects: [{ object: 'Addon/demo/vpc-cni', change: 'update the add-on', before: old, after: both }],
      blockers: [],
      expects: [{ change: 'version', object: 'Addon/demo/vpc-cni', version: both }],
    });
    expect(plan.notes).toContain('Its settings (env) are sent along unchanged.');
    expect(JSON.stringify(plan)).not.toContain('hunter2');
  });

  const cases: { title: string; input: JsonObject; upgraded?: boolean; effects?: number; says: string }[] = [
    { title: 'leaves kube-proxy for later', input: { ...before, addon: 'kube-proxy' }, says: 'has its turn after nodes' },
    { title: 'refuses to follow what has not happened', input: { ...before, slot: 'after-nodes' }, says: 'is at 1.33, not at 1.34' },
    {
      title: 'counts on an upgrade that comes before it',
      input: { ...before, addon: 'kube-proxy', slot: 'after-nodes' },
      upgraded: true,
      effects: 1,
      says: '',
    },
    { title: 'refuses what is no add-on', input: { ...before, addon: 'coredns' }, says: 'no EKS add-on of that name' },
    {
      title: 'refuses a version that does not run',
      input: { addon: 'vpc-cni', addonVersion: 'v9.9.9' },
      says: 'no version v9.9.9 of it for Kubernetes 1.33',
    },
  ];
  test('has each add-on at its turn, and refuses what cannot be', async () => {
    await start();
    for (const { input, upgraded, effects = 0, says } of cases) {
      const expected = upgraded === true ? [{ change: 'version' as const, object: 'Cluster/demo', version: '1.34' }] : [];
      const plan = await demo.plan(action, input, { expected });
      expect(plan.effects).toHaveLength(effects);
      expect([...plan.notes, ...plan.blockers.map(({ reason }) => reason)].join(' ')).toContain(says);
    }
    const neither = failureOf(demo.plan(action, { addon: 'vpc-cni' }));
    expect(await neither).toMatchObject({ code: 'action-input-invalid' });
    await expect(updateAsSomebodyElse('v1.18.0-eksbuild.1')).rejects.toMatchObject({ name: 'InvalidParameterException' });
  });
});

describe('an update of an add-on', () => {
  test('is asked for once though the answer is lost, keeps settings and role, and is undone', async () => {
    await start({ configurationValues: '{"replicaCount":3}', serviceAccountRoleArn: role });
    const plan = await demo.plan(action, before);
    demo.proxy.treat = once(isUpdate, 'lose-answer');
    expect(await demo.perform(action, plan)).toMatchObject({ outputs: { addonVersion: both } });
    expect(await demo.perform(action, plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(await updateCount()).toBe(1);
    expect(await addonNow()).toMatchObject({ addonVersion: both, configurationValues: '{"replicaCount":3}', serviceAccountRoleArn: role });
    const undo = (await demo.undo(action, plan)) as { uses: string; with: JsonObject }[];
    expect(undo).toMatchObject([{ uses: action, with: { addon: 'vpc-cni', addonVersion: old } }]);
    expect(await demo.perform(action, await demo.plan(action, undo[0]!.with))).toMatchObject({ outputs: { addonVersion: old } });
  });

  test('stops where somebody has changed the settings since', async () => {
    await start();
    const plan = await demo.plan(action, before);
    plan.facts['configurationDigest'] = 'sha256:of-other-settings';
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ message: expect.stringContaining('has changed the settings') });
    expect(await updateCount()).toBe(0);
  });

  test('of somebody else in progress stops the step', async () => {
    // At the pace of the wall clock the update of the other one lasts longer than this test can.
    await start({}, 1);
    const plan = await demo.plan(action, before);
    await updateAsSomebodyElse(both);
    expect((await demo.plan(action, before)).blockers).toEqual([
      expect.objectContaining({ reason: expect.stringContaining('is in progress') }),
    ]);
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({ code: 'change-in-flight' });
    expect(await updateCount()).toBe(1);
  });

  test('of somebody else that is the same can be adopted', async () => {
    await start({}, 600);
    const plan = await demo.plan(action, before);
    await updateAsSomebodyElse(both);
    expect(await demo.perform(action, plan, { context: { retry: 1, adopt: true } })).toMatchObject({ acts: 0 });
    expect(await updateCount()).toBe(1);
  });

  test('that fails is explained, and can be tried again', async () => {
    await start({ editedByHand: true });
    const plan = await demo.plan(action, { ...before, resolveConflicts: 'NONE' });
    expect(await failureOf(demo.perform(action, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/ended as Failed: ConfigurationConflict: .*Conflicts found/),
    });
    const preserving = await demo.plan(action, before);
    expect(await demo.perform(action, preserving, { context: { retry: 1 } })).toMatchObject({ outputs: { addonVersion: both } });
  });

  test('is seen as done where somebody else has done it, and the control plane then goes up', async () => {
    await start();
    const plan = await demo.plan(action, before);
    await updateAsSomebodyElse(both);
    await eventually('the add-on to be updated', async () => ((await addonNow())?.status === 'ACTIVE' ? true : undefined));
    expect(await demo.perform(action, plan)).toMatchObject({ before: 'done', acts: 0 });
    await demo.clients.eks(region).send(new UpdateClusterVersionCommand({ name: 'demo', version: '1.34' }));
  });
});
