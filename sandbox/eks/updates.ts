import { resourceInUse, resourceNotFound } from './errors.ts';
import { limits, type Addon, type Cluster, type Nodegroup, type Update, type UpdateType } from './model.ts';

type UpdateOwner = Pick<Cluster, 'updates'> | Pick<Nodegroup, 'updates'> | Pick<Addon, 'updates'>;

/** The update that is running on a cluster or node group; EKS allows one at a time. */
export function updateInFlight(owner: UpdateOwner): Update | undefined {
  return owner.updates.find((update) => update.status === 'InProgress');
}

/**
 * Refuses what cannot start while an update of the cluster runs. The words are those of EKS
 * (https://github.com/aws-controllers-k8s/community/issues/1192).
 * @throws EksError ResourceInUseException, naming the update.
 */
export function refuseDuringClusterUpdate(cluster: Cluster, operation: string): void {
  const update = updateInFlight(cluster);
  if (update === undefined) return;
  const message = `Cannot ${operation} because cluster ${cluster.name} currently has update ${update.id} in progress`;
  throw resourceInUse(message, { clusterName: cluster.name });
}

/** @throws EksError ResourceInUseException, naming the update of the node group. */
export function refuseDuringNodegroupUpdate(nodegroup: Nodegroup, operation: string): void {
  const update = updateInFlight(nodegroup);
  if (update === undefined) return;
  const message = `Cannot ${operation} because nodegroup ${nodegroup.name} currently has update ${update.id} in progress`;
  throw resourceInUse(message, { clusterName: nodegroup.cluster.name, nodegroupName: nodegroup.name });
}

/** Enters a running update in the list of its owner. */
export function addUpdate(
  owner: UpdateOwner,
  start: { id: string; type: UpdateType; params: Record<string, string | undefined>; at: Date },
): Update {
  const params = Object.entries(start.params).flatMap(([type, value]) => (value === undefined ? [] : [{ type, value }]));
  const update: Update = { id: start.id, status: 'InProgress', type: start.type, params, createdAt: start.at, errors: [] };
  owner.updates.push(update);
  if (owner.updates.length > limits.updatesRemembered) owner.updates.shift();
  return update;
}

/** @throws EksError ResourceNotFoundException. */
export function findUpdate(owner: UpdateOwner, id: string): Update {
  const update = owner.updates.find((candidate) => candidate.id === id);
  if (update === undefined) throw resourceNotFound(`No update found for ID: ${id}`);
  return update;
}
