import type { WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { refusalFailure } from './run/refusal.ts';

/**
 * More than any word of ours takes. What a run takes in stays in its history, where Temporal ends a run for a payload of 2 MiB (its limit
 * limit.blobSize.error), and runs take words in to write down that they refuse them.
 */
const updateBytesMax = 256 * 1024;

/** Runs inside of every workflow, bundled with it: refuses updates of a size that nobody of ours sends, before anything looks at them. */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [
    {
      validateUpdate: (input, next) => {
        const { args, headers } = input;
        let bytes = JSON.stringify(args).length;
        for (const [name, { data }] of Object.entries(headers)) bytes += name.length + (data?.length ?? 0);
        if (bytes > updateBytesMax) {
          const reason = `The request has ${bytes} bytes, and a run takes ${updateBytesMax} at most.`;
          throw refusalFailure({ code: 'request-malformed', reason, remedy: 'Use the same version of `holdpoint` as the worker.' });
        }
        next(input);
      },
    },
  ],
});
