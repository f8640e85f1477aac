import { nodeSpecOf } from '../seed.ts';
import type { NodeTaint } from '../cluster.ts';
import type { Account } from './account.ts';
import type { Instance, Nodegroup, Taint } from './model.ts';
import { amiIdOf } from './releases.ts';
import { waitUntil } from './waiting.ts';

/** Simulated times of the Auto Scaling group and of draining, in milliseconds. */
const times = { launchAndReadyPollMs: 1_000, evictionRetryMs: 5_000 } as const;

/** Service controllers send nothing from outside to nodes with this label (KEP-1143). */
const excludedLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

const nodeTaintEffects = { NO_SCHEDULE: 'NoSchedule', NO_EXECUTE: 'NoExecute', PREFER_NO_SCHEDULE: 'PreferNoSchedule' } as const;

/** Starts one instance in the zone that has the fewest; nothing starts while an issue is injected. */
export function launchInstance(account: Account, nodegroup: Nodegroup, releaseVersion: string): Instance | undefined {
  const { cluster, random } = nodegroup;
  const zone = sparsestZone(nodegroup);
  if (zone === undefined || account.injectedIssue(cluster.name, nodegroup.name) !== undefined) return undefined;
  const instance = { id: `i-0${random.text(16)}`, nodeName: freeNodeName(nodegroup, zone), zone, releaseVersion };
  const instanceType = nodegroup.instanceTypes[0] ?? 't3.medium';
  const spec = nodeSpecOf(
    cluster,
    { name: nodegroup.name, instanceType, labels: nodegroup.labels, taints: nodegroup.taints.map(nodeTaintOf), releaseVersion },
    { name: instance.nodeName, zone, instanceId: instance.id },
  );
  const image = { 'eks.amazonaws.com/nodegroup-image': amiIdOf(releaseVersion, cluster.region) };
  nodegroup.instances.push(instance);
  cluster.nodes.joinNode({ ...spec, labels: { ...spec.labels, ...image } });
  return instance;
}

/**
 * Starts instances one after another and waits until all of them are Ready; a launch that fails is tried again.
 * @returns those that started, and whether all that were wanted became Ready within the limit.
 */
export async function bringUp(
  account: Account,
  nodegroup: Nodegroup,
  wanted: { count: number; releaseVersion: string; limitMs: number },
): Promise<{ started: Instance[]; ready: boolean }> {
  const started: Instance[] = [];
  const launchNext = (): boolean => {
    const instance = started.length < wanted.count ? launchInstance(account, nodegroup, wanted.releaseVersion) : undefined;
    if (instance !== undefined) started.push(instance);
    return started.length >= wanted.count && areReady(nodegroup, started);
  };
  const ready = await waitUntil(account.world.clock, launchNext, { limitMs: wanted.limitMs, everyMs: times.launchAndReadyPollMs });
  return { started, ready };
}

/** True once all of these nodes are Ready; false if they are not within the limit. */
export function waitForReady(account: Account, nodegroup: Nodegroup, instances: Instance[], limitMs: number): Promise<boolean> {
  return waitUntil(account.world.clock, () => areReady(nodegroup, instances), { limitMs, everyMs: times.launchAndReadyPollMs });
}

function areReady(nodegroup: Nodegroup, instances: Instance[]): boolean {
  return instances.every((instance) => nodegroup.cluster.nodes.nodeReady(instance.nodeName));
}

/** Keeps new pods off a node and takes it out of the load balancers, as EKS does with both at once. */
export function cordon({ cluster: { nodes } }: Nodegroup, { nodeName }: Instance): void {
  nodes.setUnschedulable(nodeName, true);
  nodes.setNodeLabel(nodeName, excludedLabel, 'true');
}

/** Undoes cordon. */
export function uncordon({ cluster: { nodes } }: Nodegroup, { nodeName }: Instance): void {
  nodes.setUnschedulable(nodeName, false);
  nodes.setNodeLabel(nodeName, excludedLabel, undefined);
}

/** A taint of a node group as its nodes carry it. */
export function nodeTaintOf({ key, value, effect }: Taint): NodeTaint {
  return { key, ...(value === undefined ? {} : { value }), effect: nodeTaintEffects[effect] };
}

/**
 * Cordons a node and evicts its pods, asking again while budgets forbid it.
 * @returns the pods (`namespace/name`) that are still there when the limit has passed.
 */
export async function drain(account: Account, nodegroup: Nodegroup, instance: Instance, limitMs: number): Promise<string[]> {
  const { nodes } = nodegroup.cluster;
  const granted = new Set<string>();
  let left: string[] = [];
  const evictAll = (): boolean => {
    const pods = nodes.podsOn(instance.nodeName).filter((pod) => !pod.daemon);
    left = pods.map((pod) => `${pod.namespace}/${pod.name}`);
    for (const pod of pods) {
      const key = `${pod.namespace}/${pod.name}`;
      if (!granted.has(key) && nodes.evictPod(pod.namespace, pod.name) === 'evicted') granted.add(key);
    }
    return left.length === 0;
  };
  cordon(nodegroup, instance);
  await waitUntil(account.world.clock, evictAll, { limitMs, everyMs: times.evictionRetryMs });
  return left;
}

/** Ends an instance; its node and whatever runs there go at once. */
export function terminateInstance(nodegroup: Nodegroup, instance: Instance, by: 'eks' | 'auto-scaling' = 'eks'): void {
  nodegroup.instances = nodegroup.instances.filter((other) => other !== instance);
  nodegroup.cluster.nodes.removeNode(instance.nodeName, by);
}

/** How many of the group's instances are in a zone. */
export function countInZone(nodegroup: Nodegroup, zone: string): number {
  return nodegroup.instances.filter((instance) => instance.zone === zone).length;
}

function sparsestZone(nodegroup: Nodegroup): string | undefined {
  const zones = nodegroup.subnets.map((subnet) => subnet.zone);
  return zones.sort((one, other) => countInZone(nodegroup, one) - countInZone(nodegroup, other))[0];
}

/** Third octets from 128 on: those below belong to the nodes that the world started with. */
function freeNodeName(nodegroup: Nodegroup, zone: string): string {
  const { cluster, random } = nodegroup;
  const taken = new Set([...cluster.nodegroups.values()].flatMap((group) => group.instances.map((instance) => instance.nodeName)));
  const zoneNumber = cluster.subnets.findIndex((subnet) => subnet.zone === zone);
  const addresses = 128 * 250;
  const first = random.below(addresses);
  for (let step = 0; step < addresses; step++) {
    const address = (first + step) % addresses;
    const name = `ip-10-${zoneNumber}-${128 + Math.floor(address / 250)}-${(address % 250) + 4}.${cluster.region}.compute.internal`;
    if (!taken.has(name)) return name;
  }
  throw new Error(`zone ${zone} of cluster ${cluster.name} has no free address; it has ${taken.size} nodes`);
}
