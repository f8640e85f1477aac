import { evaluate, ExpressionError, render } from '../expression/expression.ts';
import type { Json } from '../json.ts';
import { elementsMax, type HoldStep, type Repetition, type Scope } from '../runbook.ts';
import { visible } from '../visible.ts';
import { resultsAt, type Result, type Results, type StepInstance } from './step-tree.ts';

/** A step that stands for a list, taken apart: one instance for each element. Throws ExpressionError where there is no such list. */
export function elementsOf(instance: StepInstance, repetition: Repetition, scope: Scope): StepInstance[] {
  const elements = render(repetition.items, scope);
  const problem = listProblem(elements);
  if (problem !== undefined) throw new ExpressionError(JSON.stringify(repetition.items), 'value', problem);
  const list = { id: instance.id, concurrency: concurrencyOf(instance, scope) };
  return (elements as Json[]).map((element, index) => ({
    ...instance,
    id: `${instance.id}[${nameOf(element, index)}]`,
    elements: { ...instance.elements, [repetition.as]: element },
    element: index,
    list,
  }));
}

function listProblem(list: Json): string | undefined {
  if (!Array.isArray(list)) return 'what `forEach` goes over must be a list.';
  if (list.length > elementsMax) return `the list has ${list.length} elements; one step goes over ${elementsMax} at most.`;
  const texts = list.filter((element) => typeof element === 'string');
  const twice = repeatedIn(texts) ?? repeatedIn(list.map(nameOf));
  return twice === undefined ? undefined : `the list has ${twice} twice.`;
}

function repeatedIn(names: readonly string[]): string | undefined {
  return names.find((name, index) => names.indexOf(name) !== index);
}

/** With brackets in the name of an element, the ids of two steps could be the same; what is longer is no name any more. */
const elementNamePattern = /^[^[\]\s\p{C}]{1,253}$/u;

/** Elements are known by what they are where that is a word, else by their number, counted from 1. */
function nameOf(element: Json, index: number): string {
  return typeof element === 'string' && elementNamePattern.test(element) ? element : String(index + 1);
}

function concurrencyOf({ step }: StepInstance, scope: Scope): number {
  if (step.kind !== 'action' || step.concurrency === undefined) return 1;
  const value = render(step.concurrency, scope);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new ExpressionError(String(step.concurrency), 'value', 'it must be a whole number above 0.');
}

/** What the expressions of an instance see: its runbook's inputs, the results of the steps before it, and its elements. */
export function scopeOf(instance: StepInstance, results: Results, target: string): Scope {
  const steps: Scope['steps'] = {};
  for (const [id, result] of Object.entries(resultsAt(results, instance.path))) steps[id] = seen(result);
  return { inputs: instance.inputs, steps, target, elements: instance.elements };
}

function seen({ outputs, plan, items, steps }: Result): Json {
  if (items) return { items: items.map(seen) };
  if (steps) return Object.fromEntries(Object.entries(steps).map(([id, result]) => [id, seen(result)]));
  if (!plan) return { ...outputs };
  return { ...plan.outputs, ...outputs, plan: { ...plan.facts, ...plan.details, effects: plan.effects as unknown as Json } };
}

/** Whether the condition of a step leaves it out. Throws ExpressionError. */
export function isLeftOut({ step }: StepInstance, scope: Scope): boolean {
  return step.kind !== 'hold' && step.if !== undefined && evaluate(step.if, scope) === false;
}

/** The question of a hold, with what the plan of its span says, all of it visible; undefined where it has none. */
export function questionOf(hold: HoldStep, scope: Scope): string | undefined {
  if (hold.question === undefined) return undefined;
  try {
    const question = render(hold.question, scope);
    return visible(typeof question === 'string' ? question : JSON.stringify(question));
  } catch (error) {
    // A question that cannot be filled in must not hide the plan, which is what people sign.
    if (error instanceof ExpressionError) return hold.question;
    throw error;
  }
}
