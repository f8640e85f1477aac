import type { AutoScaling, AutoScalingClientConfig } from '@aws-sdk/client-auto-scaling';
import type { CloudWatch } from '@aws-sdk/client-cloudwatch';
import type { EC2 } from '@aws-sdk/client-ec2';
import { EKSClient } from '@aws-sdk/client-eks';
import type { RDS, RDSClientConfig } from '@aws-sdk/client-rds';
import type { SSM } from '@aws-sdk/client-ssm';
import { HoldpointError } from '../domain/errors.ts';
import { ownValue } from '../domain/map.ts';
import type { ConfiguredWaiver } from '../domain/preflight/waiver.ts';
import { formatTarget, type Target } from '../domain/target.ts';
import type { ClusterAccess } from '../runbooks/configuration/configuration.ts';
import type { BackupPlace } from '../runbooks/configuration/backups.ts';
import type { EtcdAccess } from '../runbooks/configuration/etcd.ts';
import type { ProbeAccess } from '../runbooks/configuration/probes.ts';
import { connectToEks } from './eks/cluster-access.ts';
import type { ReadEndpoints } from './gate/endpoint.ts';
import type { KubernetesApis } from './kubernetes/client/connect.ts';
import { connectToCluster } from './kubernetes/client/kubeconfig.ts';
import { rememberingCredentials } from './secrets.ts';

const requestTimeoutMs = 10_000;
const connectionTimeoutMs = 5_000;
const attemptsMax = 3;
/** After the request was signed. */
const lastStep = { step: 'deserialize', priority: 'low' } as const;
/** A connection is made anew after this time, so that an endpoint, an authority or a kubeconfig that has changed is noticed. */
const connectionAgeMaxMs = 10 * 60_000;

/** The clients through which actions reach the world, one per region or cluster. */
export interface Clients {
  eks(region: string): EKSClient;
  ec2(region: string): Promise<EC2>;
  autoScaling(region: string): Promise<AutoScalingClients>;
  cloudwatch(region: string): Promise<CloudWatch>;
  ssm(region: string): Promise<SSM>;
  rds(region: string): Promise<DatabaseClients>;
  /** What gates may ask over HTTP. */
  endpoints: ReadEndpoints;
  /** How the outage of a database is measured; undefined where the configuration says nothing of it. */
  probe(target: Target): Promise<ProbeAccess | undefined>;
  /** Findings of checks that holdpoint.yaml lets people go past. */
  waivers: Required<ConfigurationReaders>['waivers'];
  /** The part of a target on whose machine this worker is, such as `etcd/prod/m1`; undefined where it is on no such machine. */
  place?: string;
  /** How a cluster of etcd is reached. Throws `target-not-configured`. */
  etcd(target: Target): Promise<EtcdAccess>;
  /** Where the objects of a cluster are backed up to. Throws `backup-place-unusable` where holdpoint.yaml does not say it. */
  backups(target: Target): Promise<BackupPlace>;
  /** Throws `cluster-unknown`, `target-not-configured`, `kubeconfig-invalid`, `aws-…` errors. */
  kubernetes(target: Target): Promise<KubernetesApis>;
}

/** RDS knows no request tokens, so what changes something is sent once, and a lost answer is followed by a look. */
export interface DatabaseClients {
  reads: RDS;
  changes: RDS;
}

/** Auto Scaling knows no request tokens either: an instance whose end is asked for twice may make its group smaller twice. */
export interface AutoScalingClients {
  reads: AutoScaling;
  changes: AutoScaling;
}

/**
 * What clients need of holdpoint.yaml: each reads its part as it is now, with absolute paths. Where a reader is left out, there is nothing.
 */
export interface ConfigurationReaders {
  /** The part of a target on whose machine this worker is. */
  place?: string;
  /** How clusters of Kubernetes are reached, by name. */
  clusters?: () => Promise<Readonly<Record<string, ClusterAccess>>>;
  /** What gates ask. */
  endpoints?: ReadEndpoints;
  waivers?: () => Promise<readonly ConfiguredWaiver[]>;
  /** How clusters of etcd are reached, by name. */
  etcd?: () => Promise<Readonly<Record<string, EtcdAccess>>>;
  /** Where the objects of clusters are backed up to, by their targets. */
  backups?: () => Promise<Readonly<Record<string, BackupPlace>>>;
  /** How outages of databases are measured, by their targets. */
  probes?: () => Promise<Readonly<Record<string, ProbeAccess>>>;
}

const nothing = async (): Promise<Record<string, never>> => ({});

