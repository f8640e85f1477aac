import { describe, expect, test } from '@jest/globals';
import { costsOf, interruptionsIn, standingOf, withSpending, type Interruption } from '../../../domain/availability/availability.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { StepPlan } from '../../../domain/plan/plan.ts';

const dayMs = 86_400_000;
const nowMs = Date.parse('2026-11-29T12:00:00Z');
const goal = { goalPercent: 99.99, perMs: 30 * dayMs };
const interrupts = (action: string): boolean => action === 'rds.failover';
const outage = (atMostMs: number, atLeastMs = atMostMs): JsonObject => ({ measured: true, writesRefusedMs: { atLeastMs, atMostMs } });

function interruption(daysAgo: number, atMostMs: number | null, uses = 'rds.failover'): Interruption {
  const at = new Date(nowMs - daysAgo * dayMs).toISOString();
  return { run: `r-${daysAgo}`, step: 's', uses, at, refusedMs: atMostMs === null ? null : { atLeastMs: 0, atMostMs } };
}

function stepPlan(uses = 'rds.failover', effects = 1): StepPlan {
  const plan = { facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  const effect = { object: 'Database/orders', change: 'fail over', before: 'a', after: 'b' };
  return { id: 's', uses, input: {}, plan: { ...plan, effects: Array.from({ length: effects }, () => effect) } };
}

describe('what is read from a record', () => {
  const entry = (kind: string, body: JsonObject) => ({ run: 'r-1', kind, at: '2026-11-29T10:00:00Z', body });
  const began = entry('step.started', { step: 'f', uses: 'rds.failover', effects: [{}] });
  const cases: [string, ReturnType<typeof entry>[], unknown][] = [
    ['measured', [began, entry('step.done', { step: 'f', outputs: { outage: outage(900, 800) } })], { atLeastMs: 800, atMostMs: 900 }],
    ['not measured', [began, entry('step.done', { step: 'f', outputs: { outage: { measured: false, reason: 'r' } } })], null],
    ['done by hand', [began, entry('step.done', { step: 'f', byHand: true })], null],
    ['not over', [began, entry('step.stuck', { step: 'f' })], null],
    ['begun twice', [began, began, entry('step.done', { step: 'f', outputs: { outage: outage(5) } })], { atLeastMs: 5, atMostMs: 5 }],
    ['many effects', [entry('step.started', { step: 'f', uses: 'rds.failover', effects: { sha256: 's', bytes: 9 } })], null],
  ];
  test.each(cases)('%s', (_name, entries, refusedMs) => {
    expect(interruptionsIn(entries, interrupts)).toMatchObject([{ run: 'r-1', step: 'f', uses: 'rds.failover', refusedMs }]);
  });

  test('what refuses no writes is nothing', () => {
    const nothing = entry('step.started', { step: 'f', uses: 'rds.failover', effects: [] });
    const other = entry('step.started', { step: 'g', uses: 'rds.clone', effects: [{}] });
    expect(interruptionsIn([nothing, other, entry('step.done', { step: 'f', outputs: { outage: outage(1) } })], interrupts)).toEqual([]);
  });
});

test('a budget is what the goal leaves, less the most that each outage within its time can have been', () => {
  const all = [interruption(31, 100_000), interruption(29, 60_000), interruption(1, 2_000), interruption(0, null)];
  expect(standingOf(goal, all, nowMs)).toEqual({ budgetMs: 259_200, spentMs: 62_000, leftMs: 197_200, changes: 3, notMeasured: 1 });
  expect(costsOf([...all, interruption(2, 7, 'rds.upgradeEngine'), interruption(2, null, 'rds.other')])).toEqual([
    { uses: 'rds.failover', measured: 3, medianMs: 60_000, worstMs: 100_000 },
    { uses: 'rds.upgradeEngine', measured: 1, medianMs: 7, worstMs: 7 },
  ]);
});

describe('a plan', () => {
  const judge = (interruptions: Interruption[] | undefined, more: object = {}, steps = [stepPlan()]) =>
    withSpending(steps, { target: 't', goal, interruptions, nowMs, interrupts, mayOverspend: false, ...more });

  test('tells what is left and what such a change has cost, and is signed as before', () => {
    const [step] = judge([interruption(2, 1_500), interruption(1, 4_200), interruption(0, null)]);
    expect(step?.plan).toMatchObject({ risks: [], blockers: [] });
    expect(step?.plan.notes).toEqual([
      'Availability 99.99% per 30 days: of 4 min 19 s without writes 4 min 14 s left; rds.failover has refused writes for 1.50 s ' +
        '(median), 4.20 s (worst) before; measured: 2. Not in it: 1 changes whose outage was not measured.',
    ]);
    expect(judge([])[0]?.plan.notes.join()).toContain(
      'of 4 min 19 s without writes 4 min 19 s left; what such a change costs is not known',
    );
  });

  test('is blocked where the worst of before would overspend, unless people sign for that', () => {
    const spent = [interruption(3, 200_000), interruption(2, 50_000)];
    const [blocked] = judge(spent);
    expect(blocked?.plan.blockers).toMatchObject([
      {
        object: 'availability of t',
        reason: expect.stringContaining('9.20 s are left, and rds.failover has refused writes for up to 3 min 20 s'),
      },
    ]);
    expect(blocked?.plan.risks).toEqual([
      { object: 'availability of t', risk: 'It may overspend the time without writes that 99.99% per 30 days leaves.' },
    ]);
    const withPolicy = { goal: { ...goal, overspend: 'two-dba' } };
    expect(judge(spent, withPolicy)[0]?.plan.blockers[0]?.remedy).toContain('Put a hold of the policy two-dba above it');
    const [signed] = judge(spent, { ...withPolicy, mayOverspend: true });
    expect(signed?.plan).toMatchObject({ blockers: [], risks: blocked?.plan.risks });
  });

  test('counts the steps of one span together, and none that refuses no writes', () => {
    const one = [interruption(3, 100_000)];
    const steps = judge(one, {}, [stepPlan(), stepPlan('rds.clone'), stepPlan('rds.failover', 0), stepPlan()]);
    expect(steps.map(({ plan }) => plan.blockers.length)).toEqual([0, 0, 0, 1]);
    expect(steps.map(({ plan }) => plan.notes.length)).toEqual([1, 0, 0, 1]);
  });

  test('with nothing left is blocked though no cost is known; so is one whose records cannot be read', () => {
    expect(judge([interruption(1, 300_000, 'rds.upgradeEngine')])[0]?.plan.blockers).toMatchObject([
      { reason: expect.stringContaining('Nothing is left of it.') },
    ]);
    expect(judge(undefined, { unknown: 'the disk is gone' })[0]?.plan.blockers).toMatchObject([
      { reason: expect.stringContaining('What is left of it is not known: the disk is gone.') },
    ]);
  });
});
