import type { JsonObject } from '../json.ts';
import type { SpanPlan } from './plan.ts';

/** A span of a forecast. */
export interface ForecastSpan {
  /** The hold that people sign before it; absent for the first span, which the start itself signs. */
  hold?: { id: string; policy: string; question?: string };
  plan: SpanPlan;
}

/** What a runbook would do, span by span. Only the first one is binding; the others are planned again at their hold. */
export interface Forecast {
  target: string;
  runbook: { name: string; title: string; digest: string };
  inputs: JsonObject;
  spans: ForecastSpan[];
}
