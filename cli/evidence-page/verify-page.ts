import { isEd25519 } from '../../domain/approval/ed25519.ts';
import { bytesOfBase64url } from '../../domain/base64.ts';
import { bytesOfEntry, verifyChain, type ChainReport, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { WholeEntry } from '../../domain/evidence/meaning.ts';
import { verifyRecord, type RecordInHand, type Verification } from '../../domain/evidence/verification.ts';
import type { PageData } from './data.ts';

/** What a page has found out by itself. */
export interface PageVerification {
  verification: Verification;
  entries: WholeEntry[];
}

/** Verifies the record of a page by the same rules as the command line, from nothing but the data of the page. */
export async function verifyPage({ text, run, kept, heads, trust, foundProblems }: PageData): Promise<PageVerification> {
  const chain = verifyChain(text, run);
  const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);
  const record: RecordInHand = {
    chain,
    run,
    problems: [...chain.problems, ...foundProblems.map((sentence) => ({ line: 1, sentence }))],
    kept: new Map(Object.entries(kept).map(([digest, value]) => [digest, bytesOf(value)])),
    heads:
      heads &&
      ('unreadable' in heads ? heads : heads.map(({ path, text: head }) => ({ path, bytes: head === undefined ? head : bytesOf(head) }))),
  };
  const signed = await signedByTheirWorkers(chain);
  return verifyRecord(record, trust, (entry) => signed.has(entry));
}

type Check = (key: Uint8Array, signature: Uint8Array, bytes: Uint8Array) => Promise<boolean>;

/** The entries whose worker has signed them. A record has thousands, and the browser is some thirty times as fast as our own code. */
async function signedByTheirWorkers({ entries }: ChainReport): Promise<ReadonlySet<EvidenceEntry>> {
  const check = await fastestCheck();
  const signed = new Set<EvidenceEntry>();
  for (const { entry } of entries) {
    const { worker, signature, hash } = entry;
    if (worker === undefined || signature === undefined) continue;
    const [key, bytes] = [bytesOfBase64url(worker), bytesOfBase64url(signature)];
    if (key && bytes && (await check(key, bytes, bytesOfEntry(hash)))) signed.add(entry);
  }
  return signed;
}

/** That of the browser, where it has Ed25519 and lets the page use it. */
async function fastestCheck(): Promise<Check> {
  const { subtle } = globalThis.crypto ?? {};
  try {
    await subtle.generateKey('Ed25519', false, ['sign', 'verify']);
  } catch {
    return async (key, signature, bytes) => isEd25519(signature, bytes, key);
  }
  return async (key, signature, bytes) => {
    try {
      return await subtle.verify('Ed25519', await subtle.importKey('raw', key, 'Ed25519', false, ['verify']), signature, bytes);
    } catch {
      // The key is none.
      return false;
    }
  };
}
