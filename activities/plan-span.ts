import { setTimeout as wait } from 'node:timers/promises';
import type { StepContext } from '../domain/action.ts';
import type { JudgedSpan, JudgedStep, RuleFinding } from '../domain/approval/rules.ts';
import { HoldpointError } from '../domain/errors.ts';
import { ExpressionError, render } from '../domain/expression/expression.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ExpectedChange } from '../domain/plan/expected.ts';
import type { Forecast, ForecastSpan } from '../domain/plan/forecast.ts';
import { sealSpan, type ActionPlan, type StepPlan } from '../domain/plan/plan.ts';
import { placeOf } from '../domain/run/place.ts';
import type { PlanningBase, Span } from '../domain/run/span.ts';
import { elementsOf, isLeftOut, questionOf, scopeOf } from '../domain/run/step-expressions.ts';
import { instancesOf, nestedInstances, resultOf, usesOf, withoutPlans, type Results, type StepInstance } from '../domain/run/step-tree.ts';
import type { PlannedStep } from '../domain/run/steps.ts';
import type { Prepared } from './prepare.ts';
import type { Preparer } from './preparer.ts';
import { settingsOf } from './settings.ts';
import { requireForecastSize, requirePlanSize, SpanSize, tooLarge } from './span-size.ts';

/** Steps that one span may have once its lists and runbooks are taken apart; more belong into several runs. */
const spanStepsMax = 2_000;
/** Spans of a forecast. */
const forecastSpansMax = 500;
/** How often the plan of one step is tried while what fails may pass by itself, and how long is waited before each next try. */
const planAttemptsMax = 4;
const planPauseMs = 500;

/** Plans one step: looks up its action and has it read the world. */
export type PlanStep = (action: string, input: JsonObject, context: StepContext) => Promise<ActionPlan>;

/** What a span is planned with: what plans one step, and what checks the inputs of a runbook that a step carries out. */
export interface Planner {
  planStep: PlanStep;
  prepareNested: Preparer['prepareNested'];
  /** Says what the rules of the configuration have against the steps. */
  judge(span: Omit<JudgedSpan, 'policy'> & { policy?: string }): RuleFinding[];
  /** Steps with what they leave of the availability of their target; `policy` is that of the hold above them. */
  withAvailability(target: string, policy: string | undefined, steps: readonly StepPlan[]): Promise<StepPlan[]>;
  /** Says which steps fit into no opening of a window. */
  findTooLong(window: string, steps: readonly StepPlan[]): Promise<Omit<RuleFinding, 'code'>[]>;
}

/** What a span is planned from. */
export interface SpanRequest {
  base: PlanningBase;
  /** The steps that are still to come; the span ends before the first hold among them. */
  queue: StepInstance[];
  /** What the steps before have given. */
  results: Results;
  /** The hold that the span is signed at, whose question is filled in. */
  hold?: StepInstance;
  /** Ids of steps that are over, where the rest of a span is planned: they are left out. */
  over?: string[];
  /** Steps that were begun and are not over: they are finished as they were signed. */
  begun?: StepPlan[];
}

/** A span with what the next one of a forecast is planned from. */
interface PlannedSpan extends Span {
  /** The results so far, and what is expected of the planned steps. */
  expected: Results;
  changes: ExpectedChange[];
}

/**
 * Plans the steps up to the next hold in their order, each with what the ones before it are expected to give and to change, and
 * takes lists and runbooks apart on the way. Reads only. A step whose input cannot be known yet is planned as blocked.
 */
export async function planSpan(request: SpanRequest, planner: Planner): Promise<Span> {
  const { plan, steps, groups, rest, results, question } = await planOneSpan(request, [], planner);
  return { plan, steps, groups, rest, results, question };
}

/**
 * Plans a whole runbook without touching anything. Only the plan of the first span is binding; the others are forecasts, with what
 * is expected of the steps before them, and are planned again at their hold.
 */
