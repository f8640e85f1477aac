import type { HistoryEntry } from '../client/last-known.ts';
import { summaryOfHold } from '../client/hold-summary.ts';
import { mayBreakGlass } from '../domain/approval/break-glass.ts';
import { policyInWords } from '../domain/approval/policy.ts';
import { refusalOf } from '../domain/approval/refusal.ts';
import { questionDigest, standingOf, type ApprovalRequest, type Decision } from '../domain/approval/request.ts';
import { isObject, type Json } from '../domain/json.ts';
import { hashOfSpan, shortHash, type SpanPlan } from '../domain/plan/plan.ts';
import { endPhases, type HoldState, type RunState } from '../domain/run/state.ts';
import type { HoldPage } from './schema/answers.ts';

/** A reason stands for that which a person has still to write, so that only what they cannot change is told. */
const someReason = 'because';

/** A request for signatures as it was found: the one that waits, or one of before. */
type FoundRequest = Omit<HoldState, 'plan'> & { plan?: SpanPlan; status: HoldPage['status'] };

/** How a request ended, by the kind of the entry that says so. */
const endings: Readonly<Record<string, HoldPage['status']>> = {
  'hold.released': 'approved',
  'hold.rejected': 'rejected',
  'hold.expired': 'expired',
  'hold.drifted': 'drifted',
  'hold.withdrawn': 'withdrawn',
  'run.ended': 'over',
};

const decisionKinds = ['decision.accepted', 'decision.deferred', 'decision.delegated'];

/** The request that a run waits at, if it is the one that is asked for. */
export function waitingRequest({ hold, phase }: RunState, name: string, number: number, nowMs: number): FoundRequest | undefined {
  if (!hold || hold.request.hold !== name || hold.request.number !== number) return undefined;
  return { ...hold, status: endPhases.includes(phase) ? 'over' : statusOf(hold, nowMs) };
}

function statusOf({ request, decisions }: HoldState, nowMs: number): HoldPage['status'] {
  if (request.closed) return request.closed.because === 'drift' ? 'drifted' : request.closed.because;
  return standingOf(request, decisions, nowMs).state;
}

/** A request as the history of its run has it, whatever has become of it since. */
export function pastRequest(entries: readonly HistoryEntry[], name: string, number: number): FoundRequest | undefined {
  const isAsked = ({ kind, body }: HistoryEntry): boolean => kind === 'hold.requested' && body.hold === name && body.number === number;
  const begin = entries.findIndex(isAsked);
  const asked = entries[begin];
  if (!asked) return undefined;
  const { plan, drift: _drift, ...request } = asked.body;
  const later = entries.slice(begin + 1);
  const end = later.findIndex(({ kind, body }) => kind in endings && (kind === 'run.ended' || body.hold === name));
  const while_ = end < 0 ? later : later.slice(0, end);
  const decisions = while_.filter(({ kind }) => decisionKinds.includes(kind)).map(decisionOf);
  const status = endings[later[end]?.kind ?? ''] ?? 'over';
  const kept = planIn(plan, (request as unknown as ApprovalRequest).planHash);
  return { request: request as unknown as ApprovalRequest, decisions, status, ...(kept && { plan: kept }) };
}

/** The plan that has a hash, as the history of a run has it. */
export function planOf(entries: readonly HistoryEntry[], hash: string): SpanPlan | undefined {
  for (const { body } of entries) {
    const plan = planIn(body.plan, hash);
    if (plan) return plan;
  }
  return undefined;
}

/** A plan of a history is believed only where it has the hash that was signed. */
function planIn(value: Json | undefined, hash: string): SpanPlan | undefined {
  if (!isObject(value) || !Array.isArray(value.steps) || value.hash !== hash) return undefined;
  const plan = value as unknown as SpanPlan;
  return hashOfSpan(plan) === hash ? plan : undefined;
}

function decisionOf({ body, at }: HistoryEntry): Decision {
  const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
  return {
    person: text(body.person),
    decision: body.decision === 'reject' ? 'reject' : 'approve',
    reason: text(body.reason),
    at,
    jws: text(body.jws),
  };
}

/** The page of a request, for a person of holdpoint.yaml or for somebody who only looks. */
export function holdPageOf(state: RunState, found: FoundRequest, person: string | undefined, nowMs: number): HoldPage {
  const { run, target, runbook, requester, ticket, phase, brokenGlass, steps } = state;
  const { request, decisions, plan, status, withdrawn, drift, changed, notInAdvance, opening } = found;
  const now = state.hold?.request;
  const isReplaced = now !== undefined && (now.hold !== request.hold || now.number !== request.number);
  const place = steps.findIndex(({ id }) => id === request.hold);
  const next = steps.slice(place + 1).find(({ kind, status: of }) => kind === 'hold' && of === 'waiting');
  return {
    run,
    target,
    runbook,
    requester,
    ...(ticket && { ticket }),
    phase,
    ...(brokenGlass && { brokenGlass }),
    hold: request.hold,
    number: request.number,
    status,
    ...(isReplaced && { replacedBy: { hold: now.hold, number: now.number } }),
    request,
    ...(plan && { plan, summary: summaryOfHold({ request, decisions, plan }, nowMs) }),
    decisions,
    ...{ withdrawn, drift, changed, notInAdvance, opening },
    asks: policyInWords(request.policy),
    nextHold: next ? { id: next.id, ...(next.title !== undefined && { title: next.title }) } : null,
    questionDigest: questionDigest(request),
    you: rightsOf(run, found, person, nowMs),
    commands: commandsOf(run, request),
  };
}

function rightsOf(run: string, { request, decisions, status }: FoundRequest, person: string | undefined, nowMs: number): HoldPage['you'] {
  if (person === undefined) return { person: null, mayApprove: false, mayReject: false, mayBreakGlass: false };
  const refusal = (decision: 'approve' | 'reject'): HoldPage['you']['whyNotApprove'] => {
    const { hold, number, planHash } = request;
    const attempt = { person, run, hold, request: number, planHash, decision, reason: someReason };
    return refusalOf(status === 'waiting' || request.closed ? request : undefined, decisions, attempt, run, nowMs);
  };
  const [whyNotApprove, whyNotReject] = [refusal('approve'), refusal('reject')];
  const decided = decisions.find((decision) => decision.person === person);
  return {
    person,
    ...(decided && { decided }),
    mayApprove: whyNotApprove === undefined,
    ...(whyNotApprove && { whyNotApprove }),
    mayReject: whyNotReject === undefined,
    ...(whyNotReject && { whyNotReject }),
    mayBreakGlass: status === 'waiting' && mayBreakGlass(request.policy, person),
  };
}

function commandsOf(run: string, { planHash }: ApprovalRequest): HoldPage['commands'] {
  const hash = shortHash(planHash);
  return {
    show: `holdpoint show ${run}`,
    approve: `holdpoint approve ${run} --plan ${hash}`,
    reject: `holdpoint reject ${run} --plan ${hash}`,
  };
}
