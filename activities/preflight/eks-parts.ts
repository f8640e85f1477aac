import type { _InstanceType } from '@aws-sdk/client-ec2';
import { DescribeClusterVersionsCommand, ListAddonsCommand, type Addon, type Cluster, type Nodegroup } from '@aws-sdk/client-eks';
import type {
  AddonView,
  HealthIssue,
  InstanceTypeView,
  LaunchTemplateView,
  NodegroupView,
  Parts,
  Snapshot,
  SubnetView,
} from '../../domain/preflight/snapshot.ts';
import { controlPlaneUse, podUse } from '../../domain/preflight/subnets.ts';
import { getOrAdd, groupBy } from '../../domain/map.ts';
import type { Target } from '../../domain/target.ts';
import { cut } from '../../domain/visible.ts';
import type { Clients } from '../clients.ts';
import { findAddon, readAddonReleases } from '../eks/addon/addon.ts';
import { readAuthorities } from '../eks/certificate-authority/authorities.ts';
import { findingOf, insightName, readInsights } from '../eks/control-plane/insights.ts';
import { findNodegroup } from '../eks/nodegroup/nodegroup.ts';
import { listAllOf, pageSize } from '../aws-pages.ts';
import { listNodegroups } from '../eks/cluster.ts';
import { awsError, messageCharactersMax } from '../failure.ts';
import { inParallel } from '../kubernetes/client/read.ts';
import { readQuotas } from './quotas.ts';
import { reading } from './reading.ts';

/** Launch templates, instance types and subnets that are asked for at once. */
const idsPerCallMax = 100;

/** What EKS and EC2 tell of a cluster. */
export async function readEksParts(
  clients: Clients,
  target: Target,
  cluster: Cluster,
  { toVersion, podSubnets }: { toVersion: string; podSubnets: readonly string[] },
): Promise<Snapshot> {
  const groups = await reading(async () => {
    const found = await inParallel(await listNodegroups(clients, target), (name) => findNodegroup(clients, target, name));
    return found.flatMap((group) => (group ? [nodegroupView(group)] : []));
  });
  const own = 'value' in groups ? groups.value : [];
  const templates = 'unread' in groups ? groups : await reading(() => launchTemplates(clients, target, own));
  const known = 'value' in templates ? own.map((group) => withTypesOfTemplate(group, templates.value)) : own;
  const isTypeUnread = 'unread' in templates && own.some((group) => group.instanceTypes.length === 0);
  return {
    cluster: { value: clusterView(target, cluster) },
    versionSupport: await reading(() => versionSupport(clients, target, [cluster.version ?? '', toVersion])),
    nodegroups: 'unread' in groups ? groups : { value: known },
    insights: await reading(() => insights(clients, target, toVersion)),
    subnets: 'unread' in groups ? groups : await reading(() => subnets(clients, target, usesOf(cluster, own, podSubnets))),
    launchTemplates: templates,
    instanceTypes: isTypeUnread ? templates : await reading(() => instanceTypes(clients, target, known)),
    quotas: 'unread' in groups ? groups : await quotasOf(clients, target, own),
    addons: await reading(() => addons(clients, target)),
    addonVersions: await reading(() => addonVersions(clients, target, toVersion)),
    certificateAuthorities: await reading(() => readAuthorities(clients, target)),
  };
}

function clusterView({ name }: Target, { status, health, resourcesVpcConfig, upgradePolicy }: Cluster): Parts['cluster'] {
  const object = `Cluster/${name}`;
  const supportType = upgradePolicy?.supportType ?? 'EXTENDED';
  return {
    name,
    status: status ?? 'unknown',
    issues: issuesOf(object, health?.issues),
    subnetIds: resourcesVpcConfig?.subnetIds ?? [],
    supportType,
  };
}

