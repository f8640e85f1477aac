import { CancellationScope, condition, patched } from '@temporalio/workflow';
import { refusalOfUnreadable } from '../../domain/approval/refusal.ts';
import { claimNames, commandsWithReason } from '../../domain/approval/statement.ts';
import { signedEvidence } from '../../domain/evidence/evidence.ts';
import { isObject } from '../../domain/json.ts';
import type { OperatorCommand } from '../../domain/run/intent.ts';
import type { CommandRequest, CommandResult } from '../messages.ts';
import { obstacleTo, planRollback } from '../rollback/plan.ts';
import { failureOf, recordLossIn, type Failure } from './failure.ts';
import type { RunProgress } from './progress.ts';
import { misshapen, recordedRefusalsPatch, refusalFailure, type RefusedWord } from './refusal.ts';
import type { Run } from './run.ts';

/** The validator of a command: refuses what is not even to be written down. It must not be async. */
export function refuseCommand(run: Run, request: CommandRequest): void {
  const refused = refusedIn(run, request);
  if (refused) return run.letInToRefuse(refused);
  const { signature, ...claims } = request;
  const forgery = run.forgeryIn({ ...claims, kind: 'command' }, signature);
  if (forgery) throw refusalFailure(forgery);
}

/** Why a command is refused in the present state, whatever its signature is worth; undefined where it is not. */
function refusedIn(run: Run, request: CommandRequest): RefusedWord | undefined {
  // It can be anything, even nothing.
  const { person = '', command: attempt = '' }: Partial<Record<keyof CommandRequest, string>> = isObject(request) ? request : {};
  const malformed = misshapen(request, [...claimNames('command', 'text'), 'signature']);
  if (malformed) return { ...malformed, person, attempt, isSigned: false };
  const fault = faultIn(run, request);
  if (!fault) return undefined;
  const { signature, ...claims } = request;
  return { ...fault, person, attempt, isSigned: run.isSigned({ ...claims, kind: 'command' }, signature) };
}

function faultIn(run: Run, { command, step, reason, run: named }: CommandRequest): Failure | undefined {
  const unreadable = refusalOfUnreadable(reason);
  if (unreadable) return unreadable;
  const refusal =
    named === run.state.run ? run.refusalOfCommand(command, step) : { cause: `the open run is ${run.state.run}`, possible: [] };
  if (refusal) {
    const possible = refusal.possible.length > 0 ? refusal.possible.join(', ') : 'none';
    return {
      code: 'command-refused',
      reason: `The command ${command} is not allowed now for the run ${named}: ${refusal.cause}.`,
      remedy: `Commands that are allowed now: ${possible}.`,
    };
  }
  if (!commandsWithReason.includes(command) || reason.trim() !== '') return undefined;
  const why = `The command ${command} departs from what was signed for the run ${named}, and has no reason.`;
  return { code: 'reason-missing', reason: why, remedy: 'Say why, with `--reason`.' };
}

/** Refuses a command that others have overtaken while it was looked at. */
async function refuseOvertaken(run: Run, word: RefusedWord): Promise<never> {
  // Runs of before have left it to the sender to tell of it.
  if (!patched(recordedRefusalsPatch)) throw refusalFailure(word);
  await run.recordRefusal(word);
  throw refusalFailure(word, true);
}

/** Verifies the signature of a command and has the run obey it; returns what it has led to at once. */
export async function takeCommand(run: Run, progress: RunProgress, request: CommandRequest): Promise<CommandResult> {
  const refused = refusedIn(run, request);
  if (refused && patched(recordedRefusalsPatch)) return run.refuse(refused);
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
  const overtaken = refusedIn(run, request);
  if (overtaken) return refuseOvertaken(run, overtaken);
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
  const overtaken = refusedIn(run, request);
  if (overtaken) return refuseOvertaken(run, overtaken);
  if (!obstacle) return;
  await run.recordRefusal({ person: request.person, attempt: 'undo', code: obstacle.code, reason: obstacle.reason });
  throw refusalFailure(obstacle, true);
}

function usedBefore(person: string, command: string): { ok: false } & Failure {
  const reason = `This signed ${command} of ${person} was given to the run before; a copy of it does not count.`;
  return { ok: false, code: 'statement-used', reason, remedy: 'Sign anew.' };
}
