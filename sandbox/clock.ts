/** Time is looked at this often at least. */
const tickMs = 50;
/**
 * More than this between two looks was a stall: the machine did something else, or the process did. Nothing in the world could move
 * meanwhile, so its time stands still too; deadlines of AWS would pass otherwise while nobody had a chance to keep them.
 */
const stallMs = 100;
/** A timer of Node's may be early by this much. */
const timerErrorMs = 1;

/** Simulated time: runs `speed` times as fast as the wall clock, from the moment it is made, but for stalls. */
export class Clock {
  readonly speed: number;
  private simulatedMs = Date.now();
  private lookedAtMs = performance.now();
  private readonly ticker: NodeJS.Timeout;
  private readonly timers = new Set<{ timeout: NodeJS.Timeout }>();
  private stopped = false;

  constructor(speed = 1) {
    if (!(speed > 0)) throw new RangeError(`the speed of time must be positive, not ${speed}`);
    this.speed = speed;
    this.ticker = setInterval(() => this.look(), tickMs).unref();
  }

  now(): Date {
    return new Date(this.look());
  }

  /** Calls back after a simulated delay; returns a function that cancels it. */
  after(delayMs: number, callback: () => void): () => void {
    if (this.stopped) return () => undefined;
    const dueMs = this.look() + delayMs;
    const wait = (restMs: number): NodeJS.Timeout =>
      setTimeout(() => {
        const left = (dueMs - this.look()) / this.speed;
        if (left > timerErrorMs) {
          timer.timeout = wait(left);
          return;
        }
        this.timers.delete(timer);
        callback();
      }, restMs);
    const timer = { timeout: wait(delayMs / this.speed) };
    this.timers.add(timer);
    return () => {
      clearTimeout(timer.timeout);
      this.timers.delete(timer);
    };
  }

  /** Nothing fires after this. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.ticker);
    for (const { timeout } of this.timers) clearTimeout(timeout);
    this.timers.clear();
  }

  /** Lets pass what has passed since the last look; returns the simulated time in milliseconds since 1970. */
  private look(): number {
    const atMs = performance.now();
    this.simulatedMs += Math.min(atMs - this.lookedAtMs, stallMs) * this.speed;
    this.lookedAtMs = atMs;
    return this.simulatedMs;
  }
}
