import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { render } from '../../../domain/expression/expression.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { actionInputSchema } from '../../../runbooks/actions/input-schema.ts';
import { compileRunbook } from '../../../runbooks/compiler/compile.ts';
import type { Configuration } from '../../../runbooks/configuration/configuration.ts';
import { readRunbook, RunbookNotFoundError, shippedRunbooks } from '../../../runbooks/library.ts';
import { formatProblem, problemsMax } from '../../../runbooks/grammar/problem.ts';

const head = `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: test, title: Test }
inputs:
  type: object
  required: [cluster, nodes]
  properties: { cluster: { type: string }, nodes: { type: array, items: { type: string } }, version: { type: string } }
target: eks/eu-central-1/\${inputs.cluster}
steps:
`;
const sound = `${head}  - { id: sign, hold: production-change }
  - id: drain
    uses: kubernetes.drain
    with: { nodes: '\${inputs.nodes}' }
`;
const unsignedDrain = '  - { id: drain, uses: kubernetes.drain, with: { nodes: [a] } }\n';
const policy = { name: 'production-change', atLeast: 1, of: 'sre', exclude: [], reason: 'optional', expiresMs: 1000 } as const;
const configuration: Configuration = {
  people: {},
  groups: {},
  policies: { 'production-change': { ...policy, exclude: [] }, 'data-restore': { ...policy, exclude: [] } },
};

function problemsOf(text: string, withConfiguration?: Configuration): string[] {
  return compileRunbook(text, 'r.yaml', withConfiguration).problems.map(formatProblem);
}

