import { CancellationScope } from '@temporalio/workflow';
import { refusalOf, standingOf, type ApprovalRequest, type Refusal } from '../../domain/approval/approval.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import { differenceOf } from '../../domain/plan/difference.ts';
import { shortHash, type SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldStep } from '../../domain/runbook.ts';
import type { DecisionStatement } from '../../domain/approval/statement.ts';
import type { Course } from '../run/progress.ts';
import { toJson } from '../json.ts';
import type { DecisionAnswer, DecisionRequest, HoldState } from '../messages.ts';
import { questionOf, scopeOf, type Item } from '../steps/step-tree.ts';
import { reads, verifier } from '../proxies.ts';
import { refusalFailure, requireShape } from '../run/refusal.ts';
import { showGroups } from '../run/step-view.ts';
import { RunEnded, type Run } from '../run/run.ts';
import { blockersOf, planSpan, type Span } from '../steps/span.ts';

/** How often a hold is opened again because the plan keeps changing, before an operator has to look. */
const requestsMax = 20;

/** How an request has ended. `undo`: an operator has asked to go back instead. */
type Verdict = 'approved' | 'rejected' | 'expired' | 'withdrawn' | 'undo';

/** What is put up for signature. */
export interface Question {
  hold: string;
  text: string;
  plan: SpanPlan;
  drift?: HoldState['drift'];
  /** The policy as it is now. */
  current: Awaited<ReturnType<typeof reads.openHold>>;
  askedBy?: string;
}

/**
 * Stops until the people named by the policy have signed the plan of the span, and a second look shows that it still holds.
 * Drift voids the signatures, shows the difference and opens the hold again. Returns the span that was signed.
 * Throws RunEnded where the hold is rejected or the run aborted.
 */
export async function holdUntilSigned(run: Run, item: Item, course: Course): Promise<Span> {
  const hold = item.step as HoldStep;
  const { id } = item;
  const step = run.step(id);
  let held = run.state.hold;
  // A run that was stuck here in a history before this one still is.
  if (run.state.stuck?.step === id) {
    await run.stuckUntilRetried(id, run.state.stuck);
    held = undefined;
  }
  step.status = 'holding';
  let drift: HoldState['drift'];
  for (;;) {
    held ??= await openAgain(run, item, hold, course, drift);
    const verdict = await verdictOf(run, held);
    const { plan } = held;
    const { number } = held.request;
    if (verdict === 'expired') {
      const reason = `Hold ${id} expired at ${held.request.expiresAt} without the signatures it needs; nothing was approved by that.`;
      const remedy = 'Have the hold opened again with `holdpoint retry`, or abort the run.';
      await run.stuckUntilRetried(id, { code: 'hold-expired', reason, remedy });
    } else if (verdict === 'undo') {
      run.state.hold = undefined;
      step.summary = `request ${number} was closed, as somebody has asked to undo the run`;
      await run.answerUndo();
    } else if (verdict === 'rejected') {
      await endRejected(run, held);
    } else {
      run.enter('planning');
      // A pause comes before the second look, which would be an old one after it.
      await run.safePoint();
      const again = await unblockedSpan(run, item, course);
      if (again.plan.hash === plan.hash) return approved(run, item, held, again);
      drift = differenceOf(plan, again.plan);
      await closeDrifted(run, id, held, again.plan.hash, drift);
      if (number >= requestsMax) {
        const reason = `The plan has changed after each of ${number} requests.`;
        await run.stuckUntilRetried(id, { code: 'plan-drifted', reason, remedy: 'Find out what keeps changing it, then try again.' });
      }
    }
    held = undefined;
  }
}

async function openAgain(run: Run, item: Item, hold: HoldStep, course: Course, drift: HoldState['drift']): Promise<HoldState> {
  run.enter('planning');
  const { plan, expected } = await unblockedSpan(run, item, course);
  const current = await entitledPolicy(run, item.id, hold);
  const text = questionOf(hold, scopeOf(item, expected, course.base.targetName)) ?? '';
  const step = run.step(item.id);
  step.startedAt ??= current.openedAt;
  step.summary = `${current.policy.atLeast} of ${current.policy.of} must sign ${shortHash(plan.hash)}`;
  return openHold(run, { hold: item.id, text, plan, drift, current }, (work) => run.untilItWorks(item.id, work));
}

