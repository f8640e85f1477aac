import type { AddonSeed } from '../seed.ts';
import type { Account } from './account.ts';
import { invalidParameter, resourceInUse, resourceNotFound } from './errors.ts';
import { accountId, type Addon, type Cluster, type Update, type UpdateError } from './model.ts';
import { pageOf } from './paging.ts';
import { minorOf } from './releases.ts';
import { readBody, updateAddonBody } from './requests.ts';
import { addUpdate, updateInFlight } from './updates.ts';
import { pause } from './waiting.ts';

/** Simulated time that an add-on takes until its pods run in the new version. */
const addonUpdateMs = [60_000, 180_000] as const;

interface CatalogueEntry {
  version: string;
  /** Minor versions of Kubernetes 1 under which it runs, the first and the last one. */
  runsOn: readonly [number, number];
  defaultFor: readonly number[];
}

const oldestMinor = 30;
const newestMinor = 35;

/** The add-ons that can be had. The numbers resemble those of EKS; what fits what is the sandbox's own. */
const catalogue: Readonly<Record<string, readonly CatalogueEntry[]>> = {
  // As old as three minor versions behind the control plane, never newer than it.
  'kube-proxy': minors(oldestMinor, newestMinor).map((minor) => ({
    version: `v1.${minor}.3-eksbuild.2`,
    runsOn: [minor, Math.min(minor + 3, newestMinor)] as const,
    defaultFor: [minor],
  })),
  'vpc-cni': [
    { version: 'v1.19.0-eksbuild.1', runsOn: [30, 33], defaultFor: [30, 31, 32] },
    { version: 'v1.20.1-eksbuild.3', runsOn: [31, 34], defaultFor: [33] },
    { version: 'v1.20.4-eksbuild.1', runsOn: [33, 35], defaultFor: [34, 35] },
  ],
  coredns: [
    { version: 'v1.11.4-eksbuild.2', runsOn: [30, 34], defaultFor: [30, 31, 32, 33] },
    { version: 'v1.12.4-eksbuild.1', runsOn: [33, 35], defaultFor: [34, 35] },
  ],
  'aws-ebs-csi-driver': [
    { version: 'v1.44.0-eksbuild.1', runsOn: [30, 34], defaultFor: [30, 31, 32, 33] },
    { version: 'v1.48.0-eksbuild.2', runsOn: [31, 35], defaultFor: [34, 35] },
  ],
  'eks-pod-identity-agent': [{ version: 'v1.3.8-eksbuild.2', runsOn: [30, 35], defaultFor: minors(oldestMinor, newestMinor) }],
};

