import { workflowInfo } from '@temporalio/workflow';
import { signedEvidence, isRunId } from '../../domain/evidence/evidence.ts';
import { ticketClaims, type ExpectedStatement } from '../../domain/approval/statement.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import { changesNothing, type AlarmLook, type ScheduledStart } from '../../domain/schedule/schedule.ts';
import { blockedBy, type Span } from '../../domain/run/span.ts';
import { rowsOf } from '../../domain/run/steps.ts';
import { instancesOf } from '../../domain/run/step-tree.ts';
import { ticketProblem } from '../../domain/ticket.ts';
import { toJson } from '../json.ts';
import type { Admission, RunInput } from '../messages.ts';
import { scheduler } from '../proxies.ts';
import { refusalOfStart } from '../schedule/pre-approval.ts';
import { planNextSpan } from '../steps/span.ts';
import { failureOf, type Failure } from './failure.ts';
import type { RunProgress } from './progress.ts';
import type { Run } from './run.ts';

/** What became of a start, and what is carried out where it was admitted. */
export interface Admitted {
  admission: Admission;
  /** Missing where the document could not be used. */
  progress?: RunProgress;
  /** The first span, where it is the one that the requester has signed. */
  span?: Span;
}

/** Checks the document, the requester's signature and the plan of the first span. Nothing is touched. */
export async function admit(run: Run, input: RunInput): Promise<Admitted> {
  let progress: RunProgress | undefined;
  try {
    const misfit = misfitOf(input);
    if (misfit) return { admission: { admitted: false, ...misfit } };
    const { keys, ...prepared } = await run.read(({ prepare }) =>
      prepare({ document: input.document, inputs: input.inputs, target: input.target }),
    );
    run.learnKeys(keys);
    const { runbook, inputs } = prepared;
    progress = { base: { ...prepared, run: input.run, requester: input.requester }, results: {}, queue: instancesOf(runbook, inputs) };
    run.rows = rowsOf(progress.queue);
    const { name, title, digest } = runbook;
    Object.assign(run.state, { runbook: { name, title, digest }, inputs });
    const forged = scheduleMisfit(input, progress) ?? (await verifyStart(run, input, progress));
    if (forged) return { admission: { admitted: false, ...forged }, progress };
    return { progress, ...(await admitPlan(run, input, progress)) };
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { admission: { admitted: false, ...failure }, progress };
  }
}

/** What only a client other than ours can have got wrong; undefined where nothing is. */
function misfitOf({ run, target, ticket }: RunInput): Failure | undefined {
  const remedy = 'Start runs with `holdpoint start`.';
  const misfit = ticket && ticketProblem(ticket);
  if (misfit !== undefined) return { code: 'request-malformed', reason: misfit, remedy };
  const { workflowId } = workflowInfo();
  if (!isRunId(run)) return { code: 'run-id-malformed', reason: `${JSON.stringify(run)} cannot be the id of a run.`, remedy };
  // The workflow id is the lock of the target.
  if (workflowId === target) return undefined;
  return { code: 'target-differs', reason: `The workflow is called ${workflowId}, but a run on ${target} must be called like it.`, remedy };
}

/** Verifies the requester's signature and notes the start; returns why it does not count. */
async function verifyStart(run: Run, input: RunInput, { base }: RunProgress): Promise<Failure | undefined> {
  const { requester: person, run: id, target, planHash, signature, ticket, schedule } = input;
  const { digest: runbook, name: runbookName } = base.runbook;
  const expected: ExpectedStatement = schedule
    ? { kind: 'schedule', ...schedule.claims }
    : { kind: 'start', person, run: id, target, runbook, planHash, ...ticketClaims(ticket) };
  const verified = await run.verify({ expected, signature });
  if (!verified.ok) {
    const { code, reason, remedy } = verified;
    return { code, reason, remedy };
  }
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const opening = schedule && { opens: schedule.opens, closes: schedule.closes };
  // With the runbook itself, by which workers find out later which signatures its holds ask for.
  void run.note(kind, { ...body, ...opening, inputs: base.inputs, runbookName, document: toJson(input.document) });
  return undefined;
}

async function admitPlan(run: Run, input: RunInput, progress: RunProgress): Promise<Admitted> {
  const look = input.schedule && (await lookAtSchedule(input.schedule, input.signature));
  if (look && look.state !== 'open') {
    const { code, reason, remedy } = look;
    return { admission: { admitted: false, code, reason, remedy } };
  }
  const span = await planNextSpan(run, progress);
  const { plan } = span;
  const unsigned = look && !changesNothing(plan) ? await refusalOfStart(run, plan, look) : undefined;
  await run.record('plan.made', { plan: toJson(plan) });
  const blocked = blockedBy(plan);
  if (blocked) return { admission: { admitted: false, code: 'plan-blocked', ...blocked, plan } };
  if (unsigned !== undefined) {
    const remedy = 'Sign it for the next opening with `holdpoint schedule approve`, or put a hold above it.';
    return { admission: { admitted: false, code: 'start-unsigned', reason: unsigned, remedy, plan } };
  }
  if (!look && plan.hash !== input.planHash) {
    const reason = `The plan is no longer the one that was shown: it is ${plan.hash} now, and ${input.planHash} was signed.`;
    return { admission: { admitted: false, code: 'plan-changed', reason, remedy: 'Look at the new plan and start again.', plan } };
  }
  return { admission: { admitted: true }, span };
}

/** Whether the schedule stands and its calendar is open, as the worker of the run sees it; another opening than the one named is none. */
async function lookAtSchedule({ claims, opens, closes }: ScheduledStart, signature: string): Promise<AlarmLook> {
  const look = await scheduler.lookAtSchedule({ claims, signature, alarm: opens });
  if (look.state !== 'open' || (look.opens === opens && look.closes === closes)) return look;
  const reason = `The calendar has no opening from ${opens} until ${closes}.`;
  return { ...look, state: 'skip', code: 'opening-unknown', reason, remedy: 'Apply the schedule again.' };
}

/** What does not fit together in what a schedule is said to have started; undefined where it does. */
function scheduleMisfit({ schedule, requester, target, planHash, ticket }: RunInput, { base }: RunProgress): Failure | undefined {
  if (!schedule) return undefined;
  const { claims } = schedule;
  const { ticket: id, ticketLink: link } = claims;
  const fits =
    claims.person === requester &&
    claims.target === target &&
    claims.runbook === base.runbook.digest &&
    claims.inputsHash === digestOf(base.inputs) &&
    planHash === '' &&
    ticket?.id === id &&
    ticket?.link === link;
  if (fits) return undefined;
  const reason = `The run is not what the schedule ${claims.schedule} of ${claims.person} says: another target, runbook, inputs or ticket.`;
  return { code: 'request-malformed', reason, remedy: 'Apply the schedule again; it starts its runs by itself.' };
}
