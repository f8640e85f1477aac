import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  Client,
  Connection,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type WorkflowHandle,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { coresdk } from '@temporalio/proto';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker, type WorkflowBundle } from '@temporalio/worker';
import { askAgain, sendAgain } from '../../client/temporal/asking.ts';
import { interceptors } from '../../workflows/early-event-interceptor.ts';
import { earlyEventWords } from '../../workflows/messages.ts';
import { askedEarly, countQuery, sayUpdate } from '../support/asked-early-workflow.ts';
import { quietTemporal } from '../support/quiet-temporal.ts';
import { temporalAddress } from '../support/temporal.ts';

type Activation = coresdk.workflow_activation.IWorkflowActivation;

/** In which order a worker takes a question and a task of the same run is chance: of so many runs, some are asked first. */
const runsCount = 8;
const limitMs = 30_000;
const taskQueue = `early-${process.pid}-${Date.now()}`;
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

describe('an activation', () => {
  const at = (seconds: number): Activation['timestamp'] => ({ seconds: { toString: () => String(seconds) }, nanos: 5 }) as never;
  const first: Activation = { historyLength: 3, timestamp: at(10), jobs: [{ initializeWorkflow: {} }] };
  const result = { resolveActivity: { seq: 1 } };
  const early: Activation = { historyLength: 6, timestamp: at(10), jobs: [result] };
  const cases: { title: string; then: Activation; refused: boolean }[] = [
    { title: 'with the result of an activity, of no new workflow task', then: early, refused: true },
    { title: 'with a timer, of no new workflow task', then: { ...early, jobs: [{ fireTimer: { seq: 1 } }] }, refused: true },
    { title: 'with a signal beside others', then: { ...early, jobs: [{ notifyHasPatch: {} }, { signalWorkflow: {} }] }, refused: true },
    {
      title: 'with a workflow that it has started',
      then: { ...early, jobs: [{ resolveChildWorkflowExecutionStart: { seq: 1 } }] },
      refused: true,
    },
    { title: 'while the server has set its clock back', then: { ...early, timestamp: at(9) }, refused: true },
    { title: 'of a new workflow task', then: { ...early, timestamp: at(11) }, refused: false },
    { title: 'of a replay', then: { ...early, isReplaying: true }, refused: false },
    {
      title: 'with the result of a local activity',
      then: { ...early, jobs: [{ resolveActivity: { seq: 1, isLocal: true } }] },
      refused: false,
    },
    { title: 'with a question', then: { ...early, jobs: [{ queryWorkflow: {} }] }, refused: false },
    { title: 'of the same history', then: { ...early, historyLength: 3 }, refused: false },
  ];
  test.each(cases)('$title is refused: $refused', ({ then, refused }) => {
    const [internals] = interceptors().internals ?? [];
    const activate = (activation: Activation): void => internals?.activate?.({ activation, batchIndex: 0 }, () => undefined);
    activate(first);
    if (refused) expect(() => activate(then)).toThrow(earlyEventWords);
    else activate(then);
    // The run is loaded anew where it was refused; where that was not needed, its next task goes through.
    activate({ ...early, historyLength: 7, timestamp: at(12) });
  });
});

describe('an update', () => {
  const failed = (type: string): Error => new WorkflowUpdateFailedError('Workflow Update failed', ApplicationFailure.create({ type }));
  const lost = new WorkflowUpdateRPCTimeoutOrCancelledError('no answer');
  const notReady = Object.assign(new Error('Workflow Task in failed state'), { code: 9, details: '', metadata: {} });
  const cases: { title: string; error: Error; ids: number; sends: number }[] = [
    { title: 'to a run whose workflow task has failed is sent again as the same one', error: notReady, ids: 1, sends: 2 },
    { title: 'that a worker has left unanswered is sent again as another one', error: failed('UnprocessedUpdate'), ids: 2, sends: 2 },
    { title: 'whose answer is lost is sent again as the same one', error: lost, ids: 1, sends: 2 },
    { title: 'that is refused is sent once', error: failed('hold-closed'), ids: 1, sends: 1 },
  ];
  test.each(cases)('$title', async ({ error, ids, sends }) => {
    const sent: string[] = [];
    const answer = sendAgain(async (updateId) => {
      sent.push(updateId);
      if (sent.length === 1) throw error;
      return 'done';
    });
    if (sends === 1) await expect(answer).rejects.toBe(error);
    else expect(await answer).toBe('done');
    expect([new Set(sent).size, sent.length]).toEqual([ids, sends]);
  });
});

describe('a question that waits for a worker while an activity ends and an update comes', () => {
  let client: Client;
  let native: NativeConnection;
  let bundle: WorkflowBundle;
  beforeAll(async () => {
    quietTemporal();
    const address = await temporalAddress();
    [native, bundle] = await Promise.all([
      NativeConnection.connect({ address }),
      bundleWorkflowCode({
        workflowsPath: path('../support/asked-early-workflow.ts'),
        workflowInterceptorModules: [path('../../workflows/early-event-interceptor.ts')],
        logger: new DefaultLogger('ERROR'),
      }),
    ]);
    client = new Client({ connection: await Connection.connect({ address }) });
  });
  let stopWorker = async (): Promise<void> => undefined;
  const asked: Promise<unknown>[] = [];
  afterAll(async () => {
    await stopWorker();
    await Promise.allSettled(asked);
    await client.connection.close();
    await native.close();
  });

  async function startWorker(): Promise<void> {
    const worker = await Worker.create({ connection: native, taskQueue, workflowBundle: bundle });
    const running = worker.run();
    stopWorker = async () => {
      stopWorker = async () => undefined;
      worker.shutdown();
      await running;
    };
  }

  /** Takes the activity of a run as its worker would. */
  async function takeActivity(handle: WorkflowHandle): Promise<Uint8Array> {
    const polled = await client.connection.withDeadline(Date.now() + limitMs, () =>
      client.workflowService.pollActivityTaskQueue({ namespace: 'default', taskQueue: { name: handle.workflowId } }),
    );
    return polled.taskToken;
  }

  test('is answered, and the run can be replayed', async () => {
    await startWorker();
    const names = Array.from({ length: runsCount }, (_, number) => `${taskQueue}-${number}`);
    const handles = await Promise.all(
      names.map((workflowId) => client.workflow.start(askedEarly, { workflowId, taskQueue, args: [workflowId] })),
    );
    const tokens = await Promise.all(handles.map(takeActivity));
    await stopWorker();
    const questions = handles.map((handle) => askAgain(client.connection, () => handle.query(countQuery)));
    asked.push(...questions);
    // Nobody can be asked whether a question has arrived; where it has not, the run shows nothing, and others do.
    await wait(1_000);
    const result = { payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('"done"') }] };
    for (const taskToken of tokens) await client.workflowService.respondActivityTaskCompleted({ namespace: 'default', taskToken, result });
    const words = handles.map((handle) => sendAgain((updateId) => handle.executeUpdate(sayUpdate, { args: ['word'], updateId })));
    asked.push(...words);
    await wait(200);
    await startWorker();
    expect(await Promise.all(words)).toEqual(names.map(() => 'word'));
    for (const count of await Promise.all(questions)) expect([1, 2]).toContain(count);
    await stopWorker();
    for (const handle of handles) await Worker.runReplayHistory({ workflowBundle: bundle }, await handle.fetchHistory(), handle.workflowId);
  }, 60_000);
});
