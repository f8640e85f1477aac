import { createPublicKey, verify } from 'node:crypto';
import { ToldError } from '../domain/errors.ts';
import { bytesToSign, signedWith, statementCharactersMax, type Statement } from '../domain/approval/statement.ts';

/** An Ed25519 signature (RFC 8032). */
const signatureBytes = 64;

/** Whatever signs for a person: a key file, an SSH agent, later a browser. What is sent and verified does not depend on which. */
export interface Signer {
  person: string;
  /** `people.<person>.key` in holdpoint.yaml. */
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
 * A signer out of whatever signs bytes with an Ed25519 key. Each signature is checked before it is used, so that a fault of what holds
 * the key is told here and not by a worker.
 *
 * @param publicKey the `x` of the JWK, base64url.
 */
export function ed25519Signer(person: string, publicKey: string, signBytes: (bytes: Uint8Array) => Promise<Uint8Array>): Signer {
  return {
    person,
    publicKey,
    sign: async (statement) => {
      if (statement.person !== person) {
        throw new KeyError(`The statement is from ${statement.person}, but the key belongs to ${person}.`, 'Sign with your own key.');
      }
      const charactersCount = signedWith(statement, new Uint8Array(signatureBytes)).length;
      if (charactersCount > statementCharactersMax) {
        throw new KeyError(
          `The signed statement would have ${charactersCount} characters; at most ${statementCharactersMax} are accepted.`,
          'Give a shorter reason.',
        );
      }
      const bytes = bytesToSign(statement);
      const signature = await signBytes(bytes);
      const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
      if (verify(null, bytes, key, signature)) return signedWith(statement, signature);
      throw new KeyError(`What holds the key of ${person} has made a signature that does not fit the key.`, 'Sign with another key.');
    },
  };
}
