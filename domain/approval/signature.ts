import { hashes, verify } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { isObject, parseJson } from '../json.ts';
import type { PreApprovalCode } from './pre-approval.ts';
import {
  base64urlAlphabet,
  base64urlOf,
  differingClaim,
  readStatement,
  statementAlgorithm,
  statementCharactersMax,
  statementType,
  type ExpectedStatement,
  type Statement,
} from './statement.ts';

hashes.sha512 = sha512;

export type VerificationCode =
  | 'person-unknown'
  | 'key-malformed'
  | 'statement-too-large'
  | 'statement-malformed'
  | 'algorithm-refused'
  | 'signer-differs'
  | 'signature-forged'
  | 'claim-differs'
  | 'statement-from-future'
  | 'statement-stale'
  | PreApprovalCode;

export interface VerificationRefusal {
  ok: false;
  code: VerificationCode;
  /** One sentence for the person; never holds key material. */
  reason: string;
  remedy: string;
}

export type VerificationResult = { ok: true; statement: Statement } | VerificationRefusal;

/** How many claims are named that are wrong. */
const wrongClaimsShownMax = 5;
const publicKeyBytes = 32;
const signatureBytes = 64;
const headerNames: readonly string[] = ['alg', 'kid', 'typ'];

/**
 * Checks that a statement was signed by the person it must be from, and says exactly what is expected, whenever that was. It is pure and
 * gives its answer at once, so that workflows can ask before anything gets into their history.
 *
 * @param jws compact JWS as it came over the wire.
 * @param expected every claim but `at` and `nonce`, from what was asked for and what the run knows; its person must be the signer.
 * @param publicKey the person's public key (the `x` of an Ed25519 JWK, base64url), undefined where the person is not known.
 */
export function checkSignature(jws: string, expected: ExpectedStatement, publicKey: string | undefined): VerificationResult {
  const { person } = expected;
  if (publicKey === undefined) {
    const remedy = `Have the platform team add people.${person}.key to holdpoint.yaml.`;
    return refused('person-unknown', `No public key of ${person} is known.`, remedy);
  }
  if (jws.length > statementCharactersMax) {
    const reason = `The statement of ${person} has ${jws.length} characters; at most ${statementCharactersMax} are read.`;
    return refused('statement-too-large', reason, 'Give a shorter reason.');
  }
  const key = bytesOfBase64url(publicKey);
  if (key?.length !== publicKeyBytes) {
    const reason = `The public key of ${person} is not an Ed25519 key in base64url.`;
    return refused('key-malformed', reason, `Have people.${person}.key in holdpoint.yaml corrected; \`holdpoint keys create\` makes one.`);
  }
  const token = readToken(jws, person);
  if ('code' in token) return token;
  const { header, payload, signature, signed } = token;
  if (!isSignedWith(key, signature, signed)) {
    const reason = `The signature does not match the key of ${person}: another key made it, or the statement was changed after signing.`;
    return refused('signature-forged', reason, `Have ${person} sign again, with the key that holdpoint.yaml names for them.`);
  }
  return headerProblem(header, person) ?? readClaims(payload, expected);
}

interface Token {
  header: Record<string, unknown>;
  payload: Uint8Array;
  signature: Uint8Array;
  /** What the signature is over. */
  signed: Uint8Array;
}

/** Reads the one form of a JWS that is accepted (RFC 7515, compact): nothing in its header may change how it is verified. */
function readToken(jws: string, person: string): Token | VerificationRefusal {
  const parts = jws.split('.');
  const [head, payload, signature] = parts.map(bytesOfBase64url);
  const header = head && parseJson(head);
  if (parts.length !== 3 || !payload || !signature || !isObject(header)) return unreadable(person, 'it is no compact JWS');
  if (header.alg !== statementAlgorithm) {
    const reason = `The statement of ${person} is not signed with ${statementAlgorithm}, the only algorithm that is accepted.`;
    return refused('algorithm-refused', reason, 'Sign with `holdpoint`.');
  }
  if ('crit' in header || 'b64' in header) return unreadable(person, 'its header asks for an extension');
  return { header, payload, signature, signed: utf8ToBytes(parts.slice(0, 2).join('.')) };
}

/** Whether a signature over some bytes was made with an Ed25519 key. */
export function isSignedWith(key: Uint8Array, signature: Uint8Array, signed: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false;
  try {
    // As RFC 8032 has it: no points of small order, no second spelling of a point.
    return verify(signature, signed, key, { zip215: false });
  } catch {
    return false;
  }
}

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

function readClaims(payload: Uint8Array, expected: ExpectedStatement): VerificationResult {
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

/** The bytes of a text in base64url; undefined where it is not the one way to write them, so that equal bytes are equal texts. */
export function bytesOfBase64url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (const character of text) {
    bits = (bits << 6) | base64urlAlphabet.indexOf(character);
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length++] = (bits >> bitCount) & 255;
    bits &= (1 << bitCount) - 1;
  }
  return base64urlOf(bytes) === text ? bytes : undefined;
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
