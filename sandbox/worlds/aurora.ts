import type { WorldSeed } from '../seed.ts';
import { demoRegion } from './demo.ts';

const zones = ['a', 'b', 'c'];

/** What a failover is shown on: an Aurora cluster `demo` with a writer and two readers, and no Kubernetes. */
export const auroraWorld: WorldSeed = {
  clusters: [],
  databases: [
    {
      name: 'demo',
      region: demoRegion,
      engine: 'aurora-postgresql',
      engineVersion: '16.4',
      instances: zones.map((zone) => ({ name: `demo-${zone}`, instanceClass: 'db.r6g.large', zone: `${demoRegion}${zone}` })),
    },
  ],
};
