import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { BudgetView } from '../../../domain/drain/budget.ts';
import { nextDrainMoves, type DrainSnapshot } from '../../../domain/drain/drain.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { PodsThatMatter } from '../../../domain/drain/pods-that-matter.ts';
import { budgetOf, nodeOf, podOf, podsElsewhere, sceneOf, settingsOf } from './drain-objects.ts';

describe('the pods that matter to a drain', () => {
  const drained = ['a', 'b'];
  const apps = ['web', 'db', 'api'];
  const owners = [
    { kind: 'Deployment', name: 'web' },
    { kind: 'StatefulSet', name: 'db' },
    { kind: 'StatefulSet', name: 'cache' },
    { kind: 'DaemonSet', name: 'agent' },
  ];
  const pod = fc
    .record({
      namespace: fc.constantFrom('shop', 'payments'),
      node: fc.constantFrom('a', 'b', 'c', 'c', 'd', 'd', ''),
      labels: fc.constantFrom(...apps.map((app) => ({ app }))),
      ready: fc.boolean(),
      terminating: fc.boolean(),
      unschedulable: fc.constantFrom(undefined, undefined, undefined, '0/3 nodes are available'),
      owner: fc.constantFrom(undefined, ...owners),
      // Most were there before the drain began.
      createdAtMs: fc.constantFrom(8_000_000, 8_000_000, 8_000_000, 9_999_999),
      number: fc.nat(12),
    })
    // So few names that changes meet pods which are there.
    .map(({ number, ...one }): PodView => podOf({ ...one, name: `p-${number}`, uid: `${one.namespace}/p-${number}` }));
  const budget = fc
    .record({
      namespace: fc.constantFrom('shop', 'payments'),
      selector: fc.constantFrom(undefined, {}, ...apps.map((app) => ({ matchLabels: { app } }))),
      disruptionsAllowed: fc.nat(4),
      desiredHealthy: fc.nat(3),
      disrupted: fc.subarray(['p-1', 'p-2', 'p-3']),
      number: fc.nat(3),
    })
    .map(({ number, ...one }): BudgetView => budgetOf({ ...one, name: `b-${number}` }));
  const change = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('pod' as const), after: pod, isGone: fc.boolean() }) },
    fc.record({ kind: fc.constant('budget' as const), after: budget, isGone: fc.boolean() }),
  );

  test('make the same moves as all pods of the cluster, however pods and budgets come, change and go.', () => {
    fc.assert(
      fc.property(
        fc.array(pod, { maxLength: 20 }),
        fc.array(budget, { maxLength: 4 }),
        fc.array(change, { maxLength: 30 }),
        (pods, budgets, changes) => {
          const keyOf = ({ namespace, name }: { namespace: string; name: string }): string => `${namespace}/${name}`;
          const allPods = new Map(pods.map((one) => [keyOf(one), one]));
          const allBudgets = new Map(budgets.map((one) => [keyOf(one), one]));
          let matter = new PodsThatMatter(drained, [...allPods.values()], [...allBudgets.values()]);
          const compare = (): void => {
            if (matter.isOutdated) matter = new PodsThatMatter(drained, [...allPods.values()], [...allBudgets.values()]);
            const everything = movesOf([...allPods.values()], [...allBudgets.values()]);
            const few = matter.budgets([...allBudgets.values()]);
            expect(movesOf(matter.pods(), few)).toEqual(everything);
            const kept = matter;
            expect(movesOf(kept.singlePods(), few, (budget) => kept.under(budget))).toEqual(everything);
          };
          compare();
          for (const { kind, after, isGone } of changes) {
            const before = kind === 'pod' ? movesOf([...allPods.values()], [...allBudgets.values()]) : undefined;
            let matters = true;
            if (kind === 'pod') {
              matters = matter.see(allPods.get(keyOf(after)), isGone ? undefined : after);
              if (isGone) allPods.delete(keyOf(after));
              else allPods.set(keyOf(after), after);
            } else {
              matter.seeBudget(allBudgets.get(keyOf(after)), isGone ? undefined : after);
              if (isGone) allBudgets.delete(keyOf(after));
              else allBudgets.set(keyOf(after), after);
            }
            if (!matters) expect(movesOf([...allPods.values()], [...allBudgets.values()])).toEqual(before);
            compare();
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  /** Sorted, as the order in which pods have come does not matter. */
  function movesOf(pods: readonly PodView[], budgets: readonly BudgetView[], under?: DrainSnapshot['under']): object {
    const sorted = (some: readonly PodView[]): PodView[] => some.toSorted((a, b) => (a.uid + a.namespace < b.uid + b.namespace ? -1 : 1));
    const nodes = drained.map((name) => nodeOf({ name, turnBeganMs: 9_000_000 }));
    const workloads = new Set(owners.flatMap(({ kind, name }) => ['shop', 'payments'].map((namespace) => `${kind} ${namespace}/${name}`)));
    const named = new Set(pods.map(({ uid }) => uid));
    // What is asked for is on the nodes.
    const asked = new Set(pods.filter(({ node, name }) => drained.includes(node) && name.endsWith('3')).map(({ uid }) => uid));
    const scene = sceneOf({ asked, under, nodes, pods: sorted(pods), budgets: budgets.toSorted((a, b) => (a.name < b.name ? -1 : 1)) });
    const { begin, evict, budgetOf: protecting, ...rest } = nextDrainMoves(scene, settingsOf({ nodesAtOnce: 2, workloads, named }));
    return { begin, evict, protecting: evict.map((one) => protecting.get(one)), ...rest };
  }

  test('are few in a large cluster: what is on the nodes, and what shares a budget or a StatefulSet with that.', () => {
    const crowd = Array.from({ length: 10_000 }, (_, index) =>
      podOf({ name: `crowd-${index}`, node: `n-${index % 300}`, labels: { app: `app-${index % 100}` } }),
    );
    const set = { kind: 'StatefulSet', name: 'db' };
    const here = [podOf(), podOf({ name: 'db-0', owner: set, labels: { app: 'db' } })];
    const others = [...podsElsewhere(3), podOf({ name: 'db-1', node: 'c', owner: set, labels: { app: 'db' } })];
    const budgets = [budgetOf(), ...Array.from({ length: 100 }, (_, index) => crowdBudget(index))];
    const matter = new PodsThatMatter(['a'], [...crowd, ...here, ...others], budgets);
    expect(new Set(matter.pods())).toEqual(new Set([...here, ...others]));
    expect(new Set(matter.singlePods())).toEqual(new Set([...here, others.at(-1)]));
    expect(matter.budgets(budgets)).toEqual([budgetOf()]);
    const [one] = crowd;
    expect([matter.see(one, undefined), matter.seeBudget(crowdBudget(1), { ...crowdBudget(1), disruptionsAllowed: 0 })]).toEqual([
      false,
      false,
    ]);
    expect([matter.see(others[0], undefined), matter.isOutdated]).toEqual([true, false]);
    expect([matter.see(undefined, { ...crowd[5]!, node: 'a' }), matter.isOutdated]).toEqual([true, true]);
  });

  function crowdBudget(index: number): BudgetView {
    return budgetOf({ name: `app-${index}`, selector: { matchLabels: { app: `app-${index}` } } });
  }
});
