import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BudgetIndex, budgetName, type BudgetView } from '../../../domain/drain/budget.ts';
import { nextDrainMoves, type DrainMoves, type DrainNode, type DrainSnapshot, type DrainSettings } from '../../../domain/drain/drain.ts';
import { hasEnded, staysOnNode, type PodView } from '../../../domain/drain/pod.ts';
import { budgetOf, nodeOf, podOf, podsElsewhere, sceneOf, settingsOf } from './drain-objects.ts';

function moves(snapshot: Partial<DrainSnapshot>, settings: Partial<DrainSettings> = {}): DrainMoves {
  return nextDrainMoves(sceneOf(snapshot), settingsOf(settings));
}

/** The lists that are not empty, with the names of their pods. */
function names(found: DrainMoves): Record<string, string[]> {
  const lists: [string, PodView[]][] = [
    ['evict', found.evict],
    ['surge', found.surge],
    ['remove', found.remove.map(({ pod }) => pod)],
    ['ending', found.ending],
    ['blocked', found.blocked.map(({ pod }) => pod)],
    ['attempt', found.attempt],
    ['unnamed', found.unnamed],
    ['cameBack', found.cameBack],
    ['later', found.later],
  ];
  return Object.fromEntries(lists.filter(([, pods]) => pods.length > 0).map(([name, pods]) => [name, pods.map((pod) => pod.name)]));
}

const set = (ordinal: number, differences: Partial<PodView> = {}): PodView =>
  podOf({ name: `db-${ordinal}`, labels: { app: 'db' }, owner: { kind: 'StatefulSet', name: 'db' }, ...differences });
const setOf = (replicas: number) => ({ kind: 'StatefulSet' as const, namespace: 'shop', name: 'db', replicas });
const deploymentOf = (replicas: number, noSurge?: string) => ({
  kind: 'Deployment' as const,
  namespace: 'shop',
  name: 'web',
  replicas,
  noSurge,
});

