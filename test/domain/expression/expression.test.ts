import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  elementNameProblem,
  evaluate,
  ExpressionError,
  expressionChecker,
  expressionsIn,
  type ExpressionType,
  render,
} from '../../../domain/expression/expression.ts';
import type { Json } from '../../../domain/json.ts';
import type { Scope } from '../../../domain/runbook.ts';

const scope: Scope = {
  inputs: { cluster: 'demo', nodesAtOnce: 2, ratio: 0.5, force: true, zones: ['a', 'b'] },
  steps: { preflight: { nodes: ['n1', 'n2'] }, 'sign-drain': { plan: { pods: 3 } } },
  target: 'eks/eu-central-1/demo',
};

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
  return 'no error';
}

describe('rendering', () => {
  test.each<[string, Json, Json]>([
    ['a whole expression keeps its type', '${inputs.nodesAtOnce}', 2],
    ['a list stays a list', '${steps.preflight.nodes}', ['n1', 'n2']],
    ['integers can be calculated with', '${inputs.nodesAtOnce * 2 + 1}', 5],
    ['whole and broken numbers mix', '${inputs.nodesAtOnce * inputs.ratio}', 1],
    [
      'an expression within text becomes text',
      'Drain ${steps.preflight.nodes.size()} nodes of ${inputs.cluster}?',
      'Drain 2 nodes of demo?',
    ],
    ['a list within text becomes JSON', 'Nodes ${steps.preflight.nodes}', 'Nodes ["n1","n2"]'],
    ['objects and arrays are walked', { a: ['${inputs.cluster}', 1, null, true] }, { a: ['demo', 1, null, true] }],
    ['an id with a dash is read by its quoted name', '${steps["sign-drain"].plan.pods}', 3],
    ['$${ stands for ${', 'costs $${x} and ${inputs.cluster}', 'costs ${x} and demo'],
    ['braces and quotes inside of an expression are its own', '${ {"a": "}"}["a"] + \'"}\' }', '}"}'],
    ['text without an expression stays as it is', 'a } { $x', 'a } { $x'],
    ['an absent optional property is left out', { a: '${inputs.?version}', b: 1 }, { b: 1 }],
    ['an absent optional can be given a value', '${inputs.?version.orValue("latest")}', 'latest'],
    ['the target can be referred to', '${target}', 'eks/eu-central-1/demo'],
  ])('%s', (_title, template, expected) => {
    expect(render(template, scope)).toEqual(expected);
  });

  test.each([
    ['${inputs.nope}', 'Expression "inputs.nope": No such key: nope.'],
    ['${nope}', 'Expression "nope": variable "nope" does not exist. There are: inputs, steps, target.'],
    ['${1 + }', 'Expression "1 + ": Unexpected token: EOF.'],
    ['${}', 'Expression "": is empty.'],
    ['${inputs.cluster', 'Expression "inputs.cluster": the closing brace of ${…} is missing; write $${ for a plain ${.'],
    ['${9223372036854775807}', 'Expression "9223372036854775807": gives 9223372036854775807, which is too large for a JSON number.'],
    ['${timestamp("2026-01-01T00:00:00Z")}', /gives a value that JSON cannot hold; turn it into text with string/],
    ['v${inputs.?version}', 'Expression "inputs.?version": has no value to put into a text; add .orValue("…").'],
    ['${inputs.nodesAtOnce / 0}', 'Expression "inputs.nodesAtOnce / 0": division by zero.'],
    ['${[1].map(a, [1].map(b, [1].map(c, c)))}', /macros such as map\(\) may be nested 2 deep at most/],
  ])('%s is refused in words', (template, message) => {
    expect(messageOf(() => render(template, scope))).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
  });

  test('long expressions and texts of many expressions are refused', () => {
    expect(messageOf(() => evaluate(`${'1+'.repeat(600)}1`, scope))).toMatch(/has 1201 characters; at most 1000 are allowed/);
    expect(messageOf(() => render('${1}'.repeat(21), scope))).toMatch(/one text holds at most 20 expressions/);
  });

  test('lists of another realm, as a workflow sandbox sees them, count as lists', () => {
    const inputs = runInNewContext('({ nodes: ["n1", "n2"] })') as Scope['inputs'];
    expect(render('${inputs.nodes.size()}', { inputs, steps: {}, target: '' })).toBe(2);
  });

  test('a condition gives its value', () => {
    expect(evaluate('inputs.nodesAtOnce > 1 && "a" in inputs.zones', scope)).toBe(true);
  });

  test('elements of lists are variables of their own, and keep their types', () => {
    const elements = { node: 'n1', pool: { name: 'blue', size: 3 } };
    expect(render({ nodes: ['${node}'], size: '${pool.size + 1}' }, { ...scope, elements })).toEqual({ nodes: ['n1'], size: 4 });
    expect(render('${inputs.zones.map(node, node + "!")} ${node}', { ...scope, elements })).toBe('["a!","b!"] n1');
    expect(messageOf(() => render('${nod}', { ...scope, elements }))).toBe(
      'Expression "nod": variable "nod" does not exist. There are: inputs, steps, target, node, pool. Did you mean "node"?',
    );
    expect(messageOf(() => render('${node}', scope))).toMatch(/variable "node" does not exist/);
    expect(messageOf(() => render('${1}', { ...scope, elements: { steps: 'x' } }))).toMatch(/as the name of an element, it is taken/);
  });

  test.each(['node', 'item', 'size', 'toString', '_x1'])('%s can be the name of an element', (name) => {
    expect(elementNameProblem(name)).toBeUndefined();
    expect(render(`\${${name}}`, { ...scope, elements: { [name]: 'x' } })).toBe('x');
  });

  test.each([
    'inputs',
    'steps',
    'target',
    'in',
    'true',
    'null',
    'for',
    'map',
    'type',
    'string',
    'optional',
    '__proto__',
    'a-b',
    'a.b',
    '1a',
    '',
  ])('"%s" cannot be the name of an element', (name) => {
    expect(elementNameProblem(name)).toMatch(/^(is taken|means something)/);
  });

  test('values of the scope never act as templates', () => {
    const tricky: Scope = { inputs: { name: '${target}' }, steps: {}, target: 'secret' };
    expect(render('x ${inputs.name}', tricky)).toBe('x ${target}');
  });

  test('the prototype of objects is out of reach', () => {
    expect(messageOf(() => evaluate('inputs.constructor', scope))).toBe('Expression "inputs.constructor": No such key: constructor.');
    const rendered = render(JSON.parse('{"__proto__": {"polluted": "${inputs.cluster}"}}') as Json, scope) as object;
    expect(Object.getPrototypeOf(rendered)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('any text is rendered or refused with an ExpressionError', () => {
    const marks = ['${', '}', '$', '{', '"', "'", '\\', 'inputs.cluster', 'r"', ' + ', '1', '[', ']', '.?', 'has(', ')', 'é'];
    const piece = fc.constantFrom(...marks);
    const anyText = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
    );
    fc.assert(fc.property(anyText, (text) => messageOf(() => render(text, scope)) !== ''));
  });

  test('any JSON without a dollar sign is rendered as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(!JSON.stringify(value).includes('$'));
        expect(render(value as Json, scope)).toEqual(value);
      }),
    );
  });

  test('any input comes through a whole expression unchanged', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (given) => {
        fc.pre(!JSON.stringify(given).includes('__proto__'));
        // JSON knows no -0.
        const value = JSON.parse(JSON.stringify(given)) as Json;
        expect(render('${inputs.value}', { inputs: { value }, steps: {}, target: '' })).toEqual(value);
      }),
    );
  });
});

