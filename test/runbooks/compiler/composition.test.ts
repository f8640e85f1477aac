import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf, digestOfText } from '../../../domain/plan/plan.ts';
import { compileRunbook } from '../../../runbooks/compiler/compile.ts';
import type { Configuration } from '../../../runbooks/configuration/configuration.ts';
import { compositionBytesMax } from '../../../runbooks/grammar/runbook.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';
import type { NestedDocuments } from '../../../runbooks/compiler/reference.ts';

/** A runbook whose first step stands in line 9. */
function document(name: string, steps: string, inputs = '{ type: object, properties: {} }'): string {
  const head = `apiVersion: holdpoint.dev/v1\nkind: Runbook\nmetadata: { name: ${name}, title: Test }\n`;
  return `${head}inputs:\n  ${inputs}\n\ntarget: eks/eu-central-1/demo\nsteps:\n${steps}`;
}

const emptyInputs = `{ type: object, required: [nodes], properties: { nodes: { type: array, items: { type: string } }, \
nodesAtOnce: { type: integer, maximum: 100 }, size: { enum: [small, large] }, version: { type: string } } }`;
/** Checks the cluster, asks, and drains. */
const emptying = document(
  'emptying',
  `  - { id: check, uses: eks.preflight }
  - { id: sign, hold: p, question: 'Move \${steps.drain.plan.pods} pods?' }
  - { id: drain, uses: kubernetes.drain, with: { nodes: '\${inputs.nodes}' } }
`,
  emptyInputs,
);
/** Drains without asking. */
const blunt = document('blunt', "  - { id: drain, uses: kubernetes.drain, with: { nodes: ['a'] } }\n");
/** Only looks. */
const looking = document('looking', '  - { id: check, uses: eks.preflight }\n');

const topInputs = `{ type: object, required: [nodes, count], properties: { nodes: { type: array, items: { type: string } }, \
count: { type: integer }, version: { type: string } } }`;
const top = (steps: string): string => document('top', steps, topInputs);
const step = (keys: string): string => top(`  - { id: empty, runbook: ./emptying.yaml, ${keys} }\n`);

const files = (texts: Record<string, string>): NestedDocuments =>
  Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, { file: key.replace('./', 'dir/'), text }]));
const shelf = files({ './emptying.yaml': emptying, './blunt.yaml': blunt, './looking.yaml': looking });

function problemsOf(text: string, documents = shelf, configuration?: Configuration): string[] {
  return compileRunbook(text, 'dir/top.yaml', configuration, documents).problems.map(formatProblem);
}

describe('a step that carries out another runbook', () => {
  const sound = step("forEach: [a, b], as: node, if: inputs.count > 1, with: { nodes: ['${node}'] }");

  test('is compiled with that runbook in it', () => {
    const { runbook, problems } = compileRunbook(sound, 'dir/top.yaml', undefined, shelf);
    expect(problems).toEqual([]);
    expect(runbook?.steps).toMatchObject([
      {
        kind: 'runbook',
        id: 'empty',
        forEach: { items: ['a', 'b'], as: 'node' },
        if: 'inputs.count > 1',
        with: { nodes: ['${node}'] },
        runbook: { name: 'emptying', digest: digestOfText(emptying), steps: [{ id: 'check' }, { kind: 'hold' }, { id: 'drain' }] },
      },
    ]);
  });

  test('makes the digest of the one count for its own', () => {
    const digest = (documents: NestedDocuments): string | undefined =>
      compileRunbook(sound, 'dir/top.yaml', undefined, documents).runbook?.digest;
    const runbooks = { './emptying.yaml': digestOfText(emptying) };
    expect(digest(shelf)).toBe(digestOf({ text: digestOfText(sound), runbooks }));
    expect(digest(files({ './emptying.yaml': `${emptying}# another comment\n` }))).not.toBe(digest(shelf));
    const throughAnother = (text: string): string | undefined =>
      compileRunbook(top('  - { id: a, runbook: ./a.yaml }\n'), 'dir/top.yaml', undefined, {
        ...files({ './looking.yaml': text }),
        ...files({ './a.yaml': document('a', '  - { id: b, runbook: ./looking.yaml }\n') }),
      }).runbook?.digest;
    expect(throughAnother(looking)).toMatch(/^sha256:/);
    expect(throughAnother(`${looking}# x\n`)).not.toBe(throughAnother(looking));
  });

  test('finds a file by its path from the file that it stands in, however that is written', () => {
    const documents = files({
      './sub/a.yaml': document('a', '  - { id: b, runbook: ../looking.yaml }\n  - { id: c, runbook: ./../../outside.yaml }\n'),
      './looking.yaml': looking,
      '../outside.yaml': looking,
      looking,
    });
    const text = top(
      '  - { id: a, runbook: sub/a.yaml }\n  - { id: b, runbook: ././sub/../looking.yaml }\n  - { id: c, runbook: looking }\n',
    );
    const { runbook, problems } = compileRunbook(text, 'dir/top.yaml', undefined, documents);
    expect(problems).toEqual([]);
    expect(runbook?.steps).toHaveLength(3);
  });
});

