import { sha256 } from '@noble/hashes/sha2.js';
import { base64Of, base64urlOf, bytesOfBase64url } from '../base64.ts';
import { timeMsOf } from '../time.ts';
import { isEd25519 } from './ed25519.ts';
import { readPasskey, spkiOf, textOfPasskey } from './passkey.ts';
import { bytesForSsh, decodeSshSignature, readSshLine, sshKeyBlob, sshLineOf } from './sshsig.ts';
import type { StatementAlgorithm } from './statement.ts';

const publicKeyBytes = 32;

/** Whether a signature is that of a key: it holds, it does not, or it is none that can be read. */
type Finding = 'holds' | 'forged' | { wrong: string };

/** A public key that was read: what it is made of, and its one spelling, without a comment. */
interface ReadKey {
  bytes: Uint8Array;
  text: string;
}

/** What is to be known of a type of key. */
interface KeyType {
  /** Undefined where the text is no key of this type. */
  read(text: string): ReadKey | undefined;
  /** How it signs statements as JWS. A passkey signs none, see passkey.ts. */
  jws?: {
    algorithm: StatementAlgorithm;
    check(signature: Uint8Array, signed: Uint8Array, key: Uint8Array): Finding;
  };
}

/**
 * The types of keys that people have, each with how it is written, how it signs, and how that is verified: this is the one list of them.
 * No text is a key of two types, so that the text alone, as records keep it, says what it is.
 */
const keyTypes = {
  /** The `x` of an Ed25519 JWK, base64url; signs the statement itself. */
  ed25519: {
    read: (text) => {
      const bytes = bytesOfBase64url(text);
      return bytes?.length === publicKeyBytes ? { bytes, text } : undefined;
    },
    jws: { algorithm: 'EdDSA', check: (signature, signed, key) => (isEd25519(signature, signed, key) ? 'holds' : 'forged') },
  },
  /** `ssh-ed25519 AAAA… comment`, as in `authorized_keys`; signs as `ssh-keygen -Y sign -n holdpoint` does. */
  ssh: {
    read: (text) => {
      const line = readSshLine(text);
      return line && { bytes: line.key, text: sshLineOf(line.key) };
    },
    jws: {
      algorithm: 'SSHSIG',
      check: (signature, signed, key) => {
        const read = decodeSshSignature(signature);
        if ('wrong' in read) return { wrong: `its SSH signature ${read.wrong}` };
        const isOfKey = base64urlOf(read.key) === base64urlOf(key);
        return isOfKey && isEd25519(read.signature, bytesForSsh(signed, read.hash), key) ? 'holds' : 'forged';
      },
    },
  },
  /** `passkey:ES256:device-bound:<host>:<credential>:<public key>`, as the console prints it; signs a challenge. */
  passkey: {
    read: (text) => {
      const passkey = readPasskey(text);
      return passkey && { bytes: passkey.publicKey, text: textOfPasskey(passkey) };
    },
  },
} as const satisfies Record<string, KeyType>;

export type KeyTypeName = keyof typeof keyTypes;

/** The names of the types of keys. */
export const keyTypeNames = Object.keys(keyTypes) as KeyTypeName[];

/** How many keys a person may have at a time: each is tried for a signature that names none. */
export const keysPerPersonMax = 8;

/** A public key of a person, and when it counts; times are ISO 8601, UTC. */
export interface PersonKey {
  type: KeyTypeName;
  /** As its type is written: `11qYAYKx…`, `ssh-ed25519 AAAA…` or `passkey:ES256:…`. */
  key: string;
  /** Of a passkey of holdpoint.yaml: the origins of the console. A key that a record names has none. */
  origins?: readonly string[];
  /** What was signed before this does not count. */
  from?: string;
  /** From this moment on the key does not count: somebody has another one by then. */
  until?: string;
  /** From this moment on nothing counts that was ever signed with it: it may be in the wrong hands. */
  revoked?: string;
}

/** The keys of somebody as holdpoint.yaml has them: one of type ed25519 that always counts, or several. */
export interface PersonKeys {
  key?: string;
  keys?: readonly PersonKey[];
}

/** People by id, with their keys, as a configuration has them. */
export type PeopleKeys = Readonly<Record<string, PersonKeys | undefined>>;

/** The keys of somebody, however they are written; none for nobody. */
export function keysOf(person: PersonKeys | undefined): readonly PersonKey[] {
  return person?.keys ?? (person?.key === undefined ? [] : [{ type: 'ed25519', key: person.key }]);
}

/** The key of which a record keeps the text; undefined where it is the text of no key. */
export function keyOfText(text: string): PersonKey | undefined {
  const type = keyTypeNames.find((name) => keyTypes[name].read(text) !== undefined);
  return type && { type, key: text };
}

/** How a key is written in records: its one spelling, without a comment. Undefined where it is no key of its type. */
export function textOfKey({ type, key }: PersonKey): string | undefined {
  return keyTypes[type].read(key)?.text;
}

/** The bytes of a key, whatever its type: two keys with the same ones have one owner. Undefined where it is no key of its type. */
export function bytesOfKey({ type, key }: PersonKey): Uint8Array | undefined {
  return keyTypes[type].read(key)?.bytes;
}

/**
 * How `ssh-keygen -l` calls a key, `SHA256:…`; of a passkey, the hash of its SubjectPublicKeyInfo. Undefined where it is no key of its
 * type.
 */
export function fingerprintOf(key: PersonKey): string | undefined {
  const passkey = key.type === 'passkey' ? readPasskey(key.key) : undefined;
  const bytes = bytesOfKey(key);
  return bytes && `SHA256:${base64Of(sha256(passkey ? spkiOf(passkey) : sshKeyBlob(bytes))).replace(/=+$/, '')}`;
}

/** How a statement is signed as JWS with a key; undefined for a passkey, which signs no JWS. */
export function algorithmOf({ type }: Pick<PersonKey, 'type'>): StatementAlgorithm | undefined {
  const { jws }: KeyType = keyTypes[type];
  return jws?.algorithm;
}

/** Whether a signature over bytes is that of a key; that of a passkey is for `passkeyProblem` to check. */
export function checkWithKey({ type, key }: PersonKey, signature: Uint8Array, signed: Uint8Array): Finding {
  const { jws }: KeyType = keyTypes[type];
  const found = keyTypes[type].read(key);
  return found && jws ? jws.check(signature, signed, found.bytes) : 'forged';
}

/** How a key stands at a moment. */
export type KeyState = 'good' | 'early' | 'over' | 'revoked';

/** How a key stands at a moment, in milliseconds since 1970. A time that is none makes the key count at no moment. */
export function stateOfKey({ from, until, revoked }: PersonKey, atMs: number): KeyState {
  const ms = (time: string | undefined, otherwise: number): number => (time === undefined ? otherwise : (timeMsOf(time) ?? NaN));
  if (!(atMs < ms(revoked, Infinity))) return 'revoked';
  if (!(atMs < ms(until, Infinity))) return 'over';
  return atMs >= ms(from, -Infinity) ? 'good' : 'early';
}
