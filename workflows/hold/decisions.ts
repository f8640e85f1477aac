import { refusalOf, type Refusal } from '../../domain/approval/refusal.ts';
import { standingOf } from '../../domain/approval/request.ts';
import { claimNames } from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import type { DecisionAnswer, DecisionRequest } from '../messages.ts';
import { refusalFailure, requireShape } from '../run/refusal.ts';
import type { Run } from '../run/run.ts';

/** The validator of a decision: refuses what the state shows to be wrong. It must not be async, or it would refuse nothing. */
export function refuseDecision(run: Run, sent: DecisionRequest): void {
  requireShape(sent, [...claimNames('decision', 'text'), 'signature'], claimNames('decision', 'integer'));
  const refusal = refusalOfDecision(run, sent);
  if (refusal) throw refusalFailure(refusal);
}

/** Verifies the signature of a decision against the people of this moment and counts it, if it still may count then. */
export async function takeDecision(run: Run, sent: DecisionRequest): Promise<DecisionAnswer> {
  const { signature, ...claims } = sent;
  const expected = { ...claims, kind: 'decision' as const };
  const { person, decision, reason } = sent;
  const group = run.state.hold?.request.policy.of;
  const verified = await run.verify({ expected, signature, group });
  // The request may have been closed, or the same person may have decided, while the signature was verified.
  const refusal = verified.ok ? refusalOfDecision(run, sent) : verified;
  if (!verified.ok || refusal || !run.state.hold) {
    const closed = { code: 'hold-not-waiting', reason: 'The hold does not wait for signatures any more.', remedy: 'Look again.' };
    const { code, reason: why, remedy } = refusal ?? closed;
    await run.recordRefusal({ person, attempt: decision, code, reason: why });
    throw refusalFailure({ code, reason: why, remedy }, true);
  }
  const held = run.state.hold;
  held.decisions.push({ person, decision, reason, at: verified.at, jws: signature });
  const standing = standingOf(held.request, held.decisions);
  // Whoever looks after their decision must not see the hold as still waiting.
  if (standing.state !== 'waiting') run.enter('planning');
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  // The last one of a hold is written with what follows from it, when the plan has been looked at once more.
  await (standing.state === 'approved' && held.request.askedBy === undefined ? run.note(kind, body) : run.record(kind, body));
  return { state: standing.state, missing: standing.state === 'waiting' ? standing.missing : 0 };
}

function refusalOfDecision(run: Run, sent: DecisionRequest): Refusal | undefined {
  const held = run.state.hold;
  return refusalOf(held?.request, held?.decisions ?? [], sent, run.state.run);
}
