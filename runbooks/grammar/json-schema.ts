import type { Json, JsonObject } from '../../domain/json.ts';
import type { ActionDeclaration } from '../actions/declaration.ts';
import { actionNames, actions } from '../actions/index.ts';
import { jsonSchemaOf } from '../actions/input-schema.ts';
import { configurationGrammar } from '../configuration/configuration.ts';
import { runbookGrammar } from './runbook.ts';
import { scheduleGrammar } from './schedule.ts';

/** JSON Schema (draft 2020-12) of runbooks, for editors; `with` depends on `uses`. */
export function runbookJsonSchema(): JsonObject {
  const schema = jsonSchemaOf(runbookGrammar);
  const steps = (schema.properties as JsonObject).steps as JsonObject;
  const [action, hold, runbook] = (steps.items as JsonObject).anyOf as JsonObject[];
  const properties = action!.properties as Record<string, JsonObject>;
  properties.uses = { ...properties.uses, enum: actionNames() };
  const byAction = Object.values(actions).map((declaration) => conditionFor(declaration));
  const needsList = { dependentRequired: { as: ['forEach'], concurrency: ['forEach'] } };
  // Chosen by the key, an editor names the mistake; with anyOf it could only say that no kind of step fits.
  const other = { if: { required: ['runbook'] }, then: { ...runbook, ...needsList }, else: { ...action, ...needsList, allOf: byAction } };
  steps.items = { if: { required: ['hold'] }, then: hold!, else: other };
  return { title: 'Holdpoint runbook', ...schema };
}

/** JSON Schema (draft 2020-12) of holdpoint.yaml, for editors. */
export function configurationJsonSchema(): JsonObject {
  return { title: 'Holdpoint configuration', ...jsonSchemaOf(configurationGrammar) };
}

/** JSON Schema (draft 2020-12) of schedules, for editors. */
export function scheduleJsonSchema(): JsonObject {
  return { title: 'Holdpoint schedule', ...jsonSchemaOf(scheduleGrammar) };
}

function conditionFor({ name, summary, input }: ActionDeclaration): JsonObject {
  const { $schema: _, ...schema } = jsonSchemaOf(input);
  const withExpressions = orExpressions(schema);
  const then: JsonObject = { properties: { with: { description: summary, ...withExpressions } } };
  if (schema.required !== undefined) then.required = ['with'];
  return { if: { required: ['uses'], properties: { uses: { const: name } } }, then };
}

/** Any value of an action's input may be text with an expression in its place. */
function orExpressions(schema: JsonObject): JsonObject {
  const properties = Object.entries(schema.properties as Record<string, JsonObject>).map(([name, property]): [string, Json] => {
    const { description = '', default: fallback, ...literal } = property;
    if (literal.items !== undefined) literal.items = { anyOf: [literal.items, expression] };
    const either: JsonObject = { description, anyOf: [literal, expression] };
    return [name, fallback === undefined ? either : { ...either, default: fallback }];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

const expression: JsonObject = { type: 'string', pattern: '\\$\\{' };
