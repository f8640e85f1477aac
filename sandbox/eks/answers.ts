import { trustBundle } from './certificate-authorities.ts';
import { accountId, type Cluster, type Nodegroup, type NodegroupIssue, type Update } from './model.ts';

/** Times travel as seconds since 1970 with milliseconds as a fraction (AWS REST-JSON). */
function secondsOf(time: Date): number {
  return time.getTime() / 1000;
}

/** The `Cluster` shape of the API. */
export function clusterAnswer(cluster: Cluster): object {
  const signer = cluster.certificateAuthorities.find(({ signingStatus }) => signingStatus === 'IN_USE');
  return {
    name: cluster.name,
    arn: cluster.arn,
    createdAt: secondsOf(cluster.createdAt),
    version: cluster.version,
    endpoint: cluster.nodes.url,
    roleArn: `arn:aws:iam::${accountId}:role/eks-cluster`,
    resourcesVpcConfig: {
      subnetIds: cluster.subnets.map((subnet) => subnet.id),
      securityGroupIds: [],
      clusterSecurityGroupId: cluster.securityGroupId,
      vpcId: cluster.vpcId,
      endpointPublicAccess: true,
      endpointPrivateAccess: true,
      publicAccessCidrs: ['0.0.0.0/0'],
    },
    kubernetesNetworkConfig: { serviceIpv4Cidr: '172.20.0.0/16', ipFamily: 'ipv4' },
    status: cluster.status,
    ...(cluster.autoMode && { computeConfig: { enabled: true } }),
    certificateAuthority: { data: trustBundle(cluster), active: { id: signer?.id, activatedBy: signer?.activatedBy } },
    platformVersion: cluster.platformVersion,
    tags: cluster.tags,
    health: { issues: [] },
    accessConfig: { authenticationMode: 'API' },
    upgradePolicy: { supportType: 'EXTENDED' },
    deletionProtection: false,
  };
}

/** The `Nodegroup` shape of the API. */
export function nodegroupAnswer(nodegroup: Nodegroup, issues: NodegroupIssue[]): object {
  const template = nodegroup.launchTemplate;
  return {
    nodegroupName: nodegroup.name,
    nodegroupArn: nodegroup.arn,
    clusterName: nodegroup.cluster.name,
    version: nodegroup.version,
    releaseVersion: nodegroup.releaseVersion,
    createdAt: secondsOf(nodegroup.createdAt),
    modifiedAt: secondsOf(nodegroup.modifiedAt),
    status: nodegroup.status,
    capacityType: nodegroup.capacityType,
    scalingConfig: nodegroup.scalingConfig,
    instanceTypes: nodegroup.instanceTypes,
    subnets: nodegroup.subnets.map((subnet) => subnet.id),
    amiType: nodegroup.amiType,
    nodeRole: nodegroup.nodeRole,
    labels: nodegroup.labels,
    ...(nodegroup.taints.length > 0 ? { taints: nodegroup.taints } : {}),
    resources: { autoScalingGroups: [{ name: nodegroup.autoScalingGroup }] },
    diskSize: nodegroup.diskSize,
    ...(template && { launchTemplate: { id: template.id, name: template.id, version: `${template.version}` } }),
    health: { issues },
    updateConfig: nodegroup.updateConfig,
    tags: nodegroup.tags,
  };
}

/** The `Update` shape of the API. */
export function updateAnswer(update: Update): object {
  return { ...update, isAtNodes: undefined, createdAt: secondsOf(update.createdAt) };
}
