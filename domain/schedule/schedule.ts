import type { ClaimsOf } from '../approval/statement.ts';
import type { JsonObject } from '../json.ts';
import { digestOfText, type SpanPlan } from '../plan/plan.ts';
import type { RunbookDocument } from '../runbook.ts';

/** What the requester of a schedule has signed. */
export type ScheduleClaims = ClaimsOf<'schedule'>;

/** A schedule as it is kept by Temporal: what each of its alarms is started with. */
export interface ScheduleInput {
  claims: ScheduleClaims;
  /** The requester's signed ScheduleStatement, a compact JWS. */
  signature: string;
  document: RunbookDocument;
  /** As lists of runs show it. */
  runbookName: string;
  /** With the defaults of the runbook. */
  inputs: JsonObject;
  /** Pre-approvals for coming openings, compact JWSs; the oldest give way. */
  preApprovals: string[];
}

/** What starts a run in the place of a person: the schedule, and the opening of its calendar that the run is for. */
export interface ScheduledStart {
  claims: ScheduleClaims;
  /** ISO 8601, UTC. */
  opens: string;
  closes: string;
}

/** What became of an alarm. */
export type AlarmOutcome =
  | { state: 'started'; opens: string; run: string; target: string }
  /** `refused`: the run was begun, and has ended at once without touching anything. */
  | { state: 'refused'; opens: string; run: string; target: string; reason: string }
  | { state: 'skipped'; opens: string; code: string; reason: string; remedy: string; evidence: string };

/** What a worker says of an alarm at this moment. */
export type AlarmLook = { opens: string; preApprovals: string[] } & (
  | { state: 'open'; closes: string }
  /** To be asked again after so long. */
  | { state: 'wait'; ms: number; code: string; reason: string; remedy: string }
  | { state: 'skip'; code: string; reason: string; remedy: string }
);

/** How many pre-approvals a schedule keeps. */
export const preApprovalsMax = 100;

/** A signature of a schedule counts for so long: whoever has asked for maintenance looks at it once a year. */
export const scheduleAgeMaxMs = 400 * 86_400_000;

/** In the place of a hold, the pre-approval of what comes before the first one. No id of a step looks like it. */
export const startHold = '(start)';

/** The beginning of the ids that schedules and their alarms have at Temporal. */
export const schedulePrefix = 'schedule/';

/** Whether a plan changes nothing: such a first span needs nobody's signature. */
export function changesNothing({ steps }: Pick<SpanPlan, 'steps'>): boolean {
  return steps.every(({ plan }) => plan.effects.length === 0);
}

/** The id of the run that an alarm starts: the day of its opening, and what no other execution has. */
export function scheduledRunId(opens: string, execution: string): string {
  return `r-${opens.slice(0, 10).replaceAll('-', '')}-${digestOfText(execution).slice('sha256:'.length, 'sha256:'.length + 8)}`;
}

/** A part of a schedule that differs from what Temporal has. */
export interface ScheduleDifference {
  field: string;
  before: string;
  after: string;
}

/** What an applied file would change; nothing where it says what is there already. */
export function differencesOf(before: ScheduleInput, after: Pick<ScheduleInput, 'claims' | 'inputs'>): ScheduleDifference[] {
  const [old, fresh] = [rowsOf(before), rowsOf(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])].flatMap((field) => {
    const [was = '', is = ''] = [old.get(field), fresh.get(field)];
    return was === is ? [] : [{ field, before: was, after: is }];
  });
}

function rowsOf({ claims, inputs }: Pick<ScheduleInput, 'claims' | 'inputs'>): Map<string, string> {
  const { inputsHash: _hash, schedule: _name, ...rows } = claims;
  const given = Object.entries(inputs).map(([name, value]): [string, string] => [`inputs.${name}`, JSON.stringify(value)]);
  return new Map([...Object.entries(rows).map(([name, value]): [string, string] => [name, String(value)]), ...given]);
}
