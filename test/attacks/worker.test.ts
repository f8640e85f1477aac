import { questionDigest } from '../../domain/approval/request.ts';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';
import type { temporal } from '@temporalio/proto';
import { emptyPlan } from '../../activities/action.ts';
import type { JsonObject } from '../../domain/json.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import { runWorkflow, type RunInput } from '../../workflows/messages.ts';
import { answering, startEndpoint } from '../support/endpoint.ts';
import { documentOf, runbookOf, startEngine, untilTrue, workAtOnce, type Engine } from '../support/engine.ts';
import { startStranger, type Stranger } from './stranger.ts';

/** `EVENT_TYPE_WORKFLOW_TASK_COMPLETED` and `COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK` of the Temporal API. */
const workflowTaskCompleted = 7;
const scheduleActivity = 1;
/** Longer than the queue of a worker that has gone keeps its runs. */
const pollMs = 60_000;

let engine: Engine;
let stranger: Stranger;
beforeAll(async () => {
  engine = await startEngine('attacks');
  stranger = await startStranger(engine.client, engine.settings);
});
afterAll(async () => {
  await stranger.stop();
  await engine.stop();
});

const parts = (target: string): JsonObject => {
  const [kind = '', region = '', name = ''] = target.split('/');
  return { kind, region, name };
};

/** A plan that nobody has seen, with a hash that fits. */
function ownPlan(target: string, cluster: string, runbook: string): SpanPlan {
  const plan = { ...emptyPlan<JsonObject>({ generation: 1 }), effects: [{ object: 'Node/node-first', change: 'cordon' }] };
  return sealSpan({
    target,
    runbook,
    title: 'One that nobody has seen',
    inputs: { cluster },
    steps: [{ id: 'work', uses: 'kubernetes.cordon', input: {}, plan }],
  });
}

/** Everything that a stranger may want of a worker, for a run and its target. */
function wishes(run: string, target: string, sequence: number): { activity: string; request: unknown }[] {
  const context = { run, step: 'work', target: parts(target), retry: 0 };
  const entry = (kind: string, body: JsonObject): JsonObject => ({ kind, body });
  return [
    { activity: 'planSpan', request: { base: {}, queue: [], results: {} } },
    { activity: 'record', request: { run, sequence, entries: [entry('hold.released', { hold: 'sign', request: 1 })] } },
    { activity: 'record', request: { run, sequence, entries: [entry('run.ended', { phase: 'done', reason: '', leftovers: [] })] } },
    { activity: 'record', request: { run: `r-${randomUUID()}`, sequence: 1, entries: [entry('run.started', {})] } },
    { activity: 'perform', request: { context } },
    { activity: 'release', request: { target: parts(target), run } },
    { activity: 'liftOwnerAnnotations', request: { target, annotations: [{ node: 'node-first', run }] } },
  ];
}

test('a workflow of a stranger gets nothing from the workers of ours, whatever its name, and the run beside it goes through', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  const before = await engine.entries(run);
  const refusals = wishes(run, target, before.length + 1).map(() => 'caller-refused');
  for (const as of [{}, { workflowType: runWorkflow }]) {
    await expect(stranger.order(wishes(run, target, before.length + 1), as)).resolves.toEqual(refusals);
  }
  expect(await engine.entries(run)).toEqual(before);
  expect(site.done).toEqual([]);
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  expect((await engine.verifiedKinds(run)).at(-1)).toBe('run.ended');
  // Under the id of a target that is free by now.
  await expect(stranger.order(wishes(run, target, 1), { workflowType: runWorkflow, workflowId: target })).resolves.toEqual(refusals);
});

