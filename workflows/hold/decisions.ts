import { refusalOf, type Refusal } from '../../domain/approval/refusal.ts';
import { questionDigest, standingOf } from '../../domain/approval/request.ts';
import { claimNames, type ExpectedStatement } from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import type { HoldState } from '../../domain/run/state.ts';
import type { DecisionAnswer, DecisionRequest } from '../messages.ts';
import { refusalFailure, requireShape } from '../run/refusal.ts';
import type { Run } from '../run/run.ts';

/** The validator of a decision: refuses what the state shows to be wrong. It must not be async, or it would refuse nothing. */
export function refuseDecision(run: Run, sent: DecisionRequest): void {
  requireShape(sent, [...claimNames('decision', 'text'), 'signature'], claimNames('decision', 'integer'));
  const refusal = refusalOfDecision(run, sent);
  if (refusal) throw refusalFailure(refusal);
  const { signature, ...claims } = sent;
  const forgery = run.forgeryIn({ ...claims, kind: 'decision' }, signature);
  if (forgery) throw refusalFailure(forgery);
}

/** Verifies the signature of a decision against the people of this moment and counts it, if it still may count then. */
export async function takeDecision(run: Run, sent: DecisionRequest): Promise<DecisionAnswer> {
  const { signature, ...claims } = sent;
  const expected = { ...claims, kind: 'decision' as const };
  const { person, decision, reason } = sent;
  const group = run.state.hold?.request.policy.of;
  const verified = await run.verify({ expected, signature, group, earlier: earlierDecisions(run) });
  // The request may have been closed, or the same person may have decided, while the signature was verified.
  const refusal = verified.ok ? refusalOfDecision(run, sent) : verified;
  if (!verified.ok || refusal || !run.state.hold) {
    const closed = { code: 'hold-not-waiting', reason: 'The hold does not wait for signatures any more.', remedy: 'Look again.' };
    const { code, reason: why, remedy } = refusal ?? closed;
    await run.recordRefusal({ person, attempt: decision, code, reason: why });
    throw refusalFailure({ code, reason: why, remedy }, true);
  }
  const held = run.state.hold;
  for (const { person, reason } of verified.voided ?? []) voidDecision(run, held, person, reason);
  held.decisions.push({ person, decision, reason, at: verified.at, jws: signature });
  const standing = standingOf(held.request, held.decisions);
  // Whoever looks after their decision must not see the hold as still waiting.
  if (standing.state !== 'waiting') run.enter('planning');
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  // The last one of a hold is written with what follows from it, when the plan has been looked at once more.
  await (standing.state === 'approved' && held.request.askedBy === undefined ? run.note(kind, body) : run.record(kind, body));
  return { state: standing.state, missing: standing.state === 'waiting' ? standing.missing : 0 };
}

/** What others have signed at the hold that waits: people may have left since, or been given another key. */
function earlierDecisions({ state: { run, hold: held } }: Run): { expected: ExpectedStatement; signature: string }[] {
  if (!held) return [];
  const { hold, number: request, planHash } = held.request;
  const question = questionDigest(held.request);
  return held.decisions.map(({ person, decision, reason, jws }) => {
    return { expected: { kind: 'decision', person, run, hold, request, planHash, question, decision, reason }, signature: jws };
  });
}

/** Takes a decision back that does not count any more: whoever has given it may decide again, if they may sign again. */
function voidDecision(run: Run, held: HoldState, person: string, reason: string): void {
  const place = held.decisions.findIndex((decision) => decision.person === person);
  if (place < 0) return;
  held.decisions.splice(place, 1);
  const { hold, number: request } = held.request;
  void run.note('decision.voided', { hold, request, person, reason });
}

function refusalOfDecision(run: Run, sent: DecisionRequest): Refusal | undefined {
  const held = run.state.hold;
  return refusalOf(held?.request, held?.decisions ?? [], sent, run.state.run);
}
