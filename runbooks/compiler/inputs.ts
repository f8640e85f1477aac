import { Ajv, type ErrorObject } from 'ajv';
import ajvFormats from 'ajv-formats';
import type { ExpressionType } from '../../domain/expression/expression.ts';
import { render } from '../../domain/expression/expression.ts';
import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { CompiledRunbook } from '../../domain/runbook.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import { formatTarget, parseTarget } from '../../domain/target.ts';
import { formatPath, problemsMax, type ValuePath } from '../grammar/problem.ts';
import { typeWords } from '../grammar/shape.ts';

/** `name=value` arguments of one command line. */
export const inputArgumentsMax = 200;

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
  const inputs = structuredClone(given);
  const validate = newAjv().compile(closed(runbook.inputs));
  if (validate(inputs)) return { inputs, problems: [] };
  const names = Object.keys(propertiesOf(runbook.inputs));
  const problems = (validate.errors ?? []).slice(0, problemsMax).map((error) => inputProblem(error, names));
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
  const validate = newAjv().compile(closed(schema));
  if (validate(structuredClone(given))) return [];
  const names = Object.keys(propertiesOf(schema));
  const errors = (validate.errors ?? []).filter((error) => !hangsOnExpression(error, expressions));
  return errors.slice(0, problemsMax).map((error) => ({
    path: pathOfError(error),
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
    else if (given.has(name)) problems.push({ path: name, message: 'Is given twice.' });
    else given.set(name, typedValue(rest.join('='), propertiesOf(schema)[name]));
  }
  return { given: Object.fromEntries(given), problems };
}

/** The target of a run: `eks/<region>/<cluster>`. Throws an ExpressionError or a TargetError. */
export function targetOf(runbook: Pick<CompiledRunbook, 'target'>, inputs: JsonObject): string {
  const rendered = render(runbook.target, { inputs, steps: {}, target: '' });
  return formatTarget(parseTarget(typeof rendered === 'string' ? rendered : JSON.stringify(rendered)));
}

/** What is wrong with a runbook's input schema, by its path within the schema. */
export function inputSchemaProblems(schema: JsonObject): { path: ValuePath; message: string }[] {
  if (schema.type !== 'object') return [{ path: ['type'], message: 'Must be "object": inputs are given by name.' }];
  try {
    newAjv().compile(closed(schema));
  } catch (error) {
    return [{ path: [], message: `Is no valid JSON Schema: ${(error as Error).message}.` }];
  }
  return defaultProblems(schema);
}

/** The static types of the inputs, for expressions: an input without a default that is not required may be absent. */
export function inputTypes(schema: JsonObject): ExpressionType {
  if (schema.properties === undefined) return { fields: {} };
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields = Object.entries(propertiesOf(schema)).map(([name, property]) => {
    const mayBeAbsent = !required.includes(name) && property.default === undefined;
    return [name, { ...typeOf(property), mayBeAbsent }] as const;
  });
  return { fields: Object.fromEntries(fields) };
}

function newAjv(): Ajv {
  const ajv = new Ajv({ strict: true, strictTypes: true, strictTuples: true, allErrors: true, useDefaults: true, logger: false });
  ajvFormats.default(ajv);
  return ajv;
}

function closed(schema: JsonObject): JsonObject {
  return { additionalProperties: false, ...schema };
}

function propertiesOf(schema: JsonObject): Record<string, JsonObject> {
  const { properties } = schema;
  if (!isObject(properties)) return {};
  return Object.fromEntries(Object.entries(properties).filter((entry): entry is [string, JsonObject] => isObject(entry[1])));
}

function defaultProblems(schema: JsonObject): { path: ValuePath; message: string }[] {
  const problems: { path: ValuePath; message: string }[] = [];
  for (const [name, property] of Object.entries(propertiesOf(schema))) {
    if (property.default === undefined) continue;
    const { problems: found } = checkInputs({ inputs: { ...schema, required: [] } }, { [name]: property.default });
    const path = ['properties', name, 'default'];
    problems.push(...found.map(({ message }) => ({ path, message: `Does not fit the input: ${message}` })));
  }
  return problems;
}

function typeOf(property: JsonObject): ExpressionType {
  switch (property.type) {
    case 'string':
      return { type: 'string' };
    case 'integer':
      return { type: 'int' };
    case 'number':
      return { type: 'double' };
    case 'boolean':
      return { type: 'bool' };
    case 'array':
      return { type: isObject(property.items) ? `list<${typeOf(property.items).type ?? 'dyn'}>` : 'list<dyn>' };
    case 'object':
      return { type: 'map<string, dyn>' };
    default:
      return { type: 'dyn' };
  }
}

function typedValue(text: string, property: JsonObject | undefined): Json {
  switch (property?.type) {
    case 'integer':
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
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

function inputProblem(error: ErrorObject, names: string[]): InputProblem {
  return { path: formatPath(pathOfError(error)), message: messageOfError(error, names) };
}

function pathOfInstance({ instancePath }: ErrorObject): ValuePath {
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')));
}

/** Where the value is that is wrong, or that is not there but has to be. */
function pathOfError(error: ErrorObject): ValuePath {
  const { missingProperty, additionalProperty } = error.params as { missingProperty?: string; additionalProperty?: string };
  const name = error.keyword === 'required' ? missingProperty : error.keyword === 'additionalProperties' ? additionalProperty : undefined;
  return name === undefined ? pathOfInstance(error) : [...pathOfInstance(error), name];
}

function messageOfError(error: ErrorObject, names: string[]): string {
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'required':
      return 'Is missing.';
    case 'additionalProperties': {
      const known = pathOfInstance(error).length === 0 ? names : [];
      const among = known.length === 0 ? '' : ` There are: ${known.join(', ')}.`;
      return `There is no such input.${didYouMean(String(params.additionalProperty), known)}${among}`;
    }
    case 'type':
      return `Must be ${typeWords(String(params.type))}.`;
    case 'enum':
      return `Must be one of ${(params.allowedValues as Json[]).map((value) => JSON.stringify(value)).join(', ')}.`;
    default: {
      const message = error.message ?? 'is not valid';
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
    }
  }
}

const combining = /\/(anyOf|oneOf|allOf|not|if|then|else|dependentSchemas|dependencies|contains|propertyNames)(\/|$)/;

/** Whether an error may vanish once the expressions have values: it is at or inside one, or a rule that weighs several values. */
function hangsOnExpression(error: ErrorObject, expressions: ValuePath[]): boolean {
  if (expressions.length === 0) return false;
  const at = pathOfInstance(error);
  return combining.test(error.schemaPath) || expressions.some((path) => path.every((part, index) => part === at[index]));
}
