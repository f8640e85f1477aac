import { CancellationScope, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { notifyWorkflow, type NotifyInput } from '../messages.ts';

/** Has people told of an entry by a workflow of its own, which goes on when this one ends. Resolves when it has been started. */
export async function startTelling(input: NotifyInput): Promise<void> {
  const started = CancellationScope.nonCancellable(() =>
    startChild(notifyWorkflow, { args: [input], parentClosePolicy: ParentClosePolicy.ABANDON }),
  );
  // Whatever keeps it from being started must not end the run.
  await started.catch(() => undefined);
}
