/** Name of the workflow type that carries out a run. */
export const runWorkflow = 'runbook';
/** Name of the one that makes a plan for somebody who asks. */
export const planWorkflow = 'planRunbook';
/** Name of the one that lifts what dead runs have left. */
export const sweepWorkflow = 'sweep';

/** The search attributes by which runs are listed; all are keywords. */
export const searchAttributes = {
  run: 'HoldpointRun',
  phase: 'HoldpointPhase',
  runbook: 'HoldpointRunbook',
  requester: 'HoldpointRequester',
} as const;
