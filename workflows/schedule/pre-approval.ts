import { groupsOf } from '../../domain/approval/policy.ts';
import { readPreApproval, refusalOfPreApproval, type PreApprovalUse } from '../../domain/approval/pre-approval.ts';
import { refusalOf } from '../../domain/approval/refusal.ts';
import { questionDigest } from '../../domain/approval/request.ts';
import { expectedOf, type PreApprovalStatement } from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import { digestOf, type SpanPlan } from '../../domain/plan/plan.ts';
import { startHold, type AlarmLook } from '../../domain/schedule/schedule.ts';
import type { HoldState } from '../../domain/run/state.ts';
import { timeMsOf } from '../../domain/time.ts';
import { scheduler } from '../proxies.ts';
import { failureOf } from '../run/failure.ts';
import type { Run } from '../run/run.ts';

/** Why something does not count. */
interface Refusal {
  code: string;
  reason: string;
}

/**
 * Counts what was signed in advance for a hold of a run that a schedule has started, as far as it fits what is asked now. What does not
 * fit is shown at the hold and in the record, and people are asked as always.
 */
export async function countPreApprovals(run: Run, held: HoldState): Promise<void> {
  const { request, plan } = held;
  const look = await lookNow(run);
  if (!look) return;
  for (const { statement, jws } of signedFor(request.hold, look)) {
    const { person, reason, at } = statement;
    const isShut = look.state === 'open' ? undefined : look;
    const refusal =
      isShut ??
      misfit(run, statement, { hold: request.hold, policy: request.policy.name, plan }) ??
      refusalOf(request, held.decisions, attemptOf(run, held, statement), run.state.run, run.nowMs);
    const verified = refusal ?? (await verify(run, statement, jws, groupsOf(request, person)));
    if ('code' in verified) {
      held.notInAdvance = [...(held.notInAdvance ?? []), { person, reason: verified.reason }];
      await run.recordRefusal({ person, attempt: 'approve in advance', code: verified.code, reason: verified.reason });
      continue;
    }
    held.decisions.push({ person, decision: 'approve', reason, at, jws, inAdvance: true });
    await run.record(verified.kind, { ...verified.body, request: request.number });
  }
}

/**
 * Looks whether the requester has signed the plan of what comes before the first hold. Returns why not; the record has the signature
 * otherwise.
 */
export async function refusalOfStart(run: Run, plan: SpanPlan, look: AlarmLook): Promise<string | undefined> {
  const { requester } = run.state;
  let why = `${requester} has not signed its plan in advance.`;
  for (const { statement, jws } of signedFor(startHold, look)) {
    if (statement.person !== requester) continue;
    const verified = misfit(run, statement, { hold: startHold, policy: startHold, plan }) ?? (await verify(run, statement, jws));
    if (!('code' in verified)) {
      await run.record(verified.kind, verified.body);
      return undefined;
    }
    why = verified.reason;
  }
  return `What comes before the first hold changes things, and a schedule signs no plan. ${why}`;
}

/** What the schedule says now: somebody may have signed, or taken something back, since the alarm. */
async function lookNow(run: Run): Promise<AlarmLook | undefined> {
  const { scheduled } = run;
  if (!scheduled) return undefined;
  const { claims, opens } = scheduled.start;
  try {
    return await scheduler.lookAtSchedule({ claims, signature: scheduled.signature, alarm: opens, isBegun: true });
  } catch (error) {
    // People are asked then.
    if (!failureOf(error)) throw error;
    return undefined;
  }
}

/** What was signed for a hold and this opening. */
function signedFor(hold: string, { preApprovals, opens }: AlarmLook): { statement: PreApprovalStatement; jws: string }[] {
  return preApprovals.flatMap((jws) => {
    const statement = readPreApproval(jws);
    return statement?.hold === hold && timeMsOf(statement.notBefore) === timeMsOf(opens) ? [{ statement, jws }] : [];
  });
}

function misfit(
  run: Run,
  statement: PreApprovalStatement,
  { hold, policy, plan }: { hold: string; policy: string; plan: SpanPlan },
): Refusal | undefined {
  const { target, runbook, schedule } = run.state;
  const { opens: notBefore = '', closes: notAfter = '' } = schedule ?? {};
  const inputs = digestOf(plan.inputs);
  const use: PreApprovalUse = { target, runbook: runbook.digest, inputs, hold, policy, planHash: plan.hash, notBefore, notAfter };
  return refusalOfPreApproval(statement, use, run.nowMs);
}

function attemptOf(run: Run, { request }: HoldState, { person, reason }: PreApprovalStatement): Parameters<typeof refusalOf>[2] {
  const { hold, number, planHash } = request;
  const question = questionDigest(request);
  return { person, run: run.state.run, hold, request: number, planHash, question, decision: 'approve', reason };
}

/** The entry of the record for a signature that counts; each counts once in a run. */
async function verify(
  run: Run,
  statement: PreApprovalStatement,
  jws: string,
  groups?: string[],
): Promise<Refusal | ReturnType<typeof signedEvidence>> {
  const expected = expectedOf(statement);
  const verified = await run.verify({ expected, signature: jws, ...(groups && { groups }) });
  if (!verified.ok) return verified;
  if (!run.wasUsed(statement.person, verified.nonce)) return signedEvidence(expected, jws, verified.publicKey);
  const reason = `The pre-approval of ${statement.person} has been counted at an earlier request of this run; it counts once.`;
  return { code: 'statement-used', reason };
}
