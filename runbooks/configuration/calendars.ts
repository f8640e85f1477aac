import * as z from 'zod';
import { calendarsOf, type CalendarDefinition, type DocumentPlace, type FreezeDefinition } from '../../domain/calendar/definition.ts';
import { clockChangeDefault, windowMaxMs } from '../../domain/calendar/window.ts';
import { formatPath } from '../grammar/problem.ts';
import type { SourceMap } from '../grammar/document.ts';
import { parseDurationMs } from './duration.ts';

/** Calendars of a configuration, each with so many lines of windows, freezes and other calendars. */
export const calendarsMax = 200;
const entriesMax = 200;
const textMax = 500;

const text = z.string().min(1).max(textMax);
const name = z
  .string()
  .max(63)
  .regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be made of small letters, digits, `-`, `_` and `.`');

const freeze = z.strictObject({
  from: text.describe('The first day, such as 2026-12-20, or local time, such as 2026-12-20T18:00.').optional(),
  until: text.describe('The last day, which is taken in, or the local time of the end.').optional(),
  why: text.describe('What the freeze is for, as it is shown.').optional(),
  ical: text.describe('Path of an iCal file, relative to this file: each of its events is a freeze.').optional(),
  url: text
    .refine(isSafeAddress, { error: 'must be an address that begins with https:// (http:// only of this machine)' })
    .describe('Address of an iCal file. Where it does not answer, the last good copy counts; without one it is a freeze.')
    .optional(),
});

/** A calendar as it is written. */
export const calendarGrammar = z.strictObject({
  zone: text.describe('IANA zone of its windows and freezes, such as Asia/Seoul.').optional(),
  weekly: z
    .union([text, z.array(text).min(1).max(entriesMax)], { error: 'must be a text such as `Sat,Sun 22:00-04:00`, or a list of them' })
    .describe('Days and times of each week, such as `Sat,Sun 22:00-04:00`, or a list of them.')
    .optional(),
  rrule: text.describe('Rule of RFC 5545 for the openings, such as FREQ=MONTHLY;BYDAY=2TU.').optional(),
  start: text.describe('Local time from which `rrule` counts, such as 2026-01-01T22:00.').optional(),
  duration: z
    .string()
    .refine((given) => (parseDurationMs(given) ?? 0) > 0, { error: 'must be a duration such as 90m, 4h or PT4H30M' })
    .refine((given) => (parseDurationMs(given) ?? 0) <= windowMaxMs, { error: `must be ${windowMaxMs / 86_400_000} days at most` })
    .describe('How long each opening of `rrule` is.')
    .optional(),
  dst: z
    .strictObject({
      gap: z
        .enum(['skip', 'shift'])
        .describe('An opening at a time that the clocks skip is left out, or comes later; shift if left out.')
        .optional(),
      overlap: z
        .enum(['first', 'second', 'once'])
        .describe('Of a time that the clocks show twice the first or the second counts, or one opening spans both; first if left out.')
        .optional(),
    })
    .describe('What becomes of openings at changes of the clocks.')
    .optional(),
  allOf: z.array(z.string()).min(1).max(entriesMax).describe('Open where all of these calendars are.').optional(),
  anyOf: z.array(z.string()).min(1).max(entriesMax).describe('Open where any of these calendars is.').optional(),
  freezes: z.array(freeze).max(entriesMax).describe('Times in which it is not open whatever windows say, its own or of others.').optional(),
});

/** The calendars of a configuration by their names. */
export const calendarsGrammar = z.record(name, calendarGrammar);

type Written = z.output<typeof calendarsGrammar>;

/** Reports what is wrong with the calendars, but for what stands in files: that is read at the time, and may change. */
export function checkCalendars(calendars: Written = {}, sourceMap: SourceMap): void {
  if (Object.keys(calendars).length > calendarsMax) return sourceMap.error(['calendars'], `At most ${calendarsMax} calendars are allowed.`);
  for (const [id, { freezes = [] }] of Object.entries(calendars)) {
    for (const [index, { from, until, why, ical, url }] of freezes.entries()) {
      const isRange = from !== undefined && until !== undefined && ical === undefined && url === undefined;
      const isFile = from === undefined && until === undefined && why === undefined && (ical === undefined) !== (url === undefined);
      if (!isRange && !isFile) sourceMap.error(['calendars', id, 'freezes', index], 'Must be `from` and `until`, or `ical`, or `url`.');
    }
  }
  if (sourceMap.hasErrors()) return;
  for (const { path, message } of calendarsOf(definitionsOf(calendars, sourceMap)).problems)
    sourceMap.error(['calendars', ...path], message);
}

/** The calendars as they are built from. */
export function definitionsOf(calendars: Written, sourceMap: SourceMap): Record<string, CalendarDefinition> {
  const complete = Object.entries(calendars).map(([id, given]): [string, CalendarDefinition] => {
    const { weekly, duration, dst, freezes = [], ...same } = given;
    const definition = {
      ...same,
      weekly: typeof weekly === 'string' ? [weekly] : weekly,
      durationMs: duration === undefined ? undefined : parseDurationMs(duration),
      dst: { ...clockChangeDefault, ...dst },
      freezes: freezes.map((written, index) => freezeOf(written, ['calendars', id, 'freezes', index], sourceMap)),
    };
    return [id, definition];
  });
  return Object.fromEntries(complete);
}

function freezeOf(
  { from, until, why, ical, url }: z.output<typeof freeze>,
  path: (string | number)[],
  sourceMap: SourceMap,
): FreezeDefinition {
  if (ical !== undefined) return { ical, place: placeOf([...path, 'ical'], sourceMap) };
  if (url !== undefined) return { url, place: placeOf([...path, 'url'], sourceMap) };
  return { from: from ?? '', until: until ?? '', why: why ?? 'freeze' };
}

function placeOf(path: (string | number)[], sourceMap: SourceMap): DocumentPlace {
  const { line, column } = sourceMap.positionOf(path);
  return { file: sourceMap.file, line, column, path: formatPath(path) };
}

/** What says when there is a freeze must not be changed on its way. */
function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username } = new URL(text);
  if (username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));
}
