import { initialNodes, type ClusterSeed, type NodegroupSeed, type WorldSeed } from '../../sandbox/seed.ts';

export const region = 'eu-central-1';
/** A world of the sandbox takes no more. */
const clustersPerWorld = 100;

const nodegroup: NodegroupSeed = {
  name: 'blue',
  size: 2,
  minSize: 1,
  maxSize: 3,
  instanceType: 'm6i.large',
  amiType: 'AL2023_x86_64_STANDARD',
  version: '1.33',
  releaseVersion: '1.33.3-20260415',
  zones: [`${region}a`],
  labels: {},
};

/** One cluster for each run, since a target has one open run at most: two nodes, no pods. */
export function clusterNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `parked-${index}`);
}

/** The worlds that hold those clusters. */
export function worldsOf(count: number): WorldSeed[] {
  const names = clusterNames(count);
  const worlds = Array.from({ length: Math.ceil(count / clustersPerWorld) }, (_, world) =>
    names.slice(world * clustersPerWorld, (world + 1) * clustersPerWorld),
  );
  return worlds.map((clusters) => ({ clusters: clusters.map(clusterSeed) }));
}

function clusterSeed(name: string): ClusterSeed {
  return { name, region, version: nodegroup.version, nodegroups: [nodegroup], manifests: [] };
}

/** The two nodes of every cluster: each side cordons one of its own. */
export function nodeNames(): { ours: string; minimal: string } {
  const [ours, minimal] = initialNodes(clusterSeed(''), nodegroup);
  if (!ours || !minimal) throw new Error('a cluster of the benchmark needs two nodes');
  return { ours: ours.name, minimal: minimal.name };
}