test('expressions are found with their place in the text', () => {
  expect(expressionsIn('a ${b} $${c} ${"}"}')).toEqual([
    { expression: 'b', start: 4, end: 5 },
    { expression: '"}"', start: 15, end: 18 },
  ]);
});

describe('the static check', () => {
  const check = expressionChecker({
    inputs: {
      fields: {
        cluster: { type: 'string' },
        count: { type: 'int' },
        version: { type: 'string', mayBeAbsent: true },
        anything: {},
      },
    },
    steps: {
      fields: {
        preflight: { fields: { nodes: { type: 'list<string>' } } },
        'sign-drain': { refusal: 'a hold has no outputs.' },
        'roll-out': { fields: { nodes: { type: 'list<string>' } }, mayBeAbsent: true },
      },
    },
    node: { type: 'string' },
    later: { refusal: 'there is none yet.' },
  });

  test.each([
    ['node + inputs.cluster', 'string'],
    ['steps.preflight.nodes.exists(later, later == node)', 'bool'],
    ['inputs.cluster', 'string'],
    ['inputs["cluster"]', 'string'],
    ['inputs.count + 1', 'int'],
    ['inputs.count * 1.5', 'double'],
    ['inputs.anything', 'dyn'],
    ['steps.preflight.nodes', 'list<string>'],
    ['steps.preflight.nodes.filter(n, n != inputs.cluster).size() > 0', 'bool'],
    ['inputs.?version', 'optional<string>'],
    ['inputs.?version.orValue("x")', 'string'],
    ['has(inputs.version) ? inputs.version : "x"', 'string'],
    ['steps[?"roll-out"].nodes.orValue([])', 'list<string>'],
  ])('%s is of type %s', (expression, type) => {
    expect(check(expression)).toBe(type);
  });

  test.each([
    ['inputs.clutser', 7, 'inputs.clutser does not exist. Did you mean "cluster"?'],
    ['inputs.?versoin', 8, 'inputs.versoin does not exist. Did you mean "version"?'],
    ['inptus.cluster', 0, 'variable "inptus" does not exist. There are: inputs, steps, node. Did you mean "inputs"?'],
    ['1 + later', 4, 'later: there is none yet.'],
    ['later.name', 0, 'later: there is none yet.'],
    ['node + 1', 0, 'no such overload: string + int.'],
    ['steps.nope', 6, 'steps.nope does not exist. There are: preflight, sign-drain, roll-out.'],
    ['1 + steps.sign-drain', 10, 'a name with "-" is read as a subtraction; write steps["sign-drain"].'],
    ['steps["sign-drain"].plan', 6, 'steps["sign-drain"]: a hold has no outputs.'],
    [
      'inputs.version',
      7,
      'inputs.version may be absent; write inputs.?version to leave the value out then, or inputs.?version.orValue(…).',
    ],
    ['inputs.count + inputs.cluster', 0, 'no such overload: int + string.'],
    ['inputs.cluster.length', 15, "Cannot index type 'string'."],
    ['steps.preflight.nodes.map(n, n + inputs.clutser)', 40, 'inputs.clutser does not exist. Did you mean "cluster"?'],
    ['1 +', 3, 'Unexpected token: EOF.'],
    ['1 + inputs', 0, 'no such overload: int + map.'],
    ['1 + steps.preflight', 0, 'no such overload: int + map.'],
  ])('%s is refused at the place of the mistake', (expression, at, problem) => {
    let error: unknown;
    try {
      check(expression);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ExpressionError);
    expect(error).toMatchObject({ at, problem, expression });
  });
});

