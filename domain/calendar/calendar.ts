import type { Freeze, FreezeSource } from './freeze.ts';
import { difference, intersection, union, type Interval } from './interval.ts';
import { openingsOf, windowMaxMs, type Window } from './window.ts';

const dayMs = 86_400_000;
/** So far ahead of the last opening the next one is looked for. */
export const horizonMs = 5 * 366 * dayMs;
/** How much is looked at at once: little at first, as the next opening is mostly near. */
const firstStretchMs = 62 * dayMs;
const stretchMs = 370 * dayMs;

/** A time in which a calendar is open. */
export interface Opening {
  /** Milliseconds since 1970. */
  opensMs: number;
  /** Undefined where no close is in sight. */
  closesMs?: number;
}

/** When maintenance may be done: by windows of its own, or by other calendars. Freezes win over all windows. */
export interface CalendarParts {
  name: string;
  /** The zone of its windows and freezes. One that is made of others has none of its own. */
  zone?: string;
  /** Open where one of them is; always where there are none. */
  windows?: readonly Window[];
  /** Open where all of these are, or any of them. A freeze of one of them is one of the whole. */
  allOf?: readonly Calendar[];
  anyOf?: readonly Calendar[];
  freezes: readonly FreezeSource[];
}

/** Why a calendar is open, shut or frozen. */
export interface Explanation {
  state: 'open' | 'shut' | 'frozen';
  /** The opening that it is in. */
  opening?: Opening;
  /** The next one. */
  next?: Opening;
  /** Each window, with the calendar that it belongs to. */
  windows: { calendar: string; window: string; zone: string; open: boolean }[];
  /** The freezes that it is in. */
  freezes: { calendar: string; source: string; freeze: Freeze }[];
}

/** When maintenance may be done. It reads no clock: each question names its moment, in milliseconds since 1970. */
export class Calendar {
  readonly name: string;
  private readonly parts: CalendarParts;

  constructor(parts: CalendarParts) {
    this.name = parts.name;
    this.parts = parts;
  }

  /** The zones of its windows and freezes, and of those that it is made of. */
  get zones(): string[] {
    const { zone } = this.parts;
    return [...new Set([...(zone === undefined ? [] : [zone]), ...this.members().flatMap(({ zones }) => zones)])];
  }

  /** Whether it has a window at all: one of freezes only is always open but for them. */
  get hasWindows(): boolean {
    return (this.parts.windows ?? []).length > 0 || this.members().some((member) => member.hasWindows);
  }

  /** The same windows with no freeze. */
  withoutFreezes(): Calendar {
    const bare = (members: readonly Calendar[] | undefined): Calendar[] | undefined => members?.map((member) => member.withoutFreezes());
    return new Calendar({ ...this.parts, allOf: bare(this.parts.allOf), anyOf: bare(this.parts.anyOf), freezes: [] });
  }

  /** Whether maintenance may be done at a moment. */
  isOpen(atMs: number): boolean {
    return this.openIn({ from: atMs, until: atMs + 1 }).length > 0;
  }

  /** The openings that have not closed at a moment, the one that it is in with its true beginning; as many as are asked for. */
  openings(fromMs: number, count: number): Opening[] {
    const found: Opening[] = [];
    for (const opening of this.openingsFrom(fromMs)) {
      found.push(opening);
      if (found.length === count) break;
    }
    return found;
  }

  /**
   * How long the longest of so many openings is that come after a moment; 0 where none does. It looks no further than it takes to find
   * one of `enoughMs`, whose end it may not have come to.
   */
  longestOpeningMs(fromMs: number, { count, enoughMs }: { count: number; enoughMs: number }): number {
    let [longestMs, seen] = [0, 0];
    for (const { opensMs, closesMs = Infinity } of this.openingsFrom(fromMs, enoughMs)) {
      longestMs = Math.max(longestMs, closesMs - opensMs);
      seen += 1;
      if (longestMs >= enoughMs || seen === count) break;
    }
    return longestMs;
  }

  /** The next moment at which it opens or closes; undefined where none is in sight. */
  nextChange(atMs: number): number | undefined {
    const [opening] = this.openings(atMs, 1);
    if (opening === undefined) return undefined;
    return opening.opensMs > atMs ? opening.opensMs : opening.closesMs;
  }

  /** Says why it is open or shut at a moment. */
  explain(atMs: number): Explanation {
    const now = { from: atMs, until: atMs + 1 };
    const freezes = this.frozenBy(now);
    const [first, second] = this.openings(atMs, 2);
    const isOpen = first !== undefined && first.opensMs <= atMs;
    const state = freezes.length > 0 ? 'frozen' : isOpen ? 'open' : 'shut';
    return { state, ...(isOpen ? { opening: first, next: second } : { next: first }), windows: this.windowsAt(now), freezes };
  }

  private windowsIn(range: Interval): Interval[] {
    const { windows, allOf, anyOf } = this.parts;
    if (allOf) return allOf.map((member) => member.windowsIn(range)).reduce(intersection, [range]);
    if (anyOf) return union(anyOf.flatMap((member) => member.windowsIn(range)));
    if (windows === undefined || windows.length === 0) return [range];
    return intersection(union(windows.flatMap((window) => openingsOf(window, range))), [range]);
  }

  private members(): readonly Calendar[] {
    return this.parts.allOf ?? this.parts.anyOf ?? [];
  }

  private openIn(range: Interval): Interval[] {
    return difference(this.windowsIn(range), union(this.frozenBy(range).map(({ freeze }) => freeze)));
  }

  private frozenBy(range: Interval): Explanation['freezes'] {
    const own = this.parts.freezes.flatMap((source) =>
      source.freezesIn(range).map((freeze) => ({ calendar: this.name, source: source.name, freeze })),
    );
    return [...own, ...this.members().flatMap((member) => member.frozenBy(range))];
  }

  private windowsAt(now: Interval): Explanation['windows'] {
    const own = (this.parts.windows ?? []).map((window) => {
      return { calendar: this.name, window: window.text, zone: window.zone, open: openingsOf(window, now).length > 0 };
    });
    return [...own, ...this.members().flatMap((member) => member.windowsAt(now))];
  }

  /** One that goes on for `enoughMs` is not followed to its end: for that, a calendar of every hour is read day by day for five years. */
  private *openingsFrom(fromMs: number, enoughMs = Infinity): Generator<Opening> {
    let pending: Interval | undefined;
    // Far enough back to know when the opening at hand has begun.
    let reached = fromMs - windowMaxMs;
    let horizon = fromMs + horizonMs;
    while (reached < horizon) {
      const until = reached + (reached < fromMs ? windowMaxMs + firstStretchMs : stretchMs);
      for (const open of this.openIn({ from: reached, until })) {
        if (pending !== undefined && open.from <= pending.until) pending.until = open.until;
        else {
          if (pending !== undefined && pending.until > fromMs) yield openingOf(pending);
          pending = open;
        }
        horizon = open.from + horizonMs;
      }
      if (pending !== undefined && pending.until < until) {
        if (pending.until > fromMs) yield openingOf(pending);
        pending = undefined;
      }
      if (pending !== undefined && pending.until > fromMs && pending.until - pending.from >= enoughMs) {
        yield openingOf(pending);
        return;
      }
      reached = until;
      if (pending !== undefined && reached - pending.from > horizonMs) break;
    }
    if (pending !== undefined) yield { opensMs: pending.from };
  }
}

function openingOf({ from, until }: Interval): Opening {
  return { opensMs: from, closesMs: until };
}
