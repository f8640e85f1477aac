import { CancellationScope, condition } from '@temporalio/workflow';
import { refusalOf, standingOf, type Opening, type Refusal } from '../domain/approval.ts';
import { signedEvidence } from '../domain/evidence.ts';
import { differenceOf } from '../domain/plan-difference.ts';
import type { SpanPlan } from '../domain/plan.ts';
import type { HoldStep } from '../domain/runbook.ts';
import type { DecisionStatement } from '../domain/statement.ts';
import { toJson } from './json.ts';
import type { DecisionAnswer, DecisionRequest, HoldState } from './messages.ts';
import { reads, verifier } from './proxies.ts';
import { refusalFailure, requireShape } from './refusal.ts';
import { RunEnded, type Run } from './run.ts';
import { blockersOf, planSpan, questionOf, type PlanningBase, type Span } from './span.ts';

/** How often a hold is opened again because the plan keeps changing, before an operator has to look. */
const openingsMax = 20;

type Verdict = 'approved' | 'rejected' | 'expired' | 'aborted';

/**
 * Stops until the people named by the policy have signed the plan of the span, and a second look shows that it still holds.
 * Drift voids the signatures, shows the difference and opens the hold again. Returns the plan that was signed.
 * Throws RunEnded where the hold is rejected or the run aborted.
 */
export async function holdUntilSigned(run: Run, hold: HoldStep, span: Span, base: PlanningBase): Promise<SpanPlan> {
  const step = run.step(hold.id);
  step.status = 'holding';
  let drift: HoldState['drift'];
  for (let opening = 1; ; opening += 1) {
    run.enter('planning');
    const plan = await unblockedPlan(run, hold.id, span, base);
    const state = await openHold(run, hold, { plan, opening, drift }, base);
    const verdict = await verdictOf(run, state);
    if (verdict === 'expired') {
      const reason = `Hold ${hold.id} expired at ${state.opening.expiresAt} without the signatures it needs; nothing was approved by that.`;
      await run.stuck(hold.id, reason, 'Have the hold opened again with `holdpoint retry`, or abort the run.');
      continue;
    }
    if (verdict !== 'approved') await endRun(run, state, verdict);
    run.enter('planning');
    // A pause comes before the second look, which would be an old one after it.
    await run.safePoint();
    const again = await unblockedPlan(run, hold.id, span, base);
    if (again.hash === plan.hash) {
      const { at } = await run.record('hold.approved', { hold: hold.id, opening, planHash: plan.hash });
      run.state.hold = undefined;
      step.status = 'done';
      step.endedAt = at;
      step.summary = `signed by ${state.decisions.map(({ person }) => person).join(', ')}`;
      return again;
    }
    drift = differenceOf(plan, again);
    const drifted = { hold: hold.id, opening, planHash: plan.hash, presentHash: again.hash, difference: toJson(drift) };
    const { at } = await run.untilItWorks(hold.id, () => run.record('hold.drifted', drifted));
    state.opening.closed = { because: 'drift', at };
    if (opening >= openingsMax) {
      const reason = `The plan has changed after each of ${openingsMax} openings.`;
      await run.stuck(hold.id, reason, 'Find out what keeps changing it, then try again.');
    }
  }
}

/** A plan that can be carried out as things stand; where it is blocked, an operator is told what blocks it. */
async function unblockedPlan(run: Run, hold: string, span: Span, base: PlanningBase): Promise<SpanPlan> {
  for (;;) {
    const plan = await run.untilItWorks(hold, () => planSpan(span.steps, base));
    const [blocker] = blockersOf(plan);
    if (!blocker) return plan;
    run.state.hold = undefined;
    await run.stuck(hold, `Step ${blocker.step} cannot be carried out: ${blocker.object}: ${blocker.reason}`, blocker.remedy);
  }
}

/** The policy as it is now. A hold that nobody could open by signing would only expire: an operator hears of it at once. */
async function policyOf(run: Run, hold: HoldStep): Promise<Pick<Opening, 'policy' | 'members' | 'openedAt' | 'expiresAt'>> {
  for (;;) {
    const current = await run.untilItWorks(hold.id, () => reads.openHold({ policy: hold.policy }));
    const { policy, members } = current;
    const { requester } = run.state;
    const entitled = members.filter((person) => !policy.exclude.includes('requester') || person !== requester);
    if (entitled.length >= policy.atLeast) return current;
    const reason =
      `Policy ${policy.name} asks for ${policy.atLeast} of ${policy.of}, ` +
      `but only ${entitled.length} of its people may sign for a run of ${requester}.`;
    await run.stuck(hold.id, reason, `Add people to the group ${policy.of} in holdpoint.yaml, then try again; or abort the run.`);
  }
}

