import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { Calendar } from '../domain/calendar/calendar.ts';
import { calendarsOf, type CalendarDefinition } from '../domain/calendar/definition.ts';
import { ExpressionError } from '../domain/expression/expression.ts';
import { isObject, parseJson, type Json, type JsonObject } from '../domain/json.ts';
import { ownValue } from '../domain/map.ts';
import { canonicalText, digestOf } from '../domain/plan/plan.ts';
import type { CompiledRunbook, RunbookDocument } from '../domain/runbook.ts';
import { openingsForAlarms } from '../domain/schedule/openings.ts';
import type { ScheduleClaims } from '../domain/schedule/schedule.ts';
import { didYouMean } from '../domain/suggestion.ts';
import { ticketClaims } from '../domain/approval/statement.ts';
import { TargetError } from '../domain/target.ts';
import { ticketProblem } from '../domain/ticket.ts';
import { compileRunbook } from './compiler/compile.ts';
import { checkInputs, targetOf } from './compiler/inputs.ts';
import { isPath } from './compiler/reference.ts';
import { calendarGrammar, definitionsOf } from './configuration/calendars.ts';
import type { Configuration } from './configuration/configuration.ts';
import { parseDurationMs } from './configuration/duration.ts';
import { documentBytesMax, readDocument, SourceMap } from './grammar/document.ts';
import { formatProblem, type Problem } from './grammar/problem.ts';
import { scheduleGrammar } from './grammar/schedule.ts';
import { checkShape } from './grammar/shape.ts';
import { readRunbook, RunbookNotFoundError } from './library.ts';

/** The name of the calendar that a schedule's own `times` make. No calendar of a configuration is called like it. */
export const ownTimes = 'times of the schedule';
/** Problems of a runbook that are told at the place where a schedule names it. */
const runbookProblemsShown = 3;
/** Openings that are looked at for whether they are longer than the jitter. */
const openingsLookedAt = 50;

/** A schedule that has been read and checked, but for whose it is: that is signed. */
export interface Schedule {
  file: string;
  claims: ScheduleClaims;
  document: RunbookDocument;
  runbook: CompiledRunbook;
  /** With the defaults of the runbook. */
  inputs: JsonObject;
  calendar: Calendar;
}

/**
 * Reads a schedule file with its runbook. Every problem is told with its place.
 *
 * @param configuration people, calendars and policies that it may name.
 * @param calendars those calendars as they are now.
 */
export function loadSchedule(
  file: string,
  configuration: Configuration,
  { calendars, nowMs }: { calendars: ReadonlyMap<string, Calendar>; nowMs: number },
): { schedule?: Schedule; problems: Problem[] } {
  const text = readFileSync(file)
    .subarray(0, documentBytesMax + 1)
    .toString('utf8');
  const { value, sourceMap } = readDocument(text, file);
  if (value === undefined || !checkShape(scheduleGrammar, value, sourceMap)) return { problems: sourceMap.problems() };
  const given = scheduleGrammar.parse(value);
  checkPeople(given, configuration, sourceMap);
  const calendar = calendarOf(given, calendars, sourceMap);
  if (calendar) checkOpenings(given, calendar, nowMs, sourceMap);
  const work = workOf(given, (value as JsonObject).inputs, configuration, sourceMap);
  if (sourceMap.hasErrors() || !calendar || !work) return { problems: sourceMap.problems() };
  const { document, runbook, inputs, target } = work;
  const claims: ScheduleClaims = {
    person: given.requester,
    schedule: given.metadata.name,
    target,
    runbook: runbook.digest,
    inputsHash: digestOf(inputs),
    calendar: given.calendar ?? canonicalText(given.times as unknown as Json),
    jitterMs: durationMsOf(given.jitter),
    catchUpMs: durationMsOf(given.catchUp),
    ...ticketClaims(given.ticket),
  };
  return { schedule: { file, claims, document, runbook, inputs, calendar }, problems: sourceMap.problems() };
}

/**
 * What a schedule says of its openings, as definitions of calendars: those of the configuration, and its own times.
 * `name` is the one that counts. Undefined where there is no such calendar, or the times are none.
 */
export function definitionsFor(
  { calendar }: Pick<ScheduleClaims, 'calendar'>,
  configured: Readonly<Record<string, CalendarDefinition>> = {},
): { name: string; definitions: Record<string, CalendarDefinition> } | undefined {
  if (!calendar.startsWith('{')) return ownValue(configured, calendar) && { name: calendar, definitions: { ...configured } };
  const times = calendarGrammar.safeParse(parseJson(calendar));
  if (!times.success) return undefined;
  return { name: ownTimes, definitions: definitionsOf({ [ownTimes]: times.data }, new SourceMap('', '')) };
}

type Given = ReturnType<typeof scheduleGrammar.parse>;

