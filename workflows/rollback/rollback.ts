import type { Course, End, WayBack } from '../run/progress.ts';
import type { Run } from '../run/run.ts';
import { carryOutSteps } from '../steps/carry-out.ts';

/** Goes the way back, step by step. Throws RunEnded where the run is aborted on it. */
export async function goBack(run: Run, course: Course, back: WayBack & { reason: string }): Promise<End> {
  if (!run.goingBack) turnRound(run, course, back);
  await carryOutSteps(run, course, back);
  return { phase: 'undone', reason: back.reason };
}

function turnRound(run: Run, course: Course, back: WayBack): void {
  run.goingBack = true;
  run.state.stuck = undefined;
  run.state.hold = undefined;
  run.endPause();
  for (const row of run.state.steps) {
    if (row.status === 'running' || row.status === 'stuck' || row.status === 'holding') row.status = 'stopped';
  }
  for (const { id, stays, reason } of back.left) {
    const step = course.performed.find((performed) => performed.id === id);
    const row = run.step(id);
    row.status = stays ? 'kept' : 'undone';
    row.summary = stays ? `stays: ${reason}` : `nothing to undo: ${reason}`;
    if (!step) continue;
    step.undone = !stays;
    step.kept = stays ? reason : undefined;
  }
  run.state.steps.push(...back.tasks.map(({ id, uses }) => ({ id, kind: 'action' as const, uses, status: 'waiting' as const })));
}
