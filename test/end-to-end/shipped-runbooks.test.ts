import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Node, Pod } from '../../sandbox/kubernetes/objects.ts';
import { raiseRotation, type Rotation } from '../support/rotation.ts';
import { temporalAddress } from '../support/temporal.ts';

let rotation: Rotation;
beforeEach(async () => {
  rotation = await raiseRotation({ speed: 60, address: await temporalAddress(), name: 'shipped' });
  await rotation.startWorker();
});
afterEach(() => rotation.stop());

function expectWorldInOrder(podsBefore: number): void {
  expect(rotation.sandbox.world.observer.summary()).toMatchObject({ violations: [], violationsLeftOut: 0 });
  expect(rotation.nodes().filter(({ spec }) => spec.unschedulable === true)).toEqual([]);
  expect(rotation.nodes().filter(({ metadata }) => metadata.annotations?.['holdpoint.dev/cordon'] !== undefined)).toEqual([]);
  expect(rotation.pods().length).toBe(podsBefore);
}

/** Pods that have not come up yet are given their time. */
async function podsRunOn(nodegroup: string): Promise<void> {
  const isOfGroup = ({ metadata }: Node): boolean => metadata.labels?.['eks.amazonaws.com/nodegroup'] === nodegroup;
  const nodes = new Set(
    rotation
      .nodes()
      .filter(isOfGroup)
      .map(({ metadata }) => metadata.name),
  );
  const isInPlace = ({ spec, status }: Pod): boolean => status.phase === 'Running' && nodes.has(spec.nodeName ?? '');
  const misplaced = (): string[] =>
    rotation
      .pods()
      .filter((pod) => !isInPlace(pod))
      .map(({ metadata }) => metadata.name);
  const giveUpAt = Date.now() + 10_000;
  while (misplaced().length > 0 && Date.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(misplaced()).toEqual([]);
}

test('node-group-rotation moves every pod to the new nodes within the budgets, and the old node group goes', async () => {
  const podsBefore = rotation.pods().length;
  const run = await rotation.begin('node-group-rotation', { ...rotation.inputs, newNodegroup: 'green', nodesAtOnce: 2 });
  await rotation.approve(run, 'sign-drain', 'ada');
  await rotation.approve(run, 'sign-delete', 'grace');
  const live = await rotation.until(run, 'done');
  expect(live.state.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
    'preflight done',
    'create done',
    'sign-drain done',
    'drain done',
    'sign-delete done',
    'delete done',
  ]);
  expectWorldInOrder(podsBefore);
  expect(rotation.nodes().map(({ metadata }) => metadata.labels?.['eks.amazonaws.com/nodegroup'])).toEqual(Array(6).fill('green'));
  await podsRunOn('green');
  await expect(rotation.evidence(live)).resolves.toMatchObject({ ok: true, run, ending: 'ended', problems: [] });
}, 120_000);

test('node-group-update has EKS replace every node within the budgets', async () => {
  const podsBefore = rotation.pods().length;
  const nodesBefore = rotation.nodes().map(({ metadata }) => metadata.name);
  const run = await rotation.begin('node-group-update', { ...rotation.inputs, releaseVersion: '1.33.4-20260801' });
  await rotation.approve(run, 'sign-update', 'ada');
  const live = await rotation.until(run, 'done');
  expectWorldInOrder(podsBefore);
  expect(rotation.nodes().filter(({ metadata }) => nodesBefore.includes(metadata.name))).toEqual([]);
  await podsRunOn('blue');
  await expect(rotation.evidence(live)).resolves.toMatchObject({ ok: true, run, ending: 'ended', problems: [] });
}, 120_000);
