import { afterEach, describe, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DeleteNodegroupCommand,
  ListUpdatesCommand,
  UpdateNodegroupConfigCommand,
  UpdateNodegroupVersionCommand,
} from '@aws-sdk/client-eks';
import { findNodegroup, readNodegroup } from '../../../activities/eks/nodegroup/nodegroup.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Manifest, WorldSeed } from '../../../sandbox/seed.ts';
import { budget, deployment, eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once, type ProxiedRequest, type Treatment } from '../../support/proxy.ts';
import { planUndo, takeBack, undoOf } from '../../support/undo.ts';

const update = 'eks.updateNodegroupVersion';
const release = '1.33.4-20260801';
const oldRelease = '1.33.3-20260415';
const input = { nodegroup: 'blue', releaseVersion: release };
const blue = { clusterName: 'demo', nodegroupName: 'blue' };
let demo: TestCluster;

const usualWorld = worldWith([deployment('web', 3), budget('web', { maxUnavailable: 1 })]);
/** So slow that an update is in progress for as long as a test looks at it. */
const slow = 10;
/** So slow that an update is in progress for some seconds, and still comes to its end. */
const moderate = 150;

async function start(seed: WorldSeed = usualWorld, speed = 600): Promise<void> {
  demo = await startCluster(seed, { speed });
}

afterEach(() => demo.stop());

const isUpdate = ({ path }: ProxiedRequest): boolean => path.endsWith('/update-version');

async function updateIds(): Promise<string[]> {
  const { updateIds: ids = [] } = await demo.clients.eks(region).send(new ListUpdatesCommand({ name: 'demo', nodegroupName: 'blue' }));
  return ids;
}

const eks = (): ReturnType<TestCluster['clients']['eks']> => demo.clients.eks(region);

async function updateAsSomebodyElse(releaseVersion = release): Promise<string> {
  const { update: begun } = await eks().send(new UpdateNodegroupVersionCommand({ ...blue, releaseVersion }));
  return begun?.id ?? '';
}

/** The images that the nodes were made from. */
async function images(): Promise<Set<string | undefined>> {
  return new Set((await demo.nodes()).map(({ metadata }) => metadata?.labels?.['eks.amazonaws.com/nodegroup-image']));
}

