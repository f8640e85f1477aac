import { standingOf, type ApprovalRequest } from '../../domain/approval/request.ts';
import type { JsonObject } from '../../domain/json.ts';
import { differenceOf, type PlanDifference } from '../../domain/plan/difference.ts';
import type { SpanPlan } from '../../domain/plan/plan.ts';
import type { HoldState } from '../../domain/run/state.ts';
import { toJson } from '../json.ts';
import type { reads } from '../proxies.ts';
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
  | { outcome: 'released'; subject: Subject; by: string[]; entry: JsonObject }
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
 */
export async function requestSignatures<Subject>(run: Run, question: Question<Subject>, held?: HoldState): Promise<Outcome<Subject>> {
  const { hold, requestsMax, attempt } = question;
  let drift: PlanDifference | undefined;
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
      run.state.hold = undefined;
      const by = waiting.decisions.map(({ person }) => person);
      return { outcome: 'released', subject, by, entry: { hold, request: number, planHash } };
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
  const { hold, askedBy, attempt, onRequest } = question;
  const { plan, text } = await question.plan();
  const { policy, members, keys, requestedAt, expiresAt, expiresAtMs } = await question.policy();
  run.learnKeys(keys);
  const { requester } = run.state;
  const number = run.nextRequest(hold);
  const parties = { policy, members, requester, askedBy };
  const request: ApprovalRequest = { hold, number, question: text, planHash: plan.hash, ...parties, requestedAt, expiresAt };
  const entry = { ...toJson(request), plan: toJson(plan), drift: drift ? toJson(drift) : null };
  await attempt(() => run.record('hold.requested', entry));
  const held: HoldState = { request, plan, decisions: [], drift };
  run.takeDecisionsFor(policy.expiresMs, expiresAtMs);
  run.state.hold = held;
  run.enter('holding');
  onRequest?.(held);
  return held;
}

/** Waits for what the people say. Throws RunEnded where the run is aborted. */
async function verdictOf(run: Run, { request, decisions }: HoldState): Promise<Verdict> {
  const isDecided = (): boolean => standingOf(request, decisions).state !== 'waiting';
  const isOver = (): boolean => isDecided() || run.abortedAt() !== undefined || run.withdrawnAt() !== undefined || run.undoAsked();
  const inTime = isOver() || (await run.waitUntil(isOver, run.decisionsMs));
  const abortedAt = run.abortedAt();
  if (abortedAt !== undefined) {
    request.closed = { because: 'aborted', at: abortedAt };
    await run.safePoint();
  }
  const standing = standingOf(request, decisions);
  if (standing.state !== 'waiting') return standing.state;
  const { hold, number, expiresAt } = request;
  const withdrawnAt = run.withdrawnAt();
  if (withdrawnAt === undefined && !inTime) {
    request.closed = { because: 'expired', at: expiresAt };
    await run.record('hold.expired', { hold, request: number, expiresAt });
    return 'expired';
  }
  if (withdrawnAt !== undefined) request.closed = { because: 'withdrawn', at: withdrawnAt };
  const { at } = await run.record('hold.withdrawn', { hold, request: number });
  request.closed ??= { because: 'withdrawn', at };
  return withdrawnAt === undefined ? 'undo' : 'withdrawn';
}

async function rejection(run: Run, { request, decisions }: HoldState): Promise<{ outcome: 'rejected'; by: string; reason: string }> {
  const standing = standingOf(request, decisions);
  const { by, reason } = standing.state === 'rejected' ? standing : { by: 'nobody', reason: '' };
  await run.record('hold.rejected', { hold: request.hold, request: request.number, by });
  return { outcome: 'rejected', by, reason };
}
