import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import proto from '@temporalio/proto';
import { receiptOf } from '../../client/receipt.ts';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldState, RunState } from '../../domain/run/state.ts';
import { startEngine, type Engine } from '../support/engine.ts';

/** `QUERY_RESULT_TYPE_ANSWERED` of the Temporal API. */
const answered = 1;
/** `COMMAND_TYPE_PROTOCOL_MESSAGE` of the Temporal API. */
const protocolMessage = 14;
/** Longer than the queue of a worker that has gone keeps its runs. */
const pollMs = 20_000;

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('fake-worker');
});
afterAll(() => engine.stop());

/** Takes questions from the queue of ours as a worker of a stranger does, and answers them with that, until it is told to stop. */
function answerWith(state: RunState): { stop: () => Promise<void> } {
  const { namespace, taskQueue } = engine.settings;
  const { workflowService, connection } = engine.client;
  const over = new AbortController();
  const poll = () => workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: 'fake' });
  const answering = (async () => {
    while (!over.signal.aborted) {
      const task = await connection
        .withDeadline(Date.now() + pollMs, () => connection.withAbortSignal(over.signal, poll))
        .catch(() => undefined);
      if (!task?.query) continue;
      const queryResult = { payloads: [defaultPayloadConverter.toPayload(state)] };
      await workflowService.respondQueryTaskCompleted({ namespace, taskToken: task.taskToken, completedType: answered, queryResult });
    }
  })();
  return { stop: () => (over.abort(), answering) };
}

/** Takes the next update from the queue of ours as a worker of a stranger does, and answers it with that. */
async function answerUpdateWith(answer: unknown): Promise<void> {
  const { namespace, taskQueue } = engine.settings;
  const { workflowService, connection } = engine.client;
  const { Acceptance, Request, Response } = proto.temporal.api.update.v1;
  for (;;) {
    const task = await connection
      .withDeadline(Date.now() + pollMs, () =>
        workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: 'fake' }),
      )
      .catch(() => undefined);
    const [update] = task?.messages ?? [];
    if (!task || !update) continue;
    const request = Request.decode(update.body?.value ?? new Uint8Array());
    const any = (type: string, value: Uint8Array) => ({ type_url: `type.googleapis.com/temporal.api.update.v1.${type}`, value });
    const accepted = { acceptedRequestMessageId: update.id, acceptedRequestSequencingEventId: update.eventId, acceptedRequest: request };
    const success = { payloads: [defaultPayloadConverter.toPayload(answer)] };
    const messages = [
      { id: 'accepted', protocolInstanceId: update.protocolInstanceId, body: any('Acceptance', Acceptance.encode(accepted).finish()) },
      {
        id: 'answered',
        protocolInstanceId: update.protocolInstanceId,
        body: any('Response', Response.encode({ meta: request.meta, outcome: { success } }).finish()),
      },
    ];
    await workflowService.respondWorkflowTaskCompleted({
      namespace,
      taskToken: task.taskToken,
      identity: 'fake',
      messages,
      commands: messages.map(({ id }) => ({ commandType: protocolMessage, protocolMessageCommandAttributes: { messageId: id } })),
    });
    return;
  }
}

test('an approval that a fake worker says is taken is told as not verified, and does nothing; a genuine one is in the record', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  await engine.until(target, 'holding');
  const shown = await engine.holdpoint.state(target);
  let signature = '';
  const { ada } = engine.keys;
  const signer = { ...ada, sign: async (statement: Parameters<typeof ada.sign>[0]) => (signature = await ada.sign(statement)) };
  const record = engine.evidence.pathOf(run);
  await engine.replaceWorker(async () => {
    const answering = answerUpdateWith({ state: 'approved', missing: 0 });
    const answer = await engine.holdpoint.decide(shown, shown.hold!.request, 'approve', '', signer);
    await answering;
    expect(answer).toEqual({ state: 'approved', missing: 0 });
    expect(await receiptOf(record, signature, engine.configuration)).toBe('not-recorded');
  });
  expect(site.done).toEqual([]);
  await engine.handle(target).terminate();
  const other = engine.newSite();
  const genuine = await engine.begin(other.cluster);
  const held = await engine.until(other.target, 'holding');
  await engine.holdpoint.decide(held, held.hold!.request, 'approve', '', signer);
  expect(await receiptOf(engine.evidence.pathOf(genuine.run), signature, engine.configuration)).toBe('recorded');
  expect(await receiptOf(`${record}-elsewhere`, signature, engine.configuration)).toBe('unseen');
  await engine.until(other.target, 'done');
}, 240_000);

test('what a fake worker says of a hold is refused where it does not fit, and where it fits, a signature on it does nothing', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster);
  const genuine = await engine.until(target, 'holding');
  const hold = genuine.hold as HoldState;
  const harmless = sealSpan({ ...hold.plan, steps: [] });
  const showing = (plan: SpanPlan, planHash: string): RunState => ({
    ...genuine,
    hold: { ...hold, plan, request: { ...hold.request, planHash } },
  });
  /** What the client shows while the fake worker answers with that. */
  const shownBy = async (forged: RunState): Promise<RunState> => {
    const fake = answerWith(forged);
    try {
      return await engine.holdpoint.state(target);
    } finally {
      await fake.stop();
    }
  };
  let shown: RunState | undefined;
  await engine.replaceWorker(async () => {
    for (const forged of [
      // Another plan under the hash of the genuine one, with that hash and with its own; another title; another run.
      showing({ ...harmless, hash: hold.plan.hash }, hold.plan.hash),
      showing(harmless, hold.plan.hash),
      { ...genuine, runbook: { ...genuine.runbook, title: 'A drill' } },
      { ...genuine, target: `${target}-other` },
    ]) {
      await expect(shownBy(forged)).rejects.toMatchObject({ code: 'shown-forged' });
    }
    // It fits, and is what somebody signs.
    shown = await shownBy(showing(harmless, harmless.hash));
  });
  expect(shown?.hold?.plan.steps).toEqual([]);
  const signing = engine.holdpoint.decide(shown!, shown!.hold!.request, 'approve', '', engine.keys.ada);
  await expect(signing).rejects.toMatchObject({ code: 'plan-differs' });
  expect(site.done).toEqual([]);
  expect(await engine.until(target, 'holding')).toMatchObject({ hold: { decisions: [] } });
  await engine.decide(target, 'ada');
  await engine.until(target, 'done');
  expect(site.done).toEqual(['first', 'second', 'third']);
  await engine.verifiedKinds(run);
}, 240_000);

test('a run for which nobody answers is told as such', async () => {
  const { cluster, target } = engine.newSite();
  await engine.begin(cluster);
  await engine.until(target, 'holding');
  await engine.replaceWorker(async () => {
    const silent = { code: 'run-silent', message: expect.stringContaining(`${target} does not answer`) };
    await expect(engine.holdpoint.state(target)).rejects.toMatchObject(silent);
  });
  expect(await engine.holdpoint.state(target)).toMatchObject({ phase: 'holding' });
}, 240_000);
