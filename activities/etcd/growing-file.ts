import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import type { FileDigest } from '../../domain/backup/manifest.ts';
import { waitOrStop } from '../action.ts';

/** The SHA-256 of all bytes before it, at the end of a snapshot. */
export const checksumBytes = 32;
const pieceBytes = 1024 * 1024;
const lookMs = 20;
/** Whoever watches is told no more often than this. */
const tellMs = 500;

/** A file has not grown for too long. */
export class FileStalled extends Error {
  override readonly name = 'FileStalled';
}

/** What is followed, until when. */
export interface Following {
  /** It need not be there yet. */
  file: string;
  /** Gets the same bytes. */
  copy: string;
  stallTimeoutMs: number;
  /** Aborted when the file is whole: what is left of it is read then. */
  over: AbortSignal;
  /** Told how long the file is by now. */
  onBytes: (bytes: number) => void;
}

/** The digest of what was read, and whether its last bytes are the SHA-256 of those before them. */
export interface CheckedDigest {
  digest: FileDigest;
  isChecked: boolean;
}

/**
 * Reads a file while another program writes it, so that digest and copy are there as soon as it is. Of a file that was never there, nothing
 * is read. Throws FileStalled.
 */
export async function followFile({ file, copy, stallTimeoutMs, over, onBytes }: Following): Promise<CheckedDigest> {
  const digest = new ChecksumReader();
  const piece = Buffer.allocUnsafe(pieceBytes);
  let source: FileHandle | undefined;
  const target = await open(copy, 'w', 0o600);
  let grownAtMs = performance.now();
  let toldAtMs = 0;
  try {
    for (;;) {
      // Looked at before the file is, so that nothing which was written until then is left.
      const isOver = over.aborted;
      source ??= await openRegular(file);
      const bytesRead = source ? (await source.read(piece, 0, pieceBytes, digest.bytes)).bytesRead : 0;
      const nowMs = performance.now();
      if (bytesRead > 0) {
        const read = piece.subarray(0, bytesRead);
        digest.update(read);
        await target.writeFile(read);
        grownAtMs = nowMs;
      } else if (isOver) return digest.end();
      else if (nowMs - grownAtMs >= stallTimeoutMs) throw new FileStalled(file);
      else await waitOrStop(Math.min(lookMs, stallTimeoutMs), over);
      if (nowMs - toldAtMs >= tellMs) {
        toldAtMs = nowMs;
        onBytes(digest.bytes);
      }
    }
  } finally {
    await source?.close();
    await target.close();
  }
}

/** Undefined where there is none yet, or something else than a file: a device may have no end. */
async function openRegular(file: string): Promise<FileHandle | undefined> {
  const isRegular = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
  return isRegular ? open(file, 'r').catch(() => undefined) : undefined;
}

/** Reads a whole file for its digest. */
export async function digestOfFile(file: string): Promise<CheckedDigest> {
  const digest = new ChecksumReader();
  for await (const chunk of createReadStream(file, { highWaterMark: pieceBytes })) digest.update(chunk as Buffer);
  return digest.end();
}

/** Hashes bytes as they come, the last ones apart, as it is known only at the end which those are. */
class ChecksumReader {
  bytes = 0;
  private readonly body: Hash = createHash('sha256');
  private tail = Buffer.alloc(0);

  update(piece: Buffer): void {
    this.bytes += piece.length;
    const all = piece.length >= checksumBytes ? piece : Buffer.concat([this.tail, piece]);
    if (all === piece) this.body.update(this.tail);
    const cut = Math.max(0, all.length - checksumBytes);
    this.body.update(all.subarray(0, cut));
    // A copy: the piece is filled anew.
    this.tail = Buffer.from(all.subarray(cut));
  }

  end(): CheckedDigest {
    const whole = this.body.copy().update(this.tail);
    const isChecked = this.tail.length === checksumBytes && this.body.digest().equals(this.tail);
    return { digest: { sha256: `sha256:${whole.digest('hex')}`, bytes: this.bytes }, isChecked };
  }
}
