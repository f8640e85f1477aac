import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { KMSClient } from '@aws-sdk/client-kms';
import { HoldpointError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { BackupKey } from '../../runbooks/configuration/backups.ts';
import { readSecret, SecretError } from '../secret.ts';
import { withoutCredentials } from '../secrets.ts';

const keyBytes = 32;
const wrapNonceBytes = 12;
const wrapTagBytes = 16;
const wrapCipher = 'aes-256-gcm';
const wrapPurpose = Buffer.from('holdpoint.dev/backup-key/v1');
const fingerprintDigits = 16;
const requestTimeoutMs = 10_000;
const encryptionContext = { purpose: 'holdpoint.dev/etcd-backup' };

/** What makes and opens the data keys of backups. Keys are held in the memory only, for as long as a backup takes. */
export interface KeyKeeper {
  /** A fingerprint, or the ARN of a key of KMS; it is no secret. */
  id: string;
  /** A new data key, in clear and wrapped. Throws HoldpointError `backup-key-unusable`. */
  create(): Promise<{ dataKey: Uint8Array; wrapped: JsonObject }>;
  /** The data key of a backup. Throws HoldpointError `backup-key-unusable`. */
  open(wrapped: JsonObject): Promise<Uint8Array>;
}

/** Opens the key that the configuration names. Throws HoldpointError `backup-key-unusable`. */
export async function openKeyKeeper(key: BackupKey): Promise<KeyKeeper> {
  return 'file' in key ? openKeyFile(key.file) : openKmsKey(key);
}

function unusable(key: string, cause: string): HoldpointError {
  // Without the error that it came from: that may hold what the message must not.
  return new HoldpointError('backup-key-unusable', { key, cause });
}

async function openKeyFile(file: string): Promise<KeyKeeper> {
  const text = await readSecret({ file }).catch((error: unknown) => {
    throw error instanceof SecretError ? unusable(file, error.message) : error;
  });
  const master = Buffer.from(text, 'base64');
  if (master.length !== keyBytes || master.toString('base64') !== text) throw unusable(file, `it must hold ${keyBytes} bytes in base64`);
  const id = createHash('sha256').update(wrapPurpose).update(master).digest('hex').slice(0, fingerprintDigits);
  return {
    id,
    create: async () => {
      const dataKey = randomBytes(keyBytes);
      const nonce = randomBytes(wrapNonceBytes);
      const sealing = createCipheriv(wrapCipher, master, nonce).setAAD(wrapPurpose);
      const sealed = Buffer.concat([nonce, sealing.update(dataKey), sealing.final(), sealing.getAuthTag()]);
      return { dataKey, wrapped: { file: id, dataKey: sealed.toString('base64') } };
    },
    open: async ({ file: made, dataKey }) => {
      if (made !== id)
        throw unusable(
          file,
          `the backup was made with ${typeof made === 'string' ? `the key ${made}` : 'another kind of key'}, not with ${id}`,
        );
      const sealed = bytesOf(dataKey);
      if (sealed.length !== wrapNonceBytes + keyBytes + wrapTagBytes) throw unusable(file, 'the data key of the backup is damaged');
      const opening = createDecipheriv(wrapCipher, master, sealed.subarray(0, wrapNonceBytes)).setAAD(wrapPurpose);
      opening.setAuthTag(sealed.subarray(-wrapTagBytes));
      try {
        return Buffer.concat([opening.update(sealed.subarray(wrapNonceBytes, -wrapTagBytes)), opening.final()]);
      } catch {
        throw unusable(file, 'the data key of the backup was changed');
      }
    },
  };
}

/** A wrapped key as it stands in a header; nothing where there is none. */
function bytesOf(wrapped: Json | undefined): Buffer {
  return Buffer.from(typeof wrapped === 'string' ? wrapped : '', 'base64');
}

async function openKmsKey({ kmsKey, region }: { kmsKey: string; region: string }): Promise<KeyKeeper> {
  const { DecryptCommand, GenerateDataKeyCommand, KMSClient: Client } = await import('@aws-sdk/client-kms');
  const client: KMSClient = new Client({ region, requestHandler: { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true } });
  const refused = (error: unknown): never => {
    throw unusable(
      kmsKey,
      withoutCredentials(error instanceof Error ? `${error.name}: ${error.message}` : String(error)).replace(/\.$/, ''),
    );
  };
  return {
    id: kmsKey,
    create: async () => {
      const command = new GenerateDataKeyCommand({ KeyId: kmsKey, KeySpec: 'AES_256', EncryptionContext: encryptionContext });
      const { Plaintext, CiphertextBlob } = await client.send(command).catch(refused);
      if (Plaintext?.length !== keyBytes || !CiphertextBlob) throw unusable(kmsKey, 'KMS gave no data key');
      return { dataKey: Plaintext, wrapped: { kms: kmsKey, dataKey: Buffer.from(CiphertextBlob).toString('base64') } };
    },
    open: async ({ kms, dataKey }) => {
      if (kms !== kmsKey) throw unusable(kmsKey, `the backup was made with ${typeof kms === 'string' ? kms : 'another kind of key'}`);
      const CiphertextBlob = bytesOf(dataKey);
      const command = new DecryptCommand({ KeyId: kmsKey, CiphertextBlob, EncryptionContext: encryptionContext });
      const { Plaintext } = await client.send(command).catch(refused);
      if (Plaintext?.length !== keyBytes) throw unusable(kmsKey, 'KMS gave no data key');
      return Plaintext;
    },
  };
}