describe('one pod', () => {
  /** With three more that are Ready elsewhere. */
  const protectedPod = (pod: Partial<PodView>, ...budgets: Partial<BudgetView>[]): DrainMoves =>
    moves({ pods: [podOf(pod), ...podsElsewhere(3)], budgets: budgets.map(budgetOf) });
  const shut = { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 3 };

  const leaving: { title: string; found: DrainMoves }[] = [
    { title: 'that no budget protects is evicted', found: protectedPod({}) },
    { title: 'whose budget allows a disruption is evicted', found: protectedPod({}, {}) },
    { title: 'that is Pending needs no budget', found: protectedPod({ phase: 'Pending', ready: false }, shut) },
    { title: 'that has succeeded needs no budget', found: protectedPod({ phase: 'Succeeded', ready: false }, shut) },
    { title: 'that has failed needs no budget', found: protectedPod({ phase: 'Failed', ready: false }, shut) },
    { title: 'that has ended is evicted though two budgets select it', found: protectedPod({ phase: 'Failed' }, shut, { name: 'two' }) },
    {
      title: 'that is unready goes freely where the budget says AlwaysAllow',
      found: protectedPod({ ready: false }, { ...shut, unhealthyPodEvictionPolicy: 'AlwaysAllow' }),
    },
    {
      title: 'that is unready goes freely where the others are healthy enough',
      found: protectedPod({ ready: false }, { disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3 }),
    },
  ];
  test.each(leaving)('A pod $title.', ({ found }) => {
    expect(names(found)).toEqual({ evict: ['web-1'] });
  });

  const waiting: { title: string; found: DrainMoves; reason: string }[] = [
    { title: 'whose budget is spent waits', found: protectedPod({}, shut), reason: 'PDB shop/web needs 3 healthy pods and has 2' },
    {
      title: 'that is unready waits where the others are not healthy enough',
      found: protectedPod({ ready: false }, shut),
      reason: 'PDB shop/web needs 3 healthy pods and has 2',
    },
    {
      title: 'that is unready waits where a budget demands nothing but allows nothing',
      found: protectedPod({ ready: false }, { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0 }),
      reason: 'PDB shop/web needs 0 healthy pods and has 0',
    },
    {
      title: 'whose budget has not been worked out yet waits',
      found: protectedPod({}, { statusIsCurrent: false }),
      reason: 'PDB shop/web is being worked out by its controller',
    },
    {
      title: 'under two budgets waits, even if both allow it',
      found: protectedPod({}, {}, { name: 'two' }),
      reason: 'two budgets protect it, shop/web and shop/two: the API server evicts no such pod',
    },
    {
      title: 'that the API server does not want to be asked for waits',
      found: moves({ pods: [podOf()], refused: new Map([['uid of web-1', { reason: 'a webhook says no', by: 'other' }]]) }),
      reason: 'a webhook says no',
    },
    {
      title: 'of a Job is waited for',
      found: protectedPod({ owner: { kind: 'Job', name: 'report' } }),
      reason: 'it is waited for, as its Job has not finished',
    },
    {
      title: 'marked do-not-disrupt is waited for',
      found: protectedPod({ annotations: { 'karpenter.sh/do-not-disrupt': 'true' } }),
      reason: 'it is waited for, as karpenter.sh/do-not-disrupt=true asks',
    },
    {
      title: 'marked do-not-disrupt for a time that is not over is waited for',
      found: protectedPod({ annotations: { 'karpenter.sh/do-not-disrupt': '1h30m' }, createdAtMs: 10_000_000 - 5_300_000 }),
      reason: 'it is waited for, as karpenter.sh/do-not-disrupt=1h30m asks',
    },
    {
      title: 'marked as not safe to evict is waited for',
      found: protectedPod({ annotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false' } }),
      reason: 'it is waited for, as cluster-autoscaler.kubernetes.io/safe-to-evict=false asks',
    },
    {
      title: 'that is to complete is waited for',
      found: protectedPod({ labels: { 'cluster.x-k8s.io/drain': 'wait-completed' } }),
      reason: 'it is waited for, as cluster.x-k8s.io/drain=wait-completed asks',
    },
  ];
  test.each(waiting)('A pod $title, and the reason is said.', ({ found, reason }) => {
    expect(names(found)).toEqual({ blocked: ['web-1'] });
    expect(found.blocked[0]).toMatchObject({ reason, overdue: false });
  });

  test.each([
    { title: 'of a DaemonSet', pod: { owner: { kind: 'DaemonSet', name: 'agent' } } },
    { title: 'that mirrors a static one', pod: { mirror: true, owner: undefined } },
    { title: 'that is to be passed over', pod: { labels: { 'cluster.x-k8s.io/drain': 'skip' } } },
  ])('A pod $title stays where it is.', ({ pod }) => {
    expect(names(protectedPod(pod))).toEqual({});
  });

  const undisturbed: { title: string; pod: Partial<PodView> }[] = [
    { title: 'whose time of peace is over', pod: { annotations: { 'karpenter.sh/do-not-disrupt': '1h' } } },
    { title: 'whose mark says nothing that is known', pod: { annotations: { 'karpenter.sh/do-not-disrupt': 'maybe' } } },
    { title: 'that is safe to evict', pod: { annotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' } } },
    { title: 'of a Job that has ended', pod: { owner: { kind: 'Job', name: 'report' }, phase: 'Succeeded' } },
  ];
  test.each(undisturbed)('A pod $title is evicted.', ({ pod }) => {
    expect(names(protectedPod(pod))).toEqual({ evict: ['web-1'] });
  });

  test('A pod of a Job is evicted where the plan says so.', () => {
    expect(names(moves({ pods: [podOf({ owner: { kind: 'Job', name: 'report' } })] }, { jobs: 'evict' }))).toEqual({ evict: ['web-1'] });
  });

  test('A pod that is on its way out is waited for and not evicted again, nor is one that has been asked for.', () => {
    expect(names(protectedPod({ terminating: true }, {}))).toEqual({ ending: ['web-1'] });
    expect(names(moves({ pods: [podOf()], asked: new Set(['uid of web-1']) }))).toEqual({ ending: ['web-1'] });
  });
});

describe('a pod that people have to sign for', () => {
  const bare = podOf({ owner: undefined });
  const scratch = podOf({ emptyDir: true });

  test.each([
    ['that no controller brings back', bare],
    ['whose data is lost', scratch],
  ])('A pod %s goes only if it is named, by its UID.', (_title, pod) => {
    expect(names(moves({ pods: [pod] }))).toEqual({ unnamed: ['web-1'] });
    expect(names(moves({ pods: [pod] }, { named: new Set(['uid of another']) }))).toEqual({ unnamed: ['web-1'] });
    expect(names(moves({ pods: [pod] }, { named: new Set([pod.uid]) }))).toEqual({ evict: ['web-1'] });
    expect(names(moves({ pods: [{ ...pod, phase: 'Succeeded' }] }))).toEqual({ evict: ['web-1'] });
  });

  test('The only pod of a workload goes only if its workload is named.', () => {
    const snapshot = { pods: [podOf()], workloads: [deploymentOf(1)] };
    expect(names(moves(snapshot))).toEqual({ unnamed: ['web-1'] });
    expect(names(moves(snapshot, { singletonsNamed: new Set(['Deployment shop/web']) }))).toEqual({ evict: ['web-1'] });
    expect(names(moves({ ...snapshot, workloads: [deploymentOf(2)] }))).toEqual({ evict: ['web-1'] });
  });

  test('The only pod of a Deployment is replaced by a rollout where the plan says so; that of a set is evicted.', () => {
    const settings = { singletons: 'surge', singletonsNamed: new Set(['Deployment shop/web', 'StatefulSet shop/db']) } as const;
    const shut = [budgetOf({ disruptionsAllowed: 0, desiredHealthy: 1, currentHealthy: 1 })];
    expect(names(moves({ pods: [podOf()], budgets: shut, workloads: [deploymentOf(1)] }, settings))).toEqual({ surge: ['web-1'] });
    expect(names(moves({ pods: [podOf()], workloads: [deploymentOf(1, 'its strategy is Recreate')] }, settings))).toEqual({
      evict: ['web-1'],
    });
    expect(names(moves({ pods: [set(0)], workloads: [setOf(1)] }, settings))).toEqual({ evict: ['db-0'] });
  });

  test('A rollout that does not replace it by the deadline is as late as an eviction.', () => {
    const settings = { singletons: 'surge', singletonsNamed: new Set(['Deployment shop/web']), nodeDeadlineMs: 60_000 } as const;
    const snapshot = { nodes: [nodeOf({ turnBeganMs: 1 })], pods: [podOf()], workloads: [deploymentOf(1)] };
    expect(moves(snapshot, settings).blocked).toEqual([
      { pod: podOf(), reason: 'its rollout has not replaced it, past its deadline', overdue: true },
    ]);
    expect(moves(snapshot, { ...settings, onDeadline: 'delete' }).remove).toEqual([{ pod: podOf() }]);
    expect(names(moves({ ...snapshot, nowMs: 50_000 }, settings))).toEqual({ surge: ['web-1'] });
  });

  test('It neither spends the budget of others nor keeps the next node waiting.', () => {
    const pods = [podOf({ name: 'bare', owner: undefined }), podOf({ name: 'web-2', node: 'b' }), ...podsElsewhere(3)];
    const found = moves({ nodes: [nodeOf(), nodeOf({ name: 'b' })], pods, budgets: [budgetOf()] });
    expect(names(found)).toEqual({ evict: ['web-2'], unnamed: ['bare'] });
    expect(found.begin).toEqual(['b']);
  });
});

describe('budgets', () => {
  const pair = [podOf({ name: 'web-1' }), podOf({ name: 'web-2', node: 'b' })];
  const nodes = [nodeOf(), nodeOf({ name: 'b' })];

  test('A budget is spent once, across all nodes, and the next pod is told how much is spent.', () => {
    const found = moves({ nodes, pods: [...pair, ...podsElsewhere(2)], budgets: [budgetOf()] }, { nodesAtOnce: 2 });
    expect(names(found)).toEqual({ evict: ['web-1'], blocked: ['web-2'] });
    expect(found.blocked[0]?.reason).toBe('PDB shop/web needs 3 healthy pods and has 4, 1 of them just evicted');
  });

  test('An unready pod that may go freely leaves the budget to a ready one.', () => {
    const both = [podOf({ name: 'web-2', ready: false }), podOf({ name: 'web-1' }), ...podsElsewhere(3)];
    expect(names(moves({ pods: both, budgets: [budgetOf()] })).evict).toEqual(['web-2', 'web-1']);
  });

  test('The pods that have the longest way to go are asked for first, those without a budget last.', () => {
    const of = (app: string, count: number): PodView[] =>
      Array.from({ length: count }, (_, index) =>
        podOf({ name: `${app}-${index}`, labels: { app }, owner: { kind: 'Deployment', name: app } }),
      );
    const over = (app: string, expectedPods: number, allowed: number): BudgetView =>
      budgetOf({
        name: app,
        selector: { matchLabels: { app } },
        disruptionsAllowed: 1,
        expectedPods,
        currentHealthy: expectedPods,
        desiredHealthy: expectedPods - allowed,
      });
    const found = moves({
      pods: [...of('free', 1), ...of('short', 4), ...of('long', 3)],
      budgets: [over('short', 4, 4), over('long', 3, 1)],
    });
    expect(names(found).evict).toEqual(['long-2', 'short-3', 'free-0']);
    expect(found.evict.map((pod) => found.budgetOf.get(pod)?.name)).toEqual(['long', 'short', undefined]);
  });

  test('Of a budget that is shut by an eviction that was cut off, that is told.', () => {
    const spent = { disruptionsAllowed: 0, currentHealthy: 3, disrupted: ['web-1'] };
    const snapshot = { pods: [podOf(), ...podsElsewhere(3)], budgets: [budgetOf(spent)] };
    const shut = 'PDB shop/web needs 3 healthy pods and has 3';
    expect(moves(snapshot).blocked[0]?.reason).toBe(
      `${shut}; an eviction of shop/web-1 that was cut off counts against it for two minutes`,
    );
    const going = [podOf({ terminating: true }), podOf({ name: 'web-2' }), ...podsElsewhere(2)];
    expect(moves({ ...snapshot, pods: going }).blocked[0]?.reason).toBe(shut);
  });

  const shut = { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 3 };
  const refused = (by: 'budget' | 'other') => new Map([[podOf().uid, { reason: 'no', by }]]);
  const broken = podOf({ name: 'web-9', node: 'elsewhere', ready: false, trouble: 'CrashLoopBackOff' });
  const todoOf = (differences: Partial<DrainSnapshot>) =>
    moves({ pods: [podOf(), ...podsElsewhere(2)], budgets: [budgetOf(shut)], ...differences }).blocked[0]?.todo;

  test.each<[string, Partial<DrainSnapshot>, RegExp, string]>([
    [
      'a pod that is not Ready',
      { pods: [podOf(), ...podsElsewhere(1), broken] },
      /^PDB shop\/web belongs to whoever owns Deployment shop\/web\. Have shop\/web-9 made Ready, or deleted;/,
      'kubectl -n shop describe pod web-9',
    ],
    [
      'a budget of an operator',
      { budgets: [budgetOf({ ...shut, owner: { kind: 'Broker', name: 'events', customGroup: 'example.com' } })] },
      /^PDB shop\/web belongs to Broker shop\/events\. .* when enough of its pods are Ready\.$/,
      'kubectl -n shop describe pdb web',
    ],
    [
      'a budget that allows none for good',
      { budgets: [budgetOf({ ...shut, desiredHealthy: 3, maxUnavailable: '0' })] },
      /^PodDisruptionBudget shop\/web \(maxUnavailable: 0\) over Deployment shop\/web demands 3 healthy of 3 pods\. Have its owner/,
      'kubectl -n shop describe pdb web',
    ],
    [
      'the answer of the API server about a budget',
      { refused: refused('budget') },
      /^PDB shop\/web belongs to/,
      'kubectl -n shop describe pdb web',
    ],
    [
      'two budgets',
      { budgets: [budgetOf(), budgetOf({ name: 'two' })] },
      /^Have the owner of Deployment shop\/web change the selectors/,
      'kubectl -n shop describe pdb web two',
    ],
    [
      'a webhook',
      { refused: refused('other') },
      /refuses to evict .* webhook .* ask its owner/,
      'kubectl get validatingwebhookconfigurations,validatingadmissionpolicies',
    ],
  ])('Who waits at %s is told what to do, and how to look.', (_what, differences, text, command) => {
    expect(todoOf(differences)).toEqual({ text: expect.stringMatching(text), command });
  });

  test('Who waits for a pod that does its work is told nothing to do.', () => {
    expect(todoOf({ pods: [podOf({ owner: { kind: 'Job', name: 'report' } })] })).toBeUndefined();
  });

  test('An eviction that was asked for is spent until the budget shows it.', () => {
    const snapshot = { nodes, pods: [...pair, ...podsElsewhere(3)], asked: new Set(['uid of web-1']) };
    const old = budgetOf({ disruptionsAllowed: 1 });
    expect(names(moves({ ...snapshot, budgets: [old] }, { nodesAtOnce: 2 }))).toEqual({ ending: ['web-1'], blocked: ['web-2'] });
    const shown = budgetOf({ disruptionsAllowed: 1, disrupted: ['web-1'] });
    expect(names(moves({ ...snapshot, budgets: [shown] }, { nodesAtOnce: 2 }))).toEqual({ ending: ['web-1'], evict: ['web-2'] });
  });

  test('A pod that was moved counts once it is Ready elsewhere, whatever the status of a moment ago says.', () => {
    const replacement = podOf({ name: 'new', node: 'elsewhere', ready: false });
    const snapshot = { pods: [podOf(), replacement, ...podsElsewhere(2)], budgets: [budgetOf()] };
    expect(names(moves(snapshot))).toEqual({ blocked: ['web-1'] });
    const ready = { ...snapshot, pods: [podOf(), { ...replacement, ready: true }, ...podsElsewhere(2)] };
    expect(names(moves(ready))).toEqual({ evict: ['web-1'] });
  });

  test('A pod that is deleted past its deadline takes its place in the budget of the others.', () => {
    const late = podOf({ name: 'web-2', annotations: { 'karpenter.sh/do-not-disrupt': 'true' } });
    const snapshot = { nodes: [nodeOf({ turnBeganMs: 0 })], pods: [late, podOf(), ...podsElsewhere(2)], budgets: [budgetOf()] };
    const settings = { onDeadline: 'delete', podDeadlineMs: 1 } as const;
    expect(names(moves(snapshot, settings)).remove).toEqual(['web-2', 'web-1']);
    expect(names(moves({ ...snapshot, nodes: [nodeOf({ turnBeganMs: 2_000 })], nowMs: 2_000 }, settings))).toMatchObject({
      evict: ['web-1'],
    });
  });
});

describe('nodes', () => {
  const two = [nodeOf({ name: 'a' }), nodeOf({ name: 'b' })];
  const pods = (...places: [name: string, node: string][]): PodView[] => places.map(([name, node]) => podOf({ name, node }));

  test('The next node waits until the one before it has no pod left to move.', () => {
    const agent = podOf({ name: 'agent', node: 'a', owner: { kind: 'DaemonSet', name: 'agent' } });
    const all = [...pods(['web-1', 'a'], ['web-2', 'b']), agent];
    const found = moves({ nodes: two, pods: all });
    expect(names(found)).toEqual({ evict: ['web-1'], later: ['web-2'] });
    expect(found.begin).toEqual(['a']);
    expect(names(moves({ nodes: two, pods: all.slice(1) }))).toEqual({ evict: ['web-2'] });
  });

  test('A node whose last pod is still ending, or from which a volume has not come off, keeps its turn.', () => {
    const ending = [podOf({ name: 'web-1', terminating: true }), podOf({ name: 'web-2', node: 'b' })];
    expect(names(moves({ nodes: two, pods: ending }))).toEqual({ ending: ['web-1'], later: ['web-2'] });
    const attached = [nodeOf({ turnBeganMs: 1, attached: ['pv-1'] }), nodeOf({ name: 'b' })];
    expect(names(moves({ nodes: attached, pods: ending.slice(1) }))).toEqual({ later: ['web-2'] });
  });

  test('A node whose turn began goes on, also where another one comes before it.', () => {
    const began = [nodeOf({ name: 'a' }), nodeOf({ name: 'b', turnBeganMs: 1 })];
    expect(names(moves({ nodes: began, pods: pods(['web-1', 'a'], ['web-2', 'b']) }))).toEqual({ evict: ['web-2'], later: ['web-1'] });
  });

  test('Nobody waits for the volumes of a pod that may not go.', () => {
    const attached = [nodeOf({ turnBeganMs: 1, attached: ['pv-1'] }), nodeOf({ name: 'b' })];
    const bare = podOf({ name: 'bare', owner: undefined, claims: ['data'] });
    const found = moves({ nodes: attached, pods: [bare, podOf({ name: 'web-2', node: 'b' })] });
    expect(names(found)).toEqual({ evict: ['web-2'], unnamed: ['bare'] });
    expect(found.detaching).toEqual([]);
  });

  test('Per zone, so many nodes of each zone are worked on.', () => {
    const zones = [nodeOf({ name: 'a' }), nodeOf({ name: 'b' }), nodeOf({ name: 'c', zone: 'zone-c' })];
    const all = pods(['web-1', 'a'], ['web-2', 'b'], ['web-3', 'c']);
    expect(moves({ nodes: zones, pods: all }).begin).toEqual(['a']);
    expect(moves({ nodes: zones, pods: all }, { perZone: true }).begin).toEqual(['a', 'c']);
  });

  test('Pods of DaemonSets go last where the plan says so, and those that came back stay.', () => {
    const agent = podOf({ name: 'agent', owner: { kind: 'DaemonSet', name: 'agent' }, createdAtMs: 5 });
    const snapshot = { nodes: [nodeOf({ turnBeganMs: 10 })], pods: [agent, podOf()] };
    const settings = { daemonSets: 'evict' } as const;
    expect(names(moves(snapshot, settings))).toEqual({ evict: ['web-1'], blocked: ['agent'] });
    expect(names(moves({ ...snapshot, pods: [agent] }, settings))).toEqual({ evict: ['agent'] });
    expect(names(moves({ ...snapshot, pods: [{ ...agent, createdAtMs: 11 }] }, settings))).toEqual({});
  });
});

describe('StatefulSets', () => {
  const nodes = [nodeOf({ name: 'a' }), nodeOf({ name: 'b' })];

  test('The highest ordinal goes first, on whichever of the nodes it is, and one at a time.', () => {
    const pods = [set(0), set(10, { node: 'b' }), set(2)];
    const found = moves({ nodes, pods, workloads: [setOf(3)] }, { nodesAtOnce: 2 });
    expect(names(found)).toEqual({ evict: ['db-10'], blocked: ['db-2', 'db-0'] });
    expect(found.blocked[0]?.reason).toBe('db-10 goes first, being of a higher ordinal');
  });

  test.each([
    ['one of the others is on its way out', [set(1, { node: 'x', terminating: true })]],
    ['one of the others is not Ready', [set(1, { node: 'x', ready: false })]],
    ['one of the others is not there', []],
  ])('A pod waits where %s.', (_title, others) => {
    const found = moves({ pods: [set(2), set(0, { node: 'x' }), ...others], workloads: [setOf(3)] });
    expect(names(found)).toEqual({ blocked: ['db-2'] });
    expect(found.blocked[0]?.reason).toMatch(
      /^StatefulSet shop\/db moves one pod at a time, and 1 of its other 2 are Ready( \(shop\/db-1 is not\))?$/,
    );
  });

  test('A pod that is itself not Ready may go, also where others are not Ready, but not while another one is on its way.', () => {
    const broken = set(2, { ready: false });
    const others = [set(0, { node: 'x', ready: false }), set(1, { node: 'x' })];
    expect(names(moves({ pods: [broken, ...others], workloads: [setOf(3)] }))).toEqual({ evict: ['db-2'] });
    const moving = [set(0, { node: 'x' }), set(1, { node: 'x', terminating: true })];
    expect(names(moves({ pods: [broken, ...moving], workloads: [setOf(3)] }))).toEqual({ blocked: ['db-2'] });
  });

  test('Nodes with the highest ordinals begin first, if there are such; a circle of sets is cut in the order given.', () => {
    const snapshot = { nodes, pods: [set(0), set(1, { node: 'b' })], workloads: [setOf(2)] };
    expect(moves(snapshot).begin).toEqual(['b']);
    const other = (ordinal: number, node: string): PodView =>
      podOf({ name: `mq-${ordinal}`, node, owner: { kind: 'StatefulSet', name: 'mq' } });
    expect(moves({ ...snapshot, pods: [...snapshot.pods, other(1, 'a'), other(0, 'b')] }).begin).toEqual(['a']);
  });
});

describe('deadlines', () => {
  const began = [nodeOf({ turnBeganMs: 10_000_000 - 600_000 })];
  const shut = [budgetOf({ disruptionsAllowed: 0, currentHealthy: 3 })];

  test.each([
    ['of the pod', { podDeadlineMs: 599_000 }, true],
    ['of the node', { nodeDeadlineMs: 599_000 }, true],
    ['of neither', { podDeadlineMs: 601_000, nodeDeadlineMs: 601_000 }, false],
    ['that there is not', {}, false],
  ])('A pod that waits past the deadline %s is overdue (%j: %s).', (_title, settings, overdue) => {
    const found = moves({ nodes: began, pods: [podOf()], budgets: shut }, settings);
    expect(found.blocked).toEqual([expect.objectContaining({ overdue })]);
    const deleting = moves({ nodes: began, pods: [podOf()], budgets: shut }, { ...settings, onDeadline: 'delete' });
    expect(deleting.remove).toEqual(overdue ? [{ pod: podOf() }] : []);
  });

  test('A pod that came later has its own time.', () => {
    const nodes = [nodeOf({ turnBeganMs: 10_000_000 - 70_000 })];
    const overdue = (createdAtMs: number): boolean | undefined =>
      moves({ nodes, pods: [podOf({ createdAtMs })], budgets: shut }, { podDeadlineMs: 60_000 }).blocked[0]?.overdue;
    expect([overdue(0), overdue(10_000_000 - 50_000)]).toEqual([true, false]);
  });

  const ending = (pastMs: number): PodView => podOf({ terminating: true, graceEndsAtMs: 10_000_000 - pastMs });

  test('A pod that has not ended so long after its grace period is overdue, and not removed by force.', () => {
    const snapshot = { nodes: began, pods: [ending(61_000)] };
    expect(names(moves(snapshot))).toEqual({ ending: ['web-1'] });
    const [blocked] = moves(snapshot, { podDeadlineMs: 60_000 }).blocked;
    expect(blocked).toMatchObject({ reason: 'it has not ended 61 s after its grace period', overdue: true });
    expect(names(moves({ ...snapshot, pods: [ending(-5_000)] }, { nodeDeadlineMs: 1 }))).toEqual({ ending: ['web-1'] });
    // By force only where its node is not Ready: that is what the plan says.
    expect(names(moves(snapshot, { podDeadlineMs: 60_000, onDeadline: 'delete' }))).toEqual({ blocked: ['web-1'] });
  });

  test('A pod on a node that is not Ready is overdue a minute after its grace period.', () => {
    const dead = [nodeOf({ turnBeganMs: 1, ready: false })];
    expect(names(moves({ nodes: dead, pods: [ending(59_000)] }))).toEqual({ ending: ['web-1'] });
    const [blocked] = moves({ nodes: dead, pods: [ending(61_000)] }).blocked;
    expect(blocked).toMatchObject({ reason: 'its node a is not Ready, so nobody there can end it', overdue: true });
    expect(moves({ nodes: dead, pods: [ending(61_000)] }, { onDeadline: 'delete' }).remove).toMatchObject([{ graceSeconds: 0 }]);
  });

  test('A pod in the middle of a grace period of a week is as late as its node (field case 09).', () => {
    const week = podOf({ terminating: true, graceEndsAtMs: 10_000_000 + 604_800_000, graceMs: 604_800_000 });
    const scene = { nodes: began, pods: [week] };
    expect(names(moves(scene, { podDeadlineMs: 1 }))).toEqual({ ending: ['web-1'] });
    expect(moves(scene, { nodeDeadlineMs: 599_000 }).blocked).toMatchObject([
      { reason: 'it may take 7 days more to end by itself, past the deadline of its node', overdue: true },
    ]);
    expect(moves(scene, { nodeDeadlineMs: 599_000, onDeadline: 'delete' }).remove).toEqual([{ pod: week, graceSeconds: 30 }]);
    // Its kubelet has a moment to end it after that.
    expect(names(moves({ nodes: began, pods: [ending(9_000)] }, { nodeDeadlineMs: 1 }))).toEqual({ ending: ['web-1'] });
    expect(names(moves({ nodes: began, pods: [ending(11_000)] }, { nodeDeadlineMs: 1 }))).toEqual({ blocked: ['web-1'] });
  });

  test.each([
    ['on a node that is Ready', true, false, { podDeadlineMs: 60_000 }, true],
    ['on a node that is Ready, without a deadline', true, false, {}, false],
    ['on a dead node, deleted by force before', false, true, { podDeadlineMs: 60_000 }, true],
  ])(
    'A pod that a finalizer keeps %s is not deleted by force (again); the finalizer is named (field case 08).',
    (_title, ready, isForced, limits, overdue) => {
      const kept = { ...ending(61_000), finalizers: ['example.com/keep'], isForced };
      const found = moves({ nodes: [{ ...began[0]!, ready }], pods: [kept] }, { ...limits, onDeadline: 'delete' });
      expect(found.remove).toEqual([]);
      expect(found.blocked).toMatchObject([{ reason: 'the finalizer example.com/keep keeps it', overdue }]);
      expect(found.blocked[0]?.remedy).toContain('take it off');
    },
  );

  test('On a dead node a pod with a finalizer is deleted by force once.', () => {
    const kept = { ...ending(61_000), finalizers: ['example.com/keep'] };
    const dead = [{ ...began[0]!, ready: false }];
    expect(moves({ nodes: dead, pods: [kept] }, { podDeadlineMs: 60_000, onDeadline: 'delete' }).remove).toEqual([
      { pod: kept, graceSeconds: 0 },
    ]);
  });
});

describe('for any pods, budgets and nodes', () => {
  const nodes = ['a', 'b', 'c', 'd'];
  const apps = ['web', 'db', 'cart'];
  const pod = fc.record({
    namespace: fc.constantFrom('shop', 'payments'),
    node: fc.constantFrom(...nodes),
    labels: fc.constantFrom(...apps.map((app) => ({ app }))),
    phase: fc.constantFrom('Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed', 'Unknown'),
    ready: fc.boolean(),
    terminating: fc.boolean(),
    owner: fc.constantFrom(
      { kind: 'Deployment', name: 'web' },
      { kind: 'DaemonSet', name: 'agent' },
      { kind: 'StatefulSet', name: 'db' },
      undefined,
    ),
    mirror: fc.boolean(),
    emptyDir: fc.boolean(),
  });
  const pods = fc.array(pod, { maxLength: 30 }).map((all) => all.map((one, index): PodView => podOf({ ...one, name: `p-${index}` })));
  const budget = fc.record({
    namespace: fc.constantFrom('shop', 'payments'),
    selector: fc.constantFrom(undefined, {}, ...apps.map((app) => ({ matchLabels: { app } }))),
    unhealthyPodEvictionPolicy: fc.constantFrom('IfHealthyBudget' as const, 'AlwaysAllow' as const),
    statusIsCurrent: fc.boolean(),
    disruptionsAllowed: fc.nat(3),
    currentHealthy: fc.nat(5),
    desiredHealthy: fc.nat(5),
  });
  const budgets = fc.array(budget, { maxLength: 5 }).map((all) => all.map((one, index) => budgetOf({ ...one, name: `b-${index}` })));
  const situation = fc.tuple(fc.subarray(nodes, { minLength: 1 }), pods, budgets, fc.integer({ min: 1, max: 4 }), fc.boolean());

  const decide = (order: string[], all: PodView[], protecting: BudgetView[], nodesAtOnce: number, isNamed: boolean): DrainMoves =>
    moves(
      { nodes: order.map((name) => nodeOf({ name })), pods: all, budgets: protecting },
      { nodesAtOnce, named: isNamed ? new Set(all.map(({ uid }) => uid)) : new Set() },
    );
  const listed = (found: DrainMoves): PodView[] => [
    ...[...found.evict, ...found.surge, ...found.ending, ...found.unnamed, ...found.later],
    ...found.blocked.map((one) => one.pod),
    ...found.remove.map((one) => one.pod),
  ];
  const spends = (gone: PodView): boolean => gone.ready && !hasEnded(gone) && gone.phase !== 'Pending';

  test('No budget is spent beyond the disruptions that it allows, nor below what it demands.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce, isNamed]) => {
        const { evict } = decide(order, all, protecting, atOnce, isNamed);
        const index = new BudgetIndex(protecting);
        for (const one of protecting) {
          const isOver = (gone: PodView): boolean => index.of(gone).some((own) => budgetName(own) === budgetName(one));
          const spent = evict.filter((gone) => spends(gone) && isOver(gone)).length;
          expect(spent).toBeLessThanOrEqual(one.statusIsCurrent ? one.disruptionsAllowed : 0);
          const serving = all.filter((pod) => pod.ready && !pod.terminating && isOver(pod)).length;
          if (spent > 0) expect(serving - spent).toBeGreaterThanOrEqual(one.desiredHealthy);
        }
      }),
    );
  });

  test('No more nodes than allowed are worked on, and only those that were given.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce, isNamed]) => {
        const { evict, ending, blocked } = decide(order, all, protecting, atOnce, isNamed);
        const touched = new Set([...evict, ...ending, ...blocked.map((one) => one.pod)].map(({ node }) => node));
        expect(touched.size).toBeLessThanOrEqual(atOnce);
        expect(order).toEqual(expect.arrayContaining([...touched]));
      }),
    );
  });

  test('Every pod that has to move is in exactly one list, and no other pod is in any.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce, isNamed]) => {
        const found = listed(decide(order, all, protecting, atOnce, isNamed)).map(({ name }) => name);
        const moving = all.filter((one) => order.includes(one.node) && !staysOnNode(one)).map(({ name }) => name);
        expect(found.sort()).toEqual(moving.sort());
      }),
    );
  });

  test('Where the pods come in another order, the moves are the same.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce, isNamed]) => {
        const forwards = decide(order, all, protecting, atOnce, isNamed);
        const backwards = decide(order, all.toReversed(), protecting, atOnce, isNamed);
        expect([backwards.evict, backwards.begin]).toEqual([forwards.evict, forwards.begin]);
        expect(new Set(backwards.blocked)).toEqual(new Set(forwards.blocked));
      }),
    );
  });

  test('No two pods of a StatefulSet go at once.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce, isNamed]) => {
        const { evict } = decide(order, all, protecting, atOnce, isNamed);
        for (const namespace of ['shop', 'payments']) {
          const ofSet = evict.filter((one) => one.owner?.kind === 'StatefulSet' && one.namespace === namespace && !hasEnded(one));
          expect(ofSet.length).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test('A drain whose evictions are carried out and made up for elsewhere ends, unless something is blocked.', () => {
    fc.assert(
      fc.property(pods, fc.integer({ min: 1, max: 4 }), (all, atOnce) => {
        // A set with a pod that never gets Ready, or never goes, waits for ever.
        const sound = { ready: true, phase: 'Running', mirror: false };
        let left = all.map((one) => (one.owner?.kind === 'StatefulSet' ? { ...one, ...sound } : one));
        for (let turn = 0; turn <= 2 * all.length; turn += 1) {
          const { evict } = decide(nodes, left, [], atOnce, true);
          // What is on its way out ends, on whichever node it is.
          const gone = [...evict, ...left.filter(({ terminating }) => terminating)];
          left = left.map((one) => (gone.includes(one) ? { ...one, node: 'elsewhere', ready: true, terminating: false } : one));
          // What is not Ready elsewhere becomes so.
          left = left.map((one) => (one.node === 'elsewhere' ? { ...one, ready: true, phase: 'Running' } : one));
        }
        expect(left.filter((one) => one.node !== 'elsewhere' && !staysOnNode(one))).toEqual([]);
      }),
    );
  });
});

