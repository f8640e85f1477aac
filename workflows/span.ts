import { evaluate, ExpressionError, render } from '../domain/expression.ts';
import type { Target } from '../domain/action.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { sealSpan, type ActionPlan, type SpanPlan, type StepPlan } from '../domain/plan.ts';
import type { ActionStep, CompiledRunbook, HoldStep, Scope } from '../domain/runbook.ts';
import { reads } from './proxies.ts';

/** The steps that one set of signatures stands for, and the hold before them. */
export interface Span {
  /** Absent for the first span, which the start itself signs. */
  hold?: HoldStep;
  steps: ActionStep[];
}

/** What a plan is made from besides the steps. */
export interface PlanningBase {
  runbook: CompiledRunbook;
  inputs: JsonObject;
  target: Target;
  targetName: string;
  /** Empty where a plan is made before there is a run. */
  run: string;
  /** What steps have given so far, by step. */
  outputs: Record<string, JsonObject>;
}

/** Cuts a runbook at its holds. The first span may be empty, where a runbook begins with a hold. */
export function spansOf(runbook: CompiledRunbook): Span[] {
  const spans: Span[] = [{ steps: [] }];
  for (const step of runbook.steps) {
    if (step.kind === 'hold') spans.push({ hold: step, steps: [] });
    else spans.at(-1)?.steps.push(step);
  }
  return spans;
}

/**
 * Plans the steps of a span in their order, each with what the ones before it are expected to give.
 * Reads only. A step whose input cannot be known yet is planned as blocked.
 */
export async function planSpan(steps: readonly ActionStep[], base: PlanningBase): Promise<SpanPlan> {
  const planned: StepPlan[] = [];
  for (const step of steps) {
    const stepPlan = await planStep(step, scopeOf(base, planned), base);
    if (stepPlan) planned.push(stepPlan);
  }
  return sealSpan({ target: base.targetName, runbook: base.runbook.digest, inputs: base.inputs, steps: planned });
}

/** The plan of one step; undefined where its condition leaves it out. */
async function planStep(step: ActionStep, scope: Scope, { run, target }: PlanningBase): Promise<StepPlan | undefined> {
  let input: JsonObject;
  try {
    if (step.if !== undefined && evaluate(step.if, scope) === false) return undefined;
    input = render(step.with, scope) as JsonObject;
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { id: step.id, uses: step.uses, input: step.with, plan: notKnownYet(step.id, error.message) };
  }
  const plan = await reads.planStep({ action: step.uses, input, context: { run, step: step.id, target, retry: 0 } });
  return { id: step.id, uses: step.uses, input, plan };
}

function notKnownYet(step: string, reason: string): ActionPlan {
  const remedy = 'Put a hold before this step, so that it is planned when the steps before it have run.';
  return {
    effects: [],
    facts: {},
    blockers: [{ object: `step ${step}`, reason: `Its input is not known before earlier steps have run: ${reason}`, remedy }],
    warnings: [],
    notes: {},
    outputs: {},
    estimateMs: 0,
  };
}

/** What expressions see: the outputs of finished steps, the expected ones of planned steps, and the plans. */
export function scopeOf(base: PlanningBase, planned: readonly StepPlan[]): Scope {
  const steps: Record<string, Json> = { ...base.outputs };
  for (const { id, plan } of planned) {
    const seen = { ...plan.facts, ...plan.notes, effects: plan.effects as unknown as Json };
    steps[id] = { ...plan.outputs, ...base.outputs[id], plan: seen };
  }
  return { inputs: base.inputs, steps, target: base.targetName };
}

/** The question of a hold, with what the plan of its span says; undefined where it has none. */
export function questionOf(hold: HoldStep, base: PlanningBase, plan: SpanPlan): string | undefined {
  if (hold.question === undefined) return undefined;
  try {
    const question = render(hold.question, scopeOf(base, plan.steps));
    return typeof question === 'string' ? question : JSON.stringify(question);
  } catch (error) {
    // A question that cannot be filled in must not hide the plan, which is what people sign.
    if (error instanceof ExpressionError) return hold.question;
    throw error;
  }
}

/** What stands in the way of a span, in the words of its steps. */
export function blockersOf(plan: SpanPlan): { step: string; object: string; reason: string; remedy: string }[] {
  return plan.steps.flatMap(({ id, plan: { blockers } }) => blockers.map((blocker) => ({ step: id, ...blocker })));
}
