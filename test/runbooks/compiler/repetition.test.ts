import { describe, expect, test } from '@jest/globals';
import { compileRunbook } from '../../../runbooks/compiler/compile.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';

const head = `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: test, title: Test }
inputs:
  type: object
  required: [nodes, count]
  properties:
    nodes: { type: array, items: { type: string } }
    count: { type: integer }
    more: { type: array, items: { type: string } }
target: eks/eu-central-1/demo
steps:
  - { id: sign, hold: p }
`;
/** A runbook whose only step stands in line 14. */
const drain = (keys: string, inside = "nodes: ['${node}']"): string =>
  `${head}  - { id: drain, uses: kubernetes.drain, ${keys}, with: { ${inside} } }\n`;

function problemsOf(text: string): string[] {
  return compileRunbook(text, 'r.yaml').problems.map(formatProblem);
}

describe('a step over a list', () => {
  test('is compiled with its list, the name of its element, and how many go at the same time', () => {
    const { runbook, problems } = compileRunbook(drain('forEach: "${inputs.nodes}", as: node, concurrency: 3'), 'r.yaml');
    expect(problems).toEqual([]);
    expect(runbook?.steps[1]).toMatchObject({ forEach: { items: '${inputs.nodes}', as: 'node' }, concurrency: 3, onFailure: 'stuck' });
  });

  test.each<[string, string]>([
    ['an element without a name is `item`', drain('forEach: "${inputs.nodes}"', "nodes: ['${item}']")],
    ['a list that is written out', drain('forEach: [a, b], as: node')],
    ['a list with expressions in it', drain('forEach: [a, "${inputs.nodes[0]}"], as: node')],
    ['elements that are maps', drain('forEach: [{ name: a, at: 1 }], as: node', "nodes: ['${node.name}'], nodesAtOnce: '${node.at}'")],
    ['a list that may be absent, with another in its place', drain('forEach: "${inputs.?more.orValue([])}", as: node')],
    ['a number from an expression', drain('forEach: "${inputs.nodes}", as: node, concurrency: "${inputs.count + 1}"')],
    ['a condition on the list', drain('forEach: "${inputs.nodes}", as: node, if: inputs.nodes.size() > 1')],
    [
      'a condition with a variable of the same name',
      drain('forEach: "${inputs.nodes}", as: node, if: "inputs.nodes.exists(node, node == \'a\')"'),
    ],
    ['lists of lists', drain('forEach: [[a, b], [c]], as: node', "nodes: '${node}'")],
  ])('may have %s', (_title, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each<[string, string, string]>([
    [
      'a text',
      drain('forEach: nodes, as: node'),
      'r.yaml:14:51 error steps[1].forEach: Must be a list, or one expression that gives a list',
    ],
    ['a number', drain('forEach: 3, as: node'), 'r.yaml:14:51 error steps[1].forEach: Must be a list, or one expression that gives a list'],
    ['an empty list', drain('forEach: [], as: node'), 'r.yaml:14:51 error steps[1].forEach: Must have at least 1 entries.'],
    [
      'an expression of another type',
      drain('forEach: "${inputs.count}", as: node'),
      'r.yaml:14:51 error steps[1].forEach: Must be a list, but the expression gives int.',
    ],
    [
      'text behind the expression',
      drain('forEach: "${inputs.nodes}!", as: node'),
      'r.yaml:14:51 error steps[1].forEach: Must be a list, but the expression gives string.',
    ],
    [
      'a list that may be absent',
      drain('forEach: "${inputs.?more}", as: node'),
      'r.yaml:14:51 error steps[1].forEach: Is required, but the expression may give nothing; add .orValue(…).',
    ],
    [
      'an undefined variable',
      drain('forEach: "${inputs.nodse}", as: node'),
      'r.yaml:14:61 error steps[1].forEach: Expression "inputs.nodse": inputs.nodse does not exist. Did you mean "nodes"?',
    ],
    [
      'its own element as the list',
      drain('forEach: "${node}", as: node'),
      'r.yaml:14:54 error steps[1].forEach: Expression "node": node: there is no element here yet: this is evaluated once, before',
    ],
    [
      'an element twice',
      drain('forEach: [a, b, a], as: node'),
      'r.yaml:14:58 error steps[1].forEach[2]: "a" is in the list already, at [0]',
    ],
    [
      'more elements than a step may have',
      drain(`forEach: [${Array.from({ length: 1001 }, (_, index) => `n${index}`).join(',')}], as: node`),
      'r.yaml:14:51 error steps[1].forEach: Must have at most 1000 entries.',
    ],
    [
      'the element in its condition',
      drain('forEach: "${inputs.nodes}", as: node, if: node != "a"'),
      'r.yaml:14:84 error steps[1].if: Expression "node != "a"": node: there is no element here yet',
    ],
    [
      'the element in its concurrency',
      drain('forEach: "${inputs.nodes}", as: node, concurrency: "${node}"'),
      'r.yaml:14:96 error steps[1].concurrency: Expression "node": node: there is no element here yet',
    ],
    [
      'a name that is a variable',
      drain('forEach: [a], as: steps'),
      'r.yaml:14:60 error steps[1].as: The name "steps" is taken: expressions',
    ],
    ['a name of the language', drain('forEach: [a], as: map'), 'r.yaml:14:60 error steps[1].as: The name "map" means something in the'],
    ['a keyword of the language', drain('forEach: [a], as: in'), 'r.yaml:14:60 error steps[1].as: The name "in" means something in the'],
    ['a name that is no word', drain('forEach: [a], as: a-b'), 'r.yaml:14:60 error steps[1].as: Must be a name of letters, digits and `_`'],
    [
      'a misspelt name of its element',
      drain('forEach: [a], as: node', "nodes: ['${nod}']"),
      'r.yaml:14:85 error steps[1].with.nodes[0]: Expression "nod": variable "nod" does not exist.',
    ],
    [
      'an element of the wrong type',
      drain('forEach: [1, 2], as: node'),
      'r.yaml:14:85 error steps[1].with.nodes[0]: Must be text, but the expression gives int.',
    ],
    ['no concurrency', drain('forEach: [a], as: node, concurrency: 0'), 'r.yaml:14:79 error steps[1].concurrency: Must be at least 1.'],
    [
      'too much concurrency',
      drain('forEach: [a], as: node, concurrency: 101'),
      'r.yaml:14:79 error steps[1].concurrency: Must be at most 100.',
    ],
    ['half a step', drain('forEach: [a], as: node, concurrency: 1.5'), 'r.yaml:14:79 error steps[1].concurrency: Must be'],
    [
      'a word as concurrency',
      drain('forEach: [a], as: node, concurrency: two'),
      'r.yaml:14:79 error steps[1].concurrency: Must be a whole number',
    ],
    [
      'concurrency that is a list',
      drain('forEach: [a], as: node, concurrency: "${inputs.nodes}"'),
      'r.yaml:14:79 error steps[1].concurrency: Must be an integer, but the expression gives list<string>.',
    ],
    ['a name without a list', drain('as: node', 'nodes: [a]'), 'r.yaml:14:42 error steps[1].as: `as` belongs to a `forEach`'],
    [
      'concurrency without a list',
      drain('concurrency: 2', 'nodes: [a]'),
      'r.yaml:14:42 error steps[1].concurrency: `concurrency` belongs to',
    ],
  ])('is refused for %s', (_title, text, expected) => {
    expect(problemsOf(text).map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });
});

describe('what later steps see of a step over a list', () => {
  const list = drain('forEach: "${inputs.nodes}", as: node');

  test.each([
    ['the outputs of each element', `${list}  - { id: x, uses: kubernetes.cordon, with: { nodes: "\${steps.drain.items[0].nodes}" } }\n`],
    [
      'a list made of them',
      `${list}  - { id: x, uses: kubernetes.cordon, with: { nodes: "\${steps.drain.items.map(one, one.nodes[0])}" } }\n`,
    ],
    ['their plans, in the question above it', list.replace('hold: p }', 'hold: p, question: "${steps.drain.items[0].plan.pods}?" }')],
  ])('is %s', (_title, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    [
      'an output of its own',
      `${list}  - { id: x, uses: kubernetes.cordon, with: { nodes: "\${steps.drain.nodes}" } }\n`,
      'r.yaml:15:69 error steps[2].with.nodes: Expression "steps.drain.nodes": steps.drain.nodes: the step has one for each element of ' +
        'its list; read it from steps.drain.items.',
    ],
    [
      'a plan of its own',
      list.replace('hold: p }', 'hold: p, question: "${steps.drain.plan.pods}?" }'),
      'r.yaml:13:51 error steps[0].question: Expression "steps.drain.plan.pods": steps.drain.plan: the step has one for each element of ' +
        'its list; read it from steps.drain.items.',
    ],
    [
      'its element',
      `${list}  - { id: x, uses: kubernetes.cordon, with: { nodes: ["\${node}"] } }\n`,
      'r.yaml:15:58 error steps[2].with.nodes[0]: Expression "node": variable "node" does not exist. There are: inputs, steps, target.',
    ],
    [
      'anything of it where it may be left out',
      `${drain('forEach: "${inputs.nodes}", as: node, if: inputs.count > 1')}` +
        '  - { id: x, uses: kubernetes.cordon, with: { nodes: "${steps.drain.items[0].nodes}" } }\n',
      'r.yaml:15:63 error steps[2].with.nodes: Expression "steps.drain.items[0].nodes": steps.drain may be absent; write steps.?drain to ' +
        'leave the value out then, or steps.?drain.orValue(…).',
    ],
  ])('is not %s', (_title, text, expected) => {
    expect(problemsOf(text)).toEqual([expected]);
  });
});