function nodegroupView(group: Nodegroup): NodegroupView {
  const { nodegroupName: name = '', status = 'unknown', version = '', amiType = '', health, launchTemplate, updateConfig = {} } = group;
  const { id, version: used } = launchTemplate ?? {};
  const nodesWanted = group.scalingConfig?.desiredSize ?? 0;
  const share = Math.floor((nodesWanted * (updateConfig.maxUnavailablePercentage ?? 0)) / 100);
  return {
    name,
    status,
    version,
    amiType,
    issues: issuesOf(`Nodegroup/${name}`, health?.issues),
    subnetIds: group.subnets ?? [],
    instanceTypes: group.instanceTypes ?? [],
    launchTemplate: id === undefined || used === undefined ? undefined : { id, version: used },
    nodesWanted,
    capacityType: group.capacityType ?? 'ON_DEMAND',
    updatedAtOnce: updateConfig.maxUnavailable ?? Math.max(1, share),
    hasSurge: updateConfig.updateStrategy !== 'MINIMAL',
  };
}

async function quotasOf(...asked: Parameters<typeof readQuotas>): ReturnType<typeof readQuotas> {
  const read = await reading(() => readQuotas(...asked));
  return 'value' in read ? read.value : read;
}

function withTypesOfTemplate(group: NodegroupView, templates: Parts['launchTemplates']): NodegroupView {
  const { instanceTypes: own, launchTemplate } = group;
  const template = templates.find(({ id }) => id === launchTemplate?.id);
  const type = template?.used.find(({ version }) => version === launchTemplate?.version)?.instanceType;
  return own.length > 0 || type === undefined ? group : { ...group, instanceTypes: [type] };
}

function issuesOf(object: string, issues: readonly { code?: string; message?: string }[] = []): HealthIssue[] {
  return issues.map(({ code = 'an issue', message = 'it gives no reason' }) => ({
    object,
    code,
    message: cut(message, messageCharactersMax),
  }));
}

async function versionSupport(clients: Clients, target: Target, versions: readonly string[]): Promise<Parts['versionSupport']> {
  const eks = clients.eks(target.region);
  const clusterVersions = [...new Set(versions)].filter((version) => version !== '');
  const found = await listAllOf('DescribeClusterVersions', target, async (nextToken) => {
    const answer = await eks.send(new DescribeClusterVersionsCommand({ clusterVersions, maxResults: pageSize, nextToken }));
    return { items: answer.clusterVersions, nextToken: answer.nextToken };
  });
  return found.map(({ clusterVersion: version = '', endOfStandardSupportDate, endOfExtendedSupportDate }) => {
    return { version, standardEnds: endOfStandardSupportDate?.toISOString(), extendedEnds: endOfExtendedSupportDate?.toISOString() };
  });
}

async function insights(clients: Clients, target: Target, toVersion: string): Promise<Parts['insights']> {
  const { errors, warnings, passing } = await readInsights(clients, target, 'UPGRADE_READINESS', toVersion);
  return [...errors, ...warnings, ...passing].map((insight) => ({
    name: insightName(insight),
    status: insight.insightStatus?.status ?? 'UNKNOWN',
    found: findingOf(insight),
    recommendation: cut(insight.recommendation ?? '', messageCharactersMax),
    refreshedAtMs: insight.lastRefreshTime?.getTime(),
  }));
}

async function addons(clients: Clients, target: Target): Promise<AddonView[]> {
  const eks = clients.eks(target.region);
  const names = await listAllOf('ListAddons', target, async (nextToken) => {
    const answer = await eks.send(new ListAddonsCommand({ clusterName: target.name, maxResults: pageSize, nextToken }));
    return { items: answer.addons, nextToken: answer.nextToken };
  });
  const found = await inParallel(names, (name) => findAddon(clients, target, name));
  return found.flatMap((addon) => (addon ? [addonView(addon)] : []));
}

function addonView({ addonName: name = '', addonVersion: version = '', status, health }: Addon): AddonView {
  return { name, version, status: status ?? 'unknown', issues: issuesOf(`Addon/${name}`, health?.issues) };
}

async function addonVersions(clients: Clients, target: Target, toVersion: string): Promise<Parts['addonVersions']> {
  const addons = await readAddonReleases(clients, target, { kubernetesVersion: toVersion });
  return addons.map(({ name, releases }) => {
    const fitting = releases.filter(({ runsOn }) => runsOn.includes(toVersion));
    const standard = fitting.find(({ defaultFor }) => defaultFor.includes(toVersion));
    return { name, default: standard?.version, compatible: fitting.map(({ version }) => version) };
  });
}

