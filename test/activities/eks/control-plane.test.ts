import { DescribeClusterCommand, ErrorCode, ListUpdatesCommand, UpdateClusterVersionCommand } from '@aws-sdk/client-eks';
import { afterEach, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { explainUpdateErrors, updateErrors } from '../../../activities/eks/update/update-error.ts';
import type { ExpectedChange } from '../../../domain/plan/expected.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ClusterSeed, InsightSeed } from '../../../sandbox/seed.ts';
import { eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest } from '../../support/proxy.ts';

const upgrade = 'eks.updateControlPlane';
const rollback = 'eks.rollbackControlPlane';
const dayMs = 86_400_000;
/** So slow that an update is in progress for as long as a test looks at it. */
const slow = 10;
let demo: TestCluster;

afterEach(() => demo.stop());

async function start(differences: Partial<ClusterSeed> = {}, speed = 3_000): Promise<void> {
  const [cluster] = worldWith([]).clusters;
  demo = await startCluster({ clusters: [{ ...cluster!, ...differences }] }, { speed });
}

const eks = (): ReturnType<TestCluster['clients']['eks']> => demo.clients.eks(region);

async function versionNow(): Promise<string | undefined> {
  const { cluster } = await eks().send(new DescribeClusterCommand({ name: 'demo' }));
  return cluster?.version;
}

async function updateIds(): Promise<string[]> {
  const { updateIds: ids = [] } = await eks().send(new ListUpdatesCommand({ name: 'demo' }));
  return ids;
}

async function upgradeAsSomebodyElse(version = '1.34'): Promise<void> {
  await eks().send(new UpdateClusterVersionCommand({ name: 'demo', version }));
}

async function waitForVersion(version: string): Promise<void> {
  await eventually(`the control plane to be at ${version}`, async () => ((await versionNow()) === version ? true : undefined));
}

const isUpdate = ({ method, path }: ProxiedRequest): boolean => method === 'POST' && path.endsWith('/updates');

function insight(differences: Partial<InsightSeed> = {}): InsightSeed {
  return {
    name: 'Deprecated APIs removed in Kubernetes v1.34',
    category: 'UPGRADE_READINESS',
    kubernetesVersion: '1.34',
    status: 'ERROR',
    reason: 'Deprecated API usage detected within last 30 days.',
    description: 'Checks for usage of deprecated APIs',
    recommendation: 'Update manifests and API clients to use newer Kubernetes APIs.',
    resources: ['/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas/probes'],
    deprecations: [
      {
        usage: '/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas',
        replacedWith: '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas',
        stopServingVersion: '1.34',
        clients: [{ userAgent: 'old-operator', numberOfRequestsLast30Days: 12, lastRequestAt: new Date('2026-11-20T10:00:00Z') }],
      },
    ],
    ...differences,
  };
}

const waive = [{ insight: insight().name, reason: 'old-operator is removed next week' }];

describe('the plan of an upgrade', () => {
  test('says what changes and what follows from it, and reads only', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    expect(plan).toMatchObject({
      effects: [{ object: 'Cluster/demo', change: 'upgrade the control plane', before: '1.33', after: '1.34' }],
      facts: { from: '1.33', to: '1.34', waived: [] },
      risks: [],
      blockers: [],
      outputs: { version: '1.34' },
      expects: [{ change: 'version', object: 'Cluster/demo', version: '1.34' }],
    });
    expect(demo.proxy.requests.filter((made) => !made.startsWith('GET ') && !made.endsWith('/insights'))).toEqual([]);
  });

  const refused: { title: string; version: string; world?: Partial<ClusterSeed>; object: string; reason: string }[] = [
    { title: 'two minor versions at once', version: '1.35', object: 'Cluster/demo', reason: 'EKS upgrades by one minor version at a time' },
    { title: 'an older version', version: '1.32', object: 'Cluster/demo', reason: '1.32 is older than 1.33, which it has now.' },
    {
      title: 'what EKS finds against it',
      version: '1.34',
      world: { insights: [insight(), insight({ name: 'of another version', kubernetesVersion: '1.35' })] },
      object: 'Insight/Deprecated APIs removed in Kubernetes v1.34',
      reason: 'called by old-operator (last 2026-11-20T10:00:00.000Z)',
    },
  ];
  test.each(refused)('refuses $title', async ({ version, world, object, reason }) => {
    await start(world);
    expect((await demo.plan(upgrade, { version })).blockers).toEqual([
      expect.objectContaining({ object, reason: expect.stringContaining(reason) }),
    ]);
  });

  test.each([
    ['1.35', 'EKS upgrades by one minor version at a time, and 1.35 is 2 above 1.33.'],
    ['1.32', '1.32 is older than 1.33, which it has now.'],
  ])('refuses to go to %s, as EKS does', async (version, reason) => {
    await start();
    expect((await demo.plan(upgrade, { version })).blockers).toEqual([expect.objectContaining({ object: 'Cluster/demo', reason })]);
    await expect(upgradeAsSomebodyElse(version)).rejects.toThrow();
  });

  test('refuses to leave nodes too far behind', async () => {
    const [cluster] = worldWith([], { nodes: 1, version: '1.30', releaseVersion: '1.30.13-20260415' }).clusters;
    await start({ nodegroups: cluster!.nodegroups });
    const objects = (await demo.plan(upgrade, { version: '1.34' })).blockers.map(({ object }) => object);
    expect(objects).toEqual(['Nodegroup/demo/blue', expect.stringMatching(/^Node\/ip-/)]);
  });

  test('across hops it goes by what earlier ones bring: nodes may skip hops until one of them would be too far behind', async () => {
    const [cluster] = worldWith([], { nodes: 1, version: '1.32', releaseVersion: '1.32.8-20260415' }).clusters;
    await start({ version: '1.32', nodegroups: cluster!.nodegroups });
    const [node = ''] = await demo.nodeNames();
    const hops: ExpectedChange[] = ['1.33', '1.34', '1.35'].map((version) => ({ change: 'version', object: 'Cluster/demo', version }));
    const updated: ExpectedChange[] = [
      { change: 'version', object: 'Nodegroup/demo/blue', version: '1.34' },
      { change: 'nodes-removed', nodes: [node] },
    ];
    const rotated: ExpectedChange[] = [
      { change: 'nodes-removed', nodes: [node] },
      { change: 'removed', object: 'Nodegroup/demo/blue' },
    ];
    const objects = async (version: string, expected: ExpectedChange[]): Promise<string[]> =>
      (await demo.plan(upgrade, { version }, { expected })).blockers.map(({ object }) => object);
    expect(await objects('1.33', [])).toEqual([]);
    expect(await objects('1.34', hops.slice(0, 1))).toEqual([]);
    expect(await objects('1.35', hops.slice(0, 2))).toEqual([]);
    expect(await objects('1.36', hops)).toEqual(['Nodegroup/demo/blue', `Node/${node}`]);
    expect(await objects('1.36', [...hops, ...updated])).toEqual([]);
    expect(await objects('1.36', [...hops, ...rotated])).toEqual([]);
  });

  test('warns of what EKS is not sure about', async () => {
    await start({ insights: [insight({ status: 'WARNING' }), insight({ name: 'passes', status: 'PASSING' })] });
    const { blockers, notes } = await demo.plan(upgrade, { version: '1.34' });
    expect(blockers).toEqual([]);
    expect(notes[0]).toContain('EKS warns: Deprecated APIs removed in Kubernetes v1.34');
  });

  test('has nothing to do where the control plane is there already', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.33' });
    expect(plan).toMatchObject({ effects: [], blockers: [], notes: ['The control plane is at 1.33 already.'] });
    expect(await demo.perform(upgrade, plan)).toMatchObject({ before: 'done', acts: 0 });
  });

  test('is blocked while another update is in progress', async () => {
    await start({}, slow);
    await upgradeAsSomebodyElse();
    expect((await demo.plan(upgrade, { version: '1.34' })).blockers).toEqual([
      expect.objectContaining({ reason: expect.stringMatching(/is in progress\. It is the very change that is asked for\.$/) }),
    ]);
  });
});

