import { ActivityFailure, ApplicationFailure, makeContinueAsNewFunc, proxyActivities } from '@temporalio/workflow';

/** What a stranger has a worker of ours do. */
export interface Order {
  queue: string;
  activity: string;
  request: unknown;
}

/** What became of an order: the code of the refusal, or that it was carried out. */
export type Answer = string;

/** Orders activities of somebody else's queue, one after another, and tells what was answered. */
export async function stranger(orders: readonly Order[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const { queue, activity, request } of orders) {
    const ordered = proxyActivities<Record<string, (request: unknown) => Promise<unknown>>>({
      taskQueue: queue,
      startToCloseTimeout: '30s',
      retry: { maximumAttempts: 1 },
    });
    try {
      await ordered[activity]?.(request);
      answers.push('carried out');
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      answers.push(error.cause instanceof ApplicationFailure ? (error.cause.type ?? '') : String(error.cause));
    }
  }
  return answers;
}

/** The same under the name of ours. */
export const runbook = stranger;

/** Goes on as a workflow of ours, on our queue, with whatever arguments. */
export async function changeling(queue: string, args: unknown[]): Promise<void> {
  await makeContinueAsNewFunc<(...args: unknown[]) => Promise<void>>({ workflowType: 'runbook', taskQueue: queue })(...args);
}