/** A plan that can be carried out as things stand; where it is blocked, an operator is told what blocks it. */
async function unblockedSpan(run: Run, { id }: Item, course: Course): Promise<Span> {
  for (;;) {
    const span = await run.untilItWorks(id, () => planSpan(course.queue.slice(1), course.results, course.base));
    showGroups(run.state, span.groups);
    const [blocker] = blockersOf(span.plan);
    if (!blocker) return span;
    run.state.hold = undefined;
    const reason = `Step ${blocker.step} cannot be carried out: ${blocker.object}: ${blocker.reason}`;
    await run.stuckUntilRetried(id, { code: 'plan-blocked', reason, remedy: blocker.remedy });
  }
}

/** The policy as it is now. A hold that nobody could open by signing would only expire: an operator hears of it at once. */
async function entitledPolicy(run: Run, id: string, hold: HoldStep): Promise<Question['current']> {
  for (;;) {
    const current = await run.untilItWorks(id, () => reads.openHold({ policy: hold.policy }));
    const { policy, members } = current;
    const { requester } = run.state;
    const entitled = members.filter((person) => !policy.exclude.includes('requester') || person !== requester);
    if (entitled.length >= policy.atLeast) return current;
    const reason =
      `Policy ${policy.name} asks for ${policy.atLeast} of ${policy.of}, ` +
      `but only ${entitled.length} of its people may sign for a run of ${requester}.`;
    const remedy = `Add people to the group ${policy.of} in holdpoint.yaml, then try again; or abort the run.`;
    await run.stuckUntilRetried(id, { code: 'policy-unreachable', reason, remedy });
  }
}

/** Puts a plan up for signature. `record` says what happens where that cannot be written down. */
export async function openHold(
  run: Run,
  { hold, text, plan, drift, current, askedBy }: Question,
  insist: (work: () => Promise<unknown>) => Promise<unknown> = (work) => work(),
): Promise<HoldState> {
  const { policy, members, openedAt, expiresAt, expiresAtMs } = current;
  const { requester } = run.state;
  const number = run.nextOpening(hold);
  const opened: ApprovalRequest = {
    hold,
    number,
    question: text,
    planHash: plan.hash,
    policy,
    members,
    requester,
    askedBy,
    openedAt,
    expiresAt,
  };
  const entry = { ...toJson(opened), plan: toJson(plan), drift: drift ? toJson(drift) : null };
  await insist(() => run.record('hold.opened', entry));
  const state: HoldState = { request: opened, plan, decisions: [], drift };
  run.takeDecisionsFor(policy.expiresMs, expiresAtMs);
  run.state.hold = state;
  run.enter('holding');
  return state;
}

/** Waits for what the people say. Throws RunEnded where the run is aborted. */
export async function verdictOf(run: Run, { request, decisions }: HoldState): Promise<Verdict> {
  const settled = (): boolean =>
    run.abortedAt() !== undefined ||
    run.takenBackAt() !== undefined ||
    run.undoAsked() ||
    standingOf(request, decisions).state !== 'waiting';
  const inTime = settled() || (await run.standing(settled, run.decisionsMs));
  const standing = standingOf(request, decisions);
  const abortedAt = run.abortedAt();
  const takenBackAt = run.takenBackAt();
  if (abortedAt !== undefined) request.closed = { because: 'aborted', at: abortedAt };
  else if (standing.state !== 'waiting') return standing.state;
  else if (takenBackAt !== undefined) request.closed = { because: 'withdrawn', at: takenBackAt };
  else if (!inTime) request.closed = { because: 'expired', at: request.expiresAt };
  if (abortedAt !== undefined) await run.safePoint();
  const { hold, number } = request;
  if (request.closed?.because === 'expired') {
    await run.record('hold.expired', { hold, request: number, expiresAt: request.expiresAt });
    return 'expired';
  }
  const { at } = await run.record('hold.withdrawn', { hold, request: number });
  request.closed ??= { because: 'withdrawn', at };
  return takenBackAt === undefined ? 'undo' : 'withdrawn';
}

