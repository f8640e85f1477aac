import { timeIn, zoneOfUser } from './format.ts';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { calendarCopies, readCalendars } from '../activities/calendar/read-calendars.ts';
import type { KeptOutcome, KeptSchedule } from '../client/schedules.ts';
import { readPreApproval } from '../domain/approval/pre-approval.ts';
import { checkSignature } from '../domain/approval/signature.ts';
import { readStatement } from '../domain/approval/statement.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import { nextClockChange } from '../domain/calendar/zone.ts';
import { bytesOfBase64url } from '../domain/base64.ts';
import { parseJson } from '../domain/json.ts';
import { ownValue } from '../domain/map.ts';
import type { CompiledStep } from '../domain/runbook.ts';
import { alarmsFor, type Alarm, type ComingRun } from '../domain/schedule/openings.ts';
import { differencesOf, scheduleAgeMaxMs, type ScheduleDifference } from '../domain/schedule/schedule.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { formatProblem } from '../runbooks/grammar/problem.ts';
import { definitionsFor, loadSchedule, type Schedule } from '../runbooks/schedule.ts';
import { unreadable, UsageError } from './errors.ts';
import { configurationFile, readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';

/** Schedules of one folder. */
const filesMax = 200;
/** A signature that is older is made anew when a schedule is applied again. */
const renewAfterMs = scheduleAgeMaxMs - 100 * 86_400_000;

/** Throws UsageError where there is no holdpoint.yaml: a schedule is of people and calendars that stand there. */
export async function requireConfiguration(terminal: Terminal, config: string | undefined): Promise<Configuration> {
  const configuration = await readConfiguration(terminal, config);
  if (configuration) return configuration;
  const file = configurationFile(terminal, config);
  throw new UsageError(
    `There is no ${file}, which says who may ask for a schedule, and when.`,
    'Name one with --config or HOLDPOINT_CONFIG.',
  );
}

/** Reads schedule files: one, or all of a folder. Throws UsageError with every problem of all of them. */
export async function loadSchedules(terminal: Terminal, path: string, config: string | undefined): Promise<Schedule[]> {
  const configuration = await requireConfiguration(terminal, config);
  const calendars = await calendarsNow(terminal, configuration.calendars ?? {}, config);
  const nowMs = terminal.surroundings.now().getTime();
  const files = filesAt(path);
  const loaded = files.map((file) => {
    try {
      return loadSchedule(file, configuration, { calendars, nowMs });
    } catch (error) {
      throw unreadable(`The schedule ${file}`, error, 'Name a file that can be read.');
    }
  });
  const problems = loaded.flatMap(({ schedule, problems }) => (schedule ? [] : problems.map(formatProblem)));
  const schedules = loaded.flatMap(({ schedule }) => schedule ?? []);
  for (const { file, claims } of schedules) {
    const first = schedules.find((other) => other.claims.schedule === claims.schedule);
    if (first?.file !== file)
      problems.push(`${file}:1:1 error metadata.name: "${claims.schedule}" is also the name of ${first?.file ?? ''}.`);
  }
  if (problems.length > 0) throw new UsageError(`The schedules of ${path} cannot be used:`, undefined, problems);
  return schedules;
}

function filesAt(path: string): string[] {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new UsageError(`There is no file or folder "${path}".`);
  if (status.isFile()) return [path];
  const files = readdirSync(path).filter((name) => /\.ya?ml$/.test(name));
  if (files.length === 0) throw new UsageError(`There is no *.yaml in ${path}.`);
  if (files.length > filesMax) throw new UsageError(`There are ${files.length} files in ${path}; at most ${filesMax} are read at once.`);
  return files.sort().map((name) => join(path, name));
}

async function calendarsNow(
  terminal: Terminal,
  definitions: NonNullable<Configuration['calendars']>,
  config: string | undefined,
): Promise<Map<string, Calendar>> {
  const { surroundings } = terminal;
  const places = {
    file: configurationFile(terminal, config),
    copiesFolder: calendarCopies(surroundings.env),
    nowMs: surroundings.now().getTime(),
  };
  return (await readCalendars(definitions, places)).calendars;
}

/** The calendar that a schedule is for, as this machine's holdpoint.yaml has it now; undefined where it has none. */
export async function calendarOfKept(
  { input }: Pick<KeptSchedule, 'input'>,
  terminal: Terminal,
  config: string | undefined,
): Promise<Calendar | undefined> {
  const configuration = await requireConfiguration(terminal, config);
  const defined = definitionsFor(input.claims, configuration.calendars);
  return defined && (await calendarsNow(terminal, defined.definitions, config)).get(defined.name);
}

/** What applying would change: what the file says, a signature that grows old, and alarms of a calendar that has changed since. */
export function changesBy(before: KeptSchedule, schedule: Schedule, nowMs: number): ScheduleDifference[] {
  const found = differencesOf(before.input, schedule);
  const signedMs = Date.parse(signedAt(before) ?? '');
  if (!(nowMs - signedMs < renewAfterMs)) {
    found.push({
      field: 'signature',
      before: Number.isNaN(signedMs) ? 'none' : `of ${new Date(signedMs).toISOString()}`,
      after: 'made anew',
    });
  }
  const alarms = alarmsFor(schedule.calendar, nowMs).map(msOfAlarm);
  const lastMs = before.alarmsMs.at(-1) ?? 0;
  const [set, wanted] = [before.alarmsMs.filter((ms) => ms > nowMs), alarms.filter((ms) => ms > nowMs && ms <= lastMs)];
  if (found.length === 0 && (set.length === 0 || set.join() !== wanted.join())) {
    found.push({ field: 'alarms', before: timesShown(set), after: timesShown(alarms.filter((ms) => ms > nowMs)) });
  }
  return found;
}

function timesShown(times: readonly number[]): string {
  const [first] = times;
  return first === undefined ? 'none' : `${times.length}, the next one at ${timeIn(zoneOfUser(), first)}`;
}

function msOfAlarm({ year, month, dayOfMonth, hour, minute, second }: Alarm): number {
  return Date.UTC(Number(year), Number(month) - 1, Number(dayOfMonth), Number(hour), Number(minute), Number(second));
}

/** When a schedule was signed, whoever has done it; undefined where that cannot be read. */
export function signedAt({ input }: Pick<KeptSchedule, 'input'>): string | undefined {
  const payload = bytesOfBase64url(String(input.signature).split('.')[1] ?? '');
  const read = readStatement(payload && parseJson(payload));
  return 'statement' in read ? read.statement.at : undefined;
}

/** Why a schedule would start nothing, as far as this machine's holdpoint.yaml says; undefined where its signature holds. */
export function signatureTrouble({ input }: Pick<KeptSchedule, 'input'>, { people }: Configuration, nowMs: number): string | undefined {
  const { claims, signature } = input;
  const checked = checkSignature(String(signature), { kind: 'schedule', ...claims }, ownValue(people, claims.person), nowMs);
  if (!checked.ok) return checked.reason;
  const endsMs = Date.parse(checked.statement.at) + scheduleAgeMaxMs;
  return nowMs < endsMs ? undefined : `It was signed at ${checked.statement.at}, which is too long ago; apply it again.`;
}

/** The holds that a run stops at, with those of the runbooks that it carries out. */
export function holdsOf(steps: readonly CompiledStep[]): { hold: string; policy: string }[] {
  return steps.flatMap((step) => {
    if (step.kind === 'hold') return [{ hold: step.id, policy: step.policy }];
    return step.kind === 'runbook' ? holdsOf(step.runbook.steps).map(({ hold, policy }) => ({ hold: `${step.id}/${hold}`, policy })) : [];
  });
}

/** Changes of the clocks of a calendar between two moments. */
export function clockChangesBetween(
  { zones }: Calendar,
  fromMs: number,
  untilMs: number,
): { zone: string; atMs: number; forwardMs: number }[] {
  const changes = zones.flatMap((zone) => {
    const found: { zone: string; atMs: number; forwardMs: number }[] = [];
    for (let change = nextClockChange(fromMs, zone); change && change.atMs <= untilMs; change = nextClockChange(change.atMs, zone)) {
      found.push({ zone, ...change });
    }
    return found;
  });
  return changes.sort((one, other) => one.atMs - other.atMs);
}

/** What people have signed in advance, as it is shown. */
export function preApprovalsOf({ input }: Pick<KeptSchedule, 'input'>, nowMs: number) {
  return input.preApprovals.flatMap((jws) => {
    const statement = readPreApproval(jws);
    if (!statement || Date.parse(statement.notAfter) < nowMs) return [];
    const { person, hold, policy, planHash, notBefore, notAfter, reason } = statement;
    return [{ person, hold, policy, planHash, notBefore, notAfter, reason }];
  });
}

/** A coming run as data. */
export function comingJson({ opening, startsMs, freeze }: ComingRun) {
  return {
    opens: new Date(opening.opensMs).toISOString(),
    closes: new Date(opening.closesMs).toISOString(),
    starts: startsMs === undefined ? null : new Date(startsMs).toISOString(),
    freeze: freeze ? { calendar: freeze.calendar, source: freeze.source, why: freeze.freeze.why } : null,
  };
}

/** What became of an alarm, in a line. */
export function outcomeLine(outcome: KeptOutcome): string {
  const opens = timeIn(zoneOfUser(), Date.parse(outcome.opens));
  switch (outcome.state) {
    case 'started':
      return `${opens}  started ${outcome.run}`;
    case 'refused':
      return `${opens}  refused (${outcome.run}): ${outcome.reason}`;
    case 'skipped':
      return `${opens}  skipped (${outcome.code}): ${outcome.reason}`;
    case 'waiting':
      return `${opens}  waits for a worker, or for the end of a freeze`;
    case 'lost':
      return `${opens}  nothing is known of it any more`;
  }
}
