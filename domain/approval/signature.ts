import { utf8ToBytes } from '@noble/hashes/utils.js';
import { bytesOfBase64url } from '../base64.ts';
import { isObject, parseJson } from '../json.ts';
import { timeMsOf } from '../time.ts';
import { algorithmOf, checkWithKey, keysOf, stateOfKey, textOfKey, type KeyState, type PersonKey, type PersonKeys } from './keys.ts';
import { passkeyPrefix, passkeyProblem, readPasskey, readPasskeySignature, type PasskeyCode, type PasskeyProblem } from './passkey.ts';
import type { PreApprovalCode } from './pre-approval.ts';
import {
  differingClaim,
  readStatement,
  statementCharactersMax,
  statementType,
  type ExpectedStatement,
  type Statement,
} from './statement.ts';

export type VerificationCode =
  | 'person-unknown'
  | 'key-malformed'
  | 'statement-too-large'
  | 'statement-malformed'
  | 'algorithm-refused'
  | 'signer-differs'
  | 'signature-forged'
  | 'key-early'
  | 'key-over'
  | 'key-revoked'
  | 'claim-differs'
  | 'statement-from-future'
  | 'statement-stale'
  | PasskeyCode
  | PreApprovalCode;

export interface VerificationRefusal {
  ok: false;
  code: VerificationCode;
  /** One sentence for the person; never holds key material. */
  reason: string;
  remedy: string;
}

/** `key` is the one that has signed, as records keep it. */
export type VerificationResult = { ok: true; statement: Statement; key: string } | VerificationRefusal;

/** How many claims are named that are wrong. */
const wrongClaimsShownMax = 5;
const headerNames: readonly string[] = ['alg', 'kid', 'typ'];

/**
 * Checks that a statement was signed by the person it must be from, says exactly what is expected, and was signed with a key that was good
 * then and still is when it takes effect. It is pure and gives its answer at once, so that workflows can ask before anything gets into
 * their history.
 *
 * @param text as it came over the wire: a compact JWS, or what a passkey has signed.
 * @param expected every claim but `at` and `nonce`, from what was asked for and what the run knows; its person must be the signer.
 * @param keys the person as holdpoint.yaml has them, undefined where they are not known.
 * @param effectAtMs when what was signed takes effect, in milliseconds since 1970: now, for whoever acts upon it. `signing` asks only
 * whether the key was good when it was used.
 */
export function checkSignature(
  text: string,
  expected: ExpectedStatement,
  keys: PersonKeys | undefined,
  effectAtMs: number | 'signing',
): VerificationResult {
  const { person } = expected;
  const candidates = keysOf(keys);
  if (candidates.length === 0) {
    const remedy = `Have the platform team add a key of ${person} to people in holdpoint.yaml.`;
    return refused('person-unknown', `No public key of ${person} is known.`, remedy);
  }
  if (text.length > statementCharactersMax) {
    const reason = `The statement of ${person} has ${text.length} characters; at most ${statementCharactersMax} are read.`;
    return refused('statement-too-large', reason, 'Give a shorter reason.');
  }
  if (candidates.some((key) => textOfKey(key) === undefined)) {
    const reason = `A public key of ${person} is none: neither Ed25519 in base64url, nor an ssh-ed25519 line, nor a passkey.`;
    return refused('key-malformed', reason, `Have the keys of ${person} in holdpoint.yaml corrected; \`holdpoint keys\` prints them.`);
  }
  const signed = text.startsWith(`${passkeyPrefix}.`) ? signedWithPasskey(text, person, candidates) : signedAsJws(text, person, candidates);
  if ('code' in signed) return signed;
  const read = readClaims(signed.claims, expected);
  if (!read.ok) return read;
  return keyProblem(signed.key, read.statement, effectAtMs) ?? { ...read, key: textOfKey(signed.key) ?? '' };
}

/** The bytes of claims that somebody has signed, and the key. */
interface Signed {
  claims: Uint8Array;
  key: PersonKey;
}

