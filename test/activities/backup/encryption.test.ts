import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { decrypt, encrypt } from '../../../activities/backup/encryption.ts';

const key = randomBytes(32);
const header = { key: { file: 'k' }, statement: 'sha256:1' };
const chunkBytes = 1024 * 1024;

async function* inPieces(bytes: Buffer, pieceBytes = 70_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const sealed = (bytes: Buffer): Promise<Buffer> => collect(encrypt(inPieces(bytes), key, header));
const opened = (bytes: Buffer, withKey = key): Promise<Buffer> => collect(decrypt(inPieces(bytes), async () => withKey));

test.each([0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 2 * chunkBytes + 5])('%d bytes come back', async (length) => {
  const bytes = randomBytes(length);
  const file = await sealed(bytes);
  if (length > 16) expect(file.includes(bytes.subarray(0, 16))).toBe(false);
  expect((await opened(file)).equals(bytes)).toBe(true);
});

test('the same bytes are another file each time', async () => {
  const bytes = Buffer.from('the same');
  expect((await sealed(bytes)).equals(await sealed(bytes))).toBe(false);
});

describe('a file that is not what was written is refused', () => {
  test('with any single bit flipped', async () => {
    const file = await sealed(randomBytes(300));
    for (let at = 0; at < file.length; at++) {
      const flipped = Buffer.from(file);
      flipped[at]! ^= 1 << (at % 8);
      await expect(opened(flipped)).rejects.toMatchObject({ name: 'EncryptionDamage' });
    }
  });

  test('cut anywhere', async () => {
    const file = await sealed(randomBytes(200));
    for (let length = 0; length < file.length; length++) {
      await expect(opened(file.subarray(0, length))).rejects.toMatchObject({ name: 'EncryptionDamage' });
    }
  });

  test.each<[string, (file: Buffer) => Buffer, RegExp]>([
    ['cut between two parts', (file) => file.subarray(0, file.length - (5 + 16 + 4)), /truncated/],
    ['followed by something', (file) => Buffer.concat([file, Buffer.from('x')]), /something follows its end/],
    ['twice in a row', (file) => Buffer.concat([file, file]), /something follows its end/],
    ['empty', () => Buffer.alloc(0), /it is empty/],
    ['of another kind', () => Buffer.from('PK\u0003\u0004 an archive of another program'), /not a backup of Holdpoint/],
    [
      'of a newer version',
      (file) => Buffer.from(file.toString('latin1').replace('HPBACKUP1', 'HPBACKUP2'), 'latin1'),
      /or of a newer version/,
    ],
  ])('%s', async (_title, change, message) => {
    const file = await sealed(Buffer.concat([randomBytes(chunkBytes), Buffer.from('12345')]));
    await expect(opened(change(file))).rejects.toThrow(message);
  });

  test('with two of its parts in another order', async () => {
    const file = await sealed(randomBytes(3 * chunkBytes));
    const part = 4 + chunkBytes + 16;
    const start = file.length - 3 * part;
    const [one, two, rest] = [
      file.subarray(start, start + part),
      file.subarray(start + part, start + 2 * part),
      file.subarray(start + 2 * part),
    ];
    await expect(opened(Buffer.concat([file.subarray(0, start), two, one, rest]))).rejects.toThrow(/its part 1 was changed/);
  });

  test('with another key', async () => {
    await expect(opened(await sealed(randomBytes(10)), randomBytes(32))).rejects.toThrow(/encrypted with another key/);
  });
});
