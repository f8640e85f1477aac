import { readFile } from 'node:fs/promises';
import { calendarCopies, readCalendars, type CalendarsNow } from '../activities/calendar/read-calendars.ts';
import type { Calendar, Opening } from '../domain/calendar/calendar.ts';
import type { CalendarDefinition } from '../domain/calendar/definition.ts';
import { momentsOf, wallMsOf } from '../domain/calendar/zone.ts';
import { didYouMean } from '../domain/suggestion.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { readDocument } from '../runbooks/grammar/document.ts';
import { formatPath, formatProblem, type Problem } from '../runbooks/grammar/problem.ts';
import { UsageError } from './errors.ts';
import { zoneOfUser } from './format.ts';
import { configurationFile, readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';

/** The calendars of holdpoint.yaml as they are now. Throws UsageError where the file has none, or an iCal file of it cannot be used. */
export async function loadCalendars(
  terminal: Terminal,
  config: string | undefined,
): Promise<CalendarsNow & { definitions: NonNullable<Configuration['calendars']> }> {
  const file = configurationFile(terminal, config);
  const definitions = (await readConfiguration(terminal, config))?.calendars;
  if (definitions === undefined) {
    throw new UsageError(
      `There are no calendars in ${file}.`,
      'Add `calendars` to it, or name another one with --config or HOLDPOINT_CONFIG.',
    );
  }
  const { surroundings } = terminal;
  const read = await readCalendars(definitions, {
    file,
    copiesFolder: calendarCopies(surroundings.env),
    nowMs: surroundings.now().getTime(),
  });
  const problems = problemsOf(read);
  if (problems.length > 0) throw new UsageError(`The calendars of ${file} cannot be used:`, undefined, problems.map(formatProblem));
  return { ...read, definitions };
}

/**
 * What is wrong today with calendars of `file` that can be read: iCal files that they name, and those that open no more because their
 * rule has ended or a freeze goes on for years. Addresses are not asked.
 */
export async function calendarProblems(file: string, definitions: Configuration['calendars'], nowMs: number): Promise<Problem[]> {
  const onThisMachine = Object.entries(definitions ?? {}).map(([name, definition]): [string, CalendarDefinition] => [
    name,
    { ...definition, freezes: definition.freezes.filter((freeze) => !('url' in freeze)) },
  ]);
  if (onThisMachine.length === 0) return [];
  const read = await readCalendars(Object.fromEntries(onThisMachine), { file, copiesFolder: '', nowMs });
  if (read.problems.length > 0) return problemsOf(read);
  const { sourceMap } = readDocument(await readFile(file, 'utf8'), file);
  return [...read.calendars.values()].flatMap((calendar) => {
    if (!calendar.hasWindows || calendar.openings(nowMs, 1).length > 0) return [];
    const isFrozen = calendar.withoutFreezes().openings(nowMs, 1).length > 0;
    const why = isFrozen ? 'a freeze covers all its openings' : 'its rule has no opening any more';
    const path = ['calendars', calendar.name];
    const message = `Does not open in the five years from today: ${why}.`;
    return [{ file, ...sourceMap.positionOf(path), path: formatPath(path), severity: 'error' as const, message }];
  });
}

function problemsOf({ problems }: CalendarsNow): Problem[] {
  return problems.map((problem) => ({ severity: 'error', ...problem }));
}

/** The calendar of that name. Throws UsageError where there is none. */
export function calendarNamed(calendars: ReadonlyMap<string, Calendar>, name: string): Calendar {
  const calendar = calendars.get(name);
  if (calendar) return calendar;
  throw new UsageError(
    `There is no calendar "${name}".${didYouMean(name, calendars.keys())}`,
    '`holdpoint calendar list` shows what there is.',
  );
}

/**
 * Reads a time of the command line: with `Z` or an offset, or a day or local time of the user's zone. Throws UsageError; a local time that
 * comes twice or never needs an offset.
 */
export function momentOf(text: string, option: string): number {
  if (/T\d\d:\d\d.*(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))) return Date.parse(text);
  const local = wallMsOf(text);
  const zone = zoneOfUser();
  const moments = local && momentsOf(local.wallMs, zone);
  if (moments?.kind === 'once' || (moments && local?.isDay)) return moments.first;
  const why = moments === undefined ? 'is no time' : `is shown by the clocks of ${zone} ${moments.kind}`;
  throw new UsageError(`${option} ${text} ${why}.`, 'Write it as 2026-11-28, 2026-11-28T22:00 or 2026-11-28T22:00+09:00.');
}

/** An opening as data, in UTC. */
export function openingJson({ opensMs, closesMs }: Opening): { opens: string; closes: string | null } {
  return { opens: new Date(opensMs).toISOString(), closes: closesMs === undefined ? null : new Date(closesMs).toISOString() };
}
