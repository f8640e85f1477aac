import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { base64urlOf, bytesOfBase64url } from '../base64.ts';
import { isObject, parseJson } from '../json.ts';
import { isEd25519 } from './ed25519.ts';

/**
 * Passkeys: keys of phones, computers and tokens that a browser signs with (Web Authentication Level 3). They sign no text but a
 * challenge, so the challenge is the hash of the statement's bytes, and those travel along. Read in one spelling, as SSH signatures are.
 */

/** What a text begins with that a passkey has signed; a JWS begins otherwise, as its header is JSON. */
export const passkeyPrefix = 'hp-passkey';

/** What the hashed bytes begin with: a challenge that somebody else made, for a sign-in or an enrolment, is never that of a statement. */
const statementDomain = utf8ToBytes('holdpoint statement v1\n');
const enrolmentDomain = utf8ToBytes('holdpoint enrolment v1\n');

const hostPattern = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const originPattern = /^(https?):\/\/([a-z0-9.-]+)(?::[1-9][0-9]{0,4})?$/;
const keyPattern = /^passkey:(ES256|EdDSA):(device-bound|synced):([a-z0-9.-]+):([A-Za-z0-9_-]+):([A-Za-z0-9_-]+)$/;

/** An id has at most 1023 bytes (WebAuthn, section 4); those of authenticators in use have 16 to 96. */
const credentialBytesMax = 256;

/** RFC 5480 and RFC 8410: what stands before the bytes of a key in its SubjectPublicKeyInfo. */
const spkiHeads = {
  ES256: Uint8Array.from([48, 89, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7, 3, 66, 0]),
  EdDSA: Uint8Array.from([48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0]),
};
const keyBytes = { ES256: 65, EdDSA: 32 };

/** Where the parts of authenticatorData are (WebAuthn, section 6.1). */
const hostHashBytes = 32;
const authenticatorBytesMin = 37;
const flags = { userPresent: 0x01, userVerified: 0x04, backupEligible: 0x08, backedUp: 0x10 };

export type PasskeyAlgorithm = keyof typeof spkiHeads;

/** A passkey of somebody, as it stands in holdpoint.yaml and in records, in one text. */
export interface Passkey {
  algorithm: PasskeyAlgorithm;
  /** Whether it never leaves its device: such a one stays so for ever. */
  deviceBound: boolean;
  /** The host of the console, which alone can use it (the `rpId` of WebAuthn). */
  rpId: string;
  /** The id of the credential, base64url. */
  credential: string;
  /** The point of P-256, uncompressed, or the 32 bytes of Ed25519. */
  publicKey: Uint8Array;
}

/** What a browser gives for a challenge (`AuthenticatorAssertionResponse`). */
export interface Assertion {
  authenticatorData: Uint8Array;
  clientDataJSON: Uint8Array;
  signature: Uint8Array;
}

export type PasskeyCode =
  | 'passkey-unknown'
  | 'passkey-challenge-differs'
  | 'passkey-origin-differs'
  | 'passkey-framed'
  | 'passkey-user-not-verified'
  | 'passkey-flags-wrong';

/** What is wrong with what a passkey has signed: a code with a sentence's end, behind "The signature of ada", or what cannot be read. */
export type PasskeyProblem = { code: PasskeyCode; why: string } | { unreadable: string } | 'forged';

/** Whether a text can be the host of a console: its name in small letters, without a port. */
export function isHost(text: string): boolean {
  return hostPattern.test(text);
}

/** Whether a page of this origin may use the passkeys of a host: on that very host, by HTTPS but on one's own machine. */
export function isOriginOf(origin: string, rpId: string): boolean {
  const [, scheme, host] = originPattern.exec(origin) ?? [];
  return host === rpId && (scheme === 'https' || host === 'localhost');
}

