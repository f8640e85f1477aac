import type { Account } from './account.ts';
import { invalidParameter, invalidRequest, notReady } from './errors.ts';
import { blocks } from './insights.ts';
import type { Cluster, Update } from './model.ts';
import { minorOf } from './releases.ts';
import { readBody, updateClusterVersionBody } from './requests.ts';
import { addUpdate, refuseDuringClusterUpdate } from './updates.ts';
import { pause } from './waiting.ts';

/** Simulated time that a control plane takes for one minor version. */
const controlPlaneUpdateMs = [8 * 60_000, 10 * 60_000] as const;

/** Simulated time that the nodes of Auto Mode take to go back. */
const autoModeNodesMs = 20 * 60_000;

/** Kubelets may be this many minor versions behind the API server (Kubernetes version skew policy). */
const kubeletSkew = 3;

/** A rollback is taken on for so long after the upgrade that it takes back. */
const rollbackMs = 7 * 86_400_000;

/**
 * Starts UpdateClusterVersion: one minor version up with no node group left too far behind, or back to the one before
 * (https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html; the words of those refusals are not EKS's own).
 * @throws EksError ResourceInUseException, InvalidParameterException, InvalidRequestException, InvalidStateException.
 */
export function updateClusterVersion(account: Account, cluster: Cluster, body: unknown): Update {
  const { version, force } = readBody(updateClusterVersionBody, body, { clusterName: cluster.name });
  const { clock, random } = account.world;
  const type = minorOf(version) === (minorOf(cluster.version) ?? 0) - 1 ? 'VersionRollback' : 'VersionUpdate';
  refuseDuringClusterUpdate(cluster, type);
  if (type === 'VersionUpdate') {
    refuseStep(cluster, version);
    refuseSkew(cluster, version);
  } else refuseRollback(cluster, version, clock.now());
  const category = type === 'VersionUpdate' ? 'UPGRADE_READINESS' : 'ROLLBACK_READINESS';
  if (!force && cluster.insights.some((insight) => blocks(insight, category, version))) {
    throw notReady(type === 'VersionUpdate' ? 'Upgrade' : 'Rollback', { clusterName: cluster.name });
  }
  const chance = random.stream(`eks/update/${cluster.name}/${version}/${cluster.updates.length}`);
  const [patch] = cluster.platformVersion.match(/\d+/) ?? ['1'];
  const platformVersion = `eks.${Number(patch) + 1}`;
  const update = addUpdate(cluster, {
    id: chance.uuid(),
    type,
    params: { Version: version, PlatformVersion: platformVersion },
    at: clock.now(),
  });
  cluster.status = 'UPDATING';
  update.isAtNodes = cluster.autoMode && type === 'VersionRollback';
  void (async (): Promise<void> => {
    if (update.isAtNodes) await pause(clock, autoModeNodesMs);
    if (update.status !== 'InProgress') return;
    update.isAtNodes = false;
    await pause(clock, chance.between(...controlPlaneUpdateMs));
    cluster.status = 'ACTIVE';
    const failure = cluster.failsUpdates;
    if (failure !== undefined) {
      // What does not pass the health checks of EKS is taken back by itself.
      Object.assign(update, { status: 'Failed', errors: [failure] });
      return;
    }
    Object.assign(cluster, { version, platformVersion });
    cluster.nodes.setVersion(version);
    update.status = 'Successful';
  })();
  return update;
}

/**
 * CancelUpdate, which EKS takes for a rollback in Auto Mode while nodes go back (the words of the refusal are not EKS's own).
 * @throws EksError InvalidRequestException.
 */
export function cancelUpdate(cluster: Cluster, update: Update): Update {
  if (!update.isAtNodes) throw invalidRequest(`Update ${update.id} cannot be cancelled`, { clusterName: cluster.name });
  update.isAtNodes = false;
  Object.assign(update, { status: 'Cancelled', cancellation: { status: 'Successful', reason: 'Cancelled by the customer' } });
  cluster.status = 'ACTIVE';
  return update;
}

function refuseStep(cluster: Cluster, version: string): void {
  const wanted = minorOf(version);
  const subject = { clusterName: cluster.name };
  if (wanted === undefined) throw invalidParameter('unsupported Kubernetes version', subject);
  if (wanted === (minorOf(cluster.version) ?? 0) + 1) return;
  throw invalidParameter(`Unsupported Kubernetes minor version update from ${cluster.version} to ${version}`, subject);
}

function refuseRollback(cluster: Cluster, version: string, now: Date): void {
  const subject = { clusterName: cluster.name };
  const upgrade = cluster.updates.findLast(
    ({ type, status, params }) =>
      type === 'VersionUpdate' &&
      status === 'Successful' &&
      params.some((param) => param.type === 'Version' && param.value === cluster.version),
  );
  if (!upgrade)
    throw invalidRequest(`Cluster ${cluster.name} was not upgraded to ${cluster.version}, so it cannot be rolled back`, subject);
  if (now.getTime() - upgrade.createdAt.getTime() > rollbackMs) {
    throw invalidRequest(`Cluster ${cluster.name} was upgraded more than 7 days ago, so it cannot be rolled back`, subject);
  }
  const newer = [...cluster.nodegroups.values()].filter((nodegroup) => (minorOf(nodegroup.version) ?? 0) > (minorOf(version) ?? 0));
  if (newer.length > 0) throw notReady('Rollback', subject);
}

function refuseSkew(cluster: Cluster, version: string): void {
  const oldest = (minorOf(version) ?? 0) - kubeletSkew;
  const behind = [...cluster.nodegroups.values()].filter((nodegroup) => (minorOf(nodegroup.version) ?? 0) < oldest);
  if (behind.length === 0) return;
  const names = behind.map((nodegroup) => nodegroup.name).join(', ');
  const message = `Nodegroups ${names} must be updated to match cluster version ${cluster.version} before updating cluster version`;
  throw invalidParameter(message, { clusterName: cluster.name });
}