describe('the runbook that a step names', () => {
  test.each<[string, string, string]>([
    [
      'does not come with Holdpoint',
      top('  - { id: a, runbook: node-group-updat }\n'),
      'dir/top.yaml:9:23 error steps[0].runbook: There is no runbook "node-group-updat". Did you mean "node-group-update"? There are: ',
    ],
    [
      'was not sent along',
      top('  - { id: a, runbook: node-group-update }\n'),
      'dir/top.yaml:9:23 error steps[0].runbook: The text of the runbook "node-group-update" did not come with this one; whoever sends',
    ],
    [
      'is no file',
      top('  - { id: a, runbook: ../no/such.yaml }\n'),
      'dir/top.yaml:9:23 error steps[0].runbook: The file "no/such.yaml" cannot be read; a path is relative to the folder of the file',
    ],
    [
      'has an absolute path',
      top('  - { id: a, runbook: /etc/runbook.yaml }\n'),
      'dir/top.yaml:9:23 error steps[0].runbook: Must be the name of a runbook, or a path relative to this file, such as ./other.yaml.',
    ],
    ['is no text', top('  - { id: a, runbook: [a] }\n'), 'dir/top.yaml:9:23 error steps[0].runbook: Must be text, but is a list.'],
    [
      'is the one that names it',
      top('  - { id: a, runbook: ./top.yaml }\n'),
      'dir/top.yaml:9:23 error steps[0].runbook: Goes in a circle: ./top.yaml → ./top.yaml.',
    ],
  ])('is refused where it %s', (_title, text, expected) => {
    expect(problemsOf(text).map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });

  test('is refused with its own mistakes at their places', () => {
    const documents = files({ './bad.yaml': blunt.replace('kubernetes.drain', 'kubernetes.drian') });
    const { runbook, problems } = compileRunbook(top('  - { id: a, runbook: ./bad.yaml }\n'), 'dir/top.yaml', undefined, documents);
    expect(runbook).toBeUndefined();
    expect(problems.map(formatProblem)).toEqual([
      expect.stringContaining('dir/bad.yaml:9:24 error steps[0].uses: There is no action "kubernetes.drian". Did you mean'),
    ]);
    expect(problemsOf(top('  - { id: a, runbook: ./bad.yaml }\n'), files({ './bad.yaml': ']' }))[0]).toMatch(/^dir\/bad\.yaml:1:1 error /);
  });

  test('may not lead back to one that it stands in', () => {
    const documents = files({
      './a.yaml': document('a', '  - { id: b, runbook: ./b.yaml }\n'),
      './b.yaml': document('b', '  - { id: a, runbook: ./a.yaml }\n'),
    });
    expect(problemsOf(top('  - { id: a, runbook: ./a.yaml }\n'), documents)).toEqual([
      'dir/b.yaml:9:23 error steps[0].runbook: Goes in a circle: ./a.yaml → ./b.yaml → ./a.yaml.',
    ]);
  });

  test('that comes with Holdpoint names no files', () => {
    const documents = files({ shipped: document('shipped', '  - { id: a, runbook: ./looking.yaml }\n'), './looking.yaml': looking });
    expect(problemsOf(top('  - { id: a, runbook: shipped }\n'), documents)).toEqual([
      'shipped:9:23 error steps[0].runbook: A runbook that comes with Holdpoint carries out others by their names only.',
    ]);
  });

  test('has its policies checked, too', () => {
    const configuration: Configuration = { people: {}, groups: {}, policies: {} };
    expect(problemsOf(step("with: { nodes: ['a'] }"), shelf, configuration)).toEqual([
      'dir/emptying.yaml:10:23 error steps[1].hold: There is no policy "p" in the configuration. The configuration has none.',
    ]);
  });
});

describe('limits', () => {
  const chain = (length: number): NestedDocuments =>
    files(
      Object.fromEntries(
        Array.from({ length }, (_, index) => {
          const next = index + 1 < length ? `./c${index + 1}.yaml` : './looking.yaml';
          return [`./c${index}.yaml`, document(`c${index}`, `  - { id: a, runbook: ${next} }\n`)];
        }),
      ),
    );

  test('three runbooks may stand inside of one another, not four', () => {
    const text = top('  - { id: a, runbook: ./c0.yaml }\n');
    expect(problemsOf(text, { ...shelf, ...chain(2) })).toEqual([]);
    expect(problemsOf(text, { ...shelf, ...chain(3) })).toEqual([
      'dir/c2.yaml:9:23 error steps[0].runbook: Runbooks stand 4 deep inside of one another below top.yaml; at most 3 may.',
    ]);
    // What has been compiled for a step before is too deep all the same.
    const again = top('  - { id: c, runbook: ./c1.yaml }\n  - { id: a, runbook: ./c0.yaml }\n');
    expect(problemsOf(again, { ...shelf, ...chain(3) })).toEqual([
      'dir/c0.yaml:9:23 error steps[0].runbook: Runbooks stand 4 deep inside of one another below top.yaml; at most 3 may.',
    ]);
    expect(problemsOf(text, { ...shelf, ...chain(5_000) })).toHaveLength(1);
  });

  test('two hundred steps may be in all of them together', () => {
    const many = (count: number): string => Array.from({ length: count }, (_, index) => `  - { id: s${index}, hold: p }\n`).join('');
    const text = top(`  - { id: a, runbook: ./many.yaml }\n  - { id: b, runbook: ./many.yaml }\n`);
    expect(problemsOf(text, files({ './many.yaml': document('many', many(99)) }))).toEqual([]);
    expect(problemsOf(text, files({ './many.yaml': document('many', many(100)) }))).toEqual([
      'dir/top.yaml:10:23 error steps[1].runbook: With those of this runbook there are 202 steps together; at most 200 are allowed.',
    ]);
    const all = Array.from({ length: 200 }, (_, index) => `  - { id: s${index}, runbook: ./many.yaml }\n`).join('');
    expect(problemsOf(top(all), files({ './many.yaml': document('many', many(199)) }))).toHaveLength(1);
  });

  test('all documents together have their size limited, each counted as often as it is carried out', () => {
    const large = `${looking}${'#'.repeat(200 * 1024)}\n`;
    const steps = Array.from({ length: 6 }, (_, index) => `  - { id: s${index}, runbook: ./large.yaml }\n`).join('');
    const [problem, ...others] = problemsOf(top(steps), files({ './large.yaml': large }));
    expect(problem).toMatch(new RegExp(`^dir/top.yaml:14:.* all documents have \\d+ bytes together; at most ${compositionBytesMax}`));
    expect(others).toEqual([]);
  });
});

describe('the inputs of the other runbook', () => {
  test.each<[string, string, string]>([
    ['a missing one', 'with: { version: x }', 'dir/top.yaml:9:44 error steps[0].with.nodes: Is missing.'],
    ['none at all', 'title: Empty', 'dir/top.yaml:9:5 error steps[0].with.nodes: Is missing.'],
    [
      'a misspelt one',
      'with: { nodes: [a], nodesAtonce: 2 }',
      'dir/top.yaml:9:64 error steps[0].with.nodesAtonce: There is no such input. Did you mean "nodesAtOnce"? There are: nodes',
    ],
    [
      'a misspelt one with an expression',
      'with: { nodes: [a], nodesAtonce: "${inputs.count}" }',
      'dir/top.yaml:9:64 error steps[0].with.nodesAtonce: There is no such input. Did you mean "nodesAtOnce"? There are: nodes',
    ],
    ['a value of the wrong type', 'with: { nodes: a }', 'dir/top.yaml:9:59 error steps[0].with.nodes: Must be a list.'],
    [
      'a value out of bounds',
      'with: { nodes: [a], nodesAtOnce: 101 }',
      'dir/top.yaml:9:77 error steps[0].with.nodesAtOnce: Must be <= 100.',
    ],
    [
      'a value that is not offered',
      'with: { nodes: [a], size: huge }',
      'dir/top.yaml:9:70 error steps[0].with.size: Must be one of "small", "large".',
    ],
    [
      'an expression of another type',
      'with: { nodes: "${inputs.count}" }',
      'dir/top.yaml:9:59 error steps[0].with.nodes: Must be a list of texts, but the expression gives int.',
    ],
    [
      'an expression of another type in a list',
      'with: { nodes: [a, "${inputs.count}"] }',
      'dir/top.yaml:9:63 error steps[0].with.nodes[1]: Must be text, but the expression gives int.',
    ],
    [
      'an expression that may give nothing',
      'with: { nodes: "${inputs.?version}" }',
      'dir/top.yaml:9:59 error steps[0].with.nodes: Is required, but the expression may give nothing; add .orValue(…).',
    ],
    [
      'an undefined variable',
      'with: { nodes: ["${inputs.nodse}"] }',
      'dir/top.yaml:9:70 error steps[0].with.nodes[0]: Expression "inputs.nodse": inputs.nodse does not exist. Did you mean "nodes"?',
    ],
    [
      'concurrency',
      'with: { nodes: [a] }, forEach: [a], concurrency: 2',
      'dir/top.yaml:9:80 error steps[0].concurrency: Runbooks are carried out one after another; `concurrency` belongs to the steps',
    ],
    [
      'a rollback',
      'with: { nodes: [a] }, onFailure: undo',
      'dir/top.yaml:9:66 error steps[0].onFailure: The steps of the other runbook say',
    ],
    [
      'an unknown key',
      'with: { nodes: [a] }, uzes: x',
      'dir/top.yaml:9:66 error steps[0].uzes: Unknown key. There are: id, title, runbook, with',
    ],
  ])('are refused for %s', (_title, keys, expected) => {
    expect(problemsOf(step(keys)).map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });

  test.each([
    ['what may be left out', 'with: { nodes: [a], version: "${inputs.?version}" }'],
    ['a value that is known only later', 'with: { nodes: [a], size: "${inputs.nodes[0]}", nodesAtOnce: "${inputs.count}" }'],
  ])('may be %s', (_title, keys) => {
    expect(problemsOf(step(keys))).toEqual([]);
  });

  test('are not judged by rules that weigh values against each other before all of them are known', () => {
    const either =
      '{ type: object, properties: { b: {} }, anyOf: [{ properties: { b: { const: x } } }, { properties: { b: { const: z } } }] }';
    const documents = files({ './either.yaml': document('either', '  - { id: check, uses: eks.preflight }\n', either) });
    const given = (inputs: string): string[] => problemsOf(top(`  - { id: e, runbook: ./either.yaml, with: ${inputs} }\n`), documents);
    expect(given('{ b: "${inputs.nodes[0]}" }')).toEqual([]);
    expect(given('{ b: y }').length).toBeGreaterThan(0);
  });
});

test('whatever the other runbook and the step that names it hold, there is a runbook or there are problems', () => {
  const pieces = [
    '${',
    '}',
    "'",
    ': ',
    '\n',
    '[',
    ']',
    '{',
    'forEach: x, ',
    'as: a, ',
    'hold',
    'runbook',
    './top.yaml',
    'steps',
    '*a',
    '0',
  ];
  const change = fc.record({ at: fc.nat(1_000), length: fc.nat(10), text: fc.constantFrom(...pieces) });
  const changed = (text: string, changes: { at: number; length: number; text: string }[]): string =>
    changes.reduce((before, { at, length, text: piece }) => before.slice(0, at) + piece + before.slice(at + length), text);
  const sound = step("forEach: [a, b], as: node, if: inputs.count > 1, with: { nodes: ['${node}'] }");
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), fc.array(change, { maxLength: 3 }), (above, below) => {
      const documents = { ...shelf, ...files({ './emptying.yaml': changed(emptying, below) }) };
      const { runbook, problems } = compileRunbook(changed(sound, above), 'dir/top.yaml', undefined, documents);
      expect(runbook === undefined).toBe(problems.some(({ severity }) => severity === 'error'));
    }),
    { numRuns: 150 },
  );
});

