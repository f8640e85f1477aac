import { elementNameProblem, type ExpressionType } from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Repetition } from '../../domain/runbook.ts';
import type { SourceMap } from '../grammar/document.ts';
import { elementNameDefault } from '../grammar/runbook.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { checkResults, TemplateCheck, type TemplateResult } from './template.ts';

type Types = Record<string, ExpressionType>;

/** The variables that the expressions of a step see. */
export interface StepTypes {
  /** In `with`. */
  inside: Types;
  /** In `if`, `forEach` and `concurrency`, which are evaluated once, before there is an element. */
  before: Types;
}

/**
 * Checks `forEach`, `as` and `concurrency` of a step against each other and the variables that there are, and adds the element of
 * the list to those. Gives undefined where the element has no name that expressions could refer to it by.
 */
export function checkRepetition(step: JsonObject, types: Types, sourceMap: SourceMap, path: ValuePath): StepTypes | undefined {
  if (step.forEach === undefined) {
    // Of a step that carries out a runbook, `concurrency` has been refused with its shape.
    for (const key of 'runbook' in step ? ['as'] : ['as', 'concurrency']) {
      if (key in step) sourceMap.errorAtKey([...path, key], `\`${key}\` belongs to a \`forEach\`, which this step does not have.`);
    }
    return { inside: types, before: types };
  }
  const name = step.as ?? elementNameDefault;
  // What is no word at all has been reported with the shape of the step.
  if (typeof name !== 'string' || !/^\w+$/.test(name)) return undefined;
  const problem = elementNameProblem(name);
  if (problem !== undefined) {
    sourceMap.error([...path, 'as'], `The name "${name}" ${problem}`);
    return undefined;
  }
  const before = { ...types, [name]: { refusal: 'there is no element here yet: this is evaluated once, before the list.' } };
  const check = new TemplateCheck(sourceMap, before);
  const element = checkList(step.forEach, [...path, 'forEach'], sourceMap, check);
  if (typeof step.concurrency === 'string') {
    const at = [...path, 'concurrency'];
    checkResults({ type: 'integer' }, check.checkTemplate(step.concurrency, at), at, sourceMap);
  }
  return { inside: { ...types, [name]: element }, before };
}

/** The list of a step, as it is compiled; undefined where it has none. */
export function repetitionOf({ forEach, as }: { forEach?: unknown; as?: string }): Repetition | undefined {
  return forEach === undefined ? undefined : { items: forEach as Json, as: as ?? elementNameDefault };
}

/** Gives the type of the list's elements. */
function checkList(list: Json, path: ValuePath, sourceMap: SourceMap, check: TemplateCheck): ExpressionType {
  const results = check.checkTemplate(list, path);
  if (typeof list === 'string') {
    checkResults({ type: 'array' }, results, path, sourceMap);
    return typeOfElements([/^list<(.*)>$/.exec(results[0]?.type ?? '')?.[1]]);
  }
  if (!Array.isArray(list)) return {};
  reportRepeated(list, results, path, sourceMap);
  return typeOfElements(list.map((element, index) => typeOf(element, index, results)));
}

/** Elements are known to people by what they are: two of the same name could not be told apart. */
function reportRepeated(list: Json[], results: TemplateResult[], path: ValuePath, sourceMap: SourceMap): void {
  const written = list.map((element, index) => (typeof element === 'string' && !resultAt(index, results) ? element : undefined));
  for (const [index, element] of written.entries()) {
    const first = written.indexOf(element);
    if (element === undefined || first === index) continue;
    sourceMap.error([...path, index], `"${element}" is in the list already, at [${first}]; a step goes over each element once.`);
  }
}

function typeOf(element: Json, index: number, results: TemplateResult[]): string | undefined {
  const result = resultAt(index, results);
  if (result !== undefined) return result.type.replace(/^optional<(.*)>$/, '$1');
  if (typeof element === 'string') return 'string';
  if (typeof element === 'boolean') return 'bool';
  if (typeof element !== 'number') return undefined;
  return Number.isInteger(element) ? 'int' : 'double';
}

function resultAt(index: number, results: TemplateResult[]): TemplateResult | undefined {
  return results.find(({ path }) => path.length === 1 && path[0] === index);
}

/** Nothing is known of elements that are not all of one type. */
function typeOfElements(types: (string | undefined)[]): ExpressionType {
  const [type] = types;
  const known = type !== undefined && !type.startsWith('dyn') && types.every((other) => other === type);
  return known ? { type } : {};
}
