import { Ajv, type ErrorObject, type FuncKeywordDefinition, type Options, type ValidateFunction } from 'ajv';
import ajvFormats from 'ajv-formats';
import { RE2JS } from 're2js';
import type { ExpressionType } from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { messageOfError, pathOfError } from './input-error.ts';

/** Input schemas whose compiled form is kept: a worker and a composition see the same few over and over. */
const validatorsKeptMax = 64;

/**
 * The regular expressions of runbooks come from people who may only ask for a run. RE2 takes linear time for each of them, where
 * those of JavaScript can take for ever, and with them the whole worker.
 */
const linearRegExp = Object.assign((pattern: string) => RE2JS.compile(RE2JS.translateRegExp(pattern)), { code: 'new RegExp' });

const options: Options = {
  strict: true,
  strictTypes: true,
  strictTuples: true,
  allErrors: true,
  useDefaults: true,
  logger: false,
  code: { regExp: linearRegExp },
};
/** That of ajv compares each pair of objects, which takes time that grows with the square of their number. */
const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  errors: false,
  error: { message: 'must NOT have duplicate items' },
  validate: (isWanted: boolean, items: Json[]) =>
    !isWanted || new Set(items.map((item) => (typeof item === 'object' ? digestOf(item) : item))).size === items.length,
};
/** Judges schemas only: an instance keeps for ever what it has compiled. */
const judge = withFormats(new Ajv(options));
const validators = new Map<string, ValidateFunction>();

/** Errors of inputs that are given for a sound schema. Fills the defaults into `inputs`. */
export function errorsOfInputs(schema: JsonObject, inputs: JsonObject): ErrorObject[] {
  const validate = validatorOf(schema);
  return validate(inputs) ? [] : ofOneVariant(validate.errors ?? []);
}

/**
 * Of a value that may be one thing or another, what is wrong with it as the one that it is by its type; of no such one, that it fits
 * none.
 */
function ofOneVariant(errors: ErrorObject[]): ErrorObject[] {
  return errors.filter(({ instancePath, schemaPath, keyword }) => {
    const choice = errors.find(
      (one) => one.keyword === 'anyOf' && one.instancePath === instancePath && schemaPath.startsWith(one.schemaPath),
    );
    if (choice === undefined) return true;
    const ofVariants = errors.filter((one) => one !== choice && one.schemaPath.startsWith(choice.schemaPath));
    const isTyped = ofVariants.some((one) => one.keyword !== 'type' && one.instancePath === instancePath);
    return isTyped ? keyword !== 'type' && keyword !== 'anyOf' : keyword === 'anyOf';
  });
}

/** What is wrong with a runbook's input schema, by its path within the schema. */
export function inputSchemaProblems(schema: JsonObject): { path: ValuePath; message: string }[] {
  if (schema.type !== 'object') return [{ path: ['type'], message: 'Must be "object": inputs are given by name.' }];
  try {
    const [error] = judge.validateSchema(schema) ? [] : (judge.errors ?? []);
    if (error !== undefined)
      return [{ path: pathOfError(error, schema), message: `Is no valid JSON Schema: ${messageOfError(error, [])}` }];
    validatorOf(schema);
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

/** The schemas of the inputs by their names. */
export function propertiesOf(schema: JsonObject): Record<string, JsonObject> {
  const { properties } = schema;
  if (!isObject(properties)) return {};
  return Object.fromEntries(Object.entries(properties).filter((entry): entry is [string, JsonObject] => isObject(entry[1])));
}

/** Whether a value is a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withFormats(ajv: Ajv): Ajv {
  return ajvFormats.default(ajv.removeKeyword('uniqueItems').addKeyword(uniqueItems));
}

/** Throws where the schema is none. */
function validatorOf(schema: JsonObject): ValidateFunction {
  const text = JSON.stringify(schema);
  const known = validators.get(text);
  if (known !== undefined) return known;
  const ajv = withFormats(new Ajv({ ...options, meta: false, validateSchema: false }));
  // Schemas that refer to themselves or to each other can take exponential time, or never end.
  ajv.removeKeyword('$ref');
  const made = ajv.compile({ additionalProperties: false, ...schema });
  for (const oldest of validators.keys()) if (validators.size >= validatorsKeptMax) validators.delete(oldest);
  validators.set(text, made);
  return made;
}

/** All defaults are judged at once; rules that weigh several inputs are for the inputs of a run. */
function defaultProblems(schema: JsonObject): { path: ValuePath; message: string }[] {
  const properties = propertiesOf(schema);
  return errorsOfInputs(schema, {}).flatMap((error) => {
    const [name] = pathOfError(error, {});
    if (typeof name !== 'string' || properties[name]?.default === undefined) return [];
    return [{ path: ['properties', name, 'default'], message: `Does not fit the input: ${messageOfError(error, [])}` }];
  });
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
