import { anchoredKinds, anchorProblem, nameOf, type Anchor, type ChainReport, type EvidenceEntry, type LineProblem } from './evidence.ts';
import { isObject, parseJson } from '../json.ts';
import { ownValue } from '../map.ts';
import { msOf } from '../time.ts';
import { visible } from '../visible.ts';
import type { Meaning } from './meaning.ts';

/** How many numbers of entries are listed in a sentence. */
const numbersShownMax = 10;

/** A key of a worker and when its signatures count; ISO 8601. */
export interface WorkerKey {
  key: string;
  from: string;
  until?: string;
}

/** What the signatures of workers under the entries come to. */
export interface WorkerSignatures {
  /** Lines of entries that are signed with a key that the configuration has for that time. */
  known: ReadonlySet<number>;
  /** Names of those workers. */
  names: string[];
  /** Entries that are signed with whatever key, and entries that are not. */
  signed: number;
  unsigned: number;
  problems: LineProblem[];
}

/** What a second place says of a record. */
export interface AnchorReport {
  /** Heads that were found there. */
  found: number;
  /** The last entry that one of them is of; what comes after it could be cut off unseen. */
  last: number;
  /** Entries whose head should be there, and is not. */
  missing: number[];
  problems: LineProblem[];
}

/**
 * Checks the signature of the worker under each entry, with the keys of a configuration where there is one.
 *
 * @param isSigned whether the signature in an entry is that of the key in it, over `bytesOfEntry`.
 */
export function checkWorkers(
  { entries }: ChainReport,
  workers: Readonly<Record<string, WorkerKey>> = {},
  isSigned: (entry: EvidenceEntry) => boolean,
): WorkerSignatures {
  const begins = Object.values(workers).map(({ from }) => msOf(from));
  const signedSinceMs = Math.min(...begins);
  const known = new Set<number>();
  const names = new Set<string>();
  const problems: LineProblem[] = [];
  let signed = 0;
  for (const { line, entry } of entries) {
    const { at, worker, signature } = entry;
    if (worker === undefined || signature === undefined) {
      if (begins.length > 0 && !(msOf(at) < signedSinceMs))
        problems.push({ line, sentence: `${nameOf(entry)} is signed by no worker, though workers sign by then.` });
      continue;
    }
    signed += 1;
    const name = Object.keys(workers).find((candidate) => workers[candidate]?.key === worker);
    const sentence = isSigned(entry) ? periodProblem(name, workers, at) : 'has a signature that its worker has not made';
    if (sentence !== undefined) problems.push({ line, sentence: `${nameOf(entry)} ${sentence}.` });
    else if (name !== undefined) {
      known.add(line);
      names.add(name);
    }
  }
  return { known, names: [...names], signed, unsigned: entries.length - signed, problems };
}

function periodProblem(name: string | undefined, workers: Readonly<Record<string, WorkerKey>>, at: string): string | undefined {
  if (Object.keys(workers).length === 0) return undefined;
  const worker = name === undefined ? undefined : ownValue(workers, name);
  if (!worker) return 'is signed with a key that holdpoint.yaml has for no worker';
  const { from, until } = worker;
  const isInTime = msOf(at) >= msOf(from) && (until === undefined || msOf(at) <= msOf(until));
  return isInTime ? undefined : `is signed with the key of ${name} at ${at}, which counts from ${from} until ${until ?? 'now'}`;
}

/** What was found in a second place under the name of a run. */
export interface FoundHead {
  /** Where a person finds it. */
  path: string;
  /** Undefined where it is larger than any head, or gone again. */
  bytes?: Uint8Array;
}

/** Compares a record with the heads of it that a second place keeps. */
export function checkAnchors({ entries }: ChainReport, run: string, heads: readonly FoundHead[]): AnchorReport {
  const problems: LineProblem[] = [];
  const anchored = new Set<number>();
  const all = entries.map(({ entry }) => entry);
  const lastLine = Math.max(1, entries.at(-1)?.line ?? 1);
  for (const { path, bytes } of heads) {
    const anchor = readAnchor(bytes, run);
    const sentence = anchor ? anchorProblem(anchor, all) : 'It is no anchor of this run: somebody has put it there or changed it.';
    const line = entries.find(({ entry }) => entry.sequence === anchor?.sequence)?.line ?? lastLine;
    if (sentence !== undefined) problems.push({ line, sentence: `${sentence} (${path})` });
    if (anchor) anchored.add(anchor.sequence);
  }
  const due = all.filter(({ kind }) => anchoredKinds.includes(kind)).map(({ sequence }) => sequence);
  return { found: anchored.size, last: Math.max(0, ...anchored), missing: due.filter((sequence) => !anchored.has(sequence)), problems };
}

