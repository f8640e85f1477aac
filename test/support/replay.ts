import { Worker, type ReplayWorkerOptions } from '@temporalio/worker';
import { globalHandlers } from '@temporalio/worker/lib/workflow/vm-shared.js';

type History = Parameters<typeof Worker.runReplayHistory>[1];

/**
 * Runs the workflow's code on a history; throws where it would now decide otherwise.
 *
 * A replay runs workflow code in the process itself, for which the SDK hooks into every promise of the process and never lets go:
 * each file that replays something would make all tests after it slower.
 */
export async function replayHistory(options: ReplayWorkerOptions, history: History, workflowId: string): Promise<void> {
  try {
    await Worker.runReplayHistory(options, history, workflowId);
  } finally {
    globalHandlers.uninstall();
  }
}