describe('an upgrade', () => {
  test('is asked for once and watched to its end', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    expect(await demo.perform(upgrade, plan)).toMatchObject({ before: 'todo', acts: 1, outputs: { version: '1.34' } });
    expect(await demo.perform(upgrade, plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(await updateIds()).toHaveLength(1);
  });

  test('is not begun twice where the answer was lost, or the worker was killed', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    demo.proxy.treat = once(isUpdate, 'lose-answer');
    await demo.perform(upgrade, plan);
    expect(await updateIds()).toHaveLength(1);
  });

  test('is seen as done where somebody else has done it meanwhile', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    await upgradeAsSomebodyElse();
    await waitForVersion('1.34');
    expect(await demo.perform(upgrade, plan)).toMatchObject({ before: 'done', acts: 0 });
    expect(await updateIds()).toHaveLength(1);
  });

  test('of somebody else in progress stops the step, and can be adopted', async () => {
    await start({}, 600);
    const plan = await demo.plan(upgrade, { version: '1.34' });
    await upgradeAsSomebodyElse();
    expect(await failureOf(demo.perform(upgrade, plan))).toMatchObject({
      code: 'change-in-flight',
      message: expect.stringContaining('Somebody else has begun the same change of cluster demo'),
    });
    expect(await demo.perform(upgrade, plan, { context: { retry: 1, adopt: true } })).toMatchObject({
      acts: 0,
      outputs: { version: '1.34' },
    });
    expect(await updateIds()).toHaveLength(1);
  });

  test('that EKS takes back is told with the reason, and can be tried again', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    demo.eks.setUpdateFailure('demo', { errorCode: 'IpNotAvailable', errorMessage: 'no address', resourceIds: ['subnet-1'] });
    expect(await failureOf(demo.perform(upgrade, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringMatching(/ended as Failed, and EKS has taken it back to 1\.33: IpNotAvailable: .*\(subnet-1\)/),
    });
    demo.eks.setUpdateFailure('demo', undefined);
    expect(await demo.perform(upgrade, plan, { context: { retry: 1 } })).toMatchObject({ outputs: { version: '1.34' } });
    expect(await updateIds()).toHaveLength(2);
  });

  test.each([
    ['ThrottlingException', 'Rate exceeded'],
    ['InvalidRequestException', 'Request limit exceeded.'],
  ])('is asked for again, later each time, while EKS is throttled (%s), and happens once', async (type, message) => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    let throttled = 0;
    const refusal = { status: 400, headers: { 'x-amzn-errortype': type }, body: JSON.stringify({ message }) };
    demo.proxy.treat = (request) => (isUpdate(request) && (throttled += 1) <= 5 ? refusal : 'pass');
    const waits: number[] = [];
    const wait = async (ms: number): Promise<void> => {
      waits.push(ms);
      await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const performed = await demo.perform(upgrade, plan, { wait });
    expect(performed).toMatchObject({ before: 'todo', outputs: { version: '1.34' } });
    expect(performed.passed['aws-busy']).toBeGreaterThan(0);
    expect(waits[1]).toBeGreaterThan(waits[0] ?? 0);
    expect(await updateIds()).toHaveLength(1);
  });

  test('that fails says for each code of EKS what it means and what to do, as docs/eks-update-errors.md does', async () => {
    await start({}, 20_000);
    const codes = Object.values(ErrorCode);
    expect(Object.keys(updateErrors)).toEqual([...codes].sort());
    const page = readFileSync(new URL('../../../docs/eks-update-errors.md', import.meta.url), 'utf8');
    const plan = await demo.plan(upgrade, { version: '1.34' });
    for (const [retry, errorCode] of codes.entries()) {
      demo.eks.setUpdateFailure('demo', { errorCode, errorMessage: `EKS: ${errorCode}`, resourceIds: ['thing-1'] });
      const { meaning, remedy } = updateErrors[errorCode];
      const failure = await failureOf(demo.perform(upgrade, plan, { context: { retry } }));
      expect(failure).toMatchObject({ code: 'action-stuck', remedy });
      expect(failure.message).toContain(`: ${errorCode}: ${meaning}; EKS says "EKS: ${errorCode}" (thing-1).`);
      expect(page).toContain(`| \`${errorCode}\` | ${meaning.charAt(0).toUpperCase()}${meaning.slice(1)} | ${remedy} |`);
    }
    expect(await updateIds()).toHaveLength(codes.length);
  });

  test('that fails with a code that nobody knows is told as it is', () => {
    const errors = [{ errorCode: 'toString' as ErrorCode, errorMessage: 'Something new' }, { errorCode: ErrorCode.ACCESS_DENIED }];
    const { reason, remedy } = explainUpdateErrors(errors);
    expect(reason).toMatch(/^toString: a code that Holdpoint does not know; EKS says "Something new"; AccessDenied: EKS may not/);
    expect(remedy).toBe(`${updateErrors.Unknown.remedy} ${updateErrors.AccessDenied.remedy}`);
    expect(explainUpdateErrors([])).toEqual({ reason: 'EKS gives no error', remedy: updateErrors.Unknown.remedy });
  });

  test('beyond the planned version is nobody’s business but a person’s', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    for (const version of ['1.34', '1.35']) {
      await upgradeAsSomebodyElse(version);
      await waitForVersion(version);
    }
    expect(await failureOf(demo.perform(upgrade, plan))).toMatchObject({
      message: expect.stringContaining('is at 1.35 now, neither at 1.33 as it was planned nor at 1.34'),
    });
  });
});

