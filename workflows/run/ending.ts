import { allHandlersFinished, condition, patched, workflowInfo } from '@temporalio/workflow';
import { leftoverText, type LastLook } from '../../domain/run/leftovers.ts';
import type { PerformedStep, StepStatus } from '../../domain/run/steps.ts';
import { toJson } from '../json.ts';
import type { RunResult } from '../messages.ts';
import { lastObserver, releaser } from '../proxies.ts';
import { failureOf, recordLossIn } from './failure.ts';
import type { End, RunProgress } from './progress.ts';
import type { Run } from './run.ts';

/** Of runs before, the steps were told as they were recorded, and nobody looked. */
const endsByWorldPatch = 'ends-tell-of-the-world';
/** At how many steps the run looks before it ends. */
const lookedAtMax = 20;

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
    const stays = await leftoversOf(run, progress, end);
    leftovers.push(...stays, ...(await releaseTarget(run, progress)));
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
    const { lifted } = await run.inShort(releaser.release({ target, run: run.state.run, begun: actionsBegun(run) }));
    if (lifted.length > 0) void run.note('annotations.lifted', { nodes: lifted });
    return [];
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    void run.note('annotations.kept', toJson(failure));
    return [`cordons of ${run.state.run} may still be there, as they could not be lifted: ${failure.reason}`];
  }
}

/** The actions of all steps that the run has begun, those of rollbacks included. */
function actionsBegun({ rows }: Run): string[] {
  return [...new Set(rows.flatMap(({ shown: { kind, startedAt, uses } }) => (kind === 'action' && startedAt !== undefined ? [uses] : [])))];
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

/**
 * What a run that did not go through leaves in the world, as it is now: of each changing step that was begun and has not been undone, how
 * far it has come, what goes on all the same, and what is not there any more.
 */
async function leftoversOf(run: Run, progress: RunProgress, { phase }: End): Promise<string[]> {
  if (phase === 'done') return [];
  const left = run.rows.flatMap(({ shown, planned, performed }) =>
    performed && !performed.undone ? [{ id: shown.id, uses: shown.uses, runsOn: planned?.runsOn, performed }] : [],
  );
  const looked = left.length > 0 && patched(endsByWorldPatch) ? left.slice(0, lookedAtMax) : [];
  const seen = await Promise.all(looked.map((step) => lastLook(run, progress, step)));
  return left.map((step, index) => leftoverText(step, seen[index]));
}

interface LeftStep {
  id: string;
  uses: string;
  runsOn?: string;
  performed: PerformedStep;
}

async function lastLook(
  run: Run,
  { base: { target } }: RunProgress,
  { id, uses, runsOn, performed: { plan } }: LeftStep,
): Promise<LastLook> {
  const context = { run: run.state.run, step: id, target, retry: 0 };
  try {
    return await lastObserver({ runsOn }).observe({ action: uses, plan, context });
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { unread: failure.reason };
  }
}
