import type { Forecast, ForecastSpan, PlanInput } from './messages.ts';
import { reads } from './proxies.ts';
import { planSpan, questionOf, spansOf, type PlanningBase } from './span.ts';

/**
 * Plans a whole runbook without touching anything. Only the plan of the first span is binding; the others are forecasts
 * with what is expected of the steps before them, and are planned again at their hold.
 */
export async function planRunbook({ document, inputs }: PlanInput): Promise<Forecast> {
  const prepared = await reads.prepare({ document, inputs });
  const base: PlanningBase = { ...prepared, run: '', outputs: {} };
  const spans: ForecastSpan[] = [];
  for (const { hold, steps } of spansOf(prepared.runbook)) {
    const plan = await planSpan(steps, base);
    for (const step of plan.steps) base.outputs[step.id] = step.plan.outputs;
    spans.push({ hold: hold && { id: hold.id, policy: hold.policy, question: questionOf(hold, base, plan) }, plan });
  }
  const { name, title, digest } = prepared.runbook;
  return { target: prepared.targetName, runbook: { name, title, digest }, inputs: prepared.inputs, spans };
}
