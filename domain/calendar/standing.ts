import type { Calendar, Opening } from './calendar.ts';

/** Openings that are looked at to find one that is long enough. */
const openingsLookedAt = 100;

/** How a calendar stands for work that takes a time. */
export interface Standing {
  /** `open`: it may begin, and will be over before the close. `short`: it is open, but not for long enough. */
  state: 'open' | 'short' | 'shut' | 'frozen';
  /** The opening that it is in, where it is open at all. */
  opening?: Opening;
  /** The next opening that is long enough; undefined where none is in sight. */
  next?: Opening;
  /** The longest opening in sight, where none is long enough. */
  longestMs?: number;
  /** What the freezes that it is in are for. */
  frozenFor: string[];
}

/** Says whether work may begin at a moment that takes so long and must be over before the close, and when it may where it may not. */
export function standingFor(calendar: Calendar, atMs: number, needMs: number): Standing {
  const { state, opening, freezes } = calendar.explain(atMs);
  const frozenFor = [...new Set(freezes.map(({ freeze: { why } }) => why))];
  if (opening && fits(opening, atMs, needMs)) return { state: 'open', opening, frozenFor };
  const coming = calendar.openings(atMs, openingsLookedAt).filter(({ opensMs }) => opensMs > atMs);
  const next = coming.find((one) => fits(one, one.opensMs, needMs));
  const longestMs = next ? undefined : Math.max(0, ...coming.map(({ opensMs, closesMs = Infinity }) => closesMs - opensMs));
  const still = { opening, next, ...(longestMs !== undefined && { longestMs }), frozenFor };
  return { state: state === 'open' ? 'short' : state, ...still };
}

function fits({ closesMs = Infinity }: Opening, atMs: number, needMs: number): boolean {
  return atMs + needMs <= closesMs;
}

/**
 * Until when something counts that was said at a moment and is for one opening: the close of the opening that it was said in, else of the
 * next one. Undefined where no close is in sight.
 */
export function closeAfter(calendar: Calendar, atMs: number): number | undefined {
  return calendar.openings(atMs, 1)[0]?.closesMs;
}