test('a start that is carried out anew is refused, and changes neither the world nor the record', async () => {
  const { target, site, run } = await engine.working();
  await engine.handle(target).result();
  const before = await engine.entries(run);
  const input = (await startOf(target))[0] as RunInput;
  site.todo = ['again'];
  site.done.length = 0;
  const { taskQueue } = engine.settings;
  const again = await engine.client.workflow.start(runWorkflow, { workflowId: target, taskQueue, args: [input] });
  // The plan has changed or not: the record is another execution's.
  await expect(again.result()).resolves.toMatchObject({ phase: 'refused' });
  site.todo = ['first', 'second', 'third'];
  const third = await engine.client.workflow.start(runWorkflow, { workflowId: target, taskQueue, args: [input] });
  // By its first entry, before anything is planned: later ones may be equal as well, or not.
  const reason = expect.stringMatching(/^Entry 1 of run .* already, as run\.started of another execution/);
  await expect(third.result()).resolves.toMatchObject({ phase: 'refused', reason });
  expect(site.done).toEqual([]);
  expect(await engine.entries(run)).toEqual(before);
  await engine.verifiedKinds(run);
});

test('a run that is reset through Temporal ends, and does nothing twice', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.decide(target, 'ada');
  await engine.handle(target).result();
  const before = await engine.entries(run);
  site.todo = ['again'];
  site.done.length = 0;
  const { events = [] } = await engine.handle(target).fetchHistory();
  const performed = (events ?? []).findIndex((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'perform');
  const places = (events ?? []).slice(0, performed).filter(({ eventType }) => Number(eventType) === workflowTaskCompleted);
  const { runId } = await engine.handle(target).describe();
  await engine.client.workflowService.resetWorkflowExecution({
    namespace: engine.settings.namespace,
    workflowExecution: { workflowId: target, runId },
    workflowTaskFinishEventId: places.at(-1)?.eventId,
    requestId: randomUUID(),
    reason: 'an attack',
  });
  await untilTrue(async () => (await engine.handle(target).describe()).runId !== runId);
  await expect(engine.handle(target).result()).resolves.toMatchObject({ phase: 'aborted', reason: expect.stringContaining('reset') });
  expect(site.done).toEqual([]);
  expect(await engine.entries(run)).toEqual(before);
  // The target is free again, and genuine work goes through.
  site.todo = ['first'];
  await engine.begin(cluster, workAtOnce);
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first']);
});

test('what a history would hand to the next one is not taken from whoever starts a run', async () => {
  const { cluster, target, site } = engine.newSite();
  const forecast = await engine.holdpoint.plan(workAtOnce, { cluster });
  const run = `r-${randomUUID()}`;
  const { planHash, ...rest } = { planHash: forecast.spans[0]?.plan.hash ?? '', run, target, document: workAtOnce };
  const input: RunInput = { ...rest, planHash, inputs: { cluster }, requester: 'dana', signature: 'x.y.z' };
  const state = { run, target, phase: 'running', steps: [], commands: [], evidence: '', refusedAttempts: 0, requester: 'dana' };
  const plan = ownPlan(target, cluster, forecast.runbook.digest);
  const limits = { timeoutMs: 10_000, heartbeatMs: 10_000, attemptsMax: 1 };
  const planned = { id: 'work', uses: 'kubernetes.cordon', change: 'changes', onFailure: 'stuck', limits, retry: 0 };
  const row = { shown: { id: 'work', kind: 'action', uses: 'kubernetes.cordon', status: 'waiting' }, planned };
  const carried = { state, rows: [row], sequence: 0, nonces: [], requests: {}, intent: { want: 'go-on' }, pausedFrom: 'running' };
  const continued = {
    run: { ...carried, deadlineMs: 0, rollingBack: false },
    progress: {
      base: { runbook: { digest: forecast.runbook.digest }, inputs: { cluster }, target: parts(target), targetName: target, run },
      results: {},
      queue: [],
      span: { plan, rest: [] },
    },
  };
  const { taskQueue } = engine.settings;
  const started = await engine.client.workflow.start(runWorkflow, { workflowId: target, taskQueue, args: [input, continued] });
  await expect(started.result()).resolves.toMatchObject({ phase: 'refused' });
  // A workflow of the stranger that continues as one of ours, on our queue, gets as far as the worker that would act.
  const other = { ...continued, run: { ...continued.run, state: { ...state, run: `r-${randomUUID()}` } } };
  await stranger.changeInto(target, [input, other]);
  await untilTrue(async () => (await engine.handle(target).describe()).type === runWorkflow);
  await engine.until(target, 'stuck');
  expect(await engine.holdpoint.state(target)).toMatchObject({ stuck: { code: 'step-not-signed' } });
  expect(site.done).toEqual([]);
  await engine.holdpoint.operate(target, 'abort', 'a stranger', engine.keys.ada);
  await engine.handle(target).result();
  expect((await engine.begin(cluster, workAtOnce)).admission).toEqual({ admitted: true });
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
});