describe('an insight that speaks against it', () => {
  test('is gone past where people have signed for it by name, and it stands in what they sign', async () => {
    await start({ insights: [insight()] });
    const plan = await demo.plan(upgrade, { version: '1.34', waive });
    expect(plan).toMatchObject({ blockers: [], facts: { waived: [insight().name] } });
    expect(plan.risks).toEqual([
      expect.objectContaining({ object: `Insight/${insight().name}`, risk: expect.stringContaining('old-operator is removed next week') }),
    ]);
    expect(await demo.perform(upgrade, plan)).toMatchObject({ outputs: { version: '1.34' } });
  });

  test('that came up since is not gone past by the same signature', async () => {
    await start({ insights: [insight()] });
    const plan = await demo.plan(upgrade, { version: '1.34', waive });
    demo.eks.setInsights('demo', [insight(), insight({ name: 'Kubelet version skew' })]);
    expect(await failureOf(demo.perform(upgrade, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringContaining('EKS was not asked for 1.34: Insight/Kubelet version skew'),
    });
    expect(await updateIds()).toEqual([]);
  });

  test('blocks again when its waiver has ended', async () => {
    await start({ insights: [insight()] });
    const over = waive.map((one) => ({ ...one, until: '2026-01-01T00:00:00Z' }));
    expect((await demo.plan(upgrade, { version: '1.34', waive: over })).blockers).toHaveLength(1);
  });

  test('is found by a refresh, which is waited for and asked for once', async () => {
    await start({ insights: [insight({ afterRefresh: 'PASSING' })] });
    const plan = await demo.plan('eks.refreshInsights', {});
    expect(await demo.perform('eks.refreshInsights', plan)).toMatchObject({ before: 'todo', acts: 1 });
    expect((await demo.plan(upgrade, { version: '1.34' })).blockers).toEqual([]);
    // How long ago that was is no part of what people sign.
    const again = await demo.plan('eks.refreshInsights', {});
    expect([again.effects, again.facts]).toEqual([plan.effects, plan.facts]);
    expect(await demo.perform('eks.refreshInsights', again)).toMatchObject({ before: 'done', acts: 0 });
  });
});

describe('the rollback of an upgrade', () => {
  const upgraded: Partial<ClusterSeed> = { version: '1.34', upgradedMsAgo: dayMs };

  test('takes the control plane back, once', async () => {
    await start(upgraded);
    const plan = await demo.plan(rollback, { version: '1.33' });
    expect(plan).toMatchObject({
      effects: [{ object: 'Cluster/demo', change: 'roll the control plane back', before: '1.34', after: '1.33' }],
      blockers: [],
    });
    demo.proxy.treat = once(isUpdate, 'lose-answer');
    expect(await demo.perform(rollback, plan)).toMatchObject({ outputs: { version: '1.33' } });
    expect(await updateIds()).toHaveLength(2);
    expect(await demo.undo(rollback, plan)).toEqual([{ uses: upgrade, with: { version: '1.34', waitForUpdate: true } }]);
  });

  describe('in Auto Mode', () => {
    const autoMode: Partial<ClusterSeed> = { ...upgraded, autoMode: true };

    test('gives EKS its time for the nodes, which go back first', async () => {
      await start(autoMode);
      const plan = await demo.plan(rollback, { version: '1.33', nodesTimeout: '3h' });
      expect(plan).toMatchObject({ facts: { nodesTimeoutMinutes: 180 }, blockers: [] });
      let sent: unknown;
      demo.proxy.treat = (request) => {
        if (isUpdate(request)) sent = JSON.parse(request.body);
        return 'pass';
      };
      expect(await demo.perform(rollback, plan)).toMatchObject({ outputs: { version: '1.33' } });
      expect(sent).toMatchObject({ version: '1.33', rollbackConfig: { timeoutMinutes: 180 } });
    });

    test('is cancelled by its undo while nodes go back, once, though the answer is lost', async () => {
      await start(autoMode, slow);
      await demo.act(rollback, await demo.plan(rollback, { version: '1.33' }));
      const plan = await demo.plan(upgrade, { version: '1.34', waitForUpdate: true });
      expect(plan.effects[0]).toMatchObject({ change: expect.stringMatching(/^cancel the rollback in progress/) });
      demo.proxy.treat = once(({ path }) => path.endsWith('/cancel-update'), 'lose-answer');
      expect(await demo.perform(upgrade, plan)).toMatchObject({ outputs: { version: '1.34' } });
      expect(await versionNow()).toBe('1.34');
      expect(await updateIds()).toHaveLength(2);
    });

    test('is waited for where EKS has come to the control plane, and taken back then', async () => {
      await start(autoMode, 2_000);
      await demo.act(rollback, await demo.plan(rollback, { version: '1.33' }));
      const plan = await demo.plan(upgrade, { version: '1.34', waitForUpdate: true });
      const refusal = { status: 400, headers: { 'x-amzn-errortype': 'InvalidRequestException' }, body: '{"message":"too late"}' };
      demo.proxy.treat = ({ path }) => (path.endsWith('/cancel-update') ? refusal : 'pass');
      expect(await demo.perform(upgrade, plan)).toMatchObject({ outputs: { version: '1.34' } });
      expect(await updateIds()).toHaveLength(3);
    });
  });

  test('is what undoes an upgrade, also where that was begun only', async () => {
    await start();
    const plan = await demo.plan(upgrade, { version: '1.34' });
    const untouched = await demo.observe(upgrade, plan);
    expect(await demo.action(upgrade).undo(plan, demo.context(), untouched)).toMatchObject({ nothing: expect.any(String) });
    await demo.perform(upgrade, plan);
    const undo = await demo.undo(upgrade, plan);
    expect(undo).toEqual([{ uses: rollback, with: { version: '1.33', waitForUpdate: true } }]);
    const back = await demo.plan(rollback, (undo as { with: JsonObject }[])[0]!.with);
    expect(await demo.perform(rollback, back)).toMatchObject({ outputs: { version: '1.33' } });
    // The same upgrade again is a new change: the one that was rolled back since does not count for it.
    const again = await demo.plan(upgrade, { version: '1.34' });
    expect(await demo.perform(upgrade, again, { context: { run: 'r-2' } })).toMatchObject({ before: 'todo', outputs: { version: '1.34' } });
  });

  const refused: { title: string; world: Partial<ClusterSeed>; version?: string; reason: string }[] = [
    { title: 'after 7 days', world: { ...upgraded, upgradedMsAgo: 8 * dayMs }, reason: 'EKS takes it back within 7 days only.' },
    {
      title: 'a minute after 7 days',
      world: { ...upgraded, upgradedMsAgo: 7 * dayMs + 60_000 },
      reason: 'EKS takes it back within 7 days only.',
    },
    { title: 'of a cluster that was created at its version', world: { version: '1.34' }, reason: 'EKS knows no upgrade of it to 1.34' },
    { title: 'by two minor versions', world: upgraded, version: '1.32', reason: 'by one minor version only, not from 1.34 to 1.32' },
    {
      title: 'that EKS finds something against',
      world: { ...upgraded, insights: [insight({ category: 'ROLLBACK_READINESS', kubernetesVersion: '1.33' })] },
      reason: 'EKS finds: Deprecated API usage',
    },
  ];
  test.each(refused)('is refused $title', async ({ world, version = '1.33', reason }) => {
    await start(world);
    expect((await demo.plan(rollback, { version })).blockers).toEqual([
      expect.objectContaining({ reason: expect.stringContaining(reason) }),
    ]);
    if (version === '1.33') await expect(upgradeAsSomebodyElse('1.33')).rejects.toThrow();
  });

  test('is possible until the last hour of the 7 days, and blocked while EKS changes the cluster', async () => {
    await start({ ...upgraded, upgradedMsAgo: 7 * dayMs - 3_600_000 }, slow);
    expect((await demo.plan(rollback, { version: '1.33' })).blockers).toEqual([]);
    await upgradeAsSomebodyElse('1.35');
    expect((await demo.plan(rollback, { version: '1.33' })).blockers).toContainEqual(
      expect.objectContaining({ object: 'Cluster/demo', reason: expect.stringMatching(/^The .* is in progress\.$/) }),
    );
    await expect(upgradeAsSomebodyElse('1.33')).rejects.toMatchObject({ name: 'ResourceInUseException' });
  });

  test('is refused while nodes are newer than the version to go back to', async () => {
    const [cluster] = worldWith([], { nodes: 1, version: '1.34', releaseVersion: '1.34.1-20260415' }).clusters;
    await start({ ...upgraded, nodegroups: cluster!.nodegroups });
    expect((await demo.plan(rollback, { version: '1.33' })).blockers).toEqual([
      expect.objectContaining({
        object: 'Nodegroup/demo/blue',
        reason: 'Version skew: kubelet 1.34 would be newer than the control plane 1.33.',
      }),
      expect.objectContaining({ object: expect.stringMatching(/^Node\//) }),
    ]);
    await expect(upgradeAsSomebodyElse('1.33')).rejects.toMatchObject({ name: 'InvalidStateException' });
  });
});
