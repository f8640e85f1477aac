import type { SandboxCluster } from '../cluster.ts';
import type { Random } from '../random.ts';
import type { AddonSeed, InsightSeed, LaunchTemplateSeed } from '../seed.ts';

/** The AWS account that everything in the sandbox belongs to. */
export const accountId = '111122223333';

/** Quotas of EKS (https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html) and what the sandbox keeps. */
export const limits = {
  nodegroupsPerCluster: 30,
  nodesPerNodegroup: 450,
  nodesUpdatedAtOnce: 100,
  tagsPerResource: 50,
  pageSize: 100,
  /** Updates remembered of a cluster or node group; the oldest are forgotten first. */
  updatesRemembered: 100,
  /** Client request tokens remembered; the oldest are forgotten first. */
  requestTokensRemembered: 1000,
  issuesInjected: 1000,
  requestBodyBytes: 1024 * 1024,
} as const;

/** A cluster's subnet; one for each zone. */
export interface Subnet {
  id: string;
  zone: string;
}

/** What is wrong with a node group (`NodegroupIssueCode` of the API). */
export interface NodegroupIssue {
  /** e.g. `AsgInstanceLaunchFailures`, `NodeCreationFailure`, `InsufficientFreeAddresses`. */
  code: string;
  message: string;
  resourceIds: string[];
}

/** Why an update failed (`ErrorCode` of the API). */
export interface UpdateError {
  /** e.g. `NodeCreationFailure`, `ClusterUnreachable`. */
  errorCode: string;
  errorMessage: string;
  resourceIds: string[];
}

export type UpdateType = 'VersionUpdate' | 'VersionRollback' | 'ConfigUpdate' | 'AddonUpdate' | 'CertificateAuthorityUpdate';

export interface Update {
  id: string;
  status: 'InProgress' | 'Failed' | 'Cancelled' | 'Successful';
  type: UpdateType;
  params: { type: string; value: string }[];
  createdAt: Date;
  errors: UpdateError[];
  cancellation?: { status: 'Successful'; reason: string };
  /** Whether it can be cancelled: it has not come to the control plane yet. */
  isAtNodes?: boolean;
}

/** Something that EKS has found about a cluster, and when. */
export interface Insight extends InsightSeed {
  id: string;
  refreshedAt: Date;
  /** When its status became what it is. */
  changedAt: Date;
}

/** A root of trust of a cluster (`CertificateAuthority` of the API). */
export interface CertificateAuthority {
  id: string;
  createdAt: Date;
  createdBy: 'CUSTOMER' | 'EKS';
  activatedAt?: Date;
  activatedBy?: 'CUSTOMER' | 'EKS';
  signingStatus: 'IN_USE' | 'ACTIVATING' | 'NOT_USED';
  distributionStatus: 'IN_PROGRESS' | 'COMPLETE' | 'FAILED' | 'DELETING';
  notBefore: Date;
  notAfter: Date;
  /** Until when EKS goes back to it, after its successor was activated. */
  rollbackUntil?: Date;
  /** Its certificate: PEM in Base64. */
  data: string;
}

export interface Addon extends AddonSeed {
  arn: string;
  status: 'ACTIVE' | 'UPDATING' | 'UPDATE_FAILED' | 'DEGRADED';
  createdAt: Date;
  modifiedAt: Date;
  issues: { code: string; message: string; resourceIds: string[] }[];
  updates: Update[];
  /** If set, its updates fail with it. */
  failsUpdates?: UpdateError;
}

export interface Cluster {
  name: string;
  region: string;
  arn: string;
  /** Its nodes and pods. */
  nodes: SandboxCluster;
  status: 'ACTIVE' | 'UPDATING';
  /** Kubernetes minor version of the control plane, e.g. `1.33`. */
  version: string;
  platformVersion: string;
  createdAt: Date;
  vpcId: string;
  securityGroupId: string;
  subnets: Subnet[];
  tags: Record<string, string>;
  updates: Update[];
  insights: Insight[];
  certificateAuthorities: CertificateAuthority[];
  /** How many have been appended, for the chance of the next one. */
  authoritiesMade: number;
  autoMode: boolean;
  /** If set, updates of the control plane fail with it, and EKS takes them back. */
  failsUpdates?: UpdateError;
  /** The last one that was asked for. */
  insightsRefresh?: { status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'; startedAt: Date; endedAt?: Date };
  nodegroups: Map<string, Nodegroup>;
  addons: Map<string, Addon>;
}

export type NodegroupStatus = 'CREATING' | 'ACTIVE' | 'UPDATING' | 'DELETING' | 'CREATE_FAILED' | 'DELETE_FAILED' | 'DEGRADED';

export interface ScalingConfig {
  minSize: number;
  maxSize: number;
  desiredSize: number;
}

export interface UpdateConfig {
  maxUnavailable?: number | undefined;
  maxUnavailablePercentage?: number | undefined;
  updateStrategy?: 'DEFAULT' | 'MINIMAL' | undefined;
}

export interface Taint {
  key: string;
  value?: string | undefined;
  effect: 'NO_SCHEDULE' | 'NO_EXECUTE' | 'PREFER_NO_SCHEDULE';
}

/** An EC2 instance of a node group. */
export interface Instance {
  id: string;
  nodeName: string;
  zone: string;
  releaseVersion: string;
  /** Its Auto Scaling group is ending it. */
  ending?: boolean;
}

export interface Nodegroup {
  name: string;
  arn: string;
  autoScalingGroup: string;
  cluster: Cluster;
  status: NodegroupStatus;
  version: string;
  /** AMI release, e.g. `1.33.4-20260801`. */
  releaseVersion: string;
  createdAt: Date;
  modifiedAt: Date;
  capacityType: 'ON_DEMAND' | 'SPOT' | 'CAPACITY_BLOCK';
  scalingConfig: ScalingConfig;
  instanceTypes: string[];
  subnets: Subnet[];
  amiType: string;
  nodeRole: string;
  labels: Record<string, string>;
  taints: Taint[];
  diskSize: number;
  launchTemplate?: LaunchTemplateSeed;
  updateConfig: UpdateConfig;
  tags: Record<string, string>;
  /** The tags that it was made with. */
  firstTags: Record<string, string>;
  /** What EKS itself found wrong; injected issues come on top. */
  issues: NodegroupIssue[];
  updates: Update[];
  instances: Instance[];
  random: Random;
}
