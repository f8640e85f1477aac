import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  BudgetIndex,
  budgetName,
  healthyDemanded,
  remedyForShutBudget,
  shutReason,
  type BudgetView,
  type KeptPods,
} from '../../../domain/drain/budget.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { selectorMatches } from '../../../domain/drain/selector.ts';
import { budgetOf, podOf } from './drain-objects.ts';

describe('the budgets of a pod', () => {
  const pod = podOf({ labels: { app: 'web' } });

  test.each([
    { title: 'A budget that selects it in its namespace protects it', budget: budgetOf({}), protects: true },
    { title: 'A budget of another namespace does not', budget: budgetOf({ namespace: 'payments' }), protects: false },
    { title: 'A budget that selects others does not', budget: budgetOf({ selector: { matchLabels: { app: 'db' } } }), protects: false },
    { title: 'A budget with an empty selector protects every pod of its namespace', budget: budgetOf({ selector: {} }), protects: true },
    { title: 'A budget without a selector protects nothing', budget: budgetOf({ selector: undefined }), protects: false },
  ])('$title.', ({ budget, protects }) => {
    expect(new BudgetIndex([budget]).of(pod)).toEqual(protects ? [budget] : []);
  });

  test('All budgets that protect it are named, in their order.', () => {
    const names = new BudgetIndex([budgetOf({ name: 'one' }), budgetOf({ name: 'two' })]).of(pod).map(budgetName);
    expect(names).toEqual(['shop/one', 'shop/two']);
  });
});

function protects(budget: BudgetView, pod: PodView): boolean {
  return budget.namespace === pod.namespace && selectorMatches(budget.selector, pod.labels);
}

test('An index finds the same budgets in the same order, and the same pods, as comparing each with each.', () => {
  const namespace = fc.constantFrom('shop', 'payments');
  const value = fc.constantFrom('web', 'db');
  const labels = fc.dictionary(fc.constantFrom('app', 'tier'), value, { maxKeys: 2 });
  const expression = fc.constantFrom('In', 'NotIn', 'Exists').map((operator) => ({ key: 'tier', operator, values: ['web'] }));
  const selector = fc.option(
    fc.record({ matchLabels: labels, matchExpressions: fc.array(expression, { maxLength: 1 }) }, { requiredKeys: [] }),
    { nil: undefined },
  );
  const some = fc.tuple(
    fc.array(fc.record({ namespace, labels }), { maxLength: 8 }),
    fc.array(fc.record({ namespace, selector }), { maxLength: 6 }),
  );
  fc.assert(
    fc.property(some, ([givenPods, givenBudgets]) => {
      const pods = givenPods.map((pod, index) => podOf({ ...pod, name: `p-${index}` }));
      const budgets = givenBudgets.map((budget, index) => budgetOf({ ...budget, name: `b-${index}` }));
      const index = new BudgetIndex(budgets);
      for (const pod of pods) expect(index.of(pod)).toEqual(budgets.filter((budget) => protects(budget, pod)));
      const covered = index.cover(pods);
      for (const budget of budgets) {
        expect(covered.get(budget) ?? []).toEqual(pods.filter((pod) => protects(budget, pod)));
      }
    }),
  );
});

describe('a budget that never opens', () => {
  const cases: { title: string; budget: Partial<BudgetView>; kept?: Partial<KeptPods>; shut: boolean }[] = [
    { title: 'demands every pod there is', budget: { expectedPods: 3, desiredHealthy: 3 }, shut: true },
    { title: 'demands more pods than there are', budget: { expectedPods: 1, desiredHealthy: 2 }, shut: true },
    {
      title: 'counts ended pods for a number that the others cannot reach (field case 06)',
      budget: { minAvailable: '2', expectedPods: 4, desiredHealthy: 2, currentHealthy: 2 },
      kept: { ended: 2 },
      shut: true,
    },
    {
      title: 'expects no pods, as none has a controller (field case more/04)',
      budget: { maxUnavailable: '1', expectedPods: 0, desiredHealthy: 0, currentHealthy: 2 },
      kept: { bare: 2 },
      shut: true,
    },
    {
      title: 'is shut even while some of its pods are unhealthy',
      budget: { expectedPods: 3, desiredHealthy: 3, currentHealthy: 1 },
      shut: true,
    },
  ];
  const opening: typeof cases = [
    {
      title: 'allows none now but may when a pod gets well again',
      budget: { expectedPods: 3, desiredHealthy: 2, disruptionsAllowed: 0 },
      shut: false,
    },
    {
      title: 'counts ended pods, and has one to spare without them',
      budget: { minAvailable: '2', expectedPods: 4, desiredHealthy: 2 },
      kept: { ended: 1 },
      shut: false,
    },
    {
      title: 'demands a share, of which ended pods are no part',
      budget: { minAvailable: '50%', expectedPods: 2, desiredHealthy: 1 },
      kept: { ended: 2 },
      shut: false,
    },
    { title: 'has pods of controllers that are not counted yet', budget: { maxUnavailable: '1', expectedPods: 0 }, shut: false },
    {
      title: 'demands a number, which counts pods without controller',
      budget: { minAvailable: '1', expectedPods: 2, desiredHealthy: 1 },
      kept: { bare: 2 },
      shut: false,
    },
    { title: 'has no pods to protect', budget: { expectedPods: 0, desiredHealthy: 0 }, shut: false },
    {
      title: 'has a status that is not of its present spec, which allows one',
      budget: { expectedPods: 3, desiredHealthy: 3, statusIsCurrent: false, maxUnavailable: '1' },
      shut: false,
    },
  ];
  test.each(cases)('It is one that $title.', ({ budget, kept, shut }) =>
    expect(shutReason(budgetOf(budget), { ended: 0, bare: 0, ...kept }) !== undefined).toBe(shut),
  );
  test.each(opening)('It is not one that $title.', ({ budget, kept, shut }) =>
    expect(shutReason(budgetOf(budget), { ended: 0, bare: 0, ...kept }) !== undefined).toBe(shut),
  );

  test.each([
    {
      title: 'maxUnavailable',
      spec: { maxUnavailable: '0' },
      setting: 'maxUnavailable: 0',
      wish: 'allow one disruption (maxUnavailable: 1)',
    },
    { title: 'share', spec: { minAvailable: '100%' }, setting: 'minAvailable: 100%', wish: 'allow one disruption (maxUnavailable: 1)' },
    { title: 'minAvailable', spec: { minAvailable: '3' }, setting: 'minAvailable: 3', wish: 'run one more replica or demand one less' },
  ])('The remedy names it, its $title, the numbers and what would help.', ({ spec, setting, wish }) => {
    expect(remedyForShutBudget(budgetOf({ ...spec, expectedPods: 3, desiredHealthy: 3 }), ['Deployment shop/web'])).toBe(
      `PodDisruptionBudget shop/web (${setting}) over Deployment shop/web demands 3 healthy of 3 pods. ` +
        `Have its owner ${wish}, then plan again.`,
    );
  });

  test.each([
    ['minAvailable', '50%', 5, 3],
    ['minAvailable', '2', 5, 2],
    ['maxUnavailable', '30%', 5, 3],
    ['maxUnavailable', '1', 5, 4],
    ['maxUnavailable', '10', 5, 0],
  ])('%s: %s of %i pods demands %i healthy ones.', (setting, value, expected, demanded) => {
    expect(healthyDemanded(budgetOf({ [setting]: value }), expected)).toBe(demanded);
  });
});
