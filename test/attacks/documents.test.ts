import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { planTimeLimits } from '../../activities/plan-limits.ts';
import { refusalIn } from '../../client/remote-error.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import { planWorkflow } from '../../workflows/messages.ts';
import { documentOf, runbookOf, startEngine, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('documents');
});
afterAll(() => engine.stop());

/** What whoever reaches Temporal can send, past everything that our client checks. */
async function ask(...args: unknown[]): Promise<unknown> {
  return engine.client.workflow.execute(planWorkflow, {
    workflowId: `plan-${randomUUID()}`,
    taskQueue: engine.settings.taskQueue,
    workflowExecutionTimeout: 60_000,
    args,
  });
}

/** How the request ends: the code and the sentence of a refusal, or what blocks the plan. */
async function answerTo(...args: unknown[]): Promise<string> {
  try {
    const { spans } = (await ask(...args)) as Forecast;
    const blockers = spans.flatMap(({ plan }) => plan.steps.flatMap(({ plan: { blockers } }) => blockers));
    return blockers.length === 0 ? 'planned' : `blocked: ${blockers[0]!.reason}`;
  } catch (error) {
    const { code, message } = refusalIn(error) ?? { code: 'not told', message: String(error) };
    return `${code}: ${message}`;
  }
}

const alternatives = Array.from({ length: 4_000 }, (_, index) => `{ const: ${index} }`).join(', ');

/** A document with another input besides, and other steps. */
function documentWith({ input = '', steps = '\n  - { id: look, uses: eks.preflight }', target = '' }): RunbookDocument {
  const { file, text } = documentOf(steps);
  const changed = text.replace('properties: {', () => `properties: { ${input}`);
  const required = changed.replace('[cluster]', `[cluster${/^(\w): /.test(input) ? `, ${input[0]!}` : ''}]`);
  return { file, text: target === '' ? required : required.replace(/^target: .*$/m, `target: ${target}`) };
}

const text = 's: { type: string },';
const list = 'l: { type: array },';
const target = (expression: string): string => `'eks/eu-central-1/\${${expression} ? inputs.cluster : inputs.cluster}'`;
const step = (name: string): string => `
  - { id: look, uses: eks.preflight, with: { nodegroup: '\${${name}}' } }`;

describe('a plan request of a stranger has an answer, and so has a genuine one beside it', () => {
  test.each<[string, RunbookDocument, JsonObject, RegExp]>([
    [
      'a pattern',
      documentWith({ input: "s: { type: string, pattern: '^(a+)+$' }," }),
      { s: `${'a'.repeat(50_000)}!` },
      /^inputs-invalid: .*pattern/,
    ],
    [
      'matches()',
      documentWith({ input: text, target: target('inputs.s.matches("^(a+)+$")') }),
      { s: `${'a'.repeat(50_000)}!` },
      /^planned$/,
    ],
    ['brackets', { file: 'x.yaml', text: '['.repeat(250_000) }, {}, /^runbook-invalid: .*nested more than 32 deep/],
    [
      'a list for each element of a list',
      documentWith({ input: list, target: target('inputs.l.map(x, inputs.l.map(y, x == y)).size() > 0') }),
      { l: Array<Json>(19_000).fill(1) },
      /^inputs-invalid: .*takes more than 3000000 steps/,
    ],
    [
      'a text for each element of a list',
      documentWith({ input: list + text, steps: step('inputs.l.map(x, inputs.?s.orValue(""))[0]') }),
      { l: Array<Json>(19_000).fill(1), s: 'a'.repeat(150_000) },
      /^blocked: Expression .*takes more than 3000000 steps/,
    ],
    [
      'a large text in each of many steps',
      documentWith({
        input: text,
        steps: Array.from({ length: 20 }, (_, index) => step('inputs.s').replace('look', `look${index}`)).join(''),
      }),
      { s: 'a'.repeat(60) },
      /^planned$/,
    ],
    ['inputs that are too large', documentWith({ input: text }), { s: 'a'.repeat(300_000) }, /^inputs-invalid: .*more than 262144 bytes/],
    [
      'objects that must all differ',
      documentWith({ input: 'l: { type: array, uniqueItems: true },' }),
      { l: Array.from({ length: 6_000 }, (_, index) => ({ a: index })) },
      /^planned$/,
    ],
    [
      'alternatives for each element of a list',
      documentWith({ input: `l: { type: array, items: { type: integer, anyOf: [${alternatives}] } },` }),
      { l: Array<Json>(10_000).fill(-1) },
      /^check-too-long: /,
    ],
    [
      'a step called constructor',
      documentWith({ steps: '\n  - { id: constructor, uses: eks.preflight }' }),
      {},
      /^runbook-invalid: .*steps\[0\]\.id: Is a name that every/,
    ],
    [
      'an element called __proto__',
      documentWith({ steps: '\n  - { id: a, uses: eks.preflight, forEach: [x], as: __proto__ }' }),
      {},
      /^runbook-invalid: .*steps\[0\]\.as: Is a name/,
    ],
  ])('%s', async (_title, document, inputs, expected) => {
    const { cluster } = engine.newSite();
    const [answer, genuine] = await Promise.all([
      answerTo({ document, inputs: { cluster, ...inputs } }),
      engine.holdpoint.plan(runbookOf(), { cluster }),
    ]);
    expect(answer).toMatch(expected);
    expect(genuine.spans).toHaveLength(2);
  });
});