describe('a change without a hold above it', () => {
  const hold = (id = 'sign'): string => `  - { id: ${id}, hold: p }\n`;
  const carry = (name: string, keys = ''): string => `  - { id: ${name}, runbook: ./${name}.yaml${keys} }\n`;
  const change = '  - { id: change, uses: kubernetes.drain, with: { nodes: [a] } }\n';
  const sentence = 'kubernetes.drain changes what is in use, but there is no hold above it';
  const inBlunt =
    `dir/blunt.yaml:9:5 warning steps[0]: ${sentence}, neither here nor in dir/top.yaml: ` + 'only the person who starts the run signs it.';
  const inTop = (line: number, index: number): string =>
    `dir/top.yaml:${line}:5 warning steps[${index}]: ${sentence}: only the person who starts the run signs it.`;

  test.each<[string, string, string[]]>([
    ['in the other runbook', carry('blunt'), [inBlunt]],
    ['there, but here', hold() + carry('blunt'), []],
    ['here, but there', carry('emptying', ', with: { nodes: [a] }') + change, []],
    ['there unless a condition holds', carry('emptying', ', with: { nodes: [a] }, if: inputs.count > 1') + change, [inTop(10, 1)]],
    ['there unless a list has elements', carry('emptying', ', with: { nodes: [a] }, forEach: "${inputs.nodes}"') + change, [inTop(10, 1)]],
    ['there, but for each of some elements', carry('emptying', ', with: { nodes: [a] }, forEach: [a]') + change, []],
    ['anywhere', carry('looking') + carry('blunt') + change, [inTop(11, 2), inBlunt]],
  ])('is one where there is none %s', (_title, steps, expected) => {
    expect(problemsOf(top(steps))).toEqual(expected);
  });
});

