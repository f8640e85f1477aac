import type { Account } from './account.ts';
import { invalidParameter } from './errors.ts';
import type { Cluster, Update } from './model.ts';
import { minorOf } from './releases.ts';
import { readBody, updateClusterVersionBody } from './requests.ts';
import { addUpdate, refuseDuringClusterUpdate } from './updates.ts';
import { pause } from './waiting.ts';

/** Simulated time that a control plane takes for one minor version. */
const controlPlaneUpdateMs = [8 * 60_000, 10 * 60_000] as const;

/** Kubelets may be this many minor versions behind the API server (Kubernetes version skew policy). */
const kubeletSkew = 3;

/**
 * Starts UpdateClusterVersion: one minor version up, and no node group left too far behind.
 * @throws EksError ResourceInUseException, InvalidParameterException.
 */
export function updateClusterVersion(account: Account, cluster: Cluster, body: unknown): Update {
  const { version } = readBody(updateClusterVersionBody, body, { clusterName: cluster.name });
  refuseDuringClusterUpdate(cluster, 'VersionUpdate');
  refuseStep(cluster, version);
  refuseSkew(cluster, version);
  const { clock, random } = account.world;
  const chance = random.stream(`eks/update/${cluster.name}/${version}/${cluster.updates.length}`);
  const [patch] = cluster.platformVersion.match(/\d+/) ?? ['1'];
  const platformVersion = `eks.${Number(patch) + 1}`;
  const update = addUpdate(cluster, {
    id: chance.uuid(),
    type: 'VersionUpdate',
    params: { Version: version, PlatformVersion: platformVersion },
    at: clock.now(),
  });
  cluster.status = 'UPDATING';
  void pause(clock, chance.between(...controlPlaneUpdateMs)).then(() => {
    Object.assign(cluster, { version, platformVersion, status: 'ACTIVE' });
    cluster.nodes.setVersion(version);
    update.status = 'Successful';
  });
  return update;
}

function refuseStep(cluster: Cluster, version: string): void {
  const wanted = minorOf(version);
  const subject = { clusterName: cluster.name };
  if (wanted === undefined) throw invalidParameter('unsupported Kubernetes version', subject);
  if (wanted === (minorOf(cluster.version) ?? 0) + 1) return;
  throw invalidParameter(`Unsupported Kubernetes minor version update from ${cluster.version} to ${version}`, subject);
}

function refuseSkew(cluster: Cluster, version: string): void {
  const oldest = (minorOf(version) ?? 0) - kubeletSkew;
  const behind = [...cluster.nodegroups.values()].filter((nodegroup) => (minorOf(nodegroup.version) ?? 0) < oldest);
  if (behind.length === 0) return;
  const names = behind.map((nodegroup) => nodegroup.name).join(', ');
  const message = `Nodegroups ${names} must be updated to match cluster version ${cluster.version} before updating cluster version`;
  throw invalidParameter(message, { clusterName: cluster.name });
}
