import { CancellationScope, condition } from '@temporalio/workflow';
import { signedEvidence } from '../domain/evidence.ts';
import type { ExpectedStatement } from '../domain/statement.ts';
import type { Verb } from '../domain/statement.ts';
import type { Course } from './course.ts';
import { failureOf, type Failure } from './failure.ts';
import type { VerbAnswer, VerbRequest } from './messages.ts';
import { verifier } from './proxies.ts';
import { refusalFailure, requireShape, type Telling } from './refusal.ts';
import type { Run } from './run.ts';
import { obstacleTo, planWayBack } from './way-back.ts';

/** Words that depart from what was signed: the person has to say why. */
const reasonNeeded: readonly Verb[] = ['skip', 'done', 'undo', 'adopt'];

/** The gate of an operator's word: refuses what makes no sense in the present state. It must not be async. */
export function refuseVerb(run: Run, request: VerbRequest): void {
  requireShape(request, ['person', 'run', 'verb', 'step', 'reason', 'signature']);
  const { verb, step, reason, run: named } = request;
  const refusal = named === run.state.run ? run.refusalOfVerb(verb, step) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (refusal) {
    const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'nothing';
    throw refusalFailure({
      code: 'verb-refused',
      reason: `The run ${named} cannot be told to ${verb}: ${refusal.cause}.`,
      remedy: `What it can be told now: ${possible}.`,
    });
  }
  if (!reasonNeeded.includes(verb) || reason.trim() !== '') return;
  const why = `Whoever tells the run ${named} to ${verb} has to say why: others sign on the strength of it.`;
  throw refusalFailure({ code: 'reason-missing', reason: why, remedy: 'Say why, with `--reason`.' });
}

/** Verifies the signature of an operator's word and has the run obey it; returns what it has led to at once. */
export async function takeVerb(run: Run, course: Course, request: VerbRequest): Promise<VerbAnswer> {
  const { person, verb, step, reason, signature } = request;
  const expected: ExpectedStatement = { kind: 'verb', person, run: request.run, verb, step, reason };
  const answer = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected, signature }));
  const verified = answer.ok && run.wasUsed(person, answer.nonce) ? usedBefore(person, verb) : answer;
  if (!verified.ok) {
    await run.recordRefusal({ person, attempt: verb, code: verified.code, reason: verified.reason });
    throw refusalFailure(verified, true);
  }
  refuseVerb(run, request);
  if (verb === 'undo') await requireWayBack(run, course, request);
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const recorded = run.record(kind, body);
  const word = { verb, person, reason };
  run.obey(word, verified.at);
  await recorded;
  await CancellationScope.nonCancellable(() => condition(() => run.hasAnswered(word)));
  const { phase, hold, notice } = run.state;
  return { phase, hold: hold?.opening.askedBy === undefined ? undefined : hold.opening.hold, notice };
}

/** Somebody who cannot go back is told so at once, not after others have signed. */
async function requireWayBack(run: Run, course: Course, request: VerbRequest): Promise<void> {
  let obstacle: Failure | undefined;
  try {
    obstacle = obstacleTo(await CancellationScope.nonCancellable(() => planWayBack(run, course)));
  } catch (error) {
    obstacle = failureOf(error);
    if (!obstacle) throw error;
  }
  // Others may have spoken while the way back was planned.
  refuseVerb(run, request);
  if (!obstacle) return;
  await run.recordRefusal({ person: request.person, attempt: 'undo', code: obstacle.code, reason: obstacle.reason });
  throw refusalFailure(obstacle, true);
}

function usedBefore(person: string, verb: string): { ok: false } & Telling {
  const reason = `This signed ${verb} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}
