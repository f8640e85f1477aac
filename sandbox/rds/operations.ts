import { clusterAnswer, deploymentAnswer, eventAnswer, instanceAnswer, maintenanceAnswer, snapshotAnswer } from './answers.ts';
import { certificateAuthorities, engineVersionAnswers, orderableAnswers } from './catalogue.ts';
import type { BlueGreenDeployment } from './blue-green.ts';
import type { DatabaseCluster } from './cluster.ts';
import { DatabaseFault, type DatabaseEvent } from './model.ts';
import { XmlList, type XmlStructure } from '../xml.ts';

type Operation = (form: URLSearchParams, clusters: readonly DatabaseCluster[], region: string) => XmlStructure;

const pageSize = { least: 20, most: 100 };
/** RDS API, SwitchoverBlueGreenDeployment. */
const switchoverSeconds = { least: 30, most: 3_600 };
const minuteMs = 60_000;
const durationDefault = 60;
/** RDS keeps events for 14 days. */
const durationMax = 14 * 24 * 60;
const instanceClass = /^db\.[a-z0-9]+(\.[a-z0-9]+)+$|^db\.serverless$/;
const promotionTierMax = 15;
/** RDS API, CreateDBClusterSnapshot. */
const snapshotName = /^[a-z](?:-?[a-z0-9])*$/;
const snapshotNameMax = 63;

