import { afterEach, expect, test } from '@jest/globals';
import { raiseRotation, type Rotation } from '../support/rotation.ts';
import { temporalAddress } from '../support/temporal.ts';

let rotation: Rotation;
afterEach(() => rotation.stop());

test('a drain that is paused evicts nothing more, and its cordons are lifted when it is aborted', async () => {
  rotation = await raiseRotation({ speed: 30, address: await temporalAddress(), name: 'paused' });
  await rotation.startWorker();
  const podsBefore = rotation.pods().length;
  const evictions = (): number => rotation.sandbox.world.observer.summary().counters.evictionsGranted;
  const cordoned = (): number => rotation.nodes().filter(({ spec }) => spec.unschedulable === true).length;
  const run = await rotation.begin('node-group-rotation', { ...rotation.inputs, newNodegroup: 'green', nodesAtOnce: 2 });
  await rotation.approve(run, 'sign-drain', 'ada');
  const draining = await rotation.until(run, ({ progress }) => progress?.unit === 'pods' && progress.done >= 5);

  await rotation.operate(run, 'pause');
  await rotation.until(run, 'paused');
  const evictedWhenPaused = evictions();
  expect(evictedWhenPaused).toBeLessThan(draining.progress?.total ?? 0);
  expect(cordoned()).toBe(6);

  await rotation.operate(run, 'abort');
  const live = await rotation.until(run, 'aborted');
  expect(evictions()).toBe(evictedWhenPaused);
  expect(cordoned()).toBe(0);
  expect(rotation.nodes()).toHaveLength(12);
  expect(rotation.pods()).toHaveLength(podsBefore);
  expect(rotation.sandbox.world.observer.summary().violations).toEqual([]);
  expect(live.state.ended?.leftovers).toContain('step drain (kubernetes.drain) was stopped before its end');
  await expect(rotation.evidence(live)).resolves.toMatchObject({ ok: true, run, ending: 'ended', problems: [] });
}, 120_000);
