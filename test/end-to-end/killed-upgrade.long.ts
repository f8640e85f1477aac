import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readRunbook } from '../../runbooks/library.ts';
import type { WorldSeed } from '../../sandbox/seed.ts';
import { inTheMiddle } from '../support/borders.ts';
import { Deaths } from '../support/deaths.ts';
import { inputsFor } from '../support/scenarios.ts';
import { startMortalWorkers, type MortalWorkers } from '../support/scenario-workers.ts';
import { startEnvironment, type Environment } from '../support/scenario.ts';
import { askForShared, testProgram } from '../support/shared.ts';
import { temporalAddress } from '../support/temporal.ts';

const limitMs = 400_000;

let environment: Environment;
let workers: MortalWorkers;
let deaths: Deaths;
beforeAll(async () => {
  environment = await startEnvironment('killed-upgrade', await temporalAddress());
  const directory = join(environment.directory, 'deaths');
  deaths = new Deaths(directory);
  const [bundle, program] = [await askForShared('hasty-workflows'), await testProgram('test/support/crashing-worker')];
  workers = await startMortalWorkers(environment, { bundle, program, taskQueue: environment.name, deaths: directory });
}, limitMs);
afterAll(async () => {
  await workers.stop();
  await environment.stop();
});

/** With a node group that is rotated, so that every action of an upgrade is in it. */
const withNodes = {
  document: readRunbook('cluster-upgrade'),
  inputs: (world: WorldSeed) => ({ ...inputsFor('cluster-upgrade', world, 1), nodegroups: [{ nodegroup: 'teal', newNodegroup: 'jade' }] }),
};

// At every moment of a step, and on the rollback: test/engine-shapes/, by short steps, and test/exhaustive/.
test(
  'cluster-upgrade with a worker that is killed once in each of its steps goes through, and nothing is done twice',
  async () => {
    const scenario = await environment.raise('cluster-upgrade', { taskQueue: environment.name, instead: withNodes });
    const steps = await scenario.steps();
    const places = steps.map(({ id, changes }) => `${id}: ${changes ? inTheMiddle : 'before it is performed'}`);
    deaths.plan(scenario.cluster, { wanted: places });
    await scenario.begin();
    const state = await Promise.race([scenario.follow(), workers.broken]);
    expect(state).toMatchObject({ phase: 'done', ended: { leftovers: [] } });
    expect([...deaths.of(scenario.cluster)].sort()).toEqual([...places].sort());
    expect(places).toEqual(expect.arrayContaining([`control-plane: ${inTheMiddle}`, `nodes[1]/rotate/drain: ${inTheMiddle}`]));
    expect(await scenario.leftovers()).toEqual([]);
    expect(await scenario.troubles(state)).toEqual([]);
  },
  limitMs,
);