/** What the sandbox serves of RDS, by the names of the API. */
export const operations: Readonly<Record<string, Operation>> = {
  DescribeDBClusters: (form, clusters) => {
    const name = form.get('DBClusterIdentifier');
    const found = name === null ? clusters : [clusterOf(clusters, name)];
    return pageOf(form, 'DBClusters', 'DBCluster', found.map(clusterAnswer));
  },

  DescribeDBInstances: (form, clusters) => {
    const wanted = filter(form, 'db-cluster-id');
    const name = form.get('DBInstanceIdentifier')?.toLowerCase();
    const all = clusters.flatMap((cluster) => cluster.instances.map((instance) => ({ cluster, instance })));
    const found = all.filter(({ cluster, instance }) => {
      return (wanted === undefined || wanted.includes(cluster.name)) && (name === undefined || instance.name === name);
    });
    if (name !== undefined && found.length === 0) throw new DatabaseFault('DBInstanceNotFound', `DBInstance ${name} not found.`, 404);
    const rows = found.map(({ cluster, instance }) => instanceAnswer(cluster, instance));
    return pageOf(form, 'DBInstances', 'DBInstance', rows);
  },

  FailoverDBCluster: (form, clusters) => {
    const cluster = clusterOf(clusters, required(form, 'DBClusterIdentifier'));
    cluster.failOver(form.get('TargetDBInstanceIdentifier')?.toLowerCase());
    return { DBCluster: clusterAnswer(cluster) };
  },

  ModifyDBInstance: (form, clusters) => {
    const name = required(form, 'DBInstanceIdentifier').toLowerCase();
    const cluster = clusters.find((one) => one.instance(name));
    if (!cluster) throw new DatabaseFault('DBInstanceNotFound', `DBInstance ${name} not found.`, 404);
    const wanted = form.get('DBInstanceClass') ?? undefined;
    if (wanted !== undefined && !instanceClass.test(wanted)) invalid(`Invalid DB Instance class: ${wanted}`);
    const promotionTier = form.has('PromotionTier') ? wholeNumber(form, 'PromotionTier', 0, promotionTierMax) : undefined;
    const certificateAuthority = form.get('CACertificateIdentifier') ?? undefined;
    if (certificateAuthority !== undefined && !certificateAuthorities.includes(certificateAuthority)) {
      throw new DatabaseFault('CertificateNotFound', `Certificate ${certificateAuthority} not found.`, 404);
    }
    const applyImmediately = form.get('ApplyImmediately') === 'true';
    const change = { instanceClass: wanted, promotionTier, certificateAuthority, applyImmediately };
    return { DBInstance: instanceAnswer(cluster, cluster.modifyInstance(name, change)) };
  },

  ModifyDBCluster: (form, clusters) => {
    const cluster = clusterOf(clusters, required(form, 'DBClusterIdentifier'));
    const version = form.get('EngineVersion');
    if (version !== null) cluster.upgrade(version, form.get('ApplyImmediately') === 'true');
    return { DBCluster: clusterAnswer(cluster) };
  },

  RestoreDBClusterToPointInTime: (form, clusters) => {
    const source = clusterOf(clusters, required(form, 'SourceDBClusterIdentifier'));
    const name = required(form, 'DBClusterIdentifier').toLowerCase();
    if (!snapshotName.test(name) || name.length > snapshotNameMax) invalid(`The parameter DBClusterIdentifier is not valid: ${name}`);
    if (form.get('RestoreType') !== 'copy-on-write' || form.get('UseLatestRestorableTime') !== 'true') {
      invalid('The sandbox makes clones of this moment only.');
    }
    if (clusters.some((one) => one.name === name))
      throw new DatabaseFault('DBClusterAlreadyExistsFault', `DB Cluster already exists: ${name}`);
    return { DBCluster: clusterAnswer(source.clone(name, tagsIn(form))) };
  },

  CreateDBInstance: (form, clusters) => {
    const cluster = clusterOf(clusters, required(form, 'DBClusterIdentifier'));
    const [name, instanceClass] = [required(form, 'DBInstanceIdentifier').toLowerCase(), required(form, 'DBInstanceClass')];
    required(form, 'Engine');
    if (clusters.some((one) => one.instance(name)))
      throw new DatabaseFault('DBInstanceAlreadyExists', `DB Instance already exists: ${name}`);
    return { DBInstance: instanceAnswer(cluster, cluster.addInstance(name, instanceClass)) };
  },

  DeleteDBInstance: (form, clusters) => {
    const name = required(form, 'DBInstanceIdentifier').toLowerCase();
    const cluster = clusters.find((one) => one.instance(name));
    const instance = cluster?.instance(name);
    if (!cluster || !instance) throw new DatabaseFault('DBInstanceNotFound', `DBInstance ${name} not found.`, 404);
    cluster.deleteInstance(instance);
    return { DBInstance: instanceAnswer(cluster, instance) };
  },

  DeleteDBCluster: (form, clusters) => {
    const cluster = clusterOf(clusters, required(form, 'DBClusterIdentifier'));
    const finalSnapshot = form.get('FinalDBSnapshotIdentifier')?.toLowerCase();
    if ((form.get('SkipFinalSnapshot') === 'true') === (finalSnapshot !== undefined)) {
      const told = 'FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified, and must not be given then.';
      throw new DatabaseFault('InvalidParameterCombination', told);
    }
    cluster.delete(finalSnapshot);
    return { DBCluster: clusterAnswer(cluster) };
  },

  CreateBlueGreenDeployment: (form, clusters) => {
    const [name, source] = [required(form, 'BlueGreenDeploymentName'), required(form, 'Source')];
    if (deploymentsOf(clusters).some((one) => one.name === name)) {
      throw new DatabaseFault('BlueGreenDeploymentAlreadyExistsFault', `A blue/green deployment ${name} already exists.`);
    }
    const cluster = clusterOf(clusters, nameInArn(source));
    const version = form.get('TargetEngineVersion') ?? cluster.engineVersion;
    return { BlueGreenDeployment: deploymentAnswer(cluster.deploy(name, version, tagsIn(form))) };
  },

  DescribeBlueGreenDeployments: (form, clusters) => {
    const id = form.get('BlueGreenDeploymentIdentifier');
    const names = filter(form, 'blue-green-deployment-name');
    const all = id === null ? deploymentsOf(clusters) : [deploymentOf(clusters, id)];
    const found = all.filter(({ name }) => names === undefined || names.includes(name));
    return pageOf(form, 'BlueGreenDeployments', 'member', found.map(deploymentAnswer));
  },

  SwitchoverBlueGreenDeployment: (form, clusters) => {
    const deployment = deploymentOf(clusters, required(form, 'BlueGreenDeploymentIdentifier'));
    if (form.has('SwitchoverTimeout')) wholeNumber(form, 'SwitchoverTimeout', switchoverSeconds.least, switchoverSeconds.most);
    deployment.switchOver();
    return { BlueGreenDeployment: deploymentAnswer(deployment) };
  },

  DeleteBlueGreenDeployment: (form, clusters) => {
    const deployment = deploymentOf(clusters, required(form, 'BlueGreenDeploymentIdentifier'));
    deployment.delete(form.get('DeleteTarget') === 'true');
    return { BlueGreenDeployment: deploymentAnswer(deployment) };
  },

  DescribeCertificates: (form) => {
    const rows = certificateAuthorities.map((name) => ({
      CertificateIdentifier: name,
      CertificateType: 'CA',
      ValidTill: new Date(name === 'rds-ca-2019' ? '2024-08-22T17:08:50Z' : '2061-05-20T00:00:00Z'),
    }));
    return pageOf(form, 'Certificates', 'Certificate', rows);
  },

  DescribeDBEngineVersions: (form) => {
    const rows = engineVersionAnswers({ engine: form.get('Engine') ?? undefined, version: form.get('EngineVersion') ?? undefined });
    return pageOf(form, 'DBEngineVersions', 'DBEngineVersion', rows);
  },

  CreateDBClusterSnapshot: (form, clusters) => {
    const cluster = clusterOf(clusters, required(form, 'DBClusterIdentifier'));
    const name = required(form, 'DBClusterSnapshotIdentifier').toLowerCase();
    const isName = snapshotName.test(name) && name.length <= snapshotNameMax;
    if (!isName) invalid(`The parameter DBClusterSnapshotIdentifier is not valid: ${name}`);
    if (clusters.some(({ snapshots }) => snapshots.some((one) => one.name === name))) {
      throw new DatabaseFault('DBClusterSnapshotAlreadyExistsFault', `DB cluster snapshot already exists: ${name}`);
    }
    return { DBClusterSnapshot: snapshotAnswer(cluster, cluster.takeSnapshot(name, tagsIn(form))) };
  },

  DescribeDBClusterSnapshots: (form, clusters) => {
    const [cluster, name] = [form.get('DBClusterIdentifier'), form.get('DBClusterSnapshotIdentifier')?.toLowerCase()];
    const all = clusters.flatMap((one) => one.snapshots.map((snapshot) => ({ cluster: one, snapshot })));
    const found = all.filter((one) => {
      return (cluster === null || one.cluster.name === cluster.toLowerCase()) && (name === undefined || one.snapshot.name === name);
    });
    if (name !== undefined && found.length === 0) {
      throw new DatabaseFault('DBClusterSnapshotNotFoundFault', `DBClusterSnapshot not found: ${name}`, 404);
    }
    const rows = found.map(({ cluster: owner, snapshot }) => snapshotAnswer(owner, snapshot));
    return pageOf(form, 'DBClusterSnapshots', 'DBClusterSnapshot', rows);
  },

  DescribeOrderableDBInstanceOptions: (form, _clusters, region) => {
    const asked = {
      engine: required(form, 'Engine'),
      version: form.get('EngineVersion') ?? '',
      instanceClass: form.get('DBInstanceClass') ?? undefined,
    };
    return pageOf(form, 'OrderableDBInstanceOptions', 'OrderableDBInstanceOption', orderableAnswers(region, asked));
  },

  DescribeEvents: (form, clusters) => {
    const [source, type] = [form.get('SourceIdentifier'), form.get('SourceType')];
    if (source !== null && type === null) {
      throw new DatabaseFault('InvalidParameterCombination', 'If SourceIdentifier is specified, SourceType must also be specified.');
    }
    const minutes = form.has('Duration') ? wholeNumber(form, 'Duration', 1, durationMax) : durationDefault;
    const categories = listed(form, /^EventCategories\.EventCategory\.\d+$/);
    const all = clusters.flatMap(({ events }) => events);
    // Durations end when the youngest event does: the time of each world runs by itself.
    const nowMs = Math.max(0, ...all.map(({ at }) => at.getTime()));
    const isWanted = (event: DatabaseEvent): boolean =>
      (source === null || event.source === source.toLowerCase()) &&
      (type === null || event.sourceType === type) &&
      (categories.length === 0 || event.categories.some((category) => categories.includes(category))) &&
      event.at.getTime() >= nowMs - minutes * minuteMs;
    return pageOf(form, 'Events', 'Event', all.filter(isWanted).map(eventAnswer));
  },

  DescribePendingMaintenanceActions: (form, clusters) => {
    const wanted = [filter(form, 'db-cluster-id'), filter(form, 'db-instance-id')].flatMap((ids) => ids ?? []).map(nameInArn);
    const rows = clusters.flatMap((cluster) => {
      const resources = [...new Set(cluster.pendingMaintenance.map(({ resource }) => resource))];
      const shown = resources.filter((resource) => wanted.length === 0 || wanted.includes(resource));
      return shown.map((resource) => {
        const actions = cluster.pendingMaintenance.filter((one) => one.resource === resource);
        return maintenanceAnswer(cluster, resource, actions);
      });
    });
    return pageOf(form, 'PendingMaintenanceActions', 'ResourcePendingMaintenanceActions', rows);
  },
};

