import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { requestSweep } from '../../client/sweep.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { sweepWorkflow, type SweepInput, type SweepResult } from '../../workflows/messages.ts';
import { startEngine, untilTrue, type Engine, type Working } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('sweep');
});
afterAll(() => engine.stop());

/** A run that has marked two nodes and is in the middle of its step. */
async function inTheMiddle(): Promise<Working> {
  const working = await engine.working((site) => site.slow.add('second'));
  await untilTrue(() => working.site.marks.size === 2);
  return working;
}

/** A run that was ended through Temporal, and has left marks. */
async function dead(): Promise<Working & { nodes: string[] }> {
  const working = await inTheMiddle();
  await engine.handle(working.target).terminate('by hand');
  // Its attempt hears of that with its next heartbeat.
  await untilTrue(() => working.site.done.includes('second'));
  return { ...working, nodes: [...working.site.marks.keys()] };
}

const kindsOf = (path: string) => engine.verifiedKinds(/(sweep-[\w-]+)$/.exec(path)?.[1] ?? '');

describe('a sweep', () => {
  test('lifts what a run has left that was terminated, and keeps a record of that', async () => {
    const { target, run, site, nodes } = await dead();
    const marks = nodes.map((node) => ({ node, run }));
    const dryRun = await engine.holdpoint.sweep({ targets: [target], dryRun: true });
    expect(dryRun).toEqual({ targets: [{ target, lifted: marks, kept: [] }], more: false });
    expect(site.marks.size).toBe(2);
    const { targets, evidence = '' } = await engine.holdpoint.sweep({ targets: [target, target], dryRun: false });
    expect(targets).toEqual([{ target, lifted: marks, kept: [] }]);
    expect(site.marks.size).toBe(0);
    expect(await kindsOf(evidence)).toEqual(['sweep.started', 'annotations.found', 'annotations.lifted', 'run.ended']);
    const again = await engine.holdpoint.sweep({ targets: [target], dryRun: false });
    expect(again).toEqual({ targets: [{ target, lifted: [], kept: [] }], more: false });
  }, 60_000);

  test('lifts as well what the last attempt of a run marks that was terminated just now', async () => {
    const { target, site, run } = await dead();
    const input: SweepInput = { targets: [target], dryRun: false, askedBy: 'a test' };
    const { taskQueue } = engine.settings;
    const sweeping = await engine.client.workflow.start(sweepWorkflow, { workflowId: `sweep-late-${taskQueue}`, taskQueue, args: [input] });
    // It has looked once, and gives the attempt time to end.
    await untilTrue(async () => ((await sweeping.fetchHistory()).events ?? []).some((event) => event.timerStartedEventAttributes));
    site.marks.set('node-third', run);
    const { targets } = (await sweeping.result()) as SweepResult;
    expect(targets[0]?.lifted.map(({ node }) => node)).toEqual(['node-first', 'node-second', 'node-third']);
    expect(site.marks.size).toBe(0);
  }, 60_000);

  test('leaves the owner annotations of a run that is open, and lifts those of the one before it', async () => {
    const working = await inTheMiddle();
    const { target, site, run } = working;
    const earlier = await dead();
    site.marks.set('node-third', earlier.run);
    const { targets } = await engine.holdpoint.sweep({ targets: [target], dryRun: false });
    expect(targets[0]?.lifted).toEqual([{ node: 'node-third', run: earlier.run }]);
    expect(targets[0]?.kept.map((mark) => [mark.run, mark.why])).toEqual([
      [run, 'the run is open'],
      [run, 'the run is open'],
    ]);
    expect([...site.marks.values()]).toEqual([run, run]);
    site.finishSlow();
    await engine.until(target, 'done');
    await engine.verifiedKinds(run);
  }, 60_000);

  test('finds what is left of a run whose history is gone, and waits for nothing there', async () => {
    const { run } = await dead();
    // Temporal knows nothing of this target, and the record of the run is there.
    const { target, site } = engine.newSite();
    site.marks.set('node-first', run).set('node-second', 'r-of-another-holdpoint');
    const { targets } = await engine.holdpoint.sweep({ targets: [target], dryRun: false });
    expect(targets[0]?.lifted).toEqual([{ node: 'node-first', run }]);
    expect(targets[0]?.kept.map((mark) => mark.run)).toEqual(['r-of-another-holdpoint']);
    expect([...site.marks.keys()]).toEqual(['node-second']);
  }, 60_000);

  test('without targets looks at all that runs have worked on; one that cannot be reached keeps no other waiting', async () => {
    const gone = await dead();
    const unreachable = await dead();
    unreachable.site.releaseFailure = new HoldpointError('cluster-unknown', { cluster: 'gone', region: 'eu-central-1' });
    let result: SweepResult | undefined;
    // A list of Temporal's may lag behind.
    await untilTrue(async () => {
      result = await engine.holdpoint.sweep({ dryRun: true });
      return [gone, unreachable].every(({ target }) => result?.targets.some((swept) => swept.target === target));
    });
    await engine.holdpoint.sweep({ dryRun: false });
    expect(gone.site.marks.size).toBe(0);
    expect(unreachable.site.marks.size).toBe(2);
    expect(result?.targets.find(({ target }) => target === unreachable.target)?.failure).toEqual({
      code: 'cluster-unknown',
      reason: 'There is no EKS cluster gone in eu-central-1.',
      remedy: expect.stringContaining('Check the name'),
    });
  }, 60_000);

  test('is asked for by a worker that starts, also where a stranger has called a workflow like it, and is replayed', async () => {
    const { site } = await dead();
    // Nobody works on that queue, so it stays open.
    const taskQueue = `${engine.settings.taskQueue}-foreign`;
    const workflowId = `sweep-at-start-${engine.settings.taskQueue}`;
    const foreign = await engine.client.workflow.start('foreign', { workflowId, taskQueue });
    const id = await requestSweep(engine.settings);
    const result = (await engine.handle(id).result()) as SweepResult;
    expect(result.targets.length).toBeGreaterThan(0);
    expect(site.marks.size).toBe(0);
    expect((await kindsOf(result.evidence ?? '')).at(-1)).toBe('run.ended');
    await engine.replay(id, { name: sweepWorkflow });
    await foreign.terminate();
  }, 60_000);
});