/** Makes the clients. For AWS, endpoint and credentials come from where the AWS SDK looks for them. */
export function createClients({
  clusters = nothing,
  endpoints = nothing,
  waivers = async () => [],
  etcd: etcdClusters = nothing,
  backups: backupPlaces = nothing,
  probes = nothing,
  place,
}: ConfigurationReaders = {}): Clients {
  // Without the flag the SDK only warns of a request that nobody answers, and waits for ever.
  const requestHandler = { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true, connectionTimeout: connectionTimeoutMs };
  const settings = { maxAttempts: attemptsMax, requestHandler };
  const eks = onePerRegion((region) => {
    const client = new EKSClient({ region, ...settings });
    client.middlewareStack.add(rememberingCredentials, lastStep);
    return client;
  });
  const ec2 = onePerRegion(async (region) => {
    // Two megabytes, which most runs have no use for.
    const { EC2 } = await import('@aws-sdk/client-ec2');
    const client = new EC2({ region, ...settings });
    client.middlewareStack.add(rememberingCredentials, lastStep);
    return client;
  });
  const autoScaling = autoScalingPerRegion(settings);
  const cloudwatch = onePerRegion(async (region) => {
    const { CloudWatch } = await import('@aws-sdk/client-cloudwatch');
    return new CloudWatch({ region, ...settings });
  });
  const ssm = onePerRegion(async (region) => {
    const { SSM } = await import('@aws-sdk/client-ssm');
    return new SSM({ region, ...settings });
  });
  const rds = databasesPerRegion(settings);
  const connections = new Map<string, { apis: Promise<KubernetesApis>; madeAtMs: number; access: object }>();
  const kubernetes = async (target: Target): Promise<KubernetesApis> => {
    const access = target.kind === 'eks' ? 'eks' : await accessOf(target, clusters);
    const key = JSON.stringify([target, access]);
    const known = connections.get(key);
    if (known && Date.now() - known.madeAtMs < connectionAgeMaxMs) return known.apis;
    const made = access === 'eks' ? connectToEks(eks(target.region), target) : connectToCluster(access, process.env);
    const same = known?.access ?? {};
    const apis = made.then((own) => ({ ...own, access: same }));
    connections.set(key, { apis, madeAtMs: Date.now(), access: same });
    apis.catch(() => connections.delete(key));
    return apis;
  };
  const etcd = (target: Target): Promise<EtcdAccess> => etcdAccessOf(target, etcdClusters);
  const backups = (target: Target): Promise<BackupPlace> => backupPlaceOf(target, backupPlaces);
  const probe = async (target: Target): Promise<ProbeAccess | undefined> => ownValue(await probes(), formatTarget(target));
  return {
    eks,
    ec2,
    autoScaling,
    cloudwatch,
    ssm,
    rds,
    endpoints,
    waivers,
    kubernetes,
    etcd,
    backups,
    probe,
    ...(place !== undefined && { place }),
  };
}

/** What changes something is sent once. */
function databasesPerRegion(settings: RDSClientConfig): Clients['rds'] {
  return onePerRegion(async (region) => {
    const { RDS } = await import('@aws-sdk/client-rds');
    const clientOf = (maxAttempts: number): RDS => {
      const client = new RDS({ region, ...settings, maxAttempts });
      client.middlewareStack.add(rememberingCredentials, lastStep);
      return client;
    };
    return { reads: clientOf(attemptsMax), changes: clientOf(1) };
  });
}

/** The same. */
function autoScalingPerRegion(settings: AutoScalingClientConfig): Clients['autoScaling'] {
  return onePerRegion(async (region) => {
    const { AutoScaling } = await import('@aws-sdk/client-auto-scaling');
    const clientOf = (maxAttempts: number): AutoScaling => {
      const client = new AutoScaling({ region, ...settings, maxAttempts });
      client.middlewareStack.add(rememberingCredentials, lastStep);
      return client;
    };
    return { reads: clientOf(attemptsMax), changes: clientOf(1) };
  });
}

async function accessOf(target: Target, clusters: Required<ConfigurationReaders>['clusters']): Promise<ClusterAccess> {
  const access = ownValue(await clusters(), target.name);
  if (target.kind === 'kubernetes' && access) return access;
  const cause = `There is no Kubernetes cluster "${target.name}" in \`clusters\` of the configuration.`;
  throw new HoldpointError('target-not-configured', { target: formatTarget(target), cause });
}

async function etcdAccessOf(target: Target, clusters: Required<ConfigurationReaders>['etcd']): Promise<EtcdAccess> {
  const access = ownValue(await clusters(), target.name);
  if (target.kind === 'etcd' && access) return access;
  const cause = `There is no cluster "${target.name}" in \`etcd\` of the configuration.`;
  throw new HoldpointError('target-not-configured', { target: formatTarget(target), cause });
}

async function backupPlaceOf(target: Target, places: Required<ConfigurationReaders>['backups']): Promise<BackupPlace> {
  const place = ownValue(await places(), formatTarget(target));
  if (place) return place;
  const cause = '`backups` of holdpoint.yaml does not name it';
  throw new HoldpointError('backup-place-unusable', { place: `of ${formatTarget(target)}`, cause });
}

function onePerRegion<Client>(create: (region: string) => Client): (region: string) => Client {
  const clients = new Map<string, Client>();
  return (region) => {
    const client = clients.get(region) ?? create(region);
    clients.set(region, client);
    return client;
  };
}