describe('names that nobody should give', () => {
  const odd = ['check(all)', 'a,b', 'a>b', 'list<int>', 'A', '$x', ' ', '', '"', '\\', '\u2028', '__proto__', 'constructor'];

  test.each(odd)('%j may be that of a field, and of one inside of it', (name) => {
    const named = (type: ExpressionType): ExpressionType => ({ fields: Object.fromEntries([[name, type]]) });
    const check = expressionChecker({ steps: named(named({ type: 'list<string>' })) });
    const field = `[${JSON.stringify(name)}]`;
    expect(check(`steps${field}${field}`)).toBe('list<string>');
    expect(check(`steps${field}`)).toBe('map');
  });
});

describe('what an expression may cost', () => {
  const nodes = Array.from({ length: 5_000 }, (_, index) => `ip-10-0-${index >> 8}-${index & 255}.eu-central-1.compute.internal`);
  const large: Scope = { inputs: { nodes, others: [...nodes], text: 'a'.repeat(200_000), list: [nodes] }, steps: {}, target: '' };
  const tooMuch = /takes more than 3000000 steps; make the lists and texts in it shorter|makes a text of more than|gives more than 1048576/;

  test.each<[string, Json]>([
    ['inputs.nodes.filter(n, !(n in inputs.others)).size()', 0],
    ['inputs.nodes.all(n, n.matches("^ip-[0-9-]+[.]"))', true],
    ['inputs.nodes.map(n, n.contains("-7.")).filter(n, n).size()', 20],
    ['inputs.nodes.join(" ").size()', nodes.join(' ').length],
    ['inputs.nodes.map(n, inputs.nodes.size()).size()', 5_000],
  ])('%s is well within it', (expression, expected) => {
    expect(evaluate(expression, large)).toEqual(expected);
  });

  test.each([
    'inputs.nodes.map(n, inputs.nodes.map(m, n == m)).size()',
    'inputs.nodes.exists(n, inputs.nodes.exists(m, n + m == ""))',
    'inputs.nodes.all(n, inputs.nodes.exists(m, m == "") || true)',
    'inputs.nodes.map(n, inputs.text)',
    'inputs.nodes.map(n, inputs.text + n).size()',
    'inputs.nodes.map(n, inputs.text.upperAscii()).size()',
    'inputs.nodes.map(n, inputs.list in [inputs.list]).size()',
    'inputs.text.split("").map(c, inputs.text.split("")).size()',
    'inputs.nodes.join(inputs.text).size()',
    'inputs.text + inputs.text + inputs.text + inputs.text + inputs.text + inputs.text == ""',
    '[inputs.text, inputs.text, inputs.text, inputs.text, inputs.text, inputs.text]',
    'inputs.nodes.map(n, inputs.text.matches("^(a+)+$")).size()',
  ])('%s is refused before it costs more', (expression) => {
    expect(messageOf(() => evaluate(expression, large))).toMatch(tooMuch);
  });

  test('is counted for all that one template gives together', () => {
    const template = Array<Json>(10).fill('${inputs.text}');
    expect(messageOf(() => render(template, large))).toMatch(/^Expression "inputs.text": gives more than 1048576 characters/);
    expect(render(template.slice(0, 5), large)).toHaveLength(5);
  });
});

