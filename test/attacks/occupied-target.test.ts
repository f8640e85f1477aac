import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runWorkflow } from '../../workflows/messages.ts';
import { startEngine, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('occupied-target');
});
afterAll(() => engine.stop());

describe('a workflow of a stranger under the id of a target', () => {
  test.each([
    ['of another type', 'something'],
    ['of the type of a run, on a queue of their own', runWorkflow],
  ])('%s is told as such and at once, with the remedy, and the target works when it is gone', async (_what, type) => {
    const { cluster, target, site } = engine.newSite();
    const bogus = await engine.client.workflow.start(type, { workflowId: target, taskQueue: `nobody-${randomUUID()}`, args: [] });
    const command = new RegExp(`temporal workflow terminate --workflow-id ${target}`);
    const occupied = { code: 'target-occupied', remedy: expect.stringMatching(command) };
    const shown = { hold: 'sign', number: 1, planHash: 'sha256:0', question: '' };
    for (const attempt of [
      () => engine.holdpoint.state(target),
      () => engine.begin(cluster),
      () => engine.holdpoint.decide({ run: 'r-1', target }, shown, 'approve', '', engine.keys.ada),
      () => engine.holdpoint.operate(target, 'abort', 'free it', engine.keys.ada),
    ]) {
      await expect(attempt()).rejects.toMatchObject(occupied);
    }
    await bogus.terminate();
    const { run, admission } = await engine.begin(cluster);
    expect(admission).toEqual({ admitted: true });
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
    expect(site.done).toEqual(['first', 'second', 'third']);
    await engine.verifiedKinds(run);
  });

  test.each<[string, unknown[]]>([
    ['nothing', []],
    ['what is no start', [{ run: 7, target: {}, document: null }]],
    [
      'a run without an end',
      [{ run: 'r-1', target: 'x', document: { file: 'x', text: 'x' }, inputs: {}, requester: 'dana', planHash: '', signature: '' }],
    ],
  ])('that has workers of ours carry out %s is refused by them, and leaves the target free', async (_what, args) => {
    const { cluster, target } = engine.newSite();
    const bogus = await engine.client.workflow.start(runWorkflow, { workflowId: target, taskQueue: engine.settings.taskQueue, args });
    const end: unknown = await bogus.result().catch((error: Error) => error);
    expect(end).toMatchObject(end instanceof Error ? { name: 'WorkflowFailedError' } : { phase: 'refused' });
    expect((await engine.begin(cluster)).admission).toEqual({ admitted: true });
    await engine.until(target, 'holding');
    await engine.handle(target).terminate();
  });
});
