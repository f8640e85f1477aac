import { randomUUID } from 'node:crypto';
import { ScheduleNotFoundError, type Client, type ScheduleDescription, type ScheduleUpdateOptions } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { statementFor } from '../domain/approval/statement.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import { HoldpointError } from '../domain/errors.ts';
import { isObject, type JsonObject } from '../domain/json.ts';
import type { RunbookDocument } from '../domain/runbook.ts';
import type { Alarm } from '../domain/schedule/openings.ts';
import {
  preApprovalsMax,
  schedulePrefix,
  type AlarmOutcome,
  type ScheduleClaims,
  type ScheduleInput,
} from '../domain/schedule/schedule.ts';
import { scheduleWorkflow } from '../workflows/messages.ts';
import type { TemporalSettings } from './connection.ts';
import type { Signer } from './signing.ts';
import { askAgain } from './temporal/asking.ts';

/** Schedules that are listed. */
const listedMax = 500;
/** How often a signature is put into a schedule that somebody else changes at the same time. */
const writesMax = 5;
/** Openings by which it is judged how late an alarm may be of use. */
const openingsLookedAt = 50;
/** The least that Temporal takes. */
const catchUpLeastMs = 10_000;
/** Temporal takes a pause without a note for none at all. */
const noReason = 'no reason given';
const months = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
] as const;

/** A schedule as Temporal has it. Anybody who reaches Temporal can have put it there: its signature says whose it is. */
export interface KeptSchedule {
  name: string;
  input: ScheduleInput;
  paused: boolean;
  note: string;
  /** The next times at which Temporal gives an alarm, in milliseconds since 1970, without jitter. */
  alarmsMs: number[];
  /** Alarms that came too late to be given at all, and those that another one of the schedule was in the way of. */
  missed: number;
  overlapped: number;
  description: ScheduleDescription;
}

/** What became of an alarm, or that it still waits for the end of a freeze. */
export type KeptOutcome = AlarmOutcome | { state: 'waiting' | 'lost'; opens: string };

/** What is applied: what the file says, for its requester to sign. */
export interface ScheduleToApply {
  claims: ScheduleClaims;
  document: RunbookDocument;
  runbook: { name: string };
  inputs: JsonObject;
  calendar: Calendar;
}

/** The schedules of Holdpoint: each is one of Temporal, whose alarms start the workflow `schedule`. */
export class Schedules {
  private readonly client: Client;
  private readonly settings: TemporalSettings;

  constructor(client: Client, settings: TemporalSettings) {
    this.client = client;
    this.settings = settings;
  }

  /** All of them, by name. */
  async list(): Promise<KeptSchedule[]> {
    const names: string[] = [];
    for await (const { scheduleId, action } of this.client.schedule.list()) {
      if (scheduleId.startsWith(schedulePrefix) && action?.workflowType === scheduleWorkflow) names.push(nameIn(scheduleId));
      if (names.length >= listedMax) break;
    }
    const found: KeptSchedule[] = [];
    for (const name of names.sort()) {
      const schedule = await this.look(name);
      if (schedule) found.push(schedule);
    }
    return found;
  }

  /** Throws `schedule-unknown` where there is none of that name, or one that is not Holdpoint's. */
  async get(name: string): Promise<KeptSchedule> {
    const found = await this.look(name);
    if (found) return found;
    throw new HoldpointError('schedule-unknown', { schedule: name });
  }

  /** Undefined where there is none. Throws `schedule-unknown` where something else is called like it. */
  async find(name: string): Promise<KeptSchedule | undefined> {
    const found = await this.look(name);
    if (!found && (await this.describe(name))) throw new HoldpointError('schedule-unknown', { schedule: name });
    return found;
  }

  /** Signs a schedule and puts it in the place of the one that is there, or of none. Throws KeyError. */
  async apply({ claims, document, runbook, inputs, calendar }: ScheduleToApply, signer: Signer, nowMs: number): Promise<void> {
    const fresh = { person: signer.person, at: new Date(nowMs).toISOString(), nonce: randomUUID() };
    const signature = await signer.sign(statementFor({ kind: 'schedule', ...claims }, fresh));
    const before = await this.find(claims.schedule);
    const preApprovals = before?.input.preApprovals ?? [];
    const input: ScheduleInput = { claims, signature, document, inputs, runbookName: runbook.name, preApprovals };
    const scheduleId = idOf(claims.schedule);
    // Calendars bring a library of dates along: commands that only look at runs start faster without it.
    const { alarmsFor, longestOf, openingsForAlarms } = await import('../domain/schedule/openings.ts');
    const catchupWindow = Math.max(longestOf(openingsForAlarms(calendar, nowMs, openingsLookedAt)), catchUpLeastMs);
    const options: ScheduleUpdateOptions = {
      spec: { calendars: alarmsFor(calendar, nowMs).map(calendarOf), timezone: 'UTC', jitter: claims.jitterMs },
      action: {
        type: 'startWorkflow',
        workflowType: scheduleWorkflow,
        workflowId: scheduleId,
        taskQueue: this.settings.taskQueue,
        args: [input],
      },
      policies: { overlap: 'SKIP', catchupWindow, pauseOnFailure: false },
      state: { paused: before?.paused ?? false, ...(before?.note && { note: before.note }) },
    };
    if (before) await this.client.schedule.getHandle(scheduleId).update(() => options);
    else await this.client.schedule.create({ ...options, scheduleId });
  }

