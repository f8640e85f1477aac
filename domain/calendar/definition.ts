import { didYouMean } from '../suggestion.ts';
import { Calendar } from './calendar.ts';
import { freezeSource, parseFreezeRange, type FreezeRange, type FreezeSource } from './freeze.ts';
import { parseRecurrence, parseWeekly, weeklyTimes, windowMinMs, type ClockChangeChoice, type Window } from './window.ts';
import { isZone, wallMsOf } from './zone.ts';

/** Calendars inside of one another. */
const nestingMax = 8;
/** Openings that are looked at to find one that is long enough to be of use. */
const openingsLookedAt = 50;
/** From here on openings are looked for where a calendar has no `start`. */
const checkedFrom = '2026-01-01';

/** A calendar as holdpoint.yaml has it. */
export interface CalendarDefinition {
  /** IANA zone of its windows and freezes. */
  zone?: string;
  weekly?: string[];
  /** A rule of RFC 5545, the local time from which it counts, and how long each opening is. */
  rrule?: string;
  start?: string;
  durationMs?: number;
  dst: ClockChangeChoice;
  allOf?: string[];
  anyOf?: string[];
  freezes: FreezeDefinition[];
}

export type FreezeDefinition = FreezeRange | FreezeFile;

/** Freezes that stand in an iCal file, whose path is relative to holdpoint.yaml, or at an address. */
export type FreezeFile = ({ ical: string } | { url: string }) & {
  /** Where holdpoint.yaml names it. */
  place: DocumentPlace;
};

/** A place in a document: `holdpoint.yaml`, line 12, column 9 (both from 1), `calendars.x.freezes[0].ical`. */
export interface DocumentPlace {
  file: string;
  line: number;
  column: number;
  path: string;
}

/** Something wrong with a definition, at a path below `calendars`. */
export interface DefinitionProblem {
  path: (string | number)[];
  message: string;
}

/**
 * Makes calendars of their definitions. `freezesOf` gives what stands in files; where it is left out, only what is written in
 * holdpoint.yaml itself is judged. A calendar with a problem is left out.
 */
export function calendarsOf(
  definitions: Readonly<Record<string, CalendarDefinition>>,
  freezesOf: (file: FreezeFile, zone: string) => FreezeSource = () => freezeSource('', []),
): { calendars: Map<string, Calendar>; problems: DefinitionProblem[] } {
  const builder = new Builder(definitions, freezesOf);
  for (const name of Object.keys(definitions)) builder.calendar(name, []);
  return builder;
}

class Builder {
  readonly calendars = new Map<string, Calendar>();
  readonly problems: DefinitionProblem[] = [];
  private readonly definitions: Readonly<Record<string, CalendarDefinition>>;
  private readonly freezesOf: (file: FreezeFile, zone: string) => FreezeSource;
  private readonly tried = new Set<string>();

  constructor(definitions: Readonly<Record<string, CalendarDefinition>>, freezesOf: (file: FreezeFile, zone: string) => FreezeSource) {
    this.definitions = definitions;
    this.freezesOf = freezesOf;
  }

  /** Builds a calendar and those that it is made of; `around` are those that are being built of it. */
  calendar(name: string, around: readonly string[]): Calendar | undefined {
    const definition = Object.hasOwn(this.definitions, name) ? this.definitions[name] : undefined;
    if (definition === undefined || this.tried.has(name)) return this.calendars.get(name);
    const before = this.problems.length;
    const parts = this.partsOf(name, definition, [...around, name]);
    this.tried.add(name);
    if (this.problems.length > before || parts === undefined) return undefined;
    const calendar = new Calendar(parts);
    this.checkUse(calendar, definition);
    if (this.problems.length > before) return undefined;
    this.calendars.set(name, calendar);
    return calendar;
  }

  private problem(path: DefinitionProblem['path'], message: string): undefined {
    this.problems.push({ path, message });
  }