/** Reads `passkey:ES256:device-bound:<host>:<credential>:<public key>`, the key as SubjectPublicKeyInfo; undefined for any other text. */
export function readPasskey(text: string): Passkey | undefined {
  const [, algorithm, kind, rpId = '', credential = '', spki = ''] = keyPattern.exec(text) ?? [];
  if (algorithm !== 'ES256' && algorithm !== 'EdDSA') return undefined;
  const id = bytesOfBase64url(credential);
  const publicKey = keyOfSpki(bytesOfBase64url(spki), algorithm);
  if (!publicKey || !id || id.length > credentialBytesMax || !isHost(rpId)) return undefined;
  return { algorithm, deviceBound: kind === 'device-bound', rpId, credential, publicKey };
}

function keyOfSpki(spki: Uint8Array | undefined, algorithm: PasskeyAlgorithm): Uint8Array | undefined {
  const head = spkiHeads[algorithm];
  if (spki?.length !== head.length + keyBytes[algorithm] || !head.every((byte, place) => spki[place] === byte)) return undefined;
  const key = spki.subarray(head.length);
  return algorithm === 'EdDSA' || p256.utils.isValidPublicKey(key, false) ? key : undefined;
}

/** The public key of a passkey as SubjectPublicKeyInfo (DER), which `openssl` reads. */
export function spkiOf({ algorithm, publicKey }: Pick<Passkey, 'algorithm' | 'publicKey'>): Uint8Array {
  return concatBytes(spkiHeads[algorithm], publicKey);
}

/** A passkey as the text that `readPasskey` reads. */
export function textOfPasskey(passkey: Passkey): string {
  const { algorithm, deviceBound, rpId, credential } = passkey;
  return ['passkey', algorithm, deviceBound ? 'device-bound' : 'synced', rpId, credential, base64urlOf(spkiOf(passkey))].join(':');
}

/** The challenge that is signed for a statement. */
export function challengeOf(statement: Uint8Array): Uint8Array {
  return sha256(concatBytes(statementDomain, statement));
}

/** The challenge with which somebody makes a passkey: it says for whom, where and when, and can be that of no statement. */
export function enrolmentChallenge({ person, rpId, at }: { person: string; rpId: string; at: string }): Uint8Array {
  return sha256(concatBytes(enrolmentDomain, utf8ToBytes(JSON.stringify({ at, person, rpId }))));
}

/**
 * A signed statement as it is sent and kept: six parts, each but the first in base64url. Of the two spellings that a signature of ES256
 * has, that with the smaller number is taken, whichever the authenticator has made.
 *
 * @throws Error where the signature of ES256 is none.
 */
export function signedByPasskey(
  statement: Uint8Array,
  { algorithm, credential }: Pick<Passkey, 'algorithm' | 'credential'>,
  { authenticatorData, clientDataJSON, signature }: Assertion,
): string {
  const spelled = algorithm === 'ES256' ? withLowS(signature) : signature;
  const [first, ...others] = [statement, authenticatorData, clientDataJSON, spelled].map(base64urlOf);
  return [passkeyPrefix, first, credential, ...others].join('.');
}

function withLowS(signature: Uint8Array): Uint8Array {
  const { r, s } = p256.Signature.fromBytes(signature, 'der');
  const { n } = p256.Point.CURVE();
  return s > n >> 1n ? new p256.Signature(r, n - s).toBytes('der') : signature;
}

/** A text that a passkey has signed, taken apart. */
export interface PasskeySignature extends Assertion {
  statement: Uint8Array;
  credential: string;
}

/** Takes a signed text apart; undefined where it is not six parts in their one spelling. */
export function readPasskeySignature(text: string): PasskeySignature | undefined {
  const [prefix, ...parts] = text.split('.');
  const [statement, credential, authenticatorData, clientDataJSON, signature] = parts.map(bytesOfBase64url);
  if (prefix !== passkeyPrefix || parts.length !== 5) return undefined;
  if (!statement || !credential || !authenticatorData || !clientDataJSON || !signature) return undefined;
  return { statement, credential: base64urlOf(credential), authenticatorData, clientDataJSON, signature };
}

/** The bytes that the authenticator has signed (WebAuthn, section 6.3.3). */
export function bytesSignedByPasskey({ authenticatorData, clientDataJSON }: Omit<Assertion, 'signature'>): Uint8Array {
  return concatBytes(authenticatorData, sha256(clientDataJSON));
}