async function openHold(
  run: Run,
  hold: HoldStep,
  { plan, opening, drift }: { plan: SpanPlan; opening: number; drift: HoldState['drift'] },
  base: PlanningBase,
): Promise<HoldState> {
  const { policy, members, openedAt, expiresAt } = await policyOf(run, hold);
  const question = questionOf(hold, base, plan) ?? '';
  const { requester } = run.state;
  const opened: Opening = { hold: hold.id, opening, question, planHash: plan.hash, policy, members, requester, openedAt, expiresAt };
  const step = run.step(hold.id);
  step.startedAt ??= openedAt;
  step.summary = `${policy.atLeast} of ${policy.of} must sign ${shortHash(plan.hash)}`;
  const entry = { ...toJson(opened), plan: toJson(plan), drift: drift ? toJson(drift) : null };
  await run.untilItWorks(hold.id, () => run.record('hold.opened', entry));
  const state: HoldState = { opening: opened, plan, decisions: [], drift };
  run.state.hold = state;
  run.enter('holding');
  return state;
}

async function verdictOf(run: Run, { opening, decisions }: HoldState): Promise<Verdict> {
  const settled = (): boolean => run.abortedAt() !== undefined || standingOf(opening, decisions).state !== 'waiting';
  const inTime = await condition(settled, opening.policy.expiresMs);
  const standing = standingOf(opening, decisions);
  const abortedAt = run.abortedAt();
  if (abortedAt !== undefined) opening.closed = { because: 'aborted', at: abortedAt };
  else if (!inTime && standing.state === 'waiting') opening.closed = { because: 'expired', at: opening.expiresAt };
  if (opening.closed?.because === 'aborted') return 'aborted';
  if (opening.closed) {
    await run.record('hold.expired', { hold: opening.hold, opening: opening.opening, expiresAt: opening.expiresAt });
    return 'expired';
  }
  return standing.state === 'approved' ? 'approved' : 'rejected';
}

async function endRun(run: Run, { opening, decisions }: HoldState, verdict: 'rejected' | 'aborted'): Promise<void> {
  if (verdict === 'aborted') return run.safePoint();
  const standing = standingOf(opening, decisions);
  const by = standing.state === 'rejected' ? standing.by : 'nobody';
  const reason = standing.state === 'rejected' && standing.reason !== '' ? `: ${standing.reason}` : '';
  run.step(opening.hold).summary = `rejected by ${by}`;
  await run.record('hold.rejected', { hold: opening.hold, opening: opening.opening, by });
  throw new RunEnded('rejected', `hold ${opening.hold} was rejected by ${by}${reason}`);
}

/** The gate of a decision: refuses what the state shows to be wrong. It must not be async, or it would refuse nothing. */
export function refuseDecision(run: Run, request: DecisionRequest): void {
  requireShape(request, ['person', 'run', 'hold', 'planHash', 'decision', 'reason', 'signature'], ['opening']);
  const refusal = refusalOfDecision(run, request);
  if (refusal) throw refusalFailure(refusal);
}

/** Verifies the signature of a decision against the people of this moment and counts it, if it still may count then. */
export async function takeDecision(run: Run, request: DecisionRequest): Promise<DecisionAnswer> {
  const { person, hold, opening, planHash, decision, reason, signature } = request;
  const claims: Omit<DecisionStatement, 'at' | 'nonce'> = {
    kind: 'decision',
    person,
    run: request.run,
    hold,
    opening,
    planHash,
    decision,
    reason,
  };
  // Once it has passed the gate a decision is answered, even if the run is being cancelled meanwhile.
  const group = run.state.hold?.opening.policy.of;
  const verified = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected: claims, signature, group }));
  // The hold may have been closed, or the same person may have decided, while the signature was verified.
  const refusal = verified.ok ? refusalOfDecision(run, request) : verified;
  if (!verified.ok || refusal || !run.state.hold) {
    const closed = { code: 'hold-not-open', reason: 'The hold is not open any more.', remedy: 'Look again.' };
    const { code, reason: why, remedy } = refusal ?? closed;
    await run.recordRefusal({ person, attempt: decision, code, reason: why });
    throw refusalFailure({ code, reason: why, remedy }, true);
  }
  const held = run.state.hold;
  held.decisions.push({ person, decision, reason, at: verified.at, jws: signature });
  const standing = standingOf(held.opening, held.decisions);
  // Whoever looks after their decision must not see the hold as still open.
  if (standing.state !== 'waiting') run.enter('planning');
  const { kind, body } = signedEvidence(claims, signature, verified.publicKey);
  await run.record(kind, body);
  return { state: standing.state, missing: standing.state === 'waiting' ? standing.missing : 0 };
}

function refusalOfDecision(run: Run, request: DecisionRequest): Refusal | undefined {
  const held = run.state.hold;
  return refusalOf(held?.opening, held?.decisions ?? [], request, run.state.run);
}

function shortHash(hash: string): string {
  return hash.slice(0, 'sha256:'.length + 12);
}
