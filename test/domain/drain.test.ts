import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { budgetName, budgetsOf, type BudgetView } from '../../domain/budget.ts';
import { nextDrainMoves, type DrainMoves } from '../../domain/drain.ts';
import { hasEnded, staysOnNode, type PodView } from '../../domain/pod.ts';
import { budgetOf, podOf } from './drain-objects.ts';

function names({ evict, terminating, blocked, later }: DrainMoves): Record<string, string[]> {
  const namesOf = (pods: PodView[]): string[] => pods.map(({ name }) => name);
  return {
    evict: namesOf(evict),
    terminating: namesOf(terminating),
    blocked: namesOf(blocked.map(({ pod }) => pod)),
    later: namesOf(later),
  };
}

describe('one pod', () => {
  const protectedPod = (pod: Partial<PodView>, ...budgets: Partial<BudgetView>[]): DrainMoves =>
    nextDrainMoves(['a'], [podOf(pod)], budgets.map(budgetOf), 1);
  const shut = { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 3 };

  const leaving: { title: string; moves: DrainMoves }[] = [
    { title: 'that no budget protects is evicted', moves: protectedPod({}) },
    { title: 'whose budget allows a disruption is evicted', moves: protectedPod({}, {}) },
    { title: 'that is Pending needs no budget', moves: protectedPod({ phase: 'Pending', ready: false }, shut) },
    { title: 'that has succeeded needs no budget', moves: protectedPod({ phase: 'Succeeded', ready: false }, shut) },
    { title: 'that has failed needs no budget', moves: protectedPod({ phase: 'Failed', ready: false }, shut) },
    { title: 'that has ended is evicted though two budgets select it', moves: protectedPod({ phase: 'Failed' }, shut, { name: 'two' }) },
    {
      title: 'that is unready goes freely where the budget says AlwaysAllow',
      moves: protectedPod({ ready: false }, { ...shut, unhealthyPodEvictionPolicy: 'AlwaysAllow' }),
    },
    {
      title: 'that is unready goes freely where the others are healthy enough',
      moves: protectedPod({ ready: false }, { disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3 }),
    },
  ];
  test.each(leaving)('A pod $title.', ({ moves }) => {
    expect(names(moves)).toEqual({ evict: ['web-1'], terminating: [], blocked: [], later: [] });
  });

  const waiting: { title: string; moves: DrainMoves; reason: string }[] = [
    {
      title: 'whose budget is spent waits',
      moves: protectedPod({}, shut),
      reason: 'budget shop/web needs 3 healthy pods and has 2',
    },
    {
      title: 'that is unready waits where the others are not healthy enough',
      moves: protectedPod({ ready: false }, shut),
      reason: 'budget shop/web needs 3 healthy pods and has 2',
    },
    {
      title: 'that is unready waits where a budget demands nothing but allows nothing',
      moves: protectedPod({ ready: false }, { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0 }),
      reason: 'budget shop/web needs 0 healthy pods and has 0',
    },
    {
      title: 'whose budget has not been worked out yet waits',
      moves: protectedPod({}, { statusIsCurrent: false }),
      reason: 'budget shop/web is being worked out by its controller',
    },
    {
      title: 'under two budgets waits, even if both allow it',
      moves: protectedPod({}, {}, { name: 'two' }),
      reason: 'two budgets protect it, shop/web and shop/two: the API server evicts no such pod',
    },
  ];
  test.each(waiting)('A pod $title, and the reason is said.', ({ moves, reason }) => {
    expect(names(moves)).toEqual({ evict: [], terminating: [], blocked: ['web-1'], later: [] });
    expect(moves.blocked[0]?.reason).toBe(reason);
  });

  test.each([
    { title: 'of a DaemonSet', pod: { owner: { kind: 'DaemonSet', name: 'agent' } } },
    { title: 'that mirrors a static one', pod: { mirror: true, owner: undefined } },
  ])('A pod $title stays where it is.', ({ pod }) => {
    expect(names(protectedPod(pod))).toEqual({ evict: [], terminating: [], blocked: [], later: [] });
  });

  test('A pod that is on its way out is waited for and not evicted again.', () => {
    expect(names(protectedPod({ terminating: true }, {}))).toEqual({ evict: [], terminating: ['web-1'], blocked: [], later: [] });
  });
});

