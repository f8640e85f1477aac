import type { Clock } from '../clock.ts';

/** Resolves after a simulated delay; never, if the clock is stopped before. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}

/** Looks again and again in simulated time; false if the condition did not come true within the limit. */
export async function waitUntil(clock: Clock, condition: () => boolean, wait: { limitMs: number; everyMs: number }): Promise<boolean> {
  const deadline = clock.now().getTime() + wait.limitMs;
  while (!condition()) {
    if (clock.now().getTime() >= deadline) return false;
    await pause(clock, wait.everyMs);
  }
  return true;
}
