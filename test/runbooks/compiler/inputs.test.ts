import { describe, expect, test } from '@jest/globals';
import type { Json, JsonObject } from '../../../domain/json.ts';
import { checkInputs, parseInputArguments, targetOf } from '../../../runbooks/compiler/inputs.ts';

const schema: JsonObject = {
  type: 'object',
  required: ['cluster'],
  properties: {
    cluster: { type: 'string', minLength: 2 },
    nodesAtOnce: { type: 'integer', minimum: 1, default: 1 },
    ratio: { type: 'number' },
    force: { type: 'boolean' },
    zones: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } },
    ports: { type: 'array', items: { type: 'integer' } },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
  },
};
const runbook = { inputs: schema };
/** Far more than RE2 needs; JavaScript would not come to an end. */
const patienceMs = 10_000;

describe('the inputs of a run', () => {
  test('get their defaults, and what was given is left alone', () => {
    const given = { cluster: 'demo' };
    expect(checkInputs(runbook, given)).toEqual({ inputs: { cluster: 'demo', nodesAtOnce: 1 }, problems: [] });
    expect(given).toEqual({ cluster: 'demo' });
  });

  test.each<[string, JsonObject, string, string]>([
    ['a missing one', {}, 'cluster', 'Is missing.'],
    [
      'an unknown one',
      { cluster: 'demo', nodesAtOnse: 2 },
      'nodesAtOnse',
      'There is no such input. Did you mean "nodesAtOnce"? There are: cluster, nodesAtOnce, ratio, force, zones, ports, labels.',
    ],
    ['one of the wrong type', { cluster: 'demo', nodesAtOnce: 'two' }, 'nodesAtOnce', 'Must be an integer.'],
    ['one out of bounds', { cluster: 'demo', nodesAtOnce: 0 }, 'nodesAtOnce', 'Must be >= 1.'],
    ['a value that is not offered', { cluster: 'demo', zones: ['a', 'c'] }, 'zones[1]', 'Must be one of "a", "b".'],
  ])('are refused for %s', (_title, given, path, message) => {
    expect(checkInputs(runbook, given).problems).toEqual([{ path, message }]);
  });

  test('are refused for keys, depths and numbers of values that they cannot be judged with', () => {
    const deep = JSON.parse('['.repeat(5000) + ']'.repeat(5000)) as Json;
    const path = `zones${'[0]'.repeat(32)}`;
    expect(checkInputs(runbook, { zones: deep }).problems).toEqual([{ path, message: 'Maps and lists are nested more than 32 deep.' }]);
    const many = checkInputs(runbook, { zones: Array<Json>(30_000).fill('a') }).problems;
    expect(many).toEqual([{ path: '', message: 'The inputs have more than 20000 values.' }]);
    for (const key of ['__proto__', 'valueOf', 'constructor']) {
      const given = JSON.parse(`{ "labels": { "${key}": 1 } }`) as JsonObject;
      expect(checkInputs(runbook, given).problems).toEqual([{ path: `labels.${key}`, message: `The key "${key}" is not allowed.` }]);
    }
  });

  test('are matched with a pattern in linear time, as RE2 does', () => {
    const pattern = {
      inputs: {
        type: 'object',
        properties: { name: { type: 'string', pattern: '^(a+)+$' }, zone: { pattern: '^[b-d]{2}$', type: 'string' } },
      },
    };
    const started = performance.now();
    expect(checkInputs(pattern, { name: `${'a'.repeat(50_000)}!`, zone: 'bd' }).problems).toEqual([
      { path: 'name', message: 'Must match pattern "^(a+)+$".' },
    ]);
    expect(performance.now() - started).toBeLessThan(patienceMs);
    expect(checkInputs(pattern, { name: 'aa', zone: 'be' }).problems.map(({ path }) => path)).toEqual(['zone']);
  });

  test('are all judged at once', () => {
    const { problems } = checkInputs(runbook, { nodesAtOnce: 0, force: 'x' });
    expect(problems.map((problem) => problem.path).sort()).toEqual(['cluster', 'force', 'nodesAtOnce']);
  });
});

describe('inputs of a command line', () => {
  test.each([
    ['cluster=demo', { cluster: 'demo' }],
    ['cluster=a=b', { cluster: 'a=b' }],
    ['cluster=12', { cluster: '12' }],
    ['nodesAtOnce=2', { nodesAtOnce: 2 }],
    ['ratio=-0.5', { ratio: -0.5 }],
    ['force=true', { force: true }],
    ['zones=a,b', { zones: ['a', 'b'] }],
    ['zones=["a"]', { zones: ['a'] }],
    ['ports=80,443', { ports: [80, 443] }],
    ['labels={"team":"web"}', { labels: { team: 'web' } }],
  ])('%s gets the type of the schema', (argument, given) => {
    expect(parseInputArguments([argument], schema)).toEqual({ given, problems: [] });
  });

  test('a text that does not fit is left for the check to refuse', () => {
    const { given } = parseInputArguments(['cluster=demo', 'nodesAtOnce=two'], schema);
    expect(checkInputs(runbook, given).problems).toEqual([{ path: 'nodesAtOnce', message: 'Must be an integer.' }]);
  });

  test('other forms and repetitions are refused', () => {
    expect(parseInputArguments(['cluster', '=x', 'force=true', 'force=false'], schema).problems).toEqual([
      { path: 'cluster', message: 'Must have the form name=value.' },
      { path: '=x', message: 'Must have the form name=value.' },
      { path: 'force', message: 'Is given twice.' },
    ]);
  });
});

describe('the target of a run', () => {
  const runbook = { target: 'eks/${inputs.region}/${inputs.cluster}', worksOn: ['eks'] };

  test('is filled in from the inputs', () => {
    expect(targetOf(runbook, { region: 'eu-central-1', cluster: 'demo' })).toBe('eks/eu-central-1/demo');
  });

  test.each([
    [{ region: 'eu-central-1', cluster: 'demo/other' }, /must have the form eks\/<region>\/<cluster>/],
    [{ region: '..', cluster: 'demo' }, /names the region "\.\.", which is no AWS region/],
    [{ region: 'eu-central-1', cluster: '' }, /names the cluster "", which is no name of an EKS cluster: 1 to 100 letters/],
    [{ region: 'eu-central-1', cluster: 'a b' }, /names the cluster "a b"/],
    [{ region: 'eu-central-1' }, /No such key: cluster/],
  ])('is refused for the inputs %j', (inputs, message) => {
    expect(() => targetOf(runbook, inputs)).toThrow(message);
  });
});