/** The origin of the page that has asked for a signature; undefined where it cannot be read. */
export function originOf({ clientDataJSON }: Pick<Assertion, 'clientDataJSON'>): string | undefined {
  const client = parseJson(clientDataJSON);
  return isObject(client) && typeof client.origin === 'string' ? client.origin : undefined;
}

/**
 * What is wrong with a signature of a passkey, or undefined where it holds (WebAuthn, section 7.2, as far as it is about one signature).
 * The counter is not looked at: many authenticators always say 0.
 *
 * @param origins where the console is; every origin of the passkey's host where it is left out, as for a key of a record.
 */
export function passkeyProblem(signed: PasskeySignature, passkey: Passkey, origins?: readonly string[]): PasskeyProblem | undefined {
  return (
    clientProblem(signed, passkey, origins) ?? authenticatorProblem(signed, passkey) ?? (holds(signed, passkey) ? undefined : 'forged')
  );
}

function clientProblem(signed: PasskeySignature, { rpId }: Passkey, origins?: readonly string[]): PasskeyProblem | undefined {
  const client = parseJson(signed.clientDataJSON);
  if (!isObject(client)) return { unreadable: 'its client data are no JSON' };
  // Another type is signed where a passkey is made, or a payment confirmed.
  if (client.type !== 'webauthn.get') return { unreadable: 'its client data are not of the type "webauthn.get"' };
  if (client.challenge !== base64urlOf(challengeOf(signed.statement))) {
    return { code: 'passkey-challenge-differs', why: 'is over another challenge than that of the statement' };
  }
  const { origin } = client;
  const isKnown = typeof origin === 'string' && isOriginOf(origin, rpId) && (origins?.includes(origin) ?? true);
  if (!isKnown) return { code: 'passkey-origin-differs', why: `was made on the page ${quoted(origin)}, which is not the console` };
  if (client.crossOrigin === true || client.topOrigin !== undefined) {
    return { code: 'passkey-framed', why: 'was made in a page within a page of somebody else' };
  }
  return undefined;
}

function authenticatorProblem({ authenticatorData }: PasskeySignature, { rpId, deviceBound }: Passkey): PasskeyProblem | undefined {
  if (authenticatorData.length < authenticatorBytesMin) return { unreadable: 'its authenticator data are too short' };
  if (base64urlOf(authenticatorData.subarray(0, hostHashBytes)) !== base64urlOf(sha256(utf8ToBytes(rpId)))) {
    return { code: 'passkey-origin-differs', why: `was made for another host than ${rpId}` };
  }
  const has = (flag: number): boolean => ((authenticatorData[hostHashBytes] ?? 0) & flag) !== 0;
  if (!has(flags.userVerified)) {
    return { code: 'passkey-user-not-verified', why: 'was made without a PIN, a fingerprint or a face' };
  }
  const wrong = (why: string): PasskeyProblem => ({ code: 'passkey-flags-wrong', why });
  if (!has(flags.userPresent)) return wrong('was made with nobody present');
  if (has(flags.backedUp) && !has(flags.backupEligible)) return wrong('says that the passkey is backed up and cannot be');
  if (deviceBound && has(flags.backupEligible))
    return wrong('is of a passkey that can be copied, and it was enrolled as bound to one device');
  if (!deviceBound && !has(flags.backupEligible)) return wrong('is of a passkey bound to one device, and it was enrolled as synced');
  return undefined;
}

function holds(signed: PasskeySignature, { algorithm, publicKey }: Passkey): boolean {
  const bytes = bytesSignedByPasskey(signed);
  if (algorithm === 'EdDSA') return isEd25519(signed.signature, bytes, publicKey);
  try {
    // The other spelling of a signature would be a second text for the same approval, which whoever has seen the first could make.
    return p256.verify(signed.signature, bytes, publicKey, { prehash: true, lowS: true, format: 'der' });
  } catch {
    return false;
  }
}

function quoted(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 120) ?? 'of no name';
}
