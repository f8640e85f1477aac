import { Context } from '@temporalio/activity';
import type { temporal } from '@temporalio/proto';
import type { Calendar } from '../domain/calendar/calendar.ts';
import type { CalendarDefinition } from '../domain/calendar/definition.ts';
import { ownValue } from '../domain/map.ts';
import { alarmsFor, verdictAt } from '../domain/schedule/openings.ts';
import { schedulePrefix, type AlarmLook, type ScheduleClaims, type ScheduleInput } from '../domain/schedule/schedule.ts';
import { msOf } from '../domain/time.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { definitionsFor } from '../runbooks/schedule.ts';
import { verifyStatement } from './people/verify.ts';

/** How long Temporal may take to answer. */
const answerTimeoutMs = 10_000;

/** What a worker needs to look at schedules. */
export interface ScheduleParts {
  readConfiguration(): Promise<Configuration>;
  /** The calendars of some definitions as they are now. */
  readCalendars(definitions: Readonly<Record<string, CalendarDefinition>>): Promise<ReadonlyMap<string, Calendar>>;
}

/** What an alarm of a schedule asks about. */
export interface SignedSchedule {
  claims: ScheduleClaims;
  signature: string;
}

/** What is asked of an alarm. */
export interface AlarmQuestion extends SignedSchedule {
  /** The time that it was set for; ISO 8601, UTC. */
  alarm: string;
  /** Its run has begun: how late a start may be matters no more. */
  isBegun?: boolean;
}

type Refused = Pick<Extract<AlarmLook, { state: 'skip' }>, 'code' | 'reason' | 'remedy'>;

/**
 * Says what is to be done about an alarm of a schedule: whether its requester has signed it and is still there, whether it is still the one
 * that Temporal has, and whether its calendar is open. To be called within an activity.
 */
export async function lookAtSchedule(
  parts: ScheduleParts,
  { claims, signature, alarm, isBegun = false }: AlarmQuestion,
): Promise<AlarmLook> {
  const now = new Date();
  const configuration = await parts.readConfiguration();
  const skip = (why: Refused, preApprovals: string[] = []): AlarmLook => {
    const { code, reason, remedy } = why;
    return { state: 'skip', opens: alarm, preApprovals, code, reason, remedy };
  };
  const verified = verifyStatement(signature, { kind: 'schedule', ...claims }, ownValue(configuration.people, claims.person), now);
  if (!verified.ok) return skip(verified);
  const kept = await keptSchedule(claims, signature);
  if ('code' in kept) return skip(kept);
  const { preApprovals } = kept;
  const calendar = await calendarFor(parts, claims, configuration);
  if (!calendar) {
    const reason = `holdpoint.yaml of the worker has no calendar ${claims.calendar}, which the schedule ${claims.schedule} is for.`;
    return skip({ code: 'calendar-gone', reason, remedy: 'Put the calendar back, or apply the schedule with another one.' }, preApprovals);
  }
  const verdict = verdictAt(calendar, msOf(alarm), isBegun ? 0 : claims.catchUpMs, now.getTime());
  const { state, opening } = verdict;
  const opens = opening ? new Date(opening.opensMs).toISOString() : alarm;
  if (state === 'open') return { state, opens, closes: new Date(verdict.opening.closesMs).toISOString(), preApprovals };
  const { code, reason, remedy } = verdict;
  if (state === 'wait') return { state, opens, ms: verdict.untilMs - now.getTime(), code, reason, remedy, preApprovals };
  return { state, opens, code, reason, remedy, preApprovals };
}

/**
 * Sets the alarms of a schedule to the openings that its calendar has now, as holdpoint.yaml may have changed. To be called within an
 * activity. Does nothing where the schedule is gone, or another one by now.
 */
export async function setAlarms(parts: ScheduleParts, { claims, signature }: SignedSchedule): Promise<void> {
  const configuration = await parts.readConfiguration();
  const calendar = await calendarFor(parts, claims, configuration);
  const described = calendar && (await describe(claims.schedule));
  if (!calendar || described?.input.signature !== signature) return;
  const { client, info } = Context.current();
  const { schedule, conflictToken } = described.raw;
  const calendars = alarmsFor(calendar, Date.now());
  await client.connection.withDeadline(Date.now() + answerTimeoutMs, () =>
    client.workflowService.updateSchedule({
      namespace: info.namespace,
      scheduleId: `${schedulePrefix}${claims.schedule}`,
      // As it is, with what it starts its alarms with: only when they come is another matter.
      schedule: { ...schedule, spec: { ...schedule?.spec, calendar: calendars, structuredCalendar: [] } },
      conflictToken,
      identity: 'holdpoint',
      requestId: `${info.activityId}-${info.workflowExecution?.runId ?? ''}-${info.attempt}`,
    }),
  );
}

async function calendarFor(parts: ScheduleParts, claims: ScheduleClaims, { calendars }: Configuration): Promise<Calendar | undefined> {
  const defined = definitionsFor(claims, calendars);
  return defined && (await parts.readCalendars(defined.definitions)).get(defined.name);
}

/** What Temporal has of a schedule, if it is the one that was signed. */
async function keptSchedule({ schedule }: ScheduleClaims, signature: string): Promise<Pick<ScheduleInput, 'preApprovals'> | Refused> {
  const described = await describe(schedule);
  if (!described) {
    const remedy = 'Apply it again if it is still wanted.';
    return { code: 'schedule-gone', reason: `There is no schedule ${schedule} any more: it was deleted.`, remedy };
  }
  const { input, isPaused, note } = described;
  if (input.signature !== signature) {
    const reason = `The schedule ${schedule} is another one by now: it was applied again.`;
    return { code: 'schedule-replaced', reason, remedy: 'Nothing is to be done: the other one has alarms of its own.' };
  }
  if (isPaused) {
    const reason = `The schedule ${schedule} is paused${note === '' ? '' : `: ${note}`}.`;
    return { code: 'schedule-paused', reason, remedy: `\`holdpoint schedule resume ${schedule}\` lets it go on.` };
  }
  return { preApprovals: Array.isArray(input.preApprovals) ? input.preApprovals.filter((jws) => typeof jws === 'string') : [] };
}

interface Described {
  input: Partial<ScheduleInput>;
  isPaused: boolean;
  note: string;
  raw: temporal.api.workflowservice.v1.IDescribeScheduleResponse;
}

/** Undefined where there is none of that name. */
async function describe(name: string): Promise<Described | undefined> {
  const { client } = Context.current();
  try {
    const handle = client.schedule.getHandle(`${schedulePrefix}${name}`);
    const { action, state, raw } = await client.connection.withDeadline(Date.now() + answerTimeoutMs, () => handle.describe());
    const [input] = (action.args ?? []) as Partial<ScheduleInput>[];
    return { input: input ?? {}, isPaused: state.paused, note: state.note ?? '', raw };
  } catch (error) {
    if (error instanceof Error && error.name === 'ScheduleNotFoundError') return undefined;
    throw error;
  }
}