describe('several pods and nodes', () => {
  const pods = (...places: [name: string, node: string][]): PodView[] => places.map(([name, node]) => podOf({ name, node }));

  test('A budget is spent once, across all nodes, and the next pod is told how much is spent.', () => {
    const moves = nextDrainMoves(['a', 'b'], pods(['web-1', 'a'], ['web-2', 'b']), [budgetOf()], 2);
    expect(names(moves)).toEqual({ evict: ['web-1'], terminating: [], blocked: ['web-2'], later: [] });
    expect(moves.blocked[0]?.reason).toBe('budget shop/web needs 3 healthy pods and has 4, 1 spent');
  });

  test('An unready pod that may go freely leaves the budget to a ready one.', () => {
    const both = [podOf({ name: 'web-2', ready: false }), podOf({ name: 'web-1' })];
    expect(names(nextDrainMoves(['a'], both, [budgetOf()], 1)).evict).toEqual(['web-2', 'web-1']);
  });

  test('Nodes are taken in the order given, and pods with the highest ordinal first.', () => {
    const set = pods(['db-2', 'a'], ['db-10', 'a'], ['db-1', 'b'], ['db-3', 'b']);
    expect(names(nextDrainMoves(['b', 'a'], set, [], 2)).evict).toEqual(['db-3', 'db-1', 'db-10', 'db-2']);
  });

  test('The next node waits until the one before it has no pod left to move.', () => {
    const all = [...pods(['web-1', 'a'], ['web-2', 'b']), podOf({ name: 'agent', node: 'a', owner: { kind: 'DaemonSet', name: 'agent' } })];
    expect(names(nextDrainMoves(['a', 'b'], all, [], 1))).toMatchObject({ evict: ['web-1'], later: ['web-2'] });
    expect(names(nextDrainMoves(['a', 'b'], all.slice(1), [], 1))).toMatchObject({ evict: ['web-2'], later: [] });
  });

  test('A node whose last pod is still ending keeps its turn.', () => {
    const ending = [podOf({ name: 'web-1', terminating: true }), podOf({ name: 'web-2', node: 'b' })];
    expect(names(nextDrainMoves(['a', 'b'], ending, [], 1))).toEqual({ evict: [], terminating: ['web-1'], blocked: [], later: ['web-2'] });
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
    owner: fc.constantFrom({ kind: 'Deployment', name: 'web' }, { kind: 'DaemonSet', name: 'agent' }, undefined),
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
  const situation = fc.tuple(fc.subarray(nodes, { minLength: 1 }), pods, budgets, fc.integer({ min: 1, max: 4 }));

  test('No budget is spent beyond the disruptions that it allows.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce]) => {
        const { evict } = nextDrainMoves(order, all, protecting, atOnce);
        for (const one of protecting) {
          const spending = evict.filter((gone) => gone.ready && !hasEnded(gone) && gone.phase !== 'Pending');
          const spent = spending.filter((gone) => budgetsOf(gone, protecting).some((own) => budgetName(own) === budgetName(one))).length;
          expect(spent).toBeLessThanOrEqual(one.statusIsCurrent ? one.disruptionsAllowed : 0);
        }
      }),
    );
  });

  test('No more nodes than allowed are worked on, and only those that were given.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce]) => {
        const { evict, terminating, blocked } = nextDrainMoves(order, all, protecting, atOnce);
        const touched = new Set([...evict, ...terminating, ...blocked.map((one) => one.pod)].map(({ node }) => node));
        expect(touched.size).toBeLessThanOrEqual(atOnce);
        expect(order).toEqual(expect.arrayContaining([...touched]));
      }),
    );
  });

  test('Every pod that has to move is in exactly one list, and no other pod is in any.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce]) => {
        const { evict, terminating, blocked, later } = nextDrainMoves(order, all, protecting, atOnce);
        const listed = [...evict, ...terminating, ...blocked.map((one) => one.pod), ...later].map(({ name }) => name).sort();
        expect(listed).toEqual(
          all
            .filter((one) => !staysOnNode(one))
            .map(({ name }) => name)
            .sort(),
        );
      }),
    );
  });

  test('Where the pods come in another order, the moves are the same.', () => {
    fc.assert(
      fc.property(situation, ([order, all, protecting, atOnce]) => {
        const forwards = nextDrainMoves(order, all, protecting, atOnce);
        expect(nextDrainMoves(order, all.toReversed(), protecting, atOnce)).toEqual(forwards);
      }),
    );
  });

  test('A drain whose evictions are carried out and made up for elsewhere ends, unless something is blocked.', () => {
    fc.assert(
      fc.property(pods, fc.integer({ min: 1, max: 4 }), (all, atOnce) => {
        let left = all;
        for (let turn = 0; turn <= all.length; turn += 1) {
          const { evict, terminating } = nextDrainMoves(nodes, left, [], atOnce);
          left = left.filter((one) => !evict.includes(one) && !terminating.includes(one));
        }
        expect(left.filter((one) => !staysOnNode(one))).toEqual([]);
      }),
    );
  });
});
