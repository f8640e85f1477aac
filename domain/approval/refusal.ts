import { shortHash } from '../plan/plan.ts';
import { refusalOfDelegation, type DelegationRefusal } from './delegation.ts';
import type { DelegationStatement } from './statement.ts';
import { timeMsOf } from '../time.ts';
import { unseenIn } from '../visible.ts';
import { mayBreakGlass, reviewedHold } from './break-glass.ts';
import { exclusionOf, groupRequirementsOf, groupsNamedBy, requirementInWords, signersOf, type Policy } from './policy.ts';
import { approvalId, questionDigest, standingOf, type ApprovalRequest, type Decision } from './request.ts';

/** What a person asks for when deciding: the claims of the statement that the rules look at. */
export interface Attempt {
  person: string;
  run: string;
  hold: string;
  request: number;
  planHash: string;
  /** Absent in histories of runs from before questions were signed; the shape of what is sent is looked at before. */
  question?: string;
  decision: 'approve' | 'reject';
  /** Of an approval that counts from later on; ISO 8601, UTC. */
  from?: string;
  /** Of an approval in the place of somebody else: what they have signed. */
  under?: DelegationStatement;
  /** Of a word that releases the hold alone. */
  breaksGlass?: boolean;
  reason: string;
}

/** What a person asks for when taking an approval back. */
export interface WithdrawalAttempt extends Omit<Attempt, 'question' | 'decision' | 'from' | 'under' | 'breaksGlass'> {
  /** See `approvalId`. */
  approval: string;
}

/** Why an attempt does not count, from the widest reason (not this run) to the narrowest (a reason that is too long). */
export type RefusalCode =
  | 'run-differs'
  | 'hold-not-waiting'
  | 'hold-differs'
  | 'request-replaced'
  | 'request-unknown'
  | 'hold-expired'
  | 'plan-drifted'
  | 'run-aborted'
  | 'hold-withdrawn'
  | 'plan-differs'
  | 'question-differs'
  | 'decision-unknown'
  | 'deferral-too-late'
  | 'already-decided'
  | 'nothing-to-withdraw'
  | DelegationRefusal['code']
  | 'verdict-reached'
  | 'requester-excluded'
  | 'earlier-approver-excluded'
  | 'person-excluded'
  | 'asker-excluded'
  | 'not-in-group'
  | 'glass-not-yours'
  | 'reason-missing'
  | 'reason-too-long'
  | 'reason-unreadable';

/** A refused attempt, told to the person who made it and kept in the record of the run. */
export interface Refusal {
  code: RefusalCode;
  /** One or two sentences that name the people, holds, times and hashes concerned. */
  reason: string;
  /** What the person can do instead. */
  remedy: string;
}

/** How long the reason of a decision may be. */
export const reasonCharactersMax = 2_000;

const lookAgain = 'Look at the run again with `holdpoint show` and decide on what it shows.';

/**
 * Says why an attempt to decide must be refused, or undefined where it may count once its signature is verified.
 * It looks at `decisions` as those of this very request: a request that replaces another one starts with none.
 *
 * @param run the run that was asked, as the attempt may be meant for an earlier run on the same target.
 * @param nowMs milliseconds since 1970.
 */
export function refusalOf(
  request: ApprovalRequest | undefined,
  decisions: readonly Decision[],
  attempt: Attempt,
  run: string,
  nowMs: number,
): Refusal | undefined {
  const elsewhere = refusalOfAddress(request, attempt, run);
  if (elsewhere || request === undefined) return elsewhere;
  return (
    otherQuestion(request, attempt) ??
    unknownDecision(attempt) ??
    alreadySettled(request, decisions, attempt, nowMs) ??
    notEntitled(request, attempt, nowMs) ??
    tooLate(request, attempt) ??
    unfitReason(request.policy, attempt)
  );
}

