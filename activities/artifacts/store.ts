import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { HoldpointError } from '../../domain/errors.ts';
import { writeUnfinished } from '../storage/new-file.ts';
import type { Trouble } from '../storage/objects.ts';

/** How large an artifact may be: more than any snapshot of etcd, and within what S3 takes in parts. */
export const artifactBytesMax = 64 * 1024 ** 3;

const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** What is known of a large file that is kept: all of it that enters Temporal. */
export interface Artifact {
  /** `sha256:<hex>` over its bytes, which it is kept under. */
  sha256: string;
  bytes: number;
  /** What people call it; it says nothing about where it is. */
  name?: string;
}

export interface PutOptions {
  name?: string;
  /** How many bytes it may have, if fewer than `artifactBytesMax`. */
  bytesMax?: number;
  /** Ends the work with the reason of the signal; nothing is left then. */
  signal?: AbortSignal;
}

/** A place for large files. They are streamed, so that none is ever in the memory as a whole. */
export interface ArtifactStore {
  /**
   * Keeps what comes from the source and returns once it is safe. Nobody sees a part of it; whoever was killed begins anew.
   * The same bytes again are the same artifact, and mend it where it was damaged.
   *
   * @throws HoldpointError `artifact-too-large`, `artifact-unwritable`; whatever the source throws.
   */
  put(source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<Artifact>;
  /**
   * Gives the bytes of an artifact. What has come counts only once the stream has ended: it ends with the error
   * `artifact-damaged` where they are not the ones that were kept, and `artifact-unreadable` where the place fails.
   *
   * @throws HoldpointError `artifact-damaged` where it is missing or has another size, `artifact-unreadable`.
   */
  open(artifact: Artifact): Promise<Readable>;
  /** Whether it is there with its size; its bytes are not read. Throws HoldpointError `artifact-unreadable`. */
  has(artifact: Artifact): Promise<boolean>;
  /** Removes it; nothing happens where it is not there. Throws HoldpointError `artifact-unwritable`. */
  remove(artifact: Artifact): Promise<void>;
}

/** A directory or a bucket that keeps files under the hex of their digest. */
export interface ArtifactPlace {
  /** The local directory in which files are until they are whole. */
  unfinishedRoot: string;
  /** Moves or copies a file that is whole to its name, in the place of what may have it. */
  keep(file: string, name: string, bytes: number, signal?: AbortSignal): Promise<void>;
  /** How many bytes are kept under a name; undefined where there is nothing. */
  sizeOf(name: string): Promise<number | undefined>;
  /** Begins to read; undefined where there is nothing. */
  open(name: string): Promise<{ bytes: number; stream: Readable } | undefined>;
  /** Removes what has the name, if anything has. */
  remove(name: string): Promise<void>;
  /** Where a person finds it. */
  pathOf(name: string): string;
  /** Reads an error that one of the others has thrown. */
  troubleOf(error: unknown): Trouble;
}

/** The rules of artifacts over a place that keeps them. */
export function createArtifactStore(place: ArtifactPlace): ArtifactStore {
  const trying = async <Result>(code: 'artifact-unwritable' | 'artifact-unreadable', path: string, work: () => Promise<Result>) => {
    try {
      return await work();
    } catch (error) {
      throw placeError(place, code, path, error);
    }
  };
  const where = ({ sha256 }: Artifact): { name: string; path: string } => {
    if (!digestPattern.test(sha256)) throw new RangeError(`${JSON.stringify(sha256.slice(0, 200))} is no SHA-256 digest`);
    const name = sha256.slice('sha256:'.length);
    return { name, path: place.pathOf(name) };
  };
  return {
    put: async (source, { name, bytesMax = artifactBytesMax, signal } = {}) => {
      const measured = new MeasuredSource(source, Math.min(bytesMax, artifactBytesMax), signal);
      const file = await writeUnfinished(place.unfinishedRoot, measured).catch((error: unknown) => {
        throw error === measured.failure ? error : placeError(place, 'artifact-unwritable', place.unfinishedRoot, error);
      });
      try {
        const { sha256, bytes } = measured.result();
        const key = where({ sha256, bytes });
        await trying('artifact-unwritable', key.path, () => place.keep(file, key.name, bytes, signal)).catch((error: unknown) => {
          // Whatever was made of an aborted request on the way here, it is the cancellation.
          signal?.throwIfAborted();
          throw error;
        });
        return { sha256, bytes, ...(name !== undefined && { name }) };
      } finally {
        await rm(file, { force: true }).catch(() => undefined);
      }
    },
    open: async (artifact) => {
      const { name, path } = where(artifact);
      const found = await trying('artifact-unreadable', path, () => place.open(name));
      if (found === undefined) throw damaged(path, 'it is missing');
      if (found.bytes !== artifact.bytes) {
        found.stream.destroy();
        throw damaged(path, `it has ${found.bytes} bytes and should have ${artifact.bytes}`);
      }
      const checked = Readable.from(checkedBytes(place, path, artifact, found.stream), { objectMode: false });
      // Whoever leaves before the first byte has not begun to read the source, so nobody else would let go of it.
      checked.once('close', () => found.stream.destroy());
      return checked;
    },
    has: async (artifact) => {
      const { name, path } = where(artifact);
      return (await trying('artifact-unreadable', path, () => place.sizeOf(name))) === artifact.bytes;
    },
    remove: async (artifact) => {
      const { name, path } = where(artifact);
      await trying('artifact-unwritable', path, () => place.remove(name));
    },
  };
}

/** Passes the chunks of a source on, while it counts and hashes them. */
class MeasuredSource implements AsyncIterable<Uint8Array> {
  /** What has ended it before its end, so that it is told from an error of whoever takes the chunks. */
  failure: unknown;
  private readonly hash = createHash('sha256');
  private readonly source: AsyncIterable<Uint8Array>;
  private readonly bytesMax: number;
  private readonly signal: AbortSignal | undefined;
  private bytes = 0;

  constructor(source: AsyncIterable<Uint8Array>, bytesMax: number, signal: AbortSignal | undefined) {
    this.source = source;
    this.bytesMax = bytesMax;
    this.signal = signal;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.source) {
        this.signal?.throwIfAborted();
        this.bytes += chunk.length;
        if (this.bytes > this.bytesMax) throw new HoldpointError('artifact-too-large', { limit: this.bytesMax });
        this.hash.update(chunk);
        yield chunk;
      }
      this.signal?.throwIfAborted();
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  result(): Artifact {
    return { sha256: `sha256:${this.hash.digest('hex')}`, bytes: this.bytes };
  }
}

async function* checkedBytes(place: ArtifactPlace, path: string, artifact: Artifact, stream: Readable): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw placeError(place, 'artifact-unreadable', path, error);
  }
  if (`sha256:${hash.digest('hex')}` !== artifact.sha256) throw damaged(path, 'it was changed: it does not have that hash any more');
}

function placeError(
  place: ArtifactPlace,
  code: 'artifact-unwritable' | 'artifact-unreadable',
  path: string,
  error: unknown,
): HoldpointError {
  if (error instanceof HoldpointError) return error;
  const { why, remedy } = place.troubleOf(error);
  // Without the cause: errors of the S3 client can hold tokens.
  return new HoldpointError(code, { path, cause: why }, { remedy });
}

function damaged(path: string, cause: string): HoldpointError {
  return new HoldpointError('artifact-damaged', { path, cause });
}