describe('what the steps of the other runbook have given', () => {
  const empty = "  - { id: empty, runbook: ./emptying.yaml, with: { nodes: ['a'] } }\n";
  const cordon = (nodes: string): string => `  - { id: cordon, uses: kubernetes.cordon, with: { nodes: '\${${nodes}}' } }\n`;

  test.each([
    ['read by their ids', empty + cordon('steps.empty.drain.nodes')],
    ['a list where there was a list', empty.replace('with', 'forEach: [a, b], with') + cordon('steps.empty.items[0].drain.nodes')],
    [
      'planned for the question above it',
      '  - { id: ask, hold: p, question: "${steps.blunt.drain.plan.pods}" }\n  - { id: blunt, runbook: ./blunt.yaml }\n',
    ],
    [
      'planned for the question above it, element by element',
      '  - { id: ask, hold: p, question: "${steps.blunt.items[0].drain.plan.pods}" }\n' +
        '  - { id: blunt, forEach: [a], runbook: ./blunt.yaml }\n',
    ],
  ])('is %s', (_title, steps) => {
    expect(problemsOf(top(steps))).toEqual([]);
  });

  test.each<[string, string, string]>([
    [
      'is not what they have not',
      empty + cordon('steps.empty.drian.nodes'),
      'dir/top.yaml:10:74 error steps[1].with.nodes: Expression "steps.empty.drian.nodes": steps.empty.drian does not exist. Did you mean',
    ],
    [
      'is of their types',
      empty + cordon('steps.empty.drain.podsMoved'),
      'dir/top.yaml:10:59 error steps[1].with.nodes: Must be a list of texts, but the expression gives int.',
    ],
    [
      'is nothing for a hold',
      empty + cordon('steps.empty.sign'),
      'dir/top.yaml:10:74 error steps[1].with.nodes: Expression "steps.empty.sign": steps.empty.sign: a hold has no outputs.',
    ],
    [
      'belongs to each element of a list',
      empty.replace('with', 'forEach: [a, b], with') + cordon('steps.empty.drain.nodes'),
      'dir/top.yaml:10:74 error steps[1].with.nodes: Expression "steps.empty.drain.nodes": steps.empty.drain: the step has one for each',
    ],
    [
      'may be absent',
      `${empty.replace('with', 'if: inputs.count > 1, with')}  - { id: ask, hold: p }\n${cordon('steps.empty.drain.nodes')}`,
      'dir/top.yaml:11:68 error steps[2].with.nodes: Expression "steps.empty.drain.nodes": steps.empty may be absent; write steps.?empty',
    ],
    [
      'is not planned behind the next hold, which is in it',
      `  - { id: ask, hold: p, question: "\${steps.empty.drain.plan.pods}" }\n${empty}`,
      'dir/top.yaml:9:50 error steps[0].question: Expression "steps.empty.drain.plan.pods": steps.empty.drain: the step belongs to the',
    ],
    [
      'is not planned behind a runbook with a hold in it',
      `  - { id: ask, hold: p, question: "\${steps.late.plan.effects}" }\n${empty}` +
        '  - { id: late, uses: kubernetes.cordon, with: { nodes: [a] } }\n',
      'dir/top.yaml:9:44 error steps[0].question: Expression "steps.late.plan.effects": steps.late: the step belongs to the span of a',
    ],
    [
      'is not planned behind a list of runbooks with holds in them',
      `  - { id: ask, hold: p, question: "\${steps.late.plan.effects}" }\n${empty.replace('with', 'forEach: [a, b], with')}` +
        '  - { id: late, uses: kubernetes.cordon, with: { nodes: [a] } }\n',
      'dir/top.yaml:9:44 error steps[0].question: Expression "steps.late.plan.effects": steps.late: the step belongs to the span of a',
    ],
  ])('%s', (_title, steps, expected) => {
    expect(problemsOf(top(steps)).map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });

  test('is not seen from inside, and neither are the element and the inputs around it', () => {
    const curious = document(
      'curious',
      "  - { id: ask, hold: p }\n  - { id: cordon, uses: kubernetes.cordon, with: { nodes: ['${node}', '${inputs.count}'] } }\n",
    );
    const text = top('  - { id: empty, forEach: [a], as: node, runbook: ./curious.yaml }\n');
    expect(problemsOf(text, files({ './curious.yaml': curious }))).toEqual([
      'dir/curious.yaml:10:63 error steps[1].with.nodes[0]: Expression "node": variable "node" does not exist.' +
        ' There are: inputs, steps, target.',
      'dir/curious.yaml:10:81 error steps[1].with.nodes[1]: Expression "inputs.count": inputs.count does not exist.',
    ]);
  });
});