function durationMsOf(text: string | undefined): number {
  return text === undefined ? 0 : (parseDurationMs(text) ?? 0);
}

function checkPeople({ requester, ticket }: Given, { people }: Configuration, sourceMap: SourceMap): void {
  if (!Object.hasOwn(people, requester)) {
    sourceMap.error(['requester'], `There is no "${requester}" in people of holdpoint.yaml.${didYouMean(requester, Object.keys(people))}`);
  }
  const problem = ticket && ticketProblem(ticket);
  if (problem !== undefined) sourceMap.error(['ticket'], problem);
}

function calendarOf({ calendar, times }: Given, calendars: ReadonlyMap<string, Calendar>, sourceMap: SourceMap): Calendar | undefined {
  if ((calendar === undefined) === (times === undefined)) {
    sourceMap.error(calendar === undefined ? [] : ['times'], 'Must say when: by `calendar`, or by `times` of its own, not by both.');
    return undefined;
  }
  if (times) {
    const { calendars: own, problems } = calendarsOf(definitionsOf({ [ownTimes]: times }, sourceMap));
    for (const { path, message } of problems) sourceMap.error(['times', ...path.slice(1)], message);
    return own.get(ownTimes);
  }
  const named = calendars.get(calendar ?? '');
  const there = didYouMean(calendar ?? '', calendars.keys());
  if (!named) sourceMap.error(['calendar'], `There is no calendar "${calendar ?? ''}" in holdpoint.yaml.${there}`);
  else if (!named.hasWindows) sourceMap.error(['calendar'], `"${named.name}" has freezes only: it never opens, and would start nothing.`);
  return named;
}

function checkOpenings({ jitter, catchUp }: Given, calendar: Calendar, nowMs: number, sourceMap: SourceMap): void {
  const openings = openingsForAlarms(calendar, nowMs, openingsLookedAt);
  if (openings.length === 0) {
    sourceMap.error([calendar.name === ownTimes ? 'times' : 'calendar'], 'Does not open again in the next five years.');
    return;
  }
  const shortestMs = Math.min(...openings.map(({ opensMs, closesMs }) => closesMs - opensMs));
  const jitterMs = durationMsOf(jitter);
  if (jitterMs >= shortestMs) {
    sourceMap.error(
      ['jitter'],
      `Is not shorter than the shortest opening, which has ${shortestMs / 60_000} minutes: a run might come too late.`,
    );
  } else if (catchUp !== undefined && jitterMs >= durationMsOf(catchUp)) {
    sourceMap.error(['catchUp'], 'Must be longer than `jitter`, or a run might come too late by chance.');
  }
}

interface Work {
  document: RunbookDocument;
  runbook: CompiledRunbook;
  inputs: JsonObject;
  target: string;
}

/** The runbook with its inputs, and the target that they come to. */
function workOf(given: Given, inputs: Json | undefined, configuration: Configuration, sourceMap: SourceMap): Work | undefined {
  const document = documentOf(given.runbook, sourceMap);
  if (!document) return undefined;
  const { runbook, problems } = compileRunbook(document.text, document.file, configuration, document.runbooks);
  if (!runbook) {
    const told = problems.filter(({ severity }) => severity === 'error').slice(0, runbookProblemsShown);
    sourceMap.error(['runbook'], `The runbook cannot be used: ${told.map(formatProblem).join(' ')}`);
    return undefined;
  }
  const checked = checkInputs(runbook, isObject(inputs) ? inputs : {});
  for (const { path, message } of checked.problems) {
    const [first = ''] = path.split(/[.[]/);
    sourceMap.error(['inputs', first], path === '' ? message : `${path}: ${message}`);
  }
  if (checked.problems.length > 0) return undefined;
  try {
    const target = targetOf(runbook, checked.inputs);
    if (given.target !== undefined && given.target !== target) {
      sourceMap.error(['target'], `The runbook works on ${target} with these inputs.`);
    }
    return { document, runbook, inputs: checked.inputs, target };
  } catch (error) {
    if (!(error instanceof TargetError || error instanceof ExpressionError)) throw error;
    sourceMap.error(['inputs'], error.message);
    return undefined;
  }
}

function documentOf(named: string, sourceMap: SourceMap): RunbookDocument | undefined {
  try {
    return readRunbook(isPath(named) ? pathFrom(sourceMap.file, named) : named);
  } catch (error) {
    if (!(error instanceof RunbookNotFoundError)) throw error;
    sourceMap.error(['runbook'], error.message);
    return undefined;
  }
}

/** A path stays one that is told from a name. */
function pathFrom(file: string, path: string): string {
  if (isAbsolute(path)) return path;
  const joined = join(dirname(file), path);
  return isPath(joined) ? joined : `./${joined}`;
}
