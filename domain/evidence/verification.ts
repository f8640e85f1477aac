import { refusalOfPreApproval, type PreApprovalUse } from '../approval/pre-approval.ts';
import { keyOfText, textOfKey, type KeyTypeName, type PeopleKeys } from '../approval/keys.ts';
import { originOf, readPasskey, readPasskeySignature } from '../approval/passkey.ts';
import { checkSignature, type VerificationResult } from '../approval/signature.ts';
import type { ExpectedStatement, PreApprovalStatement } from '../approval/statement.ts';
import { clockSkewMaxMs } from '../time.ts';
import { parseJson, type Json, type JsonObject } from '../json.ts';
import { msOf } from '../time.ts';
import { digestOf } from '../plan/plan.ts';
import {
  keptProblemOf,
  keptValuesOf,
  nameOf,
  signedClaimsOf,
  signedKinds,
  type ChainReport,
  type EvidenceEntry,
  type LineProblem,
} from './evidence.ts';
import { KeyCheck } from './keys.ts';
import { meaningOf, type Authority, type WholeEntry } from './meaning.ts';
import { checkAnchors, checkWorkers, proofOf, type FoundHead, type WorkerKey } from './proof.ts';

/** What a record is held against besides itself: what a holdpoint.yaml says. */
export interface Trust {
  /** If given, the recorded keys must be theirs. Without it a signature shows only that the record agrees with itself. */
  people?: PeopleKeys;
  /** Groups and policies, which releases of holds must satisfy, too, and the keys of workers. */
  authority?: Pick<Authority, 'groups' | 'policies'> & { workers?: Readonly<Record<string, WorkerKey>> };
}

type Verified = Extract<VerificationResult, { ok: true }>;

/** A record and what belongs to it, as it was found. */
export interface RecordInHand {
  chain: ChainReport;
  /** The run that the record should be of. */
  run: string;
  /** What is wrong with the chain and with the place that it was found in. */
  problems: readonly FoundProblem[];
  /** What lies beside the record, by the digests that entries name; undefined where there is nothing, empty where there is too much. */
  kept: ReadonlyMap<string, Uint8Array | undefined>;
  /** What a second place has, or why it cannot be read; undefined where none was looked at. */
  heads?: readonly FoundHead[] | { unreadable: string };
}

/** `object` is the file of a directory or the object of a bucket that the problem was found in. */
export type FoundProblem = LineProblem & { object?: string };

/** A signature of the record that was checked. */
export interface CheckedSignature {
  line: number;
  sequence: number;
  kind: string;
  person: string;
  /** Whether it is the person's, over exactly what the entry says. */
  ok: boolean;
  /** What it was made with, where it is; of a passkey, whether that never leaves its device, and on which page. */
  madeWith?: { type: KeyTypeName; deviceBound?: boolean; origin?: string };
}

/** What can be said of a record without asking any server. */
export interface Verification {
  /** No line is changed, missing, moved or added, every signature holds, and what was done follows from what was signed. */
  ok: boolean;
  entries: number;
  /** How many values of entries are kept beside the record, because of their size; absent where there are none. */
  kept?: number;
  ending: ChainReport['ending'];
  signatures: CheckedSignature[];
  /** What a record in order proves, and what it does not, in sentences for an auditor; empty for one with problems. */
  proven: string[];
  notProven: string[];
  /** What a holdpoint.yaml says otherwise now than a worker has recorded then. */
  notes: string[];
  /** Entries with the signature of a worker, and how many of them were made with a key of holdpoint.yaml. */
  workers: { signed: number; known: number };
  /** How many heads of the record were found in the second place, if it can be read; absent where none was looked at. */
  anchors?: number | 'unreadable';
  /** Sorted by line. */
  problems: FoundProblem[];
}

/**
 * Verifies a record: the chain, each signature of people with the key that was recorded with it, each of workers, whatever entries refer
 * to, and whether what is said follows from what was signed. Gives its entries as well, with what is kept beside them in its place: they
 * are worth as much as the verification says.
 *
 * @param isSigned whether the signature of the worker in an entry is that of the key in it, over `bytesOfEntry`.
 */