  /** Throws `schedule-unknown`. */
  async pause(name: string, note: string): Promise<void> {
    await this.get(name);
    await this.client.schedule.getHandle(idOf(name)).pause(note || noReason);
  }

  /** Throws `schedule-unknown`. */
  async resume(name: string, note: string): Promise<void> {
    await this.get(name);
    await this.client.schedule.getHandle(idOf(name)).unpause(note || noReason);
  }

  /** Throws `schedule-unknown`. */
  async delete(name: string): Promise<void> {
    await this.get(name);
    await this.client.schedule.getHandle(idOf(name)).delete();
  }

  /** Puts signatures into a schedule, or takes them out. Throws `schedule-unknown`, `schedule-changed`. */
  async changePreApprovals(name: string, change: (before: string[]) => string[]): Promise<void> {
    const { namespace } = this.settings;
    for (let writes = 1; ; writes += 1) {
      const { input, description } = await this.get(name);
      const { schedule, conflictToken } = description.raw;
      const changed: ScheduleInput = { ...input, preApprovals: change(input.preApprovals).slice(-preApprovalsMax) };
      const startWorkflow = { ...schedule?.action?.startWorkflow, input: { payloads: [defaultPayloadConverter.toPayload(changed)] } };
      try {
        await this.client.workflowService.updateSchedule({
          namespace,
          scheduleId: idOf(name),
          schedule: { ...schedule, action: { startWorkflow } },
          conflictToken,
          identity: 'holdpoint',
          requestId: randomUUID(),
        });
        const kept = (await this.get(name)).input.preApprovals;
        if (changed.preApprovals.every((jws) => kept.includes(jws))) return;
      } catch (error) {
        if (writes >= writesMax) throw error;
        continue;
      }
      if (writes >= writesMax) throw new HoldpointError('schedule-changed', { schedule: name });
    }
  }

  /** What became of the last alarms, the newest first, as far as Temporal still knows. */
  async outcomes({ description }: KeptSchedule): Promise<KeptOutcome[]> {
    const actions = [...description.info.recentActions].reverse();
    return Promise.all(
      actions.map(async ({ scheduledAt, action }): Promise<KeptOutcome> => {
        const { workflowId, firstExecutionRunId } = action.workflow;
        const opens = scheduledAt.toISOString();
        const handle = this.client.workflow.getHandle(workflowId, firstExecutionRunId);
        const status = await handle
          .describe()
          .then(({ status: { name } }) => name)
          .catch(() => 'UNKNOWN');
        if (status === 'RUNNING') return { state: 'waiting', opens };
        const result: unknown = status === 'COMPLETED' ? await handle.result().catch(() => undefined) : undefined;
        return isObject(result) ? (result as unknown as AlarmOutcome) : { state: 'lost', opens };
      }),
    );
  }

  private async look(name: string): Promise<KeptSchedule | undefined> {
    const description = await this.describe(name);
    const { action, state, info } = description ?? {};
    if (!description || action?.workflowType !== scheduleWorkflow || action.taskQueue !== this.settings.taskQueue) return undefined;
    const [input] = (action.args ?? []) as ScheduleInput[];
    if (!isObject(input) || !isObject(input.claims) || input.claims.schedule !== name || !isObject(input.document)) return undefined;
    const preApprovals = Array.isArray(input.preApprovals) ? input.preApprovals : [];
    return {
      name,
      input: { ...(input as unknown as ScheduleInput), preApprovals },
      paused: state?.paused ?? false,
      note: state?.note ?? '',
      alarmsMs: alarmsIn(description),
      missed: info?.numActionsMissedCatchupWindow ?? 0,
      overlapped: info?.numActionsSkippedOverlap ?? 0,
      description,
    };
  }

  private async describe(name: string): Promise<ScheduleDescription | undefined> {
    // A name with other characters would be another schedule's id, or none.
    if (!/^[a-z0-9-]{1,63}$/.test(name)) return undefined;
    try {
      const handle = this.client.schedule.getHandle(idOf(name));
      return await askAgain(this.client.connection, () => handle.describe());
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) return undefined;
      throw error;
    }
  }
}

function idOf(name: string): string {
  return `${schedulePrefix}${name}`;
}

function nameIn(scheduleId: string): string {
  return scheduleId.slice(schedulePrefix.length);
}

function calendarOf({ year, month, dayOfMonth, hour, minute, second }: Alarm) {
  return {
    year: Number(year),
    month: months[Number(month) - 1]!,
    dayOfMonth: Number(dayOfMonth),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
  };
}

/** The moments that Temporal has been given: each field of an alarm is one number. */
function alarmsIn({ raw }: ScheduleDescription): number[] {
  const given = raw.schedule?.spec?.structuredCalendar ?? [];
  return given
    .map(({ year, month, dayOfMonth, hour, minute, second }) => {
      const [y = 0, mo = 1, d = 1, h = 0, mi = 0, s = 0] = [year, month, dayOfMonth, hour, minute, second].map(
        (range) => range?.[0]?.start ?? 0,
      );
      return Date.UTC(y, mo - 1, d, h, mi, s);
    })
    .sort((one, other) => one - other);
}
