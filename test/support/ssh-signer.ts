import { generateKeyPairSync, sign } from 'node:crypto';
import { signerWith, type Signer } from '../../client/signing.ts';
import type { PersonKey } from '../../domain/approval/keys.ts';
import { bytesForSsh, encodeSshSignature, sshHashDefault, sshLineOf } from '../../domain/approval/sshsig.ts';

/** A new SSH key of somebody, and what signs with it as `ssh-keygen -Y sign` does. */
export function newSshSigner(person: string): { key: PersonKey; signer: Signer } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const key: PersonKey = { type: 'ssh', key: `${sshLineOf(bytes)} ${person}@laptop` };
  const signer = signerWith(person, key, async (message) =>
    encodeSshSignature({ key: bytes, hash: sshHashDefault, signature: sign(null, bytesForSsh(message), privateKey) }),
  );
  return { key, signer };
}