export function verifyRecord(
  record: RecordInHand,
  { people, authority }: Trust,
  isSigned: (entry: EvidenceEntry) => boolean,
): { verification: Verification; entries: WholeEntry[] } {
  const { chain, run, heads } = record;
  const kept = checkKept(record);
  const statements = checkStatements(chain, people, kept.values);
  // What a damaged record says cannot be followed, and the damage has been told.
  const isWhole = record.problems.length === 0 && kept.problems.length === 0;
  const whole = wholeEntries(chain, statements.signatures, kept.values);
  const meaning = isWhole ? meaningOf(whole, authority && people && { ...authority, people: Object.keys(people) }) : undefined;
  const workers = checkWorkers(chain, authority?.workers, isSigned);
  const anchors = heads && ('unreadable' in heads ? heads : checkAnchors(chain, run, heads));
  const compared = anchors && 'found' in anchors ? anchors : undefined;
  // A worker that is known vouches for what was the policy then: that it is another one now is no fault of the record.
  const isVouched = ({ line }: LineProblem): boolean => workers.known.has(line);
  const differences = [...(meaning?.differences ?? []), ...statements.revokedLater];
  const problems: FoundProblem[] = [
    ...record.problems,
    ...statements.problems,
    ...kept.problems,
    ...(meaning?.problems ?? []),
    ...differences.filter((one) => !isVouched(one)),
    ...workers.problems,
    ...(compared?.problems ?? []),
  ].sort((one, other) => one.line - other.line);
  const ok = problems.length === 0;
  const isCompared = people !== undefined && authority !== undefined;
  const verification = {
    ok,
    entries: chain.entries.length,
    ...(kept.count > 0 && { kept: kept.count }),
    ending: chain.ending,
    signatures: statements.signatures,
    ...(ok ? proofOf({ chain, meaning, workers, anchors, isCompared }) : { proven: [], notProven: [] }),
    notes: [
      ...differences.filter(isVouched).map(({ sentence }) => sentence),
      ...(anchors && 'unreadable' in anchors ? [anchors.unreadable] : []),
    ],
    workers: { signed: workers.signed, known: workers.known.size },
    ...(anchors && { anchors: compared?.found ?? ('unreadable' as const) }),
    problems,
  };
  return { verification, entries: whole };
}

function checkStatements(
  { entries }: ChainReport,
  people: PeopleKeys | undefined,
  values: ReadonlyMap<string, Json>,
): { signatures: CheckedSignature[]; problems: LineProblem[]; revokedLater: LineProblem[] } {
  const started = entries.find(({ entry: { kind } }) => kind === signedKinds.start || kind === signedKinds.schedule)?.entry;
  const signatures: CheckedSignature[] = [];
  const problems: LineProblem[] = [];
  const revokedLater: LineProblem[] = [];
  const keys = people && new KeyCheck(people);
  for (const { line, entry } of entries) {
    keys?.forget(entry);
    const checked = checkStatement(entry, started, values);
    const ofKey = checked?.result ? keys?.ofSigned(entry, checked.result) : keys?.ofRelease(entry);
    const sentence = checked?.sentence ?? ofKey?.sentence;
    if (ofKey?.revokedLater !== undefined) revokedLater.push({ line, sentence: ofKey.revokedLater });
    if (checked) {
      const { person, result } = checked;
      const madeWith = result && madeWithOf(result.key, entry.body.jws);
      signatures.push({
        line,
        sequence: entry.sequence,
        kind: entry.kind,
        person,
        ok: sentence === undefined,
        ...(madeWith && { madeWith }),
      });
    }
    if (sentence !== undefined) problems.push({ line, sentence });
  }
  return { signatures, problems, revokedLater };
}

function madeWithOf(key: string, text: Json | undefined): CheckedSignature['madeWith'] {
  const type = keyOfText(key)?.type;
  const passkey = readPasskey(key);
  if (!type || !passkey) return type && { type };
  const signed = typeof text === 'string' ? readPasskeySignature(text) : undefined;
  return { type, deviceBound: passkey.deviceBound, origin: signed && originOf(signed) };
}