function signedAsJws(jws: string, person: string, keys: readonly PersonKey[]): Signed | VerificationRefusal {
  const token = readToken(jws, person, keys);
  if ('code' in token) return token;
  const key = signingKey(token, person, keys);
  if ('code' in key) return key;
  return headerProblem(token.header, person) ?? { claims: token.payload, key };
}

function signedWithPasskey(text: string, person: string, keys: readonly PersonKey[]): Signed | VerificationRefusal {
  const signed = readPasskeySignature(text);
  if (!signed) return unreadable(person, 'it is not the six parts that a passkey signs');
  for (const key of keys) {
    const passkey = key.type === 'passkey' ? readPasskey(key.key) : undefined;
    if (passkey?.credential !== signed.credential) continue;
    const problem = passkeyProblem(signed, passkey, key.origins);
    return problem === undefined ? { claims: signed.statement, key } : passkeyRefusal(person, problem);
  }
  const reason = `${person} has signed with a passkey that holdpoint.yaml does not have for them.`;
  return refused('passkey-unknown', reason, `Enrol it on the page "me" of the console, or sign with another key of ${person}.`);
}

const passkeyRemedies: Record<PasskeyCode, string> = {
  'passkey-unknown': 'Enrol it on the page "me" of the console.',
  'passkey-challenge-differs': 'Load the page anew and sign again. If it comes again, do not trust the page: sign with `holdpoint`.',
  'passkey-origin-differs': 'Sign on the page of the console, at an address that `console.origins` of holdpoint.yaml has.',
  'passkey-framed': 'Open the console by itself, and find out who shows it within their own page.',
  'passkey-user-not-verified':
    'Sign again with the PIN, the fingerprint or the face that the device asks for; sign with another key if it asks for none.',
  'passkey-flags-wrong': 'Enrol the passkey anew on the page "me" of the console, or sign with another key.',
};

function passkeyRefusal(person: string, problem: PasskeyProblem): VerificationRefusal {
  if (problem === 'forged') return forged(person);
  if ('unreadable' in problem) return unreadable(person, problem.unreadable);
  return refused(problem.code, `The signature of ${person} ${problem.why}.`, passkeyRemedies[problem.code]);
}

interface Token {
  header: Record<string, unknown>;
  payload: Uint8Array;
  signature: Uint8Array;
  /** What the signature is over. */
  signed: Uint8Array;
}

/** Reads the one form of a JWS that is accepted (RFC 7515, compact): nothing in its header may change how it is verified. */
function readToken(jws: string, person: string, keys: readonly PersonKey[]): Token | VerificationRefusal {
  const parts = jws.split('.');
  const [head, payload, signature] = parts.map(bytesOfBase64url);
  const header = head && parseJson(head);
  if (parts.length !== 3 || !payload || !signature || !isObject(header)) return unreadable(person, 'it is no compact JWS');
  const algorithms = [...new Set(keys.map((key) => algorithmOf(key) ?? 'a passkey'))];
  if (!keys.some((key) => algorithmOf(key) === header.alg)) {
    const accepted = algorithms.join(' or ');
    const reason = `The statement of ${person} is signed with ${quote(header.alg)}, and the keys of ${person} sign with ${accepted}.`;
    const remedy = 'Sign with one of the keys that `holdpoint keys list --people` shows, where holdpoint.yaml is.';
    return refused('algorithm-refused', reason, remedy);
  }
  if ('crit' in header || 'b64' in header) return unreadable(person, 'its header asks for an extension');
  return { header, payload, signature, signed: utf8ToBytes(parts.slice(0, 2).join('.')) };
}

/** The key that has signed, of those that sign as the header says. */
function signingKey({ header, signature, signed }: Token, person: string, keys: readonly PersonKey[]): PersonKey | VerificationRefusal {
  let wrong: string | undefined;
  for (const key of keys.filter((candidate) => algorithmOf(candidate) === header.alg)) {
    const finding = checkWithKey(key, signature, signed);
    if (finding === 'holds') return key;
    if (finding !== 'forged') ({ wrong } = finding);
  }
  return wrong === undefined ? forged(person) : unreadable(person, wrong);
}

