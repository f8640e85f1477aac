import { hashDigitsMin } from '../domain/plan/plan.ts';

/** A point in time in the user's zone, with the zone named: `21 Nov 2026, 05:24:07 UTC`. */
export function formatTime(iso: string | undefined): string {
  if (iso === undefined) return '';
  return new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  }).format(new Date(iso));
}

/** The time of day in the user's zone, with the zone named: for lines of a log. */
export function formatClock(date: Date): string {
  return new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' }).format(date);
}

/** Up to so many hours are said as hours. */
const hoursMax = 48;

/** A length of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `6 days 15 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours > hoursMax) return hours % 24 === 0 ? `${hours / 24} days` : `${Math.floor(hours / 24)} days ${hours % 24} h`;
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Whether a hash is meant by what a person has typed of it: at least `hashDigitsMin` digits, with or without `sha256:`. */
export function hashMatches(hash: string, typed: string): boolean {
  const digits = typed.replace(/^sha256:/, '');
  return digits.length >= hashDigitsMin && hash.slice('sha256:'.length).startsWith(digits);
}

/** Words of a command line, quoted where a shell would take them apart. */
export function shellWords(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}

/** Names in a sentence: `a, b and c`. */
export function listOfNames(names: readonly string[]): string {
  return new Intl.ListFormat('en', { type: 'conjunction' }).format(names);
}

/** The zone of whoever looks. */
export function zoneOfUser(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** A time in a zone, which is named: `Sat 28 Nov 2026, 22:00 GMT+9`. */
export function timeIn(zone: string, atMs: number): string {
  const format = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' } as const;
  // The formatter has a comma behind the weekday, too.
  return new Intl.DateTimeFormat('en-GB', { ...format, timeZone: zone, timeZoneName: 'short' }).format(atMs).replace(',', '');
}