  private partsOf(
    name: string,
    definition: CalendarDefinition,
    around: readonly string[],
  ): ConstructorParameters<typeof Calendar>[0] | undefined {
    const { zone, weekly, rrule, allOf, anyOf, freezes } = definition;
    const kinds = Object.entries({ weekly, rrule, allOf, anyOf }).filter(([, given]) => given !== undefined);
    if (kinds.length > 1)
      return this.problem(
        [name],
        `Has ${kinds.map(([kind]) => `\`${kind}\``).join(' and ')}; it can have one of them. Combine calendars with allOf or anyOf.`,
      );
    if (kinds.length === 0 && freezes.length === 0)
      return this.problem([name], 'Says nothing: give it `weekly`, `rrule`, `allOf`, `anyOf` or `freezes`.');
    if (zone !== undefined && !isZone(zone)) {
      return this.problem(
        [name, 'zone'],
        `There is no zone "${zone}" in the IANA database.${didYouMean(zone, Intl.supportedValuesOf('timeZone'))}`,
      );
    }
    const needsZone = weekly !== undefined || rrule !== undefined || freezes.length > 0;
    if (needsZone && zone === undefined)
      return this.problem([name], 'Has no `zone`, such as Asia/Seoul: a local time means nothing without one.');
    const members = { allOf: this.members(name, 'allOf', definition, around), anyOf: this.members(name, 'anyOf', definition, around) };
    return {
      name,
      zone,
      windows: this.windows(name, definition, zone ?? ''),
      ...members,
      freezes: this.freezes(name, freezes, zone ?? ''),
    };
  }

  private members(name: string, key: 'allOf' | 'anyOf', definition: CalendarDefinition, around: readonly string[]): Calendar[] | undefined {
    return definition[key]?.flatMap((member, index): Calendar[] => {
      const path = [name, key, index];
      if (!Object.hasOwn(this.definitions, member)) {
        this.problem(path, `There is no calendar "${member}".${didYouMean(member, Object.keys(this.definitions))}`);
        return [];
      }
      if (around.includes(member)) this.problem(path, `Is made of itself: ${[...around, member].join(', ')}.`);
      else if (around.length > nestingMax) this.problem(path, `Calendars are nested more than ${nestingMax} deep.`);
      else {
        const calendar = this.calendar(member, around);
        if (calendar === undefined) this.problem(path, `The calendar "${member}" cannot be used.`);
        else if (key === 'anyOf' && !calendar.hasWindows)
          this.problem(path, `"${member}" has freezes only and would be always open; put it into allOf.`);
        else return [calendar];
      }
      return [];
    });
  }

  private windows(name: string, { weekly = [], rrule, start, durationMs, dst }: CalendarDefinition, zone: string): Window[] {
    const common = { zone, onClockChange: dst };
    const windows = weekly.flatMap((text, index): Window[] => {
      const read = parseWeekly(text);
      if (typeof read !== 'string') return [{ ...common, text, wallTimes: (from, until) => weeklyTimes(read, from, until) }];
      this.problem([name, 'weekly', index], `"${text}" ${read}.`);
      return [];
    });
    if (rrule === undefined) {
      for (const key of ['start', 'duration'] as const) {
        if ((key === 'start' ? start : durationMs) !== undefined) this.problem([name, key], `\`${key}\` belongs to \`rrule\`.`);
      }
      return windows;
    }
    if (start === undefined)
      this.problem([name], 'Has an `rrule` without `start`, the local time from which it counts, such as 2026-01-01T22:00.');
    else if (wallMsOf(start) === undefined) this.problem([name, 'start'], `"${start}" is no local time such as 2026-01-01T22:00.`);
    if (durationMs === undefined) this.problem([name], 'Has an `rrule` without `duration`, such as 4h.');
    if (start === undefined || durationMs === undefined || wallMsOf(start) === undefined) return windows;
    const times = parseRecurrence({ rule: rrule, start }, zone);
    if (typeof times === 'string') {
      this.problem([name, 'rrule'], `"${rrule}" ${times}.`);
      return windows;
    }
    const wallTimes: Window['wallTimes'] = (from, until) => times(from, until).map((at) => ({ from: at, until: at + durationMs }));
    return [{ ...common, text: rrule, durationMs, wallTimes }];
  }

  private freezes(name: string, definitions: readonly FreezeDefinition[], zone: string): FreezeSource[] {
    return definitions.flatMap((definition, index): FreezeSource[] => {
      if ('place' in definition) return [this.freezesOf(definition, zone)];
      const freeze = parseFreezeRange(definition, zone);
      if (typeof freeze !== 'string') return [freezeSource('holdpoint.yaml', [freeze])];
      this.problem([name, 'freezes', index], `The freeze ${freeze}.`);
      return [];
    });
  }

  /** What opens never, or never for long enough to do anything, is a mistake of whoever wrote it. Freezes pass, and do not count. */
  private checkUse(calendar: Calendar, { start }: CalendarDefinition): void {
    if (!calendar.hasWindows) return;
    const fromMs = wallMsOf(start ?? this.latestStart())!.wallMs;
    const longestMs = calendar.withoutFreezes().longestOpeningMs(fromMs, { count: openingsLookedAt, enoughMs: windowMinMs });
    if (longestMs === 0) this.problem([calendar.name], 'Never opens: nothing fits it in five years.');
    else if (longestMs < windowMinMs) {
      this.problem([calendar.name], `No opening has ${windowMinMs / 60_000} minutes, which is shorter than any step.`);
    }
  }

  private latestStart(): string {
    const starts = Object.values(this.definitions).flatMap(({ start }) => (start !== undefined && wallMsOf(start) ? [start] : []));
    return [checkedFrom, ...starts].sort().at(-1)!;
  }
}
