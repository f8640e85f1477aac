import type { Command } from 'commander';
import type { FreezeCopy } from '../../activities/calendar/read-calendars.ts';
import type { Calendar, Explanation, Opening } from '../../domain/calendar/calendar.ts';
import type { CalendarDefinition } from '../../domain/calendar/definition.ts';
import { nextClockChange } from '../../domain/calendar/zone.ts';
import { calendarNamed, loadCalendars, momentOf, openingJson } from '../calendars.ts';
import { withCommonOptions, type CommandContext, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatDuration, timeIn, zoneOfUser } from '../format.ts';
import { table } from '../layout.ts';

const dayMs = 86_400_000;
const countDefault = 10;
/** Openings of one preview. */
const countMax = 1_000;
/** Openings of the two days around a clock change. */
const besideMax = 50;
/** Clock changes that a preview shows with the openings beside them. */
const clockChangesShown = 2;

interface CalendarOptions extends CommonOptions {
  config?: string;
}

const configOption = ['--config <file>', 'holdpoint.yaml with the calendars (else HOLDPOINT_CONFIG, else the one in this folder)'] as const;

export const registerCalendar: RegisterCommand = (program, context) => {
  const calendar = program.command('calendar');
  registerList(calendar, context);
  registerPreview(calendar, context);
  registerExplain(calendar, context);
};

function registerList(calendar: Command, context: CommandContext): void {
  withCommonOptions(calendar.command('list'))
    .summary('the calendars of holdpoint.yaml, and how each stands now')
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint calendar list')
    .action(async (options: CalendarOptions) => {
      const terminal = context.terminal(options);
      const { calendars, definitions, copies } = await loadCalendars(terminal, options.config);
      const nowMs = terminal.surroundings.now().getTime();
      const found = [...calendars.values()].map((one) => ({ calendar: one, explanation: one.explain(nowMs) }));
      terminal.result({
        calendars: found.map(({ calendar: { name, zones }, explanation }) => ({ name, zones, ...explanationJson(explanation) })),
        copies: copies.map(copyJson),
      });
      terminal.lines(
        table(
          found.map(({ calendar: { name }, explanation }) => [name, explanation.state, nextLine(explanation), sketch(definitions[name]!)]),
        ),
      );
      terminal.lines(copies.map((copy) => copyLine(copy, nowMs)));
    });
}

function registerPreview(calendar: Command, context: CommandContext): void {
  withCommonOptions(calendar.command('preview'))
    .summary('the next openings of a calendar, and those beside the next clock changes')
    .argument('<name>', 'a calendar of holdpoint.yaml')
    .option('--from <time>', 'from this time on, in your zone or with an offset (default: now)')
    .option('--count <number>', `so many openings (default: ${countDefault})`)
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint calendar preview weekend --from 2027-03-01 --count 8')
    .action(async (name: string, options: CalendarOptions & { from?: string; count?: string }) => {
      const terminal = context.terminal(options);
      const { calendars, copies } = await loadCalendars(terminal, options.config);
      const chosen = calendarNamed(calendars, name);
      const nowMs = terminal.surroundings.now().getTime();
      const fromMs = options.from === undefined ? nowMs : momentOf(options.from, '--from');
      const openings = chosen.openings(fromMs, countOf(options.count));
      const changes = chosen.zones.flatMap((zone) => changesOf(chosen, zone, fromMs)).sort((a, b) => a.atMs - b.atMs);
      terminal.result({
        calendar: name,
        zones: chosen.zones,
        yourZone: zoneOfUser(),
        zoneDatabase: process.versions.tz ?? '',
        openings: openings.map(openingJson),
        clockChanges: changes.map(({ zone, atMs, forwardMs, beside }) => ({
          zone,
          at: new Date(atMs).toISOString(),
          forwardMinutes: forwardMs / 60_000,
          openings: beside.map(openingJson),
        })),
        copies: copies.map(copyJson),
      });
      terminal.line(
        `Openings of ${name}, first in your zone (${zoneOfUser()}), then in its own; zone database ${process.versions.tz ?? '?'}.`,
      );
      if (openings.length === 0) terminal.line('None in the next five years: `holdpoint calendar explain` says why.');
      terminal.lines(openings.map((opening) => `  ${openingLine(opening, chosen)}`));
      for (const { zone, atMs, forwardMs, beside } of changes) {
        const how = `${forwardMs > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(forwardMs))}`;
        terminal.line(`Clock change: ${timeIn(zone, atMs)}, the clocks of ${zone} go ${how}. Openings beside it:`);
        terminal.lines(beside.length === 0 ? ['  none'] : beside.map((opening) => `  ${openingLine(opening, chosen)}`));
      }
      terminal.lines(copies.map((copy) => copyLine(copy, nowMs)));
    });
}