/** Nothing has kept EKS from taking the update on: the PDB allows 0 disruptions just then. */
async function shutBudgetAtUpdate(request: ProxiedRequest): Promise<Treatment> {
  if (!isUpdate(request)) return 'pass';
  const named = { namespace: 'shop', name: 'web' };
  const present = await demo.others.policy.readNamespacedPodDisruptionBudget(named);
  const body = { ...present, spec: { selector: present.spec?.selector, maxUnavailable: 0 } };
  await demo.others.policy.replaceNamespacedPodDisruptionBudget({ ...named, body });
  return 'pass';
}

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
        waitForUpdate: false,
      },
      risks: [],
      blockers: [],
      notes: [],
      details: { nodes: names },
      outputs: { nodegroup: 'blue', releaseVersion: release },
      expects: [
        { change: 'version', object: 'Nodegroup/demo/blue', version: release },
        { change: 'nodes-removed', nodes: names },
        { change: 'nodes-added', group: 'blue', nodes: [1, 1, 1].map((count): unknown => expect.objectContaining({ count })) },
      ],
      estimateMs: 900_000,
    });
    // Questions to Systems Manager are POSTs to the root.
    expect(demo.proxy.requests.filter((made) => !made.startsWith('GET ') && made !== 'POST /')).toEqual([]);
  });

  test('says what `latest` is, and signs that.', async () => {
    await start();
    const plan = await demo.plan(update, { ...input, releaseVersion: 'latest' });
    expect([plan.facts, plan.blockers]).toEqual([expect.objectContaining({ to: { version: null, releaseVersion: release } }), []]);
    expect(plan.effects[0]).toMatchObject({ before: '1.33.3-20260415', after: release });
    expect((await demo.plan(update, { nodegroup: 'blue', version: '1.33' })).notes).toEqual([
      'Node group blue is at 1.33 already, release 1.33.3-20260415: nothing is updated. The newest release of 1.33 is 1.33.4-20260801; ' +
        'to go to it within 1.33, give `releaseVersion: latest`.',
    ]);
  });

  test('is not sure of releases where Systems Manager does not answer.', async () => {
    await start();
    demo.proxy.treat = ({ path }) => (path === '/' ? 'lose-request' : 'pass');
    const cause = expect.stringContaining('AWS did not answer GetParameters on eks/eu-central-1/demo') as unknown;
    const latest = await demo.plan(update, { ...input, releaseVersion: 'latest' });
    expect(latest.blockers).toEqual([expect.objectContaining({ reason: cause, ofInputs: true })]);
    const named = await demo.plan(update, input);
    expect([named.blockers, named.notes]).toEqual([[], [cause]]);
  });

  test('warns where force would break budgets.', async () => {
    await start();
    expect((await demo.plan(update, { ...input, force: true })).notes).toEqual([
      'force: EKS terminates nodes whose pods it cannot evict within 15 minutes, budgets or not.',
    ]);
  });

  const neither = {
    ofInputs: true,
    reason: 'Neither a version nor a release to go to is given; it is at 1.33.3-20260415, the cluster at 1.33.',
    remedy: 'Give `version` or `releaseVersion`, whose form is such as 1.33.3-20260415: people sign what is named.',
  };
  const newer = {
    ofInputs: true,
    reason: 'Version skew: kubelet 1.34 is newer than the control plane 1.33.',
    remedy: 'Upgrade the control plane first (cluster-upgrade), or choose a release of 1.33.',
  };
  const older = {
    ofInputs: true,
    reason: 'EKS takes it from 1.33 to the version of the cluster, 1.33, only; 1.32.9-20260801 is asked for.',
    remedy: 'Ask for 1.33, or a release of it.',
  };
  const unknown = {
    ofInputs: true,
    reason: 'AWS has no release 1.33.4-20260802 for AL2023_x86_64_STANDARD.',
    remedy: 'Name a release that there is. The newest one is 1.33.4-20260801 (`releaseVersion: latest`).',
  };
  const refused: { title: string; wanted: JsonObject; blocker: { reason: string; remedy: string } }[] = [
    { title: 'where neither version nor release is given', wanted: {}, blocker: neither },
    { title: 'a version newer than the control plane', wanted: { version: '1.34' }, blocker: newer },
    { title: 'a version that is too new beside a release that fits', wanted: { version: '1.34', releaseVersion: release }, blocker: newer },
    { title: 'the rollback to an older minor version', wanted: { releaseVersion: '1.32.9-20260801' }, blocker: older },
    { title: 'a release that there is not', wanted: { releaseVersion: '1.33.4-20260802' }, blocker: unknown },
  ];
  test.each(refused)('refuses $title.', async ({ wanted, blocker }) => {
    await start();
    expect((await demo.plan(update, { nodegroup: 'blue', ...wanted })).blockers).toEqual([{ object: 'Nodegroup/demo/blue', ...blocker }]);
  });

  test('tells of budgets that EKS could never evict under, unless it is to terminate the nodes all the same.', async () => {
    await start(
      worldWith([
        deployment('web', 3),
        budget('web', { maxUnavailable: 0 }),
        deployment('api', 1),
        budget('one', { maxUnavailable: 1 }, 'api'),
        budget('two', { maxUnavailable: 1 }, 'api'),
      ]),
    );
    const { blockers } = await demo.plan(update, input);
    expect(blockers).toEqual([
      {
        object: 'PodDisruptionBudget/shop/web',
        reason: 'It allows 0 disruptions: 3 of 3 pods must stay healthy.',
        remedy:
          'PodDisruptionBudget shop/web (maxUnavailable: 0) over Deployment shop/web demands 3 healthy of 3 pods. Have its owner allow ' +
          'one disruption (maxUnavailable: 1), then plan again. Where a controller will allow it as the drain goes on, plan with ' +
          '`zeroBudgets: wait`.',
      },
      expect.objectContaining({ object: expect.stringMatching(/^Pod\/shop\/api-/) }),
    ]);
    expect((await demo.plan(update, { ...input, force: true })).blockers).toEqual([]);
    expect((await demo.plan(update, { ...input, releaseVersion: oldRelease })).blockers).toEqual([]);
  });

  test('says that an update is in progress, and what becomes of the step then.', async () => {
    await start(usualWorld, slow);
    const id = await updateAsSomebodyElse();
    const which = `Node group blue is UPDATING, by update ${id} (VersionUpdate: Version 1.33, ReleaseVersion ${release})`;
    expect((await demo.plan(update, input)).notes).toEqual([`${which}: this step goes no further before it has ended.`]);
    const waiting = await demo.plan(update, { nodegroup: 'blue', releaseVersion: oldRelease, waitForUpdate: true });
    expect(waiting.notes).toEqual([`${which}: this step waits until it has ended.`]);
    // Until then EKS says of the group what it had before.
    expect(waiting.effects).toEqual([
      { object: 'Nodegroup/demo/blue', change: 'bring all of its nodes to its version', after: oldRelease },
    ]);
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
    expect(again).toMatchObject({ effects: [], risks: [], blockers: [], estimateMs: 0 });
    expect(await demo.perform(update, again)).toMatchObject({ before: 'done', acts: 0 });
    expect(await updateIds()).toHaveLength(1);
    expect(await demo.nodeNames()).toEqual(after);
  });

  test('explains why EKS could not evict pods, and asks anew only when it is told to.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    demo.proxy.treat = shutBudgetAtUpdate;
    const failure = await failureOf(demo.perform(update, plan));
    demo.proxy.treat = () => 'pass';
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
    const refused = {
      code: 'action-stuck',
      message:
        'EKS could not empty the nodes of blue, so it was not asked to: PodDisruptionBudget/shop/web: It allows 0 disruptions: ' +
        '3 of 3 pods must stay healthy.',
      remedy: expect.stringContaining('Have its owner allow one disruption (maxUnavailable: 1)'),
    };
    expect(await failureOf(demo.perform(update, plan))).toEqual(refused);
    expect(await failureOf(demo.perform(update, plan, { context: { retry: 1 } }))).toEqual(refused);
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

  test('never takes its own update for somebody else’s, however many answers are lost or throttled.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    let asked = 0;
    // As often as the SDK sends one request, twice.
    demo.proxy.treat = (request) => (isUpdate(request) && (asked += 1) <= 6 ? 'lose-answer' : 'pass');
    const performance = await demo.perform(update, plan);
    expect(performance.passed['aws-unreachable']).toBeGreaterThanOrEqual(1);
    demo.sandbox.world.faults.next({ operation: 'UpdateNodegroupVersion', kind: 'throttle', times: 3 });
    const again = await demo.plan(update, { nodegroup: 'blue', releaseVersion: oldRelease });
    expect(await demo.perform(update, again)).toMatchObject({ acts: 2, passed: { 'aws-busy': 1 } });
    expect(await updateIds()).toHaveLength(2);
  });

  test('goes on with its own update where the worker was killed, also in another try.', async () => {
    await start(usualWorld, moderate);
    const plan = await demo.plan(update, input);
    await demo.act(update, plan);
    expect(await demo.observe(update, plan)).toMatchObject({ state: 'todo' });
    expect(await demo.observe(update, plan, { acted: true })).toMatchObject({ state: 'moving' });
    // So many tries later, nobody looks for the token of the first one any more.
    expect(await failureOf(demo.act(update, plan, { retry: 12 }))).toMatchObject({ code: 'change-in-flight' });
    expect(await demo.perform(update, plan, { context: { retry: 3 } })).toMatchObject({ before: 'todo', acts: 1 });
    expect(await updateIds()).toHaveLength(1);
    expect(demo.report().violations).toEqual([]);
  });

  test('takes a group for done that somebody has updated by hand.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    await updateAsSomebodyElse();
    await waitUntilAtRest();
    expect(await demo.observe(update, plan)).toMatchObject({ state: 'done', outputs: { nodegroup: 'blue', releaseVersion: release } });
  });
});

