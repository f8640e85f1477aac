import { msToNumber, type Duration } from '@temporalio/common';
import type { WorkflowInterceptorsFactory } from '@temporalio/workflow';

/** How many times as soon as in production a worker counts as dead, so that a test can kill many of them. */
const haste = 4;

/**
 * Runs inside of every workflow of a test that kills workers: the time limits of activities keep their proportions, but are shorter.
 */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity: (input, next) => {
        const { startToCloseTimeout, heartbeatTimeout } = input.options;
        const options = { ...input.options, startToCloseTimeout: sooner(startToCloseTimeout), heartbeatTimeout: sooner(heartbeatTimeout) };
        return next({ ...input, options });
      },
    },
  ],
});

function sooner(limit: Duration | undefined): number | undefined {
  return limit === undefined ? undefined : msToNumber(limit) / haste;
}
