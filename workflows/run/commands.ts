import { CancellationScope, condition } from '@temporalio/workflow';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import type { ExpectedStatement } from '../../domain/approval/statement.ts';
import type { CommandName } from '../../domain/approval/statement.ts';
import type { Course } from './progress.ts';
import { failureOf, type Failure } from '../failure.ts';
import type { CommandResult, CommandRequest } from '../messages.ts';
import { verifier } from '../proxies.ts';
import { refusalFailure, requireShape, type Telling } from './refusal.ts';
import type { Run } from './run.ts';
import { obstacleTo, planWayBack } from '../rollback/plan.ts';

/** Words that depart from what was signed: the person has to say why. */
const reasonNeeded: readonly CommandName[] = ['skip', 'done', 'undo', 'adopt'];

/** The gate of an operator's word: refuses what makes no sense in the present state. It must not be async. */
export function refuseCommand(run: Run, request: CommandRequest): void {
  requireShape(request, ['person', 'run', 'command', 'step', 'reason', 'signature']);
  const { command, step, reason, run: named } = request;
  const refusal =
    named === run.state.run ? run.refusalOfCommand(command, step) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (refusal) {
    const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'nothing';
    throw refusalFailure({
      code: 'command-refused',
      reason: `The run ${named} cannot be told to ${command}: ${refusal.cause}.`,
      remedy: `What it can be told now: ${possible}.`,
    });
  }
  if (!reasonNeeded.includes(command) || reason.trim() !== '') return;
  const why = `Whoever tells the run ${named} to ${command} has to say why: others sign on the strength of it.`;
  throw refusalFailure({ code: 'reason-missing', reason: why, remedy: 'Say why, with `--reason`.' });
}

/** Verifies the signature of an operator's word and has the run obey it; returns what it has led to at once. */
export async function takeCommand(run: Run, course: Course, request: CommandRequest): Promise<CommandResult> {
  const { person, command, step, reason, signature } = request;
  const expected: ExpectedStatement = { kind: 'command', person, run: request.run, command, step, reason };
  const answer = await CancellationScope.nonCancellable(() => verifier.verifySignature({ expected, signature }));
  const verified = answer.ok && run.wasUsed(person, answer.nonce) ? usedBefore(person, command) : answer;
  if (!verified.ok) {
    await run.recordRefusal({ person, attempt: command, code: verified.code, reason: verified.reason });
    throw refusalFailure(verified, true);
  }
  refuseCommand(run, request);
  if (command === 'undo') await requireWayBack(run, course, request);
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const recorded = run.record(kind, body);
  const word = { command, person, reason };
  run.obey(word, verified.at);
  await recorded;
  await CancellationScope.nonCancellable(() => condition(() => run.hasAnswered(word)));
  const { phase, hold, notice } = run.state;
  return { phase, hold: hold?.request.askedBy === undefined ? undefined : hold.request.hold, notice };
}

/** Somebody who cannot go back is told so at once, not after others have signed. */
async function requireWayBack(run: Run, course: Course, request: CommandRequest): Promise<void> {
  let obstacle: Failure | undefined;
  try {
    obstacle = obstacleTo(await CancellationScope.nonCancellable(() => planWayBack(run, course)));
  } catch (error) {
    obstacle = failureOf(error);
    if (!obstacle) throw error;
  }
  // Others may have spoken while the way back was planned.
  refuseCommand(run, request);
  if (!obstacle) return;
  await run.recordRefusal({ person: request.person, attempt: 'undo', code: obstacle.code, reason: obstacle.reason });
  throw refusalFailure(obstacle, true);
}

function usedBefore(person: string, command: string): { ok: false } & Telling {
  const reason = `This signed ${command} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}
