import { HoldpointError } from '../domain/errors.ts';

const minuteMs = 60_000;
/** Requests of a person that change something, in a minute. */
export const writesPerMinute = 60;
/**
 * Refused ones of a person at one run, in a minute: a run lets in so many updates and no more, and whoever is refused all the time could
 * close its door for others.
 */
export const refusalsPerMinute = 10;
/** Streams of a session, and of all sessions together. */
export const streamsPerSession = 10;
export const streamsMax = 1_000;
const keysMax = 100_000;

/** What nobody may do too often, counted by the minute. */
export class Limits {
  private readonly counts = new Map<string, { sinceMs: number; count: number }>();
  private readonly streams = new Map<object, number>();
  private streamsCount = 0;
  private readonly nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.nowMs = nowMs;
  }

  /** Counts a write. Throws `too-many-writes`. */
  countWrite(person: string): void {
    if (this.count(`write ${person}`) > writesPerMinute) throw new HoldpointError('too-many-writes', { limit: writesPerMinute });
  }

  /** Counts a refusal, once it was one. */
  countRefusal(person: string, run: string): void {
    this.count(`refused ${person} ${run}`);
  }

  /** Throws `too-many-refusals` where somebody was refused too often at a run. */
  requireFewRefusals(person: string, run: string): void {
    const known = this.counts.get(`refused ${person} ${run}`);
    const isOver = known !== undefined && this.nowMs() - known.sinceMs < minuteMs && known.count >= refusalsPerMinute;
    if (isOver) throw new HoldpointError('too-many-refusals', { run, limit: refusalsPerMinute });
  }

  /** Takes one of the places for streams; what it returns gives it back. Throws `too-many-streams`. */
  takeStream(owner: object): () => void {
    const own = this.streams.get(owner) ?? 0;
    if (own >= streamsPerSession || this.streamsCount >= streamsMax)
      throw new HoldpointError('too-many-streams', { limit: streamsPerSession });
    this.streams.set(owner, own + 1);
    this.streamsCount += 1;
    return () => {
      this.streamsCount -= 1;
      const left = (this.streams.get(owner) ?? 1) - 1;
      if (left === 0) this.streams.delete(owner);
      else this.streams.set(owner, left);
    };
  }

  private count(key: string): number {
    const now = this.nowMs();
    const known = this.counts.get(key);
    if (known && now - known.sinceMs < minuteMs) return (known.count += 1);
    if (this.counts.size >= keysMax) this.counts.clear();
    this.counts.set(key, { sinceMs: now, count: 1 });
    return 1;
  }
}
