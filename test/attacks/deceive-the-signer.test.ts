import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import { planLines } from '../../cli/plan-view.ts';
import { Terminal } from '../../cli/terminal.ts';
import { connectTemporal } from '../../client/connection.ts';
import { requireHonestState, requireRun } from '../../client/shown.ts';
import { chain, lineOf, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import { sealSpan, type ActionPlan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { RunState } from '../../domain/run/state.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { createLiveEnvironment, type LiveEnvironment, type Outcome } from '../cli/environment.ts';

const target = 'eks/eu-central-1/demo';
const node = 'ip-10-0-0-4.eu-central-1.compute.internal';
/** Hides what follows, clears the screen, sets the clipboard, turns the direction, goes back over the line, and forges a line. */
const hostile = '\u001b[8m\u001b[2J\u009b1A\u001b]52;c;cm0=\u0007\u202e\u200b\rNothing is changed.\n✓ signed by grace';
const hostileShown = '\\x1b[8m\\x1b[2J\\x9b1A\\x1b]52;c;cm0=\\x07\\u202e\\u200b\\rNothing is changed.\\n✓ signed by grace';

let environment: LiveEnvironment;
let client: Client;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  environment = await createLiveEnvironment('deceive');
  const { TEMPORAL_ADDRESS: address = '', TEMPORAL_NAMESPACE: namespace = '', HOLDPOINT_TASK_QUEUE: taskQueue = '' } = environment.env;
  client = await connectTemporal({ address, namespace, taskQueue });
  ends.push(() => client.connection.close());
  await writeFile(join(environment.directory, 'drain.yaml'), drainRunbook);
  await writeKubeconfig();
});

afterAll(async () => {
  for (const end of ends.reverse()) await end();
  await environment.stop();
});

/** A question that shows an input, and a drain with everything that hurts. */
const drainRunbook = `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: gentle-drain, title: A gentle drain }
inputs: { type: object, required: [note], properties: { note: { type: string } } }
target: ${target}
steps:
  - { id: look, uses: eks.preflight }
  - { id: sign, hold: production-change, question: 'Go on? \${inputs.note}' }
  - id: drain
    uses: kubernetes.drain
    with: { nodes: [${node}], podDeadline: 1s, nodesAtOnce: 100, gracePeriodSeconds: 0, jobs: evict, force: true, onDeadline: delete }
`;

async function writeKubeconfig(): Promise<void> {
  const config = {
    clusters: [{ name: 'demo', cluster: { server: `${environment.sandbox.url}/kubernetes/demo` } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'me' } }],
    'current-context': 'demo',
  };
  environment.env.KUBECONFIG = join(environment.directory, 'kubeconfig');
  await writeFile(environment.env.KUBECONFIG, JSON.stringify(config));
}

/** What a terminal gets to see, as a person at one calls it; nothing in it but colours may be obeyed. */
async function seenBy(argv: string[], typed?: string): Promise<{ code: number; text: string }> {
  const outcome = await environment.call(argv, { columns: 4_000, tty: true, typed });
  return { code: outcome.code, text: harmless(outcome) };
}