describe('a PDB that allows 0 disruptions until a controller changes that', () => {
  const named = { namespace: 'shop', name: 'web' };
  const shut = [deployment('web', 3), budget('web', { maxUnavailable: 0 })];
  const ofOperator = { object: 'PodDisruptionBudget/shop/web', risk: 'it allows 0 disruptions until Pool shop/web changes that' };

  /** The PDB is of a controller that is no part of Kubernetes. */
  const owned = (): Manifest => {
    const made = budget('web', { maxUnavailable: 0 });
    const owner = { apiVersion: 'pools.example.com/v1', kind: 'Pool', name: 'web', uid: 'p-1', controller: true };
    const metadata = { ...made.metadata, ownerReferences: [owner] };
    return { ...made, metadata };
  };

  /** Takes the PDB away when EKS has cordoned a node, as operators do. */
  async function openOnCordon(): Promise<void> {
    await eventually('a cordon', async () => ((await demo.nodes()).some(({ spec }) => spec?.unschedulable) ? true : undefined));
    await demo.others.policy.deleteNamespacedPodDisruptionBudget(named);
  }

  test.each([
    ['of an operator is a risk', [deployment('web', 3), owned()], {}, ofOperator],
    ['of anybody else is one where the input says so', shut, { zeroBudgets: 'wait' }, { object: ofOperator.object }],
  ])('%s, and EKS goes on when it is changed in time.', async (_title, manifests, settings, risk) => {
    await start(worldWith(manifests), moderate);
    const plan = await demo.plan(update, { ...input, ...settings });
    expect(plan).toMatchObject({ blockers: [], risks: [risk] });
    expect(plan.risks[0]?.detail).toContain('for 15 minutes a node; where they have not gone by then, it gives the whole update up');
    const [performed] = await Promise.all([demo.perform(update, plan), openOnCordon()]);
    expect(performed).toMatchObject({ before: 'todo', acts: 1 });
    expect(demo.report().violations).toEqual([]);
  });

  test('that nobody has signed keeps the update from being begun, whoever it belongs to.', async () => {
    await start(worldWith([deployment('web', 3)]));
    const plan = await demo.plan(update, { ...input, zeroBudgets: 'wait' });
    await demo.others.policy.createNamespacedPodDisruptionBudget({ namespace: 'shop', body: owned() });
    await eventually('the PDB to be counted', async () => {
      const { status } = await demo.others.policy.readNamespacedPodDisruptionBudget(named);
      return status?.expectedPods === 3 ? true : undefined;
    });
    expect(await failureOf(demo.perform(update, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringContaining('so it was not asked to: PodDisruptionBudget/shop/web: It allows 0 disruptions'),
    });
    expect(await updateIds()).toEqual([]);
  });
});

describe('the rollback', () => {
  test('leads to the release before, and is gone once.', async () => {
    await start();
    const before = await images();
    const plan = await demo.plan(update, input);
    await demo.perform(update, plan);
    const call = { uses: update, with: { nodegroup: 'blue', releaseVersion: oldRelease, waitForUpdate: true } };
    expect(await undoOf(demo, update, plan)).toEqual([call]);
    await takeBack(demo, update, plan);
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ status: 'ACTIVE', releaseVersion: oldRelease });
    expect(await images()).toEqual(before);
    expect((await takeBack(demo, update, plan)).effects).toEqual([]);
    expect(await updateIds()).toHaveLength(2);
    expect(demo.report().violations).toEqual([]);
  });

  test('does not exist to an older minor version, unless the update was never begun.', async () => {
    await start(worldWith([], { version: '1.32', releaseVersion: '1.32.8-20260415' }), slow);
    const plan = await demo.plan(update, { nodegroup: 'blue', version: '1.33' });
    expect(plan).toMatchObject({
      risks: [],
      blockers: [],
      effects: [{ before: '1.32.8-20260415', after: '1.33 (newest release)' }, {}, {}, {}],
    });
    expect(await undoOf(demo, update, plan)).toEqual({ noUndo: 'EKS does not take the nodes of blue back from 1.33 to 1.32.' });
    expect(await undoOf(demo, update, plan, await demo.observe(update, plan))).toEqual({
      nothing: 'No update of node group blue has been begun, which is at 1.32.8-20260415 as before.',
    });
    await demo.act(update, plan);
    expect(await undoOf(demo, update, plan, await demo.observe(update, plan))).toHaveProperty('noUndo');
  });

  test('is not needed where somebody else’s update has kept it from being begun.', async () => {
    await start(usualWorld, slow);
    const plan = await demo.plan(update, input);
    await updateAsSomebodyElse('1.33.4-20260601');
    await failureOf(demo.perform(update, plan));
    expect(await undoOf(demo, update, plan, await demo.observe(update, plan))).toHaveProperty('nothing');
    // An update that is not listed yet may be this step's own.
    demo.proxy.treat = once(({ path }) => path.includes('/updates?'), { status: 200, body: JSON.stringify({ updateIds: [] }) });
    expect(await undoOf(demo, update, plan, await demo.observe(update, plan))).toHaveLength(1);
  });

  test('is needed where an update like the planned one is in progress, which may be this step’s own.', async () => {
    await start(usualWorld, slow);
    const plan = await demo.plan(update, input);
    await updateAsSomebodyElse();
    expect(await undoOf(demo, update, plan, await demo.observe(update, plan))).toHaveLength(1);
  });

  test('waits for an update that is still in progress, which nobody can stop.', async () => {
    await start(usualWorld, 300);
    const before = await images();
    const plan = await demo.plan(update, input);
    await demo.act(update, plan);
    const seen = await demo.observe(update, plan);
    const [back] = await planUndo(demo, update, plan, seen);
    expect(back.plan.effects).toHaveLength(1);
    await eventually('new nodes', async () => ((await demo.nodes()).length > 3 ? true : undefined));
    // Nodes come and go meanwhile, and the plan stays what was signed.
    const [later] = await planUndo(demo, update, plan, seen);
    expect([later.plan.effects, later.plan.facts]).toEqual([back.plan.effects, back.plan.facts]);
    expect(await demo.perform(update, back.plan, { context: { step: 'undo:s' } })).toMatchObject({ before: 'moving', acts: 1 });
    expect(await images()).toEqual(before);
    expect(await updateIds()).toHaveLength(2);
  });

  test('brings back the nodes that an update has replaced before it failed.', async () => {
    await start(worldWith([deployment('web', 1), budget('web', { minAvailable: 0 })]));
    // All nodes at once, so that those which can be replaced are, whichever of them EKS takes first.
    await eks().send(new UpdateNodegroupConfigCommand({ ...blue, updateConfig: { maxUnavailable: 3 } }));
    await waitUntilAtRest();
    const before = await images();
    const plan = await demo.plan(update, input);
    demo.proxy.treat = shutBudgetAtUpdate;
    await failureOf(demo.perform(update, plan));
    demo.proxy.treat = () => 'pass';
    expect((await images()).size).toBe(2);
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ status: 'ACTIVE', releaseVersion: oldRelease });
    const seen = await demo.observe(update, plan);
    expect(seen).toMatchObject({ state: 'todo', untouched: false });
    await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
    const back = await takeBack(demo, update, plan, seen);
    expect(back.effects[0]).toEqual({ object: 'Nodegroup/demo/blue', change: 'bring all of its nodes to its version', after: oldRelease });
    expect(await images()).toEqual(before);
    expect((await planUndo(demo, update, plan))[0].plan.effects).toEqual([]);
    // EKS has broken the PDB; that the rollback was needless would be another violation.
    expect(demo.report().violations.filter(({ kind }) => kind !== 'budget-broken')).toEqual([]);
  });
});

