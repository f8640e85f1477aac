import type { BlueGreenDeployment } from './blue-green.ts';
import type { DatabaseCluster } from './cluster.ts';
import type { DatabaseEvent, DatabaseInstance, DatabaseSnapshot, PendingMaintenance } from './model.ts';
import { XmlList, type XmlStructure } from '../xml.ts';

const account = '111122223333';

/** What testers are told of a cluster: its writer, and every failover that was accepted. */
export function databaseSummary({ name, writer, failovers, serverTrouble }: DatabaseCluster): object {
  const trouble = serverTrouble instanceof Error ? serverTrouble.message : undefined;
  return { name, writer, failovers: failovers.map(({ from, to }) => ({ from, to })), trouble };
}

/** A cluster as DescribeDBClusters shows it. */
export function clusterAnswer(cluster: DatabaseCluster): XmlStructure {
  const { name, region, engine, engineVersion, status, resourceId, createdAt, writer } = cluster;
  const members = cluster.instances.map((instance) => ({
    DBInstanceIdentifier: instance.name,
    IsClusterWriter: instance.name === writer,
    DBClusterParameterGroupStatus: instance.parameterGroupStatus,
    PromotionTier: instance.promotionTier,
  }));
  return {
    DBClusterIdentifier: name,
    DbClusterResourceId: resourceId,
    DBClusterArn: arnOfCluster(cluster),
    Status: status,
    Engine: engine,
    EngineVersion: engineVersion,
    EngineMode: 'provisioned',
    MultiAZ: cluster.instances.length > 1,
    ClusterCreateTime: createdAt,
    Endpoint: `${name}.cluster-sandbox.${region}.rds.amazonaws.com`,
    ReaderEndpoint: `${name}.cluster-ro-sandbox.${region}.rds.amazonaws.com`,
    Port: engine === 'aurora-postgresql' ? 5432 : 3306,
    DeletionProtection: cluster.isProtected,
    DBSubnetGroup: 'sandbox',
    DBClusterParameterGroup: `default.${engine}16`,
    VpcSecurityGroups: new XmlList('VpcSecurityGroupMembership', [{ VpcSecurityGroupId: 'sg-0123456789abcdef0', Status: 'active' }]),
    TagList: new XmlList('Tag', tagsOf(cluster.tags)),
    PendingModifiedValues: cluster.pendingModifiedValues,
    DBClusterMembers: new XmlList('DBClusterMember', members),
  };
}

/** An instance as DescribeDBInstances shows it. */
export function instanceAnswer({ name: cluster, region, engine }: DatabaseCluster, instance: DatabaseInstance): XmlStructure {
  return {
    DBInstanceIdentifier: instance.name,
    DbiResourceId: instance.resourceId,
    DBInstanceArn: arnOfInstance(region, instance.name),
    DBClusterIdentifier: cluster,
    DBInstanceClass: instance.instanceClass,
    DBInstanceStatus: instance.status,
    Engine: engine,
    EngineVersion: instance.engineVersion,
    AvailabilityZone: instance.zone,
    PromotionTier: instance.promotionTier,
    CACertificateIdentifier: instance.certificateAuthority,
    PendingModifiedValues: instance.pendingModifiedValues,
  };
}

/** A snapshot of a cluster as DescribeDBClusterSnapshots shows it. */
export function snapshotAnswer(cluster: DatabaseCluster, snapshot: DatabaseSnapshot): XmlStructure {
  return {
    DBClusterSnapshotIdentifier: snapshot.name,
    DBClusterSnapshotArn: `arn:aws:rds:${cluster.region}:${account}:cluster-snapshot:${snapshot.name}`,
    DBClusterIdentifier: cluster.name,
    DbClusterResourceId: snapshot.resourceId ?? cluster.resourceId,
    SnapshotCreateTime: snapshot.createdAt,
    Engine: cluster.engine,
    EngineVersion: snapshot.engineVersion,
    Status: snapshot.status,
    PercentProgress: snapshot.percent,
    SnapshotType: 'manual',
    TagList: new XmlList('Tag', tagsOf(snapshot.tags)),
  };
}

/** A blue/green deployment as DescribeBlueGreenDeployments shows it. */
export function deploymentAnswer(deployment: BlueGreenDeployment): XmlStructure {
  const { id, name, blue, green, status, statusDetails, createdAt, tasks, tags } = deployment;
  // Each status is of the pair as a whole here.
  const state = status === 'DELETING' ? 'AVAILABLE' : status;
  const instances = blue.instances.map(({ name: own }, index) => {
    return [arnOfInstance(blue.region, own), arnOfInstance(green.region, green.instances[index]?.name ?? '')];
  });
  const members = [[arnOfCluster(blue), arnOfCluster(green)], ...instances];
  return {
    BlueGreenDeploymentIdentifier: id,
    BlueGreenDeploymentName: name,
    Source: arnOfCluster(blue),
    Target: arnOfCluster(green),
    SwitchoverDetails: new XmlList(
      'member',
      members.map(([SourceMember, TargetMember]) => ({ SourceMember, TargetMember, Status: state })),
    ),
    Tasks: new XmlList(
      'member',
      tasks.map((task) => ({ Name: task.name, Status: task.status })),
    ),
    Status: status,
    StatusDetails: statusDetails,
    CreateTime: createdAt,
    TagList: new XmlList('Tag', tagsOf(tags)),
  };
}

/** An event as DescribeEvents shows it. */
export function eventAnswer({ source, sourceType, message, categories, at }: DatabaseEvent): XmlStructure {
  return {
    SourceIdentifier: source,
    SourceType: sourceType,
    Message: message,
    EventCategories: new XmlList('EventCategory', categories),
    Date: at,
  };
}

/** What waits for a cluster and its instances, as DescribePendingMaintenanceActions shows it. */
export function maintenanceAnswer(cluster: DatabaseCluster, resource: string, actions: readonly PendingMaintenance[]): XmlStructure {
  const details = actions.map(({ action, description, currentApplyDate }) => {
    return { Action: action, Description: description, CurrentApplyDate: currentApplyDate };
  });
  return {
    ResourceIdentifier: resource === cluster.name ? arnOfCluster(cluster) : arnOfInstance(cluster.region, resource),
    PendingMaintenanceActionDetails: new XmlList('PendingMaintenanceAction', details),
  };
}

function tagsOf(tags: Record<string, string>): XmlStructure[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

function arnOfCluster({ region, name }: DatabaseCluster): string {
  return `arn:aws:rds:${region}:${account}:cluster:${name}`;
}

function arnOfInstance(region: string, name: string): string {
  return `arn:aws:rds:${region}:${account}:db:${name}`;
}
