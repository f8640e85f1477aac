import { HoldpointError } from '../domain/errors.ts';

/**
 * How long the reads of one plan may take as a whole. Each has a limit of its own; of a server that answers each a moment before that, all
 * of them would be waited for for hours.
 */
export const planTimeLimits = {
  /** Of what somebody asks for and waits for: less than a client waits, so that it is told why. */
  requestMs: 150_000,
  /** Of a span in a run. */
  runMs: 900_000,
  /** Of a drain by hand, whose clusters may be far away. */
  byHandMs: 300_000,
};

/** Counts the time of one plan. */
export class PlanTime {
  private readonly limitMs: number;
  private readonly over: AbortSignal;
  private readonly signal: AbortSignal;

  /** `cancelled` ends the plan before its time is over. */
  constructor(limitMs: number, cancelled?: AbortSignal) {
    this.limitMs = limitMs;
    this.over = AbortSignal.timeout(limitMs);
    this.signal = cancelled ? AbortSignal.any([this.over, cancelled]) : this.over;
  }

  /**
   * Does one read of the plan. What does not end in time is not waited for: it ends by the limits of its own, and nothing comes after it.
   * Throws `plan-too-slow` when the time of the plan is over, and the reason of a cancellation.
   */
  async read<Result>(what: string, target: string, work: () => Promise<Result>): Promise<Result> {
    const late = (): Error =>
      this.over.aborted
        ? new HoldpointError('plan-too-slow', { target, what, seconds: this.limitMs / 1000 })
        : (this.signal.reason as Error);
    if (this.signal.aborted) throw late();
    let stop = (): void => undefined;
    const stopped = new Promise<never>((_resolve, reject) => {
      stop = () => reject(late());
      this.signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work(), stopped]);
    } finally {
      this.signal.removeEventListener('abort', stop);
    }
  }
}
