import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';
import type { Course, End } from './progress.ts';
import { failureOf } from '../failure.ts';
import { toJson } from '../json.ts';
import type { RunResult, StepStatus } from '../messages.ts';
import { releaser } from '../proxies.ts';
import type { Run } from './run.ts';

/** What a step cannot be once its run is over. */
const unfinished: readonly StepStatus[] = ['running', 'holding', 'stuck'];

/** Lifts the marks of the run, writes down what it leaves behind, and answers whoever still waits. */
export async function close(run: Run, course: Course, end: End): Promise<RunResult> {
  const { state } = run;
  run.beginEnding();
  state.hold = undefined;
  state.stuck = undefined;
  const stopped = state.steps.filter(({ status }) => unfinished.includes(status));
  for (const step of stopped) step.status = 'stopped';
  const leftovers: string[] = [];
  if (end.phase !== 'refused') {
    leftovers.push(...leftoversOf(course, end), ...(await liftMarks(run, course)));
  }
  const { at } = await recordEnd(run, end, leftovers);
  for (const step of stopped) step.endedAt = at;
  state.ended = { at, reason: end.reason, leftovers };
  run.enter(end.phase);
  await condition(allHandlersFinished);
  return { run: state.run, phase: end.phase, reason: end.reason, evidence: state.evidence };
}

/** Lifts what the run has marked; says what a person must lift where that is not possible. */
async function liftMarks(run: Run, { base: { target } }: Course): Promise<string[]> {
  // Ended before its document was read: it has touched nothing.
  if (target.name === '') return [];
  try {
    const { lifted } = await releaser.release({ target, run: run.state.run });
    if (lifted.length > 0) await run.record('marks.lifted', { nodes: lifted });
    return [];
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    await run.record('marks.kept', toJson(failure));
    return [`cordons of ${run.state.run} may still be there, as they could not be lifted: ${failure.reason}`];
  }
}

async function recordEnd(run: Run, { phase, reason }: End, leftovers: string[]): Promise<{ at: string }> {
  try {
    return await run.record('run.ended', { phase, reason, leftovers });
  } catch (error) {
    // A run with an id that no record can have, or that another run has, is refused without one; the target must not stay locked.
    if (phase !== 'refused' || !failureOf(error)) throw error;
    return { at: workflowInfo().startTime.toISOString() };
  }
}

/** What a run that did not go through leaves in the world: the changing steps that were begun and have not been undone. */
function leftoversOf({ performed }: Course, { phase }: End): string[] {
  if (phase === 'done') return [];
  return performed
    .filter(({ undone }) => !undone)
    .map(({ id, uses, finished, kept }) => {
      const step = `step ${id} (${uses})`;
      if (kept !== undefined) return `${step} stays: ${kept}`;
      return `${step} ${finished ? 'was done and stays' : 'was stopped before its end'}`;
    });
}