function registerExplain(calendar: Command, context: CommandContext): void {
  withCommonOptions(calendar.command('explain'))
    .summary('why a calendar is open or shut at a time')
    .argument('<name>', 'a calendar of holdpoint.yaml')
    .option('--at <time>', 'at this time, in your zone or with an offset (default: now)')
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint calendar explain weekend --at 2026-12-24T23:00')
    .action(async (name: string, options: CalendarOptions & { at?: string }) => {
      const terminal = context.terminal(options);
      const { calendars, copies } = await loadCalendars(terminal, options.config);
      const chosen = calendarNamed(calendars, name);
      const nowMs = terminal.surroundings.now().getTime();
      const atMs = options.at === undefined ? nowMs : momentOf(options.at, '--at');
      const explanation = chosen.explain(atMs);
      terminal.result({ calendar: name, at: new Date(atMs).toISOString(), ...explanationJson(explanation), copies: copies.map(copyJson) });
      terminal.line(`${name} is ${explanation.state} at ${timesOf(atMs, chosen)}.`);
      terminal.lines(reasons(explanation, chosen).map((reason) => `  ${reason}`));
      terminal.lines(copies.map((copy) => copyLine(copy, nowMs)));
    });
}

function countOf(text = String(countDefault)): number {
  if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= countMax) return Number(text);
  throw new UsageError(`--count ${text} is no number from 1 to ${countMax}.`);
}

/** The next clock changes of a zone, with the openings of the day before and the day after. */
function changesOf(calendar: Calendar, zone: string, fromMs: number) {
  const changes = [];
  for (
    let change = nextClockChange(fromMs, zone);
    change && changes.length < clockChangesShown;
    change = nextClockChange(change.atMs, zone)
  ) {
    const { atMs } = change;
    const beside = calendar.openings(atMs - dayMs, besideMax).filter(({ opensMs }) => opensMs < atMs + dayMs);
    changes.push({ zone, ...change, beside });
  }
  return changes;
}

/** A time in the user's zone, and in those of the calendar where they differ. */
function timesOf(atMs: number, { zones }: Calendar): string {
  const own = zoneOfUser();
  const others = zones.filter((zone) => zone !== own).map((zone) => `${timeIn(zone, atMs)}, ${zone}`);
  return [timeIn(own, atMs), ...others.map((other) => `(${other})`)].join(' ');
}

function openingLine({ opensMs, closesMs }: Opening, calendar: Calendar): string {
  const length = closesMs === undefined ? 'without an end in sight' : `for ${formatDuration(closesMs - opensMs)}`;
  const end = closesMs === undefined ? '' : `  until  ${timesOf(closesMs, calendar)}`;
  return `${timesOf(opensMs, calendar)}${end}  ${length}`;
}

function nextLine({ opening, next }: Explanation): string {
  if (opening) return opening.closesMs === undefined ? 'no close in sight' : `closes ${timeIn(zoneOfUser(), opening.closesMs)}`;
  return next ? `opens ${timeIn(zoneOfUser(), next.opensMs)}` : 'no opening in sight';
}

function sketch({ zone, weekly, rrule, allOf, anyOf }: CalendarDefinition): string {
  if (allOf) return `all of ${allOf.join(', ')}`;
  if (anyOf) return `any of ${anyOf.join(', ')}`;
  return `${weekly?.join('; ') ?? rrule ?? 'freezes only'} ${zone ?? ''}`;
}

function reasons({ opening, next, windows, freezes }: Explanation, calendar: Calendar): string[] {
  const frozen = freezes.map(({ calendar: of, source, freeze: { why, from, until } }) => {
    // A source that cannot be read freezes the moment that was asked for, and every other one.
    const period = until - from <= 1 ? 'until it can be read' : `from ${timesOf(from, calendar)} until ${timesOf(until, calendar)}`;
    return `Freeze of ${of} (${source}): ${why}, ${period}. A freeze wins over every window.`;
  });
  const shown = windows.map(({ calendar: of, window, zone, open }) => `Window of ${of}: ${window}, ${zone}: ${open ? 'open' : 'shut'}.`);
  const closes = opening && `It closes at ${opening.closesMs === undefined ? 'no time in sight' : timesOf(opening.closesMs, calendar)}.`;
  const opens = next ? `It opens next at ${timesOf(next.opensMs, calendar)}.` : 'It does not open again in the next five years.';
  return [...frozen, ...shown, ...(closes === undefined ? [] : [closes]), ...(next || !opening ? [opens] : [])];
}

function explanationJson({ state, opening, next, windows, freezes }: Explanation) {
  return {
    state,
    opening: opening ? openingJson(opening) : null,
    next: next ? openingJson(next) : null,
    windows,
    freezes: freezes.map(({ calendar, source, freeze }) => ({
      calendar,
      source,
      why: freeze.why,
      from: new Date(freeze.from).toISOString(),
      until: new Date(freeze.until).toISOString(),
    })),
  };
}

function copyJson({ url, readMs, trouble }: FreezeCopy) {
  return { url, read: readMs === undefined ? null : new Date(readMs).toISOString(), trouble: trouble ?? null };
}

function copyLine({ url, readMs, trouble }: FreezeCopy, nowMs: number): string {
  const age = readMs === undefined ? 'never read' : `read ${formatDuration(Math.max(nowMs - readMs, 0))} ago`;
  const counts = readMs === undefined ? 'so it counts as a freeze' : 'so the last good copy counts';
  return `${url}: ${age}${trouble === undefined ? '.' : `; it could not be read now (${trouble}), ${counts}.`}`;
}
