import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLiveEnvironment, type LiveEnvironment } from './environment.ts';

const rotation = 'node-group-rotation -i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green';
const target = 'eks/eu-central-1/demo';
let environment: LiveEnvironment;
beforeAll(async () => {
  environment = await createLiveEnvironment('json');
});
afterAll(() => environment.stop());

/** What a command prints with --json; fails unless it is one value on one line. */
async function json(line: string): Promise<{ code: number; value: Record<string, unknown> }> {
  const { code, stdout } = await environment.call([...line.split(' '), '--json']);
  expect(stdout).toMatch(/^[^\n]+\n$/);
  return { code, value: JSON.parse(stdout) as Record<string, unknown> };
}

describe('--json prints exactly one value where all is well', () => {
  test.each([
    ['runbooks', 0, 'runbooks'],
    ['runbooks node-group-rotation', 0, 'digest'],
    ['lint', 0, 'ok'],
    ['lint --strict test/cli/transcripts/files/no-hold.yaml', 2, 'problems'],
    ['schema', 0, '$schema'],
    ['schema configuration', 0, '$schema'],
    ['keys create linus', 0, 'key'],
    ['keys list', 0, 'keys'],
    [`plan ${rotation}`, 0, 'spans'],
    [`start ${rotation} --as dana --yes --watch`, 3, 'hold'],
    [`show ${target}`, 3, 'hold'],
    [`pause ${target} --as ada`, 0, 'phase'],
    [`resume ${target} --as ada`, 0, 'phase'],
    ['runs', 0, 'runs'],
    ['runs --all', 0, 'runs'],
  ])('%s ends with %d and says %s', async (line, code, key) => {
    const answer = await json(line);
    expect(answer.code).toBe(code);
    expect(answer.value).toHaveProperty([key]);
  });

  test('a decision, the end of a run and its record', async () => {
    const { value } = await json(`show ${target}`);
    const { planHash } = (value.hold as { request: { planHash: string } }).request;
    expect(await json(`approve ${String(value.run)} --as ada --plan ${planHash}`)).toMatchObject({
      code: 0,
      value: { state: 'waiting', missing: 1 },
    });
    const rejection = await json(`reject ${String(value.run)} --as grace --plan ${planHash} --reason no`);
    expect(rejection).toMatchObject({ code: 0, value: { state: 'rejected' } });
    const ended = await json(`show ${target} --watch`);
    expect(ended).toMatchObject({ code: 5, value: { phase: 'rejected' } });
    expect(await json(`evidence verify ${String(ended.value.evidence)}`)).toMatchObject({ code: 0, value: { ok: true, ending: 'ended' } });
    expect(await json(`abort ${target} --as ada --reason late`)).toMatchObject({ code: 1, value: { error: { code: 'command-refused' } } });
  });
});

describe('--json prints exactly one value where something is wrong', () => {
  test.each([
    ['statr', 2, 'usage'],
    ['runs --al', 2, 'usage'],
    ['show', 2, 'usage'],
    ['keys', 2, 'usage'],
    ['evidence verify nowhere.jsonl', 2, 'usage'],
    ['schema runbok', 2, 'usage'],
    ['demo --speed 0', 2, 'usage'],
    ['demo node-maintenance', 2, 'usage'],
    ['demo --on lab', 2, 'usage'],
    ['up --speed x', 2, 'usage'],
    ['lint nowhere.yaml', 2, 'runbook-unknown'],
    ['runbooks nowhere', 2, 'runbook-unknown'],
    ['plan node-group-rotation', 2, 'usage'],
    [`start ${rotation}`, 1, 'person-unnamed'],
    [`start ${rotation} --as dana`, 2, 'usage'],
    [`start ${rotation} --as dana --plan 123456789012`, 1, 'plan-changed'],
    [`approve ${target} --as ada --plan ${'1'.repeat(64)}`, 2, 'usage'],
    ['plan node-group-update -i region=eu-central-1 -i cluster=dmeo -i nodegroup=blue', 1, 'cluster-unknown'],
    ['show r-nobody', 1, 'run-unknown'],
    ['approve r-nobody --as ada', 1, 'run-unknown'],
    ['reject r-nobody --as mallory', 1, 'key-unusable'],
    ['retry r-nobody --as ada', 1, 'run-unknown'],
    ['keys create ada', 1, 'key-unusable'],
    ['approve r-nobody --as ada --signer ssh-agent', 1, 'key-unusable'],
    ['pause r-nobody --as ada --signer pigeon', 2, 'usage'],
  ])('%s ends with %d and the code %s', async (line, code, error) => {
    const answer = await json(line);
    expect(answer.code).toBe(code);
    expect(answer.value).toEqual({ error: { code: error, message: expect.stringMatching(/\S/), remedy: answerRemedy(answer.value) } });
  });

  test('a worker that cannot start', async () => {
    const configuration = environment.env.HOLDPOINT_CONFIG ?? '';
    environment.env.HOLDPOINT_CONFIG = `${configuration}.nowhere`;
    expect(await json('worker')).toMatchObject({ code: 1, value: { error: { code: 'worker-failed' } } });
    environment.env.HOLDPOINT_CONFIG = configuration;
  });
});

test('help is text, whatever else is asked for', async () => {
  const { code, stdout } = await environment.call(['show', '--help', '--json']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Usage: holdpoint show/);
  expect(stdout).not.toContain('"error"');
});

/** Text that helps, or null: never left out. */
function answerRemedy(value: Record<string, unknown>): unknown {
  const { remedy } = value.error as { remedy: unknown };
  return remedy === null ? null : expect.stringMatching(/\S/);
}