function readAnchor(bytes: Uint8Array | undefined, run: string): Anchor | undefined {
  const anchor = bytes && parseJson(bytes);
  if (!isObject(anchor) || anchor.run !== run || !Number.isSafeInteger(anchor.sequence) || typeof anchor.hash !== 'string')
    return undefined;
  return anchor as unknown as Anchor;
}

/** What is known of a record that is in order, for the words of `proofOf`. */
export interface Known {
  chain: ChainReport;
  meaning: Meaning | undefined;
  workers: WorkerSignatures;
  /** `unreadable`: why the second place could not be looked at. */
  anchors: AnchorReport | { unreadable: string } | undefined;
  /** Whether the people, policies and workers of a configuration were compared. */
  isCompared: boolean;
}

function changing(count: number): string {
  return count === 1 ? 'one step that changes something was' : `${count} steps that change something were`;
}

/** What a record that is in order proves and what it does not, in sentences for an auditor. */
export function proofOf({ chain, meaning, workers, anchors, isCompared }: Known): { proven: string[]; notProven: string[] } {
  const proven = ['No entry was changed, moved or left out between the first one and the last one that is here.'];
  const notProven: string[] = [];
  const { start, released = [], broken = [], begun } = meaning ?? {};
  if (start && begun) {
    proven.push(`${start.person} has signed the start on ${start.target}, and with it the document ${start.runbook} and the first plan.`);
    for (const { hold, request, by, policy } of released) {
      proven.push(`${by.join(', ')} signed the plan of hold ${hold} (request ${request}; ${policy}) before its steps began.`);
    }
    for (const { hold, by, reason, reviewedBy } of broken) {
      proven.push(`BREAK GLASS: hold ${hold} was released by ${by} alone, who signed this reason: ${visible(reason)}`);
      if (reviewedBy) proven.push(`${reviewedBy.join(', ')} signed afterwards that ${by} broke the glass at hold ${hold}.`);
      else notProven.push(`That others agree with what ${by} released alone at hold ${hold}: nobody has signed that afterwards.`);
    }
    if (begun.hold > 0) proven.push(`Under plans that were signed at a hold, ${changing(begun.hold)} begun.`);
    if (begun.start > 0) proven.push(`Under the plan that ${start.person} signed alone, ${changing(begun.start)} begun.`);
    if (begun['signed-rollback'] > 0) proven.push(`Under a rollback that others have signed, ${changing(begun['signed-rollback'])} begun.`);
    if (begun['automatic-rollback'] > 0) {
      notProven.push('That the document asks for the automatic rollback: only its hash is in the record. Compare it with the document.');
    }
    notProven.push('That the document has no more steps or holds than the record: only its hash is in the record.');
  }
  if (!isCompared)
    notProven.push('Whose the keys are and who may sign: they were taken from the record itself; --config holdpoint.yaml compares them.');
  if (workers.known.size === chain.entries.length) {
    proven.push(
      `Every entry was written by a worker of holdpoint.yaml (${workers.names.join(', ')}): nobody else has made the record anew.`,
    );
    notProven.push(
      'Anything against whoever holds the key of a worker: they can write other observations, results and times, and leave out ends.',
    );
  } else {
    const what = workers.signed === 0 ? 'No entry is' : `${workers.unsigned} entries are not`;
    const signed = workers.signed > 0 && workers.unsigned === 0 ? 'The keys of workers were not compared' : `${what} signed by a worker`;
    notProven.push(
      `Who has written the entries. ${signed}: whoever can write where records are kept could make anew ` +
        'all that people have not signed, such as questions, policies as recorded, results and times.',
    );
  }
  if (!anchors)
    notProven.push('That nothing was cut off at the end and the record is the first one: no second place (anchor:) was compared.');
  else if ('unreadable' in anchors)
    notProven.push('That nothing was cut off at the end and the record is the first one: the second place (anchor:) could not be read.');
  else if (anchors.missing.length === 0 && anchors.found > 0) {
    proven.push(
      `The second place has ${anchors.found} heads of this record, the last of entry ${anchors.last}: ` +
        'up to there nothing was cut off or made anew.',
    );
  } else {
    const missing = anchors.missing.slice(0, numbersShownMax).join(', ') || 'any entry';
    notProven.push(`That the record is the one that was written first: the second place has no head of ${missing}.`);
  }
  notProven.push('That the world was as the worker has seen it: a record tells what was signed and reported.');
  return { proven, notProven };
}
