import type { WorldSeed } from '../../sandbox/seed.ts';
import { upgradeWorld } from '../../sandbox/worlds/upgrade.ts';

const [seed] = upgradeWorld.clusters;
if (!seed) throw new RangeError('the world of an upgrade has no cluster');

export const region = seed.region;
export const clusterName = seed.name;
export const toVersion = '1.33';
/** In the order in which they follow. */
export const nodegroups = seed.nodegroups.map(({ name }) => name);
export const addons = (seed.addons ?? []).map(({ name }) => name);
/** It follows the nodes: it may not be newer than the control plane, and is of the version of its node otherwise. */
export const lastAddon = 'kube-proxy';

/** The world of the demo without what EKS finds against the version: none of the others could go past that. */
export function benchWorld(): WorldSeed {
  return { clusters: [{ ...seed!, insights: [] }] };
}