/** Says why an approval cannot be taken back, or undefined where it can: by its signer, until the steps that it stands for begin. */
export function refusalOfWithdrawal(
  request: ApprovalRequest | undefined,
  decisions: readonly Decision[],
  attempt: WithdrawalAttempt,
  run: string,
): Refusal | undefined {
  const elsewhere = refusalOfAddress(request, attempt, run);
  if (elsewhere || request === undefined) return elsewhere;
  return nothingToWithdraw(request, decisions, attempt) ?? tooLong(attempt.reason) ?? refusalOfUnreadable(attempt.reason);
}

/** Says why what somebody says is not for this request; undefined only where there is one, open, that it is for. */
function refusalOfAddress(
  request: ApprovalRequest | undefined,
  attempt: Pick<Attempt, 'run' | 'hold' | 'request' | 'planHash'>,
  run: string,
): Refusal | undefined {
  if (attempt.run !== run) return otherRun(attempt, run);
  if (request === undefined) return notWaiting(attempt);
  return otherRequest(request, attempt) ?? closed(request) ?? otherPlan(request, attempt);
}

function nothingToWithdraw(request: ApprovalRequest, decisions: readonly Decision[], attempt: WithdrawalAttempt): Refusal | undefined {
  const own = decisions.find(({ person, decision }) => person === attempt.person && decision === 'approve');
  if (own && approvalId(own.jws) === attempt.approval) return undefined;
  return {
    code: 'nothing-to-withdraw',
    reason: `${attempt.person} has given no such approval at request ${request.number} of hold ${request.hold} that could be taken back.`,
    remedy: lookAgain,
  };
}

function tooLate(request: ApprovalRequest, { from }: Attempt): Refusal | undefined {
  if (from === undefined || (timeMsOf(from) ?? Infinity) < (timeMsOf(request.expiresAt) ?? Infinity)) return undefined;
  return {
    code: 'deferral-too-late',
    reason: `The approval is to count from ${from} on, but hold ${request.hold} closes at ${request.expiresAt}.`,
    remedy: 'Let it count sooner.',
  };
}

function otherRun(attempt: Pick<Attempt, 'run'>, run: string): Refusal {
  return {
    code: 'run-differs',
    reason: `The decision is for run ${attempt.run}, but the open run of this target is ${run}.`,
    remedy: lookAgain,
  };
}

function notWaiting(attempt: Pick<Attempt, 'run' | 'hold'>): Refusal {
  return {
    code: 'hold-not-waiting',
    reason: `Run ${attempt.run} is not waiting at a hold now, so nothing can be decided on hold ${attempt.hold}.`,
    remedy: 'See with `holdpoint show` how far the run has come.',
  };
}

function otherRequest(request: ApprovalRequest, attempt: Pick<Attempt, 'hold' | 'request'>): Refusal | undefined {
  if (attempt.hold !== request.hold) {
    return {
      code: 'hold-differs',
      reason: `The decision is for hold ${attempt.hold}, but the run is waiting at hold ${request.hold}.`,
      remedy: lookAgain,
    };
  }
  if (attempt.request === request.number) return undefined;
  if (attempt.request < request.number) {
    return {
      code: 'request-replaced',
      reason:
        `The signatures of hold ${request.hold} were requested anew at ${request.requestedAt} (request ${request.number}, plan ` +
        `${shortHash(request.planHash)}); request ${attempt.request}, which the decision is for, no longer counts.`,
      remedy: 'Read the new plan with `holdpoint show` and decide again.',
    };
  }
  return {
    code: 'request-unknown',
    reason: `Hold ${request.hold} is at request ${request.number}; there is no request ${attempt.request} yet.`,
    remedy: lookAgain,
  };
}