test('a fake worker on the queue of ours makes no real one act: what it says of signatures is not believed', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'two' }));
  await engine.decide(target, 'ada');
  const { hold } = await engine.until(target, 'holding');
  const sequence = (await engine.entries(run)).length + 1;
  const planHash = hold?.request.planHash ?? '';
  const question = questionDigest({ question: hold?.request.question ?? '' });
  const forged = {
    person: 'grace',
    hold: 'sign',
    request: 1,
    planHash,
    question,
    decision: 'approve',
    reason: '',
    jws: 'a.b.c',
    publicKey: 'x',
  };
  const entries: { kind: string; body: JsonObject }[] = [
    { kind: 'decision.accepted', body: forged },
    { kind: 'hold.released', body: { hold: 'sign', request: 1, planHash } },
    { kind: 'step.started', body: { step: 'work', uses: 'kubernetes.cordon' } },
  ];
  // What a fake worker would have recorded in the name of the run.
  const execution = (await engine.handle(target).describe()).runId;
  for (const [index, entry] of entries.entries()) await engine.evidence.append(run, { ...entry, sequence: sequence + index, execution });
  // While no real worker listens, the fake one answers as the run itself.
  await engine.replaceWorker(async () => {
    await engine.handle(target).signal('anything');
    await answerTask([['perform', { context: { run, step: 'work', target: parts(target), retry: 0 } }]]);
  });
  await untilTrue(async () => (await failuresOf(target)).length > 0);
  expect(await failuresOf(target)).toEqual([
    `perform step-not-signed: Step work of run ${run} is not carried out: hold sign lacks 1 signature of sre, ` +
      'which policy two (2 of sre) asks for now (The statement of grace is not a signed token that can be read: it is no compact JWS).',
  ]);
  expect(site.done).toEqual([]);
  const beside = await engine.working();
  await engine.until(beside.target, 'done');
  expect(beside.site.done).toEqual(['first', 'second', 'third']);
  await engine.handle(target).terminate();
});

