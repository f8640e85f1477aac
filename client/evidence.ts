import { open } from 'node:fs/promises';
import { clockSkewMaxMs, verifySignature } from '../activities/people/verify.ts';
import { recordBytesMax, signedClaimsOf, verifyChain, type ChainReport, type EvidenceEntry, type LineProblem } from '../domain/evidence.ts';
import type { ExpectedStatement } from '../domain/statement.ts';

/** A signature of the record that was checked. */
export interface CheckedSignature {
  line: number;
  sequence: number;
  kind: string;
  person: string;
  /** Whether it is the person's, over exactly what the entry says. */
  ok: boolean;
}

/** What can be said of a record without asking any server. */
export interface EvidenceReport {
  path: string;
  /** The run of the first entry; undefined where no entry can be read. */
  run?: string;
  /** No line is changed, missing, moved or added, and every signature holds. */
  ok: boolean;
  entries: number;
  ending: ChainReport['ending'];
  signatures: CheckedSignature[];
  /** Sorted by line. */
  problems: LineProblem[];
}

/** The people of a configuration, by id, with their public keys (`x` of the JWK). */
export type PeopleKeys = Readonly<Record<string, { key: string } | undefined>>;

/**
 * Checks the record of a run from its file alone: the chain, and each signature with the key that was recorded with it.
 *
 * @param people if given, the recorded keys must be theirs. Without it a signature shows only that the record agrees with itself.
 * @throws Error where the file cannot be read or is larger than any record.
 */
export async function verifyEvidence(path: string, people?: PeopleKeys): Promise<EvidenceReport> {
  const text = await readText(path);
  if (text === undefined) {
    const problems = [{ line: 1, sentence: 'The file is not UTF-8 text: at least one byte was changed, or it is no record.' }];
    return { path, ok: false, entries: 0, ending: 'open-or-cut-off', signatures: [], problems };
  }
  const chain = verifyChain(text);
  const signatures: CheckedSignature[] = [];
  const problems = [...chain.problems];
  for (const { line, entry } of chain.entries) {
    const found = await checkSignature(entry, people);
    if (found === undefined) continue;
    signatures.push({ line, sequence: entry.sequence, kind: entry.kind, person: found.person, ok: found.sentence === undefined });
    if (found.sentence !== undefined) problems.push({ line, sentence: found.sentence });
  }
  problems.sort((one, other) => one.line - other.line);
  const { entries, ending } = chain;
  return { path, run: entries[0]?.entry.run, ok: problems.length === 0, entries: entries.length, ending, signatures, problems };
}

/** Undefined for an entry of a kind that needs no signature; a sentence where the signature is missing or does not hold. */
async function checkSignature(
  entry: EvidenceEntry,
  people: PeopleKeys | undefined,
): Promise<{ person: string; sentence?: string } | undefined> {
  const signed = signedClaimsOf(entry);
  if (signed === undefined) return undefined;
  const { claims, jws, publicKey } = signed;
  const name = `Entry ${entry.sequence} (${entry.kind})`;
  if (typeof claims.person !== 'string' || typeof jws !== 'string' || typeof publicKey !== 'string') {
    return { person: 'nobody', sentence: `${name} should be signed, but lacks the person, the signature or the key.` };
  }
  const { person } = claims;
  // Claims that the body lacks are undefined here, and no signed claim is equal to that.
  const result = await verifySignature(jws, claims as unknown as ExpectedStatement, publicKey);
  if (!result.ok) return { person, sentence: `${name}: ${result.reason}` };
  if (Date.parse(result.statement.at) > Date.parse(entry.at) + clockSkewMaxMs) {
    return { person, sentence: `${name} was written at ${entry.at}, before ${person} signed it at ${result.statement.at}.` };
  }
  const known = people && Object.hasOwn(people, person) ? people[person] : undefined;
  if (people !== undefined && known?.key !== publicKey) {
    const why = known ? `the configuration names another key for ${person}` : `the configuration does not know ${person}`;
    return { person, sentence: `${name} is signed with a key that cannot be vouched for: ${why}.` };
  }
  return { person };
}

/** Undefined where the bytes are not UTF-8: a lenient decoder would let some changed bytes pass as the same text. */
async function readText(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > recordBytesMax) throw new Error(`${path} has ${size} bytes; the record of a run has at most ${recordBytesMax}.`);
    const bytes = await handle.readFile();
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return undefined;
    }
  } finally {
    await handle.close();
  }
}
