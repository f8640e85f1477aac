import { hashes, verify } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';

hashes.sha512 = sha512;

const signatureBytes = 64;

/** Whether a signature is that of an Ed25519 key (RFC 8032): no points of small order, no second spelling of a point or a number. */
export function isEd25519(signature: Uint8Array, signed: Uint8Array, key: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false;
  try {
    return verify(signature, signed, key, { zip215: false });
  } catch {
    return false;
  }
}
