/** Name of the workflow type that carries out a run. */
export const runWorkflow = 'runbook';

/** The search attributes by which runs are listed; all are keywords. */
export const searchAttributes = {
  run: 'HoldpointRun',
  phase: 'HoldpointPhase',
  runbook: 'HoldpointRunbook',
  requester: 'HoldpointRequester',
} as const;
