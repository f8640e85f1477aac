import { ExpressionError, render } from '../../domain/expression/expression.ts';
import type { ChangeKind, Target } from '../../domain/action.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { sealSpan, type ActionPlan, type SpanPlan, type StepPlan } from '../../domain/plan/plan.ts';
import type { ActionLimits, ActionStep, CompiledRunbook } from '../../domain/runbook.ts';
import { elementsOf, isLeftOut, nestedItems, resultOf, scopeOf, type Item, type Results } from './step-tree.ts';
import { reads, readsOf } from '../proxies.ts';
import { failureOf } from '../failure.ts';

/** Steps that one span may have once its lists and runbooks are taken apart; more belong into several runs. */
const spanStepsMax = 2_000;

/** What a plan is made from besides the steps. */
export interface PlanningBase {
  runbook: CompiledRunbook;
  inputs: JsonObject;
  target: Target;
  targetName: string;
  /** Empty where a plan is made before there is a run. */
  run: string;
}

/** One step of a span, with what the engine has to know to carry it out. */
export interface Task {
  id: string;
  uses: string;
  /** Where its outputs go; absent for a step of the way back, whose outputs nobody refers to. */
  place?: Pick<Item, 'path' | 'element'> & { step: string };
  group?: Item['group'];
  /** Why it is left out: the condition that is false. */
  leftOut?: string;
  change: ChangeKind;
  onFailure: ActionStep['onFailure'];
  limits: ActionLimits;
  runsOn?: string;
  /** Id of the step that it takes back, as part of the way back. */
  undoes?: string;
  state: 'todo' | 'started' | 'finished';
  /** How often the operator has had it tried again. */
  retry: number;
  /** Whether an operator has said that the same change, begun by somebody else, counts as its own. */
  adopt?: boolean;
  /** What its last attempt has written down for the next one. */
  checkpoint?: Json;
}

/** The steps up to the next hold: what one set of signatures stands for. */
export interface Span {
  plan: SpanPlan;
  tasks: Task[];
  /** The lists and runbooks that were taken apart, with the ids of what they have become. */
  groups: { id: string; parts: Item[] }[];
  /** What comes after: nothing, or a hold and whatever follows it. */
  rest: Item[];
  /** The results so far, and what is expected of the planned steps. */
  expected: Results;
}

/**
 * Plans the steps up to the next hold in their order, each with what the ones before it are expected to give, and takes lists and
 * runbooks apart on the way. Reads only. A step whose input cannot be known yet is planned as blocked.
 */
export async function planSpan(queue: readonly Item[], results: Results, base: PlanningBase): Promise<Span> {
  const expected = copyOf(results);
  const rest = [...queue];
  const planned: StepPlan[] = [];
  const tasks: Task[] = [];
  const groups: Span['groups'] = [];
  for (let item = rest[0]; item && item.step.kind !== 'hold'; item = rest[0]) {
    rest.shift();
    const found = await lookAt(item, expected, base, spanStepsMax - tasks.length);
    if ('parts' in found) {
      groups.push({ id: item.id, parts: found.parts });
      rest.unshift(...found.parts);
    } else {
      tasks.push(taskOf(item, found.leftOut));
      if (found.plan) planned.push({ id: item.id, uses: usesOf(item), input: found.input, plan: found.plan });
      if (found.plan) Object.assign(resultOf(expected, item), { plan: found.plan });
    }
  }
  const plan = sealSpan({ target: base.targetName, runbook: base.runbook.digest, inputs: base.inputs, steps: planned });
  return { plan, tasks, groups, rest, expected };
}

type Found =
  | { parts: Item[] }
  | { leftOut: string; plan?: undefined; input: JsonObject }
  | { leftOut?: undefined; plan: ActionPlan; input: JsonObject };

async function lookAt(item: Item, results: Results, base: PlanningBase, stepsLeft: number): Promise<Found> {
  const { step } = item;
  const scope = scopeOf(item, results, base.targetName);
  try {
    if (step.kind === 'hold') throw new RangeError('a hold is not planned');
    // The condition of a list is looked at once, before it is taken apart.
    if (item.element === undefined && isLeftOut(item, scope)) return { leftOut: step.if ?? '', input: {} };
    if (step.forEach && item.element === undefined) {
      const parts = elementsOf(item, step.forEach, scope);
      if (parts.length > stepsLeft) return blocked(step.with, step.id, `${parts.length} more steps are too many for one span.`);
      resultOf(results, item).items ??= [];
      return { parts };
    }
    const input = render(step.with, scope) as JsonObject;
    if (step.kind === 'runbook') {
      const { inputs } = await reads.prepareNested({ runbook: step.runbook, inputs: input, target: base.targetName });
      resultOf(results, item).steps ??= {};
      return { parts: nestedItems(item, step, inputs) };
    }
    const context = { run: base.run, step: item.id, target: base.target, retry: 0 };
    return { plan: await readsOf(step).planStep({ action: step.uses, input, context }), input };
  } catch (error) {
    const input = 'with' in step ? step.with : {};
    if (error instanceof ExpressionError)
      return blocked(input, item.id, `Its input is not known before earlier steps have run: ${error.message}`);
    const failure = step.kind === 'runbook' ? failureOf(error) : undefined;
    if (failure?.code === 'inputs-invalid') return blocked(input, item.id, failure.reason, failure.remedy);
    throw error;
  }
}

const notKnownRemedy = 'Put a hold before this step, so that it is planned when the steps before it have run.';

function blocked(input: JsonObject, step: string, reason: string, remedy = notKnownRemedy): Found {
  const plan = { effects: [], facts: {}, risks: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  return { input, plan: { ...plan, blockers: [{ object: `step ${step}`, reason, remedy }] } };
}

function taskOf(item: Item, leftOut: string | undefined): Task {
  const { id, step, path, element, group } = item;
  const action = step.kind === 'action' ? step : undefined;
  const limits = action?.limits ?? { timeoutMs: 0, heartbeatMs: 0, attemptsMax: 0 };
  const onFailure = action?.onFailure ?? 'stuck';
  const place = { path, element, step: step.id };
  const { change = 'reads', runsOn } = action ?? {};
  return { id, uses: usesOf(item), place, group, leftOut, change, onFailure, limits, runsOn, state: 'todo', retry: 0 };
}

/** What a step carries out: the name of its action, policy or runbook. */
export function usesOf({ step }: Pick<Item, 'step'>): string {
  if (step.kind === 'hold') return step.policy;
  return step.kind === 'runbook' ? step.runbook.name : step.uses;
}

function copyOf(results: Results): Results {
  return JSON.parse(JSON.stringify(results)) as Results;
}

/** What stands in the way of a plan, in the words of its steps. */
export function blockersOf(plan: SpanPlan): { step: string; object: string; reason: string; remedy: string }[] {
  return plan.steps.flatMap(({ id, plan: { blockers } }) => blockers.map((blocker) => ({ step: id, ...blocker })));
}