describe('new pods that find no node', () => {
  const began = 9_000_000;
  const draining = [nodeOf({ turnBeganMs: began })];
  /** A new pod of a Deployment that the scheduler finds no node for, created so long after the drain began. */
  const successor = (app: string, afterMs = 1_000, differences: Partial<PodView> = {}): PodView =>
    podOf({
      name: `${app}-new`,
      labels: { app },
      owner: { kind: 'Deployment', name: app },
      node: '',
      phase: 'Pending',
      ready: false,
      createdAtMs: began + afterMs,
      unschedulable: '0/3 nodes are available: 3 Insufficient cpu',
      ...differences,
    });
  const other = podOf({ name: 'api-1', labels: { app: 'api' }, owner: { kind: 'Deployment', name: 'api' } });
  const workloads = new Set(['web', 'api', 'b', 'c'].map((name) => `Deployment shop/${name}`));
  const withSuccessors = (pods: PodView[], snapshot: Partial<DrainSnapshot> = {}, settings: Partial<DrainSettings> = {}): DrainMoves =>
    moves({ nodes: draining, pods: [podOf(), other, ...pods], ...snapshot }, { workloads, ...settings });

  const cases: { title: string; found: DrainMoves; evict?: string[]; blocked?: string[] }[] = [
    { title: 'None of them: all go', found: withSuccessors([]), evict: ['web-1', 'api-1'] },
    { title: 'One: no more pods of its workload go', found: withSuccessors([successor('web')]), evict: ['api-1'], blocked: ['web-1'] },
    {
      title: 'Of one workload that has no more pods here: the others go',
      found: withSuccessors([successor('b')]),
      evict: ['web-1', 'api-1'],
    },
    {
      title: 'Of three workloads: none goes',
      found: withSuccessors([successor('b'), successor('c'), successor('web')]),
      blocked: ['web-1', 'api-1'],
    },
    {
      title: 'One, and no node is left to go to: none goes',
      found: withSuccessors([successor('b')], { hasDestination: false }),
      blocked: ['web-1', 'api-1'],
    },
    {
      title: 'No node is left but none waits yet: the first go, as autoscalers need them',
      found: withSuccessors([], { hasDestination: false }),
      evict: ['web-1', 'api-1'],
    },
    {
      title: 'One that waited before the drain began holds nothing up',
      found: withSuccessors([successor('web', -60_000)]),
      evict: ['web-1', 'api-1'],
    },
    {
      title: 'One of a workload that is not moved holds nothing up',
      found: withSuccessors([successor('elsewhere')], { hasDestination: false }),
      evict: ['web-1', 'api-1'],
    },
    {
      title: 'Where the signed plan had no place for them, they hold nothing up',
      found: withSuccessors([successor('web')], { hasDestination: false }, { hasDestinations: false }),
      evict: ['web-1', 'api-1'],
    },
    {
      title: 'One that is being deleted holds nothing up',
      found: withSuccessors([successor('web', 1_000, { terminating: true })]),
      evict: ['web-1', 'api-1'],
    },
  ];
  test.each(cases)('$title.', ({ found, evict = [], blocked = [] }) => {
    const pods = names(found);
    expect([pods.evict?.toSorted() ?? [], pods.blocked?.toSorted() ?? []]).toEqual([evict.toSorted(), blocked.toSorted()]);
  });

  test('The pods that are held back say for which one, and a person has to look after a while.', () => {
    const minute = 60_000;
    const at = (nowMs: number): DrainMoves => withSuccessors([successor('web')], { nowMs }, { unschedulableLimitMs: 15 * minute });
    const soon = at(began + 15 * minute);
    expect(soon.blocked).toMatchObject([
      { pod: { name: 'web-1' }, reason: 'shop/web-new, which takes the place of a moved pod, finds no node', overdue: false },
    ]);
    expect(soon.unschedulable).toMatchObject({ pods: [{ name: 'web-new' }], overdue: false });
    const late = at(began + 15 * minute + 2_000);
    expect(late.blocked).toMatchObject([{ pod: { name: 'web-1' }, overdue: true }]);
    expect(late.unschedulable.overdue).toBe(true);
  });

  test('Pods that have ended go all the same.', () => {
    const ended = podOf({ name: 'web-2', phase: 'Succeeded', ready: false });
    expect(names(withSuccessors([ended, successor('web')])).evict).toContain('web-2');
  });
});

