import type { Interval } from './interval.ts';
import { momentsOf, wallMsOf } from './zone.ts';

const dayMs = 86_400_000;

/** A time in which nothing is open, whatever windows say. */
export interface Freeze extends Interval {
  why: string;
}

/** Where freezes come from: a range that is written down, a file or an address. */
export interface FreezeSource {
  /** As it is called in messages. */
  name: string;
  /** Those that touch a range of time. */
  freezesIn(range: Interval): Freeze[];
}

/** Freezes of a source that could not be read: always. Who cannot say when there is a freeze must not open. */
export function alwaysFrozen(name: string, why: string): FreezeSource {
  return { name, freezesIn: ({ from, until }) => [{ from, until, why }] };
}

/** A range of local times or days: `until` a day takes that day in. */
export interface FreezeRange {
  from: string;
  until: string;
  why: string;
}

/** Reads a range; returns why not where it cannot. Where clocks show a time twice or never, the longer freeze counts. */
export function parseFreezeRange({ from, until, why }: FreezeRange, zone: string): Freeze | string {
  const [begin, end] = [wallMsOf(from), wallMsOf(until)];
  if (begin === undefined || end === undefined) {
    const unreadable = begin === undefined ? `from: ${from}` : `until: ${until}`;
    return `has \`${unreadable}\`, which is no local time such as 2026-12-20 or 2026-12-20T18:00`;
  }
  const freeze = { from: momentsOf(begin.wallMs, zone).first, until: momentsOf(end.wallMs + (end.isDay ? dayMs : 0), zone).last, why };
  return freeze.from < freeze.until ? freeze : `ends (${until}) before it begins (${from})`;
}

/** Freezes that are known one by one. */
export function freezeSource(name: string, freezes: readonly Freeze[]): FreezeSource {
  return { name, freezesIn: (range) => freezes.filter(({ from, until }) => until > range.from && from < range.until) };
}
