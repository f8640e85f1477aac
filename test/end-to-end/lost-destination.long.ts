import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { DeleteNodegroupCommand } from '@aws-sdk/client-eks';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { temporalAddress } from '../support/temporal.ts';

let environment: Environment;
beforeEach(async () => {
  environment = await startEnvironment('lost-destination', await temporalAddress());
});
afterEach(() => environment.stop());

test('the new node group is deleted while the hold waits: the signature is void, and the approvers are told what is gone', async () => {
  const worker = await startWorkerProgram(environment);
  const scenario = await environment.raise('node-group-rotation', { taskQueue: environment.name, speed: 30 });
  await scenario.begin();
  const waiting = await scenario.until(({ state }) => state.hold?.request.hold === 'sign-drain');
  // The plan counts on the nodes that its own steps have brought: it does not say that pods find no place.
  const drain = waiting.state.hold?.plan.steps.find(({ id }) => id === 'drain')?.plan;
  expect(drain?.facts.destinations).toContain('node group green');
  expect(drain?.risks.filter(({ risk }) => risk.includes('no node'))).toEqual([]);

  await scenario.eks.send(new DeleteNodegroupCommand({ clusterName: scenario.cluster, nodegroupName: 'green' }));
  await scenario.world();
  const { state } = await scenario.until(({ state }) => state.hold?.request.number === 2);
  expect(state.hold?.drift).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ step: 'drain', object: expect.stringContaining('destinations') }),
      expect.objectContaining({ step: 'drain', kind: 'added', object: expect.stringContaining('find no node') }),
    ]),
  );
  expect(scenario.sandbox.world.observer.summary().counters.evictionsGranted).toBe(0);
  await scenario.operate('abort');
  await scenario.until(({ state }) => state.phase === 'aborted');
  await worker.kill();
}, 180_000);
