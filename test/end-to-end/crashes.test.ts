import { afterEach, expect, test } from '@jest/globals';
import type { Progress } from '../../domain/action.ts';
import { raiseRotation, type Rotation } from '../support/rotation.ts';
import { temporalAddress } from '../support/temporal.ts';

let rotation: Rotation;
afterEach(() => rotation.stop());

test('a worker that is killed at a hold and in the middle of the drain is replaced, and nothing is done twice', async () => {
  rotation = await raiseRotation({ speed: 30, address: await temporalAddress(), name: 'killed' });
  const podsBefore = rotation.pods().length;
  const first = await rotation.startWorker();
  const run = await rotation.begin('node-group-rotation', { ...rotation.inputs, newNodegroup: 'green', nodesAtOnce: 2 });
  await rotation.until(run, 'holding');
  await first.kill();
  const second = await rotation.startWorker();
  await rotation.approve(run, 'sign-drain', 'ada');

  const drained = await rotation.until(run, ({ progress }) => isHalfDrained(progress));
  await second.kill();
  const evictedByThen = rotation.sandbox.world.observer.summary().counters.evictionsGranted;
  expect(drained.progress?.done).toBeGreaterThanOrEqual(10);
  expect(evictedByThen).toBeLessThan(drained.progress?.total ?? 0);
  await rotation.startWorker();

  await rotation.approve(run, 'sign-delete', 'grace');
  const live = await rotation.until(run, 'done');
  const { violations, counters } = rotation.sandbox.world.observer.summary();
  expect(violations).toEqual([]);
  expect(counters.evictionsGranted).toBe(drained.progress?.total);
  expect(rotation.pods().length).toBe(podsBefore);
  expect(rotation.nodes().filter(({ spec }) => spec.unschedulable === true)).toEqual([]);
  const report = await rotation.evidence(live);
  expect(report).toMatchObject({ ok: true, run, ending: 'ended', problems: [] });
  expect(report.signatures.map(({ person }) => person)).toEqual(['dana', 'ada', 'grace']);
}, 120_000);

test('what a worker was planning when it was killed is planned by the next one within seconds', async () => {
  rotation = await raiseRotation({ speed: 30, address: await temporalAddress(), name: 'killed-planning' });
  const { faults, observer } = rotation.sandbox.world;
  const first = await rotation.startWorker();
  faults.set({ rate: 0, timeoutMs: 120_000 });
  faults.next({ operation: 'GET nodes', kind: 'timeout' });
  const begun = rotation.begin('node-group-rotation', { ...rotation.inputs, newNodegroup: 'green' });
  await untilTrue(() => observer.summary().counters.faults.timeout === 1);
  await first.kill();
  const killedAtMs = performance.now();
  await rotation.startWorker();
  await rotation.until(await begun, ({ state }) => state.phase !== 'planning');
  expect(performance.now() - killedAtMs).toBeLessThan(60_000);
}, 200_000);

async function untilTrue(passes: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + 30_000;
  while (!passes()) {
    if (performance.now() > giveUpAtMs) throw new Error(`waited in vain for ${String(passes)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isHalfDrained(progress: Progress | undefined): boolean {
  return progress?.unit === 'pods' && progress.done >= 10 && progress.done < progress.total - 10;
}
