import type { z } from 'zod';
import type { Account } from './account.ts';
import { invalidParameter, invalidRequest, limitExceeded, resourceInUse, type ErrorSubject } from './errors.ts';
import { limits, type Cluster, type Nodegroup, type ScalingConfig, type Subnet, type Update } from './model.ts';
import { applyConfiguration, createNodes, deleteNodes } from './nodegroup-lifecycle.ts';
import { updateNodes } from './nodegroup-version-update.ts';
import { latestRelease, minorOf } from './releases.ts';
import { createNodegroupBody, readBody, updateNodegroupConfigBody, updateNodegroupVersionBody } from './requests.ts';
import { addUpdate, refuseDuringNodegroupUpdate } from './updates.ts';

/**
 * Starts CreateNodegroup.
 * @throws EksError ResourceInUseException, ResourceLimitExceededException, InvalidRequestException, InvalidParameterException.
 */
export function createNodegroup(account: Account, cluster: Cluster, body: unknown): Nodegroup {
  const { nodegroupName: name, subnets, version, releaseVersion, clientRequestToken: _, ...settings } = readBody(createNodegroupBody, body);
  const subject = { clusterName: cluster.name, nodegroupName: name };
  refuseName(cluster, name, subject);
  if (cluster.status !== 'ACTIVE') throw invalidRequest(`Cluster '${cluster.name}' is not in ACTIVE status`, subject);
  refuseSizes(settings.scalingConfig, subject);
  const release = releaseFor(account, { version: version ?? cluster.version, releaseVersion, allowed: [cluster.version] }, subject);
  const nodegroup = account.addNodegroup({
    ...settings,
    ...release,
    name,
    cluster,
    status: 'CREATING',
    instanceTypes: settings.instanceTypes.length > 0 ? settings.instanceTypes : ['t3.medium'],
    subnets: subnetsOf(cluster, subnets, subject),
  });
  createNodes(account, nodegroup).catch((problem: unknown) => {
    nodegroup.status = 'CREATE_FAILED';
    nodegroup.issues.push({ code: 'InternalFailure', message: String(problem), resourceIds: [] });
  });
  return nodegroup;
}

/** @throws EksError ResourceInUseException when an update runs or it is not at rest. */
export function deleteNodegroup(account: Account, nodegroup: Nodegroup): void {
  const subject = subjectOf(nodegroup);
  refuseDuringNodegroupUpdate(nodegroup, 'DeleteNodegroup');
  if (nodegroup.status === 'CREATING' || nodegroup.status === 'DELETING') {
    throw resourceInUse(`Nodegroup ${nodegroup.name} cannot be deleted as it is currently in ${nodegroup.status} state`, subject);
  }
  nodegroup.status = 'DELETING';
  nodegroup.modifiedAt = account.world.clock.now();
  deleteNodes(account, nodegroup).catch((problem: unknown) => {
    nodegroup.status = 'DELETE_FAILED';
    nodegroup.issues.push({ code: 'InternalFailure', message: String(problem), resourceIds: [] });
  });
}

/**
 * Starts UpdateNodegroupVersion; without a version it goes to that of the cluster, without a release to the newest one.
 * @throws EksError ResourceInUseException, InvalidRequestException, InvalidParameterException.
 */
export function updateNodegroupVersion(account: Account, nodegroup: Nodegroup, body: unknown): Update {
  const subject = subjectOf(nodegroup);
  const { force, ...wanted } = readBody(updateNodegroupVersionBody, body, subject);
  refuseUnlessAtRest(nodegroup, 'VersionUpdate');
  const { cluster } = nodegroup;
  const version = wanted.version ?? (wanted.releaseVersion === undefined ? cluster.version : minorVersionOf(wanted.releaseVersion));
  const release = releaseFor(account, { ...wanted, version, allowed: [cluster.version, nodegroup.version] }, subject);
  return startUpdate(account, nodegroup, {
    type: 'VersionUpdate',
    params: { Version: release.version, ReleaseVersion: release.releaseVersion },
    run: async (update) => {
      const failure = await updateNodes(account, nodegroup, { ...release, force });
      if (failure !== undefined) update.errors.push(failure);
    },
  });
}

/**
 * Starts UpdateNodegroupConfig; labels and taints reach the nodes that run, too.
 * @throws EksError ResourceInUseException, InvalidRequestException, InvalidParameterException.
 */
export function updateNodegroupConfig(account: Account, nodegroup: Nodegroup, body: unknown): Update {
  const subject = subjectOf(nodegroup);
  const wanted = readBody(updateNodegroupConfigBody, body, subject);
  refuseUnlessAtRest(nodegroup, 'ConfigUpdate');
  const scalingConfig = { ...nodegroup.scalingConfig, ...wanted.scalingConfig };
  refuseSizes(scalingConfig, subject);
  nodegroup.scalingConfig = scalingConfig;
  nodegroup.updateConfig = wanted.updateConfig ?? nodegroup.updateConfig;
  changeLabelsAndTaints(nodegroup, wanted);
  const removed = { labels: wanted.labels?.removeLabels ?? [], taints: wanted.taints?.removeTaints ?? [] };
  return startUpdate(account, nodegroup, {
    type: 'ConfigUpdate',
    params: configParams(wanted),
    run: () => applyConfiguration(account, nodegroup, removed),
  });
}

type ConfigBody = z.infer<typeof updateNodegroupConfigBody>;