/** The entries with what is kept beside them in its place, as far as it is there. */
function wholeEntries({ entries }: ChainReport, signatures: readonly CheckedSignature[], values: ReadonlyMap<string, Json>): WholeEntry[] {
  const unsigned = new Set(signatures.flatMap(({ line, ok }) => (ok ? [] : [line])));
  return entries.map(({ line, entry }) => {
    const filled = keptValuesOf(entry).map(([name, { sha256 }]): [string, Json] => [name, values.get(sha256) ?? null]);
    const body: JsonObject = { ...entry.body, ...Object.fromEntries(filled) };
    return { line, entry: { ...entry, body }, isSigned: !unsigned.has(line) };
  });
}

/** Checks what entries refer to; the same bytes are looked at once. */
function checkKept({ chain, kept: there }: RecordInHand): { count: number; values: Map<string, Json>; problems: LineProblem[] } {
  const values = new Map<string, Json>();
  const problems: LineProblem[] = [];
  let count = 0;
  for (const { line, entry } of chain.entries) {
    for (const [name, kept] of keptValuesOf(entry)) {
      count += 1;
      if (values.has(kept.sha256)) continue;
      const bytes = there.get(kept.sha256);
      const sentence = keptProblemOf(entry, name, kept, bytes);
      if (sentence === undefined) values.set(kept.sha256, (parseJson(bytes ?? new Uint8Array()) ?? null) as Json);
      else problems.push({ line, sentence });
    }
  }
  return { count, values, problems };
}

/** Undefined for an entry of a kind that needs no signature; a sentence where the signature is missing or does not hold. */
function checkStatement(
  entry: EvidenceEntry,
  started: EvidenceEntry | undefined,
  values: ReadonlyMap<string, Json>,
): { person: string; sentence: string; result?: undefined } | { person: string; sentence?: undefined; result: Verified } | undefined {
  const signed = signedClaimsOf(entry);
  if (signed === undefined) return undefined;
  const { claims, jws, publicKey } = signed;
  const name = nameOf(entry);
  if (typeof claims.person !== 'string' || typeof jws !== 'string' || typeof publicKey !== 'string') {
    return { person: 'nobody', sentence: `${name} should be signed, but lacks the person, the signature or the key.` };
  }
  const { person } = claims;
  // Claims that the body lacks are undefined here, and no signed claim is equal to that.
  const recorded = keyOfText(publicKey);
  if (!recorded || textOfKey(recorded) !== publicKey)
    return { person, sentence: `${name} is signed with ${JSON.stringify(publicKey.slice(0, 100))}, which is no public key.` };
  const result = checkSignature(jws, claims as unknown as ExpectedStatement, { keys: [recorded] }, 'signing');
  if (!result.ok) return { person, sentence: `${name}: ${result.reason}` };
  const writtenMs = msOf(entry.at);
  if (!(msOf(result.statement.at) <= writtenMs + clockSkewMaxMs)) {
    return { person, sentence: `${name} was written at ${entry.at}, before ${person} signed it at ${result.statement.at}.` };
  }
  if (result.statement.kind === 'pre-approval') {
    // What is accepted in the last moment of an opening is written down after it.
    const acceptedMs = Math.min(writtenMs, Math.max(writtenMs - clockSkewMaxMs, msOf(result.statement.notAfter)));
    const refusal = refusalOfPreApproval(result.statement, useOf(result.statement, started, values), acceptedMs);
    if (refusal) return { person, sentence: `${name} should not have been accepted. ${refusal.reason}` };
  }
  return { person, result };
}

/** What the run of a record asked for: the start says on what, with which runbook and inputs; the entry says the rest, and is signed. */
function useOf(statement: PreApprovalStatement, started: EvidenceEntry | undefined, values: ReadonlyMap<string, Json>): PreApprovalUse {
  const { target, runbook, inputs } = started?.body ?? {};
  // Large inputs are kept beside the record. Where they are missing, which is told, what is left of them is their digest there.
  const kept = started && keptValuesOf(started).find(([name]) => name === 'inputs')?.[1];
  const whole = kept ? values.get(kept.sha256) : inputs;
  const inputsDigest = whole === undefined ? kept?.sha256 : digestOf(whole);
  const text = (value: Json | undefined): string => (typeof value === 'string' ? value : 'nothing');
  return { ...statement, target: text(target), runbook: text(runbook), inputs: text(inputsDigest) };
}
