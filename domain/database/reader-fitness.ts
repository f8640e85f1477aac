import { describeInstance, sizeOf, writerOf, type Database, type DatabaseInstance } from './database.ts';

/** The lag of a reader, as CloudWatch has measured it last; undefined where it has no value that is young enough. */
export type ReaderLag = { lagMs: number } | undefined;

/** What is known of a reader besides what RDS shows with its cluster. */
export interface ReaderFacts {
  lag: ReaderLag;
  /** Maintenance that has its time already, such as `system-update`: of the reader or of its cluster. */
  maintenance: readonly string[];
}

export interface FitnessLimits {
  lagMaxMs: number;
  /** Whether a reader of a smaller class than the writer's may take its place. */
  acceptsSmaller: boolean;
}

/** Why a reader should not become the writer, and what to do. */
export interface Unfitness {
  reason: string;
  remedy: string;
}

/** Serverless readers of these tiers are as large as the writer at any time (Aurora user guide, "Aurora Serverless v2", scaling). */
const tierWithWriterMax = 1;
const serverless = 'db.serverless';

/**
 * Everything that speaks against a reader as the next writer; empty where nothing does. Rules: Aurora user guide, "Fault tolerance for
 * an Aurora DB cluster"; a reader whose parameters wait for a restart, whose version is another one or that lags would bring more than
 * a change of roles.
 */
export function unfitnessOf(reader: DatabaseInstance, database: Database, known: ReaderFacts, limits: FitnessLimits): Unfitness[] {
  const writer = writerOf(database);
  const found: Unfitness[] = [];
  const add = (reason: string, remedy: string): void => void found.push({ reason, remedy });
  if (reader.status !== 'available') {
    add(`Its status is ${reader.status}, not available.`, 'Wait until it is available, or name another reader; then plan again.');
  }
  if (reader.parameterGroupStatus !== 'in-sync') {
    const remedy = 'Restart it so that its parameters take hold, or name another reader.';
    add(`Its parameter group is ${reader.parameterGroupStatus}, not in-sync: it runs with other parameters than the writer.`, remedy);
  }
  if (writer && reader.engineVersion !== writer.engineVersion) {
    const versions = `${reader.engineVersion}, and that of the writer is ${writer.engineVersion}`;
    add(`Its engine version is ${versions}.`, 'Bring both to one version, or name another reader.');
  }
  if (reader.pendingChanges.length > 0) {
    const names = reader.pendingChanges.join(', ');
    add(`Changes of it wait for its maintenance window: ${names}.`, 'Have them applied or taken back first, or name another reader.');
  }
  if (known.maintenance.length > 0) {
    const remedy = 'Let it be done first, or put it off (`aws rds apply-pending-maintenance-action`); then plan again.';
    add(`Maintenance of AWS has its time already: ${known.maintenance.join(', ')}.`, remedy);
  }
  found.push(...lagProblem(known.lag, limits), ...classProblem(reader, writer, limits));
  return found;
}

function lagProblem(lag: ReaderLag, { lagMaxMs }: FitnessLimits): Unfitness[] {
  if (lag === undefined) {
    const remedy = 'Look at AuroraReplicaLag in CloudWatch; plan again when it has a value of the last minutes.';
    return [{ reason: 'How far it lags is not known: CloudWatch has no young value of AuroraReplicaLag.', remedy }];
  }
  if (lag.lagMs <= lagMaxMs) return [];
  const reason = `It lags by more than ${lagMaxMs} ms behind the writer.`;
  return [{ reason, remedy: 'Wait until it has caught up, or name another reader; then plan again.' }];
}

function classProblem(reader: DatabaseInstance, writer: DatabaseInstance | undefined, { acceptsSmaller }: FitnessLimits): Unfitness[] {
  if (reader.instanceClass === serverless && reader.promotionTier > tierWithWriterMax) {
    const reason = `It is serverless with promotion tier ${reader.promotionTier}: its capacity does not follow that of the writer.`;
    return [{ reason, remedy: 'Give it promotion tier 0 or 1, or name another reader.' }];
  }
  if (!writer || acceptsSmaller || reader.instanceClass === writer.instanceClass) return [];
  const [own, wanted] = [sizeOf(reader.instanceClass), sizeOf(writer.instanceClass)];
  const classes = `${reader.instanceClass}, and that of the writer is ${writer.instanceClass}`;
  const remedy = 'Name another reader, or have people sign for it (`smallerReader: accept`).';
  if (own === undefined || wanted === undefined) return [{ reason: `Its class is ${classes}: which is larger is not known.`, remedy }];
  return own < wanted ? [{ reason: `Its class is smaller: it is ${classes}.`, remedy }] : [];
}

/** A reader with what speaks against it. */
export interface JudgedReader {
  reader: DatabaseInstance;
  problems: Unfitness[];
}

/**
 * The reader that takes the writer's place with the least change: of those against whom nothing speaks, one of the same class first, then
 * by promotion tier, then by name. Undefined where there is none. Lag does not count beyond its limit: it is another one at each look.
 */
export function bestReader(judged: readonly JudgedReader[], writer: DatabaseInstance): DatabaseInstance | undefined {
  const rank = ({ instanceClass, promotionTier }: DatabaseInstance): number =>
    (instanceClass === writer.instanceClass ? 0 : 100) + promotionTier;
  const fit = judged.filter(({ problems }) => problems.length === 0).map(({ reader }) => reader);
  return fit.sort((one, other) => rank(one) - rank(other) || (one.name < other.name ? -1 : 1))[0];
}

/** Why no reader can take the writer's place: the first thing that speaks against each. */
export function noReaderFits(judged: readonly JudgedReader[]): Unfitness {
  if (judged.length === 0) return { reason: 'It has no reader that could become the writer.', remedy: 'Add a reader first.' };
  const each = judged.map(({ reader, problems }) => `${describeInstance(reader)}: ${problems[0]?.reason ?? ''}`);
  return { reason: `No reader of it is fit to become the writer. ${each.join(' ')}`, remedy: 'Make one of them fit, then plan again.' };
}
