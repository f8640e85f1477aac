import { parseJson } from '../json.ts';
import { timeMsOf } from '../time.ts';
import { groupsOf, type Parties } from './policy.ts';
import { bytesOfBase64url } from '../base64.ts';
import { readStatement, type DelegationStatement } from './statement.ts';

/** For how long a delegation may last. */
export const delegationMaxMs = 31 * 86_400_000;

/** Why a delegation does not count. */
export interface DelegationRefusal {
  code: 'delegation-malformed' | 'delegation-ended' | 'delegation-out-of-scope';
  reason: string;
  remedy: string;
}

/** What a signed delegation says, whoever has signed it; undefined where it is none. */
export function readDelegation(jws: string): DelegationStatement | undefined {
  const payload = bytesOfBase64url(jws.split('.')[1] ?? '');
  const read = readStatement(payload && parseJson(payload));
  return 'statement' in read && read.statement.kind === 'delegation' ? read.statement : undefined;
}

/**
 * Says why a delegation does not count for an approval, or undefined where it does, if its signature holds.
 *
 * @param nowMs milliseconds since 1970.
 */
export function refusalOfDelegation(
  { person, to, scope, at, until }: DelegationStatement,
  parties: Parties,
  delegate: string,
  nowMs: number,
): DelegationRefusal | undefined {
  const { policy } = parties;
  const [atMs, untilMs] = [timeMsOf(at) ?? 0, timeMsOf(until) ?? 0];
  const askAgain = `Ask ${person} to decide, or to delegate again with \`holdpoint delegate\`.`;
  if (to !== delegate || to === person) {
    const reason = `The delegation of ${person} is to ${to}, and ${delegate} has signed.`;
    return { code: 'delegation-out-of-scope', reason, remedy: askAgain };
  }
  if (untilMs - atMs > delegationMaxMs || untilMs <= atMs) {
    const days = delegationMaxMs / 86_400_000;
    const reason = `The delegation of ${person} is from ${at} until ${until}; it must end later than it begins, and within ${days} days.`;
    return { code: 'delegation-malformed', reason, remedy: askAgain };
  }
  if (nowMs > untilMs)
    return { code: 'delegation-ended', reason: `The delegation of ${person} to ${to} ended at ${until}.`, remedy: askAgain };
  if (policy.delegate !== 'allowed') {
    const reason = `Policy ${policy.name} lets nobody sign in the place of another.`;
    return { code: 'delegation-out-of-scope', reason, remedy: `Ask ${person} to decide.` };
  }
  const groups = groupsOf(parties, person);
  // A delegation for a group must not let anybody stand for the delegator in another one.
  const isCovered = scope === `policy/${policy.name}` || (groups.length === 1 && scope === `group/${groups[0]}`);
  if (isCovered) return undefined;
  const reason = `The delegation of ${person} is for ${scope}; at this hold it would have to be for policy/${policy.name}.`;
  return { code: 'delegation-out-of-scope', reason, remedy: askAgain };
}