function closed({ hold, number: request, closed: closing, expiresAt }: ApprovalRequest): Refusal | undefined {
  switch (closing?.because) {
    case undefined:
      return undefined;
    case 'expired':
      return {
        code: 'hold-expired',
        reason: `Request ${request} of hold ${hold} expired at ${expiresAt}. Nothing was approved by that.`,
        remedy: 'Ask an operator to `retry`, which requests the signatures anew, and read the plan that is shown then.',
      };
    case 'drift':
      return {
        code: 'plan-drifted',
        reason: `Request ${request} of hold ${hold} was closed at ${closing.at}, because the plan is no longer the one it showed.`,
        remedy: 'Wait until the signatures are requested anew, then read the new plan and decide on it.',
      };
    case 'aborted':
      return {
        code: 'run-aborted',
        reason: `The run was aborted at ${closing.at}, which closed hold ${hold}.`,
        remedy: 'Nothing is left to decide; start a new run if the work is still wanted.',
      };
    case 'withdrawn':
      return {
        code: 'hold-withdrawn',
        reason: `Request ${request} of hold ${hold} was closed at ${closing.at}, because an operator has asked for something else.`,
        remedy: lookAgain,
      };
  }
}

function otherPlan(request: ApprovalRequest, attempt: Pick<Attempt, 'planHash'>): Refusal | undefined {
  if (attempt.planHash === request.planHash) return undefined;
  return {
    code: 'plan-differs',
    reason:
      `The decision is for plan ${shortHash(attempt.planHash)}, but request ${request.number} of hold ${request.hold} ` +
      `asks for plan ${shortHash(request.planHash)}.`,
    remedy: 'Read the plan with `holdpoint show` and decide on that one.',
  };
}

function otherQuestion(request: ApprovalRequest, attempt: Attempt): Refusal | undefined {
  if (attempt.question === undefined || attempt.question === questionDigest(request)) return undefined;
  return {
    code: 'question-differs',
    reason: `The decision answers another question than request ${request.number} of hold ${request.hold} asks.`,
    remedy: 'Read the question with `holdpoint show` and decide on that one; somebody may have shown you another one.',
  };
}

/** Attempts come over the wire, where types do not reach. */
function unknownDecision({ decision }: { decision: string }): Refusal | undefined {
  if (decision === 'approve' || decision === 'reject') return undefined;
  return {
    code: 'decision-unknown',
    reason: `A decision is "approve" or "reject", not ${JSON.stringify(decision)}.`,
    remedy: 'Decide with `holdpoint approve` or `holdpoint reject`.',
  };
}

function alreadySettled(request: ApprovalRequest, decisions: readonly Decision[], attempt: Attempt, nowMs: number): Refusal | undefined {
  const own = decisions.find(({ person }) => person === attempt.person);
  if (own) {
    return {
      code: 'already-decided',
      reason: `${attempt.person} has already ${pastOf(own.decision)} request ${request.number} of hold ${request.hold}, at ${own.at}.`,
      remedy:
        own.decision === 'approve'
          ? 'A person counts once. To take an approval back, use `holdpoint withdraw`.'
          : 'A rejection stands. Start a new run if the work is wanted after all.',
    };
  }
  const standing = standingOf(request, decisions, nowMs);
  if (standing.state === 'waiting') return undefined;
  const verdict = standing.state === 'approved' ? `approved by ${standing.by.join(', ')}` : `rejected by ${standing.by}`;
  return {
    code: 'verdict-reached',
    reason: `Request ${request.number} of hold ${request.hold} has already been ${verdict}.`,
    remedy:
      standing.state === 'approved' ? 'To stop the run now, use `holdpoint abort`.' : 'Start a new run if the work is wanted after all.',
  };
}