export async function planRunbook(prepared: Prepared, planner: Planner): Promise<Forecast> {
  const base: PlanningBase = { ...prepared, run: '' };
  const spans: ForecastSpan[] = [];
  let expected: Results = {};
  let changes: ExpectedChange[] = [];
  let queue = instancesOf(prepared.runbook, prepared.inputs);
  for (let hold: StepInstance | undefined; spans.length === 0 || hold;) {
    if (spans.length === forecastSpansMax) throw tooLarge(prepared.runbook, `${forecastSpansMax} spans`);
    const span: PlannedSpan = await planOneSpan({ base, queue, results: expected, hold }, changes, planner);
    spans.push({ hold: hold && forecastHold(hold, span.question), plan: span.plan });
    ({ expected, changes } = span);
    [hold, ...queue] = span.rest;
  }
  const { name, title, digest } = prepared.runbook;
  requireForecastSize(prepared.runbook, { spans });
  return { target: prepared.targetName, runbook: { name, title, digest }, inputs: prepared.inputs, spans };
}

function forecastHold({ id, step }: StepInstance, question: string | undefined): ForecastSpan['hold'] {
  return step.kind === 'hold' ? { id, policy: step.policy, question } : undefined;
}

async function planOneSpan(request: SpanRequest, before: readonly ExpectedChange[], planner: Planner): Promise<PlannedSpan> {
  const { base, hold, over = [], begun = [] } = request;
  const expected = structuredClone(request.results);
  const changes = [...before];
  const rest = [...request.queue];
  const planned: StepPlan[] = [];
  const steps: PlannedStep[] = [];
  const groups: Span['groups'] = [];
  const size = new SpanSize(base.runbook);
  for (let instance = rest[0]; instance && instance.step.kind !== 'hold'; instance = rest[0]) {
    rest.shift();
    if (over.includes(instance.id)) continue;
    size.addInstance(instance);
    const signed = begun.find(({ id }) => id === instance.id);
    if (signed) {
      steps.push(plannedStepOf(instance, base, { input: signed.input }));
      planned.push(signed);
      continue;
    }
    const found = await lookAt(instance, { expected, changes, base, stepsLeft: spanStepsMax - steps.length, planner });
    if ('parts' in found) {
      groups.push({ id: instance.id, parts: found.parts });
      rest.unshift(...found.parts);
      continue;
    }
    steps.push(plannedStepOf(instance, base, found));
    if (!found.plan) continue;
    size.addInput(found.input);
    planned.push({ id: instance.id, uses: usesOf(instance), input: found.input, plan: found.plan });
    Object.assign(resultOf(expected, instance), { plan: found.plan });
    changes.push(...(found.plan.expects ?? []));
  }
  const findings: Omit<RuleFinding, 'code'>[] = planner.judge({ ...judgedSpanOf(base, hold), steps: judgedSteps(planned, steps) });
  const { digest, title, window } = base.runbook;
  if (window !== undefined) findings.push(...(await planner.findTooLong(window, planned)));
  const judged = await planner.withAvailability(base.targetName, judgedSpanOf(base, hold).policy, withBlockers(planned, findings));
  const plan = sealSpan({ target: base.targetName, runbook: digest, title, inputs: base.inputs, steps: judged });
  requirePlanSize(base.runbook, plan);
  const question = hold && hold.step.kind === 'hold' ? questionOf(hold.step, scopeOf(hold, expected, base.targetName)) : undefined;
  return { plan, steps, groups, rest, results: withoutPlans(expected), question, expected, changes };
}

function judgedSpanOf(
  { targetName: target, requester }: PlanningBase,
  hold: StepInstance | undefined,
): Omit<JudgedSpan, 'steps' | 'policy'> & { policy?: string } {
  return { target, requester, policy: hold?.step.kind === 'hold' ? hold.step.policy : undefined };
}

function judgedSteps(planned: readonly StepPlan[], steps: readonly PlannedStep[]): JudgedStep[] {
  const changes = new Map(steps.map(({ id, change }) => [id, change]));
  return planned.map(({ id, uses, input }) => ({ id, uses, change: changes.get(id) ?? 'reads', settings: settingsOf(uses, input) }));
}