describe('pods that come to a node though it is cordoned', () => {
  const began = 9_000_000;
  const second = 1_000;
  const nodes = (seen?: string[]): DrainNode[] => [nodeOf({ turnBeganMs: began, seenAtTurn: seen && new Set(seen) })];
  const cameAt = (afterMs: number): PodView => podOf({ createdAtMs: began + afterMs });
  const at = (pod: PodView, sinceMs: number, seen?: string[], differences: Partial<DrainSettings> = {}): Record<string, string[]> =>
    names(moves({ nodes: nodes(seen), pods: [pod], nowMs: began + sinceMs }, differences));

  const cases: { title: string; found: Record<string, string[]>; list?: string }[] = [
    { title: 'One that was there before goes at once', found: at(cameAt(-second), 0), list: 'evict' },
    {
      title: 'One that was seen there at the beginning goes at once, whatever clocks say',
      found: at(cameAt(90 * second), 0, [podOf().uid]),
      list: 'evict',
    },
    { title: 'One made in the second of the beginning may be new, so it waits', found: at(cameAt(-1), 10 * second), list: 'blocked' },
    {
      title: 'One that was not seen there waits, though it was made before',
      found: at(cameAt(-60 * second), 10 * second, []),
      list: 'blocked',
    },
    { title: 'One that came about then goes when half a minute is over', found: at(cameAt(20 * second), 31 * second), list: 'evict' },
    { title: 'One that came later is not evicted', found: at(cameAt(31 * second), 60 * second), list: 'cameBack' },
    { title: 'Nor is it after a whole day', found: at(cameAt(31 * second), 86_400 * second), list: 'cameBack' },
    {
      title: 'Nor is it deleted after a deadline, as others would come and be deleted without end',
      found: at(cameAt(31 * second), 90 * second, [], { onDeadline: 'delete', nodeDeadlineMs: 1, podDeadlineMs: 1 }),
      list: 'cameBack',
    },
    {
      title: 'One that is on its way out is only waited for',
      found: at({ ...cameAt(31 * second), terminating: true }, 60 * second),
      list: 'ending',
    },
    { title: 'One that has ended is left behind', found: at({ ...cameAt(31 * second), phase: 'Failed' }, 60 * second) },
  ];
  test.each(cases)('$title.', ({ found, list }) => expect(found).toEqual(list === undefined ? {} : { [list]: [podOf().name] }));

  test('It keeps no other node waiting.', () => {
    const pods = [cameAt(40 * second), podOf({ name: 'other', node: 'b' })];
    const found = moves({ nodes: [...nodes(), nodeOf({ name: 'b' })], pods, nowMs: began + 60 * second });
    expect([found.begin, found.evict.map(({ name }) => name)]).toEqual([['b'], ['other']]);
  });

  test('However often a controller brings pods back to the node, at most three go: one of each of its kinds of arrival.', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 40, maxLength: 80 }), (gapsMs) => {
        const evicted: PodView[] = [];
        let nowMs = began;
        let pod = podOf({ createdAtMs: 0, uid: 'first' });
        for (const [index, gapMs] of gapsMs.entries()) {
          nowMs += gapMs;
          if (moves({ nodes: nodes(), pods: [pod], nowMs }).evict.length === 0) continue;
          evicted.push(pod);
          pod = podOf({ createdAtMs: Math.floor(nowMs / 1_000) * 1_000, uid: String(index) });
        }
        expect(evicted.length).toBeLessThanOrEqual(3);
      }),
    );
  });
});

