import { CancellationScope } from '@temporalio/workflow';
import { endingKind } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { RefusedAttempt } from '../messages.ts';
import { recorder } from '../proxies.ts';

/** Refused attempts that are written down one by one; beyond that they are only counted, so that nobody can flood the record. */
const refusedAttemptsRecordedMax = 200;
/** How much of each text of a refused attempt is written down: anybody can send them, of any length. */
const refusedTextCharactersMax = 2_000;

/** The record of one run, as its workflow writes it: entries get their numbers here, in the order of the calls. */
export class EvidenceLog {
  /** Number of the last entry that was written. */
  sequence: number;
  private readonly run: string;
  /** The entry that ends the record is on its way: none may come after it. */
  private sealed = false;
  private written: Promise<unknown> = Promise.resolve();

  constructor(run: string, sequence: number) {
    this.run = run;
    this.sequence = sequence;
  }

  /** Returns when the entry is safe, with its time and where the record is. Not even an abort cuts it off. */
  async write(kind: string, body: JsonObject): Promise<{ at: string; path: string }> {
    this.sealed ||= kind === endingKind;
    const write = this.written.then(() => {
      const entry = { run: this.run, sequence: this.sequence + 1, kind, body };
      return CancellationScope.nonCancellable(() => recorder.record(entry));
    });
    // The number of an entry that could not be written is free for the next one.
    this.written = write.then(
      () => (this.sequence += 1),
      () => undefined,
    );
    return write;
  }

  /** Writes down the attempt of that number that was refused by the validator, unless the record has ended or there are too many. */
  async writeRefusal(attempt: RefusedAttempt, number: number): Promise<void> {
    if (this.sealed || number > refusedAttemptsRecordedMax) return;
    const told: Partial<Record<keyof RefusedAttempt, unknown>> = { ...attempt };
    const [person, attempted, code, reason] = [told.person, told.attempt, told.code, told.reason].map(writable);
    await this.write('attempt.refused', { person, attempt: attempted, code, reason } as JsonObject);
  }
}

/** Lone surrogates have no canonical JSON, so the record could not take them; they give way to the replacement character. */
function writable(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.slice(0, refusedTextCharactersMax).replace(/\p{Surrogate}/gu, '\ufffd');
}