describe('a sound runbook', () => {
  test('is compiled with the limits of its actions and the digest of its bytes', () => {
    const { runbook, problems } = compileRunbook(sound, 'r.yaml', configuration);
    expect(problems).toEqual([]);
    expect(runbook).toMatchObject({ name: 'test', title: 'Test', target: 'eks/eu-central-1/${inputs.cluster}' });
    expect(runbook?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(runbook?.steps).toEqual([
      { kind: 'hold', id: 'sign', policy: 'production-change', question: undefined },
      {
        kind: 'action',
        id: 'drain',
        uses: 'kubernetes.drain',
        with: { nodes: '${inputs.nodes}' },
        if: undefined,
        onFailure: 'stuck',
        change: 'changes',
        limits: { timeoutMs: 43_200_000, heartbeatMs: 10_000, attemptsMax: 5 },
      },
    ]);
  });

  test('has another digest after any change, even of a comment', () => {
    expect(compileRunbook(`${sound}# note\n`, 'r.yaml').runbook?.digest).not.toBe(compileRunbook(sound, 'r.yaml').runbook?.digest);
  });
});

const drain = (inside: string): string => `${head}  - { id: sign, hold: p }\n  - { id: drain, uses: kubernetes.drain, ${inside} }\n`;
const after = (step: string): string => `${sound}${step}`;

describe('a mistake is reported at its place', () => {
  test.each<[string, string, string]>([
    [
      'an unknown key',
      sound.replace('title: Test', 'title: T, desciption: x'),
      'r.yaml:3:35 error metadata.desciption: Unknown key. Did you mean "description"?',
    ],
    ['an unknown key of a step', after('    iff: "true"\n'), 'r.yaml:14:5 error steps[1].iff: Unknown key. Did you mean "if"?'],
    ['another version', sound.replace('dev/v1', 'dev/v2'), 'r.yaml:1:13 error apiVersion: Must be "holdpoint.dev/v1", but is the text'],
    [
      'an unknown action',
      drain('').replace('kubernetes.drain, ', 'kubernetes.drian'),
      'r.yaml:11:24 error steps[1].uses: There is no action "kubernetes.drian". Did you mean "kubernetes.drain"?',
    ],
    ['a missing input of an action', drain('with: { force: true }'), 'r.yaml:11:42 error steps[1].with.nodes: Is missing.'],
    [
      'a misspelt input of an action',
      drain('with: { nodse: [a], nodes: [a] }'),
      'r.yaml:11:50 error steps[1].with.nodse: Unknown key. Did you mean "nodes"?',
    ],
    [
      'a value of the wrong type',
      drain('with: { nodes: [a], gracePeriodSeconds: two }'),
      'r.yaml:11:82 error steps[1].with.gracePeriodSeconds: Must be an integer, but is the text "two".',
    ],
    [
      'a share that is none',
      drain('with: { nodes: [a], nodesAtOnce: two }'),
      'r.yaml:11:75 error steps[1].with.nodesAtOnce: Must be a number of nodes or a share such as `25%`.',
    ],
    [
      'a value out of bounds',
      drain('with: { nodes: [a], nodesAtOnce: 101 }'),
      'r.yaml:11:75 error steps[1].with.nodesAtOnce: Must be at most 100.',
    ],
    ['an empty list', drain('with: { nodes: [] }'), 'r.yaml:11:57 error steps[1].with.nodes: Must have at least 1 entries.'],
    [
      'an expression of the wrong type',
      drain('with: { nodes: "${inputs.cluster}" }'),
      'r.yaml:11:57 error steps[1].with.nodes: Must be a list of texts, but the expression gives string.',
    ],
    [
      'an expression of the wrong type in a list',
      drain('with: { nodes: ["${inputs.nodes}"] }'),
      'r.yaml:11:58 error steps[1].with.nodes[0]: Must be text, but the expression gives list<string>.',
    ],
    [
      'text around an expression where a number is needed',
      drain('with: { nodes: [a], gracePeriodSeconds: "1${inputs.cluster}" }'),
      'r.yaml:11:82 error steps[1].with.gracePeriodSeconds: Must be an integer, but the expression gives string.',
    ],
    [
      'a required value that may be absent',
      after('  - { id: x, uses: eks.deleteNodegroup, with: { nodegroup: "${inputs.?version}" } }\n'),
      'r.yaml:14:60 error steps[2].with.nodegroup: Is required, but the expression may give nothing; add .orValue(…).',
    ],
    [
      'an undefined variable',
      drain('with: { nodes: ["${inputs.clutser}"] }'),
      'r.yaml:11:68 error steps[1].with.nodes[0]: Expression "inputs.clutser": inputs.clutser does not exist. Did you mean "cluster"?',
    ],
    [
      'an unclosed expression',
      drain('with: { nodes: ["a${inputs.cluster"] }'),
      'r.yaml:11:62 error steps[1].with.nodes[0]: Expression "inputs.cluster": the closing brace of ${…} is missing',
    ],
    [
      'a reference to a later step',
      `${sound.replace("'${inputs.nodes}'", "'${steps.late.nodes}'")}  - { id: late, uses: kubernetes.cordon, with: { nodes: [a] } }\n`,
      'r.yaml:13:29 error steps[1].with.nodes: Expression "steps.late.nodes": steps.late: the step comes later in the runbook',
    ],
    [
      'a reference to itself',
      sound.replace("'${inputs.nodes}'", "'${steps.drain.nodes}'"),
      'r.yaml:13:29 error steps[1].with.nodes: Expression "steps.drain.nodes": steps.drain: a step cannot refer to itself.',
    ],
    [
      'the plan of an earlier step as input',
      after('  - { id: x, uses: kubernetes.cordon, with: { nodes: "${steps.drain.plan.nodes}" } }\n'),
      'r.yaml:14:69 error steps[2].with.nodes: Expression "steps.drain.plan.nodes": steps.drain.plan: a plan can only be referred',
    ],
    [
      'a step that may be left out',
      after('    if: inputs.cluster == "a"\n  - { id: x, uses: kubernetes.cordon, with: { nodes: "${steps.drain.nodes}" } }\n'),
      'r.yaml:15:63 error steps[2].with.nodes: Expression "steps.drain.nodes": steps.drain may be absent; write steps.?drain',
    ],
    [
      'a question about an output',
      sound.replace('hold: production-change }', 'hold: p, question: "${steps.drain.podsMoved}" }'),
      'r.yaml:10:51 error steps[0].question: Expression "steps.drain.podsMoved": steps.drain.podsMoved: is known only after',
    ],
    [
      'a question about an unknown field of a plan',
      sound.replace('hold: production-change }', 'hold: p, question: "${steps.drain.plan.pod}" }'),
      'r.yaml:10:56 error steps[0].question: Expression "steps.drain.plan.pod": steps.drain.plan.pod does not exist. Did you mean "pods"?',
    ],
    [
      'a question about the span of a later hold',
      sound
        .replace('hold: production-change }', 'hold: p, question: "${steps.x.plan.effects}" }')
        .concat('  - { id: s2, hold: p }\n  - { id: x, uses: kubernetes.cordon, with: { nodes: [a] } }\n'),
      'r.yaml:10:45 error steps[0].question: Expression "steps.x.plan.effects": steps.x: the step belongs to the span of a later hold',
    ],
    [
      'a condition that is no truth value',
      after('    if: inputs.nodes.size()\n'),
      'r.yaml:14:9 error steps[1].if: Must be true or false, but the expression gives int.',
    ],
    [
      'a condition in braces',
      after('    if: ${true}\n'),
      'r.yaml:14:9 error steps[1].if: `if` is an expression already; write it without ${ }.',
    ],
    [
      'an id that is taken',
      after('  - { id: sign, hold: p }\n'),
      'r.yaml:14:11 error steps[2].id: The id "sign" is already taken by steps[0]; every step needs its own.',
    ],
    ['an id that is no name', sound.replace('id: drain', 'id: Drain'), 'r.yaml:11:9 error steps[1].id: Must begin with a small letter'],
    ['a step of both kinds', after('    hold: p\n'), 'r.yaml:14:5 error steps[1].hold: A step has either `uses` or `hold`'],
    ['an action that is a runbook, too', after('    runbook: ./x.yaml\n'), 'r.yaml:14:5 error steps[1].runbook: A step has either `uses`'],
    [
      'a target of another form',
      sound.replace('eks/eu-central-1/', 'eks/'),
      'r.yaml:8:9 error target: Must have the form eks/<region>/<cluster>, for example eks/${inputs.region}/${inputs.cluster}.',
    ],
    [
      'a target that depends on a step',
      sound.replace('eks/eu-central-1/${inputs.cluster}', 'eks/eu-central-1/${steps.drain.x}'),
      'r.yaml:8:28 error target: Expression "steps.drain.x": variable "steps" does not exist.',
    ],
    [
      'an input schema that is none',
      sound.replace('cluster: { type: string }', 'cluster: { type: strnig }'),
      'r.yaml:7:34 error inputs.properties.cluster.type: Is no valid JSON Schema: Must be one of "array", "boolean", "integer", "null"',
    ],
    [
      'an unknown keyword of the input schema',
      sound.replace('cluster: { type: string }', 'cluster: { type: string, dfault: x }'),
      'r.yaml:5:3 error inputs: Is no valid JSON Schema: strict mode: unknown keyword: "dfault".',
    ],
    [
      'a default that does not fit',
      sound.replace('cluster: { type: string }', 'cluster: { type: string, default: 1 }'),
      'r.yaml:7:51 error inputs.properties.cluster.default: Does not fit the input: Must be text.',
    ],
    [
      'an id with parentheses, whoever refers to it',
      sound.replace('id: sign,', 'id: check(all),').replace('production-change }', 'p, question: "${inputs.cluster}?" }'),
      'r.yaml:10:11 error steps[0].id: Must begin with a small letter and go on with small letters, digits and `-`.',
    ],
    [
      'a pattern that takes for ever to look behind and ahead',
      sound.replace('cluster: { type: string }', 'cluster: { type: string, pattern: "(?=a)b" }'),
      'r.yaml:5:3 error inputs: Is no valid JSON Schema: error parsing regexp: invalid or unsupported Perl syntax: `(?=`.',
    ],
    [
      'an input schema that refers to itself',
      sound.replace('cluster: { type: string }', 'cluster: { $ref: "#" }'),
      'r.yaml:5:3 error inputs: Is no valid JSON Schema: strict mode: unknown keyword: "$ref".',
    ],
    [
      'an input by the name of what every object has',
      sound.replace('version: {', 'valueOf: {'),
      'r.yaml:7:93 error inputs.properties: The key "valueOf" is not allowed.',
    ],
    ['inputs that are no object', sound.replace('type: object', 'type: array'), 'r.yaml:5:9 error inputs.type: Must be "object"'],
  ])('%s', (_title, text, expected) => {
    const problems = problemsOf(text).filter((line) => !line.includes('warning'));
    expect(problems.map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });

  test.each(['timeout'])('%s is not supported yet and says so', (key) => {
    expect(problemsOf(after(`    ${key}: x\n`))).toEqual([
      `r.yaml:14:5 error steps[1].${key}: \`${key}\` is not supported by this version; take it out.`,
    ]);
  });

  test('a window is a calendar of the configuration', () => {
    const kept = sound.replace('steps:', 'window: weekend\nsteps:');
    expect(problemsOf(kept)).toEqual([]);
    expect(compileRunbook(kept, 'r.yaml').runbook?.window).toBe('weekend');
    expect(problemsOf(kept, configuration)).toEqual([
      'r.yaml:9:9 error window: There is no calendar "weekend" in the configuration. The configuration has none.',
    ]);
    const night = { zone: 'Asia/Seoul', weekly: ['Sat 22:00-04:00'], dst: { gap: 'shift', overlap: 'first' }, freezes: [] } as const;
    const calendars = { weekends: { ...night, weekly: [...night.weekly], freezes: [] } };
    expect(problemsOf(kept, { ...configuration, calendars })).toEqual([
      'r.yaml:9:9 error window: There is no calendar "weekend" in the configuration. Did you mean "weekends"? There are: weekends.',
    ]);
  });

  test('a runbook that carries out another one keeps to its window', () => {
    const inner = { file: 'inner.yaml', text: sound.replace('steps:', 'window: weekend\nsteps:') };
    const outer = `${head}  - { id: all, runbook: ./inner.yaml, with: { cluster: '\${inputs.cluster}', nodes: '\${inputs.nodes}' } }\n`;
    const problems = (text: string) => compileRunbook(text, 'r.yaml', undefined, { './inner.yaml': inner }).problems.map(formatProblem);
    expect(problems(outer)).toEqual([
      'r.yaml:10:25 error steps[0].runbook: It keeps to the window weekend, and a run has one for all of its steps: ' +
        'write `window: weekend` above the steps.',
    ]);
    expect(problems(outer.replace('steps:', 'window: weekend\nsteps:'))).toEqual([]);
  });

  test('what counts only with a window is warned of where there is none', () => {
    expect(problemsOf(after('    atClose: page\n'))).toEqual([
      'r.yaml:14:14 warning steps[1].atClose: Counts only where the runbook that is started has a `window`, as this one has not.',
    ]);
    const closing = { 'production-change': { ...policy, exclude: [], expiresAtClose: true as const } };
    expect(problemsOf(sound, { ...configuration, policies: closing })).toContainEqual(
      expect.stringContaining(
        'warning steps[0].hold: The policy production-change closes its holds with the window, and this runbook has none',
      ),
    );
  });

  test.each<[string, string | undefined]>([
    ['gate.prometheus, with: { endpoint: metrics, query: up }', 'give exactly one of above, below and equals'],
    ['gate.prometheus, with: { endpoint: metrics, query: up, above: 1, below: 5 }', 'give exactly one of above, below and equals'],
    ['gate.prometheus, with: { endpoint: metrics, query: up, equals: 1 }', undefined],
    ['gate.http, with: { endpoint: probe }', undefined],
    ['gate.http, with: { endpoint: probe, below: 5 }', 'above, below and equals speak of a field, so they need field'],
    ['gate.http, with: { endpoint: probe, field: lag }', 'give exactly one of above, below and equals'],
    ["gate.http, with: { endpoint: probe, field: lag, equals: '${inputs.cluster}' }", undefined],
    ["gate.http, with: { endpoint: probe, field: lag, above: '${inputs.?limit}', below: '${inputs.?limit}' }", undefined],
    ['gate.cloudwatchAlarms, with: {}', 'give either names or prefix'],
    ['gate.cloudwatchAlarms, with: { names: [a], prefix: b }', 'give either names or prefix'],
  ])('settings of a gate that do not go together are told with their place: %s', (uses, cause) => {
    const text = after(`  - { id: fine, uses: ${uses} }\n`).replace('properties: { ', 'properties: { limit: { type: integer }, ');
    const column = text.split('\n')[13]!.indexOf('with: {') + 'with: {'.length;
    const found = cause && [`r.yaml:14:${column} error steps[2].with: The settings do not go together: ${cause}.`];
    expect(problemsOf(text)).toEqual(found ?? []);
  });

  test('an endpoint that the configuration does not have is told where a gate asks it', () => {
    const text = after('  - { id: fine, uses: gate.http, with: { endpoint: prob } }\n');
    expect(problemsOf(text)).toEqual([]);
    const message = 'There is no endpoint "prob" in the configuration.';
    const place = 'r.yaml:14:52 warning steps[2].with.endpoint: ';
    expect(problemsOf(text, configuration)).toEqual([`${place}${message} The configuration has none.`]);
    const endpoints = { probe: { url: 'http://probe' } };
    expect(problemsOf(text, { ...configuration, endpoints })).toEqual([`${place}${message} Did you mean "probe"? There are: probe.`]);
    expect(problemsOf(text.replace('prob }', "'${inputs.cluster}' }"), { ...configuration, endpoints })).toEqual([]);
  });

  test('going back after a failure belongs to steps that use an action', () => {
    const { runbook } = compileRunbook(after('    onFailure: undo\n'), 'r.yaml');
    expect(runbook?.steps[1]).toMatchObject({ id: 'drain', onFailure: 'undo' });
    expect(problemsOf(after('    onFailure: stuck\n'))).toEqual([]);
    expect(problemsOf(after('    onFailure: retry\n'))).toEqual([
      'r.yaml:14:16 error steps[1].onFailure: Must be "stuck" or "undo", but is the text "retry".',
    ]);
  });

  test.each([
    ['onFailure: undo', 'onFailure', 'A hold does not fail; `onFailure` belongs to the steps with `uses`.'],
    ['forEach: [a]', 'forEach', 'A hold stands once for all steps up to the next one; it is not repeated.'],
    ['if: "true"', 'if', 'A hold is never left out; whether it is needed must not hang on an expression.'],
  ])('a hold with %s is refused in words', (key, name, message) => {
    const text = sound.replace('hold: production-change }', `hold: p, ${key} }`);
    expect(problemsOf(text)).toEqual([`r.yaml:10:26 error steps[0].${name}: ${message}`]);
  });

  test('an unknown policy is an error only where the configuration is known', () => {
    const text = sound.replace('production-change', 'production-chnage');
    expect(problemsOf(text)).toEqual([]);
    expect(problemsOf(text, configuration)).toEqual([
      'r.yaml:10:23 error steps[0].hold: There is no policy "production-chnage" in the configuration.' +
        ' Did you mean "production-change"? There are: production-change, data-restore.',
    ]);
  });

  test('a change without a hold above it is a warning, and the runbook is compiled all the same', () => {
    const create = '  - { id: new, uses: eks.createNodegroup, with: { name: a, like: b } }\n';
    const { runbook, problems } = compileRunbook(head + create + unsignedDrain, 'r.yaml');
    expect(runbook?.steps).toHaveLength(2);
    expect(problems.map(formatProblem)).toEqual([
      'r.yaml:11:5 warning steps[1]: kubernetes.drain changes what is in use, but there is no hold above it:' +
        ' only the person who starts the run signs it.',
    ]);
  });

  test.each<[string, Configuration['rules'], string, string[]]>([
    [
      'a change without a hold',
      undefined,
      head + unsignedDrain,
      [
        'r.yaml:10:5 warning steps[0]: Will be refused by `rules` of the configuration: ' +
          'kubernetes.drain changes what is in use on its target. There is no hold above it, and no rule lets the start be enough. ' +
          'Put a hold above it, or allow it with `start` of a rule.',
      ],
    ],
    ['a change whose start may be enough on some targets', [{ targets: ['eks/*/test'], start: ['people'] }], head + unsignedDrain, []],
    ['a rule for some targets, one of which it may be', [{ targets: ['eks/*/test'], policy: 'two' }], sound, []],
    [
      'a policy that is too weak',
      [{ policy: 'two' }],
      sound,
      [
        'r.yaml:11:5 warning steps[1]: Will be refused by `rules[0]` of the configuration: ' +
          'kubernetes.drain changes what is in use on its target. It needs the policy two, at least, and production-change is weaker. ' +
          'Put a hold of the policy two above it.',
      ],
    ],
    [
      'a rule for the target, where that is written out',
      [{ targets: ['eks/*/prod'], policy: 'two' }],
      sound.replace('${inputs.cluster}', 'prod'),
      [expect.stringContaining('changes what is in use on eks/eu-central-1/prod. It needs the policy two') as unknown as string],
    ],
    [
      'a forbidden setting that is written out',
      [{ settings: [{ action: 'kubernetes.drain', setting: 'force', is: true }] }],
      sound.replace("}' }", "}', force: true }"),
      [expect.stringContaining('kubernetes.drain has `force: true`, which is forbidden on its target. Take') as unknown as string],
    ],
  ])('%s is told by the rules of a configuration', (_title, rules, text, expected) => {
    const two = { ...configuration.policies['production-change']!, name: 'two', atLeast: 2 };
    const ruled = { ...configuration, policies: { ...configuration.policies, two }, rules };
    expect(problemsOf(text, ruled)).toEqual(expected);
  });

  test('all problems of a file come at once, in the order of the document', () => {
    const text = sound
      .replace('kind: Runbook', 'kind: Book')
      .replace('hold: production', 'hodl: production')
      .replace("nodes: '$", "nodse: '$");
    expect(problemsOf(text)).toEqual([
      'r.yaml:2:7 error kind: Must be "Runbook", but is the text "Book".',
      'r.yaml:10:5 error steps[0].hold: Is missing.',
      'r.yaml:10:17 error steps[0].hodl: Unknown key. Did you mean "hold"? There are: id, hold, question.',
      'r.yaml:13:5 error steps[1].with.nodes: Is missing.',
      'r.yaml:13:13 error steps[1].with.nodse: Unknown key. Did you mean "nodes"?' +
        ' There are: nodes, nodesAtOnce, perZone, alsoCordoned, deleteEmptyDirData, force, singletons, statefulSets, jobs, daemonSets,' +
        ' zeroBudgets, gracePeriodSeconds, podDeadline, nodeDeadline, unschedulableLimit, onDeadline.',
    ]);
  });

  test('at most fifty problems are reported', () => {
    const steps = Array.from({ length: 100 }, (_, index) => `  - { id: s${index}, uses: no.such }\n`).join('');
    expect(problemsOf(head + steps)).toHaveLength(problemsMax);
  });

  test('more than two hundred steps are refused', () => {
    const steps = Array.from({ length: 201 }, (_, index) => `  - { id: s${index}, hold: p }\n`).join('');
    expect(problemsOf(head + steps)).toEqual(['r.yaml:10:3 error steps: Must have at most 200 entries.']);
  });
});

describe('any document', () => {
  const marks = ['${', '}', '"', "'", ': ', '- ', '\n', '&a ', '*a', '[', '{', ']', '!!', '|', '#', '\t', '---\n', '%', '0x', 'é', '\0'];
  const piece = fc.constantFrom(...marks);

  test('that is a mutation of a sound one gives a runbook or problems, and never throws', () => {
    const mutation = fc.record({ at: fc.nat(sound.length), length: fc.nat(12), text: fc.oneof(piece, fc.string({ maxLength: 5 })) });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        let text = sound;
        for (const { at, length, text: inserted } of mutations) text = text.slice(0, at) + inserted + text.slice(at + length);
        const { runbook, problems } = compileRunbook(text, 'r.yaml', configuration);
        expect(runbook === undefined).toBe(problems.some((problem) => problem.severity === 'error'));
        for (const problem of problems) expect(problem.line * problem.column).toBeGreaterThan(0);
      }),
      { numRuns: 150 },
    );
  });

  test('that has any JSON in the place of a part gives a runbook or problems, and never throws', () => {
    const place = fc.constantFrom('inputs', 'target', 'steps', 'metadata', 'step', 'with');
    fc.assert(
      fc.property(place, fc.jsonValue(), (part, value) => {
        const step: Record<string, unknown> = { id: 'a', uses: 'kubernetes.drain', with: part === 'with' ? value : { nodes: ['a'] } };
        const steps = [part === 'step' ? value : step];
        const document: Record<string, unknown> = { apiVersion: 'holdpoint.dev/v1', kind: 'Runbook', metadata: { name: 'a', title: 'a' } };
        Object.assign(document, { inputs: { type: 'object' }, target: 'eks/eu-central-1/a', steps });
        if (!['step', 'with'].includes(part)) document[part] = value;
        const { runbook, problems } = compileRunbook(stringify(document), 'r.yaml');
        expect(runbook === undefined).toBe(problems.some((problem) => problem.severity === 'error'));
      }),
      { numRuns: 150 },
    );
  });
});

