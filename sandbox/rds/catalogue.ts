import type { XmlStructure } from '../xml.ts';
import { XmlList } from '../xml.ts';

const sizes = ['large', 'xlarge', '2xlarge', '4xlarge', '8xlarge', '12xlarge', '16xlarge'];
const zones = ['a', 'b', 'c'];

/** What RDS offers where: families in their sizes, the newest one not in every zone. */
const offers: readonly { instanceClass: string; zones: readonly string[] }[] = [
  { instanceClass: 'db.t4g.medium', zones },
  { instanceClass: 'db.t4g.large', zones },
  ...sizes.map((size) => ({ instanceClass: `db.r6g.${size}`, zones })),
  ...sizes.map((size) => ({ instanceClass: `db.r7g.${size}`, zones: zones.slice(0, 2) })),
  { instanceClass: 'db.serverless', zones },
];

/** Whether an instance of this class can be had in a zone such as `eu-central-1a`. */
export function isOffered(instanceClass: string, zone: string): boolean {
  return offers.some((offer) => offer.instanceClass === instanceClass && offer.zones.includes(zone.at(-1) ?? ''));
}

/** The rows of DescribeOrderableDBInstanceOptions; each class is there once for each kind of storage, as in RDS. */
export function orderableAnswers(region: string, asked: { engine: string; version: string; instanceClass?: string }): XmlStructure[] {
  const wanted = offers.filter(({ instanceClass }) => asked.instanceClass === undefined || instanceClass === asked.instanceClass);
  return wanted.flatMap((offer) =>
    ['aurora', 'aurora-iopt1'].map((StorageType) => ({
      Engine: asked.engine,
      EngineVersion: asked.version,
      DBInstanceClass: offer.instanceClass,
      AvailabilityZones: new XmlList(
        'AvailabilityZone',
        offer.zones.map((zone) => ({ Name: `${region}${zone}` })),
      ),
      StorageType,
      SupportsClusters: true,
      SupportedEngineModes: new XmlList('member', ['provisioned']),
    })),
  );
}

interface EngineVersion {
  engine: string;
  version: string;
  /** Where it can be upgraded to: minor versions, and major ones. */
  minor: readonly string[];
  major: readonly string[];
}

const engineVersions: readonly EngineVersion[] = [
  { engine: 'aurora-postgresql', version: '16.4', minor: ['16.6', '16.8'], major: ['17.4'] },
  { engine: 'aurora-postgresql', version: '16.6', minor: ['16.8'], major: ['17.4'] },
  { engine: 'aurora-postgresql', version: '16.8', minor: [], major: ['17.4'] },
  { engine: 'aurora-mysql', version: '8.0.mysql_aurora.3.08.0', minor: ['8.0.mysql_aurora.3.08.2'], major: [] },
  { engine: 'aurora-mysql', version: '8.0.mysql_aurora.3.08.2', minor: [], major: [] },
];

/** The targets of an upgrade without another major version. */
export function minorTargets(engine: string, version: string): readonly string[] {
  return engineVersions.find((one) => one.engine === engine && one.version === version)?.minor ?? [];
}

/** The targets of an upgrade, also those of another major version, which only a green cluster is brought to. */
export function upgradeTargets(engine: string, version: string): readonly string[] {
  const found = engineVersions.find((one) => one.engine === engine && one.version === version);
  return [...(found?.minor ?? []), ...(found?.major ?? [])];
}

/** The rows of DescribeDBEngineVersions. */
export function engineVersionAnswers(asked: { engine?: string; version?: string }): XmlStructure[] {
  const wanted = engineVersions.filter(({ engine, version }) => {
    return (asked.engine === undefined || engine === asked.engine) && (asked.version === undefined || version === asked.version);
  });
  return wanted.map(({ engine, version, minor, major }) => ({
    Engine: engine,
    EngineVersion: version,
    DBParameterGroupFamily: `${engine}${version.split('.')[0] ?? ''}`,
    ValidUpgradeTarget: new XmlList(
      'UpgradeTarget',
      [...minor, ...major].map((target) => ({
        Engine: engine,
        EngineVersion: target,
        AutoUpgrade: false,
        IsMajorVersionUpgrade: major.includes(target),
      })),
    ),
    SupportsCertificateRotationWithoutRestart: !restartsForCertificates.includes(version),
    Status: 'available',
  }));
}

/** Engine versions that take another certificate with a restart only. */
const restartsForCertificates = ['8.0.mysql_aurora.3.08.0'];

/** The authorities that certificates can be of; the first one is that of instances which are there when the world starts. */
export const certificateAuthorities = ['rds-ca-2019', 'rds-ca-rsa2048-g1', 'rds-ca-rsa4096-g1', 'rds-ca-ecc384-g1'];
