import { beforeAll, describe } from '@jest/globals';
import { describeEvictions } from './behaviour-evictions.ts';
import { describeJobs } from './behaviour-jobs.ts';
import { describeObjects } from './behaviour-objects.ts';
import { describeSurroundings } from './behaviour-surroundings.ts';
import { describeVolumes } from './behaviour-volumes.ts';
import { realWorld } from './real-world.ts';
import type { KubernetesWorld } from './world.ts';

/** The same as behaviour.test.ts, of a real control plane: it tells what is right. */
describe('Kubernetes behaves as the tests say', () => {
  let world: KubernetesWorld;

  beforeAll(async () => {
    world = await realWorld();
  });

  describeObjects(() => world);
  describeEvictions(() => world);
  describeJobs(() => world);
  describeVolumes(() => world);
  describeSurroundings(() => world);
});
