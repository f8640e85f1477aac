import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WithStartWorkflowOperation } from '@temporalio/client';
import type { Forecast } from '../../domain/plan/forecast.ts';
import type { StartStatement } from '../../domain/approval/statement.ts';
import { admissionUpdate, runWorkflow, type Admission, type RunInput } from '../../workflows/messages.ts';
import { documentOf, runbookOf, startEngine, untilTrue, type Engine, type Person } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('admission');
});
afterAll(() => engine.stop());

const refusedKinds = ['run.ended'];

/** A start that our client would have made; `change` is what a rogue one makes of it after signing. */
async function send(
  forecast: Forecast,
  change: Partial<RunInput> = {},
  { signer = 'dana', workflowId = forecast.target }: { signer?: Person; workflowId?: string } = {},
): Promise<{ run: string; admission: Admission }> {
  const run = `r-${randomUUID()}`;
  const planHash = forecast.spans[0]?.plan.hash ?? '';
  const at = new Date().toISOString();
  const claims = { run, target: forecast.target, runbook: forecast.runbook.digest, planHash, at, nonce: randomUUID() };
  const statement: StartStatement = { kind: 'start', person: signer, ...claims };
  const signature = await engine.keys[signer].sign(statement);
  const { target, inputs } = forecast;
  const input: RunInput = { run, target, document: runbookOf(), inputs, requester: 'dana', planHash, signature };
  const startWorkflowOperation = new WithStartWorkflowOperation(runWorkflow, {
    workflowId,
    taskQueue: engine.settings.taskQueue,
    workflowIdConflictPolicy: 'FAIL',
    args: [{ ...input, ...change }],
  });
  return { run, admission: await engine.client.workflow.executeUpdateWithStart(admissionUpdate, { startWorkflowOperation }) };
}

async function plannedSite(): Promise<ReturnType<Engine['newSite']> & { forecast: Forecast }> {
  const made = engine.newSite();
  return { ...made, forecast: await engine.holdpoint.plan(runbookOf(), { cluster: made.cluster }) };
}

async function expectRefused(target: string, run: string): Promise<void> {
  const state = await engine.until(target, 'refused');
  expect(state.run).toBe(run);
  await expect(engine.handle(target).result()).resolves.toMatchObject({ run, phase: 'refused' });
}

test('a start that carries the hash of the present plan is admitted', async () => {
  const { forecast, target } = await plannedSite();
  const { admission } = await send(forecast);
  expect(admission).toEqual({ admitted: true });
  await engine.until(target, 'holding');
});

test('a plan that has changed since it was shown is refused with the new plan, and nothing is acted upon', async () => {
  const { forecast, target, site } = await plannedSite();
  site.generation = 2;
  const { run, admission } = await send(forecast);
  expect(admission).toMatchObject({ admitted: false, code: 'plan-changed', plan: { steps: [{ plan: { facts: { generation: 2 } } }] } });
  await expectRefused(target, run);
  expect(site.looks).toBe(0);
  await expect(engine.verifiedKinds(run)).resolves.toEqual(['run.started', 'plan.made', 'run.ended']);
});

test('a blocked plan is refused with what blocks it and the remedy', async () => {
  const { cluster, target, site } = engine.newSite();
  site.blockers = [{ object: 'Node/node-first', reason: 'It is not Ready.', remedy: 'Repair it.' }];
  const forecast = await engine.holdpoint.plan(runbookOf(), { cluster });
  const { run, admission } = await send(forecast);
  expect(admission).toMatchObject({ admitted: false, code: 'plan-blocked', remedy: 'Repair it.' });
  expect(admission).toHaveProperty('reason', 'Step look is blocked: Node/node-first: It is not Ready.');
  await expectRefused(target, run);
  await engine.replay(target, { name: 'refused' });
});

test('a plan is made without leaving anything but itself', async () => {
  const { forecast, site } = await plannedSite();
  expect(forecast.spans).toHaveLength(2);
  expect(site.marks.size).toBe(0);
  const query = `WorkflowType = 'planRunbook' AND TaskQueue = '${engine.settings.taskQueue}' AND ExecutionStatus = 'Completed'`;
  await untilTrue(async () => (await engine.client.workflow.count(query)).count > 0);
  for await (const { workflowId } of engine.client.workflow.list({ query })) {
    await engine.replay(workflowId, { name: 'plan' });
    break;
  }
});

test('a plan that has become too large is refused, and the target is free again', async () => {
  const { cluster, target, site } = engine.newSite();
  const forecast = await engine.holdpoint.plan(runbookOf(), { cluster });
  site.generation = 'x'.repeat(800_000);
  const { run, admission } = await engine.holdpoint.start(runbookOf(), forecast, engine.keys.dana);
  expect(admission).toMatchObject({ admitted: false, code: 'work-too-large', reason: expect.stringContaining('in step look') });
  await expectRefused(target, run);
  await expect(engine.verifiedKinds(run)).resolves.toEqual(['run.started', 'run.ended']);
});

