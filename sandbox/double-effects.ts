import { isDeepStrictEqual } from 'node:util';

/** A node group or cluster as EKS shows it. */
export type ShownObject = Readonly<Record<string, unknown>>;

/** A change that EKS took on, as it went over the wire; an answer that was only repeated for its token is none. */
export interface AcceptedChange {
  operation: string;
  clusterName: string;
  nodegroupName: string | undefined;
  token: string | undefined;
  /** The node group, or else the cluster, as it was shown before and as it is shown now; undefined if there was or is none. */
  before: ShownObject | undefined;
  /** Whether some of the nodes did not run what the group was shown to run. */
  isMixed: boolean;
  after: ShownObject | undefined;
  /** The body of the answer. */
  answer: unknown;
}

/** Something that was done although it was done already. */
export interface DoubleEffect {
  kind: 'done-twice' | 'updated-needlessly';
  sentence: string;
}

/** How many tokens and deletions are remembered to notice a second use. */
const rememberedMax = 10_000;

/** Fields that every change touches, or that only say how far it has come. */
const restless = ['status', 'modifiedAt', 'health', 'resources'];

/** Tells which changes of the cloud were made twice though once was enough, by its own memory of what was accepted. */
export class DoubleEffects {
  private readonly doneWithToken = new Map<string, string>();
  private readonly deleted = new Map<string, string>();

  /** Takes note of a change; returns what was double about it, if anything. */
  note(change: AcceptedChange): DoubleEffect | undefined {
    return this.tokenAgain(change) ?? this.deletedAgain(change) ?? needless(change);
  }

  private tokenAgain({ token, operation, ...object }: AcceptedChange): DoubleEffect | undefined {
    if (token === undefined) return undefined;
    const name = nameOf(object);
    const sentence = `${operation} of ${name} was carried out a second time under the token ${token}.`;
    return remember(this.doneWithToken, token, operation) === undefined ? undefined : { kind: 'done-twice', sentence };
  }

  private deletedAgain({ operation, before, ...object }: AcceptedChange): DoubleEffect | undefined {
    const arn = before?.['nodegroupArn'];
    // What EKS could not delete must be asked for again.
    if (operation !== 'DeleteNodegroup' || typeof arn !== 'string' || before?.['status'] === 'DELETE_FAILED') return undefined;
    const sentence = `The deletion of node group ${nameOf(object)} (${arn}) was begun a second time.`;
    return remember(this.deleted, arn, operation) === undefined ? undefined : { kind: 'done-twice', sentence };
  }
}

/** Enters a key; returns what was known of it before. The oldest are forgotten first. */
function remember(known: Map<string, string>, key: string, value: string): string | undefined {
  const before = known.get(key);
  known.set(key, value);
  const [oldest] = known.keys();
  if (known.size > rememberedMax && oldest !== undefined) known.delete(oldest);
  return before;
}

/** An update is needless if what it is to bring is there already, on all of the nodes. */
function needless({ operation, before, isMixed, after, answer, ...object }: AcceptedChange): DoubleEffect | undefined {
  if (before === undefined) return undefined;
  if (operation === 'UpdateNodegroupConfig' && isDeepStrictEqual(settled(before), settled(after ?? {}))) {
    return { kind: 'updated-needlessly', sentence: `An update of ${nameOf(object)} was begun that changes none of its settings.` };
  }
  const wanted = paramsOf(answer);
  const isThere = (param: string, field: string): boolean => wanted.get(param) === undefined || wanted.get(param) === before[field];
  const isNeeded = isMixed || !isThere('Version', 'version') || !isThere('ReleaseVersion', 'releaseVersion');
  if (!operation.endsWith('Version') || isNeeded) return undefined;
  const version = wanted.get('ReleaseVersion') ?? wanted.get('Version') ?? 'its version';
  return { kind: 'updated-needlessly', sentence: `An update of ${nameOf(object)} to ${version} was begun, which it has already.` };
}

function settled(object: ShownObject): object {
  return Object.fromEntries(Object.entries(object).filter(([field]) => !restless.includes(field)));
}

/** The `params` of the update that an answer tells of. */
function paramsOf(answer: unknown): Map<string, string> {
  const { update } = (answer ?? {}) as { update?: { params?: { type: string; value: string }[] } };
  return new Map((update?.params ?? []).map(({ type, value }) => [type, value]));
}

function nameOf({ clusterName, nodegroupName }: { clusterName: string; nodegroupName: string | undefined }): string {
  return nodegroupName === undefined ? clusterName : `${clusterName}/${nodegroupName}`;
}