/** What rules have against a step blocks it, as what the world has against it does: it is shown with the plan, and with the remedy. */
function withBlockers(planned: readonly StepPlan[], findings: readonly Omit<RuleFinding, 'code'>[]): StepPlan[] {
  return planned.map((step) => {
    const own = findings.filter((finding) => finding.step === step.id);
    if (own.length === 0) return step;
    const blockers = own.map(({ rule, reason, remedy }) => ({ object: `\`${rule}\` of holdpoint.yaml`, reason, remedy }));
    return { ...step, plan: { ...step.plan, blockers: [...step.plan.blockers, ...blockers] } };
  });
}

interface Known {
  expected: Results;
  changes: readonly ExpectedChange[];
  base: PlanningBase;
  stepsLeft: number;
  planner: Planner;
}

type Found =
  | { parts: StepInstance[] }
  | { leftOut: string; plan?: undefined; input: JsonObject }
  | { leftOut?: undefined; plan: ActionPlan; input: JsonObject };

async function lookAt(instance: StepInstance, known: Known): Promise<Found> {
  const { step } = instance;
  try {
    return await found(instance, known);
  } catch (error) {
    const input = 'with' in step ? step.with : {};
    if (error instanceof ExpressionError && error.fault === 'limit') return blocked(input, instance.id, error.message, limitRemedy);
    if (error instanceof ExpressionError) {
      return blocked(input, instance.id, `Its input is not known before earlier steps have run: ${error.message}`);
    }
    if (step.kind === 'runbook' && error instanceof HoldpointError && error.code === 'inputs-invalid') {
      return blocked(input, instance.id, error.message, error.remedy);
    }
    throw error;
  }
}

async function found(instance: StepInstance, { expected, changes, base, stepsLeft, planner }: Known): Promise<Found> {
  const { step } = instance;
  if (step.kind === 'hold') throw new RangeError('a hold is not planned');
  const scope = scopeOf(instance, expected, base.targetName);
  // The condition of a list is looked at once, before it is taken apart.
  if (instance.element === undefined && isLeftOut(instance, scope)) return { leftOut: step.if ?? '', input: {} };
  if (step.forEach && instance.element === undefined) {
    const parts = elementsOf(instance, step.forEach, scope);
    if (parts.length > stepsLeft) return blocked(step.with, step.id, `${parts.length} more steps are too many for one span.`);
    resultOf(expected, instance).items ??= [];
    return { parts };
  }
  const input = render(step.with, scope) as JsonObject;
  if (step.kind === 'runbook') {
    const { inputs } = await planner.prepareNested({ runbook: step.runbook, inputs: input, target: base.targetName });
    resultOf(expected, instance).steps ??= {};
    return { parts: nestedInstances(instance, step, inputs) };
  }
  const context = { run: base.run, step: instance.id, target: base.target, retry: 0, expected: changes };
  return { plan: await patiently(() => planner.planStep(step.uses, input, context)), input };
}

/** One look that fails must not make all others worthless: what may pass by itself is tried again. */
async function patiently<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HoldpointError) || error.consequence !== 'retry' || attempts >= planAttemptsMax) throw error;
      await wait(planPauseMs);
    }
  }
}

const limitRemedy = 'Make the expression simpler, or the inputs that it works on smaller.';
const notKnownRemedy = 'Put a hold before this step, so that it is planned when the steps before it have run.';

function blocked(input: JsonObject, step: string, reason: string, remedy = notKnownRemedy): Found {
  const plan = { effects: [], facts: {}, risks: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  return { input, plan: { ...plan, blockers: [{ object: `step ${step}`, reason, remedy }] } };
}

function plannedStepOf(
  instance: StepInstance,
  { target }: PlanningBase,
  { input, leftOut }: { input: JsonObject; leftOut?: string },
): PlannedStep {
  const { id, step, path, element, list } = instance;
  const action = step.kind === 'action' ? step : undefined;
  return {
    id,
    uses: usesOf(instance),
    result: { path, element, step: step.id },
    list,
    leftOut,
    change: action?.change ?? 'reads',
    onFailure: action?.onFailure ?? 'stuck',
    ...(action?.atClose && { atClose: action.atClose }),
    limits: action?.limits ?? { timeoutMs: 0, heartbeatMs: 0, attemptsMax: 0 },
    runsOn: placeOf(action?.runsOn, input, target),
    retry: 0,
  };
}
