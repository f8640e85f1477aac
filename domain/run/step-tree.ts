import type { Json, JsonObject } from '../json.ts';
import type { ActionPlan } from '../plan/plan.ts';
import type { CompiledRunbook, CompiledStep, RunbookStep } from '../runbook.ts';

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
export interface StepInstance {
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
  list?: { id: string; concurrency: number };
}

/** The steps of a runbook in their order. */
export function instancesOf(runbook: CompiledRunbook, inputs: JsonObject, path: StepInstance['path'] = [], prefix = ''): StepInstance[] {
  return runbook.steps.map((step) => ({ id: prefix + step.id, step, path, inputs }));
}

/** The steps of the runbook that an instance carries out. */
export function nestedInstances(instance: StepInstance, step: RunbookStep, inputs: JsonObject): StepInstance[] {
  const path = [...instance.path, step.id, ...(instance.element === undefined ? [] : [instance.element])];
  return instancesOf(step.runbook, inputs, path, `${instance.id}/`);
}

/** How long an id may be that is taken apart; elements of lists are named in it. */
const idCharactersMax = 4_096;

/**
 * The steps of a runbook that an instance with that id stands for. More than one is possible only where the name of an element of a list
 * looks like a way through nested runbooks.
 */
export function stepsAt(runbook: CompiledRunbook, id: string): CompiledStep[] {
  if (id.length > idCharactersMax) return [];
  return runbook.steps.flatMap((step) => {
    const isList = step.kind !== 'hold' && step.forEach !== undefined;
    if (step.kind !== 'runbook') {
      return id === step.id || (isList && id.startsWith(`${step.id}[`) && id.endsWith(']')) ? [step] : [];
    }
    if (!isList) return id.startsWith(`${step.id}/`) ? stepsAt(step.runbook, id.slice(step.id.length + 1)) : [];
    if (!id.startsWith(`${step.id}[`)) return [];
    return [...id.matchAll(/\]\//g)].flatMap(({ index }) => stepsAt(step.runbook, id.slice(index + 2)));
  });
}

/** The policies of all holds of a runbook, and of those that it carries out. */
export function policiesIn(runbook: CompiledRunbook): string[] {
  const policies = runbook.steps.flatMap((step) => {
    if (step.kind === 'hold') return [step.policy];
    return step.kind === 'runbook' ? policiesIn(step.runbook) : [];
  });
  return [...new Set(policies)];
}

/** Where the result of an instance is kept; made where it is not there yet. */
export function resultOf(
  results: Results,
  { path, step, element }: Pick<StepInstance, 'path' | 'element'> & { step: { id: string } },
): Result {
  const own = (resultsAt(results, path)[step.id] ??= {});
  return element === undefined ? own : elementAt(own, element);
}

/** The results of the steps of one runbook; made where they are not there yet. */
export function resultsAt(results: Results, path: StepInstance['path']): Results {
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

/** What a step carries out: the name of its action, policy or runbook. */
export function usesOf({ step }: Pick<StepInstance, 'step'>): string {
  if (step.kind === 'hold') return step.policy;
  return step.kind === 'runbook' ? step.runbook.name : step.uses;
}
