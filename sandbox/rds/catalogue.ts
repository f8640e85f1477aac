import type { XmlStructure } from './xml.ts';
import { XmlList } from './xml.ts';

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