describe('budgets that allow 0 disruptions for good, as far as numbers tell', () => {
  const zero = budgetOf({ minAvailable: '3', disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3, expectedPods: 3 });
  const snapshot = { pods: [podOf(), ...podsElsewhere(2)], budgets: [zero] };

  test('Their pods wait and may be asked for now and then; the others go.', () => {
    const free = podOf({ name: 'free', labels: {} });
    const found = moves({ ...snapshot, pods: [...snapshot.pods, free] });
    expect(names(found)).toEqual({ evict: ['free'], attempt: ['web-1'], blocked: ['web-1'] });
    expect(found.budgetOf.get(podOf()) ?? [...found.budgetOf.values()][0]).toBe(zero);
    expect(found.blocked[0]?.reason).toBe(
      'PDB shop/web needs 3 healthy pods and has 3, and allows 0 disruptions until its owner changes that',
    );
  });

  test('Who looks after them is named.', () => {
    const owner = { kind: 'Cluster', name: 'orders', customGroup: 'postgresql.cnpg.io' };
    const reasonWith = (pod: PodView, budget = zero): string | undefined =>
      moves({ ...snapshot, pods: [pod, ...podsElsewhere(2)], budgets: [budget] }, { workloads: new Set() }).blocked[0]?.reason;
    expect(reasonWith(podOf({ owner }))).toContain('until CloudNativePG (Cluster shop/orders) changes that');
    expect(reasonWith(podOf(), { ...zero, owner: { kind: 'Broker', name: 'events', customGroup: 'example.com' } })).toContain(
      'until Broker shop/events changes that',
    );
  });

  test.each([
    ['a pod that was refused a moment ago', { refused: new Map([[podOf().uid, { reason: 'not yet', by: 'budget' as const }]]) }, {}],
    ['a pod that is asked for already', { asked: new Set([podOf().uid]) }, {}],
    ['a pod past its deadline', { nodes: [nodeOf({ turnBeganMs: 9_000_000 })] }, { podDeadlineMs: 1 }],
    ['a pod whose budget is only short for now', { budgets: [{ ...zero, desiredHealthy: 2, currentHealthy: 2 }] }, {}],
    ['a pod under a second budget', { budgets: [zero, { ...zero, name: 'two' }] }, {}],
  ])('%s is not asked for.', (_title, differences, settings) => {
    expect(moves({ ...snapshot, ...differences }, settings).attempt).toEqual([]);
  });

  test('When the budget allows one, the pod goes as any other.', () => {
    expect(names(moves({ ...snapshot, budgets: [{ ...zero, desiredHealthy: 2, disruptionsAllowed: 1 }] }))).toEqual({ evict: ['web-1'] });
  });
});

