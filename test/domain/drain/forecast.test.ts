import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DrainSnapshot, DrainSettings } from '../../../domain/drain/drain.ts';
import { forecastDrain, type DrainForecast } from '../../../domain/drain/forecast.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { budgetOf, nodeOf, podOf, podsElsewhere, sceneOf, settingsOf } from './drain-objects.ts';

function forecast(snapshot: Partial<DrainSnapshot>, settings: Partial<DrainSettings> = {}): DrainForecast {
  return forecastDrain(sceneOf(snapshot), settingsOf(settings));
}

/** When each pod goes, in seconds. */
function timetable({ waves }: DrainForecast): Record<string, number> {
  return Object.fromEntries(waves.flatMap(({ afterMs, pods }) => pods.map(({ name }) => [name, afterMs / 1000])));
}

const web = (count: number, differences: Partial<PodView> = {}): PodView[] =>
  Array.from({ length: count }, (_, index) => podOf({ name: `web-${index}`, startupMs: 3_000, graceMs: 2_000, ...differences }));

describe('the forecast of a drain', () => {
  test('Pods without a budget go at once; it lasts until they have ended and are Ready elsewhere.', () => {
    const found = forecast({ pods: web(3) });
    expect(timetable(found)).toEqual({ 'web-0': 0, 'web-1': 0, 'web-2': 0 });
    expect(found).toMatchObject({ lastsMs: 3_000, left: [] });
  });

  test('Under a budget of one, each goes when the one before it is Ready elsewhere.', () => {
    const found = forecast({ pods: [...web(3), ...podsElsewhere(1, { startupMs: 3_000 })], budgets: [budgetOf()] });
    expect(timetable(found)).toEqual({ 'web-2': 0, 'web-1': 3, 'web-0': 6 });
    expect(found.lastsMs).toBe(9_000);
  });

  test('A pod of a StatefulSet comes back only when it is gone.', () => {
    const owner = { kind: 'StatefulSet', name: 'db' };
    const set = [0, 1].map((ordinal) => podOf({ name: `db-${ordinal}`, owner, startupMs: 3_000, graceMs: 2_000 }));
    expect(timetable(forecast({ pods: set }))).toEqual({ 'db-1': 0, 'db-0': 5 });
  });

  test('The next node begins when the one before it is empty.', () => {
    const pods = [...web(1), podOf({ name: 'other', node: 'b', graceMs: 60_000 })];
    expect(timetable(forecast({ nodes: [nodeOf(), nodeOf({ name: 'b' })], pods }))).toEqual({ 'web-0': 0, other: 2 });
  });

  test('A pod that was asked to end before is waited for; how long pods of its kind take to start is their median.', () => {
    const times = [1_000, 60_000, 2_000, 900_000].map((startupMs, index) => podOf({ name: `t-${index}`, node: 'elsewhere', startupMs }));
    const ending = podOf({ name: 'ending', terminating: true, graceEndsAtMs: 10_000_000 + 7_000 });
    expect(forecast({ pods: [ending] }).lastsMs).toBe(7_000);
    expect(forecast({ pods: [podOf({ graceMs: 0 }), ...times] }).lastsMs).toBe(2_000);
    expect(forecast({ pods: [podOf({ graceMs: 0 })] }).lastsMs).toBe(10_000);
  });

  test('What never goes is left, with the reason, and everything else is played through.', () => {
    const shut = budgetOf({ disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 2 });
    const other = podOf({ name: 'other', labels: { app: 'other' }, owner: { kind: 'Deployment', name: 'other' } });
    const found = forecast({ pods: [...web(2), other], budgets: [shut] });
    expect(timetable(found)).toEqual({ other: 0 });
    expect(found.left.map(({ pod, reason }) => `${pod.name}: ${reason}`)).toEqual([
      'web-1: PDB shop/web needs 2 healthy pods and has 2, and allows 0 disruptions until its owner changes that',
      'web-0: PDB shop/web needs 2 healthy pods and has 2, and allows 0 disruptions until its owner changes that',
    ]);
  });

  test('It ends for any number of pods, nodes and disruptions, each pod goes once, and no budget is ever overdrawn.', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (count, atOnce, allowed) => {
          const nodes = ['a', 'b', 'c'].map((name) => nodeOf({ name }));
          const pods = web(count).map((pod, index) => ({ ...pod, node: nodes[index % 3]!.name }));
          const demanded = Math.max(0, count - allowed);
          const budget = budgetOf({ disruptionsAllowed: Math.min(count, allowed), currentHealthy: count, desiredHealthy: demanded });
          const { waves, left } = forecast({ nodes, pods, budgets: [budget] }, { nodesAtOnce: atOnce });
          expect(left).toEqual([]);
          expect(waves.flatMap((wave) => wave.pods.map(({ name }) => name)).sort()).toEqual(pods.map(({ name }) => name).sort());
          for (const { afterMs } of waves) {
            const away = waves.filter((wave) => wave.afterMs <= afterMs && wave.afterMs > afterMs - 3_000);
            expect(away.reduce((sum, wave) => sum + wave.pods.length, 0)).toBeLessThanOrEqual(allowed);
          }
        },
      ),
    );
  });
});