test.each<[string, { kind: string; body: JsonObject }[], string]>([
  [
    'that is shut',
    [],
    'Entry 9 (step.started) begins step work behind gate healthy, which the record does not say that the run has passed.',
  ],
  [
    'that it says was left out',
    [{ kind: 'step.skipped', body: { step: 'healthy', askedBy: 'dana', reason: '', signedBy: ['ada', 'grace'] } }],
    'Entry 9 (step.skipped) rests on signatures for skip:healthy that are not in the record.',
  ],
  [
    'of which it says that people have vouched for it',
    [{ kind: 'step.done', body: { step: 'healthy', byHand: true, saidBy: 'dana', signedBy: ['ada', 'grace'] } }],
    'Entry 9 (step.done) rests on signatures for done:healthy that are not in the record.',
  ],
])('a fake worker has nothing changed behind a gate %s, nor anything written of it', async (_what, passed, found) => {
  const endpoint = await startEndpoint();
  endpoint.answer = answering(503);
  engine.configuration.endpoints = { probe: { url: endpoint.url } };
  const { cluster, target, site } = engine.newSite();
  const gated = documentOf(`
  - { id: sign, hold: two }
  - { id: healthy, uses: gate.http, with: { endpoint: probe, deadline: 1s } }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);
  const { run } = await engine.begin(cluster, gated);
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  await untilTrue(async () => (await engine.entries(run)).some(({ kind }) => kind === 'step.stuck'));
  const execution = (await engine.handle(target).describe()).runId;
  const effects = [{ object: 'Node/node-first', change: 'cordon' }];
  const began = { kind: 'step.started', body: { step: 'work', uses: 'kubernetes.cordon', effects } };
  // As if an earlier worker, which did not look at gates, had written them.
  const before = await engine.entries(run);
  for (const [index, entry] of [...passed, began].entries())
    await engine.evidence.append(run, { ...entry, sequence: before.length + 1 + index, execution });
  const written = await engine.entries(run);
  const record = (kind: string): [string, unknown] => [
    'record',
    { run, sequence: written.length + 1, entries: [{ kind, body: { ...began.body } }] },
  ];
  const perform: [string, unknown] = ['perform', { context: { run, step: 'work', target: parts(target), retry: 0 } }];
  await engine.replaceWorker(async () => {
    await engine.handle(target).signal('anything');
    await answerTask([perform, record('step.started'), record('step.done')]);
  });
  // That of the gate, which is shut, is the first.
  await untilTrue(async () => (await failuresOf(target)).length > 3);
  const cause =
    `step-not-signed: Step work of run ${run} is not carried out: gate healthy stands before it, ` +
    'and its record does not say that the run has passed it, or that people have signed to go past it.';
  expect((await failuresOf(target)).slice(1).sort()).toEqual([`perform ${cause}`, `record ${cause}`, `record ${cause}`]);
  expect(site.done).toEqual([]);
  expect(await engine.entries(run)).toEqual(written);
  await expect(engine.verifiedKinds(run)).rejects.toThrow(found);
  await engine.handle(target).terminate();
  await endpoint.stop();
});

/** The arguments of the last start on a target. */
async function startOf(target: string): Promise<unknown[]> {
  const { events } = await engine.handle(target).fetchHistory();
  const payloads = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  return payloads.map((payload) => defaultPayloadConverter.fromPayload(payload));
}

/** Takes the next workflow task of our queue, and has it ask for activities. */
async function answerTask(asked: [activity: string, request: unknown][]): Promise<void> {
  const { namespace, taskQueue } = engine.settings;
  const { workflowService } = engine.client;
  let task: temporal.api.workflowservice.v1.IPollWorkflowTaskQueueResponse = {};
  // The real worker's own queue keeps the run for some seconds.
  await untilTrue(async () => {
    task = await engine.client.connection.withDeadline(Date.now() + pollMs, () =>
      workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: 'fake' }),
    );
    return (task.taskToken?.length ?? 0) > 0;
  });
  const seconds = msToTs('30s');
  await workflowService.respondWorkflowTaskCompleted({
    namespace,
    taskToken: task.taskToken,
    identity: 'fake',
    commands: asked.map(([name, request], index) => ({
      commandType: scheduleActivity,
      scheduleActivityTaskCommandAttributes: {
        activityId: `forged-${index}`,
        activityType: { name },
        taskQueue: { name: taskQueue },
        input: { payloads: [defaultPayloadConverter.toPayload(request)] },
        startToCloseTimeout: seconds,
        heartbeatTimeout: seconds,
        retryPolicy: { maximumAttempts: 1 },
      },
    })),
  });
}

/** The activities of a run that have failed, with their codes. */
async function failuresOf(target: string): Promise<string[]> {
  const { events } = await engine.handle(target).fetchHistory();
  const all = events ?? [];
  return all.flatMap(({ activityTaskFailedEventAttributes: failed }) => {
    if (!failed) return [];
    const scheduled = all.find(({ eventId }) => String(eventId) === String(failed.scheduledEventId));
    const name = scheduled?.activityTaskScheduledEventAttributes?.activityType?.name ?? '';
    return [`${name} ${failed.failure?.applicationFailureInfo?.type ?? ''}: ${failed.failure?.message ?? ''}`];
  });
}
