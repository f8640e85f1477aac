import { nextEventOf, type HoldEvent } from '../../domain/approval/hold-events.ts';
import { standingOf, type ApprovalRequest, type Decision } from '../../domain/approval/request.ts';
import type { JsonObject } from '../../domain/json.ts';
import { differenceOf, type PlanDifference } from '../../domain/plan/difference.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldState } from '../../domain/run/state.ts';
import { timeMsOf } from '../../domain/time.ts';
import { countPreApprovals } from '../schedule/pre-approval.ts';
import { toJson } from '../json.ts';
import type { reads } from '../proxies.ts';
import { recheckDecisions } from './decisions.ts';
import type { Run } from '../run/run.ts';

/** A policy as it is now, with the people of its group. */
export type CurrentPolicy = Awaited<ReturnType<typeof reads.readPolicy>>;

/** Something that people are to sign. */
export interface Question<Subject> {
  hold: string;
  /** Plans what is to be signed, as things are now. */
  plan: () => Promise<{ plan: SpanPlan; text: string; subject: Subject }>;
  /** The policy that says who may sign. */
  policy: () => Promise<CurrentPolicy>;
  /** The operator who has asked for it, where it is no step of the runbook. */
  askedBy?: string;
  /** People who have signed at earlier holds of the run. */
  earlierApprovers?: readonly string[];
  /** How often it is requested anew because the plan keeps changing. */
  requestsMax: number;
  /** Does what may fail, and says what follows then. */
  attempt: <Result>(work: () => Promise<Result>) => Promise<Result>;
  /** Told of each request. */
  onRequest?: (held: HoldState) => void;
}

/** How it ended. `undo`: an operator has asked to undo the run instead; `unsteady`: the plan has changed after each request. */
export type Outcome<Subject> =
  /** `entry` is the body of `hold.released`, which is still to be put into the record. */
  | { outcome: 'released'; subject: Subject; by: string[]; signers: string[]; entry: JsonObject }
  | { outcome: 'rejected'; by: string; reason: string }
  | { outcome: 'expired'; expiresAt: string }
  | { outcome: 'withdrawn' | 'undo'; number: number }
  | { outcome: 'unsteady'; requests: number };

type Verdict = 'approved' | 'rejected' | 'expired' | 'withdrawn' | 'undo';

/**
 * Requests signatures until a second look shows that the signed plan still holds. Drift voids the signatures, shows the difference
 * and requests them anew. Throws RunEnded where the run is aborted.
 *
 * @param held the request that waits already, in a run that has continued as new.
 * @param difference what has changed since it was signed before.
 */
export async function requestSignatures<Subject>(
  run: Run,
  question: Question<Subject>,
  held?: HoldState,
  difference?: PlanDifference,
): Promise<Outcome<Subject>> {
  const { hold, requestsMax, attempt } = question;
  let drift = difference;
  for (let requests = 1; ; requests += 1) {
    const waiting = held ?? (await putUp(run, question, drift));
    held = undefined;
    const verdict = await verdictOf(run, waiting);
    const { number, planHash, expiresAt } = waiting.request;
    if (verdict === 'expired') return { outcome: 'expired', expiresAt };
    if (verdict === 'withdrawn' || verdict === 'undo') return { outcome: verdict, number };
    if (verdict === 'rejected') return rejection(run, waiting);
    run.enter('planning');
    // A pause comes before the second look, which would be an old one after it. An exception is asked for within a pause, too.
    if (question.askedBy === undefined) await run.safePoint();
    const { plan, subject } = await question.plan();
    if (plan.hash === planHash) {
      const standing = standingOf(waiting.request, waiting.decisions, run.nowMs);
      if (standing.state !== 'approved') {
        // Somebody has taken their approval back, or a rejection came, at the last moment.
        held = waiting;
        run.enter('holding');
        requests -= 1;
        continue;
      }
      run.state.hold = undefined;
      if (standing.brokenBy !== undefined) run.breakGlass(waiting, standing.brokenBy);
      const signers = signersOf(standing.by, waiting.decisions);
      return { outcome: 'released', subject, by: standing.by, signers, entry: { hold, request: number, planHash } };
    }
    drift = differenceOf(waiting.plan, plan);
    const drifted = { hold, request: number, planHash, presentHash: plan.hash, difference: toJson(drift) };
    const { at } = await attempt(() => run.record('hold.drifted', drifted));
    waiting.request.closed = { because: 'drift', at };
    if (requests >= requestsMax) return { outcome: 'unsteady', requests };
  }
}

