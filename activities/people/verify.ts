import { refusalOfPeriod } from '../../domain/approval/pre-approval.ts';
import type { PersonKeys } from '../../domain/approval/keys.ts';
import { checkSignature, type VerificationRefusal, type VerificationResult } from '../../domain/approval/signature.ts';
import { clockSkewMaxMs } from '../../domain/time.ts';
import { scheduleAgeMaxMs } from '../../domain/schedule/schedule.ts';
import type { ExpectedStatement, Statement } from '../../domain/approval/statement.ts';

/** How old a statement may be when it arrives: long enough for a worker to restart, too short to keep one in a drawer. */
export const statementAgeMaxMs = 15 * 60_000;

/**
 * Checks that a statement was signed by the person it must be from with a key that is good, says exactly what is expected, and is fresh.
 * A pre-approval is fresh until its opening ends; whether the opening has begun is for `refusalOfPreApproval` to say. A schedule is for
 * more than a year.
 *
 * @param jws compact JWS as it came over the wire.
 * @param expected every claim but `at` and `nonce`, from what was asked for and what the run knows; its person must be the signer.
 * @param keys the person as holdpoint.yaml has them, undefined where they are not known.
 */
export function verifyStatement(jws: string, expected: ExpectedStatement, keys: PersonKeys | undefined, now: Date): VerificationResult {
  const result = checkSignature(jws, expected, keys, now.getTime());
  return result.ok ? (unfreshness(result.statement, now) ?? result) : result;
}

function unfreshness(statement: Statement, now: Date): VerificationRefusal | undefined {
  const { at, person } = statement;
  const ageMs = now.getTime() - Date.parse(at);
  if (ageMs < -clockSkewMaxMs) {
    const reason = `The statement of ${person} is dated ${at}, which is later than ${now.toISOString()} on the worker.`;
    return refused('statement-from-future', reason, 'Set the clock of the machine that signed (or of the worker) right and sign again.');
  }
  if (statement.kind === 'pre-approval') {
    const refusal = refusalOfPeriod(statement, now.getTime());
    return refusal && { ok: false, ...refusal };
  }
  if (statement.kind === 'schedule') {
    if (ageMs <= scheduleAgeMaxMs) return undefined;
    const days = scheduleAgeMaxMs / 86_400_000;
    const reason = `The schedule ${statement.schedule} was signed by ${person} at ${at}, more than ${days} days ago.`;
    return refused('statement-stale', reason, 'Look whether it is still wanted, and apply it again.');
  }
  if (ageMs <= statementAgeMaxMs + clockSkewMaxMs) return undefined;
  const reason =
    `The statement of ${person} was signed at ${at} and arrived at ${now.toISOString()}; ` +
    `it counts for ${statementAgeMaxMs / 60_000} minutes.`;
  return refused('statement-stale', reason, 'Look at the plan again and sign anew.');
}

function refused(code: VerificationRefusal['code'], reason: string, remedy: string): VerificationRefusal {
  return { ok: false, code, reason, remedy };
}
