import type { DBCluster, DBInstance } from '@aws-sdk/client-rds';
import type { Database, DatabaseInstance } from '../../domain/database/database.ts';
import { readFailoverEvent, type FailoverEvent } from '../../domain/database/failover.ts';
import type { ReaderLag } from '../../domain/database/reader-fitness.ts';
import type { OfferedClass } from '../../domain/database/offered-class.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Target } from '../../domain/target.ts';
import type { Clients } from '../clients.ts';
import { listAllOf, pageSize } from '../aws-pages.ts';
import { awsError } from '../failure.ts';

/** RDS keeps events for 14 days. */
const eventsMinutes = 14 * 24 * 60;
/** CloudWatch has a value of each minute. */
const lagPeriodSeconds = 60;
const lagAgeMaxMs = 5 * 60_000;

/** The Aurora cluster of a target. Throws `database-unknown`, `aws-…` errors. */
export async function readDatabase(clients: Clients, target: Target): Promise<Database> {
  const cluster = await readCluster(clients, target);
  const { reads } = await clients.rds(target.region);
  const instances = await listAllOf('DescribeDBInstances', target, async (Marker) => {
    const Filters = [{ Name: 'db-cluster-id', Values: [target.name] }];
    const { DBInstances: items, Marker: nextToken } = await reads.describeDBInstances({ Filters, MaxRecords: pageSize, Marker });
    return { items, nextToken };
  });
  return databaseOf(cluster, instances);
}

/** A cluster as RDS shows it, with what a clone of it is to be like. Throws `database-unknown`, `aws-…` errors. */
export async function readCluster(clients: Clients, target: Target): Promise<DBCluster> {
  const { reads } = await clients.rds(target.region);
  const { DBClusters: clusters = [] } = await reads
    .describeDBClusters({ DBClusterIdentifier: target.name })
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeDBClusters', target)));
  const [cluster] = clusters;
  if (!cluster) throw new HoldpointError('database-unknown', { cluster: target.name, region: target.region });
  return cluster;
}

