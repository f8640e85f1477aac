import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLiveEnvironment, type LiveEnvironment } from './environment.ts';

const rotation = 'node-group-rotation -i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green';
const target = 'eks/eu-central-1/demo';
const inputsInFile = 'region: eu-central-1\ncluster: demo\nnodegroup: blue\nnewNodegroup: green\n';
/** Three seconds are promised; a machine that tests other things at the same time takes longer. */
const shownWithinMs = 8_000;
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
    expect(await json(`approve ${String(value.run)} --as ada --plan ${planHash} --wait`)).toMatchObject({
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

describe('while no worker answers', () => {
  beforeAll(async () => {
    await writeFile(join(environment.directory, 'inputs.yaml'), inputsInFile);
    expect(await json(`start node-group-rotation -f ${environment.directory}/inputs.yaml --as dana --yes --watch`)).toMatchObject({
      code: 3,
      value: { phase: 'holding', inputs: { nodegroup: 'blue' } },
    });
    // The queue stays the one that the run waits on.
    const queue = environment.env.HOLDPOINT_TASK_QUEUE ?? '';
    await environment.stopWorker();
    environment.env.HOLDPOINT_TASK_QUEUE = queue;
  }, 60_000);

  test('a run is shown as it was last known, within seconds, and nobody takes that for the state of now', async () => {
    const begin = performance.now();
    const { code, value } = await json(`show ${target}`);
    expect(performance.now() - begin).toBeLessThan(shownWithinMs);
    expect(code).toBe(1);
    expect(value).toMatchObject({ phase: 'holding', commands: [], hold: { request: { number: 1 } } });
    expect(value.lastKnown).toMatchObject({ why: 'silent', at: expect.any(String), queue: environment.env.HOLDPOINT_TASK_QUEUE });
    const { stdout } = await environment.call(['show', target]);
    expect(stdout).toMatch(/Last known, not live.*as of/);
    expect(stdout).toMatch(/■ sign-drain/);
  }, 20_000);

  test('commands are refused and say so, a plan is given up, and the doctor names what is missing', async () => {
    const silent = environment.call(['pause', target, '--as', 'ada']);
    const [refused, planned, examined] = await Promise.all([silent, json(`plan ${rotation}`), json('doctor')]);
    expect(refused.code).toBe(1);
    expect(refused.lines.map(({ text }) => text).join('')).toMatch(/no worker|No worker/);
    expect(planned).toMatchObject({ code: 1, value: { error: { code: 'worker-missing' } } });
    const { findings } = examined.value as { findings: { what: string; state: string }[] };
    expect(examined).toMatchObject({ code: 1, value: { ok: false } });
    expect(findings).toContainEqual(expect.objectContaining({ what: 'Temporal', state: 'good' }));
    expect(findings).toContainEqual(
      expect.objectContaining({ what: 'Worker', state: 'bad', todo: expect.stringContaining('holdpoint worker') }),
    );
    expect(findings).toContainEqual(expect.objectContaining({ what: 'Configuration', state: 'good' }));
  }, 60_000);

  test('what has happened is told, and goes into a bundle without names', async () => {
    const logs = await environment.call(['logs', target]);
    expect(logs.stdout).toMatch(/dana started node-group-rotation on /);
    expect(logs.stdout).toMatch(/signatures were asked for at sign-drain/);
    const file = join(environment.directory, 'bundle.tar.gz');
    expect(await json(`bundle ${target} --out ${file}`)).toMatchObject({ code: 0, value: { file } });
    const archive = gunzipSync(await readFile(file)).toString('utf8');
    expect(archive).toContain('hold.requested');
    expect(archive).not.toMatch(/dana|storefront|ip-10-0-0-4|eu-central-1/);
    expect((await json(`bundle ${target} --out ${file}`)).code).toBe(2);
  });

  test('a run whose workflow was terminated is told as such, everywhere', async () => {
    await environment.terminate(target);
    const { value } = await json(`show ${target}`);
    expect(value).toMatchObject({ phase: 'terminated', commands: [], ended: { reason: expect.stringContaining('by hand') } });
    const { runs } = (await json('runs --phase terminated --limit 1')).value as { runs: object[] };
    expect(runs).toEqual([expect.objectContaining({ target, phase: 'terminated', reason: expect.stringContaining('by hand') })]);
    expect(await json(`runs --all --runbook node-group-rotation --requester dana --since 1h`)).toMatchObject({ code: 0 });
    expect(await json('runs --requester nobody --all')).toMatchObject({ value: { runs: [] } });
    expect(await json('runs --limit many')).toMatchObject({ code: 2 });
  }, 20_000);
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
