import { parseJson } from '../json.ts';
import { timeMsOf } from '../time.ts';
import { bytesOfBase64url } from '../base64.ts';
import { readStatement, type ClaimsOf, type PreApprovalStatement } from './statement.ts';

/** The last moment that a pre-approval may count is at most so long after it was signed. */
export const preApprovalAgeMaxMs = 31 * 86_400_000;

/** What a run asks for at a hold in an opening of a window: everything that a pre-approval must have foreseen. */
export type PreApprovalUse = Omit<ClaimsOf<'pre-approval'>, 'person' | 'reason'>;

export type PreApprovalCode = 'pre-approval-differs' | 'pre-approval-malformed' | 'pre-approval-early' | 'pre-approval-expired';

/** Why a pre-approval does not count. */
export interface PreApprovalRefusal {
  code: PreApprovalCode;
  reason: string;
  remedy: string;
}

const signAgain = 'Look at the plan that the run shows now and sign that.';

/** From the widest difference (another target) to the narrowest (another plan), with what each claim is called in a sentence. */
const usedFor: readonly [claim: keyof PreApprovalUse, name: string][] = [
  ['target', 'target'],
  ['runbook', 'runbook'],
  ['inputs', 'inputs'],
  ['hold', 'hold'],
  ['policy', 'policy'],
  ['notBefore', 'an opening from'],
  ['notAfter', 'an opening until'],
  ['planHash', 'plan'],
];

/** What a signed pre-approval says, whoever has signed it; undefined where it is none. */
export function readPreApproval(jws: string): PreApprovalStatement | undefined {
  const payload = bytesOfBase64url(jws.split('.')[1] ?? '');
  const read = readStatement(payload && parseJson(payload));
  return 'statement' in read && read.statement.kind === 'pre-approval' ? read.statement : undefined;
}

/**
 * Says why a pre-approval does not count for what a run asks now, or undefined where it does: it counts for one target, runbook, inputs,
 * hold, policy, opening and plan, within that opening. Its signature and who may sign are checked elsewhere.
 *
 * @param use what the run asks for now; its `planHash` is of the plan made in the opening.
 * @param nowMs milliseconds since 1970.
 */
export function refusalOfPreApproval(statement: PreApprovalStatement, use: PreApprovalUse, nowMs: number): PreApprovalRefusal | undefined {
  return differing(statement, use) ?? refusalOfPeriod(statement, nowMs) ?? early(statement, nowMs);
}

/**
 * Says why a pre-approval cannot count at any time from `nowMs` (milliseconds since 1970) on, or undefined where it still may: this is
 * what takes the place of the age limit of other statements.
 */
export function refusalOfPeriod({ person, at, notBefore, notAfter }: PreApprovalStatement, nowMs: number): PreApprovalRefusal | undefined {
  const [signedMs, beginMs, endMs] = [at, notBefore, notAfter].map(timeMsOf);
  const problem = (why: string): PreApprovalRefusal => ({
    code: 'pre-approval-malformed',
    reason: `The pre-approval of ${person} cannot count at any time: ${why}.`,
    remedy: 'Sign anew, for an opening that the calendar has.',
  });
  if (signedMs === undefined || beginMs === undefined || endMs === undefined) return problem('one of its times is none');
  if (beginMs >= endMs) return problem(`its opening ends at ${notAfter}, and begins only at ${notBefore}`);
  if (endMs - signedMs > preApprovalAgeMaxMs) {
    const days = preApprovalAgeMaxMs / 86_400_000;
    return problem(`its opening ends at ${notAfter}, more than ${days} days after it was signed (${at})`);
  }
  if (nowMs <= endMs) return undefined;
  const reason = `The pre-approval of ${person} counted until ${notAfter}, when its opening ended.`;
  return { code: 'pre-approval-expired', reason, remedy: 'Sign for another opening, or decide at the hold.' };
}

function differing(statement: PreApprovalStatement, use: PreApprovalUse): PreApprovalRefusal | undefined {
  for (const [claim, name] of usedFor) {
    if (statement[claim] === use[claim]) continue;
    const reason = `The pre-approval of ${statement.person} is for ${name} ${statement[claim]}, but the run asks for ${use[claim]}.`;
    return { code: 'pre-approval-differs', reason, remedy: signAgain };
  }
  return undefined;
}

function early({ person, notBefore }: PreApprovalStatement, nowMs: number): PreApprovalRefusal | undefined {
  if (nowMs >= (timeMsOf(notBefore) ?? Infinity)) return undefined;
  const reason = `The pre-approval of ${person} counts from ${notBefore} on, when its opening begins.`;
  return { code: 'pre-approval-early', reason, remedy: 'Wait for the opening, or decide at the hold.' };
}
