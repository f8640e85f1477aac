import { ToldError, type Consequence } from '../../domain/errors.ts';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';

/** Where the records of runs are kept. */
export interface EvidenceStore {
  /**
   * Adds one entry and returns once it is safe. The caller numbers the entries of a run 1, 2, 3 …
   * The same entry again (a retry after a lost answer) changes nothing and returns what is there.
   *
   * @throws EvidenceError where another entry has that number, an earlier one is missing or of a foreign execution, the record has
   * ended, or it cannot be written.
   */
  append(run: string, entry: NewEntry): Promise<Receipt>;
  /** The entries that follow a known one, in order. Throws EvidenceError where they do not. */
  readAfter(run: string, known: Pick<EvidenceEntry, 'sequence' | 'hash'>): Promise<EvidenceEntry[]>;
  /** All entries of a run, in order; none for a run without a record. Throws EvidenceError where the record is damaged. */
  read(run: string): Promise<EvidenceEntry[]>;
  /** One entry, as it lies there; undefined where there is none. Throws EvidenceError where it is damaged. */
  readEntry(run: string, sequence: number): Promise<EvidenceEntry | undefined>;
  /** Where a person finds the record. */
  pathOf(run: string): string;
  /**
   * Keeps bytes under their SHA-256, beside the records, and returns it (`sha256:<hex>`) once they are safe. The same bytes
   * again change nothing.
   *
   * @throws EvidenceError where they are too many, cannot be written, or something else lies in their place.
   */
  keep(bytes: Uint8Array): Promise<string>;
  /** What is kept under a digest, compared with it. Throws EvidenceError where it is missing, changed or cannot be read. */
  fetch(digest: string): Promise<Uint8Array>;
  /** Writes down that a run has to do with a subject, and returns once that is safe. May be repeated. Throws EvidenceError. */
  addToIndex(subject: string, run: string): Promise<void>;
  /** The runs that were written down for a subject, in the order of their ids: their records say more. Throws EvidenceError. */
  runsInIndex(subject: string): Promise<string[]>;
}

export interface NewEntry {
  sequence: number;
  /** The Temporal execution that writes it; the same entry of another one is a conflict. */
  execution?: string;
  /** Whether that execution has continued another one as new, whose entries it may follow; it follows none but its own where left out. */
  continues?: (execution: string) => Promise<boolean>;
  kind: string;
  body: JsonObject;
}

/** What the store says of an entry that is safe. */
export type Receipt = Pick<EvidenceEntry, 'sequence' | 'at' | 'hash'>;

export type EvidenceErrorCode =
  | 'evidence-run-malformed'
  | 'evidence-entry-malformed'
  | 'evidence-conflict'
  | 'evidence-ended'
  | 'evidence-gap'
  | 'evidence-damaged'
  | 'evidence-full'
  | 'evidence-unwritable'
  | 'evidence-unreadable';

/** Why the record of a run could not be kept or read: without a record a run must not go on. */
export class EvidenceError extends ToldError {
  override readonly name = 'EvidenceError';
  declare readonly code: EvidenceErrorCode;
  readonly consequence: Consequence;

  constructor(code: EvidenceErrorCode, consequence: Consequence, message: string, remedy: string, options?: { cause?: unknown }) {
    super(code, message, remedy, options);
    this.consequence = consequence;
  }
}
