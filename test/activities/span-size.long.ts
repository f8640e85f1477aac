import { describe, expect, test } from '@jest/globals';
import { emptyPlan } from '../../activities/action.ts';
import { planRunbook, planSpan, type Planner } from '../../activities/plan-span.ts';
import type { JsonObject } from '../../domain/json.ts';
import { instancesOf } from '../../domain/run/step-tree.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';

const planner: Planner = {
  planStep: async () => emptyPlan<JsonObject>({}),
  prepareNested: async ({ inputs }) => ({ inputs }),
  findTooLong: async () => [],
  withAvailability: async (_target, _policy, steps) => [...steps],
  judge: () => [],
};

const document = (name: string, steps: string, inputs = '{ type: object, additionalProperties: true }'): string => {
  const head = `apiVersion: holdpoint.dev/v1\nkind: Runbook\nmetadata: { name: ${name}, title: Test }\ninputs: ${inputs}\n`;
  return `${head}target: eks/eu-central-1/demo\nsteps:\n${steps}`;
};
const look = '  - { id: look, uses: eks.preflight }\n';
const list = (items: string, rest: string): string => `  - { id: part, forEach: '\${${items}}', as: part, ${rest} }\n`;
const inputs = "{ type: object, required: [l], properties: { l: { type: array }, s: { type: string, default: '' } } }";

function prepared(text: string, nested: Record<string, string>, given: JsonObject) {
  const documents = Object.fromEntries(Object.entries(nested).map(([key, own]) => [key, { file: key, text: own }]));
  const { runbook, problems } = compileRunbook(text, 'top.yaml', undefined, documents);
  if (!runbook) throw new Error(JSON.stringify(problems));
  const target = { kind: 'eks', region: 'eu-central-1', name: 'demo' };
  return { runbook, inputs: given, target, targetName: 'eks/eu-central-1/demo' };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('work that is too large for one run is refused before it is planned', () => {
  const signing = document('signing', `${look}  - { id: sign, hold: p, question: 'Go on?' }\n`);
  const many = (steps: number): string =>
    document(
      'many',
      numbers(steps)
        .map((index) => look.replace('look', `look${index}`))
        .join(''),
    );

  test.each<[string, string, Record<string, string>, JsonObject, string]>([
    [
      'more spans than a forecast has',
      list('inputs.l', 'runbook: ./signing.yaml'),
      { './signing.yaml': signing },
      { l: numbers(501) },
      '500 spans',
    ],
    [
      'more steps, lists and runbooks',
      list('inputs.l', 'runbook: ./many.yaml'),
      { './many.yaml': many(4) },
      { l: numbers(1_000) },
      '4000 steps, lists and runbooks in one span',
    ],
    [
      'more bytes in the inputs of all steps',
      list('inputs.l', "uses: eks.preflight, with: { nodegroup: '${inputs.s}' }"),
      {},
      { l: numbers(30), s: 'x'.repeat(20_000) },
      '524288 bytes of inputs in the plan of one span',
    ],
    [
      'more bytes that steps bring along',
      list('inputs.l', "runbook: ./many.yaml, with: { s: '${inputs.s}' }"),
      { './many.yaml': many(1) },
      { l: numbers(1_000), s: 'x'.repeat(100_000) },
      '67108864 bytes of inputs for all steps of one span',
    ],
  ])('%s', async (_what, steps, nested, given, limit) => {
    const start = prepared(document('top', `${steps}${look}`, inputs), nested, given);
    const expected = { code: 'work-too-large', message: `With these inputs, top comes to more than ${limit}.` };
    await expect(planRunbook(start, planner)).rejects.toMatchObject(expected);
    if (limit.endsWith('spans')) return;
    // A run that is under way is refused the same.
    const queue = instancesOf(start.runbook, given);
    await expect(planSpan({ base: { ...start, run: 'r-1' }, queue, results: {} }, planner)).rejects.toMatchObject(expected);
  });

  test.each([
    [800_000, 1, '786432 bytes in the plan of one span (800410, 800167 of them in step look0)'],
    [600_000, 3, '1572864 bytes in the plans of all spans (1801473)'],
  ])('a plan with facts of %i bytes in each of %i spans', async (bytes, spans, limit) => {
    const steps = Array.from(
      { length: spans },
      (_, index) => `  - { id: sign${index}, hold: p, question: 'Go on?' }\n${look.replace('look', `look${index}`)}`,
    );
    const start = prepared(document('top', steps.join(''), inputs), {}, { l: [] });
    const large = { ...planner, planStep: async () => emptyPlan<JsonObject>({ text: 'x'.repeat(bytes) }) };
    const expected = { code: 'work-too-large', message: `With these inputs, top comes to more than ${limit}.` };
    await expect(planRunbook(start, large)).rejects.toMatchObject(expected);
  });

  test('what is just small enough is planned', async () => {
    const start = prepared(
      document('top', list('inputs.l', 'runbook: ./signing.yaml') + look, inputs),
      { './signing.yaml': signing },
      { l: numbers(499) },
    );
    expect((await planRunbook(start, planner)).spans).toHaveLength(500);
  });
});
