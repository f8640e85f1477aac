import { evaluate, ExpressionError, render } from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import {
  elementsMax,
  type CompiledRunbook,
  type CompiledStep,
  type HoldStep,
  type Repetition,
  type RunbookStep,
  type Scope,
} from '../../domain/runbook.ts';

/** What is known of the steps of one runbook, by their ids in it. */
export type Results = { [step: string]: Result };

/** What a step has given, or is expected to give; of a list, of each element; of a runbook, of its steps. */
export interface Result {
  outputs?: JsonObject;
  plan?: ActionPlan;
  items?: Result[];
  steps?: Results;
}

/** A step that is still to come, with where it stands among runbooks and lists. All of it is data, so that it outlives a history. */
export interface Item {
  /** The id by which people know it: `drain`, `drain[node-a]`, `upgrade/drain`, `update[blue]/drain`. */
  id: string;
  step: CompiledStep;
  /** The way to the results of its runbook: ids of runbook steps, and numbers of elements. */
  path: (string | number)[];
  /** Inputs of its runbook. */
  inputs: JsonObject;
  /** The elements that its expressions can refer to. */
  elements?: Record<string, Json>;
  /** Which element of the list it stands for; its list has been taken apart then. */
  element?: number;
  /** Id of the step whose list it belongs to, and how many of them go at the same time. */
  group?: { id: string; concurrency: number };
}

/** The steps of a runbook in their order. */
export function itemsOf(runbook: CompiledRunbook, inputs: JsonObject, path: Item['path'] = [], prefix = ''): Item[] {
  return runbook.steps.map((step) => ({ id: prefix + step.id, step, path, inputs }));
}

/** A step that stands for a list, taken apart: one item for each element. Throws ExpressionError where there is no such list. */
export function elementsOf(item: Item, repetition: Repetition, scope: Scope): Item[] {
  const list = render(repetition.items, scope);
  const problem = listProblem(list);
  if (problem !== undefined) throw new ExpressionError(JSON.stringify(repetition.items), 'value', problem);
  const group = { id: item.id, concurrency: concurrencyOf(item, scope) };
  return (list as Json[]).map((element, index) => ({
    ...item,
    id: `${item.id}[${nameOf(element, index)}]`,
    elements: { ...item.elements, [repetition.as]: element },
    element: index,
    group,
  }));
}

function listProblem(list: Json): string | undefined {
  if (!Array.isArray(list)) return 'what `forEach` goes over must be a list.';
  if (list.length > elementsMax) return `the list has ${list.length} elements; one step goes over ${elementsMax} at most.`;
  const names = list.map(nameOf);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? undefined : `the list has ${twice} twice.`;
}

/** Elements are known by what they are where that is a word, else by their number, counted from 1. */
function nameOf(element: Json, index: number): string {
  return typeof element === 'string' && element !== '' ? element : String(index + 1);
}

function concurrencyOf({ step }: Item, scope: Scope): number {
  if (step.kind !== 'action' || step.concurrency === undefined) return 1;
  const value = render(step.concurrency, scope);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new ExpressionError(String(step.concurrency), 'value', 'it must be a whole number above 0.');
}

/** The steps of the runbook that an item carries out. */
export function nestedItems(item: Item, step: RunbookStep, inputs: JsonObject): Item[] {
  const path = [...item.path, step.id, ...(item.element === undefined ? [] : [item.element])];
  return itemsOf(step.runbook, inputs, path, `${item.id}/`);
}

/** Where the result of an item is kept; made where it is not there yet. */
export function resultOf(results: Results, { path, step, element }: Pick<Item, 'path' | 'element'> & { step: { id: string } }): Result {
  const own = (resultsAt(results, path)[step.id] ??= {});
  return element === undefined ? own : elementAt(own, element);
}

function resultsAt(results: Results, path: Item['path']): Results {
  let at = results;
  for (let place = 0; place < path.length; place += 1) {
    const id = path[place] as string;
    let result = (at[id] ??= {});
    const next = path[place + 1];
    if (typeof next === 'number') {
      result = elementAt(result, next);
      place += 1;
    }
    at = result.steps ??= {};
  }
  return at;
}

function elementAt(result: Result, element: number): Result {
  const items = (result.items ??= []);
  while (items.length <= element) items.push({});
  return items[element] as Result;
}

/** The results without what is only planned: what has happened, and the places for what has not. */
export function withoutPlans(results: Results): Results {
  const kept = ({ outputs, items, steps }: Result): Result => ({ outputs, items: items?.map(kept), steps: steps && withoutPlans(steps) });
  return Object.fromEntries(Object.entries(results).map(([id, result]) => [id, kept(result)]));
}

/** What the expressions of an item see: its runbook's inputs, the results of the steps before it, and its elements. */
export function scopeOf(item: Item, results: Results, target: string): Scope {
  const steps: Scope['steps'] = {};
  for (const [id, result] of Object.entries(resultsAt(results, item.path))) steps[id] = seen(result);
  return { inputs: item.inputs, steps, target, elements: item.elements };
}

function seen({ outputs, plan, items, steps }: Result): Json {
  if (items) return { items: items.map(seen) };
  if (steps) return Object.fromEntries(Object.entries(steps).map(([id, result]) => [id, seen(result)]));
  if (!plan) return { ...outputs };
  return { ...plan.outputs, ...outputs, plan: { ...plan.facts, ...plan.details, effects: plan.effects as unknown as Json } };
}

/** Whether the condition of a step leaves it out. Throws ExpressionError. */
export function isLeftOut({ step }: Item, scope: Scope): boolean {
  return step.kind !== 'hold' && step.if !== undefined && evaluate(step.if, scope) === false;
}

/** The question of a hold, with what the plan of its span says; undefined where it has none. */
export function questionOf(hold: HoldStep, scope: Scope): string | undefined {
  if (hold.question === undefined) return undefined;
  try {
    const question = render(hold.question, scope);
    return typeof question === 'string' ? question : JSON.stringify(question);
  } catch (error) {
    // A question that cannot be filled in must not hide the plan, which is what people sign.
    if (error instanceof ExpressionError) return hold.question;
    throw error;
  }
}
