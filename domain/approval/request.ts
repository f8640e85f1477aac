import { digestOfText } from '../plan/plan.ts';
import { approvalsNeeded, signersOf, type Policy } from './policy.ts';

/** Why a request takes no more decisions, whatever its standing. */
export interface Closing {
  /** `expired`: the timer ran out. `drift`: the plan is no longer the one shown. `aborted`: the run was called off.
   * `withdrawn`: an operator has taken back what was asked for, or asked for something else. */
  because: 'expired' | 'drift' | 'aborted' | 'withdrawn';
  /** ISO 8601, UTC. */
  at: string;
}

/** A request for the signatures of a hold, as it is put to the approvers; after drift they are requested anew under the next number. */
export interface ApprovalRequest {
  hold: string;
  /** 1 for the first time, 2 after the first drift … */
  number: number;
  question: string;
  planHash: string;
  policy: Policy;
  /** People of the policy's group when the signatures were requested. */
  members: string[];
  requester: string;
  /** The operator who has asked for what is to be signed, where that is not a step of the runbook: they cannot be the second person. */
  askedBy?: string;
  /** ISO 8601, UTC. */
  requestedAt: string;
  expiresAt: string;
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
}

/** How far a request has come. `maySign` are the people whose signature would still count, in the order of the members. */
export type Standing =
  | { state: 'waiting'; missing: number; maySign: string[] }
  | { state: 'approved'; by: string[] }
  | { state: 'rejected'; by: string; reason: string };

/**
 * What is signed of the question of a request: its digest. It is no part of the plan's hash, as it may tell numbers that change by
 * themselves, which must not void a signature.
 */
export function questionDigest({ question }: Pick<ApprovalRequest, 'question'>): string {
  return digestOfText(question);
}

/** Counts the decisions of a request: one rejection ends it, and each person counts once, if the policy lets them count at all. */
export function standingOf(request: ApprovalRequest, decisions: readonly Decision[]): Standing {
  const signers = signersOf(request);
  const counted = decisions.filter(({ person }) => signers.includes(person));
  const rejection = counted.find(({ decision }) => decision === 'reject');
  if (rejection) return { state: 'rejected', by: rejection.person, reason: rejection.reason };
  const approvers = [...new Set(counted.filter(({ decision }) => decision === 'approve').map(({ person }) => person))];
  const missing = approvalsNeeded(request.policy) - approvers.length;
  if (missing <= 0) return { state: 'approved', by: approvers };
  return { state: 'waiting', missing, maySign: signers.filter((person) => !approvers.includes(person)) };
}
