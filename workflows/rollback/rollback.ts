import type { Rollback } from '../../domain/run/span.ts';
import { finished } from '../steps/record-step-done.ts';
import { carryOutSteps } from '../steps/carry-out.ts';
import type { End, RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** Takes back what the run has done, step by step. Throws RunEnded where the run is aborted meanwhile. */
export async function rollBack(run: Run, progress: RunProgress, rollback: Rollback & { reason: string }): Promise<End> {
  if (!run.rollingBack) turnRound(run, rollback);
  await carryOutSteps(run, progress, rollback);
  return { phase: 'undone', reason: rollback.reason };
}

function turnRound(run: Run, { left, steps }: Rollback): void {
  run.beginRollback();
  run.state.stuck = undefined;
  run.state.hold = undefined;
  run.state.window = undefined;
  for (const row of run.rows) {
    const { shown } = row;
    if (shown.status === 'running' || shown.status === 'stuck' || shown.status === 'holding') shown.status = 'stopped';
    finished(row);
  }
  for (const { id, stays, reason } of left) {
    const { shown, performed } = run.row(id);
    shown.status = stays ? 'kept' : 'undone';
    shown.summary = stays ? `stays: ${reason}` : `nothing to undo: ${reason}`;
    if (!performed) continue;
    performed.undone = !stays;
    performed.kept = stays ? reason : undefined;
  }
  for (const planned of steps) {
    const { id, uses } = planned;
    run.rows.push({ shown: { id, kind: 'action', uses, status: 'waiting' }, planned });
  }
}
