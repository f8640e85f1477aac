import { afterEach, describe, expect, test } from '@jest/globals';
import { isHeld, placeOfHold, withHold, withoutHold, type Budget } from '../../../domain/karpenter/hold.ts';
import type { NodePool } from '../../../activities/kubernetes/karpenter/node-pool.ts';
import { karpenter, nodePool } from '../../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';

const action = 'kubernetes.holdKarpenter';
const release = 'kubernetes.releaseKarpenter';
const ours: Budget = { nodes: '0', reasons: ['Drifted', 'Underutilized'] };
const share: Budget = { nodes: '10%' };
const atNight: Budget = { nodes: '0', schedule: '0 22 * * *', duration: '8h' };

let demo: TestCluster | undefined;
afterEach(async () => {
  await demo?.stop();
  demo = undefined;
});

async function start(manifests: Parameters<typeof worldWith>[0]): Promise<TestCluster> {
  demo = await startCluster(worldWith(manifests, { nodes: 1 }));
  return demo;
}

function poolNow({ cluster }: TestCluster, name: string): NodePool | undefined {
  return cluster.store.get('nodepools', '', name);
}

const budgetsNow = (cluster: TestCluster, name: string): Budget[] | undefined => poolNow(cluster, name)?.spec?.disruption?.budgets;

/** Somebody else changes the budgets of a NodePool. */
function setBudgets({ cluster }: TestCluster, name: string, change: (budgets: Budget[]) => Budget[]): void {
  cluster.store.update('nodepools', `/${name}`, { part: 'client', name: 'kubectl', verb: 'update' }, (pool) => {
    const { disruption } = (pool as NodePool).spec!;
    disruption!.budgets = change(disruption!.budgets ?? []);
  });
}

async function hold(cluster: TestCluster): Promise<void> {
  await cluster.perform(action, await cluster.plan(action, {}));
}

describe('what keeps Karpenter from replacing nodes', () => {
  test.each<[string, Budget[], boolean]>([
    ['nothing', [], false],
    ['a share', [share], false],
    ['0 for drift only', [{ nodes: '0', reasons: ['Drifted'] }], false],
    [
      '0 for drift, and 0 for consolidation',
      [
        { nodes: '0', reasons: ['Drifted'] },
        { nodes: '0%', reasons: ['Underutilized'] },
      ],
      true,
    ],
    ['0 for all reasons', [share, { nodes: '0' }], true],
    ['0 at night', [atNight], false],
    ['ours', [ours], true],
  ])('%s', (_title, budgets, held) => {
    expect(isHeld(budgets)).toBe(held);
  });

  test('a hold is added after all others and taken out from among them', () => {
    expect(withHold([share])).toEqual([share, ours]);
    expect(withoutHold([share, ours, atNight])).toEqual([share, atNight]);
    expect(withoutHold([share, atNight])).toBeUndefined();
    // The API server and tools may put reasons into another order.
    expect(placeOfHold([share, { nodes: '0', reasons: ['Underutilized', 'Drifted'] }])).toBe(1);
  });
});

test('without Karpenter there is nothing to do, and nothing is asked of it', async () => {
  const cluster = await start([]);
  const plan = await cluster.plan(action, {});
  expect(plan).toMatchObject({ effects: [], blockers: [], notes: ['The cluster has no NodePool of Karpenter: there is nothing to hold.'] });
  expect(await cluster.perform(action, plan)).toMatchObject({ before: 'done', acts: 0, outputs: { nodePools: 0 } });
});

