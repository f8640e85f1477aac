/** An instance of an Aurora cluster, as RDS shows it. What RDS calls a status is an open set: new ones come. */
export interface DatabaseInstance {
  name: string;
  /** RDS never gives it to another instance, whatever that is called. */
  resourceId: string;
  isWriter: boolean;
  status: string;
  /** e.g. `db.r6g.large`. */
  instanceClass: string;
  zone: string;
  engineVersion: string;
  promotionTier: number;
  /** Whether it runs with the parameters of its group: `in-sync`, `pending-reboot`. */
  parameterGroupStatus: string;
  /** The authority that its certificate is of, e.g. `rds-ca-rsa2048-g1`. */
  certificateAuthority: string;
  /** Names of the settings that wait for a maintenance window. */
  pendingChanges: string[];
}

/** An Aurora cluster, as RDS shows it. */
export interface Database {
  name: string;
  resourceId: string;
  status: string;
  engine: string;
  engineVersion: string;
  /** Names of the settings of the cluster itself that wait for a maintenance window. */
  pendingChanges: string[];
  instances: DatabaseInstance[];
}

/** The instance that takes the writes; undefined where RDS names none, or more than one. */
export function writerOf({ instances }: Database): DatabaseInstance | undefined {
  const writers = instances.filter(({ isWriter }) => isWriter);
  return writers.length === 1 ? writers[0] : undefined;
}

/** What to do where somebody else has put another cluster or instance in the place of the planned one. */
export const planAgain = 'Find out who did that; abort the run and plan again.';

/** Why a plan for a cluster is void, where another one has its name by now; undefined where it is the same. */
export function replacement({ name, resourceId }: Database, planned: string): { reason: string; remedy: string } | undefined {
  if (resourceId === planned) return undefined;
  return { reason: `Cluster ${name} has been replaced by another one of its name.`, remedy: planAgain };
}

/** The instance of a name; undefined where the cluster has none. */
export function instanceOf({ instances }: Database, name: string): DatabaseInstance | undefined {
  return instances.find((instance) => instance.name === name);
}

/** An instance in the words of a plan: its name, class and zone. */
export function describeInstance({ name, instanceClass, zone }: DatabaseInstance): string {
  return `${name} (${instanceClass}, ${zone})`;
}

const largeUnits = 2;
const namedSizes: Readonly<Record<string, number>> = { micro: 0.25, small: 0.5, medium: 1, large: largeUnits, xlarge: 2 * largeUnits };

/**
 * How large an instance class is, in the units in which AWS counts sizes of a family (large is 2, xlarge 4, 2xlarge 8); undefined
 * where the name does not say it, as with `db.serverless`. RDS user guide, "DB instance classes".
 */
export function sizeOf(instanceClass: string): number | undefined {
  const size = instanceClass.split('.').at(-1) ?? '';
  const [, times] = /^(\d+)xlarge$/.exec(size) ?? [];
  if (times !== undefined) return Number(times) * 2 * largeUnits;
  return Object.hasOwn(namedSizes, size) ? namedSizes[size] : undefined;
}
