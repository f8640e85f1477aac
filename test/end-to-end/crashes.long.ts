import { afterEach, expect, test } from '@jest/globals';
import { setTimeout as wait } from 'node:timers/promises';
import type { RunningProcess } from '../../lab/process.ts';
import { startWorkerProgram } from '../support/scenario-workers.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { temporalAddress } from '../support/temporal.ts';

const workers: RunningProcess[] = [];
let environment: Environment;
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await environment.stop();
});

async function startWorker(): Promise<RunningProcess> {
  const worker = await startWorkerProgram(environment);
  workers.push(worker);
  return worker;
}

// Every other moment is in test/engine-shapes/, with shorter time limits than those of production.
test('what a worker was planning when it was killed is planned by the next one within seconds', async () => {
  environment = await startEnvironment('killed-planning', await temporalAddress());
  const scenario = await environment.raise('node-group-rotation', { taskQueue: environment.name });
  const { faults, observer } = scenario.sandbox.world;
  const first = await startWorker();
  faults.set({ rate: 0, timeoutMs: 120_000 });
  faults.next({ operation: 'GET nodes', kind: 'timeout' });
  const begun = scenario.begin();
  await untilTrue(() => observer.summary().counters.faults.timeout === 1);
  await first.kill();
  const killedAtMs = performance.now();
  await startWorker();
  await begun;
  await scenario.until(({ state }) => state.phase !== 'planning');
  expect(performance.now() - killedAtMs).toBeLessThan(60_000);
}, 200_000);

async function untilTrue(passes: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + 30_000;
  while (!passes()) {
    if (performance.now() > giveUpAtMs) throw new Error(`waited in vain for ${String(passes)}`);
    await wait(20);
  }
}
