import { keysOf, stateOfKey, textOfKey, type KeyState, type PeopleKeys, type PersonKey } from '../approval/keys.ts';
import { approvalId } from '../approval/request.ts';
import type { VerificationResult } from '../approval/signature.ts';
import { nameOf, signedKinds, type EvidenceEntry } from './evidence.ts';
import { ownValue } from '../map.ts';
import { clockSkewMaxMs, msOf } from '../time.ts';

/** What is to be said of the key of an entry; nothing where all is well. */
export interface KeyFinding {
  /** Why the signature does not count. */
  sentence?: string;
  /** That the key was revoked after the entry was written: true, if the entry is as old as it says, which its worker must vouch for. */
  revokedLater?: string;
}

type Verified = Extract<VerificationResult, { ok: true }>;

/**
 * Compares the keys of a record with those of a configuration, entry by entry. A key counts as it did when its signature was taken, and
 * when the hold that rests on it was released: one that is over since was good then.
 */
export class KeyCheck {
  private readonly people: PeopleKeys;
  /** The keys that what `by` has decided rests on, by hold and request: their own, and that of whoever has delegated it to them. */
  private readonly decided = new Map<string, { by: string; person: string; key: PersonKey }[]>();
  /** By the digest of the signed delegation. */
  private readonly delegated = new Map<string, { person: string; key: PersonKey }>();

  constructor(people: PeopleKeys) {
    this.people = people;
  }

  /** Looks at an entry whose signature holds with the key that was recorded. */
  ofSigned(entry: EvidenceEntry, { statement, key: text }: Verified): KeyFinding {
    const { person, at } = statement;
    const known = ownValue(this.people, person);
    const key = keysOf(known).find((candidate) => textOfKey(candidate) === text);
    if (!key) {
      const why = known ? `the configuration names another key for ${person}` : `the configuration does not know ${person}`;
      return { sentence: `${nameOf(entry)} is signed with a key that cannot be vouched for: ${why}.` };
    }
    const state = [stateOfKey(key, msOf(at)), stateWhenWritten(key, entry)].find((one) => one !== 'good');
    if (state) return { sentence: `${nameOf(entry)} of ${entry.at} is signed with a key of ${person} that ${wordsOf(state, key)}.` };
    const { jws, request } = entry.body;
    if (statement.kind === 'delegation' && typeof jws === 'string') this.delegated.set(approvalId(jws), { person, key });
    const isDecision = 'question' in statement || statement.kind === 'pre-approval';
    if (isDecision && entry.kind === signedKinds[statement.kind]) {
      // What was signed in advance names no request; at which one it was counted, says its entry.
      const place = placeOf(statement.hold, 'request' in statement ? statement.request : request);
      const delegator = statement.kind === 'delegated-approval' ? this.delegated.get(statement.delegation) : undefined;
      this.decided.set(place, [
        ...(this.decided.get(place) ?? []),
        { by: person, person, key },
        ...(delegator ? [{ by: person, ...delegator }] : []),
      ]);
    }
    if (key.revoked === undefined) return {};
    return { revokedLater: `${nameOf(entry)} of ${entry.at} is signed with a key of ${person} that was revoked later, at ${key.revoked}.` };
  }

  /** Looks whether what a hold was released by still counted then: what was signed may have waited for others. */
  ofRelease(entry: EvidenceEntry): KeyFinding {
    if (entry.kind !== 'hold.released') return {};
    for (const { person, key } of this.decided.get(placeOf(entry.body.hold, entry.body.request)) ?? []) {
      const state = stateWhenWritten(key, entry);
      if (state !== 'good') {
        return { sentence: `${nameOf(entry)} of ${entry.at} rests on a key of ${person} that ${wordsOf(state, key)}.` };
      }
    }
    return {};
  }

  /** Takes out who does not count any more. */
  forget({ kind, body: { hold, request, person } }: EvidenceEntry): void {
    if (kind !== 'decision.voided' && kind !== signedKinds.withdrawal) return;
    const place = placeOf(hold, request);
    this.decided.set(
      place,
      (this.decided.get(place) ?? []).filter(({ by }) => by !== person),
    );
  }
}

/** What is verified in the last moment of a key is written down after it. */
function stateWhenWritten(key: PersonKey, { at }: EvidenceEntry): KeyState {
  const writtenMs = msOf(at);
  const state = stateOfKey(key, writtenMs);
  return state === 'over' || state === 'revoked' ? stateOfKey(key, writtenMs - clockSkewMaxMs) : state;
}

function wordsOf(state: KeyState, { from, until, revoked }: PersonKey): string {
  if (state === 'early') return `counts from ${from} on`;
  return state === 'over' ? `counts until ${until} only` : `is revoked since ${revoked}`;
}

function placeOf(hold: unknown, request: unknown): string {
  return JSON.stringify([hold, request]);
}
