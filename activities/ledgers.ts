import { keptValuesOf, type EvidenceEntry } from '../domain/evidence/evidence.ts';
import { isObject, parseJson, type Json, type JsonObject } from '../domain/json.ts';
import { Ledger } from '../domain/run/ledger.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { EvidenceStore } from './evidence/store.ts';

/** Runs whose records are remembered, the longest unused one given up first; another one is read from its beginning. */
const rememberedMax = 200;
/** What a ledger reads of an entry, and may be kept beside the record. */
const readNames: readonly string[] = ['plan', 'document'];

interface Book {
  ledger: Ledger;
  reading: Promise<void>;
}

/** The records of runs as a worker needs them to judge what it is asked for: each entry is read once. */
export class Ledgers {
  private readonly books = new Map<string, Book>();
  private readonly evidence: EvidenceStore;

  constructor(evidence: EvidenceStore) {
    this.evidence = evidence;
  }

  /** What the record of a run says now. Throws EvidenceError where it is damaged or cannot be read. */
  async of(run: string): Promise<Ledger> {
    const book = this.books.get(run) ?? { ledger: new Ledger(), reading: Promise.resolve() };
    this.books.delete(run);
    this.books.set(run, book);
    const [oldest] = this.books.keys();
    if (this.books.size > rememberedMax && oldest !== undefined) this.books.delete(oldest);
    // One after another: several steps of a run may be asked for at once.
    book.reading = book.reading.then(() => this.readOn(run, book.ledger));
    try {
      await book.reading;
    } catch (error) {
      this.books.delete(run);
      throw error;
    }
    return book.ledger;
  }

  private async readOn(run: string, ledger: Ledger): Promise<void> {
    const entries = await (ledger.last ? this.evidence.readAfter(run, ledger.last) : this.evidence.read(run));
    for (const entry of entries) ledger.take({ ...entry, body: await this.wholeBody(entry) });
  }

  private async wholeBody(entry: EvidenceEntry): Promise<JsonObject> {
    const body = { ...entry.body };
    for (const [name, { sha256 }] of keptValuesOf(entry)) {
      if (readNames.includes(name)) body[name] = parseJson(await this.evidence.fetch(sha256)) as Json;
    }
    return body;
  }
}

/** The document that a run was started with, as its record has it; undefined where it has none. */
export function documentIn({ document }: Ledger): RunbookDocument | undefined {
  if (!isObject(document) || typeof document.file !== 'string' || typeof document.text !== 'string') return undefined;
  const { file, text, runbooks } = document;
  return { file, text, ...(isObject(runbooks) && { runbooks: runbooks as RunbookDocument['runbooks'] }) };
}
