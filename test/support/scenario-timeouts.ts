import { msToNumber } from '@temporalio/common';
import type { ActivityInput, Next, WorkflowInterceptorsFactory, WorkflowOutboundCallsInterceptor } from '@temporalio/workflow';

/** How many times as soon as in production a worker counts as dead, so that a test can kill many of them. */
const haste = 4;

/**
 * Runs inside of every workflow of a test that kills workers: the time limits of activities keep their proportions, but are shorter.
 */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity: (input: ActivityInput, next: Next<WorkflowOutboundCallsInterceptor, 'scheduleActivity'>) => {
        const { startToCloseTimeout, heartbeatTimeout } = input.options as unknown as Limits;
        const options = { ...input.options, startToCloseTimeout: sooner(startToCloseTimeout), heartbeatTimeout: sooner(heartbeatTimeout) };
        return next({ ...input, options });
      },
    },
  ],
});

/** The limits of an activity, as whoever calls it has written them. */
type Limits = Record<'startToCloseTimeout' | 'heartbeatTimeout', string | number | undefined>;

function sooner(limit: Limits['heartbeatTimeout']): number | undefined {
  return limit === undefined ? undefined : msToNumber(limit) / haste;
}