test.each<[string, unknown[]]>([
  ['nothing', []],
  ['null', [null]],
  ['a text', ['plan']],
  ['no document', [{}]],
  ['a document of numbers', [{ document: { file: 1, text: 2 }, inputs: {} }]],
  ['documents that are none', [{ document: { ...runbookOf(), runbooks: { x: 1 } }, inputs: {} }]],
  ['no inputs', [{ document: runbookOf() }]],
])('a plan request with %s is refused in words', async (_title, args) => {
  expect(await answerTo(...args)).toMatch(/^request-malformed: The request cannot be understood: /);
});

test('elements of a list cannot make two steps one', async () => {
  const steps = `
  - { id: x, uses: eks.preflight, forEach: ['a]/y[b', 'a', 'b ', "2", ''] }`;
  const idsOf = async (written: string): Promise<string[]> => {
    const { spans } = (await ask({
      document: documentWith({ steps: written }),
      inputs: { cluster: engine.newSite().cluster },
    })) as Forecast;
    return spans[0]!.plan.steps.map(({ id, plan: { blockers } }) => blockers[0]?.reason ?? id);
  };
  expect(await idsOf(steps)).toEqual(['x[1]', 'x[a]', 'x[3]', 'x[2]', 'x[5]']);
  // The number of the third one is the name of the fourth.
  expect(await idsOf(steps.replace('"2"', '"3"'))).toEqual([expect.stringContaining('the list has 3 twice')]);
});

test('a cluster that never answers ends a request for a plan in words, and leaves the hold of a run to be asked for again', async () => {
  const { cluster, target, site } = engine.newSite();
  const limits = { ...planTimeLimits };
  const looking = documentOf(`
  - { id: sign, hold: one }
  - { id: look, uses: eks.preflight }`);
  let open = (): void => undefined;
  try {
    await engine.begin(cluster, looking);
    await engine.until(target, 'holding');
    Object.assign(planTimeLimits, { requestMs: 500, runMs: 500 });
    site.planGate = new Promise((resolve) => (open = resolve));
    const tooSlow = `plan-too-slow: The plan of ${target} was not complete within 0.5 s: what step look concerns was still being read.`;
    expect(await answerTo({ document: looking, inputs: { cluster } })).toBe(tooSlow);
    await engine.decide(target, 'ada');
    expect(await engine.until(target, 'stuck')).toMatchObject({ stuck: { code: 'plan-too-slow' } });
  } finally {
    Object.assign(planTimeLimits, limits);
    open();
    site.planGate = undefined;
  }
  // The plan is the one that was signed.
  await engine.holdpoint.operate(target, 'retry', 'it answers again', engine.keys.grace);
  await engine.until(target, 'done');
});
