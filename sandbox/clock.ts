/** Simulated time: runs `speed` times as fast as the wall clock, from the moment it is made. */
export class Clock {
  readonly speed: number;
  private readonly startedAt = Date.now();
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor(speed = 1) {
    if (!(speed > 0)) throw new RangeError(`the speed of time must be positive, not ${speed}`);
    this.speed = speed;
  }

  now(): Date {
    return new Date(this.startedAt + (Date.now() - this.startedAt) * this.speed);
  }

  /** Calls back after a simulated delay; returns a function that cancels it. */
  after(delayMs: number, callback: () => void): () => void {
    if (this.stopped) return () => undefined;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      callback();
    }, delayMs / this.speed);
    this.timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.timers.delete(timer);
    };
  }

  /** Nothing fires after this. */
  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}
