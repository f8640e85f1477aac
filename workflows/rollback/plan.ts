import type { OperatorCommand } from '../../domain/run/intent.ts';
import { rollbackKind } from '../../domain/evidence/evidence.ts';
import { blockersOf, type Rollback } from '../../domain/run/span.ts';
import { stepsToUndo } from '../../domain/run/steps.ts';
import { signedException } from '../hold/exception.ts';
import { toJson } from '../json.ts';
import { reads } from '../proxies.ts';
import { failureOf, type Failure } from '../run/failure.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** The run leaves its runbook; `progress.rollback` says what follows. */
export class RollingBack extends Error {}

/** Plans how to take back what the run has done so far. Reads only. */
export async function planRollback({ rows }: Run, { base }: RunProgress): Promise<Rollback> {
  const steps = stepsToUndo(rows).map(({ shown: { id, uses }, performed: { plan, finished, foreign } }) => {
    return { id, uses, plan, finished, foreign };
  });
  return reads.planRollback({ base, steps });
}

/** Why a rollback cannot be carried out; undefined where it can. */
export function obstacleTo({ plan, steps, left }: Rollback): Failure | undefined {
  const [blocker] = blockersOf(plan);
  if (blocker) {
    const reason = `The rollback is blocked at ${blocker.step}: ${blocker.object}: ${blocker.reason}`;
    return { code: 'undo-blocked', reason, remedy: blocker.remedy };
  }
  const stays = left.filter(({ stays }) => stays);
  if (steps.length > 0 || stays.length === 0) return undefined;
  const reason = `Nothing can be undone: ${stays.map(({ id, reason }) => `${id}: ${reason}`).join('; ')}`;
  return { code: 'undo-impossible', reason, remedy: 'Go on with the run (`retry`, `skip`, `done`), or abort it; what is done stays.' };
}

/** Has the rollback signed that an operator has asked for. Throws RollingBack once it is; returns where it came to nothing. */
export async function askToRollBack(run: Run, progress: RunProgress, command: OperatorCommand): Promise<void> {
  const { person } = command;
  const why = command.reason || 'no reason given';
  let rollback: Rollback | undefined;
  const signers = await signedException(run, progress, command, {
    hold: 'undo',
    text: `Undo what the run has done? ${person} asks for it: ${why}`,
    plan: async () => (rollback = await planRollback(run, progress)).plan,
    signers: 'policy',
  });
  if (!signers || !rollback) return;
  const obstacle = obstacleTo(rollback);
  if (obstacle) {
    run.state.notice = obstacle.reason;
    return;
  }
  await leaveFor(run, progress, rollback, `undone as ${person} asked and ${signers.join(', ')} signed: ${why}`);
}

/** Rolls back because the runbook says so of a step that has failed. Throws RollingBack; returns why that is not possible. */
export async function rollBackAutomatically(run: Run, progress: RunProgress, step: string, failure: Failure): Promise<Failure> {
  const { code, reason, remedy } = failure;
  await run.record('step.failed', { step, code, reason, remedy });
  run.step(step).summary = reason;
  const obstacle = await rollBackOrSay(run, progress, `undone automatically, as step ${step} failed: ${reason}`);
  return {
    code,
    reason: `${reason} It could not be undone automatically: ${obstacle.reason}`,
    remedy: `${remedy} ${obstacle.remedy}`,
  };
}

/** Rolls back because the runbook says so of a step that still went on when the window closed. Throws and returns as the one above. */
export async function rollBackAtClose(run: Run, progress: RunProgress, step: string): Promise<Failure> {
  const closed = `the window ${progress.base.runbook.window} closed while step ${step} went on`;
  const { code, reason, remedy } = await rollBackOrSay(run, progress, `undone automatically, as ${closed}`);
  return { code, reason: `It was stopped, as ${closed}, and could not be undone automatically: ${reason}`, remedy };
}

/** Throws RollingBack; returns why it cannot be done. */
async function rollBackOrSay(run: Run, progress: RunProgress, why: string): Promise<Failure> {
  try {
    const rollback = await planRollback(run, progress);
    return obstacleTo(rollback) ?? (await leaveFor(run, progress, rollback, why));
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return failure;
  }
}

async function leaveFor(run: Run, progress: RunProgress, rollback: Rollback, reason: string): Promise<never> {
  await run.record(rollbackKind, { plan: toJson(rollback.plan), reason });
  progress.rollback = { ...rollback, reason };
  throw new RollingBack(reason);
}