/** Another cluster of the same region, with its tags; undefined where there is none of the name. Throws `aws-…` errors. */
export async function readClone(
  clients: Clients,
  target: Target,
  name: string,
): Promise<(Database & { tags: Map<string, string>; isProtected: boolean }) | undefined> {
  const own = { ...target, name };
  try {
    const [database, cluster] = [await readDatabase(clients, own), await readCluster(clients, own)];
    const tags = new Map((cluster.TagList ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
    return { ...database, tags, isProtected: cluster.DeletionProtection === true };
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'database-unknown') return undefined;
    throw error;
  }
}

/** What RDS has told of failovers of the cluster in the last 14 days. Throws `aws-…` errors. */
export async function readFailoverEvents(clients: Clients, target: Target): Promise<FailoverEvent[]> {
  const { reads } = await clients.rds(target.region);
  const events = await listAllOf('DescribeEvents', target, async (Marker) => {
    const source = { SourceIdentifier: target.name, SourceType: 'db-cluster' as const };
    const wanted = { ...source, EventCategories: ['failover'], Duration: eventsMinutes, MaxRecords: pageSize, Marker };
    const { Events: items, Marker: nextToken } = await reads.describeEvents(wanted);
    return { items, nextToken };
  });
  return events.map(({ Message = '', Date: at }) => readFailoverEvent(Message, at?.toISOString() ?? ''));
}

/** What RDS has told of maintenance of the cluster itself since a moment, such as upgrades, in its words. Throws `aws-…` errors. */
export async function readMaintenanceEvents(clients: Clients, target: Target): Promise<{ message: string; at: string }[]> {
  const { reads } = await clients.rds(target.region);
  const events = await listAllOf('DescribeEvents', target, async (Marker) => {
    const source = { SourceIdentifier: target.name, SourceType: 'db-cluster' as const };
    const wanted = { ...source, EventCategories: ['maintenance'], Duration: eventsMinutes, MaxRecords: pageSize, Marker };
    const { Events: items, Marker: nextToken } = await reads.describeEvents(wanted);
    return { items, nextToken };
  });
  return events.map(({ Message: message = '', Date: at }) => ({ message, at: at?.toISOString() ?? '' }));
}

/** The versions that an engine version can be upgraded to. Throws `aws-…` errors. */
export async function readUpgradeTargets(
  clients: Clients,
  target: Target,
  { engine: Engine, engineVersion: EngineVersion }: { engine: string; engineVersion: string },
): Promise<{ version: string; isMajor: boolean }[]> {
  const { reads } = await clients.rds(target.region);
  const { DBEngineVersions: versions = [] } = await reads
    .describeDBEngineVersions({ Engine, EngineVersion, IncludeAll: true })
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeDBEngineVersions', target)));
  return versions.flatMap(({ ValidUpgradeTarget: targets = [] }) =>
    targets.map(({ EngineVersion: version = '', IsMajorVersionUpgrade }) => ({ version, isMajor: IsMajorVersionUpgrade === true })),
  );
}

/** Whether an engine version takes another certificate as it runs; where RDS does not say so it is taken for one that restarts. */
export async function rotatesWithoutRestart(
  clients: Clients,
  target: Target,
  { engine: Engine, engineVersion: EngineVersion }: { engine: string; engineVersion: string },
): Promise<boolean> {
  const { reads } = await clients.rds(target.region);
  const { DBEngineVersions: versions = [] } = await reads
    .describeDBEngineVersions({ Engine, EngineVersion, IncludeAll: true })
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeDBEngineVersions', target)));
  return versions[0]?.SupportsCertificateRotationWithoutRestart === true;
}

/** The authorities that certificates of instances can be of. Throws `aws-…` errors. */
export async function readCertificateAuthorities(clients: Clients, target: Target): Promise<{ name: string; validTill: string }[]> {
  const { reads } = await clients.rds(target.region);
  const certificates = await listAllOf('DescribeCertificates', target, async (Marker) => {
    const { Certificates: items, Marker: nextToken } = await reads.describeCertificates({ MaxRecords: pageSize, Marker });
    return { items, nextToken };
  });
  return certificates.map(({ CertificateIdentifier: name = '', ValidTill }) => ({ name, validTill: ValidTill?.toISOString() ?? '' }));
}

/** A snapshot of the cluster by name; undefined where there is none. Throws `aws-…` errors. */
export async function readSnapshot(
  clients: Clients,
  target: Target,
  name: string,
): Promise<{ status: string; percent: number; databaseResourceId: string; createdAt: string } | undefined> {
  const { reads } = await clients.rds(target.region);
  try {
    const { DBClusterSnapshots: snapshots = [] } = await reads.describeDBClusterSnapshots({ DBClusterSnapshotIdentifier: name });
    const [found] = snapshots;
    if (!found) return undefined;
    const { Status: status = 'unknown', PercentProgress: percent = 0, DbClusterResourceId, SnapshotCreateTime: at } = found;
    return { status, percent, databaseResourceId: DbClusterResourceId ?? '', createdAt: at?.toISOString() ?? '' };
  } catch (error) {
    if (error instanceof Error && error.name === 'DBClusterSnapshotNotFoundFault') return undefined;
    throw awsError(error, `DescribeDBClusterSnapshots of ${name}`, target);
  }
}

/** What AWS has fixed a time for, by the names of the cluster and of its instances. Throws `aws-…` errors. */
export async function readMaintenance(clients: Clients, target: Target, names: readonly string[]): Promise<Map<string, string[]>> {
  const { reads } = await clients.rds(target.region);
  const pending = await listAllOf('DescribePendingMaintenanceActions', target, async (Marker) => {
    const request = { MaxRecords: pageSize, Marker };
    const { PendingMaintenanceActions: items, Marker: nextToken } = await reads.describePendingMaintenanceActions(request);
    return { items, nextToken };
  });
  const found = new Map<string, string[]>();
  for (const { ResourceIdentifier: arn = '', PendingMaintenanceActionDetails: details = [] } of pending) {
    const [name = '', kind] = arn.split(':').reverse();
    const isOfCluster = kind === 'cluster' && name === target.name;
    const due = details
      .filter(({ CurrentApplyDate }) => CurrentApplyDate !== undefined)
      .map(({ Action = 'an action without a name' }) => Action);
    if (due.length > 0 && (isOfCluster || (kind === 'db' && names.includes(name)))) found.set(name, due);
  }
  return found;
}

/** How far a reader lags, as CloudWatch has measured it in the last minutes. Throws `aws-…` errors. */
export async function readLag(clients: Clients, target: Target, instance: string): Promise<ReaderLag> {
  const nowMs = Date.now();
  const cloudwatch = await clients.cloudwatch(target.region);
  const { Datapoints: points = [] } = await cloudwatch
    .getMetricStatistics({
      Namespace: 'AWS/RDS',
      MetricName: 'AuroraReplicaLag',
      Dimensions: [{ Name: 'DBInstanceIdentifier', Value: instance }],
      StartTime: new Date(nowMs - lagAgeMaxMs),
      EndTime: new Date(nowMs),
      Period: lagPeriodSeconds,
      Statistics: ['Maximum'],
    })
    .catch((error: unknown) => Promise.reject(awsError(error, `GetMetricStatistics of AuroraReplicaLag of ${instance}`, target)));
  const young = points.filter(({ Timestamp }) => (Timestamp?.getTime() ?? 0) >= nowMs - lagAgeMaxMs);
  const last = young.sort((one, other) => (other.Timestamp?.getTime() ?? 0) - (one.Timestamp?.getTime() ?? 0))[0];
  return last?.Maximum === undefined ? undefined : { lagMs: last.Maximum };
}

/**
 * The classes that RDS offers for an engine version, each with its zones; only the named class where one is named. Throws `aws-…` errors.
 */
export async function readOfferedClasses(
  clients: Clients,
  target: Target,
  wanted: { engine: string; engineVersion: string; instanceClass?: string },
): Promise<OfferedClass[]> {
  const { reads } = await clients.rds(target.region);
  const { engine: Engine, engineVersion: EngineVersion, instanceClass: DBInstanceClass } = wanted;
  const options = await listAllOf('DescribeOrderableDBInstanceOptions', target, async (Marker) => {
    const request = { Engine, EngineVersion, DBInstanceClass, MaxRecords: pageSize, Marker };
    const { OrderableDBInstanceOptions: items, Marker: nextToken } = await reads.describeOrderableDBInstanceOptions(request);
    return { items, nextToken };
  });
  return options.map((option) => ({
    instanceClass: option.DBInstanceClass ?? '',
    zones: (option.AvailabilityZones ?? []).flatMap(({ Name }) => Name ?? []),
  }));
}

function databaseOf(cluster: DBCluster, instances: readonly DBInstance[]): Database {
  const members = cluster.DBClusterMembers ?? [];
  return {
    name: cluster.DBClusterIdentifier ?? '',
    resourceId: cluster.DbClusterResourceId ?? '',
    status: cluster.Status ?? 'unknown',
    engine: cluster.Engine ?? '',
    engineVersion: cluster.EngineVersion ?? '',
    pendingChanges: namesIn(cluster.PendingModifiedValues),
    instances: members.map((member): DatabaseInstance => {
      const { DBInstanceIdentifier: name = '' } = member;
      const shown = instances.find(({ DBInstanceIdentifier }) => DBInstanceIdentifier === name);
      return {
        name,
        resourceId: shown?.DbiResourceId ?? '',
        isWriter: member.IsClusterWriter === true,
        status: shown?.DBInstanceStatus ?? 'unknown',
        instanceClass: shown?.DBInstanceClass ?? '',
        zone: shown?.AvailabilityZone ?? '',
        engineVersion: shown?.EngineVersion ?? '',
        promotionTier: member.PromotionTier ?? shown?.PromotionTier ?? 1,
        parameterGroupStatus: member.DBClusterParameterGroupStatus ?? 'unknown',
        certificateAuthority: shown?.CACertificateIdentifier ?? '',
        pendingChanges: namesIn(shown?.PendingModifiedValues),
      };
    }),
  };
}

function namesIn(values: object | undefined): string[] {
  return Object.entries(values ?? {}).flatMap(([setting, value]) => (value === undefined ? [] : [setting]));
}

/** When RDS told of something last; null where it has told of nothing. */
export function lastTimeOf(events: readonly { at: string }[]): string | null {
  const times = events.map(({ at }) => at).sort();
  return times.at(-1) ?? null;
}