describe('the shipped runbooks', () => {
  test.each(shippedRunbooks())('%s compiles without a problem', (name) => {
    const { text, file, runbooks } = readRunbook(name);
    const { runbook, problems } = compileRunbook(text, file, configuration, runbooks);
    expect(problems).toEqual([]);
    expect(runbook?.name).toBe(name);
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=schema/runbook.schema.json');
  });

  test('are found by their names, and a wrong name says which ones there are', () => {
    expect(shippedRunbooks()).toEqual([
      'asg-batch-rotation',
      'asg-rotation',
      'aurora-blue-green',
      'aurora-failover',
      'aurora-minor-upgrade',
      'aurora-rolling-class',
      'aurora-snapshot',
      'certificate-authority-rotation',
      'cluster-rollback',
      'cluster-upgrade',
      'cluster-upgrades',
      'eks-backup',
      'eks-backup-retention',
      'eks-restore',
      'etcd-backup',
      'etcd-backup-retention',
      'etcd-defrag',
      'etcd-member-replace',
      'etcd-restore',
      'etcd-restore-drill',
      'node-group-rotation',
      'node-group-update',
      'node-group-upgrade',
      'node-groups-update',
      'node-maintenance',
      'node-reboot',
      'node-replace',
      'rds-certificate-rotation',
      'zone-evacuation',
    ]);
    expect(() => readRunbook('node-group-rotaiton')).toThrow(RunbookNotFoundError);
    expect(() => readRunbook('node-group-rotaiton')).toThrow(
      /Did you mean "node-group-rotation"\? There are: asg-batch-rotation, asg-rotation, aurora-blue-green, [a-z, -]*cluster-upgrade, /,
    );
    expect(() => readRunbook('./nowhere.yaml')).toThrow('There is no file "./nowhere.yaml".');
  });

  test('the rotation has two holds, the first above the drain', () => {
    const { text, file } = readRunbook('runbooks/node-group-rotation.yaml');
    const { runbook } = compileRunbook(text, file);
    expect(runbook?.steps.map((step) => (step.kind === 'action' ? step.uses : `${step.kind} ${step.id}`))).toEqual([
      'eks.preflight',
      'kubernetes.checkDrain',
      'eks.createNodegroup',
      'hold sign-drain',
      'kubernetes.drain',
      'hold sign-delete',
      'eks.deleteNodegroup',
    ]);
  });

  test.each(shippedRunbooks())(
    '%s takes every setting of the drains that it carries out, as the action declares it (field case more/19)',
    (name) => {
      const { text, file } = readRunbook(name);
      const { runbook } = compileRunbook(text, file);
      const { properties } = actionInputSchema('kubernetes.drain') as { properties: Record<string, JsonObject> };
      const settings = Object.entries(properties).filter(([setting]) => setting !== 'nodes');
      for (const step of runbook?.steps ?? []) {
        if (step.kind !== 'action' || !['kubernetes.drain', 'kubernetes.checkDrain'].includes(step.uses)) continue;
        const inputs = (runbook?.inputs.properties ?? {}) as Record<string, JsonObject>;
        for (const [setting, { description, ...declared }] of settings) {
          expect({ [setting]: inputs[setting] }).toEqual({
            [setting]: { ...declared, description: (description as string).replace(/\.$/, '') },
          });
          const place = declared.default === undefined ? `?${setting}` : setting;
          expect({ [setting]: step.with[setting] }).toEqual({ [setting]: `\${inputs.${place}}` });
        }
      }
    },
  );

  test('the maintenance asks how many pods will move', () => {
    const { text, file } = readRunbook('node-maintenance');
    const { runbook } = compileRunbook(text, file);
    const question = runbook?.steps.find((step) => step.kind === 'hold')?.question ?? '';
    const steps = { drain: { nodes: ['a', 'b'], podsMoved: 21, plan: { pods: 21, effects: [] } } };
    expect(render(question, { inputs: { nodes: ['a', 'b'], nodesAtOnce: 1 }, steps, target: '' })).toBe(
      'Take these nodes out of service (2, 1 at a time), and move their pods (21) to other nodes?',
    );
  });

  test('the update of several node groups carries out that of one, and is signed for each', () => {
    const { text, file, runbooks } = readRunbook('node-groups-update');
    const { runbook } = compileRunbook(text, file, undefined, runbooks);
    const [update] = runbook?.steps ?? [];
    expect(update).toMatchObject({ kind: 'runbook', forEach: { items: '${inputs.nodegroups}', as: 'nodegroup' } });
    const nested = update?.kind === 'runbook' ? update.runbook.steps : [];
    expect(nested.map(({ id }) => id)).toEqual(['preflight', 'sign-update', 'update']);
  });
});
