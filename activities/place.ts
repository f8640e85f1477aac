import { Context } from '@temporalio/activity';
import { queueAt } from '../domain/run/place.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';

const answerTimeoutMs = 10_000;
/** `TASK_QUEUE_TYPE_ACTIVITY` of the Temporal API. */
const activityQueueType = 2;

/**
 * Adds to the plan of a step, which has to be carried out at one place, that no worker is there. Temporal knows of those that have asked
 * for work in the last minutes, so that one which has just ended is not missed yet.
 */
export async function withMissingWorker(plan: ActionPlan, place: string | undefined): Promise<ActionPlan> {
  if (place === undefined) return plan;
  const { client, info } = Context.current();
  const name = queueAt(info.taskQueue, place);
  const { pollers } = await client.connection.withDeadline(Date.now() + answerTimeoutMs, () =>
    client.workflowService.describeTaskQueue({ namespace: info.namespace, taskQueue: { name }, taskQueueType: activityQueueType }),
  );
  if ((pollers ?? []).length > 0) return plan;
  const reason = `No worker is on its machine: nobody asks for work on the task queue ${name}.`;
  const remedy = 'Start the worker there (`holdpoint worker --member`); if it has just been started, try again.';
  return { ...plan, blockers: [...plan.blockers, { object: place, reason, remedy }] };
}