/** Who is excluded comes before the group: joining the group would not help them. */
function notEntitled(request: ApprovalRequest, attempt: Attempt, nowMs: number): Refusal | undefined {
  const { policy, hold } = request;
  const { person } = attempt;
  if (attempt.breaksGlass) return mayBreakGlass(policy, person) ? undefined : notTheirGlass(request, person);
  const groups = groupRequirementsOf(policy).length === 1 ? `group ${groupsNamedBy(policy)[0]}` : requirementInWords(policy);
  const askOther = `Ask somebody else of ${groups}: ${othersOf(request)}.`;
  switch (exclusionOf(request, person)) {
    case 'asker': {
      const reviewed = reviewedHold(hold);
      if (reviewed !== undefined) {
        const why = `${person} has broken the glass at hold ${reviewed}; others must sign that.`;
        return { code: 'asker-excluded', reason: why, remedy: askOther };
      }
      const reason = `${person} has asked for what is to be signed at hold ${hold}; somebody else must decide on it.`;
      const remedy = `Ask somebody else: ${othersOf(request)}. To take it back, use \`holdpoint resume\`.`;
      return { code: 'asker-excluded', reason, remedy };
    }
    case 'requester': {
      const reason = `${person} started the run, and policy ${policy.name} does not let the requester decide on hold ${hold}.`;
      const remedy = attempt.decision === 'reject' ? 'The run is yours: stop it with `holdpoint abort` instead.' : askOther;
      return { code: 'requester-excluded', reason, remedy };
    }
    case 'earlier-approvers': {
      const reason = `${person} has signed at an earlier hold, and policy ${policy.name} wants others to decide on hold ${hold}.`;
      return { code: 'earlier-approver-excluded', reason, remedy: askOther };
    }
    case 'person': {
      const reason = `Policy ${policy.name} does not let ${person} decide on hold ${hold}.`;
      return { code: 'person-excluded', reason, remedy: askOther };
    }
    case undefined:
  }
  const { under } = attempt;
  const refusal = under && refusalOfDelegation(under, request, person, nowMs);
  if (refusal) return refusal;
  if (signersOf(request).includes(under?.person ?? person)) return undefined;
  return {
    code: 'not-in-group',
    reason:
      `Policy ${policy.name} wants hold ${hold} decided by ${groups}, and ${under?.person ?? person} was not in it ` +
      `when the signatures were requested at ${request.requestedAt}.`,
    remedy: `Ask somebody of ${groups}: ${othersOf(request)}.`,
  };
}

function notTheirGlass(request: ApprovalRequest, person: string): Refusal {
  const { policy, hold } = request;
  const who = policy.breakGlass?.join(', ') ?? 'nobody';
  return {
    code: 'glass-not-yours',
    reason: `${person} may not release hold ${hold} alone: policy ${policy.name} names ${who} for that.`,
    remedy: `Ask somebody who may sign: ${othersOf(request)}.`,
  };
}

/** Refuses a reason that a terminal would obey, or that nobody can read: others read it before they sign, and in the record. */
export function refusalOfUnreadable(reason: string): Refusal | undefined {
  const unseen = unseenIn(reason);
  if (unseen === undefined) return undefined;
  return {
    code: 'reason-unreadable',
    reason: `The reason has the character ${unseen.character}, which nobody sees or a terminal obeys.`,
    remedy: 'Give a reason of one line that can be read.',
  };
}

function unfitReason(policy: Policy, { reason, decision, breaksGlass }: Attempt): Refusal | undefined {
  if (breaksGlass && reason.trim() === '') {
    const why = 'Whoever breaks the glass must say why, and there is no reason.';
    return { code: 'reason-missing', reason: why, remedy: 'Say why, with `--reason`.' };
  }
  if (policy.reason === 'required' && reason.trim() === '') {
    return {
      code: 'reason-missing',
      reason: `Policy ${policy.name} requires a reason, and the decision to ${decision} has none.`,
      remedy: 'Say why, with `--reason`.',
    };
  }
  return tooLong(reason) ?? refusalOfUnreadable(reason);
}

function tooLong(reason: string): Refusal | undefined {
  if (reason.length <= reasonCharactersMax) return undefined;
  return {
    code: 'reason-too-long',
    reason: `The reason has ${reason.length} characters; at most ${reasonCharactersMax} are kept.`,
    remedy: 'Give a shorter reason, with a link to the rest.',
  };
}

function othersOf(request: ApprovalRequest): string {
  const people = signersOf(request);
  return people.length === 0 ? 'nobody else is in it, so the platform team must add people' : people.join(', ');
}

function pastOf(decision: Decision['decision']): string {
  return decision === 'approve' ? 'approved' : 'rejected';
}