function forged(person: string): VerificationRefusal {
  const reason = `The signature does not match the key of ${person}: another key made it, or the statement was changed after signing.`;
  return refused('signature-forged', reason, `Have ${person} sign again, with a key that holdpoint.yaml names for them.`);
}

/** A key must be good when it was used and when that takes effect; the one moment alone would let a revoked key, or a new one, count. */
function keyProblem(key: PersonKey, { person, at }: Statement, effectAtMs: number | 'signing'): VerificationRefusal | undefined {
  const signedAtMs = timeMsOf(at) ?? NaN;
  for (const moment of effectAtMs === 'signing' ? [signedAtMs] : [effectAtMs, signedAtMs]) {
    const state = stateOfKey(key, moment);
    if (state !== 'good') return keyRefusals[state](key, person, at);
  }
  return undefined;
}

const keyRefusals: Record<Exclude<KeyState, 'good'>, (key: PersonKey, person: string, at: string) => VerificationRefusal> = {
  early: ({ from }, person, at) => {
    const reason = `${person} signed at ${at} with a key that counts from ${from} on.`;
    return refused('key-early', reason, 'Sign anew when the key counts, or with another key.');
  },
  over: ({ until }, person, at) => {
    const reason = `${person} signed at ${at} with a key that counts until ${until} only.`;
    return refused('key-over', reason, 'Sign anew with the key that holdpoint.yaml has for now.');
  },
  revoked: ({ revoked }, person, at) => {
    const reason = `${person} signed at ${at} with a key that is revoked since ${revoked}.`;
    return refused('key-revoked', reason, `Have ${person} sign anew with another key.`);
  },
};

function headerProblem(header: Record<string, unknown>, person: string): VerificationRefusal | undefined {
  if (header.typ !== statementType) {
    const reason = `The signed token of ${person} is of type ${quote(header.typ)}, not "${statementType}".`;
    return refused('statement-malformed', reason, 'Sign with `holdpoint`, which makes statements of the right type.');
  }
  if (header.kid !== person) {
    const reason = `The statement is to be from ${person}, but its header names ${quote(header.kid)} as the signer.`;
    return refused('signer-differs', reason, `Have ${person} sign with their own key.`);
  }
  const [unknown] = Object.keys(header).filter((name) => !headerNames.includes(name));
  return unknown === undefined ? undefined : unreadable(person, `its header has ${quote(unknown)}`);
}

function readClaims(payload: Uint8Array, expected: ExpectedStatement): { ok: true; statement: Statement } | VerificationRefusal {
  const read = readStatement(parseJson(payload));
  if ('wrong' in read) {
    const wrong = read.wrong.slice(0, wrongClaimsShownMax).map(quote).join(', ');
    const reason = `${expected.person} signed something that is not a statement (wrong: ${wrong}).`;
    return refused('statement-malformed', reason, 'Use the same version of `holdpoint` as the worker.');
  }
  const { statement } = read;
  const difference = differingClaim(statement, expected);
  if (difference === undefined) return { ok: true, statement };
  const { claim, signed, expected: wanted } = difference;
  const reason = `${expected.person} signed ${claim} ${quote(signed)}, but it should be ${quote(wanted)}.`;
  return refused('claim-differs', reason, 'Look at the run with `holdpoint show` and sign what is shown there.');
}

function unreadable(person: string, why: string): VerificationRefusal {
  const reason = `The statement of ${person} is not a signed token that can be read: ${why}.`;
  return refused('statement-malformed', reason, 'Sign with `holdpoint`.');
}

function refused(code: VerificationCode, reason: string, remedy: string): VerificationRefusal {
  return { ok: false, code, reason, remedy };
}

/** What a stranger sent is quoted, and cut so that it cannot flood a message. */
function quote(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 120) ?? 'nothing';
}