describe('field cases', () => {
  test('15: a budget that a broken pod elsewhere keeps shut names that pod; a new one is only starting.', () => {
    const shut = budgetOf({ disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 3 });
    const reasonWith = (broken: Partial<PodView>, beganAtMs?: number): string | undefined => {
      const other = podOf({ name: 'web-0', node: 'x', ready: false, ...broken });
      const found = moves({ nodes: [nodeOf({ turnBeganMs: beganAtMs })], pods: [podOf(), other, ...podsElsewhere(1)], budgets: [shut] });
      return found.blocked[0]?.reason;
    };
    const numbers = 'PDB shop/web needs 2 healthy pods and has 2';
    expect(reasonWith({ trouble: 'CrashLoopBackOff' })).toBe(`${numbers}; shop/web-0 on x is not Ready (CrashLoopBackOff)`);
    expect(reasonWith({})).toBe(`${numbers}; shop/web-0 on x is not Ready`);
    expect(reasonWith({ createdAtMs: 9_990_000 }, 9_900_000)).toBe(numbers);
    expect(reasonWith({ createdAtMs: 9_810_000 }, 9_800_000)).toBe(`${numbers}; shop/web-0 on x is not Ready`);
  });

  test('22: critical pods of a node go after its others, but not past their deadline for that reason.', () => {
    const critical = podOf({ name: 'dns', isCritical: true });
    expect(names(moves({ pods: [critical, podOf()] }))).toEqual({ evict: ['web-1'], blocked: ['dns'] });
    expect(names(moves({ pods: [critical] }))).toEqual({ evict: ['dns'] });
    const began = [nodeOf({ turnBeganMs: 1 })];
    const late = moves({ nodes: began, pods: [critical, podOf()] }, { nodeDeadlineMs: 1, onDeadline: 'delete' });
    expect(names(late)).toEqual({ evict: ['web-1', 'dns'] });
  });

  test('more/17: statefulSets: budget leaves a set to its budget; one without a budget moves one pod at a time.', () => {
    const set = (ordinal: number, differences: Partial<PodView> = {}): PodView =>
      podOf({ name: `db-${ordinal}`, labels: { app: 'db' }, owner: { kind: 'StatefulSet', name: 'db' }, ...differences });
    const pods = [set(4), set(3), set(2, { node: 'x' }), set(1, { node: 'x' }), set(0, { node: 'x', ready: false })];
    const budgets = [
      budgetOf({
        name: 'db',
        selector: { matchLabels: { app: 'db' } },
        disruptionsAllowed: 2,
        currentHealthy: 4,
        desiredHealthy: 2,
        expectedPods: 5,
      }),
    ];
    const one = moves({ pods, budgets });
    expect(one.blocked.map(({ remedy = '' }) => remedy.includes('statefulSets: budget'))).toEqual([true, true]);
    expect(names(moves({ pods, budgets }, { statefulSets: 'budget' }))).toEqual({ evict: ['db-4', 'db-3'] });
    expect(names(moves({ pods }, { statefulSets: 'budget' }))).toEqual({ blocked: ['db-4', 'db-3'] });
  });

  test.each([
    ['Job', undefined, true],
    ['Workflow', 'argoproj.io', true],
    ['TaskRun', 'tekton.dev', true],
    ['EphemeralRunner', 'actions.github.com', false],
    ['VirtualMachineInstance', 'kubevirt.io', false],
  ])('16: the pod of a %s (%s) is waited for: %s.', (kind, customGroup, isWaitedFor) => {
    const pod = podOf({ completes: true, owner: { kind, name: 'work', ...(customGroup !== undefined && { customGroup }) } });
    expect(names(moves({ pods: [pod] }))).toEqual(isWaitedFor ? { blocked: ['web-1'] } : { evict: ['web-1'] });
    expect(names(moves({ pods: [pod] }, { jobs: 'evict' }))).toEqual({ evict: ['web-1'] });
  });

  test('more/19: a pod that loses data goes where its workload is named, whichever pod it is now.', () => {
    const pod = podOf({ emptyDir: true, uid: 'made since' });
    expect(names(moves({ pods: [pod] }))).toEqual({ unnamed: ['web-1'] });
    expect(names(moves({ pods: [pod] }, { dataLossNamed: new Set(['Deployment shop/web']) }))).toEqual({ evict: ['web-1'] });
  });
});