describe('while somebody else changes the world', () => {
  test('the same update of somebody else stops the step; adopted, it is waited for, and no other is started.', async () => {
    await start(usualWorld, moderate);
    const plan = await demo.plan(update, input);
    const id = await updateAsSomebodyElse();
    expect(await failureOf(demo.perform(update, plan))).toEqual({
      code: 'change-in-flight',
      message:
        'Somebody else has begun the same change of node group blue: ' +
        `update ${id} (VersionUpdate: Version 1.33, ReleaseVersion ${release}) is in progress.`,
      remedy: 'Have this step adopt it (`holdpoint adopt`), or wait until it has ended and try again (`holdpoint retry`).',
    });
    const adopted = await demo.perform(update, plan, { context: { retry: 1, adopt: true } });
    expect(adopted).toMatchObject({ before: 'moving', acts: 0, outputs: { releaseVersion: release } });
    expect(await updateIds()).toEqual([id]);
  });

  test('an adopted update that fails is explained like one of its own, and another try makes its own.', async () => {
    await start(worldWith([deployment('web', 3), budget('web', { maxUnavailable: 0 })]), 300);
    const plan = await demo.plan(update, input);
    const id = await updateAsSomebodyElse();
    const failure = await failureOf(demo.perform(update, plan, { context: { retry: 1, adopt: true } }));
    expect(failure).toMatchObject({ code: 'action-stuck', remedy: expect.stringMatching(/^Find the budget/) });
    expect(failure.message).toContain(`The update ${id} of blue ended as Failed: PodEvictionFailure`);
    await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
    expect(await demo.perform(update, plan, { context: { retry: 2 } })).toMatchObject({ acts: 1 });
    expect(await updateIds()).toHaveLength(2);
  });

  test('another update of somebody else stops the step, adopted or not; once it has ended, another try makes the signed one.', async () => {
    await start(usualWorld, moderate);
    const plan = await demo.plan(update, input);
    const id = await updateAsSomebodyElse('1.33.4-20260601');
    const failure = {
      code: 'action-stuck',
      message:
        'Somebody else changes node group blue: ' +
        `update ${id} (VersionUpdate: Version 1.33, ReleaseVersion 1.33.4-20260601) is in progress.`,
      remedy: 'Wait until it has ended, then try again (`holdpoint retry`).',
    };
    expect(await failureOf(demo.perform(update, plan))).toEqual(failure);
    expect(await failureOf(demo.perform(update, plan, { context: { retry: 1, adopt: true } }))).toEqual(failure);
    await waitUntilAtRest();
    expect(await demo.perform(update, plan, { context: { retry: 2 } })).toMatchObject({ acts: 1 });
    expect(await readNodegroup(demo.clients, demo.target, 'blue')).toMatchObject({ releaseVersion: release });
  });

  test('a change of its settings is no update to adopt.', async () => {
    await start(usualWorld, slow);
    const plan = await demo.plan(update, input);
    const { update: begun } = await eks().send(new UpdateNodegroupConfigCommand({ ...blue, scalingConfig: { desiredSize: 4 } }));
    expect(await failureOf(demo.perform(update, plan))).toMatchObject({
      code: 'action-stuck',
      message: `Somebody else changes node group blue: update ${begun?.id ?? ''} (ConfigUpdate: DesiredSize 4) is in progress.`,
    });
  });

  test('an update that somebody else starts between the look and the act is told all the same.', async () => {
    await start(usualWorld, slow);
    const plan = await demo.plan(update, input);
    let started = false;
    demo.proxy.treat = async (request): Promise<Treatment> => {
      if (isUpdate(request) && !started) {
        started = true;
        await updateAsSomebodyElse();
      }
      return 'pass';
    };
    expect(await failureOf(demo.perform(update, plan))).toMatchObject({ code: 'change-in-flight' });
    expect(await updateIds()).toHaveLength(1);
  });

  test('a conflict with an update that is over by now passes by itself.', async () => {
    await start();
    const plan = await demo.plan(update, input);
    const body = JSON.stringify({ message: 'Cannot VersionUpdate because nodegroup blue currently has update 1 in progress' });
    const headers = { 'content-type': 'application/json', 'x-amzn-errortype': 'ResourceInUseException' };
    demo.proxy.treat = once(isUpdate, { status: 409, headers, body });
    expect(await demo.perform(update, plan)).toMatchObject({ acts: 2, passed: { 'aws-busy': 1 } });
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
    demo.eks.setNodegroupIssue('demo', 'blue', { code: 'Ec2SubnetNotFound', message: 'A subnet is missing.', resourceIds: [] });
    expect(await failureOf(demo.perform(update, plan))).toEqual({
      code: 'action-stuck',
      message: 'Node group blue is updated but DEGRADED: Ec2SubnetNotFound: A subnet is missing.',
      remedy: 'Put right what EKS reports, then try again.',
    });
  });
});
