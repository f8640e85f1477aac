import { generateKeyPairSync, sign } from 'node:crypto';
import type { EntrySigner } from '../../activities/evidence/record.ts';

/** The key of a worker, as it signs the entries of records. */
export function newWorkerKey(): EntrySigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { publicKey: publicKey.export({ format: 'jwk' }).x ?? '', sign: (bytes) => sign(null, bytes, privateKey) };
}