/** Puts a plan up for signature. */
async function putUp<Subject>(run: Run, question: Question<Subject>, drift: PlanDifference | undefined): Promise<HoldState> {
  const { hold, askedBy, earlierApprovers, attempt, onRequest } = question;
  const { plan, text } = await question.plan();
  const { policy, members, groups, keys, requestedAt, expiresAt, opening } = await question.policy();
  run.learnKeys(keys);
  run.learnTime(timeMsOf(requestedAt) ?? 0);
  const { requester } = run.state;
  const number = run.nextRequest(hold);
  const parties = { policy, members, groups, requester, askedBy, earlierApprovers };
  const request: ApprovalRequest = { hold, number, question: text, planHash: plan.hash, ...parties, requestedAt, expiresAt };
  const entry = { ...toJson(request), plan: toJson(plan), drift: drift ? toJson(drift) : null };
  await attempt(() => run.record('hold.requested', entry));
  const held: HoldState = { request, plan, decisions: [], drift, ...(opening && { opening }) };
  if (run.scheduled && askedBy === undefined) await attempt(() => countPreApprovals(run, held));
  run.state.hold = held;
  run.enter('holding');
  onRequest?.(held);
  return held;
}

/** Waits for what the people say, and has happen what is due meanwhile. Throws RunEnded where the run is aborted. */
async function verdictOf(run: Run, held: HoldState): Promise<Verdict> {
  const { request } = held;
  const isDecided = (): boolean => standingOf(request, held.decisions, run.nowMs).state !== 'waiting';
  const isOver = (): boolean => isDecided() || run.abortedAt() !== undefined || run.withdrawnAt() !== undefined || run.undoAsked();
  const isInTime = await eventsUntil(run, held, isOver);
  const abortedAt = run.abortedAt();
  if (abortedAt !== undefined) {
    request.closed = { because: 'aborted', at: abortedAt };
    await run.safePoint();
  }
  const standing = standingOf(request, held.decisions, run.nowMs);
  if (standing.state !== 'waiting') return standing.state;
  const { hold, number, expiresAt } = request;
  const withdrawnAt = run.withdrawnAt();
  if (withdrawnAt === undefined && !isInTime) {
    request.closed = { because: 'expired', at: expiresAt };
    await run.record('hold.expired', { hold, request: number, expiresAt });
    return 'expired';
  }
  if (withdrawnAt !== undefined) request.closed = { because: 'withdrawn', at: withdrawnAt };
  const { at } = await run.record('hold.withdrawn', { hold, request: number });
  request.closed ??= { because: 'withdrawn', at };
  return withdrawnAt === undefined ? 'undo' : 'withdrawn';
}

/** Waits until it is over, from one event of the hold to the next; false where the hold expires first. */
async function eventsUntil(run: Run, held: HoldState, isOver: () => boolean): Promise<boolean> {
  const nextEvent = (): HoldEvent => nextEventOf(held.request, held.decisions, run.nowMs);
  while (!isOver()) {
    const awaited = nextEvent();
    // An approval for later may come, or be taken back.
    const isAnother = (): boolean => nextEvent().atMs !== awaited.atMs;
    // A timer of no time at all would mean none.
    const isInTime = await run.waitUntil(() => isOver() || isAnother(), Math.max(awaited.atMs - run.nowMs, 1));
    if (isInTime) continue;
    run.learnTime(awaited.atMs);
    if (awaited.event === 'expires') return isOver();
    await happen(run, held, awaited);
  }
  return true;
}

async function happen(run: Run, held: HoldState, event: HoldEvent): Promise<void> {
  const { request } = held;
  const { hold, number: requested, question, planHash, expiresAt } = request;
  // People are told of it, by this entry alone.
  const about = { hold, request: requested, question, planHash, policy: toJson(request.policy), expiresAt };
  if (event.event === 'escalates') {
    const { at } = await run.record('hold.escalated', { ...about, to: event.to });
    request.escalatedAt = at;
  } else if (event.event === 'reminds') {
    request.reminders = event.number;
    await run.record('hold.reminded', { ...about, number: event.number });
  } else await recheckDecisions(run, held);
}

/** Each of them, and in whose place where somebody has delegated it. */
function signersOf(people: readonly string[], decisions: readonly Decision[]): string[] {
  return people.map((person) => {
    const inPlaceOf = decisions.find((decision) => decision.person === person)?.inPlaceOf;
    return inPlaceOf === undefined ? person : `${person} in the place of ${inPlaceOf}`;
  });
}

async function rejection(run: Run, { request, decisions }: HoldState): Promise<{ outcome: 'rejected'; by: string; reason: string }> {
  const standing = standingOf(request, decisions, run.nowMs);
  const { by, reason } = standing.state === 'rejected' ? standing : { by: 'nobody', reason: '' };
  await run.record('hold.rejected', { hold: request.hold, request: request.number, by });
  return { outcome: 'rejected', by, reason };
}
