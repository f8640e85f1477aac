import type { ActivateInput, WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { earlyEventWords } from './messages.ts';

type Job = NonNullable<ActivateInput['activation']['jobs']>[number];

/** Jobs that come out of no event of a history that a run waits for: questions, updates, and how the run itself is loaded. */
const jobsWithoutEvent = ['queryWorkflow', 'doUpdate', 'initializeWorkflow', 'notifyHasPatch', 'updateRandomSeed', 'removeFromCache'];

/**
 * Runs inside of every workflow, bundled with it: refuses events that a worker is handed before the workflow task that they belong to.
 *
 * A question reaches a worker with the history as it is then, which may end in events that no workflow task has delivered yet; Temporal's
 * core hands them to the run at once. Where an update comes with their workflow task, the run has then gone on before it, while each
 * replay takes the update first: what was written can never be replayed, and the run is lost. Refused, the question fails and the run is
 * loaded anew with the next workflow task, in the right order (docs/decisions/0056-early-events.md).
 *
 * Each workflow task has a later time than the one before. Where the history has grown and the time has not, its events come early.
 */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let seen = { events: 0, timeMs: -Infinity };
  return {
    internals: [
      {
        activate: (input, next) => {
          const { activation } = input;
          const now = { events: activation.historyLength ?? 0, timeMs: msOf(activation.timestamp) };
          const isEarly = activation.jobs?.some(isOfEvent) === true && now.events > seen.events && now.timeMs <= seen.timeMs;
          // A replay must come to what was written whatever the clocks of the server have shown.
          if (isEarly && activation.isReplaying !== true) {
            throw new Error(
              `${earlyEventWords} A question came with events that no workflow task has brought yet. It is to be asked again.`,
            );
          }
          seen = now;
          next(input);
        },
      },
    ],
  };
};

/** Local activities are resolved within a workflow task. */
function isOfEvent(job: Job): boolean {
  const kinds = Object.entries(job).flatMap(([kind, value]) => (value == null || jobsWithoutEvent.includes(kind) ? [] : [kind]));
  return kinds.length > 0 && job.resolveActivity?.isLocal !== true;
}

function msOf(timestamp: { seconds?: { toString(): string } | null; nanos?: number | null } | null | undefined): number {
  return timestamp ? Number(timestamp.seconds?.toString() ?? 0) * 1000 + (timestamp.nanos ?? 0) / 1e6 : -Infinity;
}
