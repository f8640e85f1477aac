import type { Account } from './account.ts';
import { bringUp, countInZone, drain, nodeTaintOf, terminateInstance } from './instances.ts';
import type { Instance, Nodegroup, Taint } from './model.ts';
import { pause } from './waiting.ts';

const minuteMs = 60_000;

/** How long things take at least or at most, in simulated milliseconds. */
const times = {
  createAtLeastMs: [60_000, 90_000],
  createAtMostMs: 20 * minuteMs,
  configureMs: [5_000, 10_000],
  drainBeforeDeletionMs: 5 * minuteMs,
  cleanUpMs: [30_000, 60_000],
  drainBeforeScaleDownMs: 15 * minuteMs,
  betweenScaleDownsMs: [10_000, 20_000],
} as const;

/** Runs a new node group up: ACTIVE when all its nodes are Ready, CREATE_FAILED if they are not in time. */
export async function createNodes(account: Account, nodegroup: Nodegroup): Promise<void> {
  const { clock } = account.world;
  const atLeast = pause(clock, nodegroup.random.between(...times.createAtLeastMs));
  const { desiredSize: count } = nodegroup.scalingConfig;
  const { releaseVersion } = nodegroup;
  const { started, ready } = await bringUp(account, nodegroup, { count, releaseVersion, limitMs: times.createAtMostMs });
  await atLeast;
  if (ready) return account.settle(nodegroup);
  nodegroup.status = 'CREATE_FAILED';
  nodegroup.modifiedAt = clock.now();
  const message = 'Instances failed to join the kubernetes cluster';
  nodegroup.issues.push({ code: 'NodeCreationFailure', message, resourceIds: started.map((instance) => instance.id) });
}

/** Takes a node group down: all its nodes are drained at once, for a limited time, then ended; then it is gone. */
export async function deleteNodes(account: Account, nodegroup: Nodegroup): Promise<void> {
  const endInstance = async (instance: Instance): Promise<void> => {
    await drain(account, nodegroup, instance, times.drainBeforeDeletionMs);
    terminateInstance(nodegroup, instance);
  };
  await Promise.all(nodegroup.instances.map(endInstance));
  await pause(account.world.clock, nodegroup.random.between(...times.cleanUpMs));
  nodegroup.cluster.nodegroups.delete(nodegroup.name);
}

/** Brings a node group to the size, labels and taints it is configured for; `removed` is what its nodes have to lose. */
export async function applyConfiguration(
  account: Account,
  nodegroup: Nodegroup,
  removed: { labels: string[]; taints: Taint[] },
): Promise<void> {
  await pause(account.world.clock, nodegroup.random.between(...times.configureMs));
  const { nodes } = nodegroup.cluster;
  const taints = { add: nodegroup.taints.map(nodeTaintOf), remove: removed.taints.map(nodeTaintOf) };
  for (const { nodeName } of nodegroup.instances) {
    for (const key of removed.labels) nodes.setNodeLabel(nodeName, key, undefined);
    for (const [key, value] of Object.entries(nodegroup.labels)) nodes.setNodeLabel(nodeName, key, value);
    nodes.changeNodeTaints(nodeName, taints);
  }
  const { scalingConfig, instances, releaseVersion } = nodegroup;
  const count = scalingConfig.desiredSize - instances.length;
  await bringUp(account, nodegroup, { count, releaseVersion, limitMs: times.createAtMostMs });
  await scaleDown(account, nodegroup, () => true);
}

/** Ends one instance, as its Auto Scaling group is asked to: a hook of EKS drains it first; then the group brings another one. */
export async function replaceInstance(account: Account, nodegroup: Nodegroup, id: string): Promise<void> {
  const instance = nodegroup.instances.find((one) => one.id === id);
  if (!instance || instance.ending) return;
  instance.ending = true;
  await drain(account, nodegroup, instance, times.drainBeforeScaleDownMs);
  terminateInstance(nodegroup, instance, 'auto-scaling');
  const { releaseVersion } = nodegroup;
  await bringUp(account, nodegroup, { count: 1, releaseVersion, limitMs: times.createAtMostMs });
}

/**
 * Ends instances one by one, from the fullest zone, until the group has the desired size; preferred ones go first. It is the Auto
 * Scaling group that ends them, after 15 minutes whatever budgets say
 * (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html).
 */
export async function scaleDown(account: Account, nodegroup: Nodegroup, preferred: (instance: Instance) => boolean): Promise<void> {
  while (nodegroup.instances.length > nodegroup.scalingConfig.desiredSize) {
    const candidates = nodegroup.instances.some(preferred) ? nodegroup.instances.filter(preferred) : [...nodegroup.instances];
    const [instance] = candidates.sort((one, other) => countInZone(nodegroup, other.zone) - countInZone(nodegroup, one.zone));
    if (instance === undefined) return;
    await drain(account, nodegroup, instance, times.drainBeforeScaleDownMs);
    terminateInstance(nodegroup, instance, 'auto-scaling');
    await pause(account.world.clock, nodegroup.random.between(...times.betweenScaleDownsMs));
  }
}