describe('a start signature that does not hold is refused before anything is planned', () => {
  test.each<[string, Partial<RunInput>, Person, string]>([
    ['no signature at all', { signature: '' }, 'dana', 'statement-malformed'],
    ['the signature of somebody else', {}, 'ada', 'signature-forged'],
    ['a person nobody knows', { requester: 'mallory' }, 'dana', 'person-unknown'],
    ['another person known by name only', { requester: 'constructor' }, 'dana', 'person-unknown'],
    ['a signature for another plan', { planHash: `sha256:${'0'.repeat(64)}` }, 'dana', 'claim-differs'],
    ['a signature for another run', { run: `r-${randomUUID()}` }, 'dana', 'claim-differs'],
  ])('%s', async (_what, change, signer, code) => {
    const { forecast, target, site } = await plannedSite();
    const { run, admission } = await send(forecast, change, { signer });
    expect(admission).toMatchObject({ admitted: false, code });
    await expectRefused(target, change.run ?? run);
    await expect(engine.verifiedKinds(change.run ?? run)).resolves.toEqual(refusedKinds);
    expect(site.looks).toBe(0);
  });

  test('a signature over another document', async () => {
    const { forecast, target } = await plannedSite();
    const { run, admission } = await send(forecast, { document: runbookOf({ policy: 'two' }) });
    expect(admission).toMatchObject({ admitted: false, code: 'claim-differs' });
    await expectRefused(target, run);
  });
});

describe('the worker checks again what a client should have checked', () => {
  const noHold = `
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first], extra: 1 } }`;

  test.each<[string, Partial<RunInput>, string]>([
    ['a document that is no runbook', { document: { file: 'rogue.yaml', text: 'kind: Nothing' } }, 'runbook-invalid'],
    ['a step with input that its action does not take', { document: documentOf(noHold) }, 'runbook-invalid'],
    ['a policy that the configuration lacks', { document: runbookOf({ policy: 'nobody' }) }, 'runbook-invalid'],
    ['inputs that the runbook does not take', { inputs: { cluster: 7 } }, 'inputs-invalid'],
    ['inputs that name another target', { inputs: { cluster: 'another' } }, 'inputs-invalid'],
  ])('%s is refused', async (_what, change, code) => {
    const { forecast, target, site } = await plannedSite();
    const { run, admission } = await send(forecast, change);
    expect(admission).toMatchObject({ admitted: false, code });
    await expectRefused(target, run);
    expect(site.looks).toBe(0);
  });

  test('a run whose workflow id is not its target is refused, as it would escape the lock of the target', async () => {
    const { forecast, site } = await plannedSite();
    const workflowId = `rogue-${randomUUID()}`;
    const { run, admission } = await send(forecast, {}, { workflowId });
    expect(admission).toMatchObject({ admitted: false, code: 'target-differs' });
    await expectRefused(workflowId, run);
    expect(site.looks).toBe(0);
  });

  test.each(['../escaped', ''])('the run id %p, under which no record can be kept, ends at once and frees the target', async (rogue) => {
    const { forecast, target, cluster } = await plannedSite();
    const { admission } = await send(forecast, { run: rogue });
    expect(admission).toMatchObject({ admitted: false, code: 'run-id-malformed' });
    await engine.handle(target).result();
    await expect(engine.begin(cluster)).resolves.toMatchObject({ admission: { admitted: true } });
  });

  test('the id of a run that has a record already is refused, and its record stays as it was', async () => {
    const first = await plannedSite();
    const { run } = await send(first.forecast);
    await engine.until(first.target, 'holding');
    const before = await engine.entries(run);
    const second = await plannedSite();
    const { admission } = await send(second.forecast, { run });
    expect(admission).toMatchObject({ admitted: false });
    await engine.handle(second.target).result();
    await expect(engine.entries(run)).resolves.toEqual(before);
    await expect(engine.begin(second.cluster)).resolves.toMatchObject({ admission: { admitted: true } });
  });
});

test('a ticket is signed with the start, shown and recorded; another one than was signed is refused', async () => {
  const ticket = { id: 'CHG-7', link: 'https://tickets.example/CHG-7' };
  const { forecast, target } = await plannedSite();
  const { run, admission } = await engine.holdpoint.start(runbookOf(), forecast, engine.keys.dana, ticket);
  expect(admission).toEqual({ admitted: true });
  expect((await engine.until(target, 'holding')).ticket).toEqual(ticket);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  const [started] = await engine.entries(run);
  expect(started?.body).toMatchObject({ ticket: ticket.id, ticketLink: ticket.link });
  await engine.verifiedKinds(run);
  const other = await plannedSite();
  const sent = await send(other.forecast, { ticket });
  expect(sent.admission).toMatchObject({ admitted: false, code: 'claim-differs' });
  await expectRefused(other.target, sent.run);
});
