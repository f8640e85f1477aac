import { ApplicationFailure, defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { getExternalWorkflowHandle, ParentClosePolicy, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import { endingKind, skippedKind } from '../../domain/evidence/evidence.ts';
import { isObject } from '../../domain/json.ts';
import { scheduledRunId, type AlarmLook, type AlarmOutcome, type ScheduleInput } from '../../domain/schedule/schedule.ts';
import { attemptRefusedSignal, runWorkflow, searchAttributes, type RunInput, type RunResult } from '../messages.ts';
import { startTelling } from '../notify/start.ts';
import { scheduler } from '../proxies.ts';
import { EvidenceLog } from '../run/evidence-log.ts';
import { failureOf } from '../run/failure.ts';

/** How often an alarm looks again whether a freeze is over, which may be lifted before its time. */
const lookAgainMs = 15 * 60_000;
/** Looks of one alarm: more than the longest opening has time for. */
const looksMax = 1_000;
/** A run that is refused ends at once; of one that goes on the alarm needs to know no more. */
const refusalAppearsMs = 60_000;
/** What the server says of the alarm. */
const alarmAttribute = defineSearchAttributeKey('TemporalScheduledStartTime', 'DATETIME');

type Skipped = Extract<AlarmOutcome, { state: 'skipped' }>;
type WhySkipped = Pick<Skipped, 'opens' | 'code' | 'reason' | 'remedy'>;

/**
 * What an alarm of a schedule starts: sets the alarms to come, and starts a run if the schedule still stands and its calendar is open.
 * Where it starts none, a record of its own says why, and people are told.
 */
export async function schedule(input: ScheduleInput): Promise<AlarmOutcome> {
  requireScheduleShape(input);
  const alarm = (workflowInfo().typedSearchAttributes.get(alarmAttribute) ?? workflowInfo().startTime).toISOString();
  // Whoever cannot set alarms now will with the next one: there are many.
  await scheduler.setAlarms({ claims: input.claims, signature: input.signature }).catch(() => undefined);
  const look = await lookUntilOpen(input, alarm);
  if (look.state !== 'open') return skip(input, look);
  return startRun(input, look);
}

async function lookUntilOpen({ claims, signature }: ScheduleInput, alarm: string): Promise<Exclude<AlarmLook, { state: 'wait' }>> {
  const nothing = { state: 'skip' as const, opens: alarm, preApprovals: [] };
  try {
    for (let looks = 1; looks <= looksMax; looks += 1) {
      const look = await scheduler.lookAtSchedule({ claims, signature, alarm });
      if (look.state !== 'wait') return look;
      await sleep(Math.min(Math.max(look.ms, 1), lookAgainMs));
    }
    const reason = `The schedule was looked at ${looksMax} times, and its calendar was not open.`;
    return { ...nothing, code: 'opening-missed', reason, remedy: 'Look at the calendar with `holdpoint calendar explain`.' };
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { ...nothing, ...failure };
  }
}

async function startRun(input: ScheduleInput, look: Extract<AlarmLook, { state: 'open' }>): Promise<AlarmOutcome> {
  const { claims, signature, document, inputs, runbookName } = input;
  const { person, target, ticket: id, ticketLink: link } = claims;
  const { opens, closes } = look;
  const run = scheduledRunId(opens, workflowInfo().runId);
  const ticket = id === undefined ? {} : { ticket: { id, ...(link !== undefined && { link }) } };
  const started: RunInput = {
    run,
    target,
    document,
    inputs,
    requester: person,
    planHash: '',
    signature,
    ...ticket,
    schedule: { claims, opens, closes },
  };
  const attributes = { run, runbook: runbookName, requester: person, phase: 'planning' };
  try {
    const child = await startChild(runWorkflow, {
      workflowId: target,
      args: [started],
      // The alarm is over long before the run.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      typedSearchAttributes: Object.entries(attributes).map(([name, value]) => {
        return { key: defineSearchAttributeKey(searchAttributes[name as keyof typeof searchAttributes], 'KEYWORD'), value };
      }),
    });
    const outcome = { opens, run, target };
    const result = await Promise.race([(child.result() as Promise<RunResult>).catch(() => undefined), sleep(refusalAppearsMs)]);
    if (result?.phase !== 'refused') return { state: 'started', ...outcome };
    await recordSkip(input, {
      ...outcome,
      code: 'run-refused',
      reason: `Run ${run} was refused: ${result.reason}`,
      remedy: `See it with \`holdpoint show ${run}\`.`,
    });
    return { state: 'refused', ...outcome, reason: result.reason };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const reason = `${target} has an open run already, so the schedule ${claims.schedule} started none at ${opens}.`;
    const attempt = { person, attempt: `start by schedule ${claims.schedule}`, code: 'target-busy', reason };
    // It may have ended meanwhile.
    await getExternalWorkflowHandle(target)
      .signal(attemptRefusedSignal, attempt)
      .catch(() => undefined);
    const remedy = `See it with \`holdpoint show ${target}\`; \`holdpoint schedule run-now\` starts another one when it is over.`;
    return skip(input, { opens, code: 'target-busy', reason, remedy });
  }
}

async function skip(input: ScheduleInput, { opens, code, reason, remedy }: WhySkipped): Promise<Skipped> {
  const evidence = await recordSkip(input, { opens, code, reason, remedy });
  return { state: 'skipped', opens, code, reason, remedy, evidence };
}

/** A record of the alarm's own, of which people are told. */
async function recordSkip({ claims, runbookName }: ScheduleInput, why: WhySkipped): Promise<string> {
  const { schedule: name, person, target } = claims;
  const run = `schedule-${workflowInfo().runId}`;
  const record = new EvidenceLog(run, 0, (sequence) => startTelling({ run, target, sequence }));
  await record.write(skippedKind, { schedule: name, person, target, runbookName, ...why });
  const { path } = await record.write(endingKind, { phase: 'done', reason: `schedule ${name} started no run`, leftovers: [] });
  await record.settle();
  return path;
}

/** Whoever reaches Temporal can start this with anything; an error of the code would have the server hand out the same task for ever. */
function requireScheduleShape(input: ScheduleInput): void {
  const given: unknown = input;
  const texts = ['person', 'schedule', 'target', 'runbook', 'inputsHash', 'calendar'];
  const isWhole =
    isObject(given) &&
    isObject(given.claims) &&
    isObject(given.document) &&
    isObject(given.inputs) &&
    texts.every((name) => typeof (given.claims as Record<string, unknown>)[name] === 'string') &&
    [given.signature, given.runbookName].every((value) => typeof value === 'string');
  if (isWhole) return;
  throw ApplicationFailure.create({
    type: 'request-malformed',
    message: 'This was not started by a schedule of `holdpoint schedule apply`.',
    nonRetryable: true,
  });
}
