import { describe, expect, test } from '@jest/globals';
import { Preparer } from '../../activities/preparer.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { documentOf } from '../support/engine.ts';

const configuration: Configuration = { people: {}, groups: {}, policies: {} };
const cluster = 'demo';
const steps = '\n  - { id: look, uses: eks.preflight }';
const sound = { document: documentOf(steps), inputs: { cluster } };

/** A request whose inputs keep the validator busy: each of them is held against each of the alternatives. */
function busy(count: number): { document: ReturnType<typeof documentOf>; inputs: JsonObject } {
  const { file, text } = documentOf(steps);
  const anyOf = Array.from({ length: count }, (_, index) => `{ const: ${index} }`).join(', ');
  const list = `list: { type: array, items: { type: integer, anyOf: [${anyOf}] } }`;
  const inputs = { cluster, list: Array<Json>(count).fill(-1) };
  return { document: { file, text: text.replace('properties: {', `properties: { ${list},`) }, inputs };
}

// To start a thread from the sources takes some seconds.
const preparer = new Preparer();

describe('the thread that checks documents', () => {
  test('gives what the check itself gives, whatever was asked at the same time', async () => {
    const answers = await Promise.all([
      preparer.prepareRunbook(sound, configuration),
      preparer.prepareRunbook({ ...sound, inputs: {} }, configuration).catch((error: unknown) => error),
      preparer.prepareRunbook({ ...sound, inputs: { cluster: 'other' } }, configuration),
    ]);
    expect(answers).toMatchObject([
      { targetName: 'eks/eu-central-1/demo', runbook: { name: 'scripted' } },
      { code: 'inputs-invalid', message: expect.stringContaining('cluster: Is missing.'), remedy: expect.any(String) },
      { targetName: 'eks/eu-central-1/other' },
    ]);
  });

  test('is ended where it takes too long, and the next question has an answer', async () => {
    const began = performance.eventLoopUtilization();
    const [hostile, genuine] = await Promise.all([
      preparer.prepareRunbook(busy(4_000), configuration).catch((error: unknown) => error),
      preparer.prepareRunbook(sound, configuration),
    ]);
    expect(hostile).toMatchObject({ code: 'check-too-long', consequence: 'refuse' });
    expect(genuine).toMatchObject({ targetName: 'eks/eu-central-1/demo' });
    // The thread was busy; this one was not.
    expect(performance.eventLoopUtilization(began).utilization).toBeLessThan(0.5);
  });

  test('turns questions away where too many wait', async () => {
    const asked = Array.from({ length: 60 }, () => preparer.prepareRunbook(sound, configuration).catch((error: unknown) => error));
    const answers = await Promise.all(asked);
    expect(answers.slice(0, 50)).toEqual(Array(50).fill(expect.objectContaining({ targetName: 'eks/eu-central-1/demo' })));
    expect(answers.slice(50)).toEqual(Array(10).fill(expect.objectContaining({ code: 'checks-waiting', consequence: 'retry' })));
  });

  test('checks the inputs of a nested runbook', async () => {
    const { runbook } = await preparer.prepareRunbook(sound, configuration);
    const nested = { runbook, target: 'eks/eu-central-1/demo' };
    await expect(preparer.prepareNested({ ...nested, inputs: { cluster } })).resolves.toEqual({ inputs: { cluster } });
    await expect(preparer.prepareNested({ ...nested, inputs: {} })).rejects.toMatchObject({ code: 'inputs-invalid' });
  });
});

describe('a request that is none', () => {
  const document = readRunbook('node-maintenance');
  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'it is no object'],
    ['a text', 'x', 'it is no object'],
    ['without a document', {}, 'its `document` is no object'],
    ['with a document of numbers', { document: { file: 1, text: 2 }, inputs: {} }, 'a `file` or a `text`'],
    ['with others that are a list', { document: { ...document, runbooks: [] }, inputs: {} }, 'the `runbooks` of its document'],
    ['with others that are empty', { document: { ...document, runbooks: { a: null } }, inputs: {} }, 'a `file` or a `text`'],
    ['without inputs', { document }, 'its `inputs` are no object'],
    ['with a target that is a list', { document, inputs: {}, target: [] }, 'its `target` is no text'],
  ])('%s is refused in words', async (_title, request, cause) => {
    const refusal = { code: 'request-malformed', message: expect.stringContaining(cause) };
    await expect(preparer.prepareRunbook(request as never, configuration)).rejects.toMatchObject(refusal);
  });
});
