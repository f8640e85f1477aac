import type { Account } from './account.ts';
import { bringUp, cordon, drain, launchInstance, terminateInstance, uncordon, waitForReady } from './instances.ts';
import { limits, type Instance, type Nodegroup, type UpdateError } from './model.ts';
import { scaleDown } from './nodegroup-lifecycle.ts';
import { pause } from './waiting.ts';

const minuteMs = 60_000;

/** Simulated times, in milliseconds; the drain limit and the wait before termination are fixed in EKS too. */
const times = {
  setUpMs: [10_000, 20_000],
  newNodesReadyMs: 15 * minuteMs,
  drainMs: 15 * minuteMs,
  beforeTerminationMs: minuteMs,
} as const;

export interface VersionTarget {
  version: string;
  releaseVersion: string;
  /** End nodes whose pods could not be evicted in time, instead of failing. */
  force: boolean;
}

/**
 * Replaces the nodes of a group in the phases that EKS documents
 * (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html): set up, scale up, upgrade, scale down.
 * Nodes that already run the release are left alone, as after a failed update.
 * @returns why it failed. Then the surge is taken back and old nodes are uncordoned (the documentation does not say what
 * EKS does here).
 */
export async function updateNodes(account: Account, nodegroup: Nodegroup, target: VersionTarget): Promise<UpdateError | undefined> {
  await pause(account.world.clock, nodegroup.random.between(...times.setUpMs));
  const old = nodegroup.instances.filter((instance) => instance.releaseVersion !== target.releaseVersion);
  const minimal = nodegroup.updateConfig.updateStrategy === 'MINIMAL';
  const failure =
    (old.length > 0 && !minimal ? await scaleUp(account, nodegroup, target) : undefined) ??
    (await replaceAll(account, nodegroup, { old, target, minimal }));
  if (failure === undefined) await waitForReady(account, nodegroup, nodegroup.instances, times.newNodesReadyMs);
  else uncordonAll(nodegroup, old);
  await scaleDown(account, nodegroup, (instance) => instance.releaseVersion === target.releaseVersion);
  if (failure === undefined) Object.assign(nodegroup, { version: target.version, releaseVersion: target.releaseVersion });
  return failure;
}

/** Nodes that may be replaced at the same time. */
export function nodesAtOnce(nodegroup: Nodegroup): number {
  const { maxUnavailable, maxUnavailablePercentage } = nodegroup.updateConfig;
  if (maxUnavailablePercentage === undefined) return maxUnavailable ?? 1;
  const share = Math.floor((nodegroup.scalingConfig.desiredSize * maxUnavailablePercentage) / 100);
  return Math.min(Math.max(share, 1), limits.nodesUpdatedAtOnce);
}

/** New nodes first: twice as many as there are zones, or as many as may be unavailable; every one must be Ready. */
async function scaleUp(account: Account, nodegroup: Nodegroup, target: VersionTarget): Promise<UpdateError | undefined> {
  const surge = Math.max(2 * nodegroup.subnets.length, nodesAtOnce(nodegroup));
  const { releaseVersion } = target;
  const { started, ready } = await bringUp(account, nodegroup, { count: surge, releaseVersion, limitMs: times.newNodesReadyMs });
  return ready ? undefined : newNodesMissing(nodegroup, started);
}

interface Replacement {
  old: Instance[];
  target: VersionTarget;
  minimal: boolean;
}

/** Cordons all old nodes, then replaces them in random order, at most `nodesAtOnce` at the same time. */
async function replaceAll(account: Account, nodegroup: Nodegroup, replacement: Replacement): Promise<UpdateError | undefined> {
  if (!replacement.minimal) for (const instance of replacement.old) cordon(nodegroup, instance);
  const queue = shuffled(nodegroup, replacement.old);
  let failure: UpdateError | undefined;
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && failure === undefined; next = queue.shift()) {
      const problem = await replaceOne(account, nodegroup, next, replacement);
      failure ??= problem;
    }
  };
  await Promise.all(Array.from({ length: nodesAtOnce(nodegroup) }, lane));
  return failure;
}

async function replaceOne(
  account: Account,
  nodegroup: Nodegroup,
  instance: Instance,
  { target, minimal }: Replacement,
): Promise<UpdateError | undefined> {
  const left = await drain(account, nodegroup, instance, times.drainMs);
  if (left.length > 0 && !target.force) {
    const errorMessage = `Reached max retries while trying to evict pods from nodes in node group ${nodegroup.name}`;
    return { errorCode: 'PodEvictionFailure', errorMessage, resourceIds: [instance.nodeName] };
  }
  await pause(account.world.clock, times.beforeTerminationMs);
  terminateInstance(nodegroup, instance);
  const { releaseVersion } = target;
  if (!minimal) {
    // The surge carries the load meanwhile, so nothing waits for the successor here.
    launchInstance(account, nodegroup, releaseVersion);
    return undefined;
  }
  const { started, ready } = await bringUp(account, nodegroup, { count: 1, releaseVersion, limitMs: times.newNodesReadyMs });
  return ready ? undefined : newNodesMissing(nodegroup, started);
}

function newNodesMissing(nodegroup: Nodegroup, started: Instance[]): UpdateError {
  const errorMessage = `Couldn't proceed with upgrade process as new nodes are not joining node group ${nodegroup.name}`;
  return { errorCode: 'NodeCreationFailure', errorMessage, resourceIds: started.map((instance) => instance.nodeName) };
}

function uncordonAll(nodegroup: Nodegroup, old: Instance[]): void {
  for (const instance of old) {
    if (nodegroup.instances.includes(instance)) uncordon(nodegroup, instance);
  }
}

function shuffled(nodegroup: Nodegroup, instances: Instance[]): Instance[] {
  return instances
    .map((instance) => ({ instance, rank: nodegroup.random.next() }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ instance }) => instance);
}
