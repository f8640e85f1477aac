/** Name of the workflow type that carries out a run. */
export const runWorkflow = 'runbook';
/** Name of the one that makes a plan for somebody who asks. */
export const planWorkflow = 'planRunbook';
/** Name of the one that lifts what dead runs have left. */
export const sweepWorkflow = 'sweep';
/** Name of the one that tells people of one entry of a record. */
export const notifyWorkflow = 'notify';
/** Name of the one that sends a test message over a channel. */
export const testChannelWorkflow = 'testChannel';
/** Name of the one that an alarm of a schedule starts. */
export const scheduleWorkflow = 'schedule';

/** The search attributes by which runs are listed; all are keywords. */
export const searchAttributes = {
  run: 'HoldpointRun',
  phase: 'HoldpointPhase',
  runbook: 'HoldpointRunbook',
  requester: 'HoldpointRequester',
} as const;

/** The memo of a run in which somebody has released a hold alone, as lists show it: who, and at which hold. */
export const brokenGlassMemo = 'HoldpointBrokenGlass';
