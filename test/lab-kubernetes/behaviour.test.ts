import { afterAll, beforeAll, describe } from '@jest/globals';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { worldOf } from '../sandbox/kubernetes-fixture.ts';
import { describeEvictions } from './behaviour-evictions.ts';
import { describeJobs } from './behaviour-jobs.ts';
import { describeObjects } from './behaviour-objects.ts';
import { describeSurroundings } from './behaviour-surroundings.ts';
import { describeVolumes } from './behaviour-volumes.ts';
import type { KubernetesWorld } from './world.ts';

/** Fast enough that nobody waits, slow enough that what takes long is not over before a test has looked. */
const speed = 20;

/** The same as behaviour.lab.ts, of the sandbox: where they part, the sandbox is wrong. */
describe('the sandbox behaves as Kubernetes does', () => {
  let sandbox: Sandbox;
  let world: KubernetesWorld;

  beforeAll(async () => {
    sandbox = await startSandbox({ seed: worldOf([], 3), speed, randomSeed: 7 });
    const url = `${sandbox.url}/kubernetes/test`;
    world = {
      door: { url },
      forgetVersions: async () => {
        // Something must have happened since the versions that are to be forgotten.
        await fetch(`${url}/api/v1/namespaces`, { method: 'POST', body: JSON.stringify({ metadata: { generateName: 'later-' } }) });
        sandbox.world.cluster('test')?.store.compact();
      },
      stop: () => sandbox.stop(),
    };
  });

  afterAll(() => world.stop());

  describeObjects(() => world);
  describeEvictions(() => world);
  describeJobs(() => world);
  describeVolumes(() => world);
  describeSurroundings(() => world);
});