async function approved(run: Run, { id }: Item, { request, plan, decisions }: HoldState, span: Span): Promise<Span> {
  const step = run.step(id);
  const { at } = await run.record('hold.approved', { hold: id, request: request.number, planHash: plan.hash });
  run.state.hold = undefined;
  step.status = 'done';
  step.endedAt = at;
  step.summary = `signed by ${decisions.map(({ person }) => person).join(', ')}`;
  return span;
}

/** The signed plan is no longer the one that would be carried out: nobody can sign it any more. */
async function closeDrifted(run: Run, id: string, held: HoldState, presentHash: string, difference: HoldState['drift']): Promise<void> {
  const { number, planHash } = held.request;
  const drifted = { hold: id, request: number, planHash, presentHash, difference: toJson(difference ?? []) };
  const { at } = await run.untilItWorks(id, () => run.record('hold.drifted', drifted));
  held.request.closed = { because: 'drift', at };
}

async function endRejected(run: Run, { request, decisions }: HoldState): Promise<never> {
  const standing = standingOf(request, decisions);
  const by = standing.state === 'rejected' ? standing.by : 'nobody';
  const reason = standing.state === 'rejected' && standing.reason !== '' ? `: ${standing.reason}` : '';
  run.step(request.hold).summary = `rejected by ${by}`;
  await run.record('hold.rejected', { hold: request.hold, request: request.number, by });
  throw new RunEnded('rejected', `hold ${request.hold} was rejected by ${by}${reason}`);
}

/** The gate of a decision: refuses what the state shows to be wrong. It must not be async, or it would refuse nothing. */
export function refuseDecision(run: Run, sent: DecisionRequest): void {
  requireShape(sent, ['person', 'run', 'hold', 'planHash', 'decision', 'reason', 'signature'], ['request']);
  const refusal = refusalOfDecision(run, sent);
  if (refusal) throw refusalFailure(refusal);
}

/** Verifies the signature of a decision against the people of this moment and counts it, if it still may count then. */
export async function takeDecision(run: Run, sent: DecisionRequest): Promise<DecisionAnswer> {
  const { person, hold, request, planHash, decision, reason, signature } = sent;
  const claims: Omit<DecisionStatement, 'at' | 'nonce'> = {
    kind: 'decision',
    person,
    run: sent.run,
    hold,
    request,
    planHash,
    decision,
    reason,
  };
  // Once it has passed the gate a decision is answered, even if the run is being cancelled meanwhile.
  const group = run.state.hold?.request.policy.of;
  const verified = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected: claims, signature, group }));
  // The hold may have been closed, or the same person may have decided, while the signature was verified.
  const refusal = verified.ok ? refusalOfDecision(run, sent) : verified;
  if (!verified.ok || refusal || !run.state.hold) {
    const closed = { code: 'hold-not-open', reason: 'The hold is not open any more.', remedy: 'Look again.' };
    const { code, reason: why, remedy } = refusal ?? closed;
    await run.recordRefusal({ person, attempt: decision, code, reason: why });
    throw refusalFailure({ code, reason: why, remedy }, true);
  }
  const held = run.state.hold;
  held.decisions.push({ person, decision, reason, at: verified.at, jws: signature });
  const standing = standingOf(held.request, held.decisions);
  // Whoever looks after their decision must not see the hold as still open.
  if (standing.state !== 'waiting') run.enter('planning');
  const { kind, body } = signedEvidence(claims, signature, verified.publicKey);
  await run.record(kind, body);
  return { state: standing.state, missing: standing.state === 'waiting' ? standing.missing : 0 };
}

function refusalOfDecision(run: Run, sent: DecisionRequest): Refusal | undefined {
  const held = run.state.hold;
  return refusalOf(held?.request, held?.decisions ?? [], sent, run.state.run);
}