function minors(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** The add-ons that a cluster starts with. */
export function addonsOf(seeds: readonly AddonSeed[], cluster: Cluster, id: () => string): Map<string, Addon> {
  return new Map(
    seeds.map((seed) => {
      const arn = `arn:aws:eks:${cluster.region}:${accountId}:addon/${cluster.name}/${seed.name}/${id()}`;
      const times = { createdAt: cluster.createdAt, modifiedAt: cluster.createdAt };
      return [seed.name, { ...seed, ...times, arn, status: 'ACTIVE', issues: [], updates: [] }];
    }),
  );
}

/** @throws EksError ResourceNotFoundException. */
export function addonOf(cluster: Cluster, addonName: string): Addon {
  const addon = cluster.addons.get(addonName);
  if (addon) return addon;
  throw resourceNotFound(`No addon: ${addonName} found in cluster: ${cluster.name}`, { clusterName: cluster.name, addonName });
}

/** The `Addon` shape of the API. */
export function addonAnswer(cluster: Cluster, addon: Addon): object {
  return {
    addonName: addon.name,
    clusterName: cluster.name,
    status: addon.status,
    addonVersion: addon.version,
    health: { issues: addon.issues },
    addonArn: addon.arn,
    createdAt: addon.createdAt.getTime() / 1000,
    modifiedAt: addon.modifiedAt.getTime() / 1000,
    tags: {},
    ...(addon.configurationValues !== undefined && { configurationValues: addon.configurationValues }),
    ...(addon.serviceAccountRoleArn !== undefined && { serviceAccountRoleArn: addon.serviceAccountRoleArn }),
  };
}

/** DescribeAddonVersions: what can be had, of one add-on, for one version of Kubernetes. */
export function addonVersions(query: URLSearchParams): object {
  const addonName = query.get('addonName');
  const kubernetesVersion = query.get('kubernetesVersion');
  const wanted = kubernetesVersion === null ? undefined : minorOf(kubernetesVersion);
  if (addonName !== null && !(addonName in catalogue)) throw resourceNotFound(`Addon ${addonName} not found`, { addonName });
  const names = Object.keys(catalogue).filter((name) => addonName === null || name === addonName);
  const { page, nextToken } = pageOf(names, query);
  const addons = page.map((name) => ({
    addonName: name,
    type: 'networking',
    publisher: 'eks',
    owner: 'aws',
    addonVersions: (catalogue[name] ?? [])
      .filter(({ runsOn: [first, last] }) => wanted === undefined || (wanted >= first && wanted <= last))
      .map(({ version, runsOn: [first, last], defaultFor }) => ({
        addonVersion: version,
        architecture: ['amd64', 'arm64'],
        compatibilities: minors(first, last)
          .filter((minor) => wanted === undefined || minor === wanted)
          .map((minor) => ({ clusterVersion: `1.${minor}`, platformVersions: ['*'], defaultVersion: defaultFor.includes(minor) })),
        requiresConfiguration: false,
      }))
      .reverse(),
  }));
  return { addons, nextToken };
}

/**
 * Starts UpdateAddon: another version of an add-on, which must run under the version of the control plane.
 * @throws EksError ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
 */
export function updateAddon(account: Account, cluster: Cluster, addonName: string, body: unknown): Update {
  const subject = { clusterName: cluster.name, addonName };
  const request = readBody(updateAddonBody, body, subject);
  const addon = addonOf(cluster, addonName);
  const running = updateInFlight(addon);
  if (running) throw resourceInUse(`Addon ${addonName} cannot be updated as it is currently in UPDATING state`, subject);
  const version = request.addonVersion ?? addon.version;
  const minor = minorOf(cluster.version) ?? 0;
  const entry = catalogue[addonName]?.find((candidate) => candidate.version === version);
  if (!entry || minor < entry.runsOn[0] || minor > entry.runsOn[1])
    throw invalidParameter('Addon version specified is not supported', subject);
  refuseConfiguration(request.configurationValues, addonName, cluster);
  const { clock, random } = account.world;
  const chance = random.stream(`eks/addon/${cluster.name}/${addonName}/${addon.updates.length}`);
  const update = addUpdate(addon, {
    id: chance.uuid(),
    type: 'AddonUpdate',
    params: { AddonVersion: version, ResolveConflicts: request.resolveConflicts, ConfigurationValues: request.configurationValues },
    at: clock.now(),
  });
  addon.status = 'UPDATING';
  void pause(clock, chance.between(...addonUpdateMs)).then(() => {
    addon.modifiedAt = clock.now();
    const failure = addon.failsUpdates ?? conflictOf(addon, request.resolveConflicts);
    if (failure) {
      Object.assign(update, { status: 'Failed', errors: [failure] });
      addon.status = 'UPDATE_FAILED';
      return;
    }
    // What is left out goes back to the default, unless EKS is told to preserve what there is.
    if (request.configurationValues !== undefined) addon.configurationValues = request.configurationValues;
    else if (request.resolveConflicts !== 'PRESERVE') delete addon.configurationValues;
    if (request.serviceAccountRoleArn === undefined) delete addon.serviceAccountRoleArn;
    else addon.serviceAccountRoleArn = request.serviceAccountRoleArn;
    if (request.resolveConflicts === 'OVERWRITE') addon.editedByHand = false;
    Object.assign(addon, { version, status: 'ACTIVE' });
    update.status = 'Successful';
  });
  return update;
}

function conflictOf({ name, editedByHand }: Addon, resolveConflicts: string): UpdateError | undefined {
  if (editedByHand !== true || resolveConflicts !== 'NONE') return undefined;
  const errorMessage = `Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts: ${name} - .spec`;
  return { errorCode: 'ConfigurationConflict', errorMessage, resourceIds: [name] };
}

function refuseConfiguration(values: string | undefined, addonName: string, { name: clusterName }: Cluster): void {
  if (values === undefined || values === '') return;
  try {
    JSON.parse(values);
  } catch {
    throw invalidParameter('ConfigurationValue provided in request is not supported', { clusterName, addonName });
  }
}
