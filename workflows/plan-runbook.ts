import type { Forecast, ForecastSpan, PlanInput } from './messages.ts';
import { itemsOf, questionOf, scopeOf, type Item, type Results } from './steps/step-tree.ts';
import { reads } from './proxies.ts';
import { planSpan, type PlanningBase } from './steps/span.ts';

/**
 * Plans a whole runbook without touching anything. Only the plan of the first span is binding; the others are forecasts
 * with what is expected of the steps before them, and are planned again at their hold.
 */
export async function planRunbook({ document, inputs }: PlanInput): Promise<Forecast> {
  const prepared = await reads.prepare({ document, inputs });
  const base: PlanningBase = { ...prepared, run: '' };
  const spans: ForecastSpan[] = [];
  let results: Results = {};
  let queue: Item[] = itemsOf(prepared.runbook, prepared.inputs);
  for (let hold: Item | undefined; spans.length === 0 || hold;) {
    const { plan, expected, rest } = await planSpan(queue, results, base);
    spans.push({ hold: hold && holdOf(hold, expected, base), plan });
    results = expected;
    [hold, ...queue] = rest;
  }
  const { name, title, digest } = prepared.runbook;
  return { target: prepared.targetName, runbook: { name, title, digest }, inputs: prepared.inputs, spans };
}

function holdOf(item: Item, expected: Results, base: PlanningBase): ForecastSpan['hold'] {
  if (item.step.kind !== 'hold') return undefined;
  return { id: item.id, policy: item.step.policy, question: questionOf(item.step, scopeOf(item, expected, base.targetName)) };
}
