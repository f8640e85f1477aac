import { CancellationScope } from '@temporalio/workflow';
import { endingKind, undeliveredKind } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { NotificationTrouble } from '../../domain/run/state.ts';
import type { RefusedAttempt } from '../messages.ts';
import { recorder } from '../proxies.ts';

/** Refused attempts that are written down one by one; beyond that they are only counted, so that nobody can flood the record. */
const refusedAttemptsRecordedMax = 200;
/** Messages that could not be delivered and are written down one by one; the run is told of them by signals, which anybody can send. */
const undeliveredRecordedMax = 200;
/** How much of each text of a refused attempt is written down: anybody can send them, of any length. */
const refusedTextCharactersMax = 2_000;
/** Entries that one activity writes. */
const entriesAtOnceMax = 20;
/** An entry below this size is put into a record as it is; larger ones can be refused. */
const notedCharactersMax = 16_384;

/** When an entry was written, and where the record is. */
export interface Written {
  at: string;
  path: string;
}

interface Waiting {
  kind: string;
  body: JsonObject;
  resolve: (written: Written) => void;
  reject: (error: unknown) => void;
}

/**
 * The record of one run, as its workflow writes it: entries get their numbers here, in the order of the calls. Those that wait while
 * others are written go together afterwards, by one activity, each an entry of its own still.
 */
export class EvidenceLog {
  /** Number of the last entry that was written. */
  sequence: number;
  private readonly run: string;
  /** The entry that ends the record is on its way: none may come after it. */
  private sealed = false;
  private waiting: Waiting[] = [];
  /** How many of those that wait, the first ones, somebody has asked to be written. */
  private askedFor = 0;
  private written: Promise<unknown> = Promise.resolve();
  private telling: Promise<unknown> = Promise.resolve();
  private readonly tell: (sequence: number) => Promise<unknown>;

  /** `tell` has people told of an entry, by something that outlives this execution; resolves when that has begun. */
  constructor(run: string, sequence: number, tell: (sequence: number) => Promise<unknown> = async () => undefined) {
    this.run = run;
    this.sequence = sequence;
    this.tell = tell;
  }

  /** Returns when the entry is safe, and all before it. Not even an abort cuts it off. */
  async write(kind: string, body: JsonObject): Promise<Written> {
    const written = this.enqueue(kind, body);
    void this.flush();
    return written;
  }

  /**
   * Has the entry written together with the next one, or by `flush`; resolves when it is safe. Whoever notes sees to it that one of them
   * follows before anything that takes long. What could be refused is written at once, by itself.
   */
  note(kind: string, body: JsonObject): Promise<Written> {
    return isSurelyTaken(body) ? this.enqueue(kind, body) : this.write(kind, body);
  }

  private enqueue(kind: string, body: JsonObject): Promise<Written> {
    this.sealed ||= kind === endingKind;
    return new Promise((resolve, reject) => this.waiting.push({ kind, body, resolve, reject }));
  }

  /** Writes what was noted; resolves when all is written that was asked for before, or could not be. */
  flush(): Promise<unknown> {
    this.askedFor = this.waiting.length;
    return (this.written = this.written.then(() => this.writeWaiting()));
  }

  /** Writes what was noted, and resolves when people are being told of it: an execution that ends earlier would not tell them. */
  async settle(): Promise<void> {
    await this.flush();
    await this.telling;
  }

  private async writeWaiting(): Promise<void> {
    // What was only noted meanwhile stays: whether it comes before or after the answer of a worker, of two that arrive together, is not
    // the same each time that the history is replayed.
    while (this.askedFor > 0) {
      const some = this.waiting.splice(0, Math.min(this.askedFor, entriesAtOnceMax));
      this.askedFor -= some.length;
      if (some.length > 1 && (await this.areWritten(some))) continue;
      // One of several that cannot be written must not take the others with it; those that were are recognised.
      for (const one of some) await this.areWritten([one], one.reject);
    }
  }

  /** Writes entries by one activity. The number of an entry that could not be written is free for the next one. */
  private async areWritten(entries: readonly Waiting[], reject?: (error: unknown) => void): Promise<boolean> {
    const request = { run: this.run, sequence: this.sequence + 1, entries: entries.map(({ kind, body }) => ({ kind, body })) };
    try {
      const { at, path, toTell = [] } = await CancellationScope.nonCancellable(() => recorder.record(request));
      this.sequence += entries.length;
      for (const sequence of toTell) this.telling = Promise.all([this.telling, this.tell(sequence)]);
      for (const [index, { resolve }] of entries.entries()) resolve({ at: at[index] ?? '', path });
      return true;
    } catch (error) {
      reject?.(error);
      return false;
    }
  }

  /** Writes down the attempt of that number that was refused by the validator, unless the record has ended or there are too many. */
  async writeRefusal(attempt: RefusedAttempt, number: number): Promise<void> {
    if (this.sealed || number > refusedAttemptsRecordedMax) return;
    const told: Partial<Record<keyof RefusedAttempt, unknown>> = { ...attempt };
    const [person, attempted, code, reason] = [told.person, told.attempt, told.code, told.reason].map(writable);
    await this.write('attempt.refused', { person, attempt: attempted, code, reason } as JsonObject);
  }

  /** Writes down that people could not be told of an entry, unless the record has ended or there were too many before. */
  async writeUndelivered(trouble: NotificationTrouble, number: number): Promise<void> {
    if (this.sealed || number > undeliveredRecordedMax) return;
    await this.write(undeliveredKind, undeliveredEntry(trouble));
  }
}

/** The entry of a message that could not be delivered. */
export function undeliveredEntry({ sequence, event, channel, reason, attempts }: NotificationTrouble): JsonObject {
  const [told, over, why] = [event, channel, reason].map(writable);
  return { entry: Number(sequence), event: told, channel: over, reason: why, attempts: Number(attempts) } as JsonObject;
}

/** Whether no record can refuse the entry: it is small, and has a canonical form. */
function isSurelyTaken(body: JsonObject): boolean {
  const text = JSON.stringify(body);
  // A surrogate without its other half, which JSON writes as an escape.
  return text.length <= notedCharactersMax && !/\\ud[89a-f]/.test(text);
}

/** Lone surrogates have no canonical JSON, so the record could not take them; they give way to the replacement character. */
function writable(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.slice(0, refusedTextCharactersMax).replace(/\p{Surrogate}/gu, '\ufffd');
}
