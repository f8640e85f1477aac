import { expect, test } from '@jest/globals';
import { emptyPlan } from '../../../../activities/action.ts';
import type { DrainFacts } from '../../../../activities/kubernetes/drain/facts.ts';
import { observationOf } from '../../../../activities/kubernetes/drain/progress.ts';
import { nextDrainMoves } from '../../../../domain/drain/drain.ts';
import type { BudgetView } from '../../../../domain/drain/budget.ts';
import { budgetOf, nodeOf, podOf, sceneOf, settingsOf } from '../../../domain/drain/drain-objects.ts';

test('New pods that find no node are named while they are waited for, and make the step stuck after the limit.', () => {
  const plan = emptyPlan({ nodes: [{ name: 'a', uid: '1' }], settings: { unschedulableLimitMs: 600_000 } } as DrainFacts);
  const began = 9_000_000;
  const waiting = { node: '', phase: 'Pending', ready: false, createdAtMs: began + 1_000, unschedulable: '3 Insufficient cpu' };
  const pods = [podOf(), podOf({ name: 'web-new', ...waiting })];
  const seenAt = (nowMs: number) =>
    observationOf(
      plan,
      {
        moves: nextDrainMoves(sceneOf({ nodes: [nodeOf({ turnBeganMs: began })], pods, nowMs }), settingsOf()),
        nodes: [],
        uncordoned: [],
      },
      false,
    );
  const summary = expect.stringContaining('1 new pod finds no node: shop/web-new (3 Insufficient cpu)');
  const todo = [{ text: expect.stringContaining('Add nodes that take the new pods'), command: 'kubectl -n shop describe pod web-new' }];
  expect(seenAt(began + 60_000)).toMatchObject({ state: 'moving', progress: { summary, todo } });
  expect(seenAt(began + 11 * 60_000)).toMatchObject({
    state: 'stuck',
    reason:
      'For more than 10 minutes, 1 new pod found no node: shop/web-new (3 Insufficient cpu). ' +
      'So 1 pod of the drained nodes will not be evicted.',
    remedy: expect.stringContaining('Add nodes that take these pods, or make room'),
    progress: { summary },
  });
});

test('What people can do about pods that wait is said once for each budget, and not for those that go.', () => {
  const plan = emptyPlan({ nodes: [{ name: 'a', uid: '1' }], settings: {} } as DrainFacts);
  const shut = budgetOf({ disruptionsAllowed: 0, currentHealthy: 2 });
  const pods = [podOf(), podOf({ name: 'web-2' })];
  const todoWith = (budgets: BudgetView[]) =>
    observationOf(plan, { moves: nextDrainMoves(sceneOf({ pods, budgets }), settingsOf()), nodes: [], uncordoned: [] }, false).progress
      ?.todo;
  expect(todoWith([shut])).toEqual([{ text: expect.stringContaining('PDB shop/web'), command: 'kubectl -n shop describe pdb web' }]);
  expect(todoWith([])).toBeUndefined();
});