function clusterOf(clusters: readonly DatabaseCluster[], name: string): DatabaseCluster {
  const found = clusters.find((cluster) => cluster.name === name.toLowerCase());
  if (!found) throw new DatabaseFault('DBClusterNotFoundFault', `DBCluster ${name} not found.`, 404);
  return found;
}

function deploymentsOf(clusters: readonly DatabaseCluster[]): BlueGreenDeployment[] {
  return clusters.flatMap(({ deployments }) => deployments);
}

function deploymentOf(clusters: readonly DatabaseCluster[], id: string): BlueGreenDeployment {
  const found = deploymentsOf(clusters).find((one) => one.id === id.toLowerCase());
  if (!found) throw new DatabaseFault('BlueGreenDeploymentNotFoundFault', `BlueGreenDeployment ${id} not found.`, 404);
  return found;
}

function pageOf(form: URLSearchParams, list: string, member: string, rows: readonly XmlStructure[]): XmlStructure {
  const size = form.has('MaxRecords') ? wholeNumber(form, 'MaxRecords', pageSize.least, pageSize.most) : pageSize.most;
  const first = form.has('Marker') ? wholeNumber(form, 'Marker', 0, rows.length) : 0;
  const page = rows.slice(first, first + size);
  const next = first + page.length;
  return { [list]: new XmlList(member, page), Marker: next < rows.length ? String(next) : undefined };
}

