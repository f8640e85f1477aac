import type { ErrorObject } from 'ajv';
import { render } from '../../domain/expression/expression.ts';
import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { CompiledRunbook } from '../../domain/runbook.ts';
import { documentDepthMax, documentValuesMax, keyRefusal } from '../grammar/document.ts';
import { formatPath, problemsMax, type ValuePath } from '../grammar/problem.ts';
import { messageOfError, pathOfError, pathOfInstance } from './input-error.ts';
import { errorsOfInputs, propertiesOf } from './input-schema.ts';
import { formatTarget, TargetError } from '../../domain/target.ts';
import { parseTarget } from '../targets.ts';

/** `name=value` arguments of one command line. */
export const inputArgumentsMax = 200;

/** UTF-8 bytes of the inputs of a run as JSON: they are part of each of its plans. */
export const inputsBytesMax = 256 * 1024;

/** What is wrong with an input. */
export interface InputProblem {
  /** E.g. `nodesAtOnce` or `zones[1]`. */
  path: string;
  message: string;
}

/** Inputs as a run takes them, with defaults; only valid if there are no problems. */
export interface CheckedInputs {
  inputs: JsonObject;
  problems: InputProblem[];
}

/** Checks the inputs of a run against the runbook's schema and fills in the defaults; what was given is left as it is. */
export function checkInputs(runbook: Pick<CompiledRunbook, 'inputs'>, given: JsonObject): CheckedInputs {
  const refusal = refusalOf(given);
  if (refusal !== undefined) return { inputs: {}, problems: [{ path: formatPath(refusal.path), message: refusal.message }] };
  const inputs = structuredClone(given);
  const names = Object.keys(propertiesOf(runbook.inputs));
  const errors = errorsOfInputs(runbook.inputs, inputs).slice(0, problemsMax);
  const problems = errors.map((error) => ({ path: formatPath(pathOfError(error, inputs)), message: messageOfError(error, names) }));
  return { inputs, problems };
}

/**
 * Checks the inputs that a runbook gives to another one, as far as they are written out: the values at the paths of `expressions`
 * are known only later. An unknown or missing input is told by the path that it has or would have.
 */
export function checkGivenInputs(
  schema: JsonObject,
  given: JsonObject,
  expressions: ValuePath[],
): { path: ValuePath; message: string; unknown: boolean }[] {
  const names = Object.keys(propertiesOf(schema));
  const errors = errorsOfInputs(schema, structuredClone(given)).filter((error) => !hangsOnExpression(error, given, expressions));
  return errors.slice(0, problemsMax).map((error) => ({
    path: pathOfError(error, given),
    message: messageOfError(error, names),
    unknown: error.keyword === 'additionalProperties',
  }));
}

/** Reads `name=value` arguments; the text of a value is converted by the type that the schema gives to the input. */
export function parseInputArguments(args: string[], schema: JsonObject): { given: JsonObject; problems: InputProblem[] } {
  const given = new Map<string, Json>();
  const problems: InputProblem[] = [];
  if (args.length > inputArgumentsMax) problems.push({ path: '', message: `At most ${inputArgumentsMax} inputs can be given.` });
  for (const argument of args.slice(0, inputArgumentsMax)) {
    const [name, ...rest] = argument.split('=');
    if (!name || rest.length === 0) problems.push({ path: argument, message: 'Must have the form name=value.' });
    else if (given.has(name) && propertiesOf(schema)[name]?.type === 'array') {
      // A list may be given an element at a time.
      given.set(name, [given.get(name) ?? [], typedValue(rest.join('='), propertiesOf(schema)[name])].flat());
    } else if (given.has(name)) problems.push({ path: name, message: 'Is given twice.' });
    else given.set(name, typedValue(rest.join('='), propertiesOf(schema)[name]));
  }
  return { given: Object.fromEntries(given), problems };
}

/** The target of a run, such as `eks/<region>/<cluster>`. Throws an ExpressionError or a TargetError. */
export function targetOf(runbook: Pick<CompiledRunbook, 'target' | 'worksOn'>, inputs: JsonObject): string {
  const rendered = render(runbook.target, { inputs, steps: {}, target: '' });
  const target = parseTarget(typeof rendered === 'string' ? rendered : JSON.stringify(rendered));
  if (!runbook.worksOn.includes(target.kind)) {
    throw new TargetError(
      `Target "${formatTarget(target)}" is of the kind ${target.kind}; the runbook works on ${runbook.worksOn.join(' and ')}.`,
    );
  }
  return formatTarget(target);
}

/** Why inputs are not even looked at: ajv would take too long for them, or lose its way in their keys. */
function refusalOf(given: JsonObject): { path: ValuePath; message: string } | undefined {
  let valuesLeft = documentValuesMax;
  const visit = (value: Json, path: ValuePath): { path: ValuePath; message: string } | undefined => {
    if (valuesLeft-- === 0) return { path: [], message: `The inputs have more than ${documentValuesMax} values.` };
    if (value === null || typeof value !== 'object') return undefined;
    if (path.length > documentDepthMax) return { path, message: `Maps and lists are nested more than ${documentDepthMax} deep.` };
    if (Array.isArray(value)) return firstOf(value.entries(), ([index, item]) => visit(item, [...path, index]));
    return firstOf(Object.entries(value), ([key, item]) => {
      const message = keyRefusal(key);
      return message === undefined ? visit(item, [...path, key]) : { path: [...path, key], message };
    });
  };
  const found = visit(given, []);
  // Only now is it known that their depth is one that JSON.stringify can stand.
  if (found !== undefined || Buffer.byteLength(JSON.stringify(given)) <= inputsBytesMax) return found;
  return { path: [], message: `The inputs have more than ${inputsBytesMax} bytes.` };
}

function firstOf<Item, Found>(items: Iterable<Item>, find: (item: Item) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function typedValue(text: string, property: JsonObject | undefined): Json {
  const variants = Array.isArray(property?.anyOf) ? property.anyOf.filter(isObject) : [];
  // What may be a number or something else is a number where it reads as one.
  if (variants.some(({ type }) => type === 'integer' || type === 'number') && isNumber(text)) return Number(text);
  switch (property?.type) {
    case 'integer':
    case 'number':
      return isNumber(text) ? Number(text) : text;
    case 'boolean':
      return text === 'true' || text === 'false' ? text === 'true' : text;
    case 'array':
      return text.startsWith('[') ? parsedJson(text) : listOf(text, property);
    case 'object':
      return parsedJson(text);
    default:
      return text;
  }
}

function isNumber(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text);
}

function listOf(text: string, property: JsonObject): Json {
  const items = isObject(property.items) ? property.items : undefined;
  return text === '' ? [] : text.split(',').map((item) => typedValue(item.trim(), items));
}

function parsedJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

const combining = /\/(anyOf|oneOf|allOf|not|if|then|else|dependentSchemas|dependencies|contains|propertyNames)(\/|$)/;

/** Whether an error may vanish once the expressions have values: it is at or inside one, or a rule that weighs several values. */
function hangsOnExpression(error: ErrorObject, given: JsonObject, expressions: ValuePath[]): boolean {
  if (expressions.length === 0) return false;
  const at = pathOfInstance(error, given);
  return combining.test(error.schemaPath) || expressions.some((path) => path.every((part, index) => part === at[index]));
}
