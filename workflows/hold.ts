import { CancellationScope } from '@temporalio/workflow';
import { refusalOf, standingOf, type Opening, type Refusal } from '../domain/approval.ts';
import { signedEvidence } from '../domain/evidence.ts';
import { differenceOf } from '../domain/plan-difference.ts';
import type { SpanPlan } from '../domain/plan.ts';
import type { HoldStep } from '../domain/runbook.ts';
import type { DecisionStatement } from '../domain/statement.ts';
import type { Course } from './course.ts';
import { toJson } from './json.ts';
import type { DecisionAnswer, DecisionRequest, HoldState } from './messages.ts';
import { questionOf, scopeOf, type Item } from './program.ts';
import { reads, verifier } from './proxies.ts';
import { refusalFailure, requireShape } from './refusal.ts';
import { showGroups } from './rows.ts';
import { RunEnded, type Run } from './run.ts';
import { blockersOf, planSpan, type Span } from './span.ts';

/** How often a hold is opened again because the plan keeps changing, before an operator has to look. */
const openingsMax = 20;

/** How an opening has ended. `undo`: an operator has asked to go back instead. */
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
    const { opening } = held.opening;
    if (verdict === 'expired') {
      const reason = `Hold ${id} expired at ${held.opening.expiresAt} without the signatures it needs; nothing was approved by that.`;
      const remedy = 'Have the hold opened again with `holdpoint retry`, or abort the run.';
      await run.stuckUntilRetried(id, { code: 'hold-expired', reason, remedy });
    } else if (verdict === 'undo') {
      run.state.hold = undefined;
      step.summary = `opening ${opening} was closed, as somebody has asked to undo the run`;
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
      if (opening >= openingsMax) {
        const reason = `The plan has changed after each of ${opening} openings.`;
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
  const opening = run.nextOpening(hold);
  const opened: Opening = { hold, opening, question: text, planHash: plan.hash, policy, members, requester, askedBy, openedAt, expiresAt };
  const entry = { ...toJson(opened), plan: toJson(plan), drift: drift ? toJson(drift) : null };
  await insist(() => run.record('hold.opened', entry));
  const state: HoldState = { opening: opened, plan, decisions: [], drift };
  run.takeDecisionsFor(policy.expiresMs, expiresAtMs);
  run.state.hold = state;
  run.enter('holding');
  return state;
}

/** Waits for what the people say. Throws RunEnded where the run is aborted. */
export async function verdictOf(run: Run, { opening, decisions }: HoldState): Promise<Verdict> {
  const settled = (): boolean =>
    run.abortedAt() !== undefined ||
    run.takenBackAt() !== undefined ||
    run.undoAsked() ||
    standingOf(opening, decisions).state !== 'waiting';
  const inTime = settled() || (await run.standing(settled, run.decisionsMs));
  const standing = standingOf(opening, decisions);
  const abortedAt = run.abortedAt();
  const takenBackAt = run.takenBackAt();
  if (abortedAt !== undefined) opening.closed = { because: 'aborted', at: abortedAt };
  else if (standing.state !== 'waiting') return standing.state;
  else if (takenBackAt !== undefined) opening.closed = { because: 'withdrawn', at: takenBackAt };
  else if (!inTime) opening.closed = { because: 'expired', at: opening.expiresAt };
  if (abortedAt !== undefined) await run.safePoint();
  const { hold, opening: number } = opening;
  if (opening.closed?.because === 'expired') {
    await run.record('hold.expired', { hold, opening: number, expiresAt: opening.expiresAt });
    return 'expired';
  }
  const { at } = await run.record('hold.withdrawn', { hold, opening: number });
  opening.closed ??= { because: 'withdrawn', at };
  return takenBackAt === undefined ? 'undo' : 'withdrawn';
}

async function approved(run: Run, { id }: Item, { opening, plan, decisions }: HoldState, span: Span): Promise<Span> {
  const step = run.step(id);
  const { at } = await run.record('hold.approved', { hold: id, opening: opening.opening, planHash: plan.hash });
  run.state.hold = undefined;
  step.status = 'done';
  step.endedAt = at;
  step.summary = `signed by ${decisions.map(({ person }) => person).join(', ')}`;
  return span;
}

/** The signed plan is no longer the one that would be carried out: nobody can sign it any more. */
async function closeDrifted(run: Run, id: string, held: HoldState, presentHash: string, difference: HoldState['drift']): Promise<void> {
  const { opening, planHash } = held.opening;
  const drifted = { hold: id, opening, planHash, presentHash, difference: toJson(difference ?? []) };
  const { at } = await run.untilItWorks(id, () => run.record('hold.drifted', drifted));
  held.opening.closed = { because: 'drift', at };
}

async function endRejected(run: Run, { opening, decisions }: HoldState): Promise<never> {
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