describe('public reports', () => {
  const dead = [nodeOf({ ready: false, turnBeganMs: 10_000_000 - 600_000 })];

  test('cluster-api#13508: a PDB that allows 0 disruptions over pods of a dead node is waited for, or passed over if signed.', () => {
    const shut = [budgetOf({ disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 1, expectedPods: 1, minAvailable: '1' })];
    const lost = podOf({ ready: false });
    const budgets = [{ ...shut[0]!, expectedPods: 2 }];
    expect(moves({ nodes: dead, pods: [lost], budgets }).blocked).toMatchObject([
      { reason: 'PDB shop/web needs 1 healthy pods and has 0' },
    ]);
    expect(moves({ nodes: dead, pods: [lost], budgets }, { nodeDeadlineMs: 1, onDeadline: 'delete' }).remove).toEqual([{ pod: lost }]);
  });

  test('karpenter-provider-aws#3052: a pod that cannot pull its image asks no budget.', () => {
    const shut = [budgetOf({ disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 3 })];
    const pulling = podOf({ phase: 'Pending', ready: false, trouble: 'ImagePullBackOff' });
    expect(names(moves({ pods: [pulling, ...podsElsewhere(2)], budgets: shut }))).toEqual({ evict: ['web-1'] });
  });

  test('kured#1169: a pod of the same name on another node is none of the drain.', () => {
    const elsewhere = podOf({ name: 'queue-0', node: 'x', uid: 'another', owner: { kind: 'StatefulSet', name: 'queue' } });
    expect(names(moves({ pods: [elsewhere] }))).toEqual({});
  });

  test('managed-upgrade-operator#212: a pod that does not end on a Ready node, without a finalizer, is told when it is late.', () => {
    const stuck = podOf({ terminating: true, graceEndsAtMs: 10_000_000 - 300_000 });
    const found = moves({ nodes: [nodeOf({ turnBeganMs: 1 })], pods: [stuck] }, { podDeadlineMs: 60_000, onDeadline: 'delete' });
    expect(found.blocked).toMatchObject([{ reason: 'it has not ended 300 s after its grace period', overdue: true }]);
  });
});
