import { CancellationScope } from '@temporalio/workflow';
import { signedEvidence } from '../domain/evidence.ts';
import type { ExpectedStatement } from '../domain/statement.ts';
import type { Phase, VerbRequest } from './messages.ts';
import { verifier } from './proxies.ts';
import { refusalFailure, requireShape, type Telling } from './refusal.ts';
import type { Run } from './run.ts';

/** The gate of an operator's word: refuses what makes no sense in the present state. It must not be async. */
export function refuseVerb(run: Run, request: VerbRequest): void {
  requireShape(request, ['person', 'run', 'verb', 'reason', 'signature']);
  const { verb, run: named } = request;
  const refusal = named === run.state.run ? run.refusalOfVerb(verb) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (!refusal) return;
  const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'nothing';
  throw refusalFailure({
    code: 'verb-refused',
    reason: `The run ${named} cannot be told to ${verb}: ${refusal.cause}.`,
    remedy: `What it can be told now: ${possible}.`,
  });
}

/** Verifies the signature of an operator's word and has the run obey it. */
export async function takeVerb(run: Run, request: VerbRequest): Promise<{ phase: Phase }> {
  const { person, verb, reason, signature } = request;
  const expected: ExpectedStatement = { kind: 'verb', person, run: request.run, verb, reason };
  const answer = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected, signature }));
  const verified = answer.ok && run.wasUsed(person, answer.nonce) ? usedBefore(person, verb) : answer;
  if (!verified.ok) {
    await run.recordRefusal({ person, attempt: verb, code: verified.code, reason: verified.reason });
    throw refusalFailure(verified, true);
  }
  refuseVerb(run, request);
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const recorded = run.record(kind, body);
  run.obey(verb, person, reason, verified.at);
  await recorded;
  return { phase: run.state.phase };
}

function usedBefore(person: string, verb: string): { ok: false } & Telling {
  const reason = `This signed ${verb} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}
