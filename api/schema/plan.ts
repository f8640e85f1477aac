import * as z from 'zod';
import type { ExpectedChange } from '../../domain/plan/expected.ts';
import type { Forecast, ForecastSpan } from '../../domain/plan/forecast.ts';
import type { PastDurations } from '../../domain/plan/past.ts';
import type { ActionPlan, Blocker, Effect, Risk, SpanPlan, StepPlan } from '../../domain/plan/plan.ts';
import type { PlanChange } from '../../domain/plan/difference.ts';
import type { StepSummary } from '../../client/hold-summary.ts';
import { json, jsonObject, objectOf } from './shape.ts';

const effect = objectOf<Effect>()({ object: z.string(), change: z.string(), before: json.optional(), after: json.optional() });
const risk = objectOf<Risk>()({ object: z.string(), risk: z.string(), detail: z.string().optional(), remedy: z.string().optional() });

/** Why a step cannot be carried out. */
export const blocker = objectOf<Blocker>()({
  object: z.string(),
  reason: z.string(),
  remedy: z.string(),
  ofInputs: z.literal(true).optional(),
});

const past = objectOf<PastDurations>()({ runs: z.number(), medianMs: z.number(), p95Ms: z.number() });

const actionPlan = objectOf<ActionPlan>()({
  effects: z.array(effect),
  facts: jsonObject,
  risks: z.array(risk),
  blockers: z.array(blocker),
  notes: z.array(z.string()),
  details: jsonObject,
  outputs: jsonObject,
  expects: z.array(z.unknown() as unknown as z.ZodType<ExpectedChange, ExpectedChange>).optional(),
  estimateMs: z.number(),
  undoEstimateMs: z.number().optional(),
});

const stepPlan = objectOf<StepPlan>()({ id: z.string(), uses: z.string(), input: jsonObject, plan: actionPlan, past: past.optional() });

/** The plan of a span, whole: its hash can be computed from it. */
export const spanPlan = objectOf<SpanPlan>()({
  target: z.string(),
  runbook: z.string(),
  title: z.string(),
  inputs: jsonObject,
  steps: z.array(stepPlan),
  hash: z.string(),
});

/** What differs between two plans. */
export const planDifference = z.array(
  objectOf<PlanChange>()({
    step: z.string(),
    kind: z.enum(['added', 'gone', 'changed']),
    object: z.string(),
    before: json.optional(),
    after: json.optional(),
  }),
);

const forecastSpan = objectOf<ForecastSpan>()({
  hold: z.object({ id: z.string(), policy: z.string(), question: z.string().optional() }).optional(),
  plan: spanPlan,
});

/** What a runbook would do. */
export const forecast = objectOf<Forecast>()({
  target: z.string(),
  runbook: z.object({ name: z.string(), title: z.string(), digest: z.string() }),
  inputs: jsonObject,
  spans: z.array(forecastSpan),
});

/** A step of a plan in short. */
export const stepSummary = objectOf<StepSummary>()({
  id: z.string(),
  uses: z.string(),
  changes: z.array(z.string()),
  risks: z.array(z.string()),
  estimateMs: z.number(),
  past: past.optional(),
  undo: z.union([z.object({ does: z.string() }), z.object({ none: z.string() })]).optional(),
});
