import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { sealSpan, type SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldState, RunState } from '../../domain/run/state.ts';
import { startEngine, type Engine } from '../support/engine.ts';

/** `QUERY_RESULT_TYPE_ANSWERED` of the Temporal API. */
const answered = 1;
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
  let isOver = false;
  const answering = (async () => {
    while (!isOver) {
      const task = await connection
        .withDeadline(Date.now() + pollMs, () =>
          workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: 'fake' }),
        )
        .catch(() => undefined);
      if (!task?.query) continue;
      const queryResult = { payloads: [defaultPayloadConverter.toPayload(state)] };
      await workflowService.respondQueryTaskCompleted({ namespace, taskToken: task.taskToken, completedType: answered, queryResult });
    }
  })();
  return { stop: () => ((isOver = true), answering) };
}

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
  let signing: Promise<unknown> = Promise.resolve();
  await engine.replaceWorker(async () => {
    for (const forged of [
      // Another plan under the hash of the genuine one, with that hash and with its own; another title; another run.
      showing({ ...harmless, hash: hold.plan.hash }, hold.plan.hash),
      showing(harmless, hold.plan.hash),
      { ...genuine, runbook: { ...genuine.runbook, title: 'A drill' } },
      { ...genuine, target: `${target}-other` },
    ]) {
      const fake = answerWith(forged);
      await expect(engine.holdpoint.state(target)).rejects.toMatchObject({ code: 'shown-forged' });
      await fake.stop();
    }
    // It fits, and is what somebody signs.
    const fake = answerWith(showing(harmless, harmless.hash));
    const shown = await engine.holdpoint.state(target);
    expect(shown.hold?.plan.steps).toEqual([]);
    signing = engine.holdpoint.decide(shown, shown.hold!.request, 'approve', '', engine.keys.ada);
    signing.catch(() => undefined);
    // The decision is on its way when it has been looked at whom it goes to.
    await engine.holdpoint.state(target);
    await fake.stop();
  });
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
    const silent = { code: 'run-silent', message: expect.stringContaining(`${target} has not answered within 10 s`) };
    await expect(engine.holdpoint.state(target)).rejects.toMatchObject(silent);
  });
  expect(await engine.holdpoint.state(target)).toMatchObject({ phase: 'holding' });
}, 240_000);
