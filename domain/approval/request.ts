import { digestOfText } from '../plan/plan.ts';
import { timeMsOf } from '../time.ts';
import { mayBreakGlass } from './break-glass.ts';
import { exclusionOf, fulfilmentOf, rejectionsNeeded, signersOf, type Parties } from './policy.ts';

/** Why a request takes no more decisions, whatever its standing. */
export interface Closing {
  /** `expired`: the timer ran out. `drift`: the plan is no longer the one shown. `aborted`: the run was called off.
   * `withdrawn`: an operator has taken back what was asked for, or asked for something else. */
  because: 'expired' | 'drift' | 'aborted' | 'withdrawn';
  /** ISO 8601, UTC. */
  at: string;
}

/** A request for the signatures of a hold, as it is put to the approvers; after drift they are requested anew under the next number. */
export interface ApprovalRequest extends Parties {
  hold: string;
  /** 1 for the first time, 2 after the first drift … */
  number: number;
  question: string;
  planHash: string;
  /** People of the groups of the policy when the signatures were requested. */
  members: string[];
  /** ISO 8601, UTC. */
  requestedAt: string;
  expiresAt: string;
  /** How often those who may sign were reminded; left out before the first time. */
  reminders?: number;
  /** Set by the engine once the request takes no more decisions; late ones are then refused with this reason. */
  closed?: Closing;
}

/** A decision that has been accepted: checked by the rules and its signature verified. */
export interface Decision {
  person: string;
  decision: 'approve' | 'reject';
  reason: string;
  at: string;
  /** The compact JWS. */
  jws: string;
  /** It counts from then on; ISO 8601, UTC. At once where it is left out. */
  from?: string;
  /** The person in whose place it was given; their own where it is left out. */
  inPlaceOf?: string;
  /** Their signed delegation, a compact JWS. */
  delegation?: string;
  /** It releases the hold alone. */
  breaksGlass?: boolean;
  /** It was signed before there was a run, for the opening of a window. */
  inAdvance?: true;
}

/**
 * How far a request has come. `missing` is the fewest signatures that are missing, `inWords` of which groups, and `maySign` are the people
 * whose signature would still count, in the order of the members.
 */
export type Standing =
  | { state: 'waiting'; missing: number; inWords: string; maySign: string[] }
  /** `brokenBy`: they have broken the glass, without which signatures would be missing. */
  | { state: 'approved'; by: string[]; brokenBy?: string }
  | { state: 'rejected'; by: string; reason: string };

/**
 * What is signed of the question of a request: its digest. It is no part of the plan's hash, as it may tell numbers that change by
 * themselves, which must not void a signature.
 */
export function questionDigest({ question }: Pick<ApprovalRequest, 'question'>): string {
  return digestOfText(question);
}

/** What a withdrawal names: the digest of the signed approval, a compact JWS. */
export function approvalId(jws: string): string {
  return digestOfText(jws);
}

/** When a decision begins to count, in milliseconds since 1970; 0 for one that counts at once. */
export function effectiveAtMs({ from }: Pick<Decision, 'from'>): number {
  return from === undefined ? 0 : (timeMsOf(from) ?? Infinity);
}

/**
 * Counts the decisions of a request: enough rejections end it, and each person counts once, if the policy lets them count at all. The
 * order of the decisions decides on nothing but the order of names.
 *
 * @param nowMs milliseconds since 1970: an approval that counts from later on is not there yet.
 */
export function standingOf(request: ApprovalRequest, decisions: readonly Decision[], nowMs: number): Standing {
  const signers = signersOf(request);
  const counted = decisions.filter(
    ({ person, inPlaceOf = person }) => signers.includes(inPlaceOf) && exclusionOf(request, person) === undefined,
  );
  const rejections = eachOnce(counted.filter(({ decision }) => decision === 'reject'));
  const rejection = rejections[rejectionsNeeded(request.policy) - 1];
  if (rejection) return { state: 'rejected', by: rejection.person, reason: rejection.reason };
  const rejecters = new Set(decisions.flatMap(({ person, decision }) => (decision === 'reject' ? [person] : [])));
  const given = counted.filter(({ person, decision, breaksGlass }) => decision === 'approve' && !breaksGlass && !rejecters.has(person));
  const approvals = given.filter((decision) => effectiveAtMs(decision) <= nowMs);
  const { missing, inWords, maySign } = fulfilmentOf(request, approvals);
  if (missing === 0) return { state: 'approved', by: eachOnce(approvals).map(({ person }) => person) };
  const broken = decisions.find(({ person, breaksGlass }) => breaksGlass && mayBreakGlass(request.policy, person));
  if (broken) {
    const by = eachOnce([...approvals, broken]).map(({ person }) => person);
    return { state: 'approved', by, brokenBy: broken.person };
  }
  return {
    state: 'waiting',
    missing,
    inWords,
    maySign: maySign.filter((person) => !rejecters.has(person) && !given.some((other) => other.person === person)),
  };
}

function eachOnce(decisions: readonly Decision[]): Decision[] {
  return decisions.filter(({ person }, place) => decisions.findIndex((other) => other.person === person) === place);
}
