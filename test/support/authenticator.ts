import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import type { Signer } from '../../client/signing.ts';
import type { PersonKey } from '../../domain/approval/keys.ts';
import {
  challengeOf,
  signedByPasskey,
  textOfPasskey,
  type Assertion,
  type Passkey,
  type PasskeyAlgorithm,
} from '../../domain/approval/passkey.ts';
import { bytesOfStatement } from '../../domain/approval/statement.ts';

/** What an authenticator says, and the browser around it; for tests that have it say something else. */
export interface AssertionOptions {
  type?: string;
  challenge?: string;
  origin?: string;
  rpId?: string;
  /** The flags of authenticatorData; what a passkey of its kind says where left out. */
  flags?: number;
  /** Further members of the client data. */
  client?: object;
}

export const consoleHost = 'holdpoint.example.com';
export const consoleOrigin = `https://${consoleHost}`;

/** A passkey with its private key, as a browser and an authenticator use it together. */
export interface SoftwarePasskey {
  passkey: Passkey;
  key: PersonKey;
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** What `navigator.credentials.get` gives for a challenge. */
  assert(challenge: Uint8Array, options?: AssertionOptions): Assertion;
  /** Signs statements of a person as the console does. */
  signer(person: string): Signer;
}

function sha256(bytes: Uint8Array | string): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** A new passkey of the console at `consoleOrigin`. */
export function newPasskey(algorithm: PasskeyAlgorithm = 'ES256', { deviceBound = true, rpId = consoleHost } = {}): SoftwarePasskey {
  const { privateKey, publicKey } =
    algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const bytes = algorithm === 'ES256' ? spki.subarray(-65) : spki.subarray(-32);
  const passkey: Passkey = { algorithm, deviceBound, rpId, credential: randomBytes(16).toString('base64url'), publicKey: bytes };
  const assert = (challenge: Uint8Array, options: AssertionOptions = {}): Assertion => {
    const { type = 'webauthn.get', origin = consoleOrigin, flags = deviceBound ? 0x05 : 0x1d, client = {} } = options;
    const wanted = options.challenge ?? Buffer.from(challenge).toString('base64url');
    const clientDataJSON = Buffer.from(JSON.stringify({ type, challenge: wanted, origin, crossOrigin: false, ...client }));
    const authenticatorData = Buffer.concat([sha256(options.rpId ?? rpId), Buffer.of(flags, 0, 0, 0, 7)]);
    const signature = sign(algorithm === 'ES256' ? 'sha256' : null, Buffer.concat([authenticatorData, sha256(clientDataJSON)]), privateKey);
    return { authenticatorData, clientDataJSON, signature };
  };
  const signer = (person: string): Signer => ({
    person,
    publicKey: textOfPasskey(passkey),
    sign: async (statement) => {
      const signed = bytesOfStatement(statement);
      return signedByPasskey(signed, passkey, assert(challengeOf(signed)));
    },
  });
  const key: PersonKey = { type: 'passkey', key: textOfPasskey(passkey), origins: [consoleOrigin] };
  return { passkey, key, privateKey, publicKey, assert, signer };
}