describe('regular expressions', () => {
  test.each<[string, boolean]>([
    ['"aaaa!".matches("^(a+)+$")', false],
    ['"aaaa".matches("^(a+)+$")', true],
    ['[inputs.cluster].all(x, x.matches("em"))', true],
    ['"x".matches("(?i)X") && ["a", "b"].join("-").matches("^a-b$")', true],
  ])('%s is %s', (expression, expected) => {
    expect(evaluate(expression, scope)).toBe(expected);
    expect(expressionChecker({ inputs: {} })(expression)).toBe('bool');
  });

  test('take time that grows with the text, not with its square or worse', () => {
    const text = `${'a'.repeat(100_000)}!`;
    expect(evaluate('inputs.text.matches("^(a+)+$")', { inputs: { text }, steps: {}, target: '' })).toBe(false);
  });

  test.each([
    ['"a".matches("(")', /Expression .*: cannot be evaluated: error parsing regexp: missing closing \)/],
    ['"a".matches("(?=a)")', /cannot be evaluated: error parsing regexp/],
    ['inputs.zones.matches("a")', /found no matching overload for 'list\.matches\(string\)'/],
    ['[1].join("")', /found no matching overload for 'list\.join\(string\)'/],
  ])('%s is refused in words', (expression, problem) => {
    expect(messageOf(() => evaluate(expression, scope))).toMatch(problem);
  });
});