/** The text without our colours. Throws for anything else that a terminal would obey. */
function harmless({ lines }: Pick<Outcome, 'lines'>): string {
  // The line editor of a prompt moves the cursor to its own line first.
  const [written = ''] = lines
    .map(({ text }) => text)
    .join('')
    .split('\u001b[1G');
  // eslint-disable-next-line no-control-regex -- colours, as a terminal gets them
  const text = written.replace(/\u001b\[(?:[12]|22|3[1-6]|39)m/g, '');
  const obeyed = text.replaceAll('\n', '').match(/.{0,60}[\p{Cc}\p{Cf}\p{Zl}\p{Zp}].{0,20}/u);
  expect(JSON.stringify(obeyed?.[0])).toBeUndefined();
  return text;
}

async function until(phase: string): Promise<RunState> {
  return environment.withHoldpoint(async (holdpoint) => {
    for (let look = 0; look < 400; look += 1) {
      const state = await holdpoint.state(target);
      if (state.phase === phase) return state;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the run on ${target} never came to be ${phase}`);
  });
}

/** A workflow of the stranger under that name, which says what it is told to say. */
async function fake(workflowId: string, state: RunState, attributes: Partial<Record<keyof typeof searchAttributes, string>> = {}) {
  const pairs = Object.entries(attributes).map(([name, value]) => {
    return { key: defineSearchAttributeKey(searchAttributes[name as keyof typeof searchAttributes], 'KEYWORD'), value };
  });
  return client.workflow.start('runbook', { workflowId, taskQueue: 'of-a-stranger', args: [state], typedSearchAttributes: pairs });
}

async function startStranger(): Promise<void> {
  const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace } = environment.env;
  const connection = await NativeConnection.connect({ address });
  const workflowsPath = fileURLToPath(new URL('fake-run.ts', import.meta.url));
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  const worker = await Worker.create({ connection, namespace, taskQueue: 'of-a-stranger', workflowBundle });
  const running = worker.run();
  ends.push(async () => {
    worker.shutdown();
    await running;
    await connection.close();
  });
}

test('what hurts is told in so many words before it is signed, and nothing that others have written is obeyed', async () => {
  const runbook = join(environment.directory, 'drain.yaml');
  const planned = await seenBy(['plan', runbook, '-i', `note=${hostile}`]);
  expect(planned).toMatchObject({ code: 0 });
  const dangers = [
    'podDeadline: 1s',
    'nodesAtOnce: 100\n      ! up to 100 of the nodes are emptied at the same time',
    'gracePeriodSeconds: 0\n      ! pods are killed at once, without any time to end',
    'jobs: evict\n      ! pods of Jobs are evicted before they have ended, and their work so far is lost',
    'force: true\n      ! pods that no controller brings back are evicted, and are gone for good',
    'onDeadline: delete\n      ! after 1s for a pod, what is left is deleted past its PodDisruptionBudget, whatever keeps it',
  ];
  for (const danger of dangers) expect(planned.text).toContain(`    = ${danger}\n`);
  expect(await environment.call(['start', runbook, '-i', `note=${hostile}`, '--as', 'dana', '--yes'])).toMatchObject({ code: 0 });
  const { run, hold } = await until('holding');
  const question = `The author of the runbook asks: “Go on? ${hostileShown}”`;
  for (const seen of [await seenBy(['show', run]), await seenBy(['approve', run, '--as', 'ada'], 'n\n')]) {
    for (const danger of dangers) expect(seen.text).toContain(`    = ${danger}\n`);
    // The question comes after the plan; hash and verdict come after the question.
    const verdict = `  It makes \\d+ changes, with .*dangerous settings\\.\n  plan ${hold?.request.planHash}\n  holdpoint approve`;
    expect(seen.text.slice(seen.text.indexOf(question) + question.length)).toMatch(new RegExp(`^\n${verdict}`));
    expect(seen.text.indexOf(question)).toBeGreaterThan(seen.text.indexOf(dangers[0]!));
  }
});

test('twelve digits of a hash, and the hash without its run, are not enough', async () => {
  const { run, hold } = await until('holding');
  const digits = hold!.request.planHash.slice('sha256:'.length);
  const short = await environment.call(['approve', run, '--as', 'ada', '--plan', digits.slice(0, 12), '--json']);
  expect([short.code, short.stdout]).toEqual([1, expect.stringContaining('at least 32 digits')]);
  const withoutRun = await environment.call(['approve', target, '--as', 'ada', '--plan', digits, '--json']);
  expect([withoutRun.code, withoutRun.stdout]).toEqual([2, expect.stringContaining('--plan is about the plan of one run')]);
  const told = await environment.call(['approve', run, '--as', 'ada', '--plan', digits, '--reason', hostile, '--json']);
  expect([told.code, JSON.parse(told.stdout)]).toEqual([1, { error: expect.objectContaining({ code: 'reason-unreadable' }) }]);
  expect((await until('holding')).hold?.decisions).toEqual([]);
});

test('a workflow that says it is the run is not asked, and the genuine run is approved beside it', async () => {
  await startStranger();
  const genuine = await until('holding');
  const nothing = sealSpan({ ...genuine.hold!.plan, steps: [] });
  const forged = { ...genuine, hold: { ...genuine.hold!, plan: { ...nothing, hash: genuine.hold!.request.planHash } } };
  const attributes = { run: genuine.run, runbook: 'gentle-drain', requester: hostile, phase: 'holding' };
  const other = 'eks/eu-central-1/other';
  const impostor = await fake(other, forged, attributes);
  const squatter = await fake('eks/eu-central-1/squatted', { ...forged, target: 'eks/eu-central-1/squatted' });
  // Until it is listed, the attack has not begun.
  for (let look = 0; look < 200 && !(await seenBy(['runs'])).text.includes(other); look += 1) await new Promise((go) => setTimeout(go, 50));
  expect((await seenBy(['runs'])).text).toContain(hostileShown);
  expect((await seenBy(['show', genuine.run])).text).toContain('kubernetes.drain');
  for (const name of [other, 'eks/eu-central-1/squatted']) {
    for (const argv of [
      ['show', name],
      ['approve', name, '--as', 'ada'],
      ['abort', name, '--as', 'ada', '--reason', 'stop'],
    ]) {
      const { code, stdout } = await environment.call([...argv, '--json']);
      expect([code, JSON.parse(stdout)]).toEqual([1, { error: expect.objectContaining({ code: 'target-occupied' }) }]);
    }
  }
  expect(await impostor.query('signed')).toEqual([]);
  expect(await squatter.query('signed')).toEqual([]);
  const approve = ['approve', genuine.run, '--plan', genuine.hold!.request.planHash, '--as'];
  expect(await environment.call([...approve, 'ada'])).toMatchObject({ code: 0 });
  expect((await until('holding')).hold?.decisions).toHaveLength(1);
  for (const handle of [impostor, squatter]) await handle.terminate();
});

describe('what is shown is refused where it is not what would be signed', () => {
  const plan = (parts: Partial<ActionPlan> = {}): ActionPlan => {
    const rest = { facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
    return { effects: [{ object: 'Node/a', change: 'drain' }], ...rest, ...parts };
  };
  const step = { id: 'drain', uses: 'kubernetes.drain', input: { nodes: ['a'], force: true } };
  const digest = `sha256:${'2'.repeat(64)}`;
  const span = sealSpan({ target, runbook: digest, title: 'T', inputs: { note: 'n' }, steps: [{ ...step, plan: plan() }] });
  const workflow = { workflowId: target, type: 'runbook', taskQueue: 'holdpoint', runId: 'e-1' };

  function stateWith(shown: SpanPlan, differences: Partial<RunState> = {}): RunState {
    const request = { hold: 'sign', number: 1, question: 'Go on?', planHash: span.hash };
    const runbook = { name: 'n', title: 'T', digest };
    const state = { run: 'r-1', target, runbook, inputs: { note: 'n' }, hold: { request, plan: shown, decisions: [] }, ...differences };
    return state as unknown as RunState;
  }

  const refusal = (state: RunState, found: Partial<typeof workflow> = {}, name = 'r-1') => {
    try {
      requireRun({ ...workflow, ...found }, 'holdpoint');
      requireHonestState(name, state, found.workflowId ?? workflow.workflowId);
      return undefined;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test('what is honest is not', () => expect(refusal(stateWith(span))).toBeUndefined());

  const changed = (parts: object): SpanPlan => ({ ...span, steps: [{ ...span.steps[0]!, ...parts }] });
  test.each<[string, SpanPlan]>([
    ['no effect', changed({ plan: plan({ effects: [] }) })],
    ['another object', changed({ plan: plan({ effects: [{ object: 'Node/b', change: 'drain' }] }) })],
    ['a fact', changed({ plan: plan({ facts: { budgets: [] } }) })],
    ['a risk', changed({ plan: plan({ risks: [{ object: 'Node/a', risk: 'none' }] }) })],
    ['a setting', changed({ input: { nodes: ['a'] } })],
    ['another action', changed({ uses: 'kubernetes.cordon' })],
    ['no step', { ...span, steps: [] }],
    ['another title', { ...span, title: 'A drill' }],
    ['other inputs', { ...span, inputs: { note: 'm' } }],
    ['a plan with a hash of its own', sealSpan({ ...span, steps: [] })],
  ])('%s', (_what, shown) => expect(refusal(stateWith(shown))).toBe('shown-forged'));

  test.each<[string, Partial<typeof workflow>]>([
    ['a workflow of another type', { type: 'sweep' }],
    ['a workflow on a queue of somebody else', { taskQueue: 'of-a-stranger' }],
  ])('%s', (_what, found) => expect(refusal(stateWith(span), found)).toBe('target-occupied'));

  test.each<[string, RunState, Partial<typeof workflow>, string]>([
    ['a workflow that is not called like its target', stateWith(span), { workflowId: 'eks/eu-central-1/other' }, 'r-1'],
    ['another run', stateWith(span), {}, 'r-2'],
    ['a title beside the plan', stateWith(span, { runbook: { name: 'n', title: 'A drill', digest } }), {}, 'r-1'],
  ])('%s', (_what, state, found, name) => expect(refusal(state, found, name)).toBe('shown-forged'));
});

describe('tenants and records', () => {
  test('cannot write on the screen of who drains, nor fill it', async () => {
    const url = `${environment.sandbox.url}/kubernetes/demo/api/v1/namespaces/shop/pods`;
    const owners = [hostile, 'x'.repeat(200_000)];
    for (const [index, name] of owners.entries()) {
      const owner = { apiVersion: 'apps/v1', kind: index === 0 ? hostile : 'ReplicaSet', name, uid: String(index), controller: true };
      const metadata = { name: `tenant-${index}`, namespace: 'shop', ownerReferences: [owner] };
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: node, containers: [{ name: 'main', image: 'i' }] } };
      const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(pod) });
      expect(answer.status).toBe(201);
    }
    for (const argv of [
      ['drain', node, '--plan'],
      ['who-blocks', node],
    ]) {
      const { text } = await seenBy(argv);
      expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(4_100);
    }
    const { text } = await seenBy(['drain', node, '--plan', '--force']);
    expect(text).toContain(`${hostileShown} shop/${hostileShown}`);
    const runbook = join(environment.directory, 'drain.yaml');
    expect((await seenBy(['plan', runbook, '-i', 'note=x'])).text).toContain(`${hostileShown} shop/${hostileShown}`);
    expect(text).toMatch(/ReplicaSet shop\/x{50,}… \(200000 characters\) of shop\/tenant-1/);
  });

  test('cannot forge a line of what an auditor sees', async () => {
    const run = 'r-20261121-forged';
    const entries: EvidenceEntry[] = [];
    const person = `ada\u001b[1A\u001b[2K\r\n✓ ${run}: nothing was changed`;
    for (const [kind, body] of [
      ['run.started', { person, target, runbook: hostile, planHash: 'x', jws: 'x', publicKey: 'x' }],
      ['decision.accepted', { person, hold: hostile, jws: 'x', publicKey: 'x' }],
    ] as [string, JsonObject][]) {
      entries.push(chain(entries.at(-1), { run, at: '2026-11-21T10:00:00.000Z', kind, body }));
    }
    const file = join(environment.directory, 'forged.jsonl');
    await writeFile(file, entries.map((entry) => `${lineOf(entry)}\n`).join(''));
    const { code, text } = await seenBy(['evidence', 'verify', file]);
    expect(code).toBe(1);
    expect(text.split('\n').filter((line) => line.startsWith('✓'))).toEqual([]);
    expect(text).toContain('ada\\x1b[1A\\x1b[2K\\r\\n✓');
  });
});

test('two plans that differ in a setting never look alike', () => {
  const surroundings = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: {}, now: () => new Date() };
  const terminal = new Terminal({ ...surroundings, signal: new AbortController().signal }, { json: false, color: false });
  const emptyPlan: ActionPlan = { effects: [], facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
  const shown = (input: JsonObject, uses = 'kubernetes.drain'): string => {
    const step = { id: 'drain', uses, input: { nodes: ['a'], ...input }, plan: emptyPlan };
    return planLines(sealSpan({ target, runbook: 'sha256:0', title: 'T', inputs: {}, steps: [step] }), terminal).join('\n');
  };
  const gentle = shown({});
  const settings: JsonObject[] = [
    { podDeadline: '6h' },
    { podDeadline: '1s' },
    { nodesAtOnce: 2 },
    { nodesAtOnce: '100%' },
    { gracePeriodSeconds: 0 },
    { gracePeriodSeconds: 30 },
    { jobs: 'evict' },
    { daemonSets: 'evict' },
    { singletons: 'surge' },
    { zeroBudgets: 'wait' },
    { unschedulableLimit: '1s' },
    { force: true },
    { deleteEmptyDirData: true },
    { alsoCordoned: true },
    { perZone: true },
    { nodeDeadline: '1s', onDeadline: 'delete' },
  ];
  const all = settings.map((input) => shown(input));
  expect(new Set([gentle, ...all]).size).toBe(settings.length + 1);
  expect(shown({ jobs: 'wait', force: false, nodesAtOnce: 1 })).toBe(gentle);
  // Of an action that this version does not know nothing is taken for a default.
  expect(shown({ jobs: 'wait' }, 'future.action')).toContain('= jobs: wait');
});