test('NodePools that are not held get a budget; those that others hold stay theirs; all are put back as they were', async () => {
  const cluster = await start([...karpenter, nodePool('general', [share, atNight]), nodePool('frozen', [{ nodes: '0' }])]);
  const plan = await cluster.plan(action, {});
  expect(plan.effects).toMatchObject([{ object: 'NodePool/general', after: 'nodes: "0" for Drifted, Underutilized' }]);
  expect(plan.notes).toContain('NodePool/frozen is held already, by its own budgets; that stays as it is.');
  await cluster.perform(action, plan);
  expect([budgetsNow(cluster, 'general'), budgetsNow(cluster, 'frozen')]).toEqual([[share, atNight, ours], [{ nodes: '0' }]]);
  await cluster.perform(release, await cluster.plan(release, {}));
  expect([budgetsNow(cluster, 'general'), budgetsNow(cluster, 'frozen')]).toEqual([[share, atNight], [{ nodes: '0' }]]);
  expect(poolNow(cluster, 'general')?.metadata.annotations ?? {}).toEqual({});
});

test('what somebody else has changed meanwhile stays theirs', async () => {
  const cluster = await start([...karpenter, nodePool('general', [share])]);
  await hold(cluster);
  setBudgets(cluster, 'general', (budgets) => [{ nodes: '5' }, ...budgets.slice(1), atNight]);
  await cluster.perform(release, await cluster.plan(release, {}));
  expect(budgetsNow(cluster, 'general')).toEqual([{ nodes: '5' }, atNight]);
});

test('a change between the look and the write is seen, not overwritten', async () => {
  const cluster = await start([...karpenter, nodePool('general', [share])]);
  const plan = await cluster.plan(action, {});
  let changed = false;
  cluster.proxy.treat = ({ method }) => {
    if (method === 'PATCH' && !changed) {
      changed = true;
      setBudgets(cluster, 'general', () => [{ nodes: '3' }]);
    }
    return 'pass';
  };
  await cluster.perform(action, plan);
  expect(budgetsNow(cluster, 'general')).toEqual([{ nodes: '3' }, ours]);
});

test('a hold that somebody has taken away is told, and neither set again nor planned past', async () => {
  const cluster = await start([...karpenter, nodePool('general', [share])]);
  const plan = await cluster.plan(action, {});
  await cluster.perform(action, plan);
  setBudgets(cluster, 'general', () => [share]);
  const reason = expect.stringContaining('Somebody has taken the disruption budget of this run away') as unknown;
  expect(await cluster.observe(action, plan)).toMatchObject({ state: 'stuck', reason });
  expect((await cluster.plan(action, {})).blockers).toMatchObject([{ object: 'NodePool/general', reason }]);
  expect(budgetsNow(cluster, 'general')).toEqual([share]);
});

test('another NodePool of the same name is left alone', async () => {
  const cluster = await start([...karpenter, nodePool('general')]);
  const plan = await cluster.plan(action, {});
  cluster.cluster.store.remove('nodepools', '/general', { part: 'client', name: 'kubectl', verb: 'delete' });
  cluster.cluster.apply(nodePool('general'));
  expect(await cluster.perform(action, plan)).toMatchObject({ acts: 0 });
  expect(budgetsNow(cluster, 'general')).toEqual([share]);
});

test('when its run is over the hold goes, whatever way that came about, and a sweep finds one that is left', async () => {
  const cluster = await start([...karpenter, nodePool('general')]);
  await hold(cluster);
  const { annotations } = cluster.systems.find(({ name }) => name === 'kubernetes')!;
  expect(await annotations!.find(cluster.target)).toEqual([{ node: 'NodePool/general', run: 'r-1' }]);
  expect(await annotations!.release(cluster.target, 'r-2')).toEqual([]);
  expect(await annotations!.release(cluster.target, 'r-1')).toEqual(['NodePool/general']);
  await hold(cluster);
  expect(await annotations!.lift(cluster.target, { node: 'NodePool/general', run: 'r-1' })).toBe(true);
  expect(budgetsNow(cluster, 'general')).toEqual([share]);
});

test('a permission that is missing blocks the plan, with the rule to add', async () => {
  const cluster = await start([...karpenter, nodePool('general')]);
  cluster.cluster.access.forbid('karpenter.sh', 'nodepools', 'patch');
  expect((await cluster.plan(action, {})).blockers).toMatchObject([
    { object: 'Permission/nodepools', remedy: expect.stringContaining('karpenter.sh') as unknown },
  ]);
});