/** The values of one filter; undefined where it is not given. */
function filter(form: URLSearchParams, name: string): string[] | undefined {
  const key = [...form].find(([field, value]) => /^Filters\.Filter\.\d+\.Name$/.test(field) && value === name)?.[0];
  const number = key?.split('.')[2];
  return number === undefined ? undefined : listed(form, new RegExp(`^Filters\\.Filter\\.${number}\\.Values\\.Value\\.\\d+$`));
}

function listed(form: URLSearchParams, field: RegExp): string[] {
  return [...form].filter(([name]) => field.test(name)).map(([, value]) => value);
}

function tagsIn(form: URLSearchParams): Record<string, string> {
  const keys = [...form].filter(([name]) => /^Tags\.Tag\.\d+\.Key$/.test(name));
  return Object.fromEntries(keys.map(([name, key]) => [key, form.get(name.replace(/Key$/, 'Value')) ?? '']));
}

function nameInArn(text: string): string {
  return text.split(':').at(-1) ?? text;
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name) ?? '';
  if (value === '') throw new DatabaseFault('MissingParameter', `The request must contain the parameter ${name}.`);
  return value;
}

function wholeNumber(form: URLSearchParams, name: string, least: number, most: number): number {
  const value = Number(form.get(name));
  if (!Number.isInteger(value) || value < least || value > most) invalid(`${name} must be between ${least} and ${most}.`);
  return value;
}

function invalid(message: string): never {
  throw new DatabaseFault('InvalidParameterValue', message);
}
