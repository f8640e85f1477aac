import { Context } from '@temporalio/activity';
import { defineSearchAttributeKey } from '@temporalio/common';
import { runWorkflow, searchAttributes } from '../domain/run/names.ts';
import { TargetError } from '../domain/target.ts';
import { parseTarget } from '../runbooks/targets.ts';

const runAttribute = defineSearchAttributeKey(searchAttributes.run, 'KEYWORD');

/** How many histories are looked through for targets; the newest come first. */
const historiesMax = 10_000;

/** How the workflow of a target stands. `changedAt`: when it began or ended; undefined where nothing is known of one. */
export type LatestRun = { state: 'open'; run?: string; changedAt: Date } | { state: 'closed'; changedAt?: Date };

/** Asks Temporal for the workflow of a target. To be called within an activity. */
export async function latestRunOf(target: string): Promise<LatestRun> {
  try {
    const { status, startTime, closeTime, typedSearchAttributes } = await Context.current().client.workflow.getHandle(target).describe();
    if (status.name !== 'RUNNING') return { state: 'closed', changedAt: closeTime };
    return { state: 'open', run: typedSearchAttributes.get(runAttribute), changedAt: startTime };
  } catch (error) {
    // Its history is gone: Temporal keeps those that have ended for a while only.
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return { state: 'closed' };
    throw error;
  }
}

/** The ids of runs on a target that are over, the newest first, as far as Temporal knows. To be called within an activity. */
export async function doneRunsOf(target: string, most: number): Promise<string[]> {
  const { client, info } = Context.current();
  const ours = `WorkflowType = '${runWorkflow}' AND TaskQueue = '${info.taskQueue}' AND ExecutionStatus = 'Completed'`;
  const runs: string[] = [];
  for await (const { typedSearchAttributes } of client.workflow.list({ query: `${ours} AND WorkflowId = '${target}'` })) {
    const run = typedSearchAttributes.get(runAttribute);
    if (run !== undefined && !runs.includes(run)) runs.push(run);
    if (runs.length >= most) break;
  }
  return runs;
}

/** The targets that runs of this task queue have worked on, the newest first. To be called within an activity. */
export async function targetsOfRuns(most: number): Promise<{ targets: string[]; more: boolean }> {
  const { client, info } = Context.current();
  const query = `WorkflowType = '${runWorkflow}' AND TaskQueue = '${info.taskQueue}'`;
  const targets = new Set<string>();
  let seen = 0;
  for await (const { workflowId } of client.workflow.list({ query })) {
    seen += 1;
    if (isTarget(workflowId) && !targets.has(workflowId)) {
      if (targets.size >= most) return { targets: [...targets], more: true };
      targets.add(workflowId);
    }
    if (seen >= historiesMax) return { targets: [...targets], more: true };
  }
  return { targets: [...targets], more: false };
}

function isTarget(text: string): boolean {
  try {
    parseTarget(text);
    return true;
  } catch (error) {
    if (error instanceof TargetError) return false;
    throw error;
  }
}
