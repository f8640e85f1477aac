import type { Consequence } from '../../domain/errors.ts';

/** A place that keeps small objects under names such as `r-1/000000001.json`, each written once and whole. */
export interface ObjectStore {
  /**
   * Writes an object unless there is one with that name, and says whether it did. "No" may also be the answer where another
   * write is under way, or the reply to this one was lost: look what is there. What has the name is safe when this returns.
   */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean>;
  /** The object with that name; undefined where there is none. One with more bytes than that comes without them. */
  get(name: string, bytesMax: number): Promise<StoredObject | undefined>;
  /** The names in a folder, without the folder, in the order of their bytes. Throws where there are more than that. */
  list(folder: string, namesMax: number): Promise<string[]>;
  /** Writes the same bytes again where the place keeps objects for a time only (Object Lock), so that it begins anew. */
  renew(name: string, bytes: Uint8Array): Promise<void>;
  /** Where a person finds an object, or a folder of them. */
  pathOf(name: string): string;
  /** Reads an error that one of the others has thrown. */
  troubleOf(error: unknown): Trouble;
}

export interface StoredObject {
  /** Undefined where there are more than were asked for. */
  bytes?: Uint8Array;
  modifiedAt?: Date;
  /** Until when Object Lock keeps it; undefined where it does not, or where the reader may not know. */
  lockedUntil?: Date;
}

/** Why a place did not do what it was asked, in words that hold no secret. */
export interface Trouble {
  consequence: Consequence;
  /** Half a sentence: `the bucket b does not exist`. */
  why: string;
  remedy: string;
}
