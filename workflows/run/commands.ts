import { CancellationScope, condition } from '@temporalio/workflow';
import { refusalOfUnreadable } from '../../domain/approval/refusal.ts';
import { claimNames, type CommandName } from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import type { OperatorCommand } from '../../domain/run/intent.ts';
import type { CommandRequest, CommandResult } from '../messages.ts';
import { obstacleTo, planRollback } from '../rollback/plan.ts';
import { failureOf, recordLossIn, type Failure } from './failure.ts';
import type { RunProgress } from './progress.ts';
import { refusalFailure, requireShape } from './refusal.ts';
import type { Run } from './run.ts';

/** Commands that depart from what was signed: the person has to say why. */
const reasonNeeded: readonly CommandName[] = ['skip', 'done', 'undo', 'adopt', 'proceed'];

/** The validator of a command: refuses what makes no sense in the present state. It must not be async. */
export function refuseCommand(run: Run, request: CommandRequest): void {
  requireShape(request, [...claimNames('command', 'text'), 'signature']);
  const { command, step, reason, run: named } = request;
  const unreadable = refusalOfUnreadable(reason);
  if (unreadable) throw refusalFailure(unreadable);
  const refusal =
    named === run.state.run ? run.refusalOfCommand(command, step) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (refusal) {
    const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'none';
    throw refusalFailure({
      code: 'command-refused',
      reason: `The command ${command} is not allowed now for the run ${named}: ${refusal.cause}.`,
      remedy: `Commands that are allowed now: ${possible}.`,
    });
  }
  if (reasonNeeded.includes(command) && reason.trim() === '') {
    const why = `The command ${command} departs from what was signed for the run ${named}, and has no reason.`;
    throw refusalFailure({ code: 'reason-missing', reason: why, remedy: 'Say why, with `--reason`.' });
  }
  const { signature, ...claims } = request;
  const forgery = run.forgeryIn({ ...claims, kind: 'command' }, signature);
  if (forgery) throw refusalFailure(forgery);
}

/** Verifies the signature of a command and has the run obey it; returns what it has led to at once. */
export async function takeCommand(run: Run, progress: RunProgress, request: CommandRequest): Promise<CommandResult> {
  const { signature, ...claims } = request;
  const { person, command, reason } = claims;
  const expected = { ...claims, kind: 'command' as const };
  // Whoever sees that something goes wrong may stop it, whatever rules say of who goes on.
  const operates = command === 'pause' || command === 'abort' ? undefined : run.state.target;
  const answer = await run.verify({ expected, signature, operates });
  const verified = answer.ok && run.wasUsed(person, answer.nonce) ? usedBefore(person, command) : answer;
  if (!verified.ok) {
    await run.recordRefusal({ person, attempt: command, code: verified.code, reason: verified.reason });
    throw refusalFailure(verified, true);
  }
  refuseCommand(run, request);
  if (command === 'undo') await requireRollback(run, progress, request);
  const { kind, body } = signedEvidence(expected, signature, verified.publicKey);
  const recorded = run.record(kind, body);
  // The worker looks into the record for it before it performs the step again.
  if (command === 'adopt') await recorded;
  const given: OperatorCommand = { command, person, reason, at: verified.at };
  run.obey(given);
  try {
    await recorded;
  } catch (error) {
    // The run ends anyway, with a record or without one.
    if (command !== 'abort' || !recordLossIn(error)) throw error;
  }
  await CancellationScope.nonCancellable(() => condition(() => run.hasAnswered(given)));
  const { phase, hold, notice } = run.state;
  return { phase, hold: hold?.request.askedBy === undefined ? undefined : hold.request.hold, notice };
}

/** Somebody who cannot roll back is told so at once, not after others have signed. */
async function requireRollback(run: Run, progress: RunProgress, request: CommandRequest): Promise<void> {
  let obstacle: Failure | undefined;
  try {
    obstacle = obstacleTo(await CancellationScope.nonCancellable(() => planRollback(run, progress)));
  } catch (error) {
    obstacle = failureOf(error);
    if (!obstacle) throw error;
  }
  // Others may have spoken while the rollback was planned.
  refuseCommand(run, request);
  if (!obstacle) return;
  await run.recordRefusal({ person: request.person, attempt: 'undo', code: obstacle.code, reason: obstacle.reason });
  throw refusalFailure(obstacle, true);
}

function usedBefore(person: string, command: string): { ok: false } & Failure {
  const reason = `This signed ${command} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}
