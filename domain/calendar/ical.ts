import ICAL from 'ical.js';
import type { Freeze, FreezeSource } from './freeze.ts';
import type { Interval } from './interval.ts';
import { isZone, momentsOf } from './zone.ts';

/** Size of an iCal file. */
export const icalCharactersMax = 1024 * 1024;
/** Events of an iCal file. */
export const icalEventsMax = 2_000;
/** Occurrences of one event, from its start on, that are gone through. */
const occurrencesMax = 20_000;

/** Something in an iCal file that cannot be used, with its line, from 1. */
export interface ICalProblem {
  line: number;
  message: string;
}

/**
 * Reads an iCal file (RFC 5545): each of its events that is not cancelled is a freeze. Times without a zone, and days, are meant in
 * `zone`. An event that cannot be read makes the whole file unusable: nobody knows what it would freeze.
 */
export function freezesOfICal(text: string, name: string, zone: string): FreezeSource | ICalProblem {
  const problem = (line: number, message: string): ICalProblem => ({ line, message });
  if (text.length > icalCharactersMax) return problem(1, `has more than ${icalCharactersMax} characters, which is the most that is read`);
  if (!/^\ufeff?BEGIN:VCALENDAR\s*$/im.test(text.slice(0, 200)))
    return problem(1, 'is no iCal file: it does not begin with BEGIN:VCALENDAR');
  let events: ICAL.Event[];
  try {
    events = eventsOf(text);
  } catch (error) {
    return problem(lineOf(text, error), `cannot be read: ${messageOf(error)}`);
  }
  if (events.length > icalEventsMax) return problem(1, `has ${events.length} events; at most ${icalEventsMax} are allowed`);
  for (const event of events) {
    const why = readably(() => misfitOf(event));
    if (why !== undefined) return problem(lineOfEvent(text, event), `has the event "${event.summary || event.uid}", which ${why}`);
  }
  return { name, freezesIn: (range) => events.flatMap((event) => freezesOf(event, zone, range)) };
}

function eventsOf(text: string): ICAL.Event[] {
  const calendar = new ICAL.Component(ICAL.parse(text) as object[]);
  const components = calendar.getAllSubcomponents('vevent');
  const series = components.filter((component) => !component.hasProperty('recurrence-id'));
  const uids = new Set(series.map((component) => component.getFirstPropertyValue('uid')));
  return components.flatMap((component) => {
    const uid = component.getFirstPropertyValue('uid');
    const isException = component.hasProperty('recurrence-id');
    // An exception whose series is not in the file stands for itself.
    if (isCancelled(component) || (isException && uids.has(uid))) return [];
    const exceptions = components.filter((other) => other.hasProperty('recurrence-id') && other.getFirstPropertyValue('uid') === uid);
    return [new ICAL.Event(component, { exceptions: isException ? [] : exceptions, strictExceptions: false })];
  });
}

function readably(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}

function misfitOf(event: ICAL.Event): string | undefined {
  if (!event.component.hasProperty('dtstart')) return 'has no DTSTART';
  for (const property of ['dtstart', 'dtend']) {
    const tzid = event.component.getFirstProperty(property)?.getFirstParameter('tzid');
    const isKnown =
      tzid === undefined ||
      isZone(tzid) ||
      event.component.parent?.getAllSubcomponents('vtimezone').some((zone) => zone.getFirstPropertyValue('tzid') === tzid);
    if (!isKnown) return `has the unknown zone "${tzid}"`;
  }
  const rules = event.component.getAllProperties('rrule').map((rule) => (rule.getFirstValue() as ICAL.Recur).freq);
  const endless = rules.find((frequency) => ['SECONDLY', 'MINUTELY'].includes(frequency));
  if (event.startDate.compare(event.endDate) > 0) return 'ends before it begins';
  return endless === undefined ? undefined : `comes too often to be a freeze (FREQ=${endless})`;
}

/** Its own type does not lead anywhere. */
interface Occurrence {
  startDate: ICAL.Time;
  endDate: ICAL.Time;
  item: ICAL.Event;
}

function freezesOf(event: ICAL.Event, zone: string, range: Interval): Freeze[] {
  const why = event.summary || event.uid || 'freeze';
  if (!event.isRecurring()) return [freezeOf(event, event.startDate, event.endDate, zone, why)].filter((freeze) => touches(freeze, range));
  const found: Freeze[] = [];
  const occurrences = event.iterator();
  for (let count = 0; count < occurrencesMax; count++) {
    const next = occurrences.next() as ICAL.Time | null | undefined;
    if (!next) return found;
    const { startDate, endDate, item } = event.getOccurrenceDetails(next) as unknown as Occurrence;
    const freeze = freezeOf(item, startDate, endDate, zone, item.summary || why);
    if (touches(freeze, range) && !isCancelled(item.component)) found.push(freeze);
    // One that was moved may lie before those that come next; so the date of the series decides, not its own.
    if (freezeOf(event, next, next, zone, why).from >= range.until) return found;
  }
  // Too many to be counted: whoever asks for so late a time is told of a freeze rather than of none.
  return [...found, { ...range, why }];
}

function touches({ from, until }: Interval, range: Interval): boolean {
  return until > range.from && from < range.until;
}

function freezeOf(event: ICAL.Event, start: ICAL.Time, end: ICAL.Time, zone: string, why: string): Freeze {
  const zoneOfEvent = event.component.getFirstProperty('dtstart')?.getFirstParameter('tzid');
  return { from: momentOf(start, zoneOfEvent, zone, 'first'), until: momentOf(end, zoneOfEvent, zone, 'last'), why };
}

/** Our own zones are as exact as those of windows; what a file says of a zone counts only where its name says nothing to us. */
function momentOf(time: ICAL.Time, tzid: string | undefined, zone: string, which: 'first' | 'last'): number {
  if (!time.isDate && time.zone?.tzid === 'UTC') return time.toUnixTime() * 1_000;
  const wallMs = wallMsOf(time);
  const named = time.isDate ? zone : tzid === undefined ? zone : isZone(tzid) ? tzid : undefined;
  return named === undefined ? time.toUnixTime() * 1_000 : momentsOf(wallMs, named)[which];
}

function wallMsOf(time: ICAL.Time): number {
  const local = time.clone();
  local.zone = ICAL.Timezone.utcTimezone;
  local.isDate = false;
  return local.toUnixTime() * 1_000;
}

function isCancelled(component: ICAL.Component): boolean {
  return String(component.getFirstPropertyValue('status') ?? '').toUpperCase() === 'CANCELLED';
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0]!.slice(0, 200);
}

/** The parser quotes the line that it does not understand. */
function lineOf(text: string, error: unknown): number {
  const quoted = /"([^"]{1,200})"\s*$/.exec(messageOf(error))?.[1];
  const at = quoted === undefined ? -1 : text.indexOf(quoted);
  return at < 0 ? 1 : text.slice(0, at).split('\n').length;
}

function lineOfEvent(text: string, event: ICAL.Event): number {
  const at = text.indexOf(`UID:${event.uid}`);
  return at < 0 ? 1 : text.slice(0, at).split('\n').length;
}
