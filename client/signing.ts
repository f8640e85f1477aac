import { algorithmOf, checkWithKey, textOfKey, type PersonKey } from '../domain/approval/keys.ts';
import { encodeSshSignature } from '../domain/approval/sshsig.ts';
import { ToldError } from '../domain/errors.ts';
import { bytesToSign, signedWith, statementCharactersMax, type Statement, type StatementAlgorithm } from '../domain/approval/statement.ts';

/** An Ed25519 signature (RFC 8032). */
const ed25519Bytes = 64;

const signatureBytes: Record<StatementAlgorithm, number> = {
  EdDSA: ed25519Bytes,
  SSHSIG: encodeSshSignature({ key: new Uint8Array(32), hash: 'sha512', signature: new Uint8Array(ed25519Bytes) }).length,
};

/**
 * Whatever signs for a person: a key file, an SSH agent. A browser does by itself, see domain/approval/passkey.ts. What is sent does not
 * depend on which.
 */
export interface Signer {
  person: string;
  /** As records keep it: `11qYAYKx…` or `ssh-ed25519 AAAA…`. */
  publicKey: string;
  /** Gives the signed statement as it is sent. Throws KeyError where it cannot be signed, or is another person's. */
  sign(statement: Statement): Promise<string>;
}

/** Why a key cannot be made or used. Neither message nor remedy ever quotes what is in a key file or what an agent has answered. */
export class KeyError extends ToldError {
  override readonly name = 'KeyError';

  constructor(message: string, remedy: string) {
    super('key-unusable', message, remedy);
  }
}

/**
 * A signer out of whatever signs bytes with an Ed25519 key.
 *
 * @param publicKey the `x` of the JWK, base64url.
 */
export function ed25519Signer(person: string, publicKey: string, signBytes: (bytes: Uint8Array) => Promise<Uint8Array>): Signer {
  return signerWith(person, { type: 'ed25519', key: publicKey }, signBytes);
}

/**
 * A signer out of whatever makes the signatures of a key's type. Each signature is checked before it is used, so that a fault of what
 * holds the key is told here and not by a worker.
 *
 * @param makeSignature of the bytes that are given: 64 bytes of Ed25519, or an SSH signature.
 */
export function signerWith(person: string, key: PersonKey, makeSignature: (bytes: Uint8Array) => Promise<Uint8Array>): Signer {
  const algorithm = algorithmOf(key);
  if (!algorithm) throw new KeyError(`A passkey of ${person} signs in a browser only.`, 'Sign on the page of the console.');
  return {
    person,
    publicKey: textOfKey(key) ?? key.key,
    sign: async (statement) => {
      if (statement.person !== person) {
        throw new KeyError(`The statement is from ${statement.person}, but the key belongs to ${person}.`, 'Sign with your own key.');
      }
      const charactersCount = signedWith(statement, new Uint8Array(signatureBytes[algorithm]), algorithm).length;
      if (charactersCount > statementCharactersMax) {
        throw new KeyError(
          `The signed statement would have ${charactersCount} characters; at most ${statementCharactersMax} are accepted.`,
          'Give a shorter reason.',
        );
      }
      const bytes = bytesToSign(statement, algorithm);
      const signature = await makeSignature(bytes);
      if (checkWithKey(key, signature, bytes) === 'holds') return signedWith(statement, signature, algorithm);
      throw new KeyError(`What holds the key of ${person} has made a signature that does not fit the key.`, 'Sign with another key.');
    },
  };
}
