import { afterEach, expect, test } from '@jest/globals';
import { Clock } from '../../sandbox/clock.ts';

const speed = 1_000;
const minuteMs = 60_000;
let clock: Clock;
afterEach(() => clock.stop());

/** Keeps the process busy, as a machine with other work does. */
function stallFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('time stands still while the process gets no chance to do anything, so that no deadline passes unseen', () => {
  clock = new Clock(speed);
  const before = clock.now().getTime();
  stallFor(600);
  const passedMs = clock.now().getTime() - before;
  expect(passedMs).toBeGreaterThanOrEqual(minuteMs);
  expect(passedMs).toBeLessThan(3 * minuteMs);
});

test('what is to happen after a time happens after it, in order, however long the process stalls in between', async () => {
  clock = new Clock(speed);
  const seen: string[] = [];
  const begun = clock.now().getTime();
  const late = new Promise<number>((resolve) => clock.after(4 * minuteMs, () => resolve(clock.now().getTime())));
  clock.after(minuteMs, () => seen.push('early'));
  clock.after(2 * minuteMs, () => seen.push('in between'));
  stallFor(600);
  expect(seen).toEqual([]);
  expect((await late) - begun).toBeGreaterThanOrEqual(4 * minuteMs - speed * 2);
  expect(seen).toEqual(['early', 'in between']);
});

test('what is cancelled, or not due when the clock is stopped, never happens', async () => {
  clock = new Clock(speed);
  const seen: string[] = [];
  clock.after(minuteMs, () => seen.push('cancelled'))();
  clock.after(5 * minuteMs, () => seen.push('stopped'));
  await new Promise<void>((resolve) => clock.after(2 * minuteMs, resolve));
  clock.stop();
  clock.after(minuteMs, () => seen.push('after the stop'));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(seen).toEqual([]);
});
