import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import type { Json, JsonObject } from '../../../domain/json.ts';
import { actionNames, findAction } from '../../../runbooks/actions/index.ts';
import { readRunbook, shippedRunbooks } from '../../../runbooks/library.ts';
import { configurationJsonSchema, runbookJsonSchema, scheduleJsonSchema } from '../../../runbooks/grammar/json-schema.ts';

const formats = { 'date-time': true } as const;
/** Tells of values whether a schema accepts them; what is compiled once takes a quarter of a second. */
const judge = (schema: JsonObject): ((value: unknown) => boolean) => new Ajv2020({ strict: false, formats }).compile(schema);

describe('the JSON Schema of runbooks', () => {
  const schema = runbookJsonSchema();
  const accepts = judge(schema);
  const runbookWith = (step: object): object => ({
    apiVersion: 'holdpoint.dev/v1',
    kind: 'Runbook',
    metadata: { name: 'a', title: 'a' },
    target: 'eks/eu-central-1/a',
    steps: [{ id: 'a', ...step }],
  });

  test('is the one that the shipped runbooks point to', () => {
    const file = new URL('../../../runbooks/schema/runbook.schema.json', import.meta.url);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(schema);
  });

  test('accepts the shipped runbooks', () => {
    for (const name of shippedRunbooks()) expect(accepts(parse(readRunbook(name).text))).toBe(true);
  });

  test('of schedules is the one that the example points to, and accepts it', () => {
    const file = new URL('../../../runbooks/schema/schedule.schema.json', import.meta.url);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(scheduleJsonSchema());
    const example = new URL('../../../examples/schedules/monthly-update.yaml', import.meta.url);
    expect(judge(scheduleJsonSchema())(parse(readFileSync(example, 'utf8')))).toBe(true);
  });

  test('describes every property', () => {
    expect(propertiesWithoutDescription(schema)).toEqual([]);
    expect(propertiesWithoutDescription(scheduleJsonSchema())).toEqual([]);
    expect(propertiesWithoutDescription(configurationJsonSchema())).toEqual([]);
  });

  test.each<[boolean, string, object]>([
    [true, 'a value of the right type', { uses: 'kubernetes.drain', with: { nodes: ['a'], nodesAtOnce: 2 } }],
    [true, 'expressions in the place of values', { uses: 'kubernetes.drain', with: { nodes: '${inputs.n}', nodesAtOnce: '${1}' } }],
    [true, 'expressions in a list', { uses: 'kubernetes.cordon', with: { nodes: ['a', '${inputs.n}'] } }],
    [true, 'a hold', { hold: 'p', question: 'Go?' }],
    [false, 'text in the place of a number', { uses: 'kubernetes.drain', with: { nodes: ['a'], nodesAtOnce: 'two' } }],
    [false, 'the input of another action', { uses: 'kubernetes.cordon', with: { nodes: ['a'], nodesAtOnce: 2 } }],
    [false, 'a missing input', { uses: 'eks.deleteNodegroup' }],
    [false, 'an unknown action', { uses: 'kubernetes.dance' }],
    [true, 'a runbook', { runbook: './other.yaml', with: { nodes: '${inputs.n}' } }],
    [true, 'a list of elements', { forEach: ['a'], as: 'node', concurrency: 2, uses: 'kubernetes.cordon', with: { nodes: ['${node}'] } }],
    [true, 'a list from an expression', { forEach: '${inputs.n}', as: 'node', runbook: 'node-group-update', if: 'true' }],
    [true, 'a rollback', { uses: 'eks.preflight', onFailure: 'undo' }],
    [false, 'a rollback that there is not', { uses: 'eks.preflight', onFailure: 'retry' }],
    [false, 'a list that is none', { forEach: 'nodes', uses: 'eks.preflight' }],
    [false, 'a name without a list', { as: 'node', uses: 'eks.preflight' }],
    [false, 'concurrency without a list', { concurrency: 2, uses: 'eks.preflight' }],
    [false, 'concurrency of runbooks', { forEach: ['a'], concurrency: 2, runbook: './other.yaml' }],
    [false, 'an absolute path', { runbook: '/other.yaml' }],
    [false, 'a runbook that uses an action', { runbook: './other.yaml', uses: 'eks.preflight' }],
    [false, 'a hold that carries out a runbook', { hold: 'p', runbook: './other.yaml' }],
    [false, 'a hold that uses an action', { hold: 'p', uses: 'eks.preflight' }],
    [false, 'neither an action nor a hold', {}],
  ])('gives %s for %s', (expected, _title, step) => {
    expect(accepts(runbookWith(step))).toBe(expected);
  });
});

test('actions are found by their names only', () => {
  for (const name of actionNames()) expect(findAction(name)?.name).toBe(name);
  expect(findAction('toString')).toBeUndefined();
});

function propertiesWithoutDescription(schema: Json, path = ''): string[] {
  if (schema === null || typeof schema !== 'object') return [];
  if (Array.isArray(schema)) return schema.flatMap((item, index) => propertiesWithoutDescription(item, `${path}/${index}`));
  return Object.entries(schema).flatMap(([key, value]) => {
    const inside = propertiesWithoutDescription(value, `${path}/${key}`);
    // Under `if` a property is only compared.
    if (key !== 'properties' || path.endsWith('/if')) return inside;
    const bare = Object.entries(value as Record<string, JsonObject>).filter(([, property]) => !property.description);
    return [...inside, ...bare.map(([name]) => `${path}/${key}/${name}`)];
  });
}
