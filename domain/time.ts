const timePattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))?Z$/;

/** How far the clocks of two machines may be apart that have to agree. */
export const clockSkewMaxMs = 60_000;

const dayMs = 86_400_000;

/**
 * Milliseconds since 1970 of a time in ISO 8601, UTC, as `Date.toISOString` writes it. It reads no clock, so that workflows may use it.
 *
 * @returns undefined where the text is no such time, such as the 30th of February or a second 60.
 */
export function timeMsOf(text: string): number | undefined {
  const [, ...parts] = timePattern.exec(text) ?? [];
  if (parts.length === 0) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(0, 6).map(Number);
  if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const milliseconds = Number((parts[6] ?? '').padEnd(3, '0'));
  return daysSince1970(year, month, day) * dayMs + ((hour * 60 + minute) * 60 + second) * 1_000 + milliseconds;
}

/** As `timeMsOf`; NaN where the text is no such time, with which nothing compares. */
export function msOf(text: string): number {
  return timeMsOf(text) ?? Number.NaN;
}

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return isLeapYear(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

/** Counts from March on, so that the leap day is the last day of a year. */
function daysSince1970(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfMarchYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfMarchYear - 719_468;
}

/** A span of time in its largest unit, rounded: `7 days`, `3 h`, `10 minutes`, `40 s`. */
export function durationText(ms: number): string {
  const units = [
    { ms: 86_400_000, text: 'days' },
    { ms: 3_600_000, text: 'h' },
    { ms: 60_000, text: 'minutes' },
  ];
  const unit = units.find((one) => ms >= 2 * one.ms) ?? { ms: 1_000, text: 's' };
  return `${Math.round(ms / unit.ms)} ${unit.text}`;
}