/** By subnet, for whom it is. */
function usesOf(cluster: Cluster, nodegroups: readonly NodegroupView[], podSubnets: readonly string[]): Map<string, string[]> {
  const uses = new Map<string, string[]>();
  const use = (ids: readonly string[], text: string): void => ids.forEach((id) => getOrAdd(uses, id, () => []).push(text));
  use(cluster.resourcesVpcConfig?.subnetIds ?? [], controlPlaneUse);
  for (const { name, subnetIds } of nodegroups) use(subnetIds, `node group ${name}`);
  use(podSubnets, podUse);
  return uses;
}

async function subnets(clients: Clients, target: Target, uses: ReadonlyMap<string, string[]>): Promise<SubnetView[]> {
  const ec2 = await clients.ec2(target.region);
  const found: SubnetView[] = [];
  for (const SubnetIds of slices([...uses.keys()])) {
    const { Subnets = [] } = await ec2
      .describeSubnets({ SubnetIds })
      .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeSubnets', target)));
    for (const { SubnetId: id = '', AvailabilityZone: zone = '', AvailableIpAddressCount: freeAddresses = 0 } of Subnets) {
      found.push({ id, zone, freeAddresses, uses: uses.get(id) ?? [] });
    }
  }
  return found;
}

async function launchTemplates(clients: Clients, target: Target, nodegroups: readonly NodegroupView[]): Promise<Parts['launchTemplates']> {
  const used = groupBy(
    nodegroups.flatMap(({ launchTemplate }) => launchTemplate ?? []),
    ({ id }) => id,
  );
  const found: LaunchTemplateView[] = [];
  if (used.size === 0) return found;
  const ec2 = await clients.ec2(target.region);
  for (const LaunchTemplateIds of slices([...used.keys()])) {
    const { LaunchTemplates = [] } = await ec2
      .describeLaunchTemplates({ LaunchTemplateIds })
      .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeLaunchTemplates', target)));
    const templates = await inParallel(LaunchTemplates, async (template) => {
      const { LaunchTemplateId: id = '', DefaultVersionNumber: standard, LatestVersionNumber: latest } = template;
      const versions = [...new Set((used.get(id) ?? []).map(({ version }) => version))];
      return { id, default: String(standard), latest: String(latest), used: await templateVersions(clients, target, id, versions) };
    });
    found.push(...templates);
  }
  return found;
}

async function templateVersions(clients: Clients, target: Target, id: string, versions: string[]): Promise<LaunchTemplateView['used']> {
  const ec2 = await clients.ec2(target.region);
  const { LaunchTemplateVersions = [] } = await ec2
    .describeLaunchTemplateVersions({ LaunchTemplateId: id, Versions: versions })
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeLaunchTemplateVersions', target)));
  return LaunchTemplateVersions.map(({ VersionNumber, LaunchTemplateData: { ImageId: image, InstanceType: instanceType } = {} }) => {
    return { version: String(VersionNumber), image, instanceType };
  });
}

async function instanceTypes(clients: Clients, target: Target, nodegroups: readonly NodegroupView[]): Promise<InstanceTypeView[]> {
  const types = [...new Set(nodegroups.flatMap((group) => group.instanceTypes))];
  const found: InstanceTypeView[] = [];
  for (const names of slices(types)) {
    const ec2 = await clients.ec2(target.region);
    const { InstanceTypes = [] } = await ec2
      .describeInstanceTypes({ InstanceTypes: names as _InstanceType[] })
      .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeInstanceTypes', target)));
    for (const { InstanceType: name = '', NetworkInfo: network = {}, VCpuInfo } of InstanceTypes) {
      const { MaximumNetworkInterfaces: interfacesMax = 0, Ipv4AddressesPerInterface: addressesPerInterface = 0 } = network;
      found.push({ name, processors: VCpuInfo?.DefaultVCpus ?? 0, interfacesMax, addressesPerInterface });
    }
  }
  return found;
}

function slices<Item>(items: readonly Item[]): Item[][] {
  const count = Math.ceil(items.length / idsPerCallMax);
  return Array.from({ length: count }, (_, place) => items.slice(place * idsPerCallMax, (place + 1) * idsPerCallMax));
}
