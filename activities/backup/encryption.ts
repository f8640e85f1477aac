import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { isObject, parseJson, type JsonObject } from '../../domain/json.ts';

const magic = Buffer.from('HPBACKUP1\n');
const cipher = 'aes-256-gcm';
const chunkBytes = 1024 * 1024;
const tagBytes = 16;
const lengthBytes = 4;
const headerBytesMax = 16 * 1024;
const noncePrefixBytes = 7;
const noncePattern = /^[A-Za-z0-9+/]{10}==$/;
const lastBit = 0x8000_0000;
const chunksMax = 0xffff_ffff;

/** What stands in front of the encrypted chunks, in clear and authenticated. */
export interface EncryptionHeader {
  /** The data key, wrapped by whatever keeps keys. */
  key: JsonObject;
  /** Digest of what the backup states of itself. */
  statement: string;
}

/** Why an encrypted file is not what was written; the message is half a sentence. */
export class EncryptionDamage extends Error {
  override readonly name = 'EncryptionDamage';
}

/**
 * Encrypts a stream with AES-256-GCM in chunks of 1 MiB, each authenticated with its place, with whether it is the last one, and with the
 * header (the STREAM construction). A data key must serve one file only: its nonces are counted.
 */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  dataKey: Uint8Array,
  { key, statement }: EncryptionHeader,
): AsyncGenerator<Uint8Array> {
  const prefix = randomBytes(noncePrefixBytes);
  const header = Buffer.from(JSON.stringify({ key, statement, nonce: prefix.toString('base64') }));
  if (header.length > headerBytesMax) throw new RangeError('the header of an encrypted file is too long');
  const start = Buffer.concat([magic, lengthOf(header.length), header]);
  const bound = createHash('sha256').update(start).digest();
  yield start;
  let index = 0;
  const seal = (chunk: Uint8Array, isLast: boolean): Buffer => {
    if (index > chunksMax) throw new RangeError('the file has too many chunks');
    const sealing = createCipheriv(cipher, dataKey, nonceOf(prefix, index, isLast)).setAAD(bound);
    index += 1;
    const sealed = Buffer.concat([sealing.update(chunk), sealing.final(), sealing.getAuthTag()]);
    // The last bit tells the reader where to stop; it is proven by the nonce.
    return Buffer.concat([lengthOf((isLast ? lastBit : 0) + chunk.length), sealed]);
  };
  const reader = new ChunkReader(source);
  for (let chunk = await reader.upTo(chunkBytes); ;) {
    const next = chunk.length < chunkBytes ? undefined : await reader.upTo(chunkBytes);
    const isLast = next === undefined || next.length === 0;
    yield seal(chunk, isLast);
    if (isLast) return;
    chunk = next;
  }
}

/**
 * Decrypts what `encrypt` has made. What has come counts only once the stream has ended. Throws EncryptionDamage where the file is
 * truncated, changed anywhere, followed by something, or encrypted with another key; and what `openKey` throws.
 */
export async function* decrypt(
  source: AsyncIterable<Uint8Array>,
  openKey: (header: EncryptionHeader) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const reader = new ChunkReader(source);
  const begin = await reader.upTo(magic.length + lengthBytes);
  if (begin.length === 0) throw new EncryptionDamage('it is empty');
  if (begin.length < magic.length + lengthBytes || !begin.subarray(0, magic.length).equals(magic)) {
    throw new EncryptionDamage('it is not a backup of Holdpoint, or of a newer version');
  }
  const headerLength = begin.readUInt32BE(magic.length);
  if (headerLength > headerBytesMax) throw new EncryptionDamage('its header is damaged');
  const headerText = await reader.exactly(headerLength);
  const { header, prefix } = readHeader(headerText);
  const bound = createHash('sha256').update(begin).update(headerText).digest();
  const dataKey = await openKey(header);
  for (let index = 0; ; index++) {
    const length = (await reader.exactly(lengthBytes)).readUInt32BE(0);
    const isLast = length >= lastBit;
    const bytes = isLast ? length - lastBit : length;
    if (bytes > chunkBytes) throw new EncryptionDamage(`its part ${index + 1} is damaged`);
    const sealed = await reader.exactly(bytes + tagBytes);
    const opening = createDecipheriv(cipher, dataKey, nonceOf(prefix, index, isLast)).setAAD(bound);
    opening.setAuthTag(sealed.subarray(bytes));
    let chunk: Buffer;
    try {
      chunk = Buffer.concat([opening.update(sealed.subarray(0, bytes)), opening.final()]);
    } catch {
      throw new EncryptionDamage(`its part ${index + 1} was changed, or is encrypted with another key`);
    }
    yield chunk;
    if (!isLast) continue;
    if ((await reader.upTo(1)).length > 0) throw new EncryptionDamage('something follows its end');
    return;
  }
}

function readHeader(text: Buffer): { header: EncryptionHeader; prefix: Buffer } {
  const value = parseJson(text);
  if (!isObject(value) || !isObject(value.key) || typeof value.statement !== 'string' || typeof value.nonce !== 'string') {
    throw new EncryptionDamage('its header is damaged');
  }
  if (!noncePattern.test(value.nonce)) throw new EncryptionDamage('its header is damaged');
  return { header: { key: value.key, statement: value.statement }, prefix: Buffer.from(value.nonce, 'base64') };
}

function nonceOf(prefix: Buffer, index: number, isLast: boolean): Buffer {
  return Buffer.concat([prefix, lengthOf(index), Buffer.from([isLast ? 1 : 0])]);
}

function lengthOf(value: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Reads a stream in pieces of a given length. */
class ChunkReader {
  private readonly source: AsyncIterator<Uint8Array>;
  private held: Buffer[] = [];
  private heldBytes = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** Fewer bytes only where the stream ends. */
  async upTo(length: number): Promise<Buffer> {
    while (this.heldBytes < length) {
      const next = await this.source.next();
      if (next.done === true) break;
      this.held.push(Buffer.from(next.value));
      this.heldBytes += next.value.length;
    }
    const all = Buffer.concat(this.held);
    this.held = [all.subarray(length)];
    this.heldBytes = Math.max(0, all.length - length);
    return all.subarray(0, length);
  }

  async exactly(length: number): Promise<Buffer> {
    const bytes = await this.upTo(length);
    if (bytes.length < length) throw new EncryptionDamage('it is truncated');
    return bytes;
  }
}
