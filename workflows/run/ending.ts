import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';
import type { StepStatus } from '../../domain/run/steps.ts';
import { toJson } from '../json.ts';
import type { RunResult } from '../messages.ts';
import { releaser } from '../proxies.ts';
import { failureOf, recordLossIn } from './failure.ts';
import type { End, RunProgress } from './progress.ts';
import type { Run } from './run.ts';

/** What a step cannot be once its run is over. */
const unfinished: readonly StepStatus[] = ['running', 'holding', 'stuck'];

/**
 * Removes the owner annotations of the run, records what it leaves behind, and answers whoever still waits. `progress` is missing
 * where the document could not be used: the run has touched nothing then.
 */
export async function close(run: Run, progress: RunProgress | undefined, end: End): Promise<RunResult> {
  const { state } = run;
  run.beginEnding();
  state.hold = undefined;
  state.stuck = undefined;
  state.window = undefined;
  const stopped = run.rows.flatMap(({ shown }) => (unfinished.includes(shown.status) ? [shown] : []));
  for (const shown of stopped) shown.status = 'stopped';
  const leftovers: string[] = [];
  if (end.phase !== 'refused' && progress) {
    leftovers.push(...leftoversOf(run, end), ...(await releaseTarget(run, progress)));
  }
  const { at } = await recordEnd(run, end, leftovers);
  for (const shown of stopped) shown.endedAt = at;
  state.ended = { at, reason: end.reason, leftovers };
  run.enter(end.phase);
  await condition(allHandlersFinished);
  await run.allWritten();
  return { run: state.run, phase: end.phase, reason: end.reason, evidence: state.evidence };
}

/** Lifts the cordons of the run and whatever else it owns; says what a person must lift where that is not possible. */
export async function releaseTarget(run: Run, { base: { target } }: RunProgress): Promise<string[]> {
  try {
    const { lifted } = await run.inShort(releaser.release({ target, run: run.state.run }));
    if (lifted.length > 0) void run.note('annotations.lifted', { nodes: lifted });
    return [];
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    void run.note('annotations.kept', toJson(failure));
    return [`cordons of ${run.state.run} may still be there, as they could not be lifted: ${failure.reason}`];
  }
}

async function recordEnd(run: Run, { phase, reason }: End, leftovers: string[]): Promise<{ at: string }> {
  try {
    return await run.record('run.ended', { phase, reason, leftovers });
  } catch (error) {
    // A run with an id that no record can have, or that another run has, ends without one; the target must not stay locked.
    if (!(phase === 'refused' ? failureOf(error) : recordLossIn(error))) throw error;
    return { at: workflowInfo().startTime.toISOString() };
  }
}

/** What a run that did not go through leaves in the world: the changing steps that were begun and have not been undone. */
function leftoversOf({ rows }: Run, { phase }: End): string[] {
  if (phase === 'done') return [];
  return rows.flatMap(({ shown: { id, uses }, performed }) => {
    if (!performed || performed.undone) return [];
    const step = `step ${id} (${uses})`;
    if (performed.kept !== undefined) return [`${step} stays: ${performed.kept}`];
    return [`${step} ${performed.finished ? 'was done and stays' : 'was stopped before its end'}`];
  });
}
