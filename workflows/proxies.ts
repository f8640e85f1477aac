import { ActivityCancellationType, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { ActionLimits } from '../domain/runbook.ts';

/** Reads of the world and of files: short, tried a few times, and then a person hears of it. */
export const reads = proxyActivities<Pick<Activities, 'prepare' | 'planStep' | 'openHold'>>({
  startToCloseTimeout: '2 minutes',
  retry: { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 4 },
});

/** The record must be written, however long the disk is full: a run does not go on unrecorded. */
export const recorder = proxyActivities<Pick<Activities, 'record'>>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
});

/** Lifts what the run has marked; tried for ever, as nothing may be forgotten. */
export const releaser = proxyActivities<Pick<Activities, 'release'>>({
  startToCloseTimeout: '5 minutes',
  retry: { initialInterval: '1s', maximumInterval: '1 minute', maximumAttempts: 60 },
});

/** Signatures are verified against the people of this moment, within the workflow task that decides. */
export const verifier = proxyLocalActivities<Pick<Activities, 'verifySignature'>>({
  startToCloseTimeout: '10s',
  retry: { maximumAttempts: 5 },
});

/** The one activity that changes the world, within the limits that its author gave the action. */
export function performer({ timeoutMs, heartbeatMs, attemptsMax }: ActionLimits): Pick<Activities, 'perform'> {
  return proxyActivities<Pick<Activities, 'perform'>>({
    startToCloseTimeout: timeoutMs,
    heartbeatTimeout: heartbeatMs,
    retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: attemptsMax },
    // A pause is over only when the unit in hand is finished.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
}