function changeLabelsAndTaints(nodegroup: Nodegroup, { labels, taints }: ConfigBody): void {
  const kept = Object.entries(nodegroup.labels).filter(([key]) => labels?.removeLabels?.includes(key) !== true);
  nodegroup.labels = { ...Object.fromEntries(kept), ...labels?.addOrUpdateLabels };
  const changed = [...(taints?.removeTaints ?? []), ...(taints?.addOrUpdateTaints ?? [])];
  const untouched = nodegroup.taints.filter((taint) => !changed.some(({ key, effect }) => key === taint.key && effect === taint.effect));
  nodegroup.taints = [...untouched, ...(taints?.addOrUpdateTaints ?? [])];
}

function configParams({ scalingConfig, updateConfig, labels, taints }: ConfigBody): Record<string, string | undefined> {
  return {
    MinSize: scalingConfig?.minSize?.toString(),
    MaxSize: scalingConfig?.maxSize?.toString(),
    DesiredSize: scalingConfig?.desiredSize?.toString(),
    MaxUnavailable: updateConfig?.maxUnavailable?.toString(),
    MaxUnavailablePercentage: updateConfig?.maxUnavailablePercentage?.toString(),
    UpdateStrategy: updateConfig?.updateStrategy,
    LabelsToAdd: labels?.addOrUpdateLabels && JSON.stringify(labels.addOrUpdateLabels),
    LabelsToRemove: labels?.removeLabels && JSON.stringify(labels.removeLabels),
    TaintsToAdd: taints?.addOrUpdateTaints && JSON.stringify(taints.addOrUpdateTaints),
    TaintsToRemove: taints?.removeTaints && JSON.stringify(taints.removeTaints),
  };
}

interface UpdateStart {
  type: Update['type'];
  params: Record<string, string | undefined>;
  /** Does it; what it enters in `update.errors` makes the update fail. */
  run: (update: Update) => Promise<void>;
}

function startUpdate(account: Account, nodegroup: Nodegroup, { type, params, run }: UpdateStart): Update {
  const update = addUpdate(nodegroup, { id: nodegroup.random.uuid(), type, params, at: account.world.clock.now() });
  nodegroup.status = 'UPDATING';
  const finish = (): void => {
    update.status = update.errors.length === 0 ? 'Successful' : 'Failed';
    account.settle(nodegroup);
  };
  run(update)
    .catch((problem: unknown) => update.errors.push({ errorCode: 'Unknown', errorMessage: String(problem), resourceIds: [] }))
    .finally(finish);
  return update;
}

function subjectOf(nodegroup: Nodegroup): ErrorSubject {
  return { clusterName: nodegroup.cluster.name, nodegroupName: nodegroup.name };
}

function refuseName(cluster: Cluster, name: string, subject: ErrorSubject): void {
  if (cluster.nodegroups.has(name)) {
    throw resourceInUse(`NodeGroup already exists with name ${name} and cluster name ${cluster.name}`, subject);
  }
  if (cluster.nodegroups.size < limits.nodegroupsPerCluster) return;
  throw limitExceeded(`Cluster ${cluster.name} has ${limits.nodegroupsPerCluster} node groups, which is the limit`, subject);
}

function refuseUnlessAtRest(nodegroup: Nodegroup, operation: string): void {
  refuseDuringNodegroupUpdate(nodegroup, operation);
  if (nodegroup.status === 'ACTIVE' || nodegroup.status === 'DEGRADED') return;
  const message = `Cannot ${operation} because nodegroup ${nodegroup.name} is in ${nodegroup.status} status`;
  throw invalidRequest(message, subjectOf(nodegroup));
}

function refuseSizes({ minSize, desiredSize, maxSize }: ScalingConfig, subject: ErrorSubject): void {
  const refuse = (message: string): never => {
    throw invalidParameter(message, subject);
  };
  if (minSize > maxSize) refuse(`Minimum capacity ${minSize} can't be greater than maximum size ${maxSize}`);
  if (desiredSize < minSize) refuse(`Minimum capacity ${minSize} can't be greater than desired size ${desiredSize}`);
  if (desiredSize > maxSize) refuse(`Desired capacity ${desiredSize} can't be greater than maximum size ${maxSize}`);
}

function subnetsOf(cluster: Cluster, ids: string[], subject: ErrorSubject): Subnet[] {
  return [...new Set(ids)].map((id) => {
    const subnet = cluster.subnets.find((candidate) => candidate.id === id);
    if (subnet === undefined) throw invalidParameter(`The subnet ID '${id}' does not exist`, subject);
    return subnet;
  });
}

/** `1.33.4-20260801` gives `1.33`. */
function minorVersionOf(releaseVersion: string): string {
  return releaseVersion.split('.').slice(0, 2).join('.');
}

/** The version and release that are meant; only versions in `allowed`. The words of the refusals are those of EKS. */
function releaseFor(
  account: Account,
  wanted: { version: string; releaseVersion?: string | undefined; allowed: string[] },
  subject: ErrorSubject,
): { version: string; releaseVersion: string } {
  const { version, allowed } = wanted;
  if (minorOf(version) === undefined) throw invalidParameter('unsupported Kubernetes version', subject);
  if (!allowed.includes(version)) {
    const [clusterVersion, nodegroupVersion] = allowed;
    const alternative = nodegroupVersion === undefined ? '' : ` or NodeGroup kubernetes version ${nodegroupVersion}`;
    const rule = 'Nodegroup Kubernetes version should be equal to Cluster kubernetes version';
    throw invalidParameter(`${rule} ${clusterVersion}${alternative}`, subject);
  }
  const releaseVersion = wanted.releaseVersion ?? latestRelease(version);
  if (releaseVersion !== undefined && account.releaseFits(releaseVersion, version)) return { version, releaseVersion };
  throw invalidParameter(`Requested release version ${releaseVersion} is not valid for kubernetes version ${version}.`, subject);
}
