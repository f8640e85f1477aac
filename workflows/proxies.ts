import { ActivityCancellationType, proxyActivities, proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { queueAt } from '../domain/run/place.ts';
import type { ActionLimits } from '../domain/runbook.ts';

/** Silence after which the worker of an activity that heartbeats counts as dead, and another one takes the activity up. */
const heartbeatTimeout = '10s';
const readRetry = { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 4 } as const;

type FileReads = Pick<Activities, 'prepare' | 'readPolicy' | 'lookAtWindow'>;
type PlanReads = Pick<Activities, 'planRunbook' | 'planSpan' | 'planRollback'>;

/** Reads of files: short, tried a few times, and then a person hears of it. */
const fileReads = proxyActivities<FileReads>({ startToCloseTimeout: '30s', retry: readRetry });

/** Looks at what up to thousands of steps concern. */
const planReads = proxyActivities<PlanReads>({ startToCloseTimeout: '30 minutes', heartbeatTimeout, retry: readRetry });

/** Everything that a plan is made from. */
export const reads: FileReads & PlanReads = {
  prepare: fileReads.prepare,
  readPolicy: fileReads.readPolicy,
  lookAtWindow: fileReads.lookAtWindow,
  planRunbook: planReads.planRunbook,
  planSpan: planReads.planSpan,
  planRollback: planReads.planRollback,
};

/** What mostly takes some milliseconds. */
export type ShortReads = FileReads & Pick<PlanReads, 'planSpan'>;

/**
 * The same within the workflow task at hand, tried once and for a short time: nothing else reaches the run meanwhile. Only for what
 * reads, as a worker that dies does it again; see `Run.read`.
 */
export const shortReads = proxyLocalActivities<ShortReads>({ startToCloseTimeout: '2s', retry: { maximumAttempts: 1 } });

/** A look at what one step concerns, by a worker that may carry it out; it may take a while in a large cluster. */
export function observer({ runsOn }: { runsOn?: string }): Pick<Activities, 'observe'> {
  return proxyActivities<Pick<Activities, 'observe'>>({
    ...queueOf(runsOn),
    startToCloseTimeout: '2 minutes',
    heartbeatTimeout,
    retry: readRetry,
  });
}

/** A short look at what a step has left, when its run ends: whoever has aborted waits for it. */
export function lastObserver({ runsOn }: { runsOn?: string }): Pick<Activities, 'observe'> {
  return proxyActivities<Pick<Activities, 'observe'>>({
    ...queueOf(runsOn),
    startToCloseTimeout: '20s',
    scheduleToCloseTimeout: '40s',
    heartbeatTimeout,
    retry: { initialInterval: '500ms', maximumAttempts: 2 },
  });
}

/** Where the activities of an action go: a queue of its own where it has to run in one place, whose worker may be missing. */
function queueOf(runsOn: string | undefined): { taskQueue?: string; scheduleToStartTimeout?: '10 minutes' } {
  if (runsOn === undefined) return {};
  return { taskQueue: queueAt(workflowInfo().taskQueue, runsOn), scheduleToStartTimeout: '10 minutes' };
}

/** The record must be written, however long the disk is full: a run does not go on unrecorded. */
export const recorder = proxyActivities<Pick<Activities, 'record'>>({
  startToCloseTimeout: '30s',
  heartbeatTimeout,
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
});

/** Lifts what the run owns, such as cordons; tried for about an hour, after which the run says what may be left. */
export const releaser = proxyActivities<Pick<Activities, 'release'>>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '1 minute', maximumAttempts: 60 },
});

/** What a sweep does. A cluster that cannot be reached must not keep the others waiting for long. */
export const sweeper = proxyActivities<Pick<Activities, 'targetsOfRuns' | 'findOwnerAnnotations' | 'liftOwnerAnnotations'>>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '5s', maximumAttempts: 3 },
});

/** Signatures are verified against the people of this moment, within the workflow task that decides. */
export const verifier = proxyLocalActivities<Pick<Activities, 'verifySignature' | 'findVoided'>>({
  startToCloseTimeout: '10s',
  retry: { maximumAttempts: 5 },
});

/** The one activity that changes the world, within the limits that its author gave the action. */
export function performer({ limits, runsOn }: { limits: ActionLimits; runsOn?: string }): Pick<Activities, 'perform'> {
  const { timeoutMs, heartbeatMs, attemptsMax } = limits;
  return proxyActivities<Pick<Activities, 'perform'>>({
    ...queueOf(runsOn),
    startToCloseTimeout: timeoutMs,
    heartbeatTimeout: heartbeatMs,
    retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: attemptsMax },
    // A pause is over only when the unit in hand is finished.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
}

/** What finds out whom to tell. */
export const router = proxyActivities<Pick<Activities, 'routeNotification' | 'isOpenRun'>>({
  startToCloseTimeout: '30s',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '1 minute', maximumAttempts: 60 },
});

/** Sends a message once: whether it is sent again is for the workflow to say, which knows what became of it. */
export const sender = proxyActivities<Pick<Activities, 'sendNotification' | 'testChannel'>>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout,
  retry: { maximumAttempts: 1 },
});

/** What a schedule asks: whether its run may start now, and that its alarms are set. Nobody waits for the answer but the schedule. */
export const scheduler = proxyActivities<Pick<Activities, 'lookAtSchedule' | 'setAlarms'>>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 10 },
});
